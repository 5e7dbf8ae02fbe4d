"""Precision: where bfloat16 is faster than float32, and how a step computes in it."""

from __future__ import annotations

from typing import Literal

import torch

from sightline.training.config import Precision


def processor_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers in hardware (AVX512-BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def chosen(precision: Precision, device: torch.device, dtype: torch.dtype) -> Literal["float32", "bfloat16"]:
    """What "auto" means here; a model that is not of float32 is computed as it is."""
    if precision != "auto":
        return precision
    if dtype != torch.float32:
        return "float32"
    fast = processor_has_bfloat16() if device.type == "cpu" else device.type != "cuda" or torch.cuda.is_bf16_supported()
    return "bfloat16" if fast else "float32"
