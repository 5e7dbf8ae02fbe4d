"""Windows and batches: what each must hold, for any sizes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import ConfigError, InputError
from sightline.text.batches import by_length
from sightline.text.tokenizer import Tokenizer
from sightline.text.windows import encode_rows, window_spans, windows


@given(tokens=st.integers(1, 200), size=st.integers(1, 40), data=st.data())
def test_windows_cover_a_text(tokens: int, size: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, size))
    spans = window_spans(tokens, size, stride)
    assert spans[0][0] == 0
    assert spans[-1][1] == tokens
    assert all(end - start == min(size, tokens) for start, end in spans)  # each is full
    for (start, end), (following, stop) in itertools.pairwise(spans):
        assert start < following <= end < stop
        assert following - start == stride or stop == tokens
    assert len(spans) == 1 + -(-max(tokens - size, 0) // stride)  # no more than needed


@pytest.mark.parametrize("stride", [-1, 0, 5])
def test_a_stride_that_skips_or_stands_still_is_refused(stride: int) -> None:
    with pytest.raises(InputError, match=f"stride={stride} cannot be; windows hold 4 tokens of text, so choose 1 to 4"):
        window_spans(10, 4, stride)


@given(words=st.lists(st.sampled_from(["fox", "play", "zwölf", "42", "!"]), min_size=1, max_size=40), data=st.data())
def test_each_window_is_a_text_of_its_own(
    wordpiece: Tokenizer, bytelevel: Tokenizer, words: list[str], data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, 20))
    stride = data.draw(st.integers(1, size))
    for tokenizer, front, back in ((wordpiece, ["[CLS]"], ["[SEP]"]), (bytelevel, [], [])):
        (row,) = encode_rows(tokenizer, [" ".join(words)])
        plain = tokenizer.encode(" ".join(words), add_special_tokens=False)
        assert row.ids == tokenizer.encode(" ".join(words))
        parts = windows(row, size, stride)
        assert sum(part.new for part in parts) == row.new == len(plain)
        assert [
            id for part in parts for id in part.ids[len(part.ids) - len(back) - part.new : len(part.ids) - len(back)]
        ] == plain
        for part in parts:
            tokens = [tokenizer.token(id) for id in part.ids]
            assert (tokens[: len(front)], tokens[len(tokens) - len(back) :]) == (front, back)
            assert part.types is None or len(part.types) == len(part.ids)
            assert len(part.ids) - len(front) - len(back) <= size


def test_rows_say_what_the_tokenizer_added(wordpiece: Tokenizer, bytelevel: Tokenizer) -> None:
    rows = encode_rows(wordpiece, ["", "fox", "\u200b"])
    assert [(row.front, row.back, bool(row.new)) for row in rows] == [(1, 1, False), (1, 1, True), (1, 1, False)]
    rows = encode_rows(bytelevel, ["", "fox"])
    assert [(row.front, row.back, bool(row.new)) for row in rows] == [(0, 0, False), (0, 0, True)]


@given(lengths=st.lists(st.integers(1, 30), max_size=40), budget=st.integers(1, 100))
def test_batches_hold_every_row_once_and_keep_to_the_budget(lengths: list[int], budget: int) -> None:
    batches = by_length(lengths, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget
    for batch, following in itertools.pairwise(batches):
        assert min(lengths[index] for index in batch) >= max(lengths[index] for index in following)
        assert (len(batch) + 1) * max(lengths[index] for index in batch) > budget  # as full as it may be


def test_a_batch_has_room_for_something() -> None:
    with pytest.raises(ConfigError, match="batch_tokens=0 counts"):
        by_length([1], 0)
