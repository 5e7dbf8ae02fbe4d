"""The shell of a page: it says what it may run, and what it holds cannot get out of its place."""

import json
import re
from base64 import b64encode
from hashlib import sha256

from comparison.page_reader import read
from sightline.pages.markup import tag
from sightline.pages.shell import data, document

SCRIPT = 'document.title = "<&> it ran";'


def test_a_page_names_its_script_by_hash_and_allows_no_other() -> None:
    page = read(document("A title", tag("main"), scripts=[SCRIPT]))
    wanted = b64encode(sha256(SCRIPT.encode()).digest()).decode()
    allowed = next(each.attributes["content"] for each in page.all("meta") if "http-equiv" in each.attributes)
    assert allowed == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{wanted}'"
    assert [each.children for each in page.all("script")] == [[SCRIPT]]
    assert "script-src" not in document("A title")


def test_values_for_a_script_stay_values() -> None:
    value = {"text": "</script><script>alert(1)</script><!--", "odd": "\u2028 & \ud800"}
    said = data("values", value).source
    inside = re.fullmatch(r'<script type="application/json" id="values">(.*)</script>', said)
    assert inside and not set("<>&") & set(inside[1]) and "\u2028" not in inside[1]
    assert json.loads(inside[1]) == {**value, "odd": "\u2028 & \ufffd"}


def test_a_title_is_text() -> None:
    assert "<title>&lt;b&gt;</title>" in document("<b>")
