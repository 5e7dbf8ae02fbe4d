"""Pretraining: a recipe and a corpus become a model.

    corpus = open_corpus("corpus")
    for progress in pretrain(read_recipe("recipe.toml"), corpus, folder="run"):
        print(progress.step, progress.steps, progress.loss)

The loop is `training.fit`; what is here says what it reads, how long it lasts, and what is looked at on the way.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from sightline.errors import CheckpointError
from sightline.model.model import Model
from sightline.tasks.pretrain_model import new_model
from sightline.tasks.validate import sample, validate, validation_steps
from sightline.text.corpus import Corpus
from sightline.training.averaging import Averaging
from sightline.training.checkpoint import restore, save
from sightline.training.compiled import compile_blocks
from sightline.training.fit import Progress, Training, fit
from sightline.training.plan import Plan, by_the_clock, first_plan
from sightline.training.reading import TextSteps, steps_of
from sightline.training.recipe import Recipe, first_change
from sightline.training.recompute import recomputing

CHECKPOINTS = "checkpoints"
LOOK_AT_PACE = 10  # steps from one look at the clock to the next
RECENT = 20  # steps whose median pace is the pace of now


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the validation part says of the model.

    step     after how many steps
    scores   the objective's terms, as `validate` names them; `bits_per_byte` where the model gives texts a likelihood.
             Nothing where the corpus has no validation part
    samples  what it wrote, for each of the recipe's samples
    """

    step: int
    scores: Mapping[str, float]
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PretrainProgress:
    """What one optimizer step did. Its checkpoint, where one is due, is written when the next is asked for.

    step, steps   how many are done, and how many there will be, as far as is known
    loss, terms, learning_rate, gradient_norm, tokens, seconds  as `training.fit` tells them
    elapsed       seconds since the beginning, those of earlier sessions included
    planned       how many steps there will be now, where the clock has changed that
    look          what the validation part says, where it was asked
    """

    step: int
    steps: int
    loss: float
    terms: Mapping[str, float]
    learning_rate: float
    gradient_norm: float
    tokens: int
    seconds: float
    elapsed: float
    planned: int | None = None
    look: Look | None = None


class Pretraining:
    """A pretraining under way.

    model    what is taught; new, unless it is given
    plan     its steps, as far as is known
    history  every look at the validation part
    resumed  at which step an earlier run was taken up; None: this one is new

    Raises ConfigError or InputError for a recipe that does not fit the corpus, and CheckpointError for a checkpoint of
    another recipe or corpus.
    """

    def __init__(
        self,
        recipe: Recipe,
        corpus: Corpus,
        *,
        folder: str | Path | None = None,
        resume: bool = False,
        device: str | None = None,
    ) -> None:
        self.recipe, self.corpus = recipe, corpus
        self.folder = None if folder is None else Path(folder)
        self.model: Model = new_model(recipe, corpus, device=device)
        if recipe.run.compile:
            compile_blocks(self.model)
        self.training = Training(self.model, recipe.objective, recipe.training, data=corpus.fingerprint)
        self.averaging = Averaging(self.training.parameters)
        self.plan = first_plan(recipe, corpus.train.tokens)
        self.history: list[Look] = []
        self._elapsed = 0.0  # of earlier sessions
        self._began = time.perf_counter()
        self._pace: deque[float] = deque(maxlen=RECENT)  # seconds a token
        self.resumed = self._take_up(self.folder) if resume and self.folder is not None else None
        self.steps = self._steps()
        validation_steps(recipe, corpus)  # what cannot be looked at is said before the first step

    def _steps(self) -> TextSteps:
        seed = self.recipe.training.seed
        return steps_of(self.recipe, self.corpus.train, self.corpus.tokenizer, self.plan.stages, seed=seed)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning, those of earlier sessions included."""
        return self._elapsed + time.perf_counter() - self._began

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.training.step >= self.plan.steps

    def run(self) -> Generator[PretrainProgress, None, None]:
        """Teach the model, from where it stands to the end; yields after every optimizer step.

        Closed early (`close()`, or a loop that is left), it writes a checkpoint first, where it has a folder. When it
        ends by itself, the model has the averaged weights, where the recipe asks for that.
        """
        steps = self._fit()
        while not self.finished:
            with recomputing(self.model, self.recipe.run.recompute):
                done = next(steps)
            planned = self._by_the_clock(done)
            if planned is not None:
                steps = self._fit()
            if done.step > (1 - self.recipe.run.average) * self.plan.steps:
                self.averaging.add()
            look = self._look() if self._due(self.recipe.run.validate_every) else None
            try:
                yield self._told(done, planned, look)
            except GeneratorExit:
                if self.folder is not None:
                    self.save()
                raise
            # After it was told: a log that is cut back to the last checkpoint never lacks a step.
            if self.folder is not None and self._due(self.recipe.run.checkpoint_every):
                self.save()
        self.averaging.take()

    def _fit(self) -> Iterator[Progress]:
        return fit(self.training, self.steps)

    def _by_the_clock(self, done: Progress) -> int | None:
        """Look at the clock now and then, and where it would be too late to do so later; the number of steps, where
        that has changed."""
        minutes = self.recipe.run.minutes
        self._pace.append(done.seconds / max(1, done.tokens))
        if minutes is None:
            return None
        spent = self.elapsed
        late = spent + LOOK_AT_PACE * done.seconds > 60 * minutes
        if not late and done.step % LOOK_AT_PACE and done.step > LOOK_AT_PACE:
            return None
        # What else takes time, such as looks and checkpoints, goes on taking its share of it.
        share = max(1.0, spent / max(1e-9, statistics.median(self._pace) * self.plan.tokens(done.step)))
        pace = statistics.median(self._pace) * min(share, 2.0)
        return self._plan_anew(by_the_clock(self.plan, done.step, 60 * minutes - spent, pace))

    def _plan_anew(self, plan: Plan) -> int | None:
        if plan == self.plan:
            return None
        self.plan = plan
        self.training.replan(plan.steps)
        self.steps = self._steps()
        return plan.steps

    def _due(self, every: int) -> bool:
        return self.training.step % every == 0 or self.finished

    def _look(self) -> Look:
        run = self.recipe.run
        with self.averaging.in_place():
            scores = validate(self.model, self.recipe, self.corpus)
            samples = tuple(sample(self.model, text) for text in run.samples)
        look = Look(step=self.training.step, scores=scores, samples=samples)
        self.history.append(look)
        return look

    def _told(self, done: Progress, planned: int | None, look: Look | None) -> PretrainProgress:
        return PretrainProgress(
            step=done.step,
            steps=self.plan.steps,
            loss=done.loss,
            terms=done.terms,
            learning_rate=done.learning_rate,
            gradient_norm=done.gradient_norm,
            tokens=done.tokens,
            seconds=done.seconds,
            elapsed=self.elapsed,
            planned=planned,
            look=look,
        )

    def save(self) -> Path:
        """Write a checkpoint into the folder, whole or not at all."""
        if self.folder is None:
            raise CheckpointError("there is no folder for checkpoints; pass folder=…")
        state = {
            "recipe": self.recipe.tables(),
            "ends": self.plan.ends,
            "history": [asdict(look) for look in self.history],
            "elapsed": self.elapsed,
            "averaged": self.averaging.steps,
        }
        tensors = self.averaging.tensors()
        return save(self.folder / CHECKPOINTS, self.training, state=state, tensors=tensors)

    def _take_up(self, folder: Path) -> int | None:
        """Go on from the newest checkpoint in the folder; its step, or None where there is none."""
        found = restore(folder / CHECKPOINTS, self.training)
        if found is None:
            return None
        # The rest is compared by `restore`, as what it means: "auto" as what it is on this machine.
        own = {name: table for name, table in self.recipe.tables().items() if name in ("model", "batches", "run")}
        if changed := first_change(own, found.state["recipe"]):
            name, now, then = changed
            raise CheckpointError(
                f"the pretraining in {folder} was begun with {name}={then!r}, and now it is {now!r}; go on with the"
                " same recipe, or begin anew in another folder"
            )
        self.plan = replace(self.plan, ends=tuple(found.state["ends"]))
        self.history = [
            Look(step=look["step"], scores=look["scores"], samples=tuple(look["samples"]))
            for look in found.state["history"]
        ]
        self._elapsed = float(found.state["elapsed"])
        self.averaging.restore(found.state["averaged"], found.tensors)
        return found.step


def pretrain(
    recipe: Recipe,
    corpus: Corpus,
    *,
    folder: str | Path | None = None,
    resume: bool = False,
    device: str | None = None,
) -> Generator[PretrainProgress, None, Model]:
    """Teach a new model as the recipe says; yields after every optimizer step, and returns the model.

    folder  where checkpoints go; resume: go on from the newest one there, exactly, as if it had never stopped

        steps = pretrain(read_recipe("recipe.toml"), open_corpus("corpus"), folder="run")
        for progress in steps:
            print(progress.step, progress.loss)
    """
    under_way = Pretraining(recipe, corpus, folder=folder, resume=resume, device=device)
    yield from under_way.run()
    return under_way.model
