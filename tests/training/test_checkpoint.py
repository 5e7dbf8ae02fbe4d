"""Checkpoints: going on bit for bit, and what is refused."""

import json
from pathlib import Path

import pytest
import torch

from sightline.core.mask import Causal
from sightline.errors import CheckpointError
from sightline.model.model import Model
from sightline.objectives.classify import Classify
from sightline.training.checkpoint import restore, save
from sightline.training.config import TrainingConfig
from sightline.training.fit import Progress, Training, fit
from training.small import labelled, same, small, weights

STEPS = 6


def training_of(
    model: Model | None = None, *, objective: Classify | None = None, data: str = "rows", **settings: object
) -> Training:
    config = TrainingConfig(**{"learning_rate": 0.01, "precision": "float32", **settings})
    return Training(small() if model is None else model, objective or Classify(), config, data=data)


def told(progress: Progress) -> tuple[object, ...]:
    """All but the time."""
    return progress.step, progress.loss, progress.terms, progress.learning_rate, progress.gradient_norm, progress.tokens


def moments(training: Training) -> dict[str, torch.Tensor]:
    return {
        f"{kind} {name}": value.clone()
        for name, parameter in training.parameters.items()
        for kind, value in training.optimizers[0].state[parameter].items()
    }


@pytest.mark.parametrize(("frozen", "batch_tokens"), [(0, None), (0, 30), (1, 30), ("all", None)])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_going_on_is_never_having_stopped(
    tmp_path: Path, family: str, precision: str, batch_tokens: int | None, frozen: object
) -> None:
    """The same bits in weights, moments and messages, with dropout."""
    at = 4 if batch_tokens else 1
    settings = {"precision": precision, "frozen_layers": frozen}
    straight = training_of(small(family), **settings)
    expected = [told(progress) for progress in fit(straight, labelled(batch_tokens=batch_tokens))]

    stopped = training_of(small(family), **settings)
    for progress in fit(stopped, labelled(batch_tokens=batch_tokens)):
        if progress.step == at:
            save(tmp_path, stopped)
            break
    torch.rand(5)  # whatever happened in between
    model = small(family)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in stopped.parameters:
                parameter.zero_()
    resumed = training_of(model, **settings)
    restored = restore(tmp_path, resumed)
    assert restored is not None and restored.step == resumed.step == at
    assert [told(progress) for progress in fit(resumed, labelled(batch_tokens=batch_tokens))] == expected[at:]
    assert same(weights(straight.model), weights(resumed.model))
    assert same(moments(straight), moments(resumed))


def test_what_the_caller_gave_comes_back(tmp_path: Path) -> None:
    training = training_of()
    next(fit(training, labelled()))
    state = {"best": 0.1 + 0.2, "at": [1, None, "ä"], "deep": {"x": True}}
    whole = torch.arange(6.0).view(2, 3)
    given = {"best": whole, "column": whole[:, 1], "again": whole, "half": torch.ones(2, dtype=torch.bfloat16)}
    path = save(tmp_path / "made" / "here", training, state=state, tensors=given)
    restored = restore(tmp_path / "made" / "here", training_of())
    assert restored is not None
    assert (restored.path, restored.step, restored.state) == (path, 1, state)
    assert same(dict(restored.tensors), given)


def test_where_there_is_none(tmp_path: Path) -> None:
    training = training_of()
    before = weights(training.model)
    assert restore(tmp_path, training) is None
    assert restore(tmp_path / "nowhere", training) is None
    (tmp_path / "other").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    assert restore(tmp_path, training) is None
    assert same(before, weights(training.model)) and training.step == 0


def test_a_step_may_be_saved_twice(tmp_path: Path) -> None:
    training = training_of()
    next(fit(training, labelled()))
    for turn in range(3):
        save(tmp_path, training, state={"turn": turn})
    restored = restore(tmp_path, training_of())
    assert restored is not None and restored.state == {"turn": 2}


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    training = training_of()
    (tmp_path / "notes.txt").write_text("mine")
    saved = [save(tmp_path, training) for _ in fit(training, labelled())]
    assert sorted(tmp_path.iterdir()) == [*saved[-2:], tmp_path / "notes.txt"]


def test_a_restored_training_can_be_saved_again(tmp_path: Path) -> None:
    training = training_of()
    next(fit(training, labelled()))
    save(tmp_path, training)
    resumed = training_of()
    restore(tmp_path, resumed)
    save(tmp_path, resumed)
    again = training_of()
    restore(tmp_path, again)
    assert same(moments(training), moments(again)) and same(weights(training.model), weights(again.model))


def test_a_training_without_a_step_can_be_saved(tmp_path: Path) -> None:
    save(tmp_path, training_of())
    restored = restore(tmp_path, training_of())
    assert restored is not None and restored.step == 0


OTHERS = {
    "learning_rate": lambda: training_of(learning_rate=0.02),
    "seed": lambda: training_of(seed=1),
    "precision": lambda: training_of(precision="bfloat16"),
    "frozen_layers": lambda: training_of(frozen_layers=1),
    "objective": lambda: training_of(objective=Classify(label_smoothing=0.1)),
    "data": lambda: training_of(data="other rows"),
    "model": lambda: training_of(small("roberta")),
    "mask": lambda: training_of(small().with_mask(Causal())),
    "network's dropout": lambda: training_of(small(dropout=0.3)),
    "network's width": lambda: training_of(small(width=32)),
    "weight network.embeddings.tokens.weight": lambda: training_of(small(dtype=torch.float64)),
}


@pytest.mark.parametrize("differing", OTHERS)
def test_another_training_is_refused_and_left_as_it_was(tmp_path: Path, differing: str) -> None:
    save(tmp_path, training_of())
    other = OTHERS[differing]()
    before = weights(other.model)
    with pytest.raises(CheckpointError, match=f"{differing}.* was .* would now be .*remove"):
        restore(tmp_path, other)
    assert same(before, weights(other.model)) and other.step == 0


def test_another_frozen_network_is_refused(tmp_path: Path) -> None:
    """A checkpoint holds only what learns; on top of other frozen weights it would be worth nothing."""
    save(tmp_path, training_of(frozen_layers="all"))
    other = small()
    with torch.no_grad():
        other.network.embeddings.tokens.weight[0, 0] += 1e-6
    with pytest.raises(CheckpointError, match="frozen"):
        restore(tmp_path, training_of(other, frozen_layers="all"))


def test_other_steps_are_refused_after_restoring(tmp_path: Path) -> None:
    from sightline.errors import ConfigError

    training = training_of()
    next(fit(training, labelled()))
    save(tmp_path, training)
    resumed = training_of()
    restore(tmp_path, resumed)
    with pytest.raises(ConfigError, match="6 steps and 3 came"):
        next(fit(resumed, labelled(passes=1)))


@pytest.mark.parametrize("state", [{"best": float("nan")}, {"best": torch.ones(1)}, {"best": {1, 2}}])
def test_what_json_cannot_hold_is_refused(tmp_path: Path, state: dict) -> None:
    with pytest.raises(CheckpointError, match="JSON"):
        save(tmp_path, training_of(), state=state)
    assert list(tmp_path.iterdir()) == []


def test_a_torn_training_is_not_saved(tmp_path: Path) -> None:
    training = training_of()
    training.torn = True
    with pytest.raises(CheckpointError, match="within an update"):
        save(tmp_path, training)
    assert list(tmp_path.iterdir()) == []


def test_nothing_in_it_can_run_code(tmp_path: Path) -> None:
    path = save(tmp_path, training_of())
    assert {file.suffix for file in path.iterdir()} == {".safetensors", ".json"}
    assert json.loads((path / "training.json").read_text())["training"]["data"] == "rows"


def test_a_checkpoint_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr("sightline.training.checkpoint.FORMAT", 1)
        save(tmp_path, training_of())
    with pytest.raises(CheckpointError, match=r"format was 1 and would now be \d+; pass the same settings"):
        restore(tmp_path, training_of())
