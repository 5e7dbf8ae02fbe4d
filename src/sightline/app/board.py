"""The board of a comparison: a table that changes as contenders learn, or plain lines where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sightline.app import talk

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sightline.comparison.compare import Event

WAITING = "waiting"
SIGNS = {"reading": "", "timing": "", "assumed": "  ", "planned": ""}  # what stands before a line of each kind


class _State:
    """What the table says of each contender."""

    def __init__(self, contenders: Sequence[str]) -> None:
        self.rows = {name: {"state": WAITING, "dev": "", "seconds": ""} for name in contenders}
        self.share, self.left = 0.0, ""

    def take(self, event: Event) -> None:
        from sightline.comparison.compare import duration

        self.share = event.share
        self.left = "" if event.left is None else f"about {duration(event.left)} left"
        if event.contender is None:
            return
        row = self.rows[event.contender]
        if event.what == "failed":
            row["state"] = event.text.removeprefix(f"{event.contender} ")
        elif event.what in ("timing", "learning"):
            row["state"] = "timing" if event.what == "timing" else event.text
        elif "dev" in event.record:
            dev = event.record["dev"]
            row["state"] = "done" if event.what == "judged" else row["state"]
            row["dev"] = f"{dev['accuracy']:.1%}" if "accuracy" in dev else f"{dev['pearson']:.3f}"
            row["seconds"] = f"{event.record['seconds']:.1f}"

    def draw(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading, justify in (("contender", "left"), ("", "left"), ("on dev", "right"), ("train s", "right")):
            table.add_column(heading, justify=justify)  # type: ignore[arg-type]
        for name, row in self.rows.items():
            table.add_row(
                name, row["state"], row["dev"], row["seconds"], style="dim" if row["state"] == WAITING else ""
            )
        bar = Table.grid(padding=(0, 1))
        bar.add_row(ProgressBar(total=1.0, completed=self.share, width=40), f"{self.share:.0%}", self.left)
        return Group(table, bar)


@contextmanager
def board(contenders: Sequence[str]) -> Iterator[Callable[[Event], Any]]:
    """A function that takes each event of a comparison and shows it on stderr."""
    state = _State(contenders)

    def line(event: Event) -> None:
        state.take(event)
        if event.what not in ("learning", "finished"):
            talk.say(SIGNS.get(event.what, "") + event.text)

    if not sys.stderr.isatty():
        yield line
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(console=console, get_renderable=state.draw, refresh_per_second=4) as live:

        def show(event: Event) -> None:
            state.take(event)
            if event.what in SIGNS and event.what != "timing":
                live.console.print(SIGNS[event.what] + event.text, highlight=False, markup=False)

        yield show
