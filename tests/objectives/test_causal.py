"""Causal language modelling: transformers' loss, targets that are not asked, memories that batches bring.

Shapes: B rows, T tokens.
"""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contract.families import random_ids, tiny
from contract.reference import reference, run, saved
from sightline.core.cache import Cache, Memory
from sightline.core.mask import Causal
from sightline.errors import InputError, UnsupportedError
from sightline.model.load import load
from sightline.model.model import Model
from sightline.objectives.causal import CausalLM
from sightline.objectives.language import log_probs
from sightline.objectives.objective import Batch, Objective
from sightline.objectives.text import NOT_ASKED

IDS = random_ids(3, 9)
FAMILIES = ["gpt2", "transfo-xl", "modernbert-decoder", "bert"]


def batch_of(ids: Tensor, targets: Tensor, memory: Cache | None = None) -> Batch:
    rows = tuple(range(1, len(ids) + 1))
    return Batch(inputs={"input_ids": ids}, targets=targets, rows=rows, tokens=ids.numel(), memory=memory)


def causal(family: str) -> Model:
    return tiny(family, heads=("lm",)).with_mask(Causal())


def loss_of(model: Model, *batches: Batch) -> Tensor:
    """The mean over all batches, each asked for as much as it said beforehand."""
    objective: Objective = CausalLM()
    terms = [objective.terms(model, batch)["loss"] for batch in batches]
    assert [term.count for term in terms] == [objective.counts(batch)["loss"] for batch in batches]
    return torch.stack([term.sum for term in terms]).sum() / sum(term.count for term in terms)


def test_the_loss_is_transformers(tmp_path: Path) -> None:
    theirs = reference("GPT2LMHeadModel")
    loss = loss_of(load(saved(theirs, tmp_path)), batch_of(IDS[:, :-1], IDS[:, 1:]))
    assert abs(float(loss.detach() - run(theirs, IDS, labels=IDS).loss.detach())) < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_the_mean_is_torchs_over_all_that_is_asked(family: str) -> None:
    model, asked = causal(family), torch.rand(3, 8) < 0.6
    targets = torch.where(asked, IDS[:, 1:], NOT_ASKED)
    logits = model.logits(model(IDS[:, :-1]).last_hidden_state)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=NOT_ASKED)
    parts = [batch_of(IDS[:1, :-1], targets[:1]), batch_of(IDS[1:, :-1], targets[1:])]
    torch.testing.assert_close(loss_of(model, *parts), expected, rtol=1e-12, atol=1e-12)
    assert CausalLM().counts(parts[0]) == {"loss": float(asked[0].sum())}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_memory_answers_for_what_was_read_before(family: str) -> None:
    model, memory = causal(family), Memory(length=9)
    whole, _ = log_probs(model, batch_of(IDS[:, :-1], IDS[:, 1:]))
    parts = [log_probs(model, batch_of(IDS[:, a:b], IDS[:, a + 1 : b + 1], memory)) for a, b in ((0, 3), (3, 8))]
    found = torch.cat([part.view(3, -1) for part, _ in parts], 1)
    torch.testing.assert_close(found, whole.view(3, -1), rtol=1e-11, atol=1e-11)
    assert memory.length == 8


def test_nothing_asked_is_nothing_lost() -> None:
    model = causal("gpt2")
    nothing = batch_of(IDS, torch.full_like(IDS, NOT_ASKED))
    term = CausalLM().terms(model, nothing)["loss"]
    assert (float(term.sum.detach()), term.count) == (0.0, 0.0)


def test_what_is_no_language_model() -> None:
    with pytest.raises(UnsupportedError, match="has no head 'lm'"):
        CausalLM().terms(tiny("gpt2", heads=()), batch_of(IDS, IDS))
    model = tiny("gpt2", heads=("lm",))
    model.heads["lm"] = nn.Identity()
    with pytest.raises(InputError, match="an LMHead or an AdaptiveSoftmax, not Identity"):
        CausalLM().terms(model, batch_of(IDS, IDS))
