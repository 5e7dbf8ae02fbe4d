"""What the sections of a look share: their titles, and numbers as bytes, as shades, as words."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

import torch
from torch import Tensor

TITLES = {
    "tokens": "Tokens",
    "seen": "Who may see whom",
    "heads": "Attention heads",
    "lens": "Layer by layer",
    "expected": "What it expects",
    "written": "What it writes",
    "replaced": "One token replaced",
}
SHARES = (0.02, 0.1, 0.3, 0.7)  # of probability, where a word's shade changes
CHANGES = (0.03, 0.1, 0.3, 1.0)  # of a hidden state's own length


def encoded(numbers: Tensor) -> str:
    """Numbers from 0 to 255 as text, a byte each."""
    return b64encode(numbers.to(torch.uint8).contiguous().numpy().tobytes()).decode()


def change_bytes(changes: Tensor) -> Tensor:
    """Changes on a logarithmic scale, a byte each: 0 is none at all, 1 to 255 are 10⁻⁶ to 10² of a state's length."""
    scaled = ((changes.clamp(min=1e-6).log10() + 6) / 8 * 254).round().clamp(0, 254) + 1
    return torch.where(changes > 0, scaled, 0.0).to(torch.uint8)


def level(value: float, bounds: Sequence[float]) -> int:
    """In which of the ranges that `bounds` part the value is, from 1; 0 for nothing at all."""
    return 1 + sum(value >= bound for bound in bounds) if value > 0 else 0


def percent(probability: float) -> str:
    """A probability in two digits or so."""
    if 0 < probability < 0.001:
        return "<0.1%"
    return f"{100 * probability:.2g}%" if probability < 0.1 else f"{100 * probability:.0f}%"
