"""Relative positions: by coordinates, by the paper's shift and by a plain double loop, the scores are the same.

Shapes: B batch, H heads, Q queries, K keys, M remembered tokens, D head width, W model width.
"""

import math

import pytest
import torch
from torch import Tensor

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal
from sightline.core.relative import RelativePositions, sinusoids
from sightline.core.sight import Sight
from sightline.errors import ConfigError

WIDTH, HEADS, HEAD_WIDTH = 8, 2, 3


def positions(clamp: int | None = None, dropout: float = 0.0) -> RelativePositions:
    return RelativePositions(WIDTH, heads=HEADS, head_width=HEAD_WIDTH, clamp=clamp, dropout=dropout).double().eval()


def queries(batch: int, count: int) -> Tensor:
    return torch.randn(batch, HEADS, count, HEAD_WIDTH, dtype=torch.float64)


def by_loop(module: RelativePositions, query: Tensor, asks: Tensor, answers: Tensor) -> Tensor:
    """query · W_R sinusoid(i − j), pair by pair; asks (B, Q) and answers (B, K) are positions."""
    weight = module.project.weight.view(HEADS, HEAD_WIDTH, WIDTH)
    batch, _, count, _ = query.shape
    found = torch.empty(batch, HEADS, count, answers.shape[1], dtype=query.dtype)
    for b in range(batch):
        for q in range(count):
            for k in range(answers.shape[1]):
                distance = int(asks[b, q] - answers[b, k])
                if module.clamp is not None:
                    distance = max(-module.clamp, min(module.clamp, distance))
                angles = [distance * 10000 ** (-2 * i / WIDTH) for i in range(WIDTH // 2)]
                table = torch.tensor([*map(math.sin, angles), *map(math.cos, angles)], dtype=query.dtype)
                found[b, :, q, k] = torch.einsum("hd,hdw,w->h", query[b, :, q], weight, table)
    return found


def by_shift(module: RelativePositions, query: Tensor, remembered: int) -> Tensor:
    """Dai et al. 2019, appendix B: one column of zeros, another view, one row less; garbage where nobody may look."""
    asking = query.shape[2]
    keys = remembered + asking
    distance = torch.arange(keys - 1, -1, -1)
    near = distance if module.clamp is None else distance.clamp(max=module.clamp)
    table = module.project(sinusoids(near, WIDTH).double()).view(keys, HEADS, HEAD_WIDTH)
    scores = torch.einsum("bhqd,khd->bhqk", query, table)
    padded = torch.cat([scores.new_zeros(*scores.shape[:3], 1), scores], -1)
    return padded.view(*scores.shape[:2], keys + 1, asking)[:, :, 1:].reshape(scores.shape)


@pytest.mark.parametrize("clamp", [None, 3])
@pytest.mark.parametrize("remembered", [0, 1, 5])
@pytest.mark.parametrize("asking", [1, 2, 6])
def test_coordinates_the_papers_shift_and_a_double_loop_agree(asking: int, remembered: int, clamp: int | None) -> None:
    module, query = positions(clamp), queries(2, asking)
    at = Coordinates.consecutive(asking, start=remembered)
    sight = Sight(Causal(), at, Coordinates.consecutive(remembered + asking))
    answers = torch.arange(remembered + asking)[None].expand(2, -1)
    found = module(query, sight)
    assert torch.allclose(found, by_loop(module, query, at.position.expand(2, -1), answers), atol=1e-6)
    seen = sight.table.expand_as(found[:, 0])[:, None].expand_as(found)
    assert torch.allclose(found[seen], by_shift(module, query, remembered)[seen], atol=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_rows_and_rows_of_other_positions(side: str) -> None:
    """Where positions differ from row to row there is no shift, and the scores are still those of the distances."""
    real = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1] if side == "left" else [1, 1, 0, 0]]).bool()
    at = Coordinates.padded(real)
    module, query = positions(), queries(2, 4)
    found = module(query, Sight(Bidirectional(), at))
    assert torch.allclose(found, by_loop(module, query, at.position, at.position), atol=1e-6)


def test_a_score_depends_on_nothing_but_the_distance() -> None:
    module = positions()
    query = queries(1, 1).expand(-1, -1, 6, -1)
    found = module(query, Sight(Bidirectional(), Coordinates.consecutive(6)))
    later = module(query, Sight(Bidirectional(), Coordinates.consecutive(6, start=1000)))
    assert torch.equal(found, later)
    for distance in range(-5, 6):
        diagonal = found.diagonal(-distance, 2, 3)
        assert torch.allclose(diagonal, diagonal[..., :1].expand_as(diagonal), atol=1e-12)


def test_layers_share_one_table_and_drop_the_same_of_it() -> None:
    module, other = (positions(dropout=0.5).train() for _ in range(2))
    other.load_state_dict(module.state_dict())
    query, sight = queries(1, 4), Sight(Causal(), Coordinates.consecutive(4))
    assert torch.equal(module(query, sight), other(query, sight))
    assert not torch.equal(module(query, sight), module(query, Sight(Causal(), Coordinates.consecutive(4))))


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="width=7 must be even"):
        RelativePositions(7, heads=1, head_width=2)
    with pytest.raises(ConfigError, match="clamp=0 must be a whole number, 1 or more"):
        RelativePositions(8, heads=1, head_width=2, clamp=0)
