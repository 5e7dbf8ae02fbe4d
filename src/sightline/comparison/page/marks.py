"""Who is who in the charts: each contender has a colour and a shape, so that no colour has to be told from another.

The colours are variables of the style sheet (--mark-0 …), one set for light and one for dark.
"""

from __future__ import annotations

from collections.abc import Iterable

from sightline.comparison.figures import Record
from sightline.pages.markup import Html, brief, isolated, tag

COLOURS = 6
SHAPES = (  # around (0, 0), about ten units wide
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "M-4.5-4.5h9v9h-9z",
    "M0-5.8L5.6 4.4H-5.6z",
    "M0-6.2L6.2 0L0 6.2L-6.2 0z",
)
LONGEST = 48  # characters of a name in running text


def colour(place: int) -> str:
    """The style's class for the contender at this place of the results."""
    return f"mark-{place % COLOURS}"


def shape(place: int) -> Html:
    """Its mark, around (0, 0)."""
    return tag("path", d=SHAPES[place % len(SHAPES)], class_=f"mark {colour(place)}")


def places(contenders: Iterable[Record]) -> dict[str, int]:
    """The place of each contender by name, as they stand in the results: what its colour and shape follow from."""
    return {str(each.get("name")): place for place, each in enumerate(contenders)}


def key(place: int) -> Html:
    """Its mark as a sign in running text; the name beside it says what it means."""
    return tag("svg", shape(place), class_="key", viewBox="-7 -7 14 14", aria_hidden="true", focusable="false")


def named(name: str, place: int, *, whole: bool = False) -> Html:
    """A contender's name with its mark before it; a long name is shortened unless it is wanted whole."""
    return tag("span", key(place), isolated(name) if whole else brief(name, LONGEST), class_="who")
