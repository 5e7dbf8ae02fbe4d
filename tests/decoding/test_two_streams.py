"""XLNet writes and fills by targets: at the place behind the last token, and where a blank is that nobody sees.

Shapes: B rows, T tokens, V vocabulary.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from contract.families import random_ids, tiny
from contract.reference import reference, saved
from decoding.models import assert_same_rows, masked, wordpiece
from sightline.core.cache import KeyValueCache, Memory
from sightline.core.mask import Bidirectional, Causal, Mask, Permuted, Prefix, SlidingWindow
from sightline.decoding.fill import fill
from sightline.decoding.generate import generate
from sightline.errors import UnsupportedError
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks.abilities import abilities

PROMPTS = [random_ids(1, length, seed=length)[0].tolist() for length in (5, 2, 7)]
MASKS: list[Mask] = [Bidirectional(), Causal(), Prefix(4) | Causal(), Permuted(), SlidingWindow(3)]


def greedy(model: Model, prompt: list[int], steps: int) -> tuple[list[int], list[float]]:
    """Tokens and log-probabilities, every step from the row alone and anew."""
    tokens, log_probs = list(prompt), []
    for _ in range(steps):
        count = len(tokens)
        ranks = (torch.arange(count) + 1 - len(prompt)).clamp(min=0)[None] if model.mask == Permuted() else None
        with torch.no_grad():
            asked = model(torch.tensor([tokens]), ranks=ranks, targets=torch.tensor([[count]])).last_hidden_state
            scores = model.logits(asked)[0, 0].log_softmax(-1)
        tokens.append(int(scores.argmax()))
        log_probs.append(float(scores.max()))
    return tokens[len(prompt) :], log_probs


@pytest.mark.parametrize("mask", MASKS, ids=str)
def test_a_batch_of_prompts_gets_what_each_gets_alone_and_anew(mask: Mask) -> None:
    """With an exact cache where tokens look back, reading anew where they do not."""
    model = tiny("xlnet", heads=("lm",), mask=mask)
    steps = generate(model, PROMPTS, max_new_tokens=6).rows()
    for row, prompt in zip(steps, PROMPTS, strict=True):
        tokens, log_probs = greedy(model, prompt, 6)
        assert [step.token for step in row] == tokens
        assert [step.log_prob for step in row] == pytest.approx(log_probs, abs=1e-5)


@pytest.mark.parametrize("mask", [Bidirectional(), Causal()], ids=str)
def test_samples_and_beams_of_a_batch(mask: Mask) -> None:
    model = tiny("xlnet", heads=("lm",), mask=mask)
    for how in ({"temperature": 0.9, "samples": 2, "seed": 3}, {"beams": 3, "samples": 2}):
        batch = generate(model, PROMPTS, max_new_tokens=4, **how).rows()
        for number, prompt in enumerate(PROMPTS):
            alone = generate(model, [prompt], max_new_tokens=4, **how).rows()
            assert_same_rows(batch[2 * number : 2 * number + 2], alone, first=2 * number)


def reference_that_writes(folder: Path) -> tuple[Model, Any]:
    """In float32: it makes target_mapping of that type, whatever its weights are."""
    theirs = reference("XLNetLMHeadModel", dtype=torch.float32, eos_token_id=None, bos_token_id=None)
    return load(saved(theirs, folder)), theirs


def written(theirs: Any, ids: Tensor, mask: Tensor | None = None) -> list[list[int]]:
    out = theirs.generate(
        ids,
        attention_mask=torch.ones_like(ids) if mask is None else mask,
        max_new_tokens=6,
        do_sample=False,
        use_mems=False,
        pad_token_id=5,
    )
    return out[:, ids.shape[1] :].tolist()


def test_ids_are_those_of_transformers(tmp_path: Path) -> None:
    """It puts a token of id 0 at the place that it asks for, and hides it; here nothing stands there."""
    ours, theirs = reference_that_writes(tmp_path)
    for prompt in PROMPTS:
        assert generate(ours, [prompt], max_new_tokens=6).ids() == written(theirs, torch.tensor([prompt]))


def test_padding_changes_nothing_here_and_does_there(tmp_path: Path) -> None:
    """transformers drops the attention mask when XLNet generates, and so reads padding as text."""
    ours, theirs = reference_that_writes(tmp_path)
    alone = [written(theirs, torch.tensor([prompt]))[0] for prompt in PROMPTS]
    width = max(map(len, PROMPTS))
    ids = torch.tensor([[5] * (width - len(prompt)) + prompt for prompt in PROMPTS])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in PROMPTS])
    assert generate(ours, PROMPTS, max_new_tokens=6).ids() == alone
    assert written(theirs, ids, mask) != alone


# What can be remembered


def test_no_cache_of_keys_can_be_exact_where_earlier_tokens_would_see_later_ones() -> None:
    model, ids = tiny("xlnet", heads=()), random_ids(2, 6)
    with torch.no_grad():
        for mask in (Causal(), Prefix(3) | Causal(), Causal() & SlidingWindow(2)):
            view, cache = model.with_mask(mask), KeyValueCache()
            view(ids[:, :4], cache=cache)
            view(ids[:, 4:], cache=cache)
        for mask in (Bidirectional(), SlidingWindow(3), Prefix(5) | Causal()):
            view, cache, memory = model.with_mask(mask), KeyValueCache(), Memory(length=8)
            view(ids[:, :4], cache=cache)
            with pytest.raises(UnsupportedError, match=r"remembered tokens would have seen .* no cache of keys"):
                view(ids[:, 4:], cache=cache)
            view(ids[:, :4], cache=memory)
            view(ids[:, 4:], cache=memory)  # it holds what they were when they were read, and promises no more


def test_abilities_say_how() -> None:
    model = masked("xlnet")
    assert "read anew" in abilities(model)["generate"].how
    assert "token by token" in abilities(model.with_mask(Causal()))["generate"].how
    assert "read anew" not in abilities(model.with_mask(Causal()))["generate"].how
    assert abilities(model)["fill"].can and abilities(model)["embed"].can


# Blanks


def test_a_blank_is_asked_by_a_target_and_hidden_from_everyone() -> None:
    """What holds the places of blanks changes nothing; each is asked while all are hidden."""
    model, tokenizer = masked("xlnet"), wordpiece()
    filled = fill(model, "the cat [MASK] on the [MASK].", top_k=5)
    ids = torch.tensor([tokenizer.encode("the cat [MASK] on the [MASK].")])
    blanks = (ids[0] == tokenizer.special.mask_id).nonzero()[:, 0]
    noise = ids.clone()
    noise[0, blanks] = torch.tensor([7, 9])
    hides = torch.zeros(1, ids.shape[1], ids.shape[1])
    hides[:, :, blanks] = 1
    with torch.no_grad():
        asked = model(noise, perm_mask=hides, targets=blanks[None]).last_hidden_state
        probabilities = model.logits(asked)[0].softmax(-1)
    for own, candidates in zip(probabilities, filled.blanks, strict=True):
        for candidate in candidates:
            assert candidate.probability == pytest.approx(float(own[candidate.token]), rel=1e-5)


def test_fillings_and_mask_predict_work_by_targets_too() -> None:
    model = masked("xlnet")
    joint = fill(model, "the [MASK] [MASK]", top_k=3).joint
    assert len(joint) == 3 and all(len(filling.words) == 2 for filling in joint)
    assert len(generate(model, "the cat", method="mask-predict", max_new_tokens=4, rounds=2).ids()[0]) == 4
