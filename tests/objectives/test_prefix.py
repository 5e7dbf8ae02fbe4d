"""Prefix language modelling: whom a token sees, and what is asked.

Shapes: B rows, T tokens.
"""

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contract.families import tiny
from objectives.texts import batches_of, loss_of, only, plain_rows, text_rows
from sightline.core.mask import Bidirectional, Causal, Permuted, Prefix
from sightline.objectives.causal import CausalLM
from sightline.objectives.prefix import PrefixLM, prefix_ranks
from sightline.objectives.text import NOT_ASKED


@given(seed=st.integers(0, 99), rows=st.integers(1, 4), tokens=st.integers(1, 40))
def test_each_text_has_a_prefix_and_is_asked_behind_it(seed: int, rows: int, tokens: int) -> None:
    held = text_rows(rows, tokens, seed=seed)
    batch = only(batches_of(PrefixLM(), held, seed=seed))
    ranks, targets, following = batch.inputs["ranks"], batch.targets, held.following
    for row in range(rows):
        documents = held.documents[row, :-1]
        for document in documents.unique():
            (at,) = (documents == document).nonzero(as_tuple=True)
            prefix = int((ranks[row, at] == 0).sum())
            assert 1 <= prefix <= max(1, len(at) - 1)
            assert ranks[row, at].tolist() == [0] * prefix + list(range(1, len(at) - prefix + 1))
            assert (targets[row, at[: prefix - 1]] == NOT_ASKED).all()
            assert torch.equal(targets[row, at[prefix - 1 :]], following[row, at[prefix - 1 :]])


def test_every_length_is_as_likely() -> None:
    positions = torch.arange(5).expand(8000, -1)
    ranks = prefix_ranks(positions, numpy.random.default_rng(0))
    counts = torch.bincount((ranks == 0).sum(1), minlength=5)
    assert counts[0] == 0 and bool(((counts[1:] - 2000).abs() < 5 * 1500**0.5).all())


@pytest.mark.parametrize("family", ["gpt2", "bert", "modernbert"])
def test_the_loss_is_that_of_each_text_through_its_own_prefix(family: str) -> None:
    """Rows of one text each: the mask `causal | prefix(n)`, and targets from the prefix on."""
    model = tiny(family, heads=("lm",))
    held = plain_rows(torch.randint(3, 31, (3, 10), generator=torch.Generator().manual_seed(0)))
    batch = only(batches_of(PrefixLM(), held))
    prefixes = (batch.inputs["ranks"] == 0).sum(1).tolist()
    assert len(set(prefixes)) > 1
    expected = torch.zeros((), dtype=torch.float64)
    for row, prefix in enumerate(prefixes):
        hidden = model.with_mask(Causal() | Prefix(prefix))(held.ids[row : row + 1, :-1]).last_hidden_state
        expected -= model.logits(hidden)[0].log_softmax(-1).gather(-1, held.ids[row, 1:, None])[prefix - 1 :].sum()
    term = PrefixLM().terms(model, batch)["loss"]
    torch.testing.assert_close(term.sum, expected, rtol=1e-10, atol=1e-10)
    assert term.count == sum(9 - prefix + 1 for prefix in prefixes)


def test_neighbours_in_a_row_are_not_seen_and_nobody_sees_what_is_asked_of_him() -> None:
    model, held = tiny("gpt2", heads=("lm",)), text_rows(2, 20)
    batch = only(batches_of(PrefixLM(), held))
    embeds = model.network.embeddings.tokens(batch.inputs["input_ids"]).detach().requires_grad_()
    inputs = {name: value for name, value in batch.inputs.items() if name != "input_ids"}
    hidden = model.with_mask(Permuted())(inputs_embeds=embeds, **inputs).last_hidden_state
    for row, token in (batch.targets != NOT_ASKED).nonzero().tolist():
        (gradient,) = torch.autograd.grad(hidden[row, token].sum(), embeds, retain_graph=True)
        seen = gradient.abs().sum(-1) > 0
        assert not seen[1 - row].any() and not seen[row, token + 1 :].any()
        assert torch.equal(
            seen[row], (held.documents[row, :-1] == held.documents[row, token]) & (torch.arange(20) <= token)
        )


def test_without_a_prefix_it_is_causal_and_the_models_own_mask_does_not_matter() -> None:
    """A prefix of one token sees itself alone, as a first token does."""
    model, held = tiny("gpt2", heads=("lm",)), plain_rows(torch.tensor([[5, 6, 7]]))  # two tokens: a prefix of one
    prefix, causal = only(batches_of(PrefixLM(), held)), only(batches_of(CausalLM(), held))
    expected = loss_of(CausalLM(), model, causal)
    for view in (model, model.with_mask(Bidirectional())):
        torch.testing.assert_close(loss_of(PrefixLM(), view, prefix), expected, rtol=1e-12, atol=1e-12)
