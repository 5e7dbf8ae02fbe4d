"""What a cache spares is spared only: generating equals a plain loop that computes everything anew at each step."""

from typing import Any

import pytest
import torch
from torch import Tensor

from decoding.models import masked, plain_loop, writer
from sightline.core.mask import Bidirectional, Causal, Mask, Not, Permuted, Prefix, SameDocument, SlidingWindow
from sightline.decoding.generate import generate
from sightline.decoding.rows import BLOCK, check_can_continue
from sightline.decoding.sampling import Sampling, penalize
from sightline.errors import UnsupportedError
from sightline.model.model import Model

PROMPT = [5, 6, 7, 8]
MASKS: list[Mask] = [
    Causal(),
    Causal() & SlidingWindow(1),
    Causal() & SlidingWindow(3),
    Prefix(4) | Causal(),
    Prefix(2) | Causal(),
    Prefix(3) | Causal() & SlidingWindow(2),
    Causal() & SameDocument(),
    Causal() & Not(Prefix(2)) | SlidingWindow(1),
]


@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("family", ["gpt2", "bert", "roberta", "distilbert"])
def test_with_a_cache_as_without(family: str, mask: Mask) -> None:
    model = writer(family).with_mask(mask)
    (row,) = generate(model, [PROMPT], max_new_tokens=12).rows()
    tokens, log_probs = plain_loop(model, PROMPT, 12)
    assert [step.token for step in row] == tokens
    assert [step.log_prob for step in row] == pytest.approx(log_probs, abs=1e-5)


@pytest.mark.parametrize("mask", MASKS, ids=str)
def test_unequal_prompts_as_without(mask: Mask) -> None:
    model, prompts = writer().with_mask(mask), [PROMPT, [9, 10, 11, 12, 13, 14, 15], [3] * 5]
    got = generate(model, prompts, max_new_tokens=8).ids()
    assert got == [plain_loop(model, prompt, 8)[0] for prompt in prompts]


def test_up_to_the_last_position() -> None:
    model = writer()
    (row,) = generate(model, [PROMPT], max_new_tokens=100).rows()
    assert len(row) == 20 and row[-1].ending == "length"
    assert [step.token for step in row] == plain_loop(model, PROMPT, 20)[0]


def test_the_log_probability_is_the_models_own() -> None:
    """Whatever was penalized, warped or drawn."""
    model = writer()
    how: dict[str, Any] = {"temperature": 2.0, "top_k": 20, "repetition_penalty": 1.8, "no_repeat_ngram": 2}
    for row in generate(model, [PROMPT, [9]], max_new_tokens=10, samples=2, **how).rows():
        prompt = PROMPT if row[0].row < 2 else [9]
        tokens = prompt + [step.token for step in row]
        with torch.no_grad():
            log_probs = model.logits(model(torch.tensor([tokens])).last_hidden_state)[0].log_softmax(-1)
        own = [float(log_probs[len(prompt) + place - 1, step.token]) for place, step in enumerate(row)]
        assert [step.log_prob for step in row] == pytest.approx(own, abs=1e-5)
        assert all(step.log_prob <= 0 for step in row)


def test_beams_log_probabilities_too() -> None:
    model = writer()
    for row in generate(model, [PROMPT], max_new_tokens=6, beams=3, samples=3, repetition_penalty=2.0).rows():
        tokens = PROMPT + [step.token for step in row]
        with torch.no_grad():
            log_probs = model.logits(model(torch.tensor([tokens])).last_hidden_state)[0].log_softmax(-1)
        own = [float(log_probs[3 + place, step.token]) for place, step in enumerate(row)]
        assert [step.log_prob for step in row] == pytest.approx(own, abs=1e-5)


def test_penalties_as_without() -> None:
    model, sampling = writer(), Sampling(repetition_penalty=1.5, no_repeat_ngram=2)
    got = generate(model, [PROMPT], max_new_tokens=12, repetition_penalty=1.5, no_repeat_ngram=2).ids()[0]
    tokens = list(PROMPT)

    def mend(logits: Tensor) -> Tensor:
        return penalize(logits[None].float(), [tokens], sampling)[0]

    for token in got:
        assert plain_loop(model, tokens, 1, mend=mend)[0] == [token]
        tokens.append(token)


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_beams_as_without(family: str) -> None:
    """A plain beam search: all continuations of the kept ones, scored anew, the best kept."""
    model, beams = writer(family), 3
    kept: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(6):
        grown = []
        for score, tokens in kept:
            with torch.no_grad():
                logits = model.logits(model(torch.tensor([PROMPT + tokens])).last_hidden_state)[0, -1]
            grown += [(score + own, [*tokens, token]) for token, own in enumerate(logits.log_softmax(-1).tolist())]
        kept = sorted(grown, reverse=True)[:beams]
    assert generate(model, [PROMPT], max_new_tokens=6, beams=beams, samples=beams).ids() == [row for _, row in kept]


AHEAD: list[Mask] = [
    Bidirectional(),
    SlidingWindow(2),
    Not(Causal()),
    Causal() | SlidingWindow(2),
    Causal() | Not(SlidingWindow(9)),  # sees the far future only, which no look at a few tokens would show
    Prefix(4) | SlidingWindow(3),
]


@pytest.mark.parametrize("mask", AHEAD, ids=str)
def test_who_looks_ahead_cannot_grow(mask: Mask) -> None:
    model = writer("bert").with_mask(mask)
    says = r"tokens see what comes after them.* use the method mask-predict .* or look through the mask causal"
    for beams in (1, 2):
        with pytest.raises(UnsupportedError, match=says):
            generate(model, [PROMPT], beams=beams)


def test_a_prefix_needs_a_prompt_that_fills_it() -> None:
    model = writer("bert").with_mask(Prefix(4) | Causal())
    says = r"the mask prefix\(4\) \| causal shows everyone the first 4 tokens, and a prompt has only 3; .* permuted"
    with pytest.raises(UnsupportedError, match=says):
        generate(model, [PROMPT, [5, 6, 7]])
    generate(model, [PROMPT, [5, 6, 7, 8, 9]]).ids()
    generate(model.with_mask((Prefix(4) | Causal()) & SlidingWindow(1)), [[5, 6, 7]]).ids()  # nobody looks that far


def test_only_what_comes_later_must_not_be_seen() -> None:
    check_can_continue(Prefix(5) | Causal(), prompt=5, length=9)
    check_can_continue(SlidingWindow(1), prompt=1, length=9)
    check_can_continue(Causal() | Not(SlidingWindow(9)), prompt=1, length=9)  # nine tokens are too few to see any
    with pytest.raises(UnsupportedError):
        check_can_continue(Causal() | Not(SlidingWindow(9)), prompt=1, length=10)


def test_long_texts_are_looked_at_in_parts() -> None:
    check_can_continue(Causal() & SlidingWindow(3), prompt=5, length=2**40)
    check_can_continue(Prefix(5) | Causal(), prompt=5, length=3 * BLOCK)
    with pytest.raises(UnsupportedError):
        check_can_continue(Causal() | Not(SlidingWindow(2 * BLOCK)), prompt=1, length=3 * BLOCK)


def by_hand(model: Model, prompt: list[int], steps: int) -> list[int]:
    """Greedy tokens, everything computed anew at each step, under an order: the prompt is 0, then come 1, 2, …"""
    tokens = list(prompt)
    for _ in range(steps):
        rank = torch.tensor([[max(0, place - len(prompt) + 1) for place in range(len(tokens))]])
        with torch.no_grad():
            hidden = model(torch.tensor([tokens]), ranks=rank).last_hidden_state
        tokens.append(int(model.logits(hidden)[0, -1].argmax()))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("mask", [Permuted(), Causal() & Permuted(strict=True), Permuted() & SlidingWindow(4)], ids=str)
@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_each_prompt_is_a_prefix_of_its_own(family: str, mask: Mask) -> None:
    """A prefix LM in a batch of unequal prompts: each is seen whole, and what follows looks back."""
    model, prompts = writer(family).with_mask(mask), [PROMPT, [9, 10, 11, 12, 13, 14, 15], [3]]
    got = generate(model, prompts, max_new_tokens=8).ids()
    assert got == [by_hand(model, prompt, 8) for prompt in prompts]
    (beams,) = generate(model, [PROMPT], max_new_tokens=4, beams=2, samples=1).ids()
    assert len(beams) == 4


def test_a_prefix_of_its_own_is_a_prefix() -> None:
    model = writer("bert")
    own, fixed = model.with_mask(Permuted()), model.with_mask(Prefix(4) | Causal())
    assert generate(own, [PROMPT], max_new_tokens=8).ids() == generate(fixed, [PROMPT], max_new_tokens=8).ids()
    assert generate(own, [PROMPT]).ids() != generate(model.with_mask(Causal()), [PROMPT]).ids()


def test_who_goes_by_an_order_and_yet_looks_ahead_cannot_grow() -> None:
    with pytest.raises(UnsupportedError, match="tokens see what comes after them"):
        generate(writer().with_mask(Not(Permuted())), [PROMPT])


def test_blanks_that_are_filled_at_once_have_no_order() -> None:
    with pytest.raises(UnsupportedError, match="reads each token's rank, and a text alone has none"):
        generate(masked().with_mask(Permuted()), "the cat", method="mask-predict")
