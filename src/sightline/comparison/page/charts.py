"""The report's charts as inline SVG, in two manners.

A strip stretches: places across are shares of its width, so that its text and marks keep their size on every screen.
A plot has fixed proportions and is made small enough to be read on a telephone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sightline.comparison.page.marks import colour, shape
from sightline.comparison.page.scales import Scale
from sightline.pages.markup import Child, Html, joined, shortened, tag

MOST_DOTS = 400  # of a scatter plot; more would only be a blot
LETTER = 6.3  # units that a letter of a label takes, about
LABEL = 22  # characters of a label
SIDES = (  # of a point, where its label may stand, the best first
    (10, 4, "start"), (-10, 4, "end"), (8, -8, "start"), (8, 17, "start"),
    (-8, -8, "end"), (-8, 17, "end"), (10, -20, "start"), (-10, -20, "end"),
)  # fmt: skip


def _share(part: float) -> str:
    return f"{100 * part:.2f}%"


def _upright(scale: Scale, value: float, class_: str) -> Html:
    place = _share(scale.at(value))
    return tag("line", x1=place, x2=place, y1="0", y2="100%", class_=class_)


def strip(
    scale: Scale,
    said: str,
    place: int,
    value: float | None,
    interval: tuple[float | None, float | None] = (None, None),
    *,
    seeds: Sequence[float] = (),
    reference: float | None = None,
) -> Html:
    """A value with its interval on an axis, each seed as a tick, and the reference that all are measured against."""
    low, high = interval
    inside: list[Child] = [_upright(scale, tick, "grid") for tick in scale.ticks]
    if reference is not None:
        inside.append(_upright(scale, reference, "reference"))
    if low is not None and high is not None:
        ends = {"x1": _share(scale.at(low)), "x2": _share(scale.at(high))}
        inside.append(tag("line", **ends, y1="50%", y2="50%", class_=f"whisker {colour(place)}"))
    for seed in seeds:
        at = tag("line", x1="0", x2="0", y1="-9", y2="9", class_=f"seed {colour(place)}")
        inside.append(tag("svg", at, x=_share(scale.at(seed)), y="50%", class_="spot"))
    if value is not None:
        inside.append(tag("svg", shape(place), x=_share(scale.at(value)), y="50%", class_="spot"))
    return tag("svg", *inside, class_="strip", role="img", aria_label=said)


def axis(scale: Scale, write: Callable[[float], str]) -> Html:
    """The numbers under strips; their values are said in each strip's own words."""
    texts = [
        tag("text", write(tick), x=_share(scale.at(tick)), y="14", text_anchor="middle", class_="tick")
        for tick in scale.ticks
    ]
    return tag("svg", *texts, class_="axis", aria_hidden="true", focusable="false")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A plot's area: `left` to `right` and `top` to `bottom`, in units of its view box."""

    across: Scale
    up: Scale
    width: float
    height: float
    left: float = 54.0
    top: float = 12.0
    margin: float = 14.0  # at the right
    foot: float = 44.0  # below

    def x(self, value: float) -> float:
        return self.left + (self.width - self.margin - self.left) * self.across.at(value)

    def y(self, value: float) -> float:
        return self.height - self.foot - (self.height - self.foot - self.top) * self.up.at(value)

    def drawn(self, titles: tuple[str, str], write: tuple[Callable[[float], str], Callable[[float], str]]) -> Html:
        """Grid, numbers and titles of both axes."""
        right, bottom = self.width - self.margin, self.height - self.foot
        parts: list[Child] = []
        for tick in self.across.ticks:
            x = self.x(tick)
            parts.append(tag("line", x1=x, x2=x, y1=self.top, y2=bottom, class_="grid"))
            parts.append(tag("text", write[0](tick), x=x, y=bottom + 16, text_anchor="middle", class_="tick"))
        for tick in self.up.ticks:
            y = self.y(tick)
            parts.append(tag("line", x1=self.left, x2=right, y1=y, y2=y, class_="grid"))
            parts.append(tag("text", write[1](tick), x=self.left - 6, y=y + 4, text_anchor="end", class_="tick"))
        middle = (self.top + bottom) / 2
        parts.append(
            tag("text", titles[0], x=(self.left + right) / 2, y=bottom + 35, text_anchor="middle", class_="axis-title")
        )
        turned = f"translate(10 {middle:.2f}) rotate(-90)"
        parts.append(tag("text", titles[1], transform=turned, text_anchor="middle", class_="axis-title"))
        return joined(*parts)

    def svg(self, said: str, *parts: Child) -> Html:
        box = f"0 0 {self.width:g} {self.height:g}"
        return tag("svg", *parts, class_="plot", viewBox=box, role="img", aria_label=said)


@dataclass(frozen=True, kw_only=True)
class Point:
    """A contender in a plot: its place in the results, its name, what is said of it, where it stands."""

    place: int
    name: str
    said: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None


Box = tuple[float, float, float, float]  # left, top, right, bottom


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _labels(frame: Frame, points: Sequence[Point]) -> list[Html]:
    """A name beside each point where one fits: it covers no point and no other name, and no interval if that can be."""
    centres = [(frame.x(each.x), frame.y(each.y)) for each in points]
    taken: list[Box] = [(x - 7, y - 7, x + 7, y + 7) for x, y in centres]
    whiskers: list[Box] = [
        (x - 1, frame.y(each.high), x + 1, frame.y(each.low))
        for (x, _), each in zip(centres, points, strict=True)
        if each.low is not None and each.high is not None
    ]
    labels = []
    for (x, y), point in zip(centres, points, strict=True):
        text = shortened(point.name, LABEL)
        wide = LETTER * len(text)
        for (dx, dy, anchor), avoided in [(side, bars) for bars in (whiskers, []) for side in SIDES]:
            left = x + dx - (wide if anchor == "end" else 0)
            box = (left, y + dy - 10, left + wide, y + dy + 3)
            inside = box[0] >= frame.left and box[2] <= frame.width and box[1] >= 0
            if inside and not any(_overlap(box, other) for other in (*taken, *avoided)):
                taken.append(box)
                labels.append(tag("text", text, x=x + dx, y=y + dy, text_anchor=anchor, class_="label"))
                break
    return labels


def against(
    frame: Frame,
    said: str,
    points: Sequence[Point],
    *,
    titles: tuple[str, str],
    write: tuple[Callable[[float], str], Callable[[float], str]],
    reference: float | None = None,
) -> Html:
    """Each contender at its cost and its score, with the score's interval."""
    parts: list[Child] = [frame.drawn(titles, write)]
    if reference is not None:
        y = frame.y(reference)
        parts.append(tag("line", x1=frame.left, x2=frame.width - frame.margin, y1=y, y2=y, class_="reference"))
    for each in points:
        if each.low is not None and each.high is not None:
            x = frame.x(each.x)
            ends = {"y1": frame.y(each.low), "y2": frame.y(each.high)}
            parts.append(tag("line", x1=x, x2=x, **ends, class_=f"whisker faint {colour(each.place)}"))
    for each in points:
        spot = f"translate({frame.x(each.x):.2f} {frame.y(each.y):.2f})"
        parts.append(tag("g", tag("title", each.said), shape(each.place), transform=spot))
    return frame.svg(said, *parts, *_labels(frame, points))


def reliability(frame: Frame, said: str, place: int, bins: Sequence[tuple[float, float, int]]) -> Html:
    """How often a contender was right (up) where it was so sure (across): `bins` are (sure, right, rows)."""
    write = (lambda tick: f"{100 * tick:.0f}%",) * 2
    parts: list[Child] = [frame.drawn(("how sure", "how often right"), write), _diagonal(frame)]
    if bins:
        path = " ".join(f"{frame.x(sure):.2f},{frame.y(right):.2f}" for sure, right, _ in bins)
        parts.append(tag("path", d=f"M{path}", class_=f"line {colour(place)}"))
        most = max(1, *(rows for _, _, rows in bins))
        for sure, right, rows in bins:
            spot = tag("title", f"sure {100 * sure:.0f}%, right {100 * right:.0f}%, {rows} rows")
            radius = 2.5 + 5.5 * (rows / most) ** 0.5
            at = {"cx": frame.x(sure), "cy": frame.y(right)}
            parts.append(tag("g", spot, tag("circle", **at, r=radius, class_=f"bubble {colour(place)}")))
    return frame.svg(said, *parts)


def scatter(
    frame: Frame, said: str, place: int, dots: Sequence[tuple[float, float]], write: Callable[[float], str]
) -> Html:
    """Truth (across) and prediction (up) of each row: at most MOST_DOTS of them, evenly taken."""
    every = -(-len(dots) // MOST_DOTS) or 1
    path = "".join(f"M{frame.x(truth):.1f} {frame.y(value):.1f}h.01" for truth, value in dots[::every])
    drawn = tag("path", d=path, class_=f"dots-of {colour(place)}") if path else None
    return frame.svg(said, frame.drawn(("truth", "prediction"), (write, write)), _diagonal(frame), drawn)


def _diagonal(frame: Frame) -> Html:
    low, high = max(frame.across.low, frame.up.low), min(frame.across.high, frame.up.high)
    return tag("line", x1=frame.x(low), y1=frame.y(low), x2=frame.x(high), y2=frame.y(high), class_="reference")
