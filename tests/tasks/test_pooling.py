"""Pooling: each way against its plain definition, padding anywhere; refused where a mask makes it meaningless."""

import numpy
import pytest
import torch

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Mask, Permuted, Prefix, SlidingWindow
from sightline.errors import ConfigError, UnsupportedError
from sightline.tasks.pooling import POOLINGS, check_pooling, pool

PLAIN = {
    "mean": lambda row: row.mean(0),
    "cls": lambda row: row[0],
    "last": lambda row: row[-1],
    "max": lambda row: row.max(0),
}


@pytest.mark.parametrize("pooling", POOLINGS)
def test_each_pooling_reads_real_tokens_only(pooling: str) -> None:
    hidden = torch.randn(4, 6, 3, dtype=torch.float64)
    real = torch.tensor(
        [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 0, 0]], dtype=torch.bool
    )
    hidden[~real] = float("nan")  # what stands at padding is nobody's business
    got = pool(hidden, Coordinates.padded(real), pooling)
    want = [PLAIN[pooling](row[kept].numpy()) for row, kept in zip(hidden, real, strict=True)]
    numpy.testing.assert_allclose(got.numpy(), numpy.stack(want), rtol=0, atol=1e-15)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_unpadded_rows_are_the_same_as_padded_ones(pooling: str) -> None:
    hidden = torch.randn(2, 5, 3, dtype=torch.float64)
    unpadded = pool(hidden, Coordinates.consecutive(5), pooling)
    assert torch.equal(unpadded, pool(hidden, Coordinates.padded(torch.ones(2, 5, dtype=torch.bool)), pooling))


def test_half_precision_is_pooled_in_float32() -> None:
    hidden = torch.full((1, 4096, 1), 1.001, dtype=torch.bfloat16)
    pooled = pool(hidden, Coordinates.consecutive(4096), "mean")
    assert pooled.dtype == torch.float32
    assert pooled.item() == hidden[0, 0, 0].float().item()


REVERSED = ~Causal() | SlidingWindow(1)
MEANINGLESS: list[tuple[Mask, set[str]]] = [
    (Bidirectional(), set()),
    (Causal(), {"cls"}),
    (Causal() & SlidingWindow(3), {"cls"}),
    (REVERSED, {"last"}),
    (SlidingWindow(1), {"cls", "last"}),
    (SlidingWindow(3), set()),
    (Causal() | Prefix(1), {"cls"}),
    (Causal() | Prefix(1000), set()),
    (~SlidingWindow(3), set()),
]


@pytest.mark.parametrize(("mask", "refused"), MEANINGLESS, ids=[str(mask) for mask, _ in MEANINGLESS])
def test_what_a_mask_makes_meaningless_is_refused(mask: Mask, refused: set[str]) -> None:
    for pooling in set(POOLINGS) - refused:
        check_pooling(pooling, mask, 100)
    for pooling in refused:
        token = "first" if pooling == "cls" else "last"
        with pytest.raises(UnsupportedError, match=f"'{pooling}' means nothing here: .* the {token} token") as caught:
            check_pooling(pooling, mask, 100)
        advised = str(caught.value).partition("choose ")[2]
        assert "'mean'" in advised
        assert all(f"'{each}'" not in advised for each in refused)


def test_a_mask_that_reads_more_than_places_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="the mask permuted reads tokens' ranks"):
        check_pooling("mean", Causal() & Permuted(), 100)


def test_there_is_no_other_pooling() -> None:
    with pytest.raises(ConfigError, match="pooling='min' is none; choose one of mean, cls, last, max"):
        check_pooling("min", Bidirectional(), 100)
