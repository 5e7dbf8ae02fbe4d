"""Pictures in pixels, by matplotlib: a dependence matrix with its tokens, the same signs as on the page.

The letters are those of the font that comes with matplotlib, whatever else a computer has; a character that it lacks is
drawn as an empty square.

Shapes: Q outputs (rows), K inputs (columns).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.core.files import replace_files
from sightline.pages.markup import shortened
from sightline.probing.draw import Kind, Matrix, label, meanings
from sightline.probing.draw_svg import FEW, LABEL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUES = ("#c9dcf0", "#9dc0e4", "#6a9fd4", "#3373b3", "#16538f")  # by shade, the weakest first
LEAK, MISSING, UNSURE, DOT = "#d9650f", "#8a2f63", "#d8d4cb", "#c9c5bc"
INK, SOFT, PAPER = "#1d2126", "#5a6169", "#ffffff"
DPI = 150
CELL = 0.27  # inches, of few tokens
LARGEST = 12.0  # inches of a whole matrix
METADATA = {"Software": None}  # the same picture is the same bytes


@cache
def _known() -> frozenset[int]:
    """The characters that the font has."""
    import matplotlib
    from matplotlib.font_manager import get_font

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return frozenset(get_font(str(path)).get_charmap())


def drawable(text: str) -> str:
    """The text with an empty square for each character that the font lacks."""
    known = _known()
    return "".join(sign if ord(sign) in known else "□" for sign in text)


def words(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    *,
    size: float = 8.0,
    colour: str = INK,
    across: str = "left",
    along: str = "center",
    turned: bool = False,
) -> None:
    """A text at a point, in the axes' own units; nothing in it is taken for a formula."""
    axes.text(
        x,
        y,
        drawable(text),
        fontsize=size,
        color=colour,
        family="DejaVu Sans",
        parse_math=False,
        ha=across,
        va=along,
        rotation=90 if turned else 0,
        clip_on=False,
    )


def blank(width: float, height: float, across: float, down: float) -> tuple[Figure, Axes]:
    """A picture of so many inches, with axes in units of one's own, y downward."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, across), ylim=(down, 0))
    axes.set_axis_off()
    return figure, axes


def _cells(axes: Axes, matrix: Matrix, left: float, top: float) -> None:
    """Every cell, one unit wide, by its kind."""
    from matplotlib.collections import LineCollection, PatchCollection
    from matplotlib.patches import Rectangle

    apart = max(len(matrix.outputs), len(matrix.inputs)) <= FEW
    side = 0.9 if apart else 1.0
    filled: dict[str, list[Rectangle]] = {}
    lines: dict[str, list[list[tuple[float, float]]]] = {}
    for row, (kinds, shades) in enumerate(zip(matrix.kinds(), matrix.shades(), strict=True)):
        for column, (kind, shade) in enumerate(zip(kinds, shades, strict=True)):
            x, y = left + column, top + row
            colours = {"sees": BLUES[shade - 1], "leak": LEAK, "unsure": UNSURE}
            if kind in colours:
                filled.setdefault(colours[kind], []).append(Rectangle((x, y), side, side))
            if apart or kind in ("missing", "leak"):
                for colour, line in _signs(kind, x, y, side):
                    lines.setdefault(colour, []).append(line)
    for colour, squares in filled.items():
        axes.add_collection(PatchCollection(squares, facecolor=colour, linewidth=0), autolim=False)
    for colour, drawn in lines.items():
        axes.add_collection(LineCollection(drawn, colors=colour, linewidths=1.3), autolim=False)


def _signs(kind: Kind, x: float, y: float, side: float) -> list[tuple[str, list[tuple[float, float]]]]:
    """Lines upon a cell of this kind, each with its colour."""
    low, high = 0.25 * side, 0.75 * side
    match kind:
        case "leak":
            return [
                (PAPER, [(x + low, y + low), (x + high, y + high)]),
                (PAPER, [(x + low, y + high), (x + high, y + low)]),
            ]
        case "missing":
            near, far = 0.08, side - 0.08
            corners = [(near, near), (far, near), (far, far), (near, far), (near, near)]
            return [(MISSING, [(x + dx, y + dy) for dx, dy in corners])]
        case "unsure":
            return [(SOFT, [(x, y + side), (x + side, y)])]
        case "blind":
            return [(DOT, [(x + side / 2 - 0.05, y + side / 2), (x + side / 2 + 0.05, y + side / 2)])]
    return []


def _axis_labels(axes: Axes, texts: Sequence[str], left: float, top: float, *, turned: bool) -> None:
    for place, text in enumerate(texts):
        said = shortened(label(text), LABEL)
        if turned:
            words(axes, left + place + 0.45, top - 0.35, said, across="center", along="bottom", turned=True)
        else:
            words(axes, left - 0.35, top + place + 0.45, said, across="right")


def _legend(axes: Axes, matrix: Matrix, left: float, top: float, unit: float) -> None:
    """What the signs mean, one below the other; `unit`: lines' distance."""
    from matplotlib.patches import Rectangle

    told: list[tuple[Kind | None, str]] = list(meanings(matrix))
    if matrix.strength is not None and matrix.count("sees"):
        told.append((None, "darker: more strongly, each shade ten times"))
    for number, (kind, text) in enumerate(told):
        y = top + number * unit
        fill = {"sees": BLUES[-1], "leak": LEAK, "unsure": UNSURE}.get(str(kind))
        side = unit * 0.62
        if fill is not None:
            axes.add_artist(Rectangle((left, y), side, side, facecolor=fill, linewidth=0))
        for colour, line in [] if kind is None else _signs(kind, 0, 0, 1):
            axes.plot([left + x * side for x, _ in line], [y + dy * side for _, dy in line], color=colour, lw=1.3)
        words(axes, left + (unit if kind is not None else 0), y + side / 2, text, size=8, colour=SOFT)


def draw(matrix: Matrix, title: str) -> Figure:
    """The matrix as a figure of matplotlib."""
    rows, columns = len(matrix.outputs), len(matrix.inputs)
    few = max(rows, columns) <= FEW
    cell = CELL if few else LARGEST / max(rows, columns)  # inches
    longest = max((len(shortened(label(text), LABEL)) for text in (*matrix.outputs, *matrix.inputs)), default=0)
    gutter = 0.25 + 0.095 * longest if few else 0.25
    lines = len(meanings(matrix)) + (matrix.strength is not None)
    head, foot = 0.45, 0.25 + 0.22 * lines
    width = max(gutter + columns * cell + 0.2, 4.2)
    height = head + gutter + rows * cell + foot
    figure, axes = blank(width, height, width / cell, height / cell)
    left, top = gutter / cell, (head + gutter) / cell
    room = int((width - 0.3) / 0.085)  # letters that fit into the heading
    words(axes, 0.15 / cell, 0.25 / cell, shortened(title, room), size=10)
    _cells(axes, matrix, left, top)
    if few:
        _axis_labels(axes, matrix.outputs, left, top, turned=False)
        _axis_labels(axes, matrix.inputs, left, top, turned=True)
    _legend(axes, matrix, 0.15 / cell, top + rows + 0.15 / cell, 0.22 / cell)
    return figure


def pixels(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata=METADATA)
    return drawn.getvalue()


def png(matrix: Matrix, title: str) -> bytes:
    """The matrix as a PNG file.

    Path("seen.png").write_bytes(png(matrix, "GPT-2: who sees whom"))
    """
    return pixels(draw(matrix, title))


def write_png(matrix: Matrix, path: Path, title: str) -> None:
    """Write the matrix as a PNG file, whole or not at all."""
    replace_files(path.parent, {path.name: lambda place: place.write_bytes(png(matrix, title))})
