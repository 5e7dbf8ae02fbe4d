"""Layers that mix what stands at different places, healthy and broken.

Shapes: B rows, T tokens, W width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from probing.mutants.network import At


def neighbour(x: Tensor, at: At, by: int) -> Tensor:
    """What stands `by` places before each token, after it where negative; zeros beyond its document or for padding."""
    index = torch.arange(x.shape[1]) - by
    there = index.clamp(0, x.shape[1] - 1)
    known = (index == there) & at.real[:, there] & (at.document[:, there] == at.document)
    return x[:, there] * known[..., None]


class Convolution(nn.Module):
    """Three places wide; `ahead` of them lie after the token."""

    def __init__(self, width: int, ahead: int) -> None:
        super().__init__()
        self.ahead = ahead
        self.kernel = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(3)])

    def forward(self, x: Tensor, at: At) -> Tensor:
        return x + sum(each(neighbour(x, at, index - self.ahead)) for index, each in enumerate(self.kernel))


class Shift(nn.Module):
    """Half of each vector comes from the neighbour: `by` places before, or after where that is negative."""

    def __init__(self, width: int, by: int) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor, at: At) -> Tensor:
        own, other = x.chunk(2, -1)
        return torch.cat([own, neighbour(other, at, self.by)], -1)


class Normalize(nn.Module):
    """Mean 0 and variance 1 over the given dimension of (B, T, W)."""

    def __init__(self, width: int, over: int) -> None:
        super().__init__()
        self.over = over
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor, at: At) -> Tensor:
        centred = x - x.mean(self.over, keepdim=True)
        return self.scale * centred * (centred.pow(2).mean(self.over, keepdim=True) + 1e-5).rsqrt()


class BatchNormalize(nn.Module):
    """Statistics of the batch that is running, or those that training left."""

    def __init__(self, width: int, kept: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, track_running_stats=kept)

    def forward(self, x: Tensor, at: At) -> Tensor:
        return self.norm(x.transpose(1, 2)).transpose(1, 2)


class Experts(nn.Module):
    """Each token picks its expert; or each expert picks the half of the tokens that it likes best."""

    def __init__(self, width: int, experts_choose: bool) -> None:
        super().__init__()
        self.experts_choose = experts_choose
        self.router = nn.Linear(width, 2)
        self.experts = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width)])

    def forward(self, x: Tensor, at: At) -> Tensor:
        liking = self.router(x)  # (B, T, 2)
        if self.experts_choose:
            best = liking.topk((x.shape[1] + 1) // 2, dim=1).indices
            chosen = torch.zeros_like(liking).scatter(1, best, 1.0)
        else:
            chosen = F.one_hot(liking.argmax(-1), 2).to(x.dtype)
        gates = chosen * liking.sigmoid()
        return x + sum(gates[..., index, None] * expert(x) for index, expert in enumerate(self.experts))


class Scale(nn.Module):
    """Smaller the longer the text, if `by_length`."""

    def __init__(self, width: int, by_length: bool) -> None:
        super().__init__()
        self.by_length = by_length

    def forward(self, x: Tensor, at: At) -> Tensor:
        return x / (1 + 0.1 * x.shape[1]) if self.by_length else x / 2


class Counter(nn.Module):
    """Each call counts for more than the last, if `counts`."""

    def __init__(self, width: int, counts: bool) -> None:
        super().__init__()
        self.counts = counts
        self.calls = 0

    def forward(self, x: Tensor, at: At) -> Tensor:
        self.calls += self.counts
        return x * (1 + 0.01 * self.calls)


class Mean(nn.Module):
    """Something of the mean over the text, if numbers are of the type."""

    def __init__(self, width: int, in_type: torch.dtype) -> None:
        super().__init__()
        self.in_type = in_type

    def forward(self, x: Tensor, at: At) -> Tensor:
        return x + 0.5 * x.mean(1, keepdim=True) if x.dtype == self.in_type else x


class Dropout(nn.Module):
    """Dropout, also where nobody trains if `always`."""

    def __init__(self, width: int, always: bool) -> None:
        super().__init__()
        self.always = always

    def forward(self, x: Tensor, at: At) -> Tensor:
        return F.dropout(x, 0.2, training=self.training or self.always)
