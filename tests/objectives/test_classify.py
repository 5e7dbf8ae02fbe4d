"""Classify and Regress against torch's own losses, and what they refuse."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from contract.families import random_ids, tiny
from sightline.core.taps import record
from sightline.errors import ConfigError, InputError
from sightline.model.heads import sequence_head
from sightline.model.model import Model
from sightline.networks.heads import Pooling
from sightline.objectives.classify import Classify, Regress, row_logits
from sightline.objectives.objective import Batch, Objective, Term


def batch_of(targets: torch.Tensor, first: int = 0) -> Batch:
    ids = random_ids(len(targets), 5, seed=first)
    return Batch(inputs={"input_ids": ids}, targets=targets, rows=tuple(range(len(targets))), tokens=ids.numel())


def logits_of(model: Model, batch: Batch) -> torch.Tensor:
    output = model(**batch.inputs)
    return model.head("classifier")(output.last_hidden_state, output.coordinates)


def mean(terms: list[Term]) -> torch.Tensor:
    return sum(term.sum for term in terms) / sum(term.count for term in terms)


@given(
    targets=st.lists(st.integers(0, 2), min_size=2, max_size=9),
    weights=st.none() | st.tuples(*[st.floats(0.1, 10)] * 3),
    smoothing=st.floats(0, 0.9),
)
def test_the_mean_is_torchs_over_all_batches(
    targets: list[int], weights: tuple[float, ...] | None, smoothing: float
) -> None:
    model = tiny("bert", heads=("classifier",), layers=1)
    objective = Classify(class_weights=weights, label_smoothing=smoothing)
    cut = len(targets) // 3 + 1
    batches = [batch_of(torch.tensor(targets[:cut])), batch_of(torch.tensor(targets[cut:] or [0]), first=1)]
    ours = mean([objective.terms(model, batch)["loss"] for batch in batches])
    torchs = F.cross_entropy(
        torch.cat([logits_of(model, batch) for batch in batches]),
        torch.cat([batch.targets for batch in batches]),
        weight=None if weights is None else torch.tensor(weights, dtype=torch.float64),
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(ours, torchs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "gpt2"])
@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
def test_tokens_that_the_head_does_not_read_are_not_computed_to_the_end(family: str, pooling: Pooling) -> None:
    """Nor missed: the logits are those of the head over all hidden states, on whichever side rows are padded."""
    model = tiny(family, heads=("classifier",))
    sequence_head(model.head("classifier")).pooling = pooling
    real = torch.tensor([[1] * 5, [0, 0, 1, 1, 1], [1, 1, 1, 0, 0]])
    for mask in ({}, {"attention_mask": real}):
        batch = replace(batch_of(torch.tensor([0, 1, 2])), inputs={"input_ids": random_ids(3, 5), **mask})
        with record(model.network, "*.output") as seen:
            found = row_logits(model, batch)
        *_, last = seen.values()
        assert last.shape[1] == (5 if pooling == "mean" else 1)
        torch.testing.assert_close(found, logits_of(model, batch), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("objective", [Classify(), Classify(class_weights=(1.0, 2.5, 0.5)), Regress()])
def test_counts_are_known_before_the_forward_pass(objective: Objective) -> None:
    targets = torch.tensor([0, 1, 2, 1])
    model = tiny("bert", heads=("classifier",), layers=1)
    if isinstance(objective, Regress):
        model = one_output(model)
        targets = targets.double()
    batch = batch_of(targets)
    terms = objective.terms(model, batch)
    assert objective.counts(batch) == {name: term.count for name, term in terms.items()}
    assert terms["loss"].weight == 1.0


def one_output(model: Model) -> Model:
    classifier = model.head("classifier")
    classifier.output = type(classifier.output)(classifier.output.in_features, 1).to(torch.float64)
    return model


def test_regression_is_torchs_squared_error() -> None:
    model = one_output(tiny("gpt2", heads=("classifier",), layers=1))
    batch = batch_of(torch.tensor([0.5, -2.0, 3.25], dtype=torch.float64))
    expected = F.mse_loss(logits_of(model, batch)[:, 0], batch.targets)
    torch.testing.assert_close(mean([Regress().terms(model, batch)["loss"]]), expected)


def test_losses_are_at_least_float32() -> None:
    model = tiny("bert", heads=("classifier",), layers=1, dtype=torch.bfloat16)
    assert Classify().terms(model, batch_of(torch.tensor([0, 1])))["loss"].sum.dtype == torch.float32


@pytest.mark.parametrize(
    "wrong",
    [
        {"label_smoothing": 1.0},
        {"label_smoothing": -0.1},
        {"class_weights": (1.0, 0.0)},
        {"class_weights": (1.0, float("nan"))},
    ],
)
def test_wrong_settings_are_named(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Classify(**wrong)


def test_targets_that_do_not_fit_the_model_are_named() -> None:
    model = tiny("bert", heads=("classifier",), layers=1)
    with pytest.raises(ConfigError, match="3 outputs"):
        Regress().terms(model, batch_of(torch.tensor([0.5, 1.0])))
    with pytest.raises(ConfigError, match=r"2 class_weights .* 3 classes"):
        Classify(class_weights=(1.0, 2.0)).terms(model, batch_of(torch.tensor([0, 1])))
    for wrong in (3, -1):
        with pytest.raises(InputError, match=f"class {wrong}, and class_weights are for 3 classes"):
            Classify(class_weights=(1.0, 2.0, 1.0)).counts(batch_of(torch.tensor([0, wrong])))
    with pytest.raises(InputError, match="class 3"):
        Classify().terms(model, batch_of(torch.tensor([0, 3])))
    with pytest.raises(InputError, match="class ids"):
        Classify().terms(model, batch_of(torch.tensor([0.5, 1.0])))
