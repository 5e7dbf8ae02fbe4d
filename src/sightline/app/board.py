"""The board of a comparison: a table that changes as contenders learn, or plain lines where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sightline.app import talk

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.comparison.question import Event
    from sightline.comparison.running import Comparison

WAITING, FAILED = "waiting", "failed"
INDENTED = ("assumed",)
PRINTED = ("reading", "assumed", "planned", "resumed", "failed")  # of what happens, above the table
QUIET = ("preparing", "learning", "known", "finished")  # what plain lines leave out


class _State:
    """What the table says of each contender."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison
        self.rows = {each.name: {"state": WAITING, "dev": "", "seconds": ""} for each in comparison.contenders}
        self.share, self.left, self.reading = 0.0, "", False
        self.current: str | None = None  # who is timed, or learns

    def take(self, event: Event) -> None:
        from sightline.comparison.figures import roughly

        self.share, self.reading = event.share, event.what == "reading"
        self.left = "" if event.left is None else f"about {roughly(event.left)} left"
        if event.contender != self.current and self.current is not None:
            before = self.rows[self.current]
            if before["state"] != FAILED:
                before["state"] = "done" if before["dev"] else WAITING
        self.current = event.contender
        if event.contender is None:
            return
        row = self.rows[event.contender]
        if event.what == "failed":
            row["state"] = FAILED
        elif event.what in ("preparing", "timing", "learning"):
            row["state"] = event.text if event.what == "learning" else event.what
        elif "dev" in event.record:
            dev = event.record["dev"]
            row["dev"] = f"{dev['accuracy']:.1%}" if "accuracy" in dev else f"{dev['pearson']:.3f}"
            row["seconds"] = f"{event.record['seconds']:.1f}"

    def draw(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if self.reading:
            return Text(f"{self.comparison.rows_read:,} rows")
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("contender", ""):
            table.add_column(heading, no_wrap=True)
        for heading in ("on dev", "train s"):
            table.add_column(heading, justify="right", no_wrap=True)
        for name, row in self.rows.items():
            cells = [Text(cell) for cell in (name, row["state"], row["dev"], row["seconds"])]  # no markup in names
            table.add_row(*cells, style="dim" if row["state"] == WAITING else "")
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=1.0, completed=self.share, width=40), f"{self.share:.0%}", self.left)
        return Group(table, bar)


def _line(event: Event) -> str:
    """An event as one line."""
    if event.what in ("tried", "judged"):
        return f"{event.share:4.0%}  {event.text}"
    return f"  {event.text}" if event.what in INDENTED else event.text


@contextmanager
def board(comparison: Comparison) -> Iterator[Callable[[Event], Any]]:
    """A function that takes each event of a comparison and shows it on stderr."""
    if not sys.stderr.isatty():
        yield lambda event: None if event.what in QUIET else talk.say(_line(event))
        return
    from rich.console import Console
    from rich.live import Live

    console, state = Console(stderr=True), _State(comparison)
    # What stays on the screen is the answer's table, not this one.
    with Live(console=console, get_renderable=state.draw, refresh_per_second=4, transient=True) as live:

        def show(event: Event) -> None:
            state.take(event)
            if event.what in PRINTED:
                live.console.print(talk.for_command_line(_line(event)), highlight=False, markup=False)

        yield show
