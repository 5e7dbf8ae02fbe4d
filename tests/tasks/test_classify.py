"""Classification: one by one and batched alike, as transformers' pipeline says, long texts in windows."""

from pathlib import Path

import numpy
import pytest
import torch
import transformers

from contract.families import FAMILIES, families, randomize
from sightline.core.mask import Causal
from sightline.errors import InputError, NotFoundError, UnsupportedError
from sightline.model.build import build
from sightline.model.heads import with_classifier
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks.answers import labels_of
from sightline.tasks.baseline import Majority
from sightline.tasks.classify import ModelClassifier, classify, classify_batches, open_classifier
from sightline.tasks.encode import encode
from tasks.labelled_rows import LABELS, SIZES, classes, learner, numbers

ROWS = classes(30)
PAIRS = classes(30, pairs=True)


def moved(family: str, labels: tuple[str, ...] | None = LABELS, positions: int = 40) -> Model:
    """Weights large enough that they show, in float64."""
    model = learner(family, ROWS, dtype=torch.float64, positions=positions)
    model = with_classifier(model, labels)
    randomize(model)
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_batched_is_one_by_one(family: str) -> None:
    model = moved(family)
    whole = classify(model, ROWS.texts)
    alone = numpy.concatenate([classify(model, text).array for text in ROWS.texts])
    assert numpy.allclose(whole.array, alone, rtol=0, atol=1e-12)
    assert numpy.allclose(whole.array.sum(1), 1)
    small = classify(model, ROWS.texts, batch_tokens=20)
    assert numpy.allclose(whole.array, small.array, rtol=0, atol=1e-12)
    assert whole.best == [LABELS[place] for place in whole.array.argmax(1)] and len(whole) == 30
    assert numpy.unique(whole.array.round(6), axis=0).shape[0] > 20


@pytest.mark.parametrize("labels", [LABELS, None], ids=["classes", "number"])
@families("parity")
def test_transformers_pipeline_says_the_same(family: str, labels: tuple[str, ...] | None, tmp_path: Path) -> None:
    model = moved(family, labels)
    folder = (model.float() if family == "xlnet" else model).save(tmp_path)  # of that it opens a part in float32 only
    theirs = transformers.pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    found = classify(load(folder), ROWS.texts)
    for ours, said in zip(found.array, theirs(ROWS.texts), strict=True):
        if labels is None:
            assert said[0]["score"] == pytest.approx(ours, rel=1e-5, abs=1e-5)
        else:
            assert {each["label"]: each["score"] for each in said} == pytest.approx(
                dict(zip(LABELS, ours, strict=True)), abs=1e-6
            )


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2"])
def test_pairs_are_what_transformers_makes_of_them(family: str, tmp_path: Path) -> None:
    assert PAIRS.pairs is not None
    folder = moved(family).save(tmp_path)
    theirs = transformers.pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    found = classify(load(folder), PAIRS.texts, PAIRS.pairs).array
    for ours, text, pair in zip(found[:6], PAIRS.texts, PAIRS.pairs, strict=False):
        said = {each["label"]: each["score"] for each in theirs({"text": text, "text_pair": pair})}
        assert said == pytest.approx(dict(zip(LABELS, ours, strict=True)), abs=1e-6)
    swapped = classify(load(folder), PAIRS.pairs, PAIRS.texts).array
    assert numpy.abs(found - swapped).max() > 1e-3


def test_several_classes_at_once_are_each_for_itself(tmp_path: Path) -> None:
    model = moved("bert")
    model.problem_type = "multi_label_classification"
    folder = model.save(tmp_path)
    theirs = transformers.pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    said = {each["label"]: each["score"] for each in theirs(ROWS.texts[:1])[0]}
    found = classify(load(folder), ROWS.texts[0]).array[0]
    assert said == pytest.approx(dict(zip(LABELS, found, strict=True)), abs=1e-6)
    assert abs(found.sum() - 1) > 1e-3
    with torch.no_grad():
        for weight in model.heads["classifier"].parameters():
            weight.mul_(1e6)  # logits whose exponentials are beyond float64
    sure = classify(model, ROWS.texts).array
    assert numpy.isfinite(sure).all() and sure.min() == 0 and sure.max() == 1


def test_classes_without_names_are_numbered() -> None:
    model = build("bert", "tiny", heads=("classifier",), labels=4, vocabulary=30, **SIZES)
    assert labels_of(model) == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")


# Long texts


def test_windows_are_averaged_in_log_probability() -> None:
    model = moved("bert", positions=16)
    text = " ".join(ROWS.texts[:14])
    encoded = encode(model.tokenizer, [text], limit=16, long="windows")  # type: ignore[arg-type]
    assert len(encoded.rows) > 3 and encoded.long == 1
    with torch.no_grad():
        logs = []
        for row in encoded.rows:
            out = model(torch.tensor([row.ids]), token_type_ids=torch.tensor([row.types]))
            logs.append(model.head("classifier")(out.last_hidden_state, out.coordinates).log_softmax(-1)[0])
    weights = torch.tensor([float(row.new) for row in encoded.rows], dtype=torch.float64)
    mean = (torch.stack(logs) * weights[:, None]).sum(0) / weights.sum()
    found = classify(model, ["a lamp", text, "tea"], long="windows")
    assert numpy.allclose(found.array[1], mean.softmax(-1).numpy(), rtol=0, atol=1e-12)
    assert numpy.allclose(found.array[[0, 2]], classify(model, ["a lamp", "tea"]).array, rtol=0, atol=1e-12)
    model.long = "windows"
    assert numpy.array_equal(classify(model, [text]).array, classify(model, [text], long="windows").array)
    number = moved("bert", None, positions=16)
    assert classify(number, [text], long="windows").array.shape == (1,)
    with pytest.raises(InputError, match=r"row 2 has \d+ tokens, more than 16; shorten it"):
        classify(model, ["tea", text], long="error")
    with pytest.raises(InputError, match=r"row 1 has \d+ tokens, more than 16; shorten it"):
        classify(model, ["tea"], [text], long="error")


def test_what_is_cut_is_counted_once() -> None:
    model = moved("bert", positions=16)
    text = " ".join(ROWS.texts[:14])
    with pytest.warns(UserWarning, match="2 of 3 rows have more than 16 tokens and were cut") as caught:
        found = classify(model, [text, "tea", text])
    assert len(caught) == 1 and found.cut == 2
    with pytest.warns(UserWarning, match="1 of 1 rows has more than 16 tokens and was cut"):
        classify(model, text, "and another text")


@pytest.mark.parametrize("limit", range(5, 20))
def test_of_a_pair_the_longer_text_is_cut_as_the_tokenizer_cuts_it(limit: int) -> None:
    tokenizer = moved("bert").tokenizer
    assert tokenizer is not None
    texts, pairs = [" ".join(ROWS.texts[:3]), "tea"], ["the soup was cold", " ".join(ROWS.texts[:2])]
    encoded = encode(tokenizer, texts, pairs, limit=limit, long="cut")
    expected = tokenizer(texts, pairs, max_length=limit, truncation=True)
    for row, ids, real in zip(encoded.rows, expected.input_ids.tolist(), expected.real, strict=True):
        assert row.ids == ids[:real]


# Streams, and what is saved


def test_a_stream_is_read_as_it_comes() -> None:
    model, read = moved("bert"), 0

    def source():  # type: ignore[no-untyped-def]
        nonlocal read
        for text in ROWS.texts * 80:
            read += 1
            yield text

    parts = classify_batches(model, source())
    first = next(parts)
    assert len(first) == read == 1024
    whole = numpy.concatenate([first.array, *(part.array for part in parts)])
    assert numpy.allclose(whole, classify(model, ROWS.texts * 80).array, rtol=0, atol=1e-12)


@pytest.mark.parametrize("labels", [LABELS, None], ids=["classes", "number"])
def test_a_folder_is_opened_by_what_it_holds(labels: tuple[str, ...] | None, tmp_path: Path) -> None:
    model = moved("bert", labels)
    classifier = ModelClassifier(model)
    classifier.save(tmp_path / "model")
    again = open_classifier(tmp_path / "model")
    assert isinstance(again, ModelClassifier) and again.labels == labels == classifier.labels
    assert again.parameters == sum(parameter.numel() for parameter in model.parameters())
    found = again.predict(ROWS.texts)
    assert found.shape == ((30,) if labels is None else (30, 3))
    assert numpy.allclose(found, classify(model, ROWS.texts).array, rtol=0, atol=1e-12)
    rows = ROWS if labels else numbers(30)
    Majority.fit(rows).save(tmp_path / "majority")
    baseline = open_classifier(tmp_path / "majority")
    assert isinstance(baseline, Majority) and baseline.predict(ROWS.texts).shape == found.shape
    with pytest.raises(NotFoundError, match=r"is no classifier; did you mean '.*majority'"):
        open_classifier(tmp_path)


# Wrong input


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ([], "no texts"),
        (["tea", ""], "row 2 is empty"),
        (["tea", "soup", " \n"], "row 3 is empty"),
        (["tea", 3], "row 2 is int 3, not text"),
        (["tea \ud800"], "row 1 is not valid Unicode at character 5"),
    ],
)
def test_a_wrong_row_is_named(texts: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        classify(moved("bert"), texts)


def test_pairs_that_do_not_match_are_refused() -> None:
    with pytest.raises(InputError, match="2 texts but 1 pairs"):
        classify(moved("bert"), ["a", "b"], ["c"])
    with pytest.raises(InputError, match="row 1 is empty"):
        classify(moved("bert"), ["a"], [""])


def test_a_model_that_cannot_is_refused() -> None:
    model = moved("bert")
    with pytest.raises(UnsupportedError, match="'first' means nothing here: under the mask causal"):
        classify(model.with_mask(Causal()), "tea")
    plain = build("bert", "tiny", tokenizer=model.tokenizer, **SIZES)
    with pytest.raises(UnsupportedError, match=r"no head that classifies \(it has: lm\); `sightline tune` teaches one"):
        classify(plain, "tea")
    with pytest.raises(UnsupportedError, match="training mode"):
        classify(with_classifier(plain, LABELS).train(), "tea")
    model.tokenizer = None
    with pytest.raises(UnsupportedError, match="without a tokenizer"):
        classify(model, "tea")
    with pytest.raises(UnsupportedError, match=r"read \.values"):
        _ = classify(moved("bert", None), "tea").best
    with pytest.raises(InputError, match="max_length=99 cannot be"):
        classify(moved("bert"), "tea", max_length=99)
