"""Sight: what is always and-ed to a mask, and what the kernel may take for granted."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.core.coordinates import Coordinates
from sightline.core.mask import (
    Bidirectional,
    Causal,
    Mask,
    NotItself,
    NotPadding,
    Permuted,
    Prefix,
    SameDocument,
    SlidingWindow,
)
from sightline.core.sight import KERNELS, Sight
from sightline.errors import ConfigError, InputError
from strategies import coordinates, masks, pairs, plain_table

# What is and-ed


@given(masks(), pairs(), st.data())
def test_the_table_is_the_mask_and_padding_and_documents_and_what_is_allowed(
    mask: Mask, at: tuple[Coordinates, Coordinates], data: st.DataObject
) -> None:
    queries, keys = at
    rows = max(queries.batch, keys.batch)
    seed = data.draw(st.none() | st.integers(0, 99))
    shape = (data.draw(st.sampled_from([1, rows])), queries.tokens, keys.tokens)
    allowed = None if seed is None else torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.7
    table = Sight(mask, queries, keys, allowed=allowed).table
    wanted = plain_table(mask & NotPadding() & SameDocument() & NotItself(), queries, keys)
    assert torch.equal(table.expand_as(wanted), wanted if allowed is None else wanted & allowed)
    assert table.shape[0] in (1, rows)


def test_keys_are_the_queries_unless_given_and_the_table_is_made_once() -> None:
    at = Coordinates.consecutive(3)
    sight = Sight(Causal(), at)
    assert sight.keys is at
    assert sight.table is sight.table


def test_no_mask_is_wide_enough_to_see_padding_or_another_document() -> None:
    at = Coordinates(
        position=torch.tensor([[0, 1, 0, 0]]),
        real=torch.tensor([[True, True, True, False]]),
        document=torch.tensor([[0, 0, 1, 1]]),
    )
    one, other = [True, True, False, False], [False, False, True, False]
    for mask in [Bidirectional(), ~NotPadding() | NotPadding(), Prefix(9)]:
        assert Sight(mask, at).table.tolist() == [[one, one, other, other]]


@pytest.mark.parametrize("packed", ["queries", "keys"])
def test_a_side_without_documents_is_document_zero(packed: str) -> None:
    row = Coordinates.consecutive(3)
    told = Coordinates(position=row.position, document=torch.tensor([[0, 1, 0]]))
    sight = Sight(Bidirectional(), told, row) if packed == "queries" else Sight(Bidirectional(), row, told)
    seen = torch.tensor([True, False, True]).expand(3, 3)
    assert torch.equal(sight.table[0], seen.T if packed == "queries" else seen)
    assert not sight.sees_all


# What the host knows


@given(masks(), pairs(), st.booleans())
def test_what_the_kernel_takes_for_granted_is_so(
    mask: Mask, at: tuple[Coordinates, Coordinates], restricted: bool
) -> None:
    queries, keys = at
    allowed = torch.zeros(1, queries.tokens, keys.tokens, dtype=torch.bool) if restricted else None
    check_facts(Sight(mask, queries, keys, allowed=allowed))


@given(
    st.lists(
        st.sampled_from([Bidirectional(), Causal(), SlidingWindow(6), SameDocument(), Prefix(3)]),
        min_size=1,
        max_size=3,
    ),
    st.one_of(pairs(), pairs(known=True)),
    st.booleans(),
)
def test_what_the_kernel_takes_for_granted_is_so_near_the_plain_cases(
    parts: list[Mask], at: tuple[Coordinates, Coordinates], itself: bool
) -> None:
    mask = parts[0]
    for part in parts[1:]:
        mask = mask & part
    queries, keys = at
    check_facts(Sight(mask, queries, queries if itself else keys))


def check_facts(sight: Sight) -> None:
    if sight.sees_all:
        assert sight.table.all()
    if sight.plain_causal:
        ones = torch.ones(sight.queries.tokens, sight.keys.tokens, dtype=torch.bool)
        assert (sight.table == ones.tril()).all()
        assert sight.queries.tokens == sight.keys.tokens


ROW = Coordinates.consecutive(4)
LATER = Coordinates.consecutive(4, start=7)
PADDED = Coordinates.padded(torch.tensor([[True, True, True, False]]))


@pytest.mark.parametrize(
    ("mask", "at", "plain_causal", "sees_all"),
    [
        (Causal(), ROW, True, False),
        (Causal(), LATER, True, False),
        (Causal() & Bidirectional(), ROW, True, False),
        (SlidingWindow(4) & Causal(), ROW, True, False),
        (SlidingWindow(3) & Causal(), ROW, False, False),
        (Causal() | Prefix(2), ROW, False, False),
        (Causal(), PADDED, False, False),
        (Bidirectional(), ROW, False, True),
        (Bidirectional(), PADDED, False, False),
        (SlidingWindow(4), ROW, False, True),
        (Causal(), Coordinates.consecutive(1), False, True),
    ],
)
def test_the_plain_cases_are_recognised(mask: Mask, at: Coordinates, plain_causal: bool, sees_all: bool) -> None:
    sight = Sight(mask, at)
    assert (sight.plain_causal, sight.sees_all) == (plain_causal, sees_all)


def test_a_decoding_step_sees_all_and_a_chunk_is_not_plainly_causal() -> None:
    assert Sight(Causal(), Coordinates.consecutive(1, start=6), Coordinates.consecutive(7)).sees_all
    chunk = Sight(Causal(), Coordinates.consecutive(2, start=5), Coordinates.consecutive(7))
    assert not chunk.sees_all
    assert not chunk.plain_causal


def test_what_no_rule_expresses_is_not_taken_for_granted() -> None:
    allowed = torch.zeros(1, 4, 4, dtype=torch.bool)
    assert not Sight(Bidirectional(), ROW, allowed=allowed).sees_all
    assert not Sight(Causal(), ROW, allowed=allowed).plain_causal
    turned = Coordinates(position=torch.tensor([[3, 2, 1, 0]]))
    assert not Sight(Causal(), turned).plain_causal
    assert not Sight(Causal(), Coordinates(position=ROW.position, document=torch.tensor([[0, 0, 1, 1]]))).plain_causal


def test_what_the_host_knows_is_known_without_looking_at_a_tensor() -> None:
    """Tensors on the meta device have no values to look at."""
    at = Coordinates.padded(torch.ones(2, 3, dtype=torch.bool, device="meta"))
    sight = Sight(Causal() & SlidingWindow(2) | Prefix(1), at)
    assert not sight.sees_all
    assert not sight.plain_causal
    assert sight.table.shape == (2, 3, 3)


# Limits


@given(masks(2), masks(2), pairs())
def test_a_limit_is_and_ed(mask: Mask, limit: Mask, at: tuple[Coordinates, Coordinates]) -> None:
    sight = Sight(mask, *at)
    assert torch.equal(sight.limited(limit).table, sight.table & limit.table(*at))


def test_equal_limits_share_one_sight() -> None:
    allowed = torch.ones(1, 4, 4, dtype=torch.bool)
    sight = Sight(Causal(), ROW, allowed=allowed, kernel="reference")
    narrow = sight.limited(SlidingWindow(2))
    assert sight.limited(None) is sight
    assert narrow is not sight
    assert sight.limited(SlidingWindow(2)) is narrow
    assert sight.limited(SlidingWindow(3)) is not narrow
    assert (narrow.kernel, narrow.queries, narrow.keys) == ("reference", ROW, ROW)
    assert narrow.allowed is allowed


# FlexAttention's form of it


@settings(max_examples=10)
@given(masks(), st.one_of(pairs(), pairs(known=True)))
def test_the_rule_in_the_form_of_flex_attention_has_the_same_table(
    mask: Mask, at: tuple[Coordinates, Coordinates]
) -> None:
    sight, rows = Sight(mask, *at), max(at[0].batch, at[1].batch)
    table = sight.table.expand(rows, -1, -1)
    assert sight.block_mask.shape[0] == rows
    for row, query, key in itertools.product(*map(range, table.shape)):
        index = [torch.tensor(n) for n in (row, 0, query, key)]
        assert torch.equal(sight.block_mask.mask_mod(*index), table[row, query, key])


def test_rows_may_differ_in_the_keys_or_the_queries_alone() -> None:
    rows = Coordinates(position=ROW.position, real=torch.tensor([[True] * 4, [True, False, True, True]]))
    for queries, keys in [(ROW, rows), (rows, ROW)]:
        sight = Sight(Causal(), queries, keys)
        assert sight.block_mask.shape[0] == 2
        assert torch.equal(sight.table.expand(2, -1, -1), plain_table(Causal() & NotPadding(), queries, keys))


# Errors


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 3), (1, 3, 4), (2, 2, 4, 4), (4,)])
def test_allowed_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"it must be \(rows or 1, queries, keys\), the last two \(4, 4\)"):
        Sight(Causal(), ROW, allowed=torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_allowed_is_boolean(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match="True where a query may see a key"):
        Sight(Causal(), ROW, allowed=torch.ones(1, 4, 4, dtype=dtype))


def test_an_unknown_kernel_is_named_beside_those_there_are() -> None:
    with pytest.raises(ConfigError, match=f"no attention kernel 'flash'; choose one of {', '.join(KERNELS)}"):
        Sight(Causal(), ROW, kernel="flash")


@given(coordinates())
def test_ranks_that_are_missing_are_asked_for(at: Coordinates) -> None:
    with pytest.raises(InputError, match="pass ranks"):
        Sight(Permuted(), at, Coordinates.consecutive(2)).table  # noqa: B018


# What layers share


@given(pairs(), st.integers(0, 99))
def test_scores_by_distance_are_spread_to_the_pairs_that_have_it(
    at: tuple[Coordinates, Coordinates], seed: int
) -> None:
    """Consecutive positions take the relative shift, others a gather: both are the naive double loop."""
    queries, keys = at
    distances = Sight(Bidirectional(), queries, keys).distances
    rows, values = max(queries.batch, keys.batch), distances.values.tolist()
    assert values == sorted(set(values), reverse=True)
    scores = torch.randn(rows, 2, queries.tokens, len(values), generator=torch.Generator().manual_seed(seed))
    spread = distances.spread(scores)
    assert spread.shape == (rows, 2, queries.tokens, keys.tokens)
    for row, query, key in itertools.product(range(rows), range(queries.tokens), range(keys.tokens)):
        asked = int(queries.position.expand(rows, -1)[row, query])
        distance = asked - int(keys.position.expand(rows, -1)[row, key])
        assert torch.equal(spread[row, :, query, key], scores[row, :, query, values.index(distance)])


def test_positions_far_apart_need_no_table_of_all_between_them() -> None:
    far = Coordinates(position=torch.tensor([[0, 2**30]]))
    distances = Sight(Bidirectional(), far).distances
    assert distances.values.tolist() == [2**30, 0, -(2**30)]
    assert distances.index is not None and distances.index.tolist() == [[[1, 2], [0, 1]]]


def test_scores_by_distance_get_their_gradients() -> None:
    for keys in (Coordinates.consecutive(4), replace(Coordinates.consecutive(4), start=None)):
        distances = Sight(Causal(), Coordinates.consecutive(3, start=1), keys).distances
        scores = torch.randn(2, 1, 3, len(distances.values), dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(distances.spread, scores)


def test_a_value_is_made_once_for_all_layers_and_their_limits() -> None:
    sight, made = Sight(Causal(), Coordinates.consecutive(3)), []
    for view in (sight, sight.limited(SlidingWindow(2)), sight.limited(SlidingWindow(2))):
        assert view.shared("it", lambda: made.append(1) or len(made)) == 1  # type: ignore[func-returns-value]
    assert sight.distances is sight.limited(Prefix(1)).distances
    assert Sight(Causal(), Coordinates.consecutive(3)).shared("it", lambda: 7) == 7
