"""Stop strings: the text up to the one that is complete first, however the text is cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.decoding.stop import StopText, stop_strings
from sightline.errors import ConfigError

texts = st.text("ab", max_size=20)
stops = st.text("ab", min_size=1, max_size=5)


@st.composite
def pieces(draw: st.DrawFn) -> list[str]:
    """A text in pieces, empty ones among them."""
    text = draw(texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def run(strings: list[str], pieces: list[str]) -> tuple[str, bool]:
    """What is shown of the pieces, and whether they stopped."""
    stop = StopText(strings)
    shown = "".join(stop.feed(piece) for piece in pieces)
    return shown + stop.finish(), stop.stopped


@given(stops, pieces())
def test_one_string_is_what_find_finds(string: str, pieces: list[str]) -> None:
    text = "".join(pieces)
    at = text.find(string)
    assert run([string], pieces) == ((text, False) if at < 0 else (text[:at], True))


@given(st.lists(stops, max_size=4), pieces())
def test_of_several_the_first_to_be_complete(strings: list[str], pieces: list[str]) -> None:
    text = "".join(pieces)
    expected = text, False
    for end in range(len(text) + 1):
        ending = [string for string in strings if text[:end].endswith(string)]
        if ending:
            expected = text[: end - max(map(len, ending))], True
            break
    assert run(strings, pieces) == expected


@given(st.lists(stops, max_size=4), pieces())
def test_what_is_certain_is_shown_at_once(strings: list[str], pieces: list[str]) -> None:
    """Held back is what begins a stop string, and no character more."""
    stop, fed, shown = StopText(strings), "", ""
    for piece in pieces:
        fed, shown = fed + piece, shown + stop.feed(piece)
        if stop.stopped:
            break
        held = fed[len(shown) :]
        assert fed == shown + held
        longest = max((n for string in strings for n in range(len(string)) if fed.endswith(string[:n])), default=0)
        assert len(held) == longest


@pytest.mark.parametrize(
    ("strings", "text", "shown"),
    [
        (["aab"], "aaab", "a"),
        (["end"], "end", ""),
        (["end"], "ends here", ""),
        (["abab"], "aababab", "a"),
        (["abcd", "bc"], "abcd", "a"),
        (["bcd", "abcd"], "xabcd", "x"),
        (["é"], "caffé", "caff"),
        (["\n\n"], "one\n\ntwo", "one"),
    ],
)
def test_character_by_character(strings: list[str], text: str, shown: str) -> None:
    assert run(strings, list(text)) == run(strings, [text]) == (shown, True)


def test_nothing_is_shown_after_a_stop() -> None:
    stop = StopText(["."])
    assert [stop.feed("one."), stop.feed(" two"), stop.finish()] == ["one", "", ""]


def test_one_string_or_several() -> None:
    assert stop_strings("end") == ["end"]
    assert stop_strings(("a", "b")) == ["a", "b"]
    assert stop_strings([]) == []


@pytest.mark.parametrize("wrong", ["", [""], ["a", ""], [5], [None], [b"a"]])
def test_what_is_no_stop_string(wrong: list[str]) -> None:
    with pytest.raises(ConfigError, match="must be a string of at least one character"):
        stop_strings(wrong)
