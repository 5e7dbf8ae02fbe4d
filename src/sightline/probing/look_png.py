"""The pictures of a look as PNG files: who sees whom, all heads, one head with arrows, the layers' words, the changes.

Shapes: L layers, H heads, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy
import torch
from torch import Tensor

from sightline.pages.markup import shortened
from sightline.probing.attention import surest
from sightline.probing.draw import label
from sightline.probing.draw_png import BLUES, INK, PAPER, SOFT, blank, pixels, png, words
from sightline.probing.draw_svg import LABEL
from sightline.probing.lens import Lens
from sightline.probing.look_parts import CHANGES, SHARES, level
from sightline.probing.replaced import Replaced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.probing.look import Look

LINE = 0.24  # inches from one token to the next
CELL = 0.78  # inches of a word


def _colour(share: Tensor) -> numpy.ndarray:
    """Weights as colours, by their square root, so that weak ones show, and white below 0: (…) → (…, 3)."""
    from matplotlib.colors import LinearSegmentedColormap

    scale = LinearSegmentedColormap.from_list("weights", ["#f4f2ee", *BLUES])
    coloured = numpy.asarray(scale(share.clamp(min=0).sqrt().numpy()))[..., :3]
    coloured[share.numpy() < 0] = 1.0
    return coloured


def all_heads(weights: Tensor) -> Figure:
    """A square a head: layers from top to bottom, heads from left to right."""
    layers, heads = weights.shape[:2]
    side = min(0.6, 10.0 / max(layers, heads))
    wide, high = max(heads * side + 0.6, 2.4), layers * side + 0.75
    figure, axes = blank(wide, high, wide / side, high / side)
    left, top = 0.45 / side, 0.4 / side
    words(axes, 0.1 / side, 0.18 / side, "layers down, heads across", size=9)
    tokens, gap = weights.shape[-1], max(1, weights.shape[-1] // 16)  # white between one head and the next
    apart = torch.nn.functional.pad(weights, (0, gap, 0, gap), value=-1.0)
    sheet = apart.transpose(1, 2).reshape(layers * (tokens + gap), heads * (tokens + gap))
    extent = (left, left + heads, top + layers, top)
    axes.imshow(_colour(sheet), extent=extent, interpolation="nearest", aspect="auto")
    for layer in range(layers):
        words(axes, left - 0.1 / side, top + layer + 0.5, str(layer + 1), size=7, colour=SOFT, across="right")
    for head in range(heads):
        words(axes, left + head + 0.47, top + layers + 0.12 / side, str(head + 1), size=7, colour=SOFT, across="center")
    axes.set(xlim=(0, wide / side), ylim=(high / side, 0))
    return figure


def one_head(weights: Tensor, texts: Sequence[str], title: str) -> Figure:
    """One head (T, T): who asks at the left, who answers at the right, an arrow for each weight worth one."""
    tokens = len(texts)
    width, height = 4.6, 0.75 + LINE * tokens
    figure, axes = blank(width, height, width, height)
    names = [shortened(label(text), LABEL) for text in texts]
    words(axes, 0.15, 0.2, title, size=10)
    words(axes, 1.35, 0.48, "asks", colour=SOFT, across="right")
    words(axes, width - 1.35, 0.48, "answers", colour=SOFT)
    ordered = sorted((float(weights[query, key]), query, key) for query in range(tokens) for key in range(tokens))
    for share, query, key in ordered:
        if share > 0.04:
            ends = [(1.45, 0.75 + LINE * query), (width - 1.45, 0.75 + LINE * key)]
            arrow = {
                "arrowstyle": "-|>,head_length=0.25,head_width=0.12",
                "color": BLUES[-1],
                "shrinkA": 0,
                "shrinkB": 0,
            }
            strength = {"alpha": max(0.1, share), "linewidth": 0.4 + 2.2 * share}
            axes.annotate("", ends[1], ends[0], arrowprops={**arrow, **strength})
    for place, name in enumerate(names):
        words(axes, 1.35, 0.75 + LINE * place, name, across="right")
        words(axes, width - 1.35, 0.75 + LINE * place, name)
    return figure


def layers_words(lens: Lens, spelled: Mapping[int, str], names: Sequence[str]) -> Figure:
    """The likeliest word of every layer at every place, the last layer on top; darker is surer."""
    from matplotlib.patches import Rectangle

    layers, places, _ = lens.words.shape
    width, height = 0.95 + CELL * places, 0.75 + LINE * layers
    figure, axes = blank(max(width, 4.0), height, max(width, 4.0), height)
    words(axes, 0.15, 0.2, f"the likeliest word at every layer: {lens.asks}", size=9)
    for at, name in enumerate(names):
        words(axes, 0.9 + CELL * at, 0.5, shortened(name, 9), size=7.5)
    for row in range(layers):
        layer, y = layers - 1 - row, 0.65 + LINE * row
        words(axes, 0.8, y + LINE / 2, str(layer) if layer else "embedded", size=7, colour=SOFT, across="right")
        for at in range(places):
            shade = level(float(lens.probabilities[layer, at, 0]), SHARES)
            fill = ("#f4f2ee", BLUES[0], BLUES[1], BLUES[3], BLUES[4])[max(shade, 1) - 1]
            x, word = 0.88 + CELL * at, int(lens.words[layer, at, 0])
            axes.add_artist(Rectangle((x, y), CELL - 0.03, LINE - 0.03, facecolor=fill, linewidth=0))
            true = word == int(lens.truth[at])
            text = shortened(label(spelled[word]), 8) + (" ✓" if true else "")
            words(axes, x + 0.05, y + LINE / 2 - 0.015, text, size=7, colour=PAPER if shade > 3 else INK)
    return figure


def changed(found: Replaced, number: int, texts: Sequence[str], by: str) -> Figure:
    """How far every state moves when one of the tokens is replaced; an empty cell has not moved at all."""
    from matplotlib.patches import Rectangle

    _, layers, tokens = found.changes.shape
    names = [shortened(label(text), LABEL) for text in texts]
    gutter = 0.15 + 0.09 * max(len(name) for name in names)
    width, height = max(1.0 + LINE * tokens, 4.4), 0.45 + gutter + LINE * layers + 0.1
    figure, axes = blank(width, height, width, height)
    place = found.places[number]
    words(axes, 0.15, 0.2, f"{place} {names[place]} becomes {shortened(label(by), LABEL)}", size=10)
    top = 0.45 + gutter
    for column, name in enumerate(names):
        words(
            axes,
            0.85 + LINE * (column + 0.45),
            top - 0.06,
            name,
            size=7.5,
            across="center",
            along="bottom",
            turned=True,
        )
    for row in range(layers):
        layer, y = layers - 1 - row, top + LINE * row
        words(axes, 0.78, y + LINE / 2, str(layer) if layer else "embedded", size=7, colour=SOFT, across="right")
        for column, value in enumerate(found.changes[number, layer].tolist()):
            if shade := level(value, CHANGES):
                corner = (0.85 + LINE * column, y)
                axes.add_artist(Rectangle(corner, LINE - 0.02, LINE - 0.02, facecolor=BLUES[shade - 1], linewidth=0))
    return figure


def pictures(look: Look) -> dict[str, bytes]:
    """Every picture as a PNG file, by name."""
    texts = look.tokens.texts
    drawn = {
        f"sees-{number}.png": png(matrix, f"{look.name}, {title}") for number, (title, matrix) in enumerate(look.seen)
    }
    if look.weights is not None:
        drawn["heads.png"] = pixels(all_heads(look.weights))
        layer, head = surest(look.weights)
        title = f"layer {layer + 1}, head {head + 1}: the one that is surest"
        drawn["head.png"] = pixels(one_head(look.weights[layer, head], texts, title))
    for number, lens in enumerate(look.lenses):
        names = [f"{place} {label(texts[place])}" for place in lens.places]
        drawn[f"lens-{number}.png"] = pixels(layers_words(lens, look.spelled, names))
    if look.replaced is not None:
        found = look.replaced
        number = len(found.places) // 2
        drawn["replaced.png"] = pixels(changed(found, number, texts, look.spelled[found.by[number]]))
    return drawn
