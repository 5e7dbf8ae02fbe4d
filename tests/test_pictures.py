"""The pictures of README and docs are what their programs draw; of the masks, cell by cell what they mean."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"


@pytest.fixture(scope="module")
def masks() -> Iterator[ModuleType]:
    """docs/pictures/masks.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("picture_of_masks", PICTURES / "masks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_drawing_it_again_gives_the_same_bytes(masks: ModuleType) -> None:
    stored = (PICTURES / "masks.svg").read_bytes()
    assert masks.drawn("svg") == stored, "run python docs/pictures/masks.py, look at the picture, and commit it"
    assert masks.drawn("svg") == masks.drawn("svg")


def test_it_is_an_image_on_a_card_of_its_own(masks: ModuleType) -> None:
    root = ElementTree.parse(PICTURES / "masks.svg").getroot()
    assert root.get("viewBox") == f"0 0 {masks.WIDTH * 0.75:g} {masks.HEIGHT * 0.75:g}"
    paths = root.iter("{http://www.w3.org/2000/svg}path")
    assert masks.CARD in next(style for path in paths if "fill" in (style := path.get("style", "")))
    assert not list(root.iter("{http://www.w3.org/2000/svg}text")), "letters are outlines, the same on every computer"


SIGNS = {"not": ".", "back": "<", "ahead": ">", "other": "o", None: " "}


@pytest.mark.parametrize(
    ("panel", "rows"),
    [
        ("bert", ["<>>>>>", "<<>>>>", "<<<>>>", "<<<<>>", "<<<<<>", "<<<<<<"]),
        ("gpt2", ["<.....", "<<....", "<<<...", "<<<<..", "<<<<<.", "<<<<<<"]),
        ("transformer_xl", ["ooo<..", "ooo<<.", "ooo<<<"]),
        ("encoder_decoder", ["<>>   ", "<<>   ", "<<<   ", "ooo<..", "ooo<<.", "ooo<<<"]),
    ],
)
def test_a_panel_says_what_its_network_does(masks: ModuleType, panel: str, rows: list[str]) -> None:
    drawn = getattr(masks, panel)()
    assert ["".join(SIGNS[kind] for kind in row) for row in drawn.kinds] == rows
    assert (len(drawn.rows), len(drawn.columns)) == (len(rows), len(rows[0]))


def test_xlnet_sees_what_comes_earlier_in_its_order(masks: ModuleType) -> None:
    order, panel = masks.ORDER, masks.xlnet()
    assert sorted(order) == list(range(1, len(masks.WORDS) + 1))
    assert panel.marks == tuple(str(place) for place in order)
    for query, row in enumerate(panel.kinds):
        seen = {key for key, kind in enumerate(row) if kind != "not"}
        assert seen == {key for key, place in enumerate(order) if place <= order[query]}
        assert all((row[key] == "ahead") == (key > query) for key in seen)


def test_the_picture_of_look_shows_the_panels_of_its_program() -> None:
    spec = importlib.util.spec_from_file_location("picture_of_look", PICTURES / "look.py")
    assert spec is not None and spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(program)
    finally:
        sys.path[:] = before
    header = (PICTURES / "look.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    width, height = (int.from_bytes(header[begin : begin + 4], "big") for begin in (16, 20))
    panels = [pixels for _, pixels, _ in program.PANELS]
    assert (width, height) == (sum(panels) + program.SPACE * (len(panels) + 1), program.HEIGHT + 2 * program.SPACE)
