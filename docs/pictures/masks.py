"""Draws masks.svg, the picture of the README: one block, five masks.

    python docs/pictures/masks.py                  # writes masks.svg beside this file
    python docs/pictures/masks.py masks.png        # the same in pixels, to look at

Every cell is read from `Mask.table` over the coordinates of the tokens that label it; nothing is drawn by hand.

Shapes: Q queries (rows), K keys (columns).
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Permuted

# Kinds of cells: what the key is to the query. Shape and lightness tell them apart too, for eyes without colour.
NOT, BACK, AHEAD, OTHER = "not", "back", "ahead", "other"
COLOURS = {NOT: "#e6e9ee", BACK: "#1f4e8c", AHEAD: "#f0a22e", OTHER: "#5cb8a6"}
MEANINGS = ((BACK, "", "back, and itself"), (AHEAD, "", "ahead"), (OTHER, "", "other text"), (NOT, "", "not allowed"))
ORDERED = (BACK, "3", "3rd in the order")
CARD, EDGE, INK, SOFT = "#ffffff", "#d4d9e0", "#1c2330", "#5a6472"
WORDS = ("the", "cat", "sat", "on", "my", "mat")
NAME = "One block, five masks"
ORDER = (3, 5, 1, 6, 2, 4)  # XLNet's: the first word comes third, the second comes fifth, …
WIDTH, HEIGHT = 720, 762  # in the units of the viewBox; a phone shows them at half their size


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One network's mask.

    kinds   a name a cell, Q rows of K; None where there is no such cell at all
    splits  after how many rows and columns a gap parts one text from another
    groups  what stands on each side of the column split
    marks   a sign in the cell at which a token meets itself
    """

    title: str
    says: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    kinds: tuple[tuple[str | None, ...], ...]
    row_split: int = 0
    column_split: int = 0
    groups: tuple[str, ...] = ()
    marks: tuple[str, ...] = field(default=())


def kinds(table: Tensor, queries: Coordinates, keys: Coordinates, other: bool = False) -> list[list[str | None]]:
    """The kind of every cell of a table (Q, K); `other` where the keys belong to another text."""
    rows: list[list[str | None]] = []
    for query, row in zip(queries.position[0].tolist(), table.tolist(), strict=True):
        places = zip(keys.position[0].tolist(), row, strict=True)
        rows.append([NOT if not sees else OTHER if other else AHEAD if key > query else BACK for key, sees in places])
    return rows


def frozen(rows: list[list[str | None]]) -> tuple[tuple[str | None, ...], ...]:
    return tuple(tuple(row) for row in rows)


def bert() -> Panel:
    at = Coordinates.consecutive(len(WORDS))
    cells = kinds(Bidirectional().table(at, at)[0], at, at)
    return Panel(title="BERT", says="sees both sides", rows=WORDS, columns=WORDS, kinds=frozen(cells))


def gpt2() -> Panel:
    at = Coordinates.consecutive(len(WORDS))
    cells = kinds(Causal().table(at, at)[0], at, at)
    return Panel(title="GPT-2", says="sees only the past", rows=WORDS, columns=WORDS, kinds=frozen(cells))


def encoder_decoder() -> Panel:
    """Three attentions in one picture: the source's, the target's, and from target to source."""
    source, target = ("ich", "mag", "sie"), ("I", "like", "her")
    there, here = Coordinates.consecutive(len(source)), Coordinates.consecutive(len(target))
    own = kinds(Bidirectional().table(there, there)[0], there, there)
    cross = kinds(Bidirectional().table(here, there)[0], here, there, other=True)
    past = kinds(Causal().table(here, here)[0], here, here)
    cells = [[*row, *([None] * len(target))] for row in own] + [
        [*far, *near] for far, near in zip(cross, past, strict=True)
    ]
    return Panel(
        title="Transformer",
        says="reads, then writes",
        rows=(*source, *target),
        columns=(*source, *target),
        kinds=frozen(cells),
        row_split=len(source),
        column_split=len(source),
        groups=("source", "target"),
    )


def transformer_xl() -> Panel:
    """The second half of the text, which remembers the first."""
    whole, half = Coordinates.consecutive(len(WORDS)), len(WORDS) // 2
    memory, now = whole.slice(0, half), whole.slice(half, len(WORDS))
    keys = memory.then(now)
    table = Causal().table(now, keys)[0]
    remembered = kinds(table[:, :half], now, memory, other=True)
    own = kinds(table[:, half:], now, now)
    return Panel(
        title="Transformer-XL",
        says="keeps a memory",
        rows=WORDS[half:],
        columns=WORDS,
        kinds=frozen([[*far, *near] for far, near in zip(remembered, own, strict=True)]),
        column_split=half,
        groups=("memory", "now"),
    )


def xlnet() -> Panel:
    at = replace(Coordinates.consecutive(len(WORDS)), rank=torch.tensor([ORDER]))
    cells = kinds(Permuted().table(at, at)[0], at, at)
    return Panel(
        title="XLNet",
        says="sees in random order",
        rows=WORDS,
        columns=WORDS,
        kinds=frozen(cells),
        marks=tuple(str(place) for place in ORDER),
    )


# Drawing, in units of the viewBox, y downward

CELL, GAP, SPLIT = 27, 3, 8
SIDE = CELL - GAP
LARGE, BIG, TEXT, SMALL = 37, 25, 19, 17
DPI = 96
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
PANELS = (bert, gpt2, xlnet, encoder_decoder, transformer_xl)


def draw_text(
    axes: Axes,
    x: float,
    y: float,
    words: str,
    size: float = TEXT,
    *,
    colour: str = INK,
    bold: bool = False,
    across: str = "left",
    along: str = "center_baseline",
    upright: bool = False,
) -> None:
    """Words at a point; the font is the file that comes with matplotlib, whatever else this computer has."""
    font = FONTS / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
    rotation = 90 if upright else 0
    points = size * 72 / DPI
    axes.text(
        x, y, words, font=font, fontsize=points, color=colour, ha=across, va=along, rotation=rotation, clip_on=False
    )


def draw_cell(axes: Axes, x: float, y: float, kind: str, mark: str = "") -> None:
    middle = (x + SIDE / 2, y + SIDE / 2)
    shape = Circle(middle, SIDE / 2) if kind == OTHER else Rectangle((x, y), SIDE, SIDE)
    shape.set(facecolor=COLOURS[kind], linewidth=0, clip_on=False)
    axes.add_artist(shape)
    if mark:
        draw_text(axes, *middle, mark, SMALL, across="center", colour=CARD)


def offsets(count: int, split: int) -> list[float]:
    """Where each of `count` rows or columns begins."""
    return [CELL * place + (SPLIT if split and place >= split else 0) for place in range(count)]


def draw_panel(axes: Axes, panel: Panel, left: float, top: float) -> None:
    """Title, words and cells."""
    draw_text(axes, left, top, panel.title, BIG, bold=True)
    draw_text(axes, left, top + 28, panel.says, colour=SOFT)
    x0, y0 = left + 50, top + 103
    xs, ys = offsets(len(panel.columns), panel.column_split), offsets(len(panel.rows), panel.row_split)
    for x, word in zip(xs, panel.columns, strict=True):
        draw_text(axes, x0 + x + SIDE / 2, y0 - 7, word, across="center", along="bottom", upright=True)
    for y, word in zip(ys, panel.rows, strict=True):
        draw_text(axes, x0 - 8, y0 + y + SIDE / 2, word, across="right")
    for row, (y, kinds_of_row) in enumerate(zip(ys, panel.kinds, strict=True)):
        for column, (x, kind) in enumerate(zip(xs, kinds_of_row, strict=True)):
            if kind is not None:
                draw_cell(axes, x0 + x, y0 + y, kind, panel.marks[row] if panel.marks and row == column else "")
    for name, begin, end in zip(panel.groups, (0, panel.column_split), (panel.column_split, len(xs)), strict=False):
        middle = (xs[begin] + xs[end - 1] + SIDE) / 2
        draw_text(axes, x0 + middle, y0 + ys[-1] + SIDE + 16, name, SMALL, across="center", colour=SOFT)


def draw_legend(axes: Axes, left: float, top: float) -> None:
    draw_text(axes, left, top, "How to read", BIG, bold=True)
    for line, words in enumerate(("each row: where", "one word may look")):
        draw_text(axes, left, top + 28 + 23 * line, words, colour=SOFT)
    for place, (kind, mark, meaning) in enumerate((*MEANINGS, ORDERED)):
        y = top + 80 + 35 * place
        draw_cell(axes, left, y, kind, mark)
        draw_text(axes, left + SIDE + 11, y + SIDE / 2, meaning)


def picture() -> Figure:
    """The whole picture, on a light card of its own so that it reads on a dark page too."""
    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
    figure.patch.set_visible(False)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.axis("off")
    card = FancyBboxPatch((1, 1), WIDTH - 2, HEIGHT - 2, boxstyle="round,pad=0,rounding_size=16", clip_on=False)
    card.set(facecolor=CARD, edgecolor=EDGE)
    axes.add_artist(card)
    draw_text(axes, 24, 42, NAME, LARGE, bold=True)
    draw_text(axes, 24, 82, "Who may look at whom decides what a transformer becomes.", colour=SOFT)
    places = [(24 + 232 * column, 138 + 304 * row) for row in range(2) for column in range(3)]
    for panel, (left, top) in zip(PANELS, places, strict=False):
        draw_panel(axes, panel(), left, top)
    draw_legend(axes, *places[-1])
    return figure


def drawn(form: str) -> bytes:
    """The picture as "svg" or "png"; the same bytes each time: no date, no random names, letters as outlines."""
    held = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "masks", "svg.fonttype": "path"}):
        if form == "svg":
            FigureCanvasSVG(picture()).print_svg(held, metadata={"Date": None, "Creator": None, "Title": NAME})
        else:
            FigureCanvasAgg(picture()).print_png(held)
    return held.getvalue()


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".svg")
    target.write_bytes(drawn(target.suffix.removeprefix(".")))


if __name__ == "__main__":
    main()
