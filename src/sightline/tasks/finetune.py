"""Fine-tuning: any model with a head for rows learns classes, or numbers, from labelled texts or pairs of texts.

    Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", section 3.2; Devlin et al. 2019,
    "BERT", section 4.1 and appendix A.3.

    model = with_classifier(load("bert-base-uncased"), train.labels)
    for progress in finetune(model, train, dev, FinetuneConfig(passes=3)):
        print(progress.step, progress.loss)

It is the one loop, `training.fit`, with looks at dev between its steps: the weights that were best there are the ones
that the model has in the end.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy
import torch
from torch import Tensor

from sightline.errors import CheckpointError, ConfigError
from sightline.model.model import Model, tokenizer_of
from sightline.objectives.classify import Classify, Regress
from sightline.tasks import metrics
from sightline.tasks.answers import answers
from sightline.tasks.encode import Long, cut_in_words, encode, longest
from sightline.tasks.finetune_config import FinetuneConfig
from sightline.tasks.metrics import goodness
from sightline.tasks.ready import balanced, check_examples, fingerprint, own_memory, taught
from sightline.tasks.scale import Scale, fold_in
from sightline.text.labelled import Examples
from sightline.training.checkpoint import restore, save
from sightline.training.fit import DivergedError, Progress, Training, fit
from sightline.training.steps import LabelledSteps


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A look at dev.

    step    after how many optimizer steps
    passes  how many passes over the training rows that is
    loss    mean loss of the steps since the last look
    scores  on dev: accuracy, macro_f1, log_loss; for numbers pearson, spearman, rmse, mae; empty without dev
    best    whether no earlier look was as good
    """

    step: int
    passes: float
    loss: float
    scores: Mapping[str, float]
    best: bool


@dataclass(frozen=True, kw_only=True)
class FinetuneProgress:
    """What one optimizer step did.

    step, steps    how many are done, and how many there will be at most
    loss           of this step
    learning_rate  of this step
    rows, tokens   how many were read in it, padding not counted
    seconds        that it took, without the look at dev
    evaluation     what dev says after it, where this step is followed by a look
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    rows: int
    tokens: int
    seconds: float
    evaluation: Evaluation | None


class Finetuning:
    """A fine-tuning under way: what is learned from, how, and what came of it so far.

    history  every look at dev
    paired   whether rows are pairs of texts
    cut      how many training texts lost their end; windowed: how many are read in windows
    resumed  at which step an earlier run was taken up; None: this one is new

    Raises InputError for rows that do not fit the model, ConfigError for settings that cannot be, and CheckpointError
    for a checkpoint of another training.
    """

    def __init__(
        self,
        model: Model,
        train: Examples,
        dev: Examples | None,
        config: FinetuneConfig,
        *,
        folder: str | Path | None = None,
        resume: bool = False,
    ) -> None:
        check_examples(model, train, dev)
        if train.labels is None and (config.class_weights is not None or config.label_smoothing):
            of_classes = "label_smoothing=…" if config.class_weights is None else "class_weights=…"
            raise ConfigError(f"{of_classes} is for classes, and the rows have numbers; leave it out")
        self.model, self.dev, self.config = model, dev, config
        self.folder = None if folder is None else Path(folder)
        self.limit, tokenizer = longest(model, config.max_length), tokenizer_of(model)
        long: Long = config.long
        encoded = encode(tokenizer, train.texts, train.pairs, limit=self.limit, long=long, numbers=train.rows)
        self.cut, self.windowed = (encoded.long, 0) if long == "cut" else (0, encoded.long)
        self._dev = None
        if dev is not None:
            self._dev = encode(tokenizer, dev.texts, dev.pairs, limit=self.limit, long=long, numbers=dev.rows)
        self.paired = train.pairs is not None
        self.scale = Scale.of(train)
        targets = self.scale.standard(train.targets)
        own_memory(model)
        self.steps = LabelledSteps(
            encoded.rows,
            targets[encoded.owners],
            filler=tokenizer.special.pad_id or 0,
            batch_rows=config.batch_rows,
            passes=config.passes,
            seed=config.seed,
            batch_tokens=config.batch_tokens,
            numbers=[train.rows[owner] for owner in encoded.owners],
        )
        weights = balanced(train) if config.class_weights == "balanced" else None
        objective = (
            Regress()
            if train.labels is None
            else Classify(class_weights=weights, label_smoothing=config.label_smoothing)
        )
        data = fingerprint(self.steps.fingerprint, dev, train.labels)
        self.training = Training(model, objective, config.training(), data=data)
        self.history: list[Evaluation] = []
        self._best: dict[str, Tensor] = {}
        self._losses: list[float] = []  # since the last look at dev
        self.resumed = self._take_up(self.folder) if resume and self.folder is not None else None

    @property
    def best(self) -> Evaluation | None:
        """The look at dev at which it was best; None before the first."""
        return next((look for look in reversed(self.history) if look.best), None)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or dev has not become better for so long that the rest is left."""
        return self.training.step >= len(self.steps) or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether dev has not become better for as many looks as the configuration waits."""
        patience = self.config.early_stopping
        if patience is None or self.dev is None or len(self.history) < patience:
            return False
        return not any(look.best for look in self.history[-patience:])

    def run(self) -> Generator[FinetuneProgress, None, None]:
        """Teach the model, from where it stands to the end; yields after every optimizer step.

        Closed early (`close()`, or a loop that is left), it writes a checkpoint first, where it has a folder. When it
        ends by itself, the model holds the weights that were best on dev, and gives answers on the targets' own scale.
        """
        steps = fit(self.training, self.steps)
        while not self.finished:
            done = next(steps)
            look = self._after(done)
            saved = self._due(look)
            if saved:
                self.save()
            try:
                yield _progress(done, look)
            except GeneratorExit:
                if self.folder is not None and not saved:
                    self.save()
                raise
        self._finish()

    def save(self) -> Path:
        """Write a checkpoint into the folder, whole or not at all."""
        if self.folder is None:
            raise CheckpointError("there is no folder for checkpoints; pass folder=…")
        state = {
            "settings": asdict(self.config),
            "history": [asdict(look) for look in self.history],
            "losses": self._losses,
        }
        return save(self.folder, self.training, state=state, tensors=self._best)

    def _take_up(self, folder: Path) -> int | None:
        """Go on from the newest checkpoint in the folder; its step, or None where there is none."""
        found = restore(folder, self.training)
        if found is None:
            return None
        settings = asdict(self.config)
        for name, value in found.state["settings"].items():
            if settings.get(name) != value and name != "checkpoint_every":
                raise CheckpointError(
                    f"the training in {self.folder} was begun with {name}={value!r}, and now it is"
                    f" {settings.get(name)!r}; go on with the same settings, or begin anew in another folder"
                )
        self.history = [Evaluation(**look) for look in found.state["history"]]
        self._losses = list(found.state["losses"])
        self._best = dict(found.tensors)
        return found.step

    def _after(self, done: Progress) -> Evaluation | None:
        """The look at dev, where one is due after this step."""
        self._losses.append(done.loss)
        number, place = divmod(done.step - 1, self.steps.steps_per_pass)
        looks = range(1, self.config.evaluations + 1)
        ends = {-(-self.steps.steps_per_pass * look // self.config.evaluations) for look in looks}
        if place + 1 not in ends:
            return None
        scores = self._scores()
        before = self.best
        best = before is None or (bool(scores) and goodness(scores) > goodness(before.scores)) or not scores
        if best and scores:
            self._best = {name: weight.detach().clone() for name, weight in self.training.parameters.items()}
        look = Evaluation(
            step=done.step,
            passes=number + (place + 1) / self.steps.steps_per_pass,
            loss=float(numpy.mean(self._losses)),
            scores=scores,
            best=best,
        )
        self.history.append(look)
        self._losses.clear()
        return look

    def _scores(self) -> dict[str, float]:
        if self.dev is None or self._dev is None:
            return {}
        found = answers(self.model, self._dev)
        if not numpy.isfinite(found).all():
            raise DivergedError(f"step {self.training.step}: answers on dev are not finite; lower learning_rate")
        return metrics.scores(self.dev.targets, self.scale.own(found) if self.dev.labels is None else found)

    def _due(self, look: Evaluation | None) -> bool:
        every = self.config.checkpoint_every
        return self.folder is not None and (look is not None or (every is not None and self.training.step % every == 0))

    def _finish(self) -> None:
        with torch.no_grad():
            for name, weight in self._best.items():
                self.training.parameters[name].copy_(weight)
        fold_in(self.model, self.scale)
        taught(self.model, self.limit, self.config.long)


def _progress(done: Progress, look: Evaluation | None) -> FinetuneProgress:
    return FinetuneProgress(
        step=done.step,
        steps=done.steps,
        loss=done.loss,
        learning_rate=done.learning_rate,
        rows=done.rows,
        tokens=done.tokens,
        seconds=done.seconds,
        evaluation=look,
    )


def finetune(
    model: Model,
    train: Examples,
    dev: Examples | None = None,
    config: FinetuneConfig | None = None,
    *,
    folder: str | Path | None = None,
    resume: bool = False,
) -> Generator[FinetuneProgress, None, None]:
    """Teach a model from labelled rows, in place; yields after every optimizer step.

    model   with a head for rows: `with_classifier(model, train.labels)`
    dev     rows that it does not learn from and is judged by after every pass; None: the last weights are the result
    folder  where checkpoints go: after every look at dev, every `checkpoint_every` steps, and when the loop is left
    resume  go on from the newest checkpoint in `folder`, exactly, as if it had never stopped; from the start where
            there is none

    After the last step the model is in eval mode and holds the weights that were best on dev.

    Raises DivergedError where the loss, or an answer on dev, is not finite any more; InputError, ConfigError and
    CheckpointError as `Finetuning` does, at the first step.

        for progress in finetune(model, train, dev, FinetuneConfig(passes=3, learning_rate=5e-5)):
            print(progress.step, progress.steps, progress.loss)
        model.save("folder")
    """
    under_way = Finetuning(model, train, dev, config or FinetuneConfig(), folder=folder, resume=resume)
    if under_way.cut:
        warnings.warn(cut_in_words(under_way.cut, len(train), under_way.limit), stacklevel=2)
    yield from under_way.run()


tune = finetune
"""What the command line calls it."""
