"""The progress of a fine-tuning: a bar where somebody watches, else plain lines."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sightline.app import talk

if TYPE_CHECKING:
    from sightline.tasks.finetune import Evaluation, FinetuneProgress, Finetuning

Show = Callable[["FinetuneProgress"], None]
LINES = 10  # plain ones, beside those that say what dev said


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


class _Rates:
    """Loss, rows a second and time left, over the last steps."""

    def __init__(self) -> None:
        self.recent: deque[tuple[float, int, float]] = deque(maxlen=20)  # seconds, rows, loss
        self.last = time.perf_counter()

    def take(self, progress: FinetuneProgress) -> None:
        now = time.perf_counter()
        self.recent.append((now - self.last, progress.rows, progress.loss))  # with looks at dev and checkpoints
        self.last = now

    @property
    def loss(self) -> float:
        return sum(loss for _, _, loss in self.recent) / len(self.recent)

    @property
    def rows(self) -> float:
        return sum(rows for _, rows, _ in self.recent) / max(sum(seconds for seconds, _, _ in self.recent), 1e-9)

    def left(self, progress: FinetuneProgress) -> str:
        return clock(
            sum(seconds for seconds, _, _ in self.recent) / len(self.recent) * (progress.steps - progress.step)
        )


def _dev(look: Evaluation) -> str:
    from sightline.tasks.metrics import in_words

    better = " (best so far)" if look.best else ""
    return f"pass {look.passes:g}: training loss {look.loss:.3f}; dev {in_words(look.scores)}{better}"


def _best(under_way: Finetuning) -> str:
    """The main score of the best look at dev so far, or nothing."""
    best = under_way.best
    if best is None or not best.scores:
        return ""
    scores = best.scores
    return f" · dev {scores['accuracy']:.1%}" if "accuracy" in scores else f" · dev {scores['pearson']:.3f}"


@contextmanager
def board(under_way: Finetuning) -> Iterator[Show]:
    """Gives a function that shows a step, on stderr."""
    rates = _Rates()
    if not sys.stderr.isatty():
        yield _plain(rates)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("Training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        total, done = len(under_way.steps), under_way.training.step
        task = bar.add_task("", total=total, completed=done, said="")

        def show(progress: FinetuneProgress) -> None:
            rates.take(progress)
            said = f"loss {rates.loss:.3f} · {rates.rows:.0f} rows/s · {rates.left(progress)} left{_best(under_way)}"
            bar.update(task, completed=progress.step, said=said, refresh=True)
            if progress.evaluation is not None:
                bar.console.print(_dev(progress.evaluation), highlight=False, markup=False)

        yield show


def _plain(rates: _Rates) -> Show:
    def show(progress: FinetuneProgress) -> None:
        rates.take(progress)
        if progress.evaluation is not None:
            talk.say(_dev(progress.evaluation))
        elif progress.step % max(1, progress.steps // LINES) == 0:
            talk.say(
                f"step {progress.step} of {progress.steps}: loss {rates.loss:.3f}, {rates.rows:.0f} rows/s,"
                f" {rates.left(progress)} left"
            )

    return show
