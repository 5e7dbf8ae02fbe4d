"""Markup cannot be broken by what it holds."""

from sightline.pages.markup import Html, shortened, tag


def test_markup_escapes_texts_and_keeps_markup() -> None:
    assert tag("p", '<&">', Html("<br>"), None, title='"<', id=None).source == (
        '<p title="&quot;&lt;">&lt;&amp;&quot;&gt;<br></p>'
    )
    assert tag("line", x1=1.0, y1=2.346, class_="a", stroke_width="2").source == (
        '<line x1="1" y1="2.35" class="a" stroke-width="2"/>'
    )


def test_a_long_name_keeps_both_ends() -> None:
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 7) == "abc…ijk"
    assert len(shortened("x" * 99, 8)) == 8
