"""Units: whom they hold together, how long they are, and how many are drawn."""

from typing import get_args

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.objectives.units import Unit, drawn, span_lengths, unit_numbers

UNITS = get_args(Unit)


def layout(seed: int, rows: int, tokens: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Where words begin, and where texts do."""
    random = numpy.random.default_rng(seed)
    return random.random((rows, tokens)) < 0.6, random.random((rows, tokens)) < 0.1


@given(seed=st.integers(0, 99), rows=st.integers(1, 4), tokens=st.integers(1, 40), unit=st.sampled_from(UNITS))
def test_units_lie_end_to_end_and_cross_no_border(seed: int, rows: int, tokens: int, unit: Unit) -> None:
    begins, apart = layout(seed, rows, tokens)
    units = unit_numbers(unit, begins, apart, numpy.random.default_rng(seed))
    flat, steps = units.ravel(), numpy.diff(units.ravel())
    assert flat[0] == 0 and set(steps.tolist()) <= {0, 1}
    borders = apart.copy()
    borders[:, 0] = True
    assert steps[borders.ravel()[1:]].all()
    if unit == "tokens":
        assert steps.all()
    if unit == "words":
        assert (steps == (begins | borders).ravel()[1:]).all()
    if unit == "word_spans":
        assert not steps[~(begins | borders).ravel()[1:]].any()
    longest = {"tokens": 1, "spans": 3}.get(unit, tokens)
    assert numpy.bincount(flat).max() <= longest


@pytest.mark.parametrize(("unit", "longest"), [("spans", 3), ("word_spans", 10)])
def test_how_long_spans_are(unit: Unit, longest: int) -> None:
    """Uniform from 1 to 3; geometric with p = 0.2, cut off behind 10 words and 3.8 long on average (SpanBERT)."""
    count = 20_000
    random = numpy.random.default_rng(0)
    lengths = numpy.bincount(span_lengths(unit, (count,), random), minlength=longest + 1)
    shares = numpy.ones(3) / 3 if unit == "spans" else 0.2 * 0.8 ** numpy.arange(10)
    expected = count * shares / shares.sum()
    assert lengths[0] == 0 and len(lengths) == longest + 1
    assert (numpy.abs(lengths[1:] - expected) < 5 * numpy.sqrt(expected)).all()
    if unit == "word_spans":
        assert round(float(lengths @ numpy.arange(11)) / count, 1) == 3.8
    # And so are they as they lie in a long text: of tokens, or of words of one, two … tokens.
    begins, apart = numpy.ones((1, 4 * count), bool), numpy.zeros((1, 4 * count), bool)
    begins[0, 1::2] = unit == "spans"
    laid = numpy.bincount(unit_numbers(unit, begins, apart, random).ravel())[:-1] // (1 if unit == "spans" else 2)
    found = numpy.bincount(laid, minlength=longest + 1)[1:]
    expected = len(laid) * shares / shares.sum()
    assert (numpy.abs(found - expected) < 5 * numpy.sqrt(expected)).all()


@given(
    seed=st.integers(0, 99), unit=st.sampled_from(UNITS), wanted=st.integers(1, 60), whole=st.booleans(),
    share=st.floats(0, 1),
)  # fmt: skip
def test_as_many_are_drawn_as_whole_units_allow(seed: int, unit: Unit, wanted: int, whole: bool, share: float) -> None:
    begins, apart = layout(seed, 3, 20)
    random = numpy.random.default_rng(seed)
    units, may = unit_numbers(unit, begins, apart, random), random.random((3, 20)) < share
    taken = drawn(units, may, wanted, whole, random)
    assert not (taken & ~may).any()
    sizes = numpy.bincount(units.ravel(), weights=may.ravel())
    can = sizes == numpy.bincount(units.ravel()) if whole else sizes > 0
    of_units = numpy.bincount(units.ravel(), weights=taken.ravel())
    assert ((of_units == 0) | (of_units == sizes) & can).all()  # all of a unit, or nothing
    total = int(taken.sum())
    if can.any():
        longest = sizes[can].max()
        least = min(wanted, sizes[can].sum())
        assert max(1, least - longest / 2) <= total <= max(wanted + longest / 2, longest)
    if unit == "tokens":
        assert total == min(wanted, int(may.sum()))


def test_every_unit_is_drawn_as_often() -> None:
    """Long ones as often as short ones."""
    units = numpy.array([[0, 1, 1, 2, 2, 2, 3, 3, 3, 3]])
    may, random, times = numpy.ones((1, 10), bool), numpy.random.default_rng(0), 4000
    taken = sum(drawn(units, may, 1, False, random)[0, [0, 1, 3, 6]].astype(int) for _ in range(times))
    assert (numpy.abs(taken - times / 4) < 5 * (times * 3 / 16) ** 0.5).all()
