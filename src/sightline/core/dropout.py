"""Dropout, with random numbers that cost little on a CPU.

    Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".

On a CPU PyTorch draws a random number for each value, one after the other; in a small batch of BERT that may take as
long as a fifth of all else. Here one draw of 64 bits serves four values of 16 bits or two of 32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WHOLE = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # whole numbers as wide as a value, by its bytes


def noise(shape: torch.Size, probability: float, dtype: torch.dtype) -> Tensor:
    """0 with `probability`, else 1 / (1 - probability), drawn from PyTorch's default generator: (shape).

    The probability is met to the nearest 32,768th, or finer: as fine as the bits of `dtype`, without the sign.
    """
    whole, bits = WHOLE[dtype.itemsize], 8 * dtype.itemsize - 1
    kept = torch.tensor(1 / (1 - probability), dtype=dtype).view(whole).item()
    draws = torch.empty(-(-shape.numel() * dtype.itemsize // 8), dtype=torch.int64).random_(-(2**63), None)
    number = draws.view(whole)[: shape.numel()].view(shape)
    number.bitwise_and_(2**bits - 1)  # 0 … 2^bits - 1, each as likely
    number.sub_(round(probability * 2**bits)).bitwise_right_shift_(bits)  # the sign: -1 with `probability`, else 0
    return number.add_(1).mul_(kept).view(dtype)  # the bits of 0.0, or those of 1 / (1 - probability)


def dropout(x: Tensor, probability: float) -> Tensor:
    """x with each value set to 0 with `probability`, and the others multiplied by 1 / (1 - probability)."""
    if probability == 0:
        return x
    if x.device.type != "cpu" or probability >= 1 or torch.compiler.is_compiling():
        return F.dropout(x, probability)
    return x * noise(x.shape, probability, x.dtype)


class Dropout(nn.Module):
    """`dropout` in training; in eval nothing happens."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.probability) if self.training else x

    def extra_repr(self) -> str:
        """What `repr` says."""
        return f"{self.probability}"
