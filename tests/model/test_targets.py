"""Targets: queries beside the tokens, and who of both may see whom."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Mask, Permuted
from sightline.core.sight import Sight
from sightline.errors import InputError
from sightline.model.targets import two_streams

AT = Coordinates.consecutive(4)


def one_hot(*places: int, tokens: int = 4) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor([places]), tokens).float()


def seen(
    mask: Mask,
    at: Coordinates = AT,
    *,
    targets: Tensor | None = None,
    target_mapping: Tensor | None = None,
    perm_mask: Tensor | None = None,
    allowed: Tensor | None = None,
) -> list[list[str]]:
    """Who sees whom, a string a query, the tokens first."""
    queries, shown = two_streams(
        at, 0, rows=at.batch, targets=targets, target_mapping=target_mapping, perm_mask=perm_mask, allowed=allowed
    )
    table = Sight(mask, queries, at, allowed=shown).table
    return [["".join("x" if sees else "." for sees in query) for query in row] for row in table.tolist()]


@pytest.mark.parametrize("asked", [{"targets": torch.tensor([[1, 3]])}, {"target_mapping": one_hot(1, 3)}], ids=str)
def test_a_target_sees_what_the_mask_shows_but_its_own_place(asked: dict[str, Tensor]) -> None:
    assert seen(Bidirectional(), **asked) == [["xxxx", "xxxx", "xxxx", "xxxx", "x.xx", "xxx."]]
    assert seen(Causal(), **asked) == [["x...", "xx..", "xxx.", "xxxx", "x...", "xxx."]]
    order = replace(AT, rank=torch.tensor([[2, 0, 3, 1]]))
    assert seen(Permuted(), order, **asked) == [["xx.x", ".x..", "xxxx", ".x.x", "....", ".x.."]]


def test_a_target_beyond_the_tokens_stands_after_them() -> None:
    assert seen(Causal(), targets=torch.tensor([[4]])) == [["x...", "xx..", "xxx.", "xxxx", "xxxx"]]
    padded = Coordinates.padded(torch.tensor([[True] * 4, [False, False, True, True]]))
    typed = replace(padded, token_type=torch.tensor([[0, 0, 1, 1], [0, 0, 0, 1]]))
    queries, _ = two_streams(
        typed, 0, rows=2, targets=torch.tensor([[4], [2]]), target_mapping=None, perm_mask=None, allowed=None
    )
    assert queries.position[:, -1].tolist() == [4, 2]
    assert queries.token_type is not None and queries.token_type[:, -1].tolist() == [1, 1]
    assert queries.real is not None and queries.real[:, -1].all()
    assert queries.blind is not None and queries.blind.tolist() == [[False] * 4 + [True]] * 2
    assert queries.bounds == (0, 5)


def test_a_target_beyond_the_tokens_is_last_in_their_order_and_others_keep_theirs() -> None:
    ranked = replace(AT, rank=torch.tensor([[2, 0, 3, 1]]), token_type=torch.tensor([[0, 0, 0, 1]]))
    asked = torch.tensor([[4, 2]])
    assert seen(Permuted(), ranked, targets=asked)[0][4:] == ["xxxx", "xx.x"]
    queries, _ = two_streams(ranked, 0, rows=1, targets=asked, target_mapping=None, perm_mask=None, allowed=None)
    assert queries.token_type is not None and queries.token_type[:, -2:].tolist() == [[1, 0]]


def test_a_perm_mask_hides_and_a_token_still_sees_itself() -> None:
    hides = torch.tensor([[[1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]]])
    assert seen(Bidirectional(), perm_mask=hides) == [["x.xx", "xxxx", "x.xx", "...x"]]
    asked = seen(Bidirectional(), perm_mask=hides.float(), target_mapping=one_hot(0, 1, 3))
    assert asked == [["x.xx", "xxxx", "x.xx", "...x", "..xx", "x.xx", "...."]]


def test_what_is_remembered_is_seen_under_a_perm_mask() -> None:
    _, shown = two_streams(
        AT, 2, rows=1, targets=torch.tensor([[2]]), target_mapping=None, perm_mask=torch.ones(1, 4, 4), allowed=None
    )
    assert shown is not None and shown[0, :, :2].all()
    assert torch.equal(shown[0, :4, 2:], torch.eye(4).bool()) and not shown[0, 4, 2:].any()


def test_allowed_holds_for_tokens_and_for_the_targets_at_their_places() -> None:
    allowed = torch.tensor([[[1, 0, 0, 0], [1, 1, 0, 1], [1, 1, 1, 0], [0, 0, 0, 1]]]).bool()
    assert seen(Bidirectional(), allowed=allowed, targets=torch.tensor([[1]])) == [
        ["x...", "xx.x", "xxx.", "...x", "x..x"]
    ]


def test_rows_may_ask_at_different_places() -> None:
    padded = Coordinates.padded(torch.tensor([[True] * 4, [False, True, True, True]]))
    asked = torch.tensor([[0, 3], [2, 1]])
    assert seen(Causal(), padded, targets=asked)[1] == [".x..", ".x..", ".xx.", ".xxx", ".xx.", ".x.."]


def test_one_mapping_for_rows_that_are_padded_differently() -> None:
    padded = Coordinates.padded(torch.tensor([[True] * 4, [True, True, True, False]]))
    assert seen(Causal(), padded, target_mapping=one_hot(2)) == [
        ["x...", "xx..", "xxx.", "xxxx", "xx.."],
        ["x...", "xx..", "xxx.", "xxx.", "xx.."],
    ]


def test_a_position_that_two_packed_texts_have_names_no_token() -> None:
    packed = Coordinates(position=torch.tensor([[0, 1, 0, 1]]), document=torch.tensor([[0, 0, 1, 1]]))
    with pytest.raises(InputError, match="several tokens of a row have"):
        seen(Bidirectional(), packed, targets=torch.tensor([[1]]))
    assert seen(Bidirectional(), packed, target_mapping=one_hot(3))[0][-1] == "..x."


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"targets": torch.tensor([[1]]), "target_mapping": one_hot(1)}, "not both"),
        ({"targets": torch.tensor([1])}, "whole numbers"),
        ({"targets": torch.tensor([[1.0]])}, "whole numbers"),
        ({"targets": torch.tensor([[-1]])}, "position -1"),
        ({"targets": torch.tensor([[2**40]])}, "position 1099511627776"),
        ({"targets": torch.tensor([[1], [1], [1]])}, "targets has 3 rows, the tokens 1"),
        ({"target_mapping": one_hot(1).expand(3, -1, -1)}, "target_mapping has 3 rows"),
        ({"perm_mask": torch.zeros(3, 4, 4)}, "perm_mask has 3 rows"),
        ({"target_mapping": one_hot(1, tokens=5)}, "batch, targets, 4"),
        ({"target_mapping": one_hot(1) + one_hot(2)}, "a single 1"),
        ({"target_mapping": one_hot(1) / 2}, "a single 1"),
        ({"perm_mask": torch.zeros(1, 4, 3)}, "batch, 4, 4"),
        ({"perm_mask": torch.full((1, 4, 4), 2)}, "other than 0 and 1"),
        ({"perm_mask": torch.zeros(1, 4, 4), "allowed": torch.ones(1, 4, 4).bool()}, "not both"),
        ({"perm_mask": torch.zeros(1, 4, 4), "targets": torch.tensor([[4]])}, "no row"),
    ],
)
def test_what_cannot_be_asked_is_refused(given: dict[str, Tensor], says: str) -> None:
    with pytest.raises(InputError, match=says):
        seen(Bidirectional(), **given)
