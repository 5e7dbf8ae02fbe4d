"""Packing: real tokens go through dense layers alone, and nothing else about the result changes.

Shapes: B rows, T tokens, W width.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sightline.core import packing, taps
from sightline.core.attention import AttentionConfig
from sightline.core.block import Block, BlockConfig, Source, Stack
from sightline.core.cache import KeyValueCache, Memory
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Mask, SlidingWindow
from sightline.core.packing import IN_ROWS, Packing, RealTokens, packing_for
from sightline.core.position import Rotary
from sightline.core.sight import Sight
from strategies import padding

WIDTH = 8
ATTENTION = AttentionConfig(width=WIDTH, heads=2)
CONFIG = BlockConfig(attention=ATTENTION, inner=12, activation="gelu", norm="pre", limit=SlidingWindow(3))
CROSS = BlockConfig(attention=ATTENTION, cross_attention=ATTENTION, inner=12, activation="relu", norm="post")
REAL = torch.tensor([[1, 1, 1, 1, 1, 0], [0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]).bool()


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack whatever is padded, however little that saves."""
    monkeypatch.setattr(packing, "MOVE", 0)
    monkeypatch.setattr(packing, "START", 0)


@given(st.data(), st.integers(1, 4), st.integers(1, 6))
def test_what_is_packed_comes_back(data: st.DataObject, rows: int, tokens: int) -> None:
    real = data.draw(padding(rows, tokens))
    x, how = torch.randn(rows, tokens, 3, requires_grad=True), RealTokens(real)
    packed = how.pack(x)
    assert packed.shape == (int(real.sum()), 3)
    if not len(packed):  # nothing to compute, and nothing to spread
        return
    back, spread = how.unpack(packed), how.spread(packed)
    assert torch.equal(back, torch.where(real[..., None], x, 0.0))
    assert torch.equal(spread[real], x[real])
    assert how.spread(back) is back and how.unpack(back) is back
    (slope,) = torch.autograd.grad(back.sum(), x)
    assert torch.equal(slope[..., 0].bool(), real)


@given(st.data(), st.integers(1, 4), st.integers(1, 6))
def test_padding_is_given_what_its_own_row_holds(data: st.DataObject, rows: int, tokens: int) -> None:
    """So that nothing that is looked at in a row depends on its mates."""
    real = data.draw(padding(rows, tokens))
    if not bool(real.any()):
        return
    row = torch.arange(rows)[:, None].expand_as(real)
    how = RealTokens(real)
    owner = how.spread(how.pack(row[..., None])).squeeze(-1)
    some = real.any(-1)
    assert torch.equal(owner[some], row[some])


def stack(config: BlockConfig = CONFIG, rotary: Rotary | None = None) -> Stack:
    torch.manual_seed(0)
    return Stack([Block(config, rotary=rotary) for _ in range(3)]).double()


def run(network: Stack, x: Tensor, sight: Sight, monkeypatch: pytest.MonkeyPatch, how: Packing) -> Tensor:
    with monkeypatch.context() as patch:
        patch.setattr("sightline.core.block.packing_for", lambda rows, sight: how)
        return network(x, sight)


@pytest.mark.parametrize("mask", [Bidirectional(), Causal()], ids=str)
@pytest.mark.parametrize("wanted", [None, torch.tensor([[0], [4], [1], [5]])], ids=["all", "one of each row"])
def test_real_tokens_get_what_they_get_in_rows_and_padding_gets_zeros(
    mask: Mask, wanted: Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, x = stack(rotary=Rotary(4)), torch.randn(4, 6, WIDTH, dtype=torch.float64)
    results, slopes = [], []
    for how in (IN_ROWS, RealTokens(REAL)):
        network.zero_grad()
        sight = Sight(mask, Coordinates.padded(REAL), wanted=wanted)
        asked = REAL if wanted is None else REAL.gather(1, wanted)
        out = run(network, x, sight, monkeypatch, how)
        (out[asked] * torch.arange(WIDTH)).square().sum().backward()
        results.append(out.detach())
        slopes.append([p.grad.clone() for p in network.parameters() if p.grad is not None])
    assert results[0].shape == results[1].shape
    assert torch.allclose(results[0][asked], results[1][asked], rtol=0, atol=1e-12)
    assert wanted is not None or not bool(results[1][~REAL].any())
    assert len(slopes[0]) == len(slopes[1])
    assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in zip(*slopes, strict=True))


def test_a_decoder_packs_what_asks_and_the_source_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    block, x = Block(CROSS).double(), torch.randn(4, 6, WIDTH, dtype=torch.float64)
    source = torch.randn(4, 5, WIDTH, dtype=torch.float64)
    at, theirs = Coordinates.padded(REAL), Coordinates.padded(torch.rand(4, 5) < 0.7)
    looks = Source(source, Sight(Bidirectional(), at, theirs))
    sight, how = Sight(Causal(), at), RealTokens(REAL)
    packed = how.unpack(block(how.pack(x), sight, source=looks, packing=how))
    assert torch.allclose(packed[REAL], block(x, sight, source=looks)[REAL], rtol=0, atol=1e-12)


@pytest.mark.usefixtures("always")
def test_caches_hold_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A padded prompt is packed, what follows is not; a memory, which keeps states, gets rows throughout."""
    network, x, later = stack(rotary=Rotary(4)), *torch.randn(2, 4, 6, WIDTH, dtype=torch.float64)
    at = Coordinates.padded(REAL)
    after = at.following(6)
    found = []
    with torch.no_grad():
        for how in (None, IN_ROWS):
            for cache in (KeyValueCache(capacity=3), Memory(length=12)):
                if how is not None:
                    monkeypatch.setattr("sightline.core.block.packing_for", lambda rows, sight: IN_ROWS)
                network(x, Sight(Causal(), at, cache.announce(at)), cache)
                found.append(network(later, Sight(Causal(), after, cache.announce(after)), cache))
    assert all(torch.allclose(each, found[0], rtol=0, atol=1e-12) for each in found)


@pytest.mark.usefixtures("always")
def test_taps_show_rows() -> None:
    network, x = stack(), torch.randn(4, 6, WIDTH, dtype=torch.float64)
    with taps.record(network, "*") as seen:
        output = network(x, Sight(Causal(), Coordinates.padded(REAL)))
    assert seen["blocks.0.input"].shape == seen["blocks.2.output"].shape == x.shape
    assert torch.equal(seen["blocks.0.input"], torch.where(REAL[..., None], x, 0.0))
    assert torch.equal(seen["blocks.0.output"], seen["blocks.1.input"])
    assert torch.equal(seen["blocks.2.output"], output)
    assert seen["blocks.1.attention.query"].shape == (4, 2, 6, 4)


def test_tokens_move_only_where_that_saves_more_than_it_costs() -> None:
    def packs(rows: int, real: int, tokens: int, width: int) -> bool:
        mask = (torch.arange(tokens) < real)[None].expand(rows, -1)
        return packing_for(torch.zeros(rows, tokens, width), Sight(Causal(), Coordinates.padded(mask))) is not IN_ROWS

    assert packs(32, 64, 128, 256) and packs(32, 100, 128, 768)
    assert not packs(32, 127, 128, 256), "hardly anything is padded"
    assert not packs(2, 4, 8, 256), "hardly any tokens"
    assert not packs(32, 64, 128, 16), "hardly any numbers"
    assert packing_for(torch.zeros(2, 8, 512), Sight(Causal(), Coordinates.consecutive(8))) is IN_ROWS
