"""Every objective in the training loop: it learns a batch by heart, and cutting a step into parts changes nothing.

Shapes: B rows, T tokens.
"""

from dataclasses import fields
from typing import Any

import numpy
import pytest
import torch

from contract.families import LAYOUTS, tiny
from objectives.texts import MASK, documents, plain_rows, toy_words
from sightline.core.mask import Bidirectional, Causal
from sightline.model.model import Model
from sightline.objectives.causal import CausalLM
from sightline.objectives.hybrid import Hybrid
from sightline.objectives.masked import Masked
from sightline.objectives.next_sentence import NextSentence, Pairs
from sightline.objectives.objective import Batch, Objective
from sightline.objectives.permutation import Permutation
from sightline.objectives.prefix import PrefixLM
from sightline.objectives.text import TextObjective
from sightline.training.config import TrainingConfig
from sightline.training.fit import Training, fit
from sightline.training.packed import PackedSteps, Stage

OBJECTIVES: dict[str, tuple[TextObjective, str]] = {
    "causal": (CausalLM(z_loss=1e-3), "gpt2"),
    "masked": (Masked(rate=0.3), "bert"),
    "masked next token": (Masked(rate=0.3, unit="spans", shifted=True), "modernbert"),
    "prefix": (PrefixLM(), "gpt2"),
    "permutation": (Permutation(partial=3), "xlnet"),
    "hybrid": (Hybrid(masked=0.7, masking=Masked(rate=0.4, unit="spans", shifted=True, z_loss=1e-3)), "modernbert"),
}
every = pytest.mark.parametrize("name", OBJECTIVES)


def still(family: str, dtype: torch.dtype = torch.float32, **settings: Any) -> Model:
    """A tiny model without dropout."""
    rates = [field.name for field in fields(LAYOUTS[family].config) if field.name.endswith("dropout")]
    heads = ("lm", "next_sentence") if family == "bert" else ("lm",)
    return tiny(family, heads=heads, dtype=dtype, **dict.fromkeys(rates, 0.0), **settings)


def learn(model: Model, objective: Objective, steps: list[list[Batch]], rate: float = 0.01) -> list[float]:
    config = TrainingConfig(learning_rate=rate, warmup=0.1, weight_decay=0.0)
    return [progress.loss for progress in fit(Training(model, objective, config), steps)]


@every
def test_it_learns_a_batch_by_heart(name: str) -> None:
    objective, family = OBJECTIVES[name]
    random = numpy.random.default_rng(0)
    rows = plain_rows(torch.from_numpy(random.permuted(numpy.arange(3, 31)[None].repeat(4, 0), axis=1)[:, :17]))
    batches = objective.batches(rows, toy_words(), random, 0.0)
    model = still(family, width=32, inner=64, layers=2)
    losses = learn(model, objective, [batches] * 60)
    assert losses[-1] < 0.3 < 2 < losses[0]


def test_it_learns_pairs_by_heart() -> None:
    random = numpy.random.default_rng(0)
    ids = torch.from_numpy(random.integers(3, 31, (6, 12)))
    ids[:, [0, 6, 11]] = 2
    types = (torch.arange(12) > 6).long().expand(6, -1)
    pairs = Pairs(
        ids=ids,
        types=types,
        lengths=torch.full((6,), 12),
        follows=torch.tensor([0, 1, 1, 0, 1, 0]),
        numbers=tuple(range(6)),
    )
    objective = NextSentence()
    batches = objective.batches(pairs, toy_words(), random, 0.0)
    losses = learn(still("bert", width=32, inner=64, layers=2), objective, [batches] * 80)
    assert losses[-1] < 0.3 < 2 < losses[0]


@every
def test_parts_of_a_step_are_the_step(name: str) -> None:
    """One batch, or four micro-batches: the same weights after some steps, to rounding."""
    objective, family = OBJECTIVES[name]
    trained = []
    for micro_rows in (None, 1):
        steps = PackedSteps(
            documents(60), objective, toy_words(), stages=[Stage(steps=3, rows=4, tokens=16)], micro_rows=micro_rows
        )
        assert len(steps[0]) == (4 if micro_rows else len({batch.kind for batch in steps[0]}))
        model = still(family, torch.float64)
        losses = learn(model, objective, [steps[step] for step in range(3)])
        trained.append((losses, dict(model.named_parameters())))
    (one, weights), (other, others) = trained
    numpy.testing.assert_allclose(one, other, rtol=1e-9)
    for key, value in weights.items():
        torch.testing.assert_close(value, others[key], rtol=1e-7, atol=1e-9)


@every
def test_ranks_that_share_a_step_add_up_to_it(name: str) -> None:
    """Each divides by the counts of all, which it knows from its host alone; their gradients are added."""
    objective, family = OBJECTIVES[name]
    steps = PackedSteps(documents(60), objective, toy_words(), stages=[Stage(steps=1, rows=5, tokens=16)], micro_rows=1)
    model = still(family, torch.float64)
    counts: dict[str, float] = {}
    for batch in steps[0]:
        for term, count in objective.counts(batch).items():
            counts[term] = counts.get(term, 0.0) + count

    def gradients(batches: list[Batch]) -> list[torch.Tensor]:
        model.zero_grad(set_to_none=False)
        for batch in batches:
            terms = objective.terms(model, batch)
            sum(term.weight * term.sum / counts[key] for key, term in terms.items()).backward()
        return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters()]

    whole = gradients(steps[0])
    parts = [gradients(steps[0][rank::2]) for rank in range(2)]
    for one, first, second in zip(whole, *parts, strict=True):
        torch.testing.assert_close(first + second, one, rtol=1e-9, atol=1e-12)


def test_a_hybrid_knows_its_sentence_in_both_modes() -> None:
    """And in one alignment: the output at a token is the next one, whether it is hidden or not yet read; from the first
    word on, which its document's opening token predicts."""
    ids = torch.tensor([[2, *numpy.random.default_rng(0).permutation(numpy.arange(3, 14)).tolist(), 2]])
    objective = Hybrid(masking=Masked(rate=0.3, keep=0, random=0, shifted=True))
    rows = plain_rows(ids.expand(8, -1))
    steps = [objective.batches(rows, toy_words(), numpy.random.default_rng(step), 0.0) for step in range(80)]
    model = still("modernbert", width=32, inner=64, layers=2)
    learn(model, objective, steps)
    with torch.no_grad():
        said = model.logits(model.with_mask(Causal())(ids[:, :-1]).last_hidden_state).argmax(-1)
        assert torch.equal(said, ids[:, 1:])
        for place in range(1, 12):
            blank = ids[:, :-1].clone()
            blank[0, place] = MASK
            hidden = model.with_mask(Bidirectional())(blank).last_hidden_state
            assert model.logits(hidden)[0, place - 1].argmax() == ids[0, place]
