"""Parts of labelled rows: every row in one, no text in two, each class with its share, the same for the same seed."""

import time

import numpy
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sightline.errors import InputError
from sightline.text.duplicates import normalized
from sightline.text.labelled import Examples
from sightline.text.split import overlap, split

SHARES = st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5), (0.7, 0.3), (0.6, 0.2, 0.2), (0.4, 0.3, 0.2, 0.1)])


def made(texts: list[str], targets: list[int] | list[float], pairs: list[str] | None = None) -> Examples:
    numbers = any(isinstance(target, float) for target in targets)
    return Examples(
        texts=texts,
        pairs=pairs,
        targets=numpy.array(targets, numpy.float64 if numbers else numpy.int64),
        labels=None if numbers else tuple(f"class {target}" for target in range(max(targets) + 1)),
        rows=list(range(1, len(texts) + 1)),
    )


@st.composite
def tables(draw: st.DrawFn) -> Examples:
    """A few classes, texts that recur, also with other labels and in other spelling."""
    n_classes = draw(st.integers(2, 4))
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 60), st.integers(0, n_classes - 1), st.sampled_from(["a {}", "A  {}", " a {}"])),
            min_size=20,
            max_size=150,
        )
    )
    numbers = draw(st.booleans())
    targets = [kind + text / 10 if numbers else kind for text, kind, _ in rows]
    return made([form.format(text) for text, _, form in rows], targets)


def strict(examples: Examples, shares: tuple[float, ...], seed: int = 0) -> tuple[numpy.ndarray, ...]:
    """The parts, for tables that can be split."""
    try:
        return split(examples, shares, seed)
    except InputError as error:
        assume("too few" not in str(error))
        raise


@given(examples=tables(), shares=SHARES, seed=st.integers(0, 5))
def test_every_row_once_and_no_text_twice(examples: Examples, shares: tuple[float, ...], seed: int) -> None:
    parts = strict(examples, shares, seed)
    assert len(parts) == len(shares)
    assert sorted(numpy.concatenate(parts)) == list(range(len(examples)))
    texts = [{normalized(examples.texts[place]) for place in part} for part in parts]
    assert sum(map(len, texts)) == len(set.union(*texts))
    for part, same in zip(parts, split(examples, shares, seed), strict=True):
        assert part.dtype == numpy.int64
        assert (part == same).all()
        assert (numpy.diff(part) > 0).all()
        assert len(part)
        assert (
            overlap(examples.take(part), examples.take(numpy.concatenate([p for p in parts if p is not part]))).size
            == 0
        )


@given(examples=tables(), shares=SHARES)
def test_every_class_has_its_share(examples: Examples, shares: tuple[float, ...]) -> None:
    parts = strict(examples, shares)
    if examples.labels is None:
        return
    largest = max(numpy.unique([normalized(text) for text in examples.texts], return_counts=True)[1])
    for label in set(examples.targets):
        rows = [(examples.targets[part] == label).sum() for part in parts]
        assert min(rows) >= 1
        for has, share in zip(rows, shares, strict=True):
            assert abs(has - share * sum(rows)) <= largest + len(shares)


@given(
    sizes=st.lists(st.integers(3, 80), min_size=2, max_size=12),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.5, 0.3, 0.2)]),
)
def test_without_duplicates_shares_are_exact_within_two_rows(sizes: list[int], shares: tuple[float, ...]) -> None:
    targets = [label for label, size in enumerate(sizes) for _ in range(size)]
    examples = made([f"text {row}" for row in range(len(targets))], targets)
    parts = split(examples, shares)
    for label, size in enumerate(sizes):
        rows = [(examples.targets[part] == label).sum() for part in parts]
        assert min(rows) >= 1
        if size * min(shares) >= 1:
            assert all(abs(has - share * size) <= 2 for has, share in zip(rows, shares, strict=True))


def test_the_roundings_of_many_classes_do_not_add_up() -> None:
    targets = [row % 1000 for row in range(14_000)]
    parts = split(made([f"text {row}" for row in range(len(targets))], targets))
    assert [len(part) for part in parts] == pytest.approx([11_200, 1_400, 1_400], abs=15)
    for part in parts:
        assert len(set(numpy.array(targets)[part])) == 1000


@pytest.mark.parametrize("seed", range(10))
def test_shares_are_exact_beside_large_groups(seed: int) -> None:
    texts = [*["said again and again"] * 40, *[f"text {row}" for row in range(60)]]
    examples = made([*texts, *(f"other {row}" for row in range(20))], [0] * 100 + [1] * 20)
    assert [len(part) for part in split(examples, (0.5, 0.5), seed)] == [60, 60]


def test_another_seed_is_another_split() -> None:
    examples = made([f"text {row}" for row in range(200)], [row % 2 for row in range(200)])
    tests = [set(split(examples, seed=seed)[2].tolist()) for seed in range(30)]
    assert all(len(test) == 20 for test in tests)
    assert len({frozenset(test) for test in tests}) == 30
    times = numpy.bincount([row for test in tests for row in test], minlength=200)
    assert times.max() < 14  # 3 of 30 on average: no row is always in the test part


def test_numbers_are_spread_alike() -> None:
    generator = numpy.random.default_rng(0)
    examples = made([f"text {row}" for row in range(500)], generator.lognormal(size=500).tolist())
    for seed in range(5):
        for part in split(examples, seed=seed):
            medians = numpy.median(examples.targets[part]), numpy.median(examples.targets)
            assert medians[0] == pytest.approx(medians[1], rel=0.2)


def test_a_pair_the_other_way_round_is_the_same_pair() -> None:
    texts = [f"text {row}" for row in range(60)]
    others = [f"other {row}" for row in range(60)]
    examples = made(texts + others, [row % 2 for row in range(120)], others + texts)
    for part in split(examples, (0.5, 0.5)):
        assert {(place + 60) % 120 for place in part.tolist()} == set(part.tolist())
    shared = made([*texts, *texts], [row % 2 for row in range(120)], [*others, *others[::-1]])
    assert {len(part) for part in split(shared, (0.5, 0.5))} == {60}


def test_overlap() -> None:
    a = made(["One two", "three", " ONE  two ", "four"], [0, 1, 1, 0])
    b = made(["one two", "five", "Four"], [1, 1, 0])
    assert overlap(a, b).tolist() == [0, 2, 3]
    assert overlap(b, a).tolist() == [0, 2]
    assert overlap(a, b.take([1])).tolist() == []
    assert overlap(a, b).dtype == overlap(a, b.take([1])).dtype == numpy.int64


TOO_FEW: list[tuple[list[str], list[int] | list[float], str]] = [
    ([*"abcde"], [0, 0, 0, 1, 1], r"the class 'class 1' has 2 rows, too few for 3 parts that each need one: add rows"),
    ([*"abcd"], [0, 0, 0, 1], "the class 'class 1' has 1 row, too few for 3 parts"),
    ([*"abcdef"], [0, 0, 0, 1, 2, 2], r"'class 1' has 1 row, too few for 3 parts .* \(1 other class too\)"),
    ([*"abcddD"], [0, 0, 0, 1, 1, 1], "the class 'class 1' has 3 rows with 1 different text, too few"),
    ([*"abcde"], [0.5, 1.5, 2.5, 3.5, 4.5], "5 rows with 5 different texts are too few for 3 parts: numbers need at"),
]


@pytest.mark.parametrize(("texts", "targets", "message"), TOO_FEW, ids=[case[2][:30] for case in TOO_FEW])
def test_too_few_rows(texts: list[str], targets: list[int] | list[float], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        split(made(texts, targets))
    assert "add rows" in str(caught.value)
    assert "give files for dev and test" in str(caught.value)


def test_as_many_rows_as_parts_are_enough() -> None:
    parts = split(made([*"abcdef"], [0, 0, 0, 1, 1, 1]))
    assert [len(part) for part in parts] == [2, 2, 2]


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.6), (1.0, 0.0), (1.5, -0.5), ()])
def test_shares_that_are_none(shares: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="are not two or more positive numbers that add up to 1"):
        split(made([*"abcdef"], [0, 1] * 3), shares)


def test_100_000_rows_take_seconds() -> None:
    texts = [f"this is the text of row {row % 90_000}, ordinary as it is" for row in range(100_000)]
    examples = made(texts, [row % 7 for row in range(100_000)])
    start = time.process_time()
    parts = split(examples)
    assert time.process_time() - start < 10
    assert [len(part) for part in parts] == pytest.approx([80_000, 10_000, 10_000], abs=10)
