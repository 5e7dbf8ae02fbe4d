"""Text that arrives id by id is the text that arrives at once, and no piece ends within a character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import InputError
from sightline.text.stream import UNFINISHED, DecodeStream
from sightline.text.tokenizer import Tokenizer

WORDS = st.lists(st.sampled_from(["fox", "played", "Zwölf", "\N{FAMILY}", "e\u0301", "don't", ",", "[SEP]", "\u4e2d"]))
TEXT = st.text() | WORDS.map(" ".join) | st.text(alphabet="\N{GRINNING FACE}\N{FAMILY}é\u0301\u4e2d a\ufffd")


def pieces(tokenizer: Tokenizer, ids: list[int], after: list[int] | None = None, skip: bool = False) -> list[str]:
    stream = tokenizer.decode_stream(after or [], skip_special_tokens=skip)
    return [stream.add(id) for id in ids] + [stream.finish()]


@given(TEXT)
def test_text_streams_as_it_is(bytelevel: Tokenizer, text: str) -> None:
    got = pieces(bytelevel, bytelevel.encode(text))
    assert "".join(got) == text
    assert UNFINISHED in text or UNFINISHED not in "".join(got)


@given(st.data(), st.booleans())
def test_any_ids_stream_as_they_decode(
    wordpiece: Tokenizer, bytelevel: Tokenizer, data: st.DataObject, skip: bool
) -> None:
    for tokenizer in (wordpiece, bytelevel):
        # Special tokens and, from 100 on, the bytes of cut characters are made frequent.
        id = st.integers(0, len(tokenizer) - 1) | st.integers(0, 4) | st.integers(100, 240)
        ids = data.draw(st.lists(id, max_size=40))
        assert "".join(pieces(tokenizer, ids, skip=skip)) == tokenizer.decode(ids, skip_special_tokens=skip)


@given(TEXT)
def test_wordpiece_streams_as_it_decodes(wordpiece: Tokenizer, text: str) -> None:
    ids = wordpiece.encode(text)
    assert "".join(pieces(wordpiece, ids)) == wordpiece.decode(ids)


def test_a_continuation_joins_its_prompt(wordpiece: Tokenizer, bytelevel: Tokenizer) -> None:
    for tokenizer in (wordpiece, bytelevel):
        ids = tokenizer.encode("the fox played, \N{FAMILY} don't", add_special_tokens=False)
        whole = tokenizer.decode(ids)
        for cut in range(len(ids) + 1):
            new = "".join(pieces(tokenizer, ids[cut:], after=ids[:cut]))
            assert whole.endswith(new)
            assert tokenizer.decode(ids[:cut]).rstrip(UNFINISHED) + new == whole


def test_a_piece_comes_as_soon_as_its_character_is_whole(bytelevel: Tokenizer) -> None:
    ids = [bytelevel.id(byte) for byte in "ðŁĺĢ"]  # the four bytes of an emoji, as byte-level vocabularies spell them
    got = pieces(bytelevel, [*ids, bytelevel.id("a"), *ids[:2]])
    assert got == ["", "", "", "\N{GRINNING FACE}", "a", "", "", UNFINISHED]


def test_an_unknown_id_leaves_the_stream_as_it_was(bytelevel: Tokenizer) -> None:
    stream = bytelevel.decode_stream()
    stream.add(bytelevel.id("ð"))
    with pytest.raises(InputError, match="no token has id"):
        stream.add(len(bytelevel))
    assert stream.add(bytelevel.id("a")) == UNFINISHED + "a"


def test_a_long_stream_stays_cheap(bytelevel: Tokenizer) -> None:
    decoded = []

    def decode(ids: list[int]) -> str:
        decoded.append(len(ids))
        return bytelevel.decode(ids, skip_special_tokens=True)

    stream = DecodeStream(decode)
    for id in bytelevel.encode("emoji \N{FAMILY} and words " * 50) + [bytelevel.special.eos_id] * 50:
        stream.add(id)
    assert max(decoded) < 12
