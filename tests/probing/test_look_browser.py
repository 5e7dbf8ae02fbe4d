"""The page of a look in a real browser: it fits, it runs, and pointer and keys read out the model's own numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import sightline as sl
from probing.browser import Tab, browsing
from reading_models import make
from sightline.core.mask import Causal
from sightline.probing.draw import Matrix, label
from sightline.probing.draw_page import page
from sightline.probing.draw_svg import drawn
from sightline.probing.look import Look, look
from sightline.probing.tokens import MOST

PHONE, DESK = 375, 1200
SCHEMES = ("light", "dark")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browsing(tmp_path_factory.mktemp("browser")) as found:
        yield found


@cache
def look_of(family: str) -> Look:
    return look(make(family), "the cat sat on the mat", measure=False, new_tokens=3)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    wide = sl.build("bert", "tiny", vocabulary=60, layers=12, attention_heads=12, width=24, inner=24, positions=64)
    large = look(wide, list(range(5, 37)), measure=False, new_tokens=0)
    long = sl.build("gpt2", "tiny", vocabulary=60, width=24, attention_heads=2, inner=24, positions=MOST + 1)
    looks = {
        **{family: look_of(family) for family in ("bert", "gpt2", "xlnet")},
        "large": large,
        "long": look(long, [place % 60 for place in range(MOST)], measure=False, new_tokens=1),
        "short": look(long, [7], measure=False, new_tokens=1),
    }
    return {name: found.save(folder / f"{name}.html") for name, found in looks.items()}


def text(tab: Tab, selector: str) -> str:
    found: str = tab.run(f"document.querySelector({selector!r}).textContent")
    return " ".join(found.split())


def middle(tab: Tab, selector: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of an element in the window, which is scrolled to it."""
    script = f"""(() => {{ const it = document.querySelector({selector!r});
        it.scrollIntoView({{ block: "center" }});
        const {{ left, top, width, height }} = it.getBoundingClientRect(); return [left, top, width, height]; }})()"""
    left, top, width, height = tab.run(script)
    return left, top, width, height


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        *((name, width, scheme) for name in ("bert", "large") for width in (PHONE, DESK) for scheme in SCHEMES),
        *((name, PHONE, "light") for name in ("gpt2", "xlnet", "long", "short")),
    ],
)
def test_it_fits_and_nothing_goes_wrong(tab: Tab, pages: dict[str, Path], name: str, width: int, scheme: str) -> None:
    tab.open(pages[name], width=width, scheme=scheme)
    assert tab.run("document.documentElement.scrollWidth") <= width, "what is wide scrolls in a box of its own"
    assert tab.complaints() == []
    beyond = """[...document.querySelectorAll("main *")]
        .filter((it) => it.getBoundingClientRect().right > innerWidth + 1)
        .filter((it) => !it.closest(".matrix-box, .lens-box, .scroll")).map((it) => it.tagName + "." + it.className)"""
    assert tab.run(beyond) == []
    assert re.match(r"Layer \d+, head \d+\. ", text(tab, "#heads-said")), "the script has run"


def test_colours_follow_the_scheme(tab: Tab, pages: dict[str, Path]) -> None:
    pixel = """[...document.querySelector(".heads-box canvas").getContext("2d").getImageData(0, 0, 1, 1).data]"""
    tab.open(pages["gpt2"], scheme="light")
    light = tab.run(pixel)
    tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    changed = f"""new Promise((done) => {{
        const look = () => String({pixel}) !== "{",".join(map(str, light))}" ? done(true) : setTimeout(look, 20);
        look(); setTimeout(() => done(false), 20000); }})"""
    assert tab.run(changed), "also where it changes while the page is open"
    dark = tab.run(pixel)
    tab.open(pages["gpt2"], scheme="dark")
    assert tab.run(pixel) == dark


def test_keys_choose_a_head_and_a_token_and_read_out_its_weights(tab: Tab, pages: dict[str, Path]) -> None:
    found = look_of("bert")
    assert found.weights is not None
    tab.open(pages["bert"])
    tab.run('document.querySelector(".heads-box").focus()')
    tab.press("Home", *["ArrowUp"] * 3, "ArrowDown", "ArrowRight")
    assert text(tab, "#heads-said").startswith("Layer 2, head 2.")
    tab.run('document.querySelector(".head-box").focus()')
    tab.press("ArrowDown", "ArrowDown", "ArrowDown")  # the first press takes hold of token 0
    said = text(tab, "#head-said")
    row = found.weights[1, 1, 2]
    first = int(row.argmax())
    names = [label(each) for each in found.tokens.texts]
    assert said.startswith(f"2 {names[2]} looks at {first} {names[first]} ({100 * float(row[first]):.0f}%)")
    tab.press("ArrowRight")
    column = found.weights[1, 1, :, 2]
    most = int(column.argmax())
    assert text(tab, "#head-said").startswith(f"2 {names[2]} is looked at by {most} {names[most]} (")
    tab.press("Escape")
    assert "Point at a token" in text(tab, "#head-said")


def test_a_pointer_chooses_a_head_and_a_token(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["bert"])
    left, top, width, height = middle(tab, ".heads-box canvas")
    layers, heads = 3, look_of("bert").weights.shape[1]  # type: ignore[union-attr]
    tab.point(left + width * (heads - 0.5) / heads, top + height * 1.5 / layers, press=True)
    assert text(tab, "#heads-said").startswith(f"Layer 2, head {heads}.")
    left, top, width, height = middle(tab, ".head-box svg")
    tab.point(left + width * 0.1, top + 26 + 20 * 1.5)
    names = [label(each) for each in look_of("bert").tokens.texts]
    assert text(tab, "#head-said").startswith(f"1 {names[1]} looks at")


def test_the_lens_reads_out_other_words_and_changes_its_question(tab: Tab, pages: dict[str, Path]) -> None:
    found = look_of("bert")
    tab.open(pages["bert"])
    for number, lens in enumerate(found.lenses):
        tab.run(f"document.querySelectorAll('#lens-choices button')[{number}].click()")
        shown = tab.run("[...document.querySelectorAll('.lens-reading')].map((it) => !it.hidden)")
        assert shown == [number == other for other in range(len(found.lenses))]
        reading = f'.lens-reading[data-reading="{number}"]'
        tab.run(f"document.querySelector('{reading} .lens-box').focus()")
        tab.press("Home", *["ArrowUp"] * 5, "ArrowDown", "ArrowRight")
        assert text(tab, f"{reading} .readout").startswith(f"Layer {len(lens.words) - 2} at {lens.places[1]} ")
        words = tab.run(
            f"[...document.querySelectorAll('{reading} .readout li')].map((it) => it.children[1].textContent)"
        )
        best = [label(found.spelled[word]) for word in lens.words[-2, 1].tolist()]
        assert words[: len(best)] == best
        tab.press(*["ArrowDown"] * 5)
        assert text(tab, f"{reading} .readout").startswith("Embedded, before the first layer at ")


def test_another_word_can_be_replaced(tab: Tab, pages: dict[str, Path]) -> None:
    found = look_of("gpt2")
    moved = found.replaced
    assert moved is not None
    tab.open(pages["gpt2"])
    names = [label(each) for each in found.tokens.texts]
    tab.run("document.querySelectorAll('#replaced-choices button')[3].click()")
    place = moved.places[3]
    assert text(tab, "#replaced-by") == f"{place} {names[place]} becomes {label(found.spelled[moved.by[3]])}."
    classes = tab.run("[...document.querySelectorAll('#replaced-box .cell')].map((it) => it.getAttribute('class'))")
    layers, tokens = moved.changes.shape[1:]
    for row in range(layers):
        for column in range(tokens):
            still = float(moved.changes[3, layers - 1 - row, column]) == 0
            assert (classes[row * tokens + column] == "cell shade-0") == still
    tab.run('document.querySelector("#replaced-box").focus()')
    tab.press("Home", *["ArrowUp"] * 5)
    assert text(tab, "#replaced-said").endswith("has not moved at all."), "the first token cannot know"
    tab.press("End")
    share = 100 * float(moved.changes[3, -1, -1])
    said = re.search(r"moved by ([\d.e+]+)% of its length", text(tab, "#replaced-said"))
    assert said and float(said[1]) == pytest.approx(share, rel=0.1)


def test_a_matrix_reads_out_its_cells(tab: Tab, tmp_path: Path) -> None:
    at = sl.Coordinates.consecutive(4)
    measured = Causal().table(at, at)[0].clone()
    measured[0, 3] = True
    texts = ("<a>", "b", "c", "d")
    matrix = Matrix(
        outputs=texts, inputs=texts, measured=measured, expected=Causal().table(at, at)[0], strength=measured * 0.25
    )
    place = tmp_path / "matrix.html"
    place.write_text(page("One leak", drawn(matrix, "seen", "Who")), encoding="utf-8")
    tab.open(place, width=PHONE)
    tab.run('document.querySelector(".matrix-box").focus()')
    tab.press("ArrowRight", "End")
    assert text(tab, ".readout") == "Output 0 <a> depends on input 3 d, strength 0.250. It should not: a leak."
    tab.press("ArrowDown")
    assert text(tab, ".readout") == "Output 1 b does not depend on input 3 d. As expected."
    left, top, width, _ = middle(tab, ".matrix-box svg")
    sizes = tab.run('({...document.querySelector(".matrix-box").dataset})')
    scale = width / float(sizes["width"])
    x, y = (float(sizes[side]) + float(sizes["cell"]) * cells for side, cells in (("left", 1.5), ("top", 2.5)))
    tab.point(left + scale * x, top + scale * y)
    assert text(tab, ".readout") == "Output 2 c depends on input 1 b, strength 0.250. As expected."
    assert tab.complaints() == []


def test_a_slipped_in_script_does_not_run(tab: Tab, pages: dict[str, Path], tmp_path: Path) -> None:
    """The policy in the page's head names the page's own scripts; whatever else gets in stays dead."""
    place = tmp_path / "slipped.html"
    whole = pages["bert"].read_text(encoding="utf-8")
    slipped = "<script>window.slipped = 1</script><img src=x onerror='window.slipped = 2'>"
    place.write_text(whole.replace("<main>", f"<main>{slipped}", 1), encoding="utf-8")
    tab.open(place)
    assert tab.run("window.slipped === undefined") and tab.complaints()
    assert text(tab, "#heads-said").startswith("Layer"), "and the page's own goes on"


def test_a_notebook_frames_it(tab: Tab, tmp_path: Path) -> None:
    place = tmp_path / "notebook.html"
    place.write_text(f"<!doctype html><p>out</p>{look_of('bert')._repr_html_()}", encoding="utf-8")
    tab.open(place)
    assert tab.complaints() == []
    assert tab.run("document.querySelector('iframe').srcdoc") == look_of("bert").html()
