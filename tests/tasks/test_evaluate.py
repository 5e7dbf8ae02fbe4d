"""Benchmarks against their definitions, written out; on data of every shape; and what is no such data.

Shapes: T tokens.
"""

import gzip
import io
import json
import lzma
import math
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants

from contract.families import tiny
from decoding.models import bytelevel, masked, words
from hub_server import HubServer
from sentencepiece_models import train
from sightline.core.mask import Bidirectional, Causal
from sightline.errors import ConfigError, InputError, NotFoundError, SightlineError, UnsupportedError
from sightline.model.model import Model
from sightline.tasks import blimp, lambada, wikitext
from sightline.tasks.blimp import paradigms
from sightline.tasks.evaluate import evaluate
from sightline.tasks.lambada import passages
from sightline.tasks.orders import order_log_probs
from sightline.tasks.reading import readings
from sightline.tasks.score import score
from sightline.tasks.scorer import scorer
from sightline.text.packed_files import packed_files
from sightline.text.tokenizer_files import load_tokenizer

PARADIGMS = {
    "agreement": ("morphology", "verbs", [("the cat sat", "the cat sit"), ("a dog", "an dog"), ("the end", "the end")]),
    "islands": ("syntax", "movement", [("the mat of the dog", "of the mat the dog"), ("a mat", "mat a")]),
    "binding": ("syntax_semantics", "movement", [("the dog ends", "ends the dog")]),
    "cases": ("syntax/semantics", "movement", [("dogs sat on the mat", "sat dogs on the mat")]),
}


def causal(**settings: object) -> Model:
    tokenizer = bytelevel()
    return tiny("gpt2", heads=("lm",), vocabulary=len(tokenizer), tokenizer=tokenizer, positions=64, **settings)


def bert() -> Model:
    return masked("bert", positions=64)


def rows(name: str) -> list[dict[str, str]]:
    field, term, pairs = PARADIGMS[name]
    return [
        {"sentence_good": good, "sentence_bad": bad, "field": field, "linguistics_term": term, "UID": name}
        for good, bad in pairs
    ]


def files() -> dict[str, bytes]:
    return {f"{name}.jsonl": "".join(json.dumps(row) + "\n" for row in rows(name)).encode() for name in PARADIGMS}


def folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (path / name).write_bytes(content)
    return path


# BLiMP


@pytest.mark.parametrize("make", [causal, bert])
def test_a_good_sentence_must_have_the_larger_sum(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    model = make()
    found = evaluate(model, "blimp", folder(tmp_path))
    accuracy = {}
    for name, (_, _, pairs) in PARADIGMS.items():
        right = [score(model, good)[0].total > score(model, bad)[0].total for good, bad in pairs]
        assert found.parts[name]["correct"] == sum(right)
        accuracy[name] = sum(right) / len(right)
    assert found.parts["agreement"]["ties"] == 1  # of equal sentences, which count as wrong
    summary = found.summary
    assert summary is not None
    assert summary["accuracy"] == pytest.approx(sum(accuracy.values()) / 4)
    assert summary["fields"] == pytest.approx(
        {
            "morphology": accuracy["agreement"],
            "syntax": accuracy["islands"],
            "syntax/semantics": (accuracy["binding"] + accuracy["cases"]) / 2,
        }
    )
    assert summary["phenomena"]["verbs"] == accuracy["agreement"]
    assert summary["pairs"] == 7 and summary["paradigms"] == 4 and summary["ties"] == 1
    assert "pairs have equal sums" in str(found) and found.measured["kind"] in str(found)


def test_data_of_every_shape_is_the_same_data(tmp_path: Path) -> None:
    model = causal()
    plain = folder(tmp_path / "plain")
    packed = tmp_path / "packed"
    packed.mkdir()
    for name, content in files().items():
        (packed / f"{name}.xz").write_bytes(lzma.compress(content))
    with zipfile.ZipFile(tmp_path / "blimp.zip", "w") as archive:
        for name, content in files().items():
            archive.writestr(f"data/{name}", content)
        archive.writestr("README.md", "no data")
    with tarfile.open(tmp_path / "blimp.tar.xz", "w:xz") as tar:
        for name, content in files().items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    import polars

    table = tmp_path / "table"
    table.mkdir()
    polars.DataFrame([row for name in PARADIGMS for row in rows(name)]).write_parquet(table / "train.parquet")
    wanted = evaluate(model, "blimp", plain).parts
    for data in (packed, tmp_path / "blimp.zip", tmp_path / "blimp.tar.xz", table, table / "train.parquet"):
        assert evaluate(model, "blimp", data).parts == wanted


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that this process uses, with an empty cache."""
    with HubServer() as server:
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        for name, value in {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": template,
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_HUB_OFFLINE": False,
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        huggingface_hub.close_session()
        yield server
        huggingface_hub.close_session()


def test_a_data_set_of_the_hub(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = causal()
    hub.commit("owner/pairs", {f"data/{name}": content for name, content in files().items()} | {"README.md": b"no"})
    wanted = evaluate(model, "blimp", folder(tmp_path / "here")).parts
    for address in ("owner/pairs", "hf://datasets/owner/pairs", "hf://datasets/owner/pairs/data"):
        assert evaluate(model, "blimp", address).parts == wanted
    one = evaluate(model, "blimp", "hf://datasets/owner/pairs/data/islands.jsonl")
    assert one.parts == {"islands": wanted["islands"]}
    assert not any("README" in request.path for request in hub.requests if request.method == "GET")
    with pytest.raises(NotFoundError, match="there is no data set 'owner/other'"):
        evaluate(model, "blimp", "owner/other")
    with pytest.raises(NotFoundError, match="has no file 'elsewhere'"):
        evaluate(model, "blimp", "hf://datasets/owner/pairs/elsewhere")
    hub.stop()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert evaluate(model, "blimp", "owner/pairs").parts == wanted  # from the cache


# LAMBADA


PASSAGES = ["the dog sat on the mat and the cat", "a dog, a cat, a catdog", "the end of ends"]


def write_passages(path: Path, passages: Sequence[str] = PASSAGES) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in passages))
    return path


def greedy(model: Model, ids: list[int], first: int) -> tuple[bool, float]:
    """Whether each token from `first` on is the likeliest, those before it given, and the log-probability of all."""
    right, total = True, 0.0
    for place in range(first, len(ids)):
        with torch.no_grad():
            logits = model.logits(model(torch.tensor([[0, *ids[:place]]])).last_hidden_state)[0, -1]
        right = right and int(logits.argmax()) == ids[place]
        total += float(logits.log_softmax(-1)[ids[place]])
    return right, total


def first_of_last(model: Model, text: str) -> int:
    """Where the tokens of the last word begin."""
    before = model.tokenizer.encode(text.rpartition(" ")[0], add_special_tokens=False)
    return len(before)


def test_a_last_word_must_be_right_in_all_its_pieces(tmp_path: Path) -> None:
    model = causal()
    taught = model.tokenizer.encode(PASSAGES[0])
    begun = model.tokenizer.encode(PASSAGES[1])[first_of_last(model, PASSAGES[1]) :]
    assert begun[0] == taught[-1] and len(begun) > 1  # one word is right, of another its first piece
    with torch.no_grad():  # the head answers one token after any text
        model.heads["lm"].bias = torch.nn.Parameter(torch.zeros(len(model.tokenizer), dtype=torch.float64))
        model.heads["lm"].bias[taught[-1]] = 30.0  # type: ignore[index]
    found = evaluate(model, "lambada", write_passages(tmp_path / "passages.jsonl"))
    wanted = [greedy(model, model.tokenizer.encode(text), first_of_last(model, text)) for text in PASSAGES]
    assert found.summary is not None
    assert 0 < sum(right for right, _ in wanted) < 3
    assert found.summary["accuracy"] == pytest.approx(sum(right for right, _ in wanted) / 3)
    assert math.log(found.summary["perplexity"]) == pytest.approx(-sum(total for _, total in wanted) / 3)


def test_a_masked_model_fills_the_pieces_of_the_last_word(tmp_path: Path) -> None:
    model = bert()
    found = evaluate(model, "lambada", write_passages(tmp_path / "passages.jsonl"))
    nats = 0.0
    for text in PASSAGES:
        row = score(model, text)[0]
        nats -= sum(value for value in row.log_probs[first_of_last(model, text) :] if value is not None)
    assert found.summary is not None and "perplexity" not in found.summary
    assert math.log(found.summary["pseudo_perplexity"]) == pytest.approx(nats / 3)


def test_no_piece_of_the_asked_word_is_seen_where_the_tokenizer_cuts_it(tmp_path: Path) -> None:
    """Not those behind a hyphen either: were they others, the first piece would be as likely."""
    model, costs = bert(), []
    for word in ("cat-mat", "cat-dog"):
        path = write_passages(tmp_path / f"{word}.jsonl", [f"the dog sat on the {word}"])
        by, [text] = scorer(model), passages(packed_files(path, lambada.SUFFIXES))
        view = lambada._last_word(by, readings(by.tokenizer, [text])[0], 0)
        assert view.asked == 3
        costs.append(by.asker.ask([view], lambda done: None))
    assert costs[0][:2] == pytest.approx(costs[1][:2]) and costs[0][2] != pytest.approx(costs[1][2])


def test_a_word_is_not_asked_with_its_pieces_in_sight(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose 'l2r'"):
        evaluate(bert(), "lambada", write_passages(tmp_path / "passages.jsonl"), within_word="original")


def test_of_a_long_passage_the_end_is_read(tmp_path: Path) -> None:
    model = causal()
    long = " ".join(["the mat"] * 40) + " cat"
    found = evaluate(model, "lambada", write_passages(tmp_path / "passages.jsonl", [long]))
    ids = model.tokenizer.encode(long)[-63:]
    assert found.summary is not None
    assert math.log(found.summary["perplexity"]) == pytest.approx(-greedy(model, ids, 62)[1])


def xlnet() -> Model:
    """With its own kind of tokenizer, which adds nothing before a text."""
    pieces = train(vocab_size=200, control_symbols=["<cls>", "<sep>", "<pad>", "<mask>"])
    with TemporaryDirectory() as name:
        (Path(name) / "spiece.model").write_bytes(pieces)
        tokenizer = load_tokenizer(Path(name), model_type="xlnet")
    return tiny("xlnet", heads=("lm",), vocabulary=len(tokenizer), tokenizer=tokenizer)


def test_a_network_of_two_streams_sees_the_passage_and_is_asked_for_the_word(tmp_path: Path) -> None:
    model = xlnet()
    found = evaluate(model, "lambada", write_passages(tmp_path / "passages.jsonl"))
    nats = 0.0
    for text in PASSAGES:
        ids = model.tokenizer.encode(text, add_special_tokens=False)
        first = first_of_last(model, text)
        ranks = (torch.arange(len(ids)) + 1 - first).clamp(min=0)[None]
        nats -= float(order_log_probs(model, torch.tensor([ids]), ranks).sum())
    assert found.summary is not None and found.measured["before"] == ""
    assert math.log(found.summary["perplexity"]) == pytest.approx(nats / 3)


# WikiText

LINES = [" \n", " = the cat = \n", " \n", " the dog sat on the mat , and the cat \n", " a dog \n"]


def write_lines(path: Path) -> Path:
    path.write_text("".join(LINES))
    return path


def test_words_are_what_stands_between_spaces_and_the_ends_of_lines(tmp_path: Path) -> None:
    model = causal()
    found = evaluate(model, "wikitext", write_lines(tmp_path / "wiki.txt"))
    whole = score(model, "".join(LINES))[0]
    assert found.summary is not None
    assert (found.summary["words"], found.summary["bytes"]) == (16 + 5, len("".join(LINES)))
    assert math.log(found.summary["word_perplexity"]) * 21 == pytest.approx(-whole.total)
    assert found.summary["bits_per_byte"] == pytest.approx(-whole.total / math.log(2) / len("".join(LINES)))
    assert found.summary["tokens"] == len(whole.ids)


def test_each_token_is_asked_once_with_a_stride_of_text_before_it(tmp_path: Path) -> None:
    model = causal()
    ids = model.tokenizer.encode("".join(LINES))
    found = evaluate(model, "wikitext", write_lines(tmp_path / "wiki.txt"), max_length=17, stride=5)
    total = 0.0
    for place in range(len(ids)):
        begin = 0 if place < 16 else min(-(-(place - 15) // 5) * 5, len(ids) - 16)
        seen = ([0] if begin == 0 else []) + ids[begin:place]
        with torch.no_grad():
            logits = model.logits(model(torch.tensor([seen])).last_hidden_state)[0, -1]
        total -= float(logits.log_softmax(-1)[ids[place]])
    assert found.summary is not None and found.summary["nats_per_token"] * len(ids) == pytest.approx(total)
    assert "windows of 16 tokens, one every 5" in str(found)


def test_a_network_of_two_streams_is_asked_for_each_window_in_order(tmp_path: Path) -> None:
    """What an earlier window asked is given in the next."""
    model = xlnet()
    found = evaluate(model, "wikitext", write_lines(tmp_path / "wiki.txt"), max_length=12, stride=4)
    ids = model.tokenizer.encode("".join(LINES), add_special_tokens=False)
    nats, low = 0.0, 0
    for start in [*range(0, len(ids) - 12, 4), len(ids) - 12]:
        ranks = (torch.arange(12) + 1 - (low - start)).clamp(min=0)[None]
        nats -= float(order_log_probs(model, torch.tensor([ids[start : start + 12]]), ranks).sum())
        low = start + 12
    assert found.summary is not None and found.summary["tokens"] == len(ids)
    assert found.summary["nats_per_token"] * len(ids) == pytest.approx(nats)


def test_a_transformer_xl_remembers_what_it_has_read(tmp_path: Path) -> None:
    """With a memory as long as the text, segments change nothing: each token knows all before it."""
    tokenizer = words()
    settings = {"vocabulary": len(tokenizer), "cutoffs": (), "memory_length": 64, "same_length": False}
    model = tiny("transfo-xl", heads=("lm",), tokenizer=tokenizer, **settings)
    found = evaluate(model, "wikitext", write_lines(tmp_path / "wiki.txt"), stride=4)
    end = tokenizer.special.eos_id
    ids = [end, *(id for line in LINES for id in [*tokenizer.encode(line, add_special_tokens=False), end])]
    with torch.no_grad():
        log_probs = model.logits(model(torch.tensor([ids])).last_hidden_state)[0, :-1].log_softmax(-1)
    total = -float(log_probs[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].sum())
    assert found.summary is not None
    assert found.summary["tokens"] == found.summary["words"] == 21
    assert found.summary["nats_per_token"] * 21 == pytest.approx(total)
    assert "segments of 4 tokens, 64 remembered" in str(found)


def test_a_masked_model_has_no_perplexity(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "wiki.txt")
    with pytest.raises(UnsupportedError, match="a masked model has none"):
        evaluate(bert(), "wikitext", path)
    through = evaluate(bert().with_mask(Causal()), "wikitext", path).summary
    assert through is not None and through["words"] == 16  # its tokenizer keeps no ends of lines


def test_a_hybrid_is_told_how_it_has_a_perplexity(tmp_path: Path) -> None:
    path, hybrid = tmp_path / "test.txt", bert()
    path.write_text("the cat sat on the mat\n")
    hybrid.trained_masks, hybrid.shifted = (Bidirectional(), Causal()), True
    with pytest.raises(UnsupportedError, match="ask this one with method='causal'"):
        evaluate(hybrid, "wikitext", path)
    assert evaluate(hybrid, "wikitext", path, method="causal").summary


def test_of_several_files_the_test_part_is_measured(tmp_path: Path) -> None:
    write_lines(tmp_path / "wiki.test.tokens")
    (tmp_path / "wiki.train.tokens").write_text("the cat\n")
    found = evaluate(causal(), "wikitext", tmp_path)
    assert found.summary is not None and found.summary["words"] == 21
    write_lines(tmp_path / "wiki.test.raw")
    with pytest.raises(InputError, match="not one is clearly the test text"):
        evaluate(causal(), "wikitext", tmp_path)


# Files that keep results, and wrong data


def test_results_are_kept_and_another_measurement_is_refused(tmp_path: Path) -> None:
    data, out = folder(tmp_path / "data"), tmp_path / "results.json"
    found = evaluate(causal(), "blimp", data, out=out)
    assert json.loads(out.read_text()) == found.as_dict()
    again = evaluate(causal(), "blimp", data, out=out)
    assert again.as_dict() == found.as_dict()
    for changed in ({"bos": "none"}, {"stride": 3}):
        with pytest.raises(ConfigError, match="measured something else"):
            evaluate(causal(), "blimp", data, out=out, **changed)
    with pytest.raises(ConfigError, match=r"measured something else \(.*model"):
        evaluate(causal(seed=1), "blimp", data, out=out)
    (data / "islands.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"measured something else \(data"):
        evaluate(causal(), "blimp", data, out=out)


WRONG = {
    "blimp": {"text": "the cat"},
    "lambada": {"text": "alone"},
}


def test_a_paradigm_that_lies_there_twice_is_not_counted_twice(tmp_path: Path) -> None:
    content = "".join(json.dumps(row) + "\n" for row in rows("agreement"))
    (tmp_path / "agreement.jsonl").write_text(content)
    (tmp_path / "agreement.jsonl.gz").write_bytes(gzip.compress(content.encode()))
    with pytest.raises(InputError, match=r"agreement\.jsonl and agreement\.jsonl both hold the paradigm agreement"):
        evaluate(causal(), "blimp", tmp_path)


@pytest.mark.parametrize("benchmark", WRONG)
def test_a_row_that_is_none_is_named(benchmark: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(WRONG[benchmark]) + "\n")
    with pytest.raises(InputError, match="row 1 of rows"):
        evaluate(causal(), benchmark, path)


@pytest.mark.parametrize(
    ("name", "content", "error", "said"),
    [
        ("empty.jsonl", b"", InputError, "no p"),
        ("bytes.jsonl", b"\xff\xfe", InputError, "UTF-8"),
        ("cut.tar.xz", lzma.compress(b"x" * 5000)[:40], InputError, "cut"),
        ("none.zip", b"PK\x05\x06" + b"\0" * 18, InputError, "holds no file that ends in"),
        ("missing", None, NotFoundError, "there is no file or folder"),
    ],
)
def test_data_that_cannot_be_read_is_named(
    name: str, content: bytes | None, error: type[SightlineError], said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for benchmark in ("blimp", "lambada"):
        with pytest.raises(error, match=said):
            evaluate(causal(), benchmark, tmp_path / name)
    if content is not None:
        with pytest.raises(SightlineError):
            evaluate(causal(), "wikitext", tmp_path / name)


def test_there_are_three_benchmarks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose one of blimp, wikitext, lambada"):
        evaluate(causal(), "glue", tmp_path)


# The published data


def test_the_published_data_have_the_sizes_that_their_papers_give(data_folder: Path) -> None:
    every = paradigms(packed_files(data_folder / "minimal-pairs" / "blimp.tar.xz", blimp.SUFFIXES))
    assert len(every) == 67 and {len(paradigm.pairs) for paradigm in every} == {1000}
    assert Counter(paradigm.field for paradigm in every) == {
        "syntax": 26,
        "morphology": 18,
        "syntax/semantics": 14,
        "semantics": 9,
    }
    assert sorted(Counter(paradigm.term for paradigm in every).values()) == [2, 2, 2, 4, 5, 6, 7, 7, 7, 8, 8, 9]
    assert len(passages(packed_files(data_folder / "qa" / "lambada", lambada.SUFFIXES))) == 5153
    (test,) = packed_files(data_folder / "text" / "wikitext-2" / "test.txt.xz", wikitext.SUFFIXES)
    assert wikitext.read(bytelevel(), test).words == 245_569
