"""The loop: what it learns, that micro-batches change nothing, and what it leaves alone."""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from sightline.errors import ConfigError, InputError, SightlineError
from sightline.model.model import Model
from sightline.objectives.classify import Classify
from sightline.objectives.objective import Batch, Term
from sightline.training.config import TrainingConfig
from sightline.training.fit import DivergedError, Progress, Training, fit
from sightline.training.schedule import learning_rate
from sightline.training.steps import LabelledSteps
from training.small import labelled, rows, same, small, still, weights


def run(model: Model, steps: LabelledSteps, objective: Classify | None = None, **settings: object) -> list[Progress]:
    config = TrainingConfig(**{"learning_rate": 0.01, **settings})
    return list(fit(Training(model, objective or Classify(), config), steps))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_it_learns_rows_by_heart(family: str, precision: str) -> None:
    model, steps = still(family), labelled(12, batch_rows=4, passes=40)
    told = run(model, steps, learning_rate=0.02, precision=precision)
    assert told[-1].loss < 0.05 < 0.5 < told[0].loss
    (batch,) = labelled(12, batch_rows=12)[0]
    with torch.no_grad():
        output = model(**batch.inputs)
        guessed = model.head("classifier")(output.last_hidden_state, output.coordinates).argmax(-1)
    assert torch.equal(guessed, batch.targets)


# Micro-batches


class Recorded:
    """Classify in two terms, one of which asks only of rows of class 0: its counts differ from batch to batch."""

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {"all": float(len(batch.rows)), "zeros": float((batch.targets == 0).sum())}

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        output = model(**batch.inputs)
        logits = model.head("classifier")(output.last_hidden_state, output.coordinates)
        losses = torch.nn.functional.cross_entropy(logits, batch.targets, reduction="none")
        counts = self.counts(batch)
        zeros = losses[batch.targets == 0].sum()
        return {
            "all": Term(sum=losses.sum(), count=counts["all"]),
            "zeros": Term(sum=zeros, count=counts["zeros"], weight=0.5),
        }


@pytest.mark.parametrize("objective", [Classify(), Classify(class_weights=(0.3, 2.0, 1.0)), Recorded()])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_micro_batches_are_one_large_batch(family: str, objective: object) -> None:
    """In float64: the same weights and the same numbers to rounding, however unequal the parts."""
    told = {}
    models = {}
    for batch_tokens in (None, 20):
        models[batch_tokens] = still(family, dtype=torch.float64)
        steps = labelled(24, batch_rows=12, passes=3, batch_tokens=batch_tokens)
        told[batch_tokens] = run(models[batch_tokens], steps, objective)
    assert len(labelled(24, batch_rows=12, batch_tokens=20)[0]) > 2
    for one, other in zip(told[None], told[20], strict=True):
        assert (one.rows, one.tokens, one.learning_rate) == (other.rows, other.tokens, other.learning_rate)
        assert math.isclose(one.loss, other.loss, rel_tol=1e-9)
        assert math.isclose(one.gradient_norm, other.gradient_norm, rel_tol=1e-9)
    for one, other in zip(weights(models[None]).values(), weights(models[20]).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("clip", [0.5, 0.0])
def test_it_is_a_loop_written_out(clip: float) -> None:
    """One step after another with torch's own loss, clipping and optimizer, in float64."""
    steps = labelled(passes=3)
    ours, theirs = still(dtype=torch.float64), still(dtype=torch.float64)
    told = run(ours, steps, clip=clip, weight_decay=0.1)
    config = TrainingConfig(learning_rate=0.01)
    groups = [[p for p in theirs.parameters() if (p.dim() > 1) == matrix] for matrix in (True, False)]
    optimizer = torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": 0.1}, {"params": groups[1], "weight_decay": 0.0}]
    )
    for step, progress in enumerate(told):
        (batch,) = steps[step]
        output = theirs(**batch.inputs)
        logits = theirs.head("classifier")(output.last_hidden_state, output.coordinates)
        loss = torch.nn.functional.cross_entropy(logits, batch.targets)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), clip or math.inf)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step, len(steps))
        optimizer.step()
        assert math.isclose(progress.loss, float(loss.detach()), rel_tol=1e-9)
        assert math.isclose(progress.gradient_norm, float(norm), rel_tol=1e-9)
    assert max(progress.gradient_norm for progress in told) > 0.5  # some was clipped
    for one, other in zip(weights(ours).values(), weights(theirs).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


# Repeating, and leaving alone


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_call_gives_the_same_bits(precision: str) -> None:
    models = [small(), small()]
    for before, model in enumerate(models):
        torch.manual_seed(before)
        run(model, labelled(batch_tokens=40), precision=precision)
    assert same(*map(weights, models))
    other = small()
    run(other, labelled(batch_tokens=40), precision=precision, seed=1)
    assert not same(weights(models[0]), weights(other))


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(6)
    torch.manual_seed(3)
    drawn = []
    for _ in fit(Training(small(), Classify(), TrainingConfig(learning_rate=0.01)), labelled(passes=2)):
        drawn.append(torch.rand(1))
    assert torch.equal(torch.cat(drawn), expected)


def test_numbers_drawn_between_steps_change_nothing() -> None:
    quiet, loud = small(), small()
    run(quiet, labelled())
    for _ in fit(Training(loud, Classify(), TrainingConfig(learning_rate=0.01)), labelled()):
        torch.rand(99)
    assert same(weights(quiet), weights(loud))


def test_between_steps_the_model_is_in_eval_mode_and_new() -> None:
    """Weights are packed for passes without gradients; such a pass sees what the last step learned."""
    model, (batch,) = small(), labelled()[0]
    seen = []
    for _ in fit(Training(model, Classify(), TrainingConfig(learning_rate=0.1, warmup=0)), labelled()):
        assert not any(module.training for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())
        with torch.no_grad():
            seen.append(model(**batch.inputs).last_hidden_state)
            torch.testing.assert_close(seen[-1], copy.deepcopy(model)(**batch.inputs).last_hidden_state)
    assert not any(torch.equal(one, other) for one, other in pairwise(seen))


def test_leaving_the_loop_and_coming_back_is_going_on() -> None:
    straight, broken = small(), small()
    run(straight, labelled())
    training = Training(broken, Classify(), TrainingConfig(learning_rate=0.01))
    for progress in fit(training, labelled()):
        if progress.step == 2:
            break
    assert [progress.step for progress in fit(training, labelled())] == [3, 4, 5, 6]
    assert list(fit(training, labelled())) == []
    assert same(weights(straight), weights(broken))


def test_gradients_left_by_others_do_not_count() -> None:
    clean, dirty = small(), small()
    for parameter in dirty.parameters():
        parameter.grad = torch.ones_like(parameter)
    run(clean, labelled())
    run(dirty, labelled())
    assert same(weights(clean), weights(dirty))


def test_progress_says_what_was_done() -> None:
    told = run(small(), labelled(24, batch_rows=8, passes=2), schedule="cosine", warmup=0.4)
    config = TrainingConfig(learning_rate=0.01, schedule="cosine", warmup=0.4)
    assert [progress.step for progress in told] == [1, 2, 3, 4, 5, 6]
    assert [progress.learning_rate for progress in told] == [learning_rate(config, step, 6) for step in range(6)]
    assert all(progress.steps == 6 and progress.rows == 8 and progress.seconds > 0 for progress in told)
    assert sum(progress.tokens for progress in told) == 2 * sum(len(row.ids) for row in rows(24))
    assert all(progress.terms == {"loss": progress.loss} for progress in told)


# What stops it


class Exploding:
    """Classify whose loss, or only its gradient, is no number at the second step."""

    def __init__(self, wrong: str) -> None:
        self.wrong, self.asked = wrong, 0

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return Classify().counts(batch)

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        self.asked += 1
        term = Classify().terms(model, batch)["loss"]
        if self.asked < 2:
            return {"loss": term}
        total: Tensor = term.sum * math.inf if self.wrong == "loss" else term.sum + (term.sum * 0).sqrt()
        return {"loss": Term(sum=total, count=term.count)}


@pytest.mark.parametrize("wrong", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_the_weights_change(wrong: str) -> None:
    model, steps = small(), labelled()
    training = Training(model, Exploding(wrong), TrainingConfig(learning_rate=0.01, warmup=0))
    kept: dict[str, Tensor] = {}
    with pytest.raises(DivergedError) as caught:
        for _ in fit(training, steps):
            kept = weights(model)
    message = str(caught.value)
    assert isinstance(caught.value, SightlineError)
    assert message.startswith("step 2: ") and wrong in message and "learning_rate" in message
    assert all(str(number) in message for number in steps[1][0].rows)
    assert same(kept, weights(model)) and training.step == 1
    assert all(bool(weight.isfinite().all()) for weight in weights(model).values())
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())


def test_a_document_that_many_rows_are_of_is_named_once() -> None:
    training = Training(small(), Exploding("loss"), TrainingConfig(learning_rate=0.01, warmup=0))
    steps = [[replace(batch, rows=(7,) * len(batch.rows)) for batch in step] for step in labelled()]
    with pytest.raises(DivergedError, match=r": 7$"):
        list(fit(training, steps))


def test_an_interrupt_within_an_update_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(small(), Classify(), TrainingConfig(learning_rate=0.01))

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training.optimizers[0], "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(fit(training, labelled()))
    with pytest.raises(ConfigError, match="within an update"):
        next(fit(training, labelled()))


def test_other_steps_than_it_began_with_are_refused() -> None:
    training = Training(small(), Classify(), TrainingConfig(learning_rate=0.01))
    next(fit(training, labelled()))
    with pytest.raises(ConfigError, match="6 steps and 9 came"):
        next(fit(training, labelled(passes=3)))


class Silent:
    """Asks nothing."""

    def counts(self, batch: Batch) -> Mapping[str, float]:
        return {"loss": 0.0}

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        return {"loss": Term(sum=torch.zeros(()), count=0.0)}


def test_a_step_that_asks_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match="count 0"):
        next(fit(Training(small(), Silent(), TrainingConfig(learning_rate=0.01)), labelled()))


def test_numbers_can_be_learned_too() -> None:
    from sightline.objectives.classify import Regress

    model = still()
    classifier = model.head("classifier")
    classifier.output = type(classifier.output)(classifier.output.in_features, 1)
    targets = [len(row.ids) / 4 for row in rows(12)]
    steps = LabelledSteps(rows(12), targets, filler=0, batch_rows=4, passes=30, seed=0)
    told = list(fit(Training(model, Regress(), TrainingConfig(learning_rate=0.02)), steps))
    assert told[-1].loss < 0.1 * told[0].loss
