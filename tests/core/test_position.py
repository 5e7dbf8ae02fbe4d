"""Positions are read from coordinates: where a token stands in its text, not in its row."""

import pytest
import torch

from sightline.core.coordinates import Coordinates
from sightline.core.position import LearnedPositions


@pytest.mark.parametrize("offset", [0, 2])
def test_a_learned_position_is_the_row_of_the_table_that_the_coordinate_names(offset: int) -> None:
    layer = LearnedPositions(6, 3, offset)
    rows = layer.table.weight
    assert rows.shape == (6 + offset, 3)
    assert torch.equal(layer(Coordinates.consecutive(6)), rows[None, offset:])
    left = Coordinates.padded(torch.tensor([[False, False, True, True], [True, True, True, False]]))
    wanted = torch.tensor([[0, 0, 0, 1], [0, 1, 2, 2]]) + offset
    assert torch.equal(layer(left), rows[wanted])


def test_gradients_reach_the_rows_that_were_read() -> None:
    layer = LearnedPositions(4, 2, offset=1)
    layer(Coordinates.consecutive(2, start=1)).sum().backward()
    gradient = layer.table.weight.grad
    assert gradient is not None
    assert gradient[:, 0].tolist() == [0, 0, 1, 1, 0]
