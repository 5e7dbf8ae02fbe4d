"""What the page looks like, as far as a machine can see: contrast, names of styles, contenders told apart."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from comparison.page_reader import read, section
from comparison.results_example import EXAMPLES, classes, contender
from sightline.comparison.report import render
from sightline.pages.shell import resource


def luminance(colour: tuple[float, float, float]) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def schemes() -> dict[str, dict[str, tuple[float, float, float]]]:
    """The colours of the style sheet, by name, in the light and in the dark."""
    style = resource("sightline.pages", "style.css")
    dark = re.search(r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", style, re.DOTALL)
    light = re.search(r":root \{(.*?)\}", style, re.DOTALL)
    assert light and dark
    found = {}
    for name, block in (("light", light[1]), ("dark", dark[1])):
        hexadecimal = re.findall(r"--([\w-]+): #(..)(..)(..);", block)
        decimals = re.findall(r"--([\w-]+): (\d+) (\d+) (\d+);", block)
        found[name] = {key: (float(int(r, 16)), float(int(g, 16)), float(int(b, 16))) for key, r, g, b in hexadecimal}
        found[name] |= {key: (float(r), float(g), float(b)) for key, r, g, b in decimals}
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(scheme: str) -> None:
    colours = schemes()[scheme]
    assert set(colours) == set(schemes()["light"])
    for ground in ("paper", "raised"):
        for ink in ("ink", "soft", "accent", "bad", "good"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for place in range(6):
            assert contrast(colours[f"mark-{place}"], colours[ground]) >= 3, (place, ground)
    assert contrast(colours["accent-ink"], colours["accent"]) >= 4.5
    for heat in ("right", "wrong"):
        red, green, blue = (
            0.44 * over + 0.56 * under for over, under in zip(colours[heat], colours["paper"], strict=True)
        )
        assert contrast(colours["ink"], (red, green, blue)) >= 4.5, heat


def test_every_class_of_the_page_is_styled_or_structural() -> None:
    """A name that style sheet and page do not share is a slip of the pen."""
    style = resource("sightline.pages", "style.css") + resource("sightline.comparison.page", "style.css")
    styled = set(re.findall(r"\.([a-z][\w-]*)", style))
    used = {
        word
        for example in EXAMPLES.values()
        for each in read(render(example())).all()
        for word in each.attributes.get("class", "").split()
    }
    plain = {"label", "intro", "body", "shade-0", "no", "class", "drawn"}
    assert used - styled - plain == set()
    assert styled - used - {f"shade-{n}" for n in range(11)} - {f"mark-{n}" for n in range(6)} - {"wide"} == set()


def test_contenders_side_by_side_differ_in_colour_and_shape() -> None:
    results = classes()
    results["contenders"] = [contender(f"c{place}", 0.8, draw=random.Random(0)) for place in range(12)]
    marks = [item.all("svg", "key")[0] for item in section(read(render(results)), "score").all("li")]
    drawn = [(each.all("path")[0].attributes["class"], each.all("path")[0].attributes["d"]) for each in marks]
    assert len(set(drawn)) == 12
    assert all(a[0] != b[0] and a[1] != b[1] for a, b in pairwise(drawn))
