"""A hybrid: one set of weights that is a BERT under one mask and a GPT under another.

Charpentier and Samuel 2024, "GPT or BERT: why not both?", section 2: what stands at a token answers the next one, under
either mask.
"""

from pathlib import Path

import pytest
import torch

from contract.families import randomize
from sightline.core.mask import Bidirectional, Causal, SlidingWindow
from sightline.decoding.fill import fill
from sightline.decoding.generate import generate
from sightline.decoding.mask_predict import mask_id, masked_log_probs
from sightline.errors import InputError
from sightline.model.build import build
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks.abilities import abilities
from sightline.text.learn import learn_tokenizer

TOKENIZER = learn_tokenizer(["the quick brown fox jumps over the lazy dog"] * 3, vocabulary=90)


def hybrid() -> Model:
    model = build("modernbert", "tiny", tokenizer=TOKENIZER, dtype=torch.float64)
    randomize(model)
    model.trained_masks, model.shifted = (Bidirectional(), Causal()), True
    return model


@torch.no_grad()
def test_a_blank_is_answered_by_the_token_before_it() -> None:
    model = hybrid()
    blank = mask_id(model)
    ids = torch.tensor([model.tokenizer.encode("the quick brown fox")])
    ids[0, 2] = blank
    answers = masked_log_probs(model, ids, torch.tensor([2]))[0, 0]
    expected = model.logits(model(ids).last_hidden_state[:, 1])[0].float().log_softmax(-1)
    words = answers > -torch.inf
    assert torch.equal(answers[words], expected[words])
    with pytest.raises(InputError, match="none stands before the first"):
        masked_log_probs(model, ids, torch.tensor([0]))


def test_it_is_asked_through_the_mask_that_suits() -> None:
    """Whichever of its masks it looks through now: fill looks ahead and generate does not."""
    model = hybrid()
    views = [model.with_mask(mask) for mask in model.trained_masks]
    first, second = (fill(view, "the quick [MASK] fox") for view in views)
    assert first == second
    first, second = (generate(view, "the quick", max_new_tokens=5).texts() for view in views)
    plain = build("modernbert", "tiny", tokenizer=TOKENIZER, dtype=torch.float64)
    randomize(plain)
    assert first == second == generate(plain.with_mask(Causal()), "the quick", max_new_tokens=5).texts()
    window = model.with_mask(Causal() & SlidingWindow(2))
    assert generate(window, "the quick", max_new_tokens=5).texts() != first  # a mask that it was not taught is a wish


def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    model = load(hybrid().with_mask(Causal()).save(tmp_path))
    assert (model.mask, model.trained_masks, model.shifted) == (Causal(), (Bidirectional(), Causal()), True)
    assert "trained under bidirectional and causal" in repr(model)
    plain = load(build("bert", "tiny", tokenizer=TOKENIZER).save(tmp_path))
    assert (plain.trained_masks, plain.shifted) == ((Bidirectional(),), False)


def test_what_it_can_do_is_what_it_does() -> None:
    """Described through either of its masks: it fills from both sides, and writes token by token."""
    for mask in hybrid().trained_masks:
        can = abilities(hybrid().with_mask(mask))
        assert "on both sides" in can["fill"].how and "autoregressive" in can["generate"].how
        assert "expect little" not in can["fill"].how + can["generate"].how
