"""Permutation language modelling: orders, targets, and that two streams compute the likelihood of an order.

Shapes: B rows, T tokens, K targets.
"""

from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contract.families import tiny
from contract.reference import reference, saved
from objectives.texts import batches_of, loss_of, only, plain_rows, text_rows, toy_words
from sightline.core.mask import Causal, Permuted
from sightline.errors import ConfigError, UnsupportedError
from sightline.model.load import load
from sightline.model.model import Model
from sightline.objectives.objective import Batch
from sightline.objectives.permutation import Permutation, order_places, span_targets
from sightline.objectives.text import NOT_ASKED

IDS = torch.randint(3, 31, (3, 13), generator=torch.Generator().manual_seed(0))


def places(batch: Batch) -> Tensor:
    """Where each target stands, (B, K)."""
    return batch.inputs["target_mapping"].argmax(-1)


@given(
    seed=st.integers(0, 99), rows=st.integers(1, 4), tokens=st.integers(1, 60), partial=st.floats(1, 10),
    chunk=st.none() | st.integers(1, 70),
)  # fmt: skip
def test_the_last_of_a_random_order_are_asked(
    seed: int, rows: int, tokens: int, partial: float, chunk: int | None
) -> None:
    held, words = text_rows(rows, tokens, seed=seed), toy_words()
    objective = Permutation(partial=partial, chunk=chunk)
    batch = only(batches_of(objective, held, seed=seed))
    ids, ranks, at = held.ids[:, :-1], batch.inputs["ranks"], places(batch)
    special, many = words.special[ids], max(1, int(tokens / partial))
    assert torch.equal(batch.inputs["input_ids"], ids)  # the content stream keeps the real tokens
    assert batch.targets.shape == (rows, many) and (batch.inputs["target_mapping"].sum(-1) == 1).all()
    asked = batch.targets != NOT_ASKED
    assert torch.equal(batch.targets[asked], ids.gather(1, at)[asked])
    assert (asked.sum(1) == (~special).sum(1).clamp(max=many)).all()
    is_target = torch.zeros_like(special)
    for row in range(rows):
        chosen = at[row, asked[row]]
        assert len(chosen.unique()) == len(chosen) and not special[row, chosen].any()
        is_target[row, chosen] = True
    assert torch.equal(ranks > 0, is_target | special)
    for row in ranks:
        ordered = row[row > 0]
        assert len(ordered.unique()) == len(ordered)
    size = chunk or tokens
    for begin in range(size, tokens, size):  # chunks follow each other
        early, late = ranks[:, :begin], ranks[:, begin:]
        assert (early.amax(1) < torch.where(late > 0, late, tokens + size).amin(1)).all()
    again = only(batches_of(objective, held, seed=seed))
    assert torch.equal(again.inputs["ranks"], ranks) and torch.equal(again.targets, batch.targets)


def test_orders_are_permutations_the_same_in_every_chunk_and_others_in_other_rows() -> None:
    found = order_places(50, 12, 4, numpy.random.default_rng(0))
    for row in found:
        assert sorted(row.tolist()) == list(range(12))
        assert (row.reshape(3, 4) % 4 == row[:4]).all() and (row // 4 == numpy.arange(12) // 4).all()
    assert len({tuple(row) for row in found.tolist()}) > 15
    # All orders of three are as likely.
    drawn = order_places(6000, 3, 3, numpy.random.default_rng(1)) @ numpy.array([9, 3, 1])
    assert (numpy.abs(numpy.unique(drawn, return_counts=True)[1] - 1000) < 5 * 833**0.5).all()


def test_targets_are_spans_that_begin_with_words() -> None:
    """Lengths with a probability in proportion to 1 / n, one token of six; long rows, so that ends do not count."""
    begins = numpy.random.default_rng(0).random((1, 300_000)) < 0.7
    begins[0, 0] = True
    found = span_targets(begins, 300_000, 6, 5, numpy.random.default_rng(1))[0].astype(int)
    changes = numpy.diff(found, prepend=0, append=0)
    starts, lengths = (changes > 0).nonzero()[0], (changes < 0).nonzero()[0] - (changes > 0).nonzero()[0]
    assert begins[0, starts].all()
    # Spans that touch look like a longer one, which is rare: one starts where its context begins, after another's end.
    counts = numpy.bincount(lengths, minlength=6)
    assert counts[6:].sum() < 0.02 * counts.sum()
    expected = 1 / numpy.arange(1, 6) / (1 / numpy.arange(1, 6)).sum()
    assert numpy.abs(counts[1:6] / counts.sum() - expected).max() < 0.02
    assert 1 / 7.5 < found.mean() < 1 / 7  # beside its context there is the span, and the wait for a word to begin


def test_no_more_targets_than_asked_for() -> None:
    begins = numpy.ones((40, 60), bool)
    for many in (1, 3, 10):
        found = span_targets(begins, many, 2.0, 5, numpy.random.default_rng(many)).sum(1)
        assert (found.max() == many and found.min() > 0) or many == 1


def log_probs_of(model: Model, batch: Batch) -> Tensor:
    """Of each target, (B, K)."""
    hidden = model.with_mask(Permuted())(**batch.inputs).last_hidden_state
    return model.logits(hidden).log_softmax(-1).gather(-1, batch.targets.clamp(min=0)[..., None])[..., 0]


def test_two_streams_give_the_likelihood_of_the_order() -> None:
    """Each target's probability is that of a run in which nothing at or after it in the order exists."""
    model, held = tiny("xlnet", heads=("lm",)), plain_rows(IDS)
    batch = only(batches_of(Permutation(partial=3), held))
    found, at, ranks = log_probs_of(model, batch), places(batch), batch.inputs["ranks"]
    for row in range(3):
        for target, place in enumerate(at[row].tolist()):
            earlier = (ranks[row] < ranks[row, place]).nonzero()[:, 0]
            alone = model.with_mask(Permuted())(
                held.ids[row, earlier][None],
                position_ids=earlier[None],
                ranks=ranks[row, earlier][None],
                targets=torch.tensor([[place]]),
            )
            expected = model.logits(alone.last_hidden_state)[0, 0].log_softmax(-1)[batch.targets[row, target]]
            torch.testing.assert_close(found[row, target], expected, rtol=1e-10, atol=1e-10)


def test_a_target_knows_neither_itself_nor_those_after_it() -> None:
    """Nor does the content of tokens that come earlier know later ones, nor anybody a neighbouring document."""
    model, held = tiny("xlnet", heads=("lm",)), text_rows(2, 24)
    batch = only(batches_of(Permutation(partial=2), held))
    at, ranks = places(batch), batch.inputs["ranks"]
    embeds = model.network.embeddings.tokens(batch.inputs["input_ids"]).detach().requires_grad_()
    inputs = {name: value for name, value in batch.inputs.items() if name != "input_ids"}
    view = model.with_mask(Permuted())
    asked = view(inputs_embeds=embeds, **inputs).last_hidden_state
    content = view(inputs_embeds=embeds, **{name: inputs[name] for name in inputs if name != "target_mapping"})
    same = held.documents[:, :-1, None] == held.documents[:, None, :-1]
    for row, target in (batch.targets != NOT_ASKED).nonzero().tolist():
        place = int(at[row, target])
        for hidden, sees in (
            (asked[row, target], ranks[row] < ranks[row, place]),
            (content.last_hidden_state[row, place], ranks[row] <= ranks[row, place]),
        ):
            (gradient,) = torch.autograd.grad(hidden.sum(), embeds, retain_graph=True)
            seen = gradient.abs().sum(-1) > 0
            assert not seen[1 - row].any() and torch.equal(seen[row], sees & same[row, place])


def test_the_order_from_left_to_right_is_a_causal_model_one_token_earlier() -> None:
    model, held = tiny("xlnet", heads=("lm",)), plain_rows(IDS)
    batch = only(batches_of(Permutation(partial=1), held))  # all are asked
    ordered = replace(batch, inputs={**batch.inputs, "ranks": torch.arange(1, 13).expand(3, -1)})
    causal = model.with_mask(Causal())(
        IDS[:, :-1], target_mapping=ordered.inputs["target_mapping"]
    ).last_hidden_state  # blind for its own place, each sees those before it
    expected = model.logits(causal).log_softmax(-1).gather(-1, IDS[:, :-1, None])[..., 0]
    torch.testing.assert_close(log_probs_of(model, ordered), expected, rtol=1e-11, atol=1e-11)


def test_the_loss_is_transformers(tmp_path: Path) -> None:
    theirs = reference("XLNetLMHeadModel", dtype=torch.float32)
    batch = only(batches_of(Permutation(partial=2.5), plain_rows(IDS)))
    ranks = batch.inputs["ranks"]
    hides = ~(ranks[:, None, :] <= ranks[:, :, None]) | torch.eye(12, dtype=torch.bool) & (ranks > 0)[:, :, None]
    given = theirs(
        batch.inputs["input_ids"],
        perm_mask=hides.float(),
        target_mapping=batch.inputs["target_mapping"].float(),
        labels=batch.targets,
    )
    ours = loss_of(Permutation(), load(saved(theirs, tmp_path)), batch)
    assert abs(float(ours.detach() - given.loss.detach())) < 1e-5


def test_published_rows_have_85_targets() -> None:
    """512 tokens of text, one in six."""
    batch = only(batches_of(Permutation(chunk=256), plain_rows(torch.randint(3, 31, (2, 513)))))
    assert Permutation().counts(batch) == {"loss": 170.0}


def test_one_stream_is_not_enough() -> None:
    batch = only(batches_of(Permutation(), plain_rows(IDS)))
    with pytest.raises(UnsupportedError, match="one stream"):
        Permutation().terms(tiny("bert", heads=("lm",)), batch)


@pytest.mark.parametrize("wrong", [{"partial": 0.5}, {"longest": 0}, {"chunk": 0}, {"z_loss": 2.0}])
def test_wrong_settings_are_named(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Permutation(**wrong)
