"""A matrix that is drawn: its kinds and shades are those of its numbers, on the page and in pixels alike."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from comparison.page_reader import Element, read
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Causal
from sightline.errors import CheckpointError, InputError
from sightline.pages.markup import section
from sightline.pages.shell import resource
from sightline.probing.draw import KINDS, SHADES, SIGNS, Matrix, label, meanings
from sightline.probing.draw_page import page
from sightline.probing.draw_png import BLUES, LEAK, MISSING, UNSURE, drawable, png, write_png
from sightline.probing.draw_svg import FEW, drawn

HOSTILE = "</script><img src=x onerror=alert(1)>"


def texts(count: int) -> tuple[str, ...]:
    return tuple(f"w{place}" for place in range(count))


def causal(tokens: int) -> Tensor:
    at = Coordinates.consecutive(tokens)
    return Causal().table(at, at)[0]


def leaking() -> Matrix:
    """A causal matrix of five tokens with one leak, one hole and one doubt."""
    measured = causal(5).clone()
    measured[1, 3], measured[4, 0] = True, False
    unsure = torch.zeros(5, 5, dtype=torch.bool)
    unsure[2, 2] = True
    strength = torch.where(measured, 10.0 ** -torch.arange(5.0)[None].expand(5, 5), 0.0)
    tokens = ("the", " cat", "\n", HOSTILE, "")
    return Matrix(
        outputs=tokens, inputs=tokens, measured=measured, expected=causal(5), strength=strength, unsure=unsure
    )


def drawn_page(matrix: Matrix) -> Element:
    return read(page("What was found", section("who", "Who", "how to read it", drawn(matrix, "seen", "Who sees whom"))))


def test_each_cell_is_what_was_measured_beside_what_was_expected() -> None:
    rows = ["".join(SIGNS[kind] for kind in row) for row in leaking().kinds()]
    assert rows == ["■····", "■■·✕·", "■■?··", "■■■■·", "□■■■■"]
    plain = Matrix(outputs=texts(3), inputs=texts(3), expected=causal(3))
    assert ["".join(SIGNS[kind] for kind in row) for row in plain.kinds()] == ["■··", "■■·", "■■■"]
    assert {kind for kind, _ in meanings(plain)} == {"sees", "blind"}
    assert {kind for kind, _ in meanings(leaking())} == set(KINDS)


@given(st.lists(st.floats(min_value=0, max_value=1e30), min_size=1, max_size=8))
def test_a_shade_less_is_ten_times_weaker(strengths: list[float]) -> None:
    tokens, inputs = texts(1), texts(len(strengths))
    seen = torch.tensor([strengths]) > 0
    (shades,) = Matrix(outputs=tokens, inputs=inputs, measured=seen, strength=torch.tensor([strengths])).shades()
    most = float(torch.tensor(strengths).max())
    for strength, shade in zip(torch.tensor(strengths).tolist(), shades, strict=True):
        assert 1 <= shade <= SHADES
        if strength > 0:
            assert shade == SHADES or strength < most * 10.0 ** (shade - SHADES) * 1.001
            assert shade == 1 or strength >= most * 10.0 ** (shade - SHADES - 1) * 0.999


def test_a_matrix_without_numbers_or_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match="both are missing"):
        Matrix(outputs=texts(2), inputs=texts(2))
    with pytest.raises(InputError, match=r"strength has shape \(3, 2\).*\(2, 2\)"):
        Matrix(outputs=texts(2), inputs=texts(2), expected=causal(2), strength=torch.ones(3, 2))


def test_a_page_is_alone_and_texts_stay_texts() -> None:
    matrix = leaking()
    text = page(
        "What was <found>", drawn(matrix, "seen", "Who"), over=HOSTILE, lead=HOSTILE, contents=[("who", HOSTILE)]
    )
    tree = read(text)
    assert not {each.name for each in tree.all()} & {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert "://" not in text and "url(" not in text and "@import" not in text
    assert all(not name.startswith("on") for each in tree.all() for name in each.attributes)
    allowed = next(each.attributes["content"] for each in tree.all("meta") if "http-equiv" in each.attributes)
    assert allowed.startswith("default-src 'none'") and allowed.count("'sha256-") == 1
    assert tree.all("h1")[0].text() == "What was <found>"


def test_what_a_pointer_reads_out_are_the_matrix_numbers() -> None:
    matrix = leaking()
    values = json.loads(next(each.text() for each in drawn_page(matrix).all("script") if "id" in each.attributes))
    assert values["inputs"] == ["the", "␣cat", "↵", label(HOSTILE), "∅"]
    assert values["kinds"] == ["sbbbb", "ssblb", "ssubb", "ssssb", "mssss"]
    assert matrix.strength is not None
    assert torch.tensor(values["strength"]).allclose(matrix.strength, rtol=1e-2)


def test_every_cell_is_drawn_once_where_it_belongs() -> None:
    matrix = leaking()
    box = drawn_page(matrix).all("div", "matrix-box")[0]
    left, top, cell = (float(box.attributes[f"data-{name}"]) for name in ("left", "top", "cell"))
    found = {}
    for path in box.all("path", "cell"):
        for x, y in re.findall(r"M([\d.]+) ([\d.]+)h", path.attributes["d"]):
            place = round((float(y) - top) / cell), round((float(x) - left) / cell)
            assert place not in found
            found[place] = path.attributes["class"].split()
    shades = matrix.shades()
    for row, kinds in enumerate(matrix.kinds()):
        for column, kind in enumerate(kinds):
            if kind in ("sees", "leak", "unsure"):
                wanted = ["cell", kind] + ([f"shade-{shades[row][column]}"] if kind == "sees" else [])
                assert found.pop((row, column)) == wanted
    assert not found
    assert "1 see and should not, 1 should see and do not, 1 could not be told" in box.attributes["aria-label"]


@pytest.mark.parametrize("tokens", [1, FEW, FEW + 1, 300])
def test_any_size_is_drawn_and_long_ones_stay_small(tokens: int) -> None:
    matrix = Matrix(outputs=texts(tokens), inputs=texts(tokens), expected=causal(tokens))
    source = drawn(matrix, "seen", "Who").source
    assert len(source) < 400_000
    assert (f">w{tokens - 1}<" in source) == (tokens <= FEW)


def test_tokens_that_a_font_lacks_are_drawn_as_squares(tmp_path: Path) -> None:
    """Warnings are errors here: a missing letter would be one, and `$` must not begin a formula."""
    assert drawable("a猫b") == "a□b"
    odd = ("猫", "$x_", "\\frac", HOSTILE, "\ud800")
    matrix = Matrix(outputs=odd, inputs=odd, measured=causal(5), expected=causal(5))
    write_png(matrix, tmp_path / "a" / "seen.png", "猫 $")
    stored = (tmp_path / "a" / "seen.png").read_bytes()
    assert stored.startswith(b"\x89PNG") and stored == png(matrix, "猫 $")
    with pytest.raises(CheckpointError, match="cannot write"):
        write_png(matrix, tmp_path / "a" / "seen.png" / "below", "no folder")


def test_a_picture_shows_leaks_in_a_colour_of_their_own() -> None:
    def orange(matrix: Matrix) -> int:

        from matplotlib.image import imread

        seen = imread(io.BytesIO(png(matrix, "")))[..., :3]
        red, green, blue = 0xD9 / 255, 0x65 / 255, 0x0F / 255
        return int(((abs(seen - [red, green, blue])).max(-1) < 0.02).sum())

    clean = Matrix(outputs=texts(5), inputs=texts(5), measured=causal(5), expected=causal(5))
    assert orange(clean) == 0
    assert orange(leaking()) > 100


def test_white_space_can_be_seen() -> None:
    assert [label(text) for text in (" a", "▁a", "\t", "", "\u2028", "\x00")] == [
        "␣a",
        "␣a",
        "⇥",
        "∅",
        "\u2028",
        "\ufffd",
    ]


def test_pages_and_pictures_have_the_same_colours() -> None:
    light = resource("sightline.probing", "draw.css").split("@media", 1)[0]
    assert tuple(re.findall(r"--sees-\d: (#\w+);", light)) == BLUES
    for name, colour in (("leak", LEAK), ("missing", MISSING), ("unsure", UNSURE)):
        assert f"--{name}: {colour};" in light
