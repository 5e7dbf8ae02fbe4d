"""The progress of a pretraining: a bar where somebody watches, else plain lines."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sightline.app import talk
from sightline.app.tune_board import LINES, clock

if TYPE_CHECKING:
    from sightline.tasks.pretrain import Look, Pretraining, PretrainProgress

Show = Callable[["PretrainProgress"], None]


class _Rates:
    """Loss, tokens a second and time left, over the last steps."""

    def __init__(self, under_way: Pretraining) -> None:
        self.under_way = under_way
        self.recent: deque[tuple[float, int, float]] = deque(maxlen=20)  # elapsed, tokens, loss

    def said(self, progress: PretrainProgress) -> str:
        self.recent.append((progress.elapsed, progress.tokens, progress.loss))
        loss = sum(loss for _, _, loss in self.recent) / len(self.recent)
        seconds = self.recent[-1][0] - self.recent[0][0] if len(self.recent) > 1 else progress.seconds
        tokens = sum(tokens for _, tokens, _ in list(self.recent)[1:]) or progress.tokens
        rate = tokens / max(seconds, 1e-9)
        plan = self.under_way.plan
        left = (plan.tokens(plan.steps) - plan.tokens(progress.step)) / rate
        return f"loss {loss:.3f} · {rate:,.0f} tokens/s · {clock(left)} left"


def _look(look: Look) -> list[str]:
    """What a look at the validation part says, line by line."""
    scores = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in look.scores.items()) or "nothing"
    return [f"step {look.step:,}: valid {scores}", *(f"  {' '.join(text.split())}" for text in look.samples)]


@contextmanager
def board(under_way: Pretraining) -> Iterator[Show]:
    """Gives a function that shows a step, on stderr."""
    rates = _Rates(under_way)
    if not sys.stderr.isatty():
        yield _plain(rates)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("Training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=under_way.plan.steps, completed=under_way.training.step, said="")

        def show(progress: PretrainProgress) -> None:
            bar.update(task, completed=progress.step, total=progress.steps, said=rates.said(progress), refresh=True)
            if progress.look is not None:
                for line in _look(progress.look):
                    bar.console.print(line, highlight=False, markup=False)

        yield show


def _plain(rates: _Rates) -> Show:
    def show(progress: PretrainProgress) -> None:
        said = rates.said(progress)
        if progress.planned is not None:
            talk.say(f"step {progress.step:,}: by the pace so far there will be {progress.planned:,} steps")
        if progress.look is not None:
            for line in _look(progress.look):
                talk.say(line)
        elif progress.step % max(1, progress.steps // LINES) == 0:
            talk.say(f"step {progress.step:,} of {progress.steps:,}: {said}")

    return show
