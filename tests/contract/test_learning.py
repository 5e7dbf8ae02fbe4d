"""7. It learns one small batch by heart; in eval mode it repeats itself, in training with dropout it does not."""

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from contract.families import HEADS, all_logits, families, random_ids, tiny
from sightline.core.mask import Causal
from sightline.model.model import Model

ROWS, TOKENS, STEPS = 4, 6, 100
IDS = random_ids(ROWS, TOKENS)
HIDDEN = torch.arange(TOKENS).expand(ROWS, -1) % 3 == 1  # which tokens a masked model has to guess
MASK_TOKEN = 1

Guess = tuple[Tensor, Tensor]  # logits (N, C) and targets (N)


def masked_lm(model: Model) -> Guess:
    logits = model.logits(model(IDS.masked_fill(HIDDEN, MASK_TOKEN)).last_hidden_state)
    return logits[HIDDEN], IDS[HIDDEN]


def causal_lm(model: Model) -> Guess:
    """Three first tokens are given: nobody can know what starts a text."""
    logits = model.with_mask(Causal()).logits(model.with_mask(Causal())(IDS).last_hidden_state)
    return logits[:, 2:-1].flatten(0, 1), IDS[:, 3:].flatten()


def of_rows(head: str) -> Callable[[Model], Guess]:
    def objective(model: Model) -> Guess:
        output = model(IDS)
        return all_logits(model, output.last_hidden_state, output.coordinates)[head], torch.arange(ROWS) % 2

    return objective


def tags(model: Model) -> Guess:
    return model.head("tagger")(model(IDS).last_hidden_state).flatten(0, 1), IDS.flatten() % 3


def spans(model: Model) -> Guess:
    first, last = model.head("span")(model(IDS).last_hidden_state).unbind(-1)
    return torch.cat([first, last]), torch.cat([torch.arange(ROWS), torch.arange(ROWS) + 1])


OBJECTIVES: dict[str, dict[str, Callable[[Model], Guess]]] = {
    "lm": {"masked": masked_lm, "causal": causal_lm},
    "classifier": {"classes": of_rows("classifier")},
    "next_sentence": {"pairs": of_rows("next_sentence")},
    "tagger": {"tags": tags},
    "span": {"spans": spans},
}
CASES = [
    (family, head, objective)
    for family in HEADS
    for head in HEADS[family]
    for objective in OBJECTIVES.get(head, {})
    if not (family in ("gpt2", "modernbert-decoder") and objective == "masked")  # it never sees what follows the blank
]


@pytest.mark.parametrize(("family", "head", "objective"), CASES)
def test_it_learns_a_batch_by_heart(family: str, head: str, objective: str) -> None:
    model = tiny(family, heads=(head,), dtype=torch.float32, layers=2)
    guess = OBJECTIVES[head][objective]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
    logits, targets = guess(model)
    before = float(F.cross_entropy(logits, targets).detach())
    for _ in range(STEPS):
        loss = F.cross_entropy(*guess(model))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    logits, targets = guess(model)
    assert bool((logits.argmax(-1) == targets).all())
    assert float(F.cross_entropy(logits, targets).detach()) < 0.1 * before


@families("learning")
def test_every_weight_learns(family: str) -> None:
    """No parameter is left out of the graph: each gets a gradient from the heads that read it."""
    model = tiny(family)
    types = IDS % 2 if getattr(model.config, "token_types", 0) > 1 else None
    output = model(IDS, token_type_ids=types)
    logits = all_logits(model, output.last_hidden_state, output.coordinates)
    total = torch.stack([of_head.square().sum() for of_head in logits.values()]).sum()
    if model.layout.two_streams:
        total = total + model.logits(model(IDS, targets=torch.tensor([[1, 3]])).last_hidden_state).square().sum()
    total.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert without == []


@families("learning")
def test_eval_repeats_itself_and_dropout_does_not(family: str) -> None:
    model = tiny(family, **dict.fromkeys(no_dropout(family), 0.1))
    assert not model.training
    first = all_of(model)
    assert all(torch.equal(a, b) for a, b in zip(first, all_of(model), strict=True))
    model.train()
    with torch.no_grad():
        torch.manual_seed(1)
        one = all_of(model)
        two = all_of(model)
        torch.manual_seed(1)
        again = all_of(model)
    assert not any(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(first, all_of(model.eval()), strict=True))


def all_of(model: Model) -> list[Tensor]:
    output = model(IDS)
    return [output.last_hidden_state, *all_logits(model, output.last_hidden_state, output.coordinates).values()]


def no_dropout(family: str) -> dict[str, float]:
    """Every rate that the family has, at 0."""
    config = tiny(family).config
    return {field.name: 0.0 for field in fields(config) if field.name.endswith("dropout")}


@families("learning")
def test_without_dropout_training_is_eval(family: str) -> None:
    model = tiny(family, **no_dropout(family))
    still = all_of(model)
    assert all(torch.equal(a, b) for a, b in zip(still, all_of(model.train()), strict=True))


@families("learning")
def test_every_rate_of_dropout_drops(family: str) -> None:
    rates = no_dropout(family)
    for rate in rates:
        model = tiny(family, **{**rates, rate: 0.5})
        still = all_of(model)
        assert any(not torch.equal(a, b) for a, b in zip(still, all_of(model.train()), strict=True)), rate


@families("learning")
def test_a_learned_change_reaches_every_copy_of_a_packed_weight(family: str) -> None:
    """Weights are packed for the CPU at their first use without gradients; a step of training must not be lost."""
    model = tiny(family, dtype=torch.float32)
    with torch.no_grad():
        before = all_of(model)
        for parameter in model.parameters():
            parameter.mul_(1.5)
        after = all_of(model)
    fresh = tiny(family, dtype=torch.float32)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.mul_(1.5)
        expected = all_of(fresh)
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(after, expected, strict=True))
