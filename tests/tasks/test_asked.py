"""Questions: what is hidden, what is read once, which rows go together.

Shapes: T tokens.
"""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoding.models import masked as masked_model
from sightline.tasks.asked import as_they_stand, masked
from sightline.tasks.asking import in_batches
from sightline.tasks.reading import View, readings
from sightline.tasks.scorer import scorer

BLANK = 99
WORDS = [-1, 1, 2, 2, 2, 3, -1]


def view(ids: list[int], places: tuple[int, int] = (1, 6)) -> View:
    return View(
        ids=numpy.array(ids, dtype=numpy.int32), words=numpy.array(WORDS), places=places, owner=0, token=places[0] - 1
    )


def hidden(within: str) -> list[set[int]]:
    """The places that are hidden in the rows of the questions, in their order."""
    asked = masked([view([0, 11, 12, 13, 14, 15, 1])], BLANK, within)  # type: ignore[arg-type]
    return [set(numpy.flatnonzero(asked.rows[row] == BLANK).tolist()) for row in asked.row]


def test_what_is_hidden_while_a_token_is_asked() -> None:
    assert hidden("original") == [{1}, {2}, {3}, {4}, {5}]
    assert hidden("l2r") == [{1}, {2, 3, 4}, {3, 4}, {4}, {5}]
    assert hidden("whole") == [{1}, {2, 3, 4}, {2, 3, 4}, {2, 3, 4}, {5}]


def test_pieces_of_a_word_that_are_hidden_together_are_one_row() -> None:
    asked = masked([view([0, 11, 12, 13, 14, 15, 1])], BLANK, "whole")
    assert len(asked.rows) == 3 and len(asked.row) == 5


def test_a_pair_shares_the_row_in_which_it_does_not_differ() -> None:
    """Of two sentences that differ in one token, that token is asked twice of one row, the others of rows of their
    own."""
    good, bad = [0, 11, 12, 13, 14, 15, 1], [0, 11, 12, 13, 14, 55, 1]
    asked = masked([view(good), view(bad)], BLANK, "original")
    assert len(asked.rows) == 9 and len(asked.row) == 10
    assert asked.row[4] == asked.row[9]
    assert (asked.target[4], asked.target[9]) == (15, 55)


def test_equal_texts_are_read_once_and_equal_questions_asked_once() -> None:
    twice = as_they_stand([view([0, 11, 12, 13, 14, 15, 1])] * 2)
    assert len(twice.rows) == 1 and len(twice.row) == 10
    once, where = twice.once()
    assert len(once.row) == 5 and where.tolist() == [0, 1, 2, 3, 4] * 2
    apart = as_they_stand([view([0, 11, 12, 13, 14, 15, 1]), view([0, 11, 12, 13, 14, 15, 1], (3, 6))])
    assert len(apart.rows) == 2  # as many given tokens are not the same question of an order


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=60), batch_tokens=st.integers(1, 40))
def test_every_row_is_in_one_batch_that_fits(lengths: list[int], batch_tokens: int) -> None:
    batches = in_batches(lengths, batch_tokens)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or longest * len(batch) <= batch_tokens


@given(counts=st.lists(st.integers(0, 50), min_size=1, max_size=8), batch_tokens=st.integers(8, 64))
def test_next_to_nothing_is_padded(counts: list[int], batch_tokens: int) -> None:
    """Of each length, less than half a batch is left over for batches of unequal rows."""
    lengths = [length for length, count in enumerate(counts, start=1) for _ in range(count)]
    for batch in in_batches(lengths, batch_tokens):
        of = [lengths[index] for index in batch]
        if len(set(of)) > 1:
            for length in set(of):
                assert of.count(length) < batch_tokens // length


def test_a_masked_copy_that_comes_again_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = masked_model("bert", positions=64)
    by = scorer(model, within_word="original", batch_tokens=64)
    rows = 0
    whole = type(by.asker).states

    def counted(self, some, given, only):  # type: ignore[no-untyped-def]
        nonlocal rows
        rows += len(some)
        return whole(self, some, given, only)

    monkeypatch.setattr(type(by.asker), "states", counted)
    texts = ["the cat sat", "the dog sat", "the cat sat"]
    found = by.log_probs(readings(by.tokenizer, texts), lambda share: None)
    lengths = [len(each) for each in found]
    assert rows == lengths[0] + lengths[1] - 1
    assert numpy.array_equal(found[0], found[2])
