"""Fine-tuning: it learns, keeps what was best on dev, and goes on to the bit after it was stopped."""

import warnings
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
import transformers

from sightline.core.mask import Bidirectional, Causal, Mask
from sightline.errors import CheckpointError, ConfigError, InputError, UnsupportedError
from sightline.model.heads import with_classifier
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks.classify import classify
from sightline.tasks.finetune import FinetuneProgress, Finetuning, finetune
from sightline.tasks.finetune_config import FinetuneConfig
from sightline.tasks.metrics import scores as scores_of
from sightline.tasks.ready import balanced
from sightline.tasks.scale import Scale, fold_in
from sightline.text.labelled import Examples
from sightline.training.fit import DivergedError
from tasks.labelled_rows import LABELS, classes, learner, numbers

FAST = FinetuneConfig(passes=6, batch_rows=16, learning_rate=3e-3, precision="float32")
FEW = replace(FAST, passes=2)


def run(model: Model, train: Examples, dev: Examples | None = None, config: FinetuneConfig = FAST) -> Finetuning:
    under_way = Finetuning(model, train, dev, config)
    for _ in under_way.run():
        pass
    return under_way


def weights(model: Model) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


# It learns


@pytest.mark.parametrize(
    ("family", "mask"), [("bert", None), ("gpt2", None), ("gpt2", Bidirectional()), ("bert", Causal())], ids=str
)
def test_it_learns_classes(family: str, mask: Mask | None) -> None:
    train, dev = classes(240), classes(60, seed=1)
    model = learner(family, train, mask=mask, noise=False)
    assert run(model, train, dev).best.scores["accuracy"] > 0.9  # type: ignore[union-attr]
    assert scores_of(dev.targets, classify(model, dev.texts).array)["accuracy"] > 0.9
    assert not model.training and model.new_tensors == () and model.trained_mask == model.mask


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_it_learns_from_pairs(family: str) -> None:
    train, dev = classes(240, pairs=True), classes(60, seed=1, pairs=True)
    model = learner(family, train, noise=False)
    run(model, train, dev, replace(FAST, passes=8))
    assert scores_of(dev.targets, classify(model, dev.texts, dev.pairs).array)["accuracy"] > 0.9


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_numbers_come_back_on_their_own_scale(family: str, tmp_path: Path) -> None:
    """They are learned with mean 0 and deviation 1; the folder needs to know nothing of it, nor does transformers."""
    train, dev = numbers(240), numbers(60, seed=1)
    model = learner(family, train, noise=False)
    best = run(model, train, dev).best
    found = classify(model, dev.texts).values
    scores = scores_of(dev.targets, found)
    assert scores == pytest.approx(dict(best.scores), rel=1e-4)  # type: ignore[union-attr]
    assert scores["pearson"] > 0.95 and scores["rmse"] < 80 and abs(found.mean() - dev.targets.mean()) < 40
    folder = model.save(tmp_path)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        expected = [float(theirs(**tokenizer(text, return_tensors="pt")).logits) for text in dev.texts[:5]]
    assert numpy.allclose(classify(load(folder), dev.texts[:5]).values, expected, rtol=1e-4)


def test_folding_is_exact_for_a_head_without_a_bias() -> None:
    train = numbers(6)
    for pooling in ("last", "mean"):
        model = learner("gpt2", train, pooling=pooling, dtype=torch.float64)
        before = classify(model, train.texts).values
        fold_in(model, Scale(1990.0, 25.0))
        assert numpy.allclose(classify(model, train.texts).values, before * 25 + 1990, rtol=0, atol=1e-9)


def test_what_was_best_on_dev_is_what_remains() -> None:
    train, dev = classes(240), classes(40, seed=1)
    wrong = replace(dev, targets=(dev.targets + 1) % 3)  # so that learning makes it worse
    model = learner("bert", train, noise=False)
    under_way = run(model, train, wrong, replace(FAST, passes=4))
    looks = under_way.history
    assert len(looks) == 4 and looks[-1].scores["accuracy"] < 0.1 < looks[0].scores["accuracy"]
    assert under_way.best == max(looks, key=lambda look: (look.scores["accuracy"], -look.scores["log_loss"]))
    assert scores_of(wrong.targets, classify(model, dev.texts).array) == pytest.approx(
        dict(under_way.best.scores), abs=1e-5
    )


def test_it_stops_when_dev_becomes_no_better() -> None:
    train, dev = classes(96), classes(40, seed=1)
    wrong = replace(dev, targets=(dev.targets + 1) % 3)
    under_way = run(learner("bert", train), train, wrong, replace(FAST, passes=20, early_stopping=2))
    assert under_way.stopped_early and under_way.training.step < len(under_way.steps)
    assert [look.best for look in under_way.history[-2:]] == [False, False]
    assert under_way.history[-3].best


def test_without_dev_the_last_weights_remain() -> None:
    train = classes(48)
    one, other = learner("bert", train), learner("bert", train)
    steps = list(finetune(one, train, None, FEW))
    run(other, train, None, FEW)
    assert same(weights(one), weights(other))
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    looks = [step.evaluation for step in steps if step.evaluation is not None]
    assert [look.step for look in looks] == [3, 6] and all(look.scores == {} for look in looks)


@pytest.mark.parametrize(("evaluations", "at"), [(1, [5, 10]), (2, [3, 5, 8, 10]), (5, [*range(1, 11)])])
def test_dev_is_looked_at_as_often_as_asked(evaluations: int, at: list[int]) -> None:
    train = classes(80)
    under_way = run(learner("bert", train), train, classes(10, seed=1), replace(FEW, evaluations=evaluations))
    assert [look.step for look in under_way.history] == at
    assert under_way.history[-1].passes == 2.0
    assert under_way.history[0].loss > 0


def test_frozen_layers_stay() -> None:
    train = classes(48)
    model = learner("bert", train)
    before = weights(model)
    run(model, train, None, replace(FEW, frozen_layers=1))
    after = weights(model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    stays = ("network.embeddings.", "network.stack.blocks.0.")
    assert moved and not any(name.startswith(stays) for name in moved)
    assert moved | {name for name in before if name.startswith(stays)} == before.keys()
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_balanced_weights_make_every_class_weigh_the_same() -> None:
    train = classes(60)
    skewed = train.take([place for place, target in enumerate(train.targets) if target == 0][:2] + list(range(3, 40)))
    found = balanced(skewed)
    counts = numpy.bincount(skewed.targets, minlength=3)
    assert numpy.allclose(counts * found, len(skewed) / 3)
    alone = replace(skewed, labels=(*LABELS, "never"))
    assert balanced(alone)[3] == 1.0


# Long texts


def test_texts_that_are_cut_are_counted_once() -> None:
    train = classes(48, words=30)
    model = learner("bert", train, positions=16)
    with pytest.warns(UserWarning, match=r"\d+ of 48 rows have more than 16 tokens and were cut") as caught:
        list(finetune(model, train, classes(10, words=30, seed=1), FEW))
    assert len(caught) == 1
    assert model.tokenizer is not None and model.tokenizer.max_length == 16


def test_windows_read_what_a_cut_would_lose(tmp_path: Path) -> None:
    """The word that decides stands at the end."""
    train, dev = classes(200), classes(60, seed=1)
    far = [replace(rows, texts=["the soup was there and " * 4 + text for text in rows.texts]) for rows in (train, dev)]
    scores = {}
    for long in ("cut", "windows"):
        model = learner("bert", far[0], positions=18, noise=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            under_way = run(model, *far, replace(FAST, passes=10, learning_rate=5e-3, long=long))
            again = load(model.save(tmp_path / long))
            scores[long] = scores_of(dev.targets, classify(again, far[1].texts).array)["accuracy"]
        assert again.long == long and (under_way.cut, under_way.windowed) == ((200, 0) if long == "cut" else (0, 200))
        assert scores[long] == pytest.approx(under_way.best.scores["accuracy"])  # type: ignore[union-attr]
    assert scores["cut"] < 0.6 and scores["windows"] > 0.8


def test_windows_of_pairs_are_refused() -> None:
    train = classes(12, pairs=True)
    with pytest.raises(ConfigError, match="pairs of texts can only be cut"):
        Finetuning(learner("bert", train), train, None, replace(FAST, long="windows"))


# Stopped and taken up


@pytest.mark.parametrize(
    ("family", "kind", "change"),
    [
        ("bert", "classes", {}),
        ("gpt2", "numbers", {}),
        (
            "bert",
            "classes",
            {"early_stopping": 1, "checkpoint_every": 2, "evaluations": 3},
        ),
        ("gpt2", "classes", {"frozen_layers": 1, "batch_tokens": 40}),
    ],
)
@pytest.mark.parametrize("stop", [1, 5, 9])
def test_taken_up_is_as_if_never_stopped(
    family: str, kind: str, change: dict[str, object], stop: int, tmp_path: Path
) -> None:
    make = classes if kind == "classes" else numbers
    train, dev = make(64), make(20, seed=1)
    config = replace(FAST, passes=3, **change)  # type: ignore[arg-type]
    straight = run(learner(family, train), train, dev, config)
    first = Finetuning(learner(family, train), train, dev, config, folder=tmp_path)
    steps = first.run()
    for _ in range(stop):
        if next(steps, None) is None:
            break
    steps.close()
    torch.manual_seed(stop)  # nobody else's random numbers matter
    second = Finetuning(learner(family, train), train, dev, config, folder=tmp_path, resume=True)
    assert second.resumed == min(stop, straight.training.step)
    for _ in second.run():
        pass
    assert same(weights(second.model), weights(straight.model))
    assert second.history == straight.history


def test_one_that_was_done_can_be_taken_up_too(tmp_path: Path) -> None:
    train, dev = classes(32), classes(10, seed=1)
    first = Finetuning(learner("bert", train), train, dev, FEW, folder=tmp_path)
    assert len(list(first.run())) == 4
    second = Finetuning(learner("bert", train), train, dev, FEW, folder=tmp_path, resume=True)
    assert second.finished and list(second.run()) == []
    assert same(weights(second.model), weights(first.model)) and second.history == first.history


def test_with_nothing_to_take_up_it_begins(tmp_path: Path) -> None:
    train = classes(16)
    under_way = Finetuning(learner("bert", train), train, None, FEW, folder=tmp_path / "none", resume=True)
    assert under_way.resumed is None and len(list(under_way.run())) == 2


def test_checkpoints_are_written_when_due(tmp_path: Path) -> None:
    train = classes(80)
    config = replace(FEW, checkpoint_every=2)
    steps = finetune(learner("bert", train), train, None, config, folder=tmp_path)
    newest: list[str] = []
    for _ in steps:
        names = sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("."))
        newest.append(names[-1].rpartition("-")[2] if names else "")
    assert newest == ["", "2", "2", "4", "5", "6", "6", "8", "8", "10"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"learning_rate": 1e-4}, "learning_rate.* was 0.003 and would now be 0.0001"),
        ({"passes": 5}, "another training: "),
        ({"seed": 3}, "another training: "),
        ({"early_stopping": 3}, "early_stopping=None, and now it is 3"),
        ({"checkpoint_every": 3}, ""),
    ],
)
def test_other_settings_are_refused(change: dict[str, object], says: str, tmp_path: Path) -> None:
    train = classes(16)
    list(finetune(learner("bert", train), train, None, FEW, folder=tmp_path))
    again = replace(FEW, **change)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=says) if says else nullcontext():
        Finetuning(learner("bert", train), train, None, again, folder=tmp_path, resume=True)


def test_other_rows_are_refused(tmp_path: Path) -> None:
    train, dev = classes(16), classes(5, seed=1)
    list(finetune(learner("bert", train), train, dev, FEW, folder=tmp_path))
    model = learner("bert", train)
    for rows in ((replace(train, targets=train.targets[::-1].copy()), dev), (train, classes(5, seed=2))):
        with pytest.raises(CheckpointError):
            Finetuning(model, *rows, FEW, folder=tmp_path, resume=True)


# Wrong input


def test_rows_that_do_not_fit_the_model_are_named() -> None:
    train = classes(12)
    model = learner("bert", train)
    for rows, says in (
        (numbers(12), "have numbers and the model's head is for classes"),
        (replace(train, labels=("a", "b", "c")), "have the classes a, b, c and the model's head bad, good, none"),
        (train.take([]), "no training rows"),
        (replace(train, texts=[*train.texts[:3], " ", *train.texts[4:]]), "row 4 is empty"),
    ):
        with pytest.raises(InputError, match=says):
            Finetuning(model, rows, None, FAST)
    with pytest.raises(InputError, match="pairs of texts, the others not"):
        Finetuning(model, train, classes(5, pairs=True), FAST)
    number = with_classifier(model, None)
    with pytest.raises(InputError, match="not finite"):
        Finetuning(number, replace(numbers(3), targets=numpy.array([1.0, numpy.nan, 2.0])), None, FAST)
    with pytest.raises(UnsupportedError, match="'first' means nothing here"):
        Finetuning(model.with_mask(Causal()), train, None, FAST)


@pytest.mark.parametrize("change", [{"class_weights": "balanced"}, {"label_smoothing": 0.1}], ids=str)
def test_numbers_have_no_classes_to_weigh(change: dict[str, object]) -> None:
    train = numbers(12)
    with pytest.raises(ConfigError, match="the rows have numbers"):
        Finetuning(learner("bert", train), train, None, replace(FAST, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"passes": 0},
        {"batch_rows": 1.5},
        {"evaluations": 0},
        {"early_stopping": 0},
        {"checkpoint_every": 0},
        {"class_weights": "even"},
        {"long": "short"},
        {"learning_rate": -1.0},
        {"label_smoothing": 1.0},
        {"precision": "float8"},
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_named(change: dict[str, object]) -> None:
    (name,) = change
    with pytest.raises(ConfigError, match=name):
        FinetuneConfig(**change)  # type: ignore[arg-type]


def test_a_head_that_says_yes_or_no_to_each_class_is_refused() -> None:
    """Learned as one of several, answered each for itself: its probabilities would not add up to 1."""
    rows = classes(12)
    model = learner("bert", rows)
    model.problem_type = "multi_label_classification"
    with pytest.raises(UnsupportedError, match="yes or no to each class for itself"):
        Finetuning(model, rows, None, FinetuneConfig())


def test_answers_on_dev_that_are_not_finite_have_diverged(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = classes(12)
    monkeypatch.setattr("sightline.tasks.finetune.answers", lambda *given: numpy.full((12, 2), numpy.nan))
    with pytest.raises(DivergedError, match="step 1: answers on dev are not finite"):
        list(finetune(learner("bert", rows), rows, rows, FinetuneConfig(passes=1)))


def test_progress_says_what_a_step_did() -> None:
    train = classes(40)
    steps: list[FinetuneProgress] = list(finetune(learner("bert", train), train, None, FEW))
    assert {step.steps for step in steps} == {6} and sum(step.rows for step in steps) == 80
    assert all(step.seconds > 0 and step.tokens > 0 for step in steps)
