"""Masks: their tables are what their docstrings say, their algebra is that of sets, and their text is read back."""

import itertools
from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from sightline.core import mask as vocabulary
from sightline.core.coordinates import Coordinates
from sightline.core.mask import (
    LEAVES,
    And,
    Bidirectional,
    Causal,
    Mask,
    NotPadding,
    Permuted,
    Prefix,
    SameDocument,
    SlidingWindow,
)
from sightline.errors import ConfigError, InputError
from strategies import coordinates, leaves, masks, pairs, plain_table

PYTHON = {name: kind for name, kind in vars(vocabulary).items() if isinstance(kind, type) and issubclass(kind, Mask)}


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tables agree, where one may be shared by all rows."""
    return bool((a == b).all()) and a.shape[1:] == b.shape[1:]


def structure(mask: Mask) -> object:
    """Types and values, nested as the expression is: what equality must go by."""
    values = [getattr(mask, field.name) for field in fields(mask)]  # type: ignore[arg-type]
    return type(mask), [structure(value) if isinstance(value, Mask) else value for value in values]


# Tables


@pytest.mark.parametrize("leaf", LEAVES)
@given(st.data())
def test_the_table_of_a_leaf_is_what_its_docstring_says(leaf: type[Mask], data: st.DataObject) -> None:
    mask = data.draw(leaves.filter(lambda drawn: isinstance(drawn, leaf)))
    queries, keys = data.draw(pairs())
    assert same(mask.table(queries, keys), plain_table(mask, queries, keys))


@given(masks(), pairs())
def test_the_table_of_an_expression_is_the_definition_applied_to_each_pair(
    mask: Mask, at: tuple[Coordinates, Coordinates]
) -> None:
    table = mask.table(*at)
    assert table.dtype == torch.bool
    assert table.shape[0] in (1, max(at[0].batch, at[1].batch))
    assert same(table, plain_table(mask, *at))


@given(masks(3), masks(3), pairs())
def test_the_table_of_a_composition_is_the_composition_of_tables(
    a: Mask, b: Mask, at: tuple[Coordinates, Coordinates]
) -> None:
    assert same((a & b).table(*at), a.table(*at) & b.table(*at))
    assert same((a | b).table(*at), a.table(*at) | b.table(*at))
    assert same((~a).table(*at), ~a.table(*at))


@given(masks(3), masks(3), pairs())
def test_de_morgan(a: Mask, b: Mask, at: tuple[Coordinates, Coordinates]) -> None:
    assert same((~(a & b)).table(*at), (~a | ~b).table(*at))
    assert same((~(a | b)).table(*at), (~a & ~b).table(*at))


@given(masks(), pairs(), st.data())
def test_a_slice_of_a_table_is_the_table_of_the_slice(
    mask: Mask, at: tuple[Coordinates, Coordinates], data: st.DataObject
) -> None:
    def part(tokens: int) -> tuple[int, int]:
        begin = data.draw(st.integers(0, tokens))
        return begin, data.draw(st.integers(begin, tokens))

    queries, keys = at
    (q, q_end), (k, k_end) = part(queries.tokens), part(keys.tokens)
    sliced = mask.table(queries.slice(q, q_end), keys.slice(k, k_end))
    assert same(sliced, mask.table(queries, keys)[:, q:q_end, k:k_end])


@given(masks(), coordinates(rows=3), st.lists(st.integers(0, 2), min_size=1, max_size=4))
def test_rows_of_a_table_are_the_table_of_the_rows(mask: Mask, at: Coordinates, rows: list[int]) -> None:
    index = torch.tensor(rows)
    assert same(mask.table(at.rows(index), at.rows(index)), mask.table(at, at).expand(3, -1, -1)[index])


@given(masks(), st.one_of(pairs(), pairs(known=True)))
def test_what_is_said_to_see_all_sees_all(mask: Mask, at: tuple[Coordinates, Coordinates]) -> None:
    if mask.sees_all(*at):
        assert mask.table(*at).all()


PLAIN: list[Mask] = [
    Bidirectional(),
    Causal(),
    *map(SlidingWindow, (1, 2, 3, 4)),
    *map(Prefix, (0, 1, 2, 3, 4)),
    SameDocument(),
    NotPadding(),
]
PLACES = [Coordinates.consecutive(tokens, start=start) for tokens in (1, 2, 3) for start in (0, 1, 3)]


def test_the_host_knows_exactly_when_a_leaf_hides_nothing_from_tokens_in_a_row() -> None:
    for mask, queries, keys in itertools.product(PLAIN, PLACES, PLACES):
        assert mask.sees_all(queries, keys) == mask.table(queries, keys).all(), (mask, queries, keys)


def test_the_host_knows_what_two_leaves_hide_together() -> None:
    for a, b, queries, keys in itertools.product(PLAIN, PLAIN, PLACES[:4], PLACES[:4]):
        both, either = a.sees_all(queries, keys), b.sees_all(queries, keys)
        assert (a & b).sees_all(queries, keys) == (both and either) == (a & b).table(queries, keys).all()
        assert (a | b).sees_all(queries, keys) == (both or either)


@pytest.mark.parametrize("hidden", ["real", "document"])
def test_the_host_claims_nothing_of_tensors_that_it_does_not_read(hidden: str) -> None:
    at = Coordinates.consecutive(2)
    held = {"real": torch.tensor([[True, False]]), "document": torch.tensor([[0, 1]])}
    told = Coordinates(position=at.position, **{hidden: held[hidden]})
    mask = NotPadding() if hidden == "real" else SameDocument()
    for queries, keys in [(told, told), (at, told), (told, at)]:
        assert mask.table(queries, keys).all() or not mask.sees_all(queries, keys)
    assert not any(mask.sees_all(told, told) for mask in [Causal(), SlidingWindow(1), Prefix(1)])


def test_ranks_that_are_missing_are_asked_for() -> None:
    at = Coordinates.consecutive(2)
    ranked = Coordinates(position=at.position, rank=at.position)
    for queries, keys in [(at, at), (ranked, at), (at, ranked)]:
        with pytest.raises(
            InputError, match=r"permuted\(true\) reads each token's rank, and none was given; pass ranks"
        ):
            (Causal() | ~Permuted(strict=True)).table(queries, keys)


# Values


@given(masks(), masks())
def test_masks_are_equal_when_they_are_built_alike(a: Mask, b: Mask) -> None:
    assert (a == b) == (structure(a) == structure(b))
    if a == b:
        assert hash(a) == hash(b)


@pytest.mark.parametrize(
    ("mask", "name"),
    [(SlidingWindow(2), "size"), (Permuted(), "strict"), (Causal() & Prefix(1), "left"), (~Causal(), "inner")],
)
def test_a_mask_cannot_be_changed(mask: Mask, name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(mask, name, 3)


@pytest.mark.parametrize("size", [0, -1, True, 2.0, "3", None, 2**63])
def test_sizes_are_whole_numbers_that_a_tensor_can_be_compared_with(size: object) -> None:
    with pytest.raises(ConfigError, match="give a whole number"):
        SlidingWindow(size)  # type: ignore[arg-type]
    if size != 0 or isinstance(size, bool):
        with pytest.raises(ConfigError, match="give a whole number"):
            Prefix(size)  # type: ignore[arg-type]


def test_the_largest_sizes_work() -> None:
    at = Coordinates.consecutive(2)
    assert (SlidingWindow(2**63 - 1) & Prefix(2**63 - 1)).table(at, at).all()


@pytest.mark.parametrize("other", [3, True, None, "causal", Prefix])
def test_only_masks_join(other: object) -> None:
    for join in (lambda: Causal() & other, lambda: Causal() | other):  # type: ignore[operator]
        with pytest.raises(ConfigError, match="is no mask"):
            join()


def test_strict_is_true_or_false() -> None:
    with pytest.raises(ConfigError, match="strict=1 must be true or false"):
        Permuted(1)  # type: ignore[arg-type]


# Text


@given(masks())
@example((Causal() | Prefix(2)) & ~(Permuted(strict=True) & (NotPadding() & SameDocument())))
def test_the_text_of_a_mask_is_read_back_as_the_same_mask(mask: Mask) -> None:
    read = Mask.parse(str(mask))
    assert structure(read) == structure(mask)
    assert read == mask
    assert hash(read) == hash(mask)
    assert str(read) == str(mask)


@given(masks())
def test_the_repr_of_a_mask_is_the_python_that_makes_it(mask: Mask) -> None:
    again = eval(repr(mask), PYTHON)
    assert structure(again) == structure(mask)
    assert Mask.parse(repr(mask)) == mask


def test_the_text_is_short_and_needs_no_more_brackets_than_it_has() -> None:
    causal, window, prefix = Causal(), SlidingWindow(256), Prefix(32)
    assert str(causal & window | prefix) == "causal & sliding_window(256) | prefix(32)"
    assert str(causal & (window | prefix)) == "causal & (sliding_window(256) | prefix(32))"
    assert str(~(causal & ~window)) == "~(causal & ~sliding_window(256))"
    assert repr(Permuted(strict=True) & Permuted()) == "Permuted(True) & Permuted()"
    assert str(Permuted(strict=True)) == "permuted(true)"


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        (" causal\t", Causal()),
        ("((causal))", Causal()),
        ("Causal() & SlidingWindow(3)", Causal() & SlidingWindow(3)),
        ("permuted(false)", Permuted()),
        ("permuted(True)", Permuted(strict=True)),
        ("causal&~not_padding|prefix(0)", Causal() & ~NotPadding() | Prefix(0)),
    ],
)
def test_spellings_that_are_read_too(text: str, mask: Mask) -> None:
    assert Mask.parse(text) == mask


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "join bidirectional, causal"),
        ("causal &", "join bidirectional, causal"),
        ("causall", "did you mean causal?"),
        ("sliding_windw(3)", "did you mean sliding_window?"),
        ("banana", "expected one of bidirectional, causal"),
        ("sliding_window", "it takes size"),
        ("sliding_window(2, 3)", "it takes size"),
        ("causal(3)", "it takes no value"),
        ("sliding_window(0)", "give a whole number, 1"),
        ("prefix(-1)", "a prefix of -1 positions cannot be"),
        ("prefix(2.5)", "a prefix of 2.5 positions cannot be"),
        ("prefix(size=3)", "cannot read 'prefix\\(size=3\\)'"),
        ("prefix(__import__('os'))", "join bidirectional"),
        ("prefix({[]: 1})", "join bidirectional"),
        ("permuted(yes)", "strict=None must be true or false"),
        ("causal + prefix(3)", "cannot read 'causal \\+ prefix\\(3\\)'"),
        ("causal and prefix(3)", "cannot read 'causal and prefix\\(3\\)'"),
        ("not causal", "cannot read 'not causal'"),
        ("mask.causal", "cannot read 'mask.causal'"),
        ("3", "cannot read '3'"),
        ("causal\0", "join bidirectional"),
        ("~" * 200 + "causal", "nested too deep"),
        ("(" * 900 + "causal" + ")" * 900, "join bidirectional"),
        ("causal & " * 300 + "causal", "is too long; at most 2000"),
    ],
)
def test_text_that_is_no_mask_is_refused_by_saying_why(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Mask.parse(text)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="causlprefix_wndo(0123) &|~,='\"[]{}\\\n", max_size=30))
def test_no_text_makes_reading_fail_in_any_other_way(text: str) -> None:
    try:
        mask = Mask.parse(text)
    except ConfigError:
        return
    assert Mask.parse(str(mask)) == mask


def test_what_can_be_read_can_be_written_however_deep() -> None:
    mask = Mask.parse("~" * 100 + "causal")
    assert Mask.parse(str(mask)) == mask
    assert hash(mask) == hash(Mask.parse(repr(mask)))


def test_leaves_and_conjuncts_from_left_to_right() -> None:
    mask = Causal() & (Prefix(2) | ~NotPadding()) & SlidingWindow(3)
    assert mask.leaves() == (Causal(), Prefix(2), NotPadding(), SlidingWindow(3))
    assert mask.conjuncts() == (Causal(), Prefix(2) | ~NotPadding(), SlidingWindow(3))
    assert isinstance(mask, And)
