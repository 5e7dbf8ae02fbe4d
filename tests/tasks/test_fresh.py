"""New networks for given rows: transformers opens them, and reads a batch of unequal texts as we do."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
import transformers

from sightline.model.families import LAYOUTS
from sightline.model.heads import with_classifier
from sightline.model.load import load
from sightline.tasks import fresh
from sightline.tasks.classify import classify
from sightline.tasks.encode import longest
from sightline.tasks.fresh import PAD, fresh_model, learned_tokenizer
from tasks.labelled_rows import classes


@pytest.mark.parametrize("pairs", [False, True], ids=["texts", "pairs"])
def test_transformers_gives_the_same_for_a_padded_batch(pairs: bool, tmp_path: Path) -> None:
    rows = classes(30, pairs=pairs, words=9)
    model = with_classifier(fresh_model("gpt2", "tiny", rows), rows.labels, seed=1)
    with torch.no_grad():  # weights so large that each token counts
        for parameter in model.head("classifier").parameters():
            parameter.mul_(30)
    folder = model.save(tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert theirs.config.pad_token_id == tokenizer.pad_token_id is not None
    batch = tokenizer(rows.texts, rows.pairs, padding=True, return_tensors="pt")
    assert int(batch["attention_mask"].sum(1).min()) < batch["input_ids"].shape[1]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = torch.softmax(theirs(**batch).logits.double(), -1).numpy()
    ours = classify(load(folder), rows.texts, rows.pairs).array
    assert numpy.abs(ours - ours[0]).max() > 0.05, "the texts are told apart"
    assert numpy.abs(found - ours).max() < 1e-5


def test_the_pad_token_is_special_its_own_and_within_the_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "LARGEST_VOCABULARY", 270)
    rows = classes(30)
    tokenizer = learned_tokenizer("bytelevel-bpe", rows)
    special = tokenizer.special
    assert len(tokenizer) == 270 and special.pad == PAD
    assert special.pad_id in special.ids and special.pad_id != special.eos_id
    assert special.pad_id not in tokenizer.encode("pad | <|endoftext|> pad")
    parted = learned_tokenizer("bytelevel-bpe", replace(rows, pairs=rows.texts))
    assert parted.special.eos_id in parted("one", "two").input_ids and parted.special.pad == PAD


@pytest.mark.parametrize("family", LAYOUTS)
def test_every_family_reads_as_many_tokens_as_the_rows_need(family: str) -> None:
    """By its positions, or where these have no end, by the length at which its tokenizer cuts."""
    rows = classes(30, words=9)
    model = fresh_model(family, "tiny", rows, positions=16)
    assert longest(model, None) == 16
    assert model(**model.tokenizer(rows.texts[:4])).last_hidden_state.shape[0] == 4  # type: ignore[misc]
