"""The page of a look: well-formed, alone, safe, small, whole without its script, and readable in both schemes."""

from __future__ import annotations

import html
import json
import re
from base64 import b64decode
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import sightline as sl
from comparison.page_reader import Element, read, section
from comparison.test_report_looks import contrast
from reading_models import make
from sightline.errors import CheckpointError
from sightline.model.families import LAYOUTS
from sightline.pages.markup import FORBIDDEN
from sightline.pages.shell import resource
from sightline.probing.draw import label
from sightline.probing.look import Look, look
from sightline.probing.look_parts import CHANGES, SHARES, TITLES, change_bytes, level, percent

HOSTILE = "</script><script>alert(1)</script><b onclick=x>"
TEXT = "the cat sat on the mat"


@cache
def look_of(family: str) -> Look:
    return look(make(family), TEXT, measure=False, new_tokens=3)


@cache
def page_of(family: str) -> str:
    return look_of(family).html()


def values(page: Element, name: str) -> dict[str, object]:
    """What the page's script is given by this name."""
    (said,) = [each.text() for each in page.all("script") if each.attributes.get("id") == name]
    found: dict[str, object] = json.loads(said)
    return found


every_family = pytest.mark.parametrize("family", LAYOUTS)


@every_family
def test_a_page_is_well_formed_and_alone(family: str) -> None:
    text = page_of(family)
    page = read(text)
    loading = {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert not {each.name for each in page.all()} & loading
    assert all(not name.startswith("on") for each in page.all() for name in each.attributes)
    assert not {name for each in page.all() for name in each.attributes} & {"src", "srcset", "action"}
    assert "url(" not in text and "@import" not in text and not re.search(r"://(?!www\.w3\.org/2000/svg)", text)
    assert not FORBIDDEN.search(text)
    assert [each.attributes["aria-labelledby"] for each in page.all("section")] == list(TITLES)
    names = [each.attributes["id"] for each in page.all() if "id" in each.attributes]
    assert len(names) == len(set(names))
    assert {each.attributes["href"][1:] for each in page.all("a")} <= set(names)
    heads = [int(each.name[1]) for each in page.all() if re.fullmatch("h[1-6]", each.name)]
    assert heads[0] == 1 and all(below <= above + 1 for above, below in pairwise(heads))


@every_family
def test_the_same_look_gives_the_same_bytes(family: str) -> None:
    assert look_of(family).html() == page_of(family)


def test_what_keys_reach_says_what_it_is() -> None:
    for each in read(page_of("bert")).all():
        if each.attributes.get("tabindex") == "0":
            assert each.attributes["role"] in ("application", "region") and each.attributes["aria-label"]
        if each.name == "button":
            assert each.attributes["aria-pressed"] in ("true", "false") and each.text()


def test_texts_of_others_are_only_texts() -> None:
    words = ["the cat", HOSTILE, "sat"]
    tokenizer = sl.learn_tokenizer([*words, TEXT], vocabulary=90)
    tokenizer.add_tokens([HOSTILE, "\u202e", "<!--"])
    model = sl.build("bert", "tiny", tokenizer=tokenizer, layers=2)
    found = look(model, f"the {HOSTILE} \u202e <!-- sat", name=HOSTILE, measure=False, new_tokens=2)
    assert HOSTILE in found.tokens.texts
    text = found.html()
    page = read(text)
    assert "<script>alert" not in text and "<b onclick" not in text and "<!-- sat" not in text
    assert HOSTILE[:40] in page.all("h1")[0].text() and HOSTILE in page.all("p", "over")[0].text()
    assert {each.name for each in section(page, "tokens").all("ol")[0].all()} <= {"li", "b", "bdi", "small"}
    assert label(HOSTILE) in values(page, "look-heads")["tokens"]  # type: ignore[operator]
    framed = found._repr_html_()
    (frame,) = read(framed).all("iframe")
    assert frame.attributes["srcdoc"] == text and frame.attributes["sandbox"] == "allow-scripts"
    assert html.unescape(html.escape(text)) == text


def test_heads_and_changes_reach_the_script_as_they_are() -> None:
    found = look_of("gpt2")
    page = read(page_of("gpt2"))
    told = values(page, "look-heads")
    assert found.weights is not None and found.replaced is not None
    stored = torch.frombuffer(bytearray(b64decode(str(told["weights"]))), dtype=torch.uint8)
    assert stored.view(found.weights.shape).float().div(255).allclose(found.weights, atol=0.51 / 255)
    moved = values(page, "look-replaced")
    codes = torch.frombuffer(bytearray(b64decode(str(moved["changes"]))), dtype=torch.uint8).view(
        found.replaced.changes.shape
    )
    changes = found.replaced.changes
    assert torch.equal(codes > 0, changes > 0), "what has not moved is told from what has moved a little"
    decoded = 10 ** ((codes.double() - 1) / 254 * 8 - 6)
    assert decoded[codes > 0].allclose(changes[codes > 0].double(), rtol=0.04)


def test_a_byte_holds_any_change() -> None:
    codes = change_bytes(torch.tensor([0.0, 1e-12, 1e-6, 1.0, 1e9, torch.inf])).tolist()
    assert codes[0] == 0 and codes[1] == codes[2] == 1 and codes[4] == codes[5] == 255
    assert [level(value, CHANGES) for value in (0.0, 1e-9, 0.03, 0.5, 7.0)] == [0, 1, 2, 4, 5]
    assert [percent(share) for share in (0.0, 1e-9, 0.0123, 0.5, 1.0)] == ["0%", "<0.1%", "1.2%", "50%", "100%"]


def test_the_table_of_layers_says_what_the_lens_found() -> None:
    found = look_of("gpt2")
    lens = found.lenses[0]
    table = section(read(page_of("gpt2")), "lens").all("table")[0]
    rows = {row.all("th")[0].text(): row.all("td") for row in table.all("tbody")[0].all("tr")}
    assert list(rows) == ["3", "2", "1", "embedded"]
    for layer, name in enumerate(reversed(rows)):
        for at, cell in enumerate(rows[name]):
            word = int(lens.words[layer, at, 0])
            kinds = cell.attributes["class"].split()
            assert cell.text() == " ".join(label(found.spelled[word]).split())
            assert f"is-{level(float(lens.probabilities[layer, at, 0]), SHARES)}" in kinds
            assert ("true" in kinds) == (word == int(lens.truth[at]))


def test_all_heads_of_a_bert_base_stay_small() -> None:
    """32 tokens, 12 layers of 12 heads: what counts are the heads and not their width."""
    model = make("bert")
    sizes = {"layers": 12, "attention_heads": 12, "width": 24, "inner": 24, "positions": 64}
    wide = sl.build("bert", "tiny", tokenizer=model.tokenizer, **sizes)
    found = look(wide, list(range(5, 37)), new_tokens=3)
    assert found.weights is not None and found.weights.shape == (12, 12, 32, 32)
    assert len(found.html().encode()) < 1_000_000


def test_a_page_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    found = look_of("bert")
    assert found.save(tmp_path / "a" / "look.html").read_text(encoding="utf-8") == page_of("bert")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot write"):
        found.save(tmp_path / "file" / "look.html")


def test_pictures_are_files_one_a_part(tmp_path: Path) -> None:
    written = look_of("bert").pictures(tmp_path / "pictures")
    assert sorted(path.name for path in written) == sorted(
        ["sees-0.png", "sees-1.png", "heads.png", "head.png", "lens-0.png", "lens-1.png", "replaced.png"]
    )
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written)
    assert written[0].read_bytes() == look_of("bert").pictures(tmp_path / "again")[0].read_bytes()


# Colours

SHEETS = "".join(resource("sightline.probing", name) for name in ("draw.css", "look.css"))


def colours(scheme: str) -> dict[str, tuple[float, float, float]]:
    """Every colour by name, in the light or in the dark."""
    found: dict[str, tuple[float, float, float]] = {}
    for sheet in (resource("sightline.pages", "style.css"), SHEETS):
        dark = "".join(re.findall(r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", sheet, re.DOTALL))
        light = "".join(re.findall(r"^:root \{(.*?)\}", sheet, re.DOTALL | re.MULTILINE))
        for name, *parts in re.findall(r"--([\w-]+): #(..)(..)(..);", dark if scheme == "dark" else light):
            found[name] = (float(int(parts[0], 16)), float(int(parts[1], 16)), float(int(parts[2], 16)))
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(scheme: str) -> None:
    known = colours(scheme)
    assert set(known) == set(colours("light"))
    paper = known["paper"]
    steps = [contrast(known[f"sees-{shade}"], paper) for shade in range(1, 6)]
    assert steps == sorted(steps) and steps[-1] >= 4.5, "the stronger, the farther from the paper"
    for strong in ("leak", "missing"):
        assert contrast(known[strong], paper) >= 3
    assert contrast(known["leak-ink"], known["leak"]) >= 3
    read_upon = {"raised": "ink", "sees-1": "ink", "sees-2": "strong-ink", "sees-4": "paper", "sees-5": "paper"}
    for ground, ink in read_upon.items():
        assert contrast(known[ink], known[ground]) >= 4.5, (ink, ground)


def test_a_leak_is_told_from_the_rest_without_seeing_colours() -> None:
    """As a red-green blind eye sees them, orange and every blue keep their distance (Machado et al. 2009)."""
    deuteranopia = torch.tensor(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    )
    for scheme in ("light", "dark"):
        known = colours(scheme)
        leak = deuteranopia @ torch.tensor(known["leak"])
        for shade in range(1, 6):
            other = deuteranopia @ torch.tensor(known[f"sees-{shade}"])
            assert float((leak - other).norm()) > 60, (scheme, shade)


def test_every_class_of_the_page_is_styled_or_structural() -> None:
    styled = set(re.findall(r"\.([a-z][\w-]*)", re.sub(r"\{[^}]*\}", "{}", SHEETS)))
    shared = set(re.findall(r"\.([a-z][\w-]*)", resource("sightline.pages", "style.css")))
    pages: list[Element] = [read(page_of(family)) for family in ("bert", "gpt2")]
    used = {word for page in pages for each in page.all() for word in each.attributes.get("class", "").split()}
    script = resource("sightline.probing", "look.js") + resource("sightline.probing", "draw.js")
    assert used - styled - shared <= {"lens-reading", "body", "intro", "true", "blind", "sees", "svg"}
    by_script = {name for name in styled - used if re.search(rf"\b{name}\b", script)}
    of_matrices = {
        "cell-scale",
        "leak",
        "leak-sign",
        "missing-sign",
        "unsure",
        "unsure-sign",
        "left-out",
        "special",
        "blank",
    }
    ranges = {f"is-{step}" for step in range(1, 6)} | {f"shade-{step}" for step in range(6)}
    assert styled - used - by_script <= of_matrices | ranges
