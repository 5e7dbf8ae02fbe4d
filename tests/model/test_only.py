"""Asking the last layer for some tokens only: their states are those that a whole pass gives.

Shapes: B rows, T tokens, N tokens that are wanted.
"""

import pytest
import torch

from contract.families import FAMILIES, padded, random_ids, tiny

PLACES = torch.tensor([[2, 0], [1, 1], [0, 1]])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_that_are_named_have_the_states_of_a_whole_pass(family: str, side: str) -> None:
    model = tiny(family, heads=())
    ids, real = padded([random_ids(1, length, seed=length)[0] for length in (6, 2, 4)], side, filler=0)
    places = PLACES + (6 - torch.tensor([[6], [2], [4]]) if side == "left" else 0)
    with torch.no_grad():
        whole = model(ids, real).last_hidden_state
        some = model(ids, real, only=places)
    wanted = whole.gather(1, places[..., None].expand(-1, -1, whole.shape[-1]))
    assert torch.allclose(some.last_hidden_state, wanted, rtol=0, atol=1e-12)
    assert torch.equal(some.coordinates.position.expand(3, -1), PLACES)
