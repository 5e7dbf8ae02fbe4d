"""A dependence matrix as inline SVG: few paths, a legend, and values for pointer and keys to read out.

Shapes: Q outputs (rows), K inputs (columns).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sightline.pages.markup import Child, Html, isolated, joined, listed, shortened, tag
from sightline.pages.shell import data
from sightline.probing.draw import KINDS, SHADES, Kind, Matrix, label, meanings

LETTER = 7.3  # units that a letter of a label takes, about
LABEL = 12  # letters of a label
GAP = 2.0
FEW = 64  # tokens that are labelled and drawn apart; of more, a row's equal cells are one run


def cell_size(tokens: int) -> float:
    """Units a cell takes: large ones for few tokens."""
    sizes = ((12, 24.0), (20, 20.0), (FEW, 18.0), (160, 6.0), (400, 3.0))
    return next((size for most, size in sizes if tokens <= most), 1.5)


def gutter(texts: Sequence[str]) -> float:
    """Units that the labels of these tokens take."""
    if len(texts) > FEW:
        return 10.0
    return 10 + LETTER * max((len(shortened(label(text), LABEL)) for text in texts), default=0)


def _runs(row: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Equal neighbours of a row together: first, one past the last, what they are."""
    begin = 0
    for place in range(1, len(row) + 1):
        if place == len(row) or row[place] != row[begin]:
            yield begin, place, row[begin]
            begin = place


def _square(x: float, y: float, size: float) -> str:
    return f"M{x:g} {y:g}h{size:g}v{size:g}h{-size:g}z"


def _sign(kind: Kind, x: float, y: float, size: float) -> str:
    """What is drawn upon a cell of this kind, so that its colour need not be told from others."""
    if kind == "leak":
        low, high = size * 0.25, size * 0.75
        return f"M{x + low:g} {y + low:g}L{x + high:g} {y + high:g}M{x + high:g} {y + low:g}L{x + low:g} {y + high:g}"
    if kind == "missing":
        return _square(x + 1.5, y + 1.5, size - 3)
    if kind == "unsure":
        return f"M{x:g} {y + size:g}L{x + size:g} {y:g}M{x:g} {y + size / 2:g}L{x + size / 2:g} {y:g}"
    return f"M{x + size / 2 - 1:g} {y + size / 2:g}h2" if kind == "blind" else ""


def _apart(matrix: Matrix, left: float, top: float, cell: float) -> dict[str, list[str]]:
    """Paths by class, every cell for itself."""
    paths: dict[str, list[str]] = {}
    for row, (kinds, shades) in enumerate(zip(matrix.kinds(), matrix.shades(), strict=True)):
        for column, (kind, shade) in enumerate(zip(kinds, shades, strict=True)):
            x, y = left + column * cell, top + row * cell
            if kind in ("sees", "leak", "unsure"):
                of = f"cell {kind}" + (f" shade-{shade}" if kind == "sees" else "")
                paths.setdefault(of, []).append(_square(x, y, cell - GAP))
            if sign := _sign(kind, x, y, cell - GAP):
                paths.setdefault(f"sign {kind}-sign", []).append(sign)
    return paths


def _together(matrix: Matrix, left: float, top: float, cell: float) -> dict[str, list[str]]:
    """Paths by class, neighbours of one kind as one piece; leaks stand out by colour and stand upon all else."""
    paths: dict[str, list[str]] = {}
    for row, (kinds, shades) in enumerate(zip(matrix.kinds(), matrix.shades(), strict=True)):
        classes = [
            f"cell {kind}" + (f" shade-{shade}" if kind == "sees" else "")
            for kind, shade in zip(kinds, shades, strict=True)
        ]
        for begin, end, of in _runs(classes):
            if of != "cell blind":
                x, y, wide = left + begin * cell, top + row * cell, (end - begin) * cell
                paths.setdefault(of, []).append(f"M{x:g} {y:g}h{wide:g}v{cell:g}h{-wide:g}z")
    return paths


def _labels(matrix: Matrix, left: float, top: float, cell: float) -> list[Child]:
    """Each token's text beside its row and above its column, or of many only how many there are."""
    if max(len(matrix.outputs), len(matrix.inputs)) > FEW:
        return []
    texts: list[Child] = []
    for row, token in enumerate(matrix.outputs):
        y = top + row * cell + cell / 2 + 4
        texts.append(tag("text", shortened(label(token), LABEL), x=left - 6, y=y, text_anchor="end"))
    for column, token in enumerate(matrix.inputs):
        x = left + column * cell + cell / 2 + 3
        turned = f"translate({x:.1f} {top - 6:.1f}) rotate(-90)"
        texts.append(tag("text", shortened(label(token), LABEL), transform=turned))
    return texts


def key(kind: Kind) -> Html:
    """A cell of this kind as a sign in running text; the words beside it say what it means."""
    parts: list[Child] = []
    if kind in ("sees", "leak", "unsure"):
        parts.append(tag("path", d=_square(0, 0, 16), class_=f"cell {kind}" + (" shade-5" if kind == "sees" else "")))
    if sign := _sign(kind, 0, 0, 16):
        parts.append(tag("path", d=sign, class_=f"sign {kind}-sign"))
    return tag("svg", *parts, class_="cell-key", viewBox="0 0 16 16", aria_hidden="true", focusable="false")


def _scale() -> Html:
    """Every shade, the weakest first: which of them is dark depends on the page's ground."""
    steps = [
        tag("rect", x=10 * step, y=0, width=9, height=16, class_=f"cell shade-{step + 1}") for step in range(SHADES)
    ]
    box = f"0 0 {10 * SHADES} 16"
    return tag("svg", *steps, class_="cell-scale", viewBox=box, aria_hidden="true", focusable="false")


def legend(matrix: Matrix) -> Html:
    """What the signs of this matrix mean."""
    told = [joined(key(kind), text) for kind, text in meanings(matrix)]
    if matrix.strength is not None and matrix.count("sees"):
        told.append(joined(_scale(), "weaker to stronger, each shade ten times"))
    return listed(*told, class_="cells")


def _values(matrix: Matrix) -> dict[str, object]:
    """What a pointer or a key reads out: texts, a letter a cell, and strengths to three digits."""
    letters = {kind: kind[0] for kind in KINDS}
    strength = None
    if matrix.strength is not None:
        rows = matrix.strength.tolist()
        strength = [[float(f"{value:.2e}") if math.isfinite(value) else -1 for value in row] for row in rows]
    return {
        "outputs": [label(text) for text in matrix.outputs],
        "inputs": [label(text) for text in matrix.inputs],
        "kinds": ["".join(letters[kind] for kind in row) for row in matrix.kinds()],
        "expected": matrix.expected is not None,
        "measured": matrix.measured is not None,
        "strength": strength,
    }


def drawn(matrix: Matrix, name: str, title: str) -> Html:
    """The matrix as a figure for a page that `draw_page.page` makes: a pointer or the arrow keys read out its cells.

    name   an id, the page's own for this matrix: letters, digits and hyphens
    title  what it shows, in words
    """
    rows, columns = len(matrix.outputs), len(matrix.inputs)
    most = max(rows, columns)
    cell = cell_size(most)
    left, top = gutter(matrix.outputs), gutter(matrix.inputs)
    paths = (_apart if most <= FEW else _together)(matrix, left, top, cell)
    width, height = left + columns * cell + 2, top + rows * cell + 2
    shapes = [tag("path", d="".join(pieces), class_=of) for of, pieces in sorted(paths.items())]
    frame = tag("rect", x=left - 1, y=top - 1, width=columns * cell, height=rows * cell, class_="frame")
    cursor = tag("rect", x=left, y=top, width=cell - 1, height=cell - 1, class_="cursor", hidden="")
    picture = tag(
        "svg",
        frame,
        *shapes,
        *_labels(matrix, left, top, cell),
        cursor,
        class_="matrix-drawn",
        viewBox=f"0 0 {width:g} {height:g}",
        style=f"min-width:{0.75 * width:.0f}px;max-width:{width:.0f}px",
        aria_hidden="true",
        focusable="false",
    )
    box = tag(
        "div",
        picture,
        class_="matrix-box",
        tabindex="0",
        role="application",
        aria_label=f"{title}. {matrix.said()}. Arrow keys go from cell to cell.",
        data_left=left,
        data_top=top,
        data_cell=cell,
        data_width=width,
    )
    hint = "Point at a cell, or use the arrow keys: rows are outputs, columns the inputs that they depend on."
    readout = tag("p", hint, class_="readout", role="status")
    caption = tag("figcaption", isolated(title))
    return tag("figure", caption, legend(matrix), box, readout, data(f"{name}-values", _values(matrix)),
               class_="matrix-figure", id=name)  # fmt: skip
