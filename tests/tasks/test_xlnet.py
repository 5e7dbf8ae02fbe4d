"""XLNet in every task, from the files that its checkpoints have: `spiece.model`, padding on the left, the CLS last.

Shapes: B rows, T tokens, W width.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
import torch
import transformers

from contract.reference import reference
from sentencepiece_models import reviews, train
from sightline.core.mask import Causal
from sightline.decoding.fill import fill
from sightline.decoding.generate import generate
from sightline.errors import UnsupportedError
from sightline.model.heads import sequence_head, with_classifier
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks import encode
from sightline.tasks.abilities import abilities
from sightline.tasks.classify import classify
from sightline.tasks.embed import embed
from sightline.tasks.encode import longest
from sightline.tasks.finetune import Finetuning
from sightline.tasks.finetune_config import FinetuneConfig
from sightline.tasks.fresh import fresh_model
from tasks.labelled_rows import LABELS, classes

TEXTS = list(reviews()[:6])
CONTROL = ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a hub holds of an XLNet: config.json, weights and spiece.model, no more."""
    where = tmp_path_factory.mktemp("xlnet")
    (where / "spiece.model").write_bytes(train(control_symbols=CONTROL, user_defined_symbols=["<eop>"]))
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 5}
    reference("XLNetLMHeadModel", dtype=torch.float32, vocab_size=600, **special).save_pretrained(where)
    yield where


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(folder)


def test_a_row_ends_with_sep_and_cls_and_is_padded_on_the_left(model: Model) -> None:
    rows = model.tokenizer(TEXTS[:2], TEXTS[2:4])
    assert model.tokenizer.decode(rows["input_ids"][0, -2:].tolist()) == "<sep><cls>"
    assert rows["token_type_ids"][:, -1].tolist() == [2, 2]
    shorter = int(rows["attention_mask"].sum(-1).argmin())
    assert rows["attention_mask"][shorter, 0] == 0 and rows["token_type_ids"][shorter, 0] == 3
    assert set(rows["token_type_ids"].unique().tolist()) == {0, 1, 2, 3}
    assert model.tokenizer.closing == rows["input_ids"][0, -2:].tolist()


def test_vectors_are_those_of_transformers_padded_on_the_left(model: Model, folder: Path) -> None:
    theirs = transformers.XLNetModel.from_pretrained(folder).eval()
    batch = model.tokenizer(TEXTS)
    with torch.no_grad():
        states = theirs(**batch).last_hidden_state
    real = batch["attention_mask"][..., None]
    expected = {"mean": (states * real).sum(1) / real.sum(1), "last": states[:, -1]}
    for pooling, vectors in expected.items():
        numpy.testing.assert_allclose(embed(model, TEXTS, pooling=pooling), vectors.numpy(), rtol=0, atol=1e-4)


def test_the_first_token_is_no_cls(model: Model) -> None:
    with pytest.raises(UnsupportedError, match="this tokenizer's <cls> stands behind the text; choose 'last'"):
        embed(model, TEXTS, pooling="cls")
    how = abilities(model)["embed"].how
    assert "mean, last, max" in how and "not cls: its <cls> is the last token" in how


def test_a_long_text_is_read_in_windows_unless_asked_for_at_once(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no last position, but what attention computes grows with the square of the tokens."""
    text = " ".join(TEXTS)
    tokens = len(model.tokenizer.encode(text))
    whole = embed(model, [text], max_length=tokens)
    assert numpy.array_equal(embed(model, [text]), whole)
    monkeypatch.setattr(encode, "AT_ONCE", 40)
    assert tokens > 80 and longest(model, None) == 40
    assert not numpy.allclose(embed(model, [text]), whole)
    assert numpy.array_equal(embed(model, [text], max_length=tokens), whole)


def test_it_writes_and_fills(model: Model) -> None:
    filled = fill(model, "The soup was <mask> and the bread <mask>.", top_k=3)
    assert [len(candidates) for candidates in filled.blanks] == [3, 3]
    for view in (model, model.with_mask(Causal())):
        texts = generate(view, TEXTS[:2], max_new_tokens=4).texts()
        assert texts == [generate(view, text, max_new_tokens=4).texts()[0] for text in TEXTS[:2]]
    written = generate(model, "The soup was", method="mask-predict", max_new_tokens=3, rounds=2).ids()
    assert len(written[0]) == 3


def test_a_classifier_reads_the_cls_at_the_end(model: Model, tmp_path: Path) -> None:
    view = with_classifier(model, ("bad", "good"))
    head = sequence_head(view.heads["classifier"])
    assert (head.pooling, head.reads) == ("last", "last")
    found = classify(view, TEXTS)
    theirs = transformers.XLNetForSequenceClassification.from_pretrained(view.save(tmp_path)).eval()
    with torch.no_grad():
        expected = theirs(**view.tokenizer(TEXTS)).logits.softmax(-1)
    numpy.testing.assert_allclose(found.array, expected.numpy(), rtol=0, atol=1e-5)
    again = classify(load(tmp_path), TEXTS)
    assert numpy.array_equal(again.array, found.array)
    assert (tmp_path / "spiece.model").read_bytes() == (model.tokenizer.sentencepiece.content)


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_a_new_one_learns_classes(pairs: bool, tmp_path: Path) -> None:
    train_rows, dev = classes(240, pairs=pairs), classes(60, seed=1, pairs=pairs)
    fresh = fresh_model("xlnet", "tiny", train_rows)
    assert fresh.tokenizer.closing == [fresh.tokenizer.special.sep_id, fresh.tokenizer.special.cls_id]
    learning = FinetuneConfig(passes=6, batch_rows=16, learning_rate=3e-3, precision="float32")
    under_way = Finetuning(with_classifier(fresh, LABELS), train_rows, dev, learning)
    for _ in under_way.run():
        pass
    assert under_way.best.scores["accuracy"] > 0.9
    folder = under_way.model.save(tmp_path)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    given = (dev.texts[:5],) if dev.pairs is None else (dev.texts[:5], dev.pairs[:5])
    with torch.no_grad():
        expected = theirs(**tokenizer(*given, padding=True, return_tensors="pt")).logits.softmax(-1)
    found = classify(load(folder), dev.texts[:5], None if dev.pairs is None else dev.pairs[:5])
    numpy.testing.assert_allclose(found.array, expected.numpy(), rtol=0, atol=1e-4)
