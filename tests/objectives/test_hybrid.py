"""The hybrid: two kinds of rows, one head, one alignment; what each kind knows, and how much it weighs.

Shapes: B rows, T tokens.
"""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contract.families import tiny
from objectives.texts import MASK, batches_of, loss_of, plain_rows, text_rows
from sightline.core.mask import Bidirectional, Causal
from sightline.errors import ConfigError, InputError
from sightline.objectives.causal import CausalLM
from sightline.objectives.hybrid import Hybrid
from sightline.objectives.masked import Masked
from sightline.objectives.text import NOT_ASKED

ALL_MASK = Masked(rate=0.3, keep=0, random=0, shifted=True)
FAMILIES = ["gpt2", "bert", "modernbert"]


@given(ratio=st.floats(0, 1), rows=st.integers(2, 12), seed=st.integers(0, 99), done=st.floats(0, 1))
def test_each_row_is_of_one_kind(ratio: float, rows: int, seed: int, done: float) -> None:
    held, objective = text_rows(rows, 16, seed=seed), Hybrid(masked=ratio, final_masked=1 - ratio)
    batches, now = batches_of(objective, held, seed=seed, done=done), objective.ratio_at(done)
    assert abs(now - (ratio * (1 - done) + (1 - ratio) * done)) < 1e-12
    by_kind = {batch.kind: batch for batch in batches}
    assert set(by_kind) <= {"masked", "causal"} and len(by_kind) == len(batches)
    assert sorted(number for batch in batches for number in batch.rows) == list(held.numbers)
    assert sum(batch.tokens for batch in batches) == held.tokens
    masked = len(by_kind["masked"].rows) if "masked" in by_kind else 0
    assert abs(masked - now * rows) <= (1 if masked in (1, rows - 1) else 0.5)
    for kind, weight in (("masked", now), ("causal", 1 - now)):
        assert (kind in by_kind) == (weight > 0)
        if weight > 0:
            assert by_kind[kind].weight == weight
    for batch in batches:
        index = torch.tensor(batch.rows) - 1
        following, asked = held.following[index], batch.targets != NOT_ASKED
        assert torch.equal(batch.targets[asked], following[asked])  # one alignment
        if batch.kind == "causal":
            assert torch.equal(batch.targets, following)
            assert torch.equal(batch.inputs["input_ids"], held.ids[index, :-1])


def test_which_rows_are_masked_is_drawn() -> None:
    held = text_rows(8, 16)
    chosen = {batches_of(Hybrid(), held, seed=seed)[0].rows for seed in range(20)}
    assert len(chosen) > 15


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_both_means_by_their_weights(family: str) -> None:
    """r · mean over hidden tokens + (1 − r) · mean over next tokens, whatever their numbers (GPT-BERT)."""
    model, held = tiny(family, heads=("lm",)), text_rows(8, 20)
    masked, causal = batches_of(Hybrid(masked=0.9, masking=ALL_MASK), held)
    assert len(causal.rows) == 1
    expected = 0.9 * loss_of(ALL_MASK, model.with_mask(Bidirectional()), masked)
    expected += 0.1 * loss_of(CausalLM(), model.with_mask(Causal()), causal)
    for view in (model, model.with_mask(Causal()), model.with_mask(Bidirectional())):
        found = loss_of(Hybrid(masking=ALL_MASK), view, masked, causal)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_z_losses_weigh_as_their_kinds_do() -> None:
    model, held = tiny("gpt2", heads=("lm",)), text_rows(4, 20)
    objective = Hybrid(masked=0.75, masking=replace(ALL_MASK, z_loss=1e-2), next_token=CausalLM(z_loss=1e-3))
    batches = batches_of(objective, held)
    weights = {name: term.weight for batch in batches for name, term in objective.terms(model, batch).items()}
    assert weights == {"masked": 0.75, "masked_z": 0.75e-2, "causal": 0.25, "causal_z": 0.25e-3}
    with torch.no_grad():
        assert loss_of(objective, model, *batches) > loss_of(Hybrid(), model, *batches)


@pytest.mark.parametrize("family", FAMILIES)
def test_causal_rows_do_not_know_the_future(family: str) -> None:
    """Nor packed neighbours: what is predicted stays when all later tokens change, and all other documents."""
    model, held = tiny(family, heads=("lm",)), text_rows(2, 16)
    objective = Hybrid(masked=0.0)
    (batch,) = batches_of(objective, held)
    documents = held.documents[:, :-1]
    for at in (0, 5, 11, 14):
        keep = (documents == documents[:, at : at + 1]) & (torch.arange(16) <= at)
        other = torch.where(keep, batch.inputs["input_ids"], (batch.inputs["input_ids"] + 7) % 28 + 3)
        only_here = torch.where(torch.arange(16) == at, batch.targets, NOT_ASKED)
        one, two = (
            objective.terms(model, replace(batch, inputs={**batch.inputs, "input_ids": ids}, targets=only_here))
            for ids in (batch.inputs["input_ids"], other)
        )
        torch.testing.assert_close(one["causal"].sum, two["causal"].sum, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_masked_rows_know_both_sides_and_not_what_is_hidden(family: str) -> None:
    model, held = tiny(family, heads=("lm",)), plain_rows(torch.randint(3, 20, (3, 13)))
    objective = Hybrid(masked=1.0, masking=ALL_MASK)
    (batch,) = batches_of(objective, held)
    hidden = torch.cat([torch.zeros(3, 1, dtype=torch.bool), (batch.targets != NOT_ASKED)[:, :-1]], 1)
    assert not hidden[:, 0].any() and (batch.inputs["input_ids"] == MASK).equal(hidden)
    others = held.ids.clone()
    others[:, :-1][hidden] = 25
    (changed,) = batches_of(objective, plain_rows(others))
    assert torch.equal(changed.inputs["input_ids"], batch.inputs["input_ids"])
    embeds = model.network.get_submodule("embeddings.tokens")(batch.inputs["input_ids"]).detach().requires_grad_()
    seen = model.with_mask(Bidirectional())(inputs_embeds=embeds, position_ids=batch.inputs["position_ids"])
    row, token = (batch.targets != NOT_ASKED).nonzero()[0].tolist()
    (gradient,) = torch.autograd.grad(seen.last_hidden_state[row, token].sum(), embeds)
    assert (gradient[row].abs().sum(-1) > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_neighbours_are_not_seen_in_either_mode(family: str, ratio: float) -> None:
    """Of a row that holds several documents, and of a batch: the loss of one document is what it is alone."""
    model, held = tiny(family, heads=("lm",)), text_rows(3, 24)
    objective = Hybrid(masked=ratio, masking=ALL_MASK)
    (batch,) = batches_of(objective, held)
    documents, total = held.documents[:, :-1], torch.zeros((), dtype=torch.float64)
    assert documents.max() > 1
    for row in range(3):
        for document in documents[row].unique():
            at = documents[row] == document
            alone = {"input_ids": batch.inputs["input_ids"][row, at][None]}
            targets = batch.targets[row, at][None]
            (term,) = objective.terms(model, replace(batch, inputs=alone, targets=targets)).values()
            total = total + term.sum
    (whole,) = objective.terms(model, batch).values()
    torch.testing.assert_close(whole.sum, total, rtol=1e-10, atol=1e-10)


def test_one_row_cannot_be_both() -> None:
    held = text_rows(1, 16)
    with pytest.raises(InputError, match="two rows or more"):
        batches_of(Hybrid(), held)
    assert [batch.kind for ratio in (0, 1) for batch in batches_of(Hybrid(masked=ratio), held)] == ["causal", "masked"]


@pytest.mark.parametrize("wrong", [{"masked": 1.5}, {"final_masked": -0.1}, {"masking": Masked()}])
def test_wrong_settings_are_named(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Hybrid(**wrong)
