"""4. Saved = loaded, bit for bit; transformers opens what we save, and we open what it saves.

Everything goes through real folders and each library's public way in.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from contract.families import HEADS, WITHOUT_REFERENCE, all_logits, families, random_ids, tiny
from contract.reference import ARCHITECTURES, LM, PAD, head_results, reference, run, saved
from sightline.core.mask import Bidirectional, Causal, Mask, NotPadding, Permuted, Prefix, SlidingWindow
from sightline.errors import UnsupportedError
from sightline.model.load import load
from sightline.model.model import Model
from sightline.weights.files import read_json

AUTO = {
    "lm": transformers.AutoModelForMaskedLM,
    "next_sentence": transformers.AutoModelForNextSentencePrediction,
    "classifier": transformers.AutoModelForSequenceClassification,
    "tagger": transformers.AutoModelForTokenClassification,
    "span": transformers.AutoModelForQuestionAnswering,
    "pooler": transformers.AutoModel,
}
CAUSAL_LM = ("gpt2", "modernbert-decoder", "xlnet")
CLOSE = 1e-12
IDS = random_ids(2, 7)
POSITIONS = torch.arange(7).expand(2, -1)


def opened(kind: Any, folder: Path) -> Any:
    """What transformers makes of a folder; every tensor must have found its place.

    It leaves XLNet's bare parameters in float32, whatever the file holds; all that tests draw are float32 numbers.
    """
    model, report = kind.from_pretrained(folder, output_loading_info=True, attn_implementation="eager")
    assert not any(report.values()), report
    return model.to(getattr(torch, read_json(folder / "config.json")["dtype"])).eval()


def architecture(folder: Path) -> str:
    (name,) = read_json(folder / "config.json")["architectures"]
    return str(name)


def same_bits(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def assert_same_model(one: Model, other: Model) -> None:
    parameters = dict(other.named_parameters())
    assert {name for name, _ in one.named_parameters()} == parameters.keys()
    assert all(same_bits(parameter, parameters[name]) for name, parameter in one.named_parameters())
    assert set(one.heads) == set(other.heads)
    assert (one.config, one.mask, one.labels) == (other.config, other.mask, other.labels)


def assert_same_results(ours: Model, theirs: Any, name: str) -> None:
    with torch.no_grad():
        output, expected = ours(IDS, hidden_states=True), run(theirs, IDS, position_ids=POSITIONS)
        heads = all_logits(ours, output.last_hidden_state, output.coordinates)
    for one, other in zip(output.hidden_states, expected.hidden_states, strict=True):
        assert float((one - other).abs().max()) < CLOSE
    for head, logits in head_results(name, expected).items():
        assert float((heads[head] - logits).abs().max()) < CLOSE, head


# Ours, back to us


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@families("files")
def test_saved_is_loaded(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model = tiny(family, heads=("lm",), dtype=dtype)
    folder = model.save(tmp_path / "model")
    again = load(folder)
    assert_same_model(model, again)
    assert (again.dtype, again.training, again.family) == (dtype, False, model.family)
    assert again.new_tensors == ()
    second = again.save(tmp_path / "again")
    assert (folder / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    assert read_json(folder / "config.json") == read_json(second / "config.json")


HEAD_SETS = [(family, (head,)) for family in HEADS for head in HEADS[family]] + [
    ("bert", ()),
    ("bert", ("lm", "next_sentence")),
    ("bert", ("lm", "classifier", "span")),
    ("bert", ("lm", "tagger")),
    ("bert", ("pooler", "tagger")),  # as older files of taggers are, which a classifier of rows would fit too
    ("roberta", HEADS["roberta"]),
    ("distilbert", ("lm", "classifier", "span")),
    ("gpt2", ()),
    ("gpt2", ("lm", "classifier")),
    ("gpt2", HEADS["gpt2"]),
    ("xlnet", ()),
    ("xlnet", ("lm", "classifier", "span")),
    ("modernbert", ()),
    ("modernbert-decoder", HEADS["modernbert-decoder"]),
]


@pytest.mark.parametrize(
    ("family", "heads"), HEAD_SETS, ids=lambda part: part if isinstance(part, str) else "+".join(part)
)
def test_every_set_of_heads_comes_back(family: str, heads: tuple[str, ...], tmp_path: Path) -> None:
    model = tiny(family, heads=heads)
    again = load(model.save(tmp_path))
    assert set(again.heads) >= set(heads)
    assert_same_model(model, again)


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert"])
def test_two_heads_never_overwrite_each_other(family: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"two heads .* both stored as '(classifier|head\.dense)\.weight'"):
        tiny(family, heads=("classifier", "tagger")).save(tmp_path)
    assert not (tmp_path / "config.json").exists()


MASKS: list[Mask] = [
    Bidirectional(),
    Causal(),
    Prefix(3) | Causal(),
    Causal() & SlidingWindow(3),
    Permuted(strict=True),
    ~Causal() & NotPadding(),
]


@pytest.mark.parametrize("mask", MASKS, ids=str)
@families("files")
def test_a_view_is_saved_with_its_mask(family: str, mask: Mask, tmp_path: Path) -> None:
    model = tiny(family, heads=("lm",)).with_mask(mask)
    assert_same_model(model, load(model.save(tmp_path)))


@families("files")
def test_float16_becomes_float32_on_a_cpu_unless_asked_for(family: str, tmp_path: Path) -> None:
    model = tiny(family, heads=("lm",), dtype=torch.float16)
    folder = model.save(tmp_path)
    loaded = load(folder)
    assert loaded.dtype == torch.float32
    pairs = list(zip(model.parameters(), loaded.parameters(), strict=True))
    assert all(torch.equal(half.float(), single) for half, single in pairs)
    assert_same_model(model, load(folder, dtype="float16"))
    assert_same_model(model, load(folder, dtype=torch.float16))


@families("files")
def test_saved_over_another_model(family: str, tmp_path: Path) -> None:
    """What a folder held before leaves no trace, not even its mask and its labels."""
    tiny(family, heads=("classifier",)).with_mask(Prefix(2)).save(tmp_path)
    model = tiny(family, heads=("lm",), seed=1)
    assert_same_model(model, load(model.save(tmp_path)))


# Ours, opened by transformers


@pytest.mark.parametrize(
    ("family", "head"),
    [(family, head) for family in HEADS if family not in WITHOUT_REFERENCE for head in HEADS[family]],
)
def test_transformers_opens_what_we_save(family: str, head: str, tmp_path: Path) -> None:
    model = tiny(family, heads=(head,))
    folder = model.save(tmp_path)
    kind = transformers.AutoModelForCausalLM if family in CAUSAL_LM and head == "lm" else AUTO[head]
    theirs = opened(kind, folder)
    assert type(theirs).__name__ == architecture(folder)
    theirs.config.pad_token_id = PAD if family in CAUSAL_LM else theirs.config.pad_token_id  # it wants one in a batch
    assert_same_results(model, theirs, architecture(folder))


@pytest.mark.parametrize("settings", [{"tied": False}, {"activation": "relu"}, {"norm_eps": 1e-3}], ids=str)
@families("parity")
def test_settings_are_saved_too(family: str, settings: dict[str, Any], tmp_path: Path) -> None:
    if family == "distilbert":
        settings.pop("norm_eps", None)  # transformers has it fixed
    model = tiny(family, heads=("lm",), **settings)
    folder = model.save(tmp_path)
    theirs = opened(transformers.AutoModelForCausalLM if family in CAUSAL_LM else AUTO["lm"], folder)
    assert_same_results(model, theirs, architecture(folder))
    assert_same_model(model, load(folder))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_an_encoder_turned_causal_is_a_decoder_to_transformers(family: str, tmp_path: Path) -> None:
    model = tiny(family, heads=("lm",)).with_mask(Causal())
    folder = model.save(tmp_path)
    for attention in ("eager", "sdpa"):
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention).eval()
        assert theirs.config.is_decoder and type(theirs).__name__ == architecture(folder)
        assert_same_results(model, theirs, architecture(folder))


# Theirs, opened by us


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_we_open_what_transformers_saves(name: str, tmp_path: Path) -> None:
    theirs = reference(name)
    model = load(saved(theirs, tmp_path))
    assert (model.layout.model_type, set(head_results(name, run(theirs, IDS))) <= set(model.heads)) == (
        ARCHITECTURES[name][0],
        True,
    )
    assert_same_results(model, theirs, name)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_and_it_opens_what_we_make_of_it(name: str, tmp_path: Path) -> None:
    theirs = reference(name)
    folder = load(saved(theirs, tmp_path / "theirs")).save(tmp_path / "ours")
    again = opened(type(theirs), folder)
    mine, other = theirs.state_dict(), again.state_dict()
    assert mine.keys() == other.keys()
    assert all(same_bits(tensor, other[key]) for key, tensor in mine.items())
    changed = {"classifier_dropout", "_name_or_path", "transformers_version", "architectures", "_commit_hash"}
    kept, now = theirs.config.to_dict(), again.config.to_dict()
    assert {key: value for key, value in kept.items() if now.get(key) != value}.keys() <= changed


@pytest.mark.parametrize("family", LM)
def test_shards_and_pickles(family: str, tmp_path: Path) -> None:
    theirs = reference(LM[family])
    plain = load(saved(theirs, tmp_path / "plain"))
    theirs.save_pretrained(tmp_path / "shards", max_shard_size="5KB")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 2
    assert_same_model(plain, load(tmp_path / "shards"))

    config = (tmp_path / "plain" / "config.json").read_text()
    tensors = theirs.state_dict()
    names = sorted(tensors)
    parts = {"pytorch_model-00001-of-00002.bin": names[::2], "pytorch_model-00002-of-00002.bin": names[1::2]}
    for folder in ("pickle", "legacy", "pickles"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(config)
    torch.save(tensors, tmp_path / "pickle" / "pytorch_model.bin")
    torch.save(tensors, tmp_path / "legacy" / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    for part, held in parts.items():
        torch.save({name: tensors[name] for name in held}, tmp_path / "pickles" / part)
    index = {"metadata": {}, "weight_map": {name: part for part, held in parts.items() for name in held}}
    (tmp_path / "pickles" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    for folder in ("pickle", "legacy", "pickles"):
        assert_same_model(plain, load(tmp_path / folder))
