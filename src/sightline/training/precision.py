"""Precision: in what numbers a step computes, and where bfloat16 is the faster choice.

Kalamkar et al. 2019, "A Study of BFLOAT16 for Deep Learning Training": products in bfloat16, sums and weights in
float32, no scaling of the loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch

from sightline.training.config import Precision

Computed = Literal["float32", "bfloat16"]


def has_bfloat16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 faster than float32, by what its hardware is; emulated, it is slower.

    Intel's processors with AMX multiply bfloat16 there. Their AVX-512 has the instruction too and was slower at it than
    at float32 where that was measured, in a virtual machine that hides AMX (docs/decisions.md).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    processor = torch.cpu.get_capabilities()
    if any(processor.get(name, False) for name in ("amx_bf16", "bf16")):
        return True
    made_for_amx = str(processor.get("cpu_name")).startswith("Intel") and processor.get("avx512_fp16", False)
    return processor.get("avx512_bf16", False) and not made_for_amx


def chosen(precision: Precision, device: torch.device, dtype: torch.dtype) -> Computed:
    """What "auto" means for a model of this type on this device; one that is not float32 is left as it is."""
    if precision != "auto":
        return precision
    return "bfloat16" if dtype == torch.float32 and has_bfloat16(device) else "float32"


@contextmanager
def computing(precision: Computed, device: torch.device) -> Iterator[None]:
    """Within, models of float32 compute in `precision`. Weights are cast once, at their first use within.

    with computing(training.precision, model.device):
        model(**batch.inputs)
    """
    if precision == "bfloat16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
    elif device.type == "cpu" and _onednn_keeps_float32():
        with _onednn_products():
            yield
    else:
        yield


@contextmanager
def _onednn_products() -> Iterator[None]:
    """Let oneDNN multiply float32 matrices, in place of PyTorch's default library.

    PyTorch asks oneDNN only where its user allows it to round to bfloat16. Where the processor has no instructions that
    would do so, oneDNN computes in float32 all the same, and makes better use of AMD cores: a twentieth faster on some,
    twice as fast on others.
    """
    settings = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    if before != "none":  # someone chose already
        yield
        return
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


@cache
def _onednn_keeps_float32() -> bool:
    """Whether oneDNN, allowed to round to bfloat16, does not: never so where there is AMX, which exists for that.

    Elsewhere it is asked, with numbers that need float32's last bits.
    """
    if not torch.backends.mkldnn.is_available() or torch.cpu.get_capabilities().get("amx_tile", False):
        return False
    for rows, width in ((64, 256), (512, 512)):
        one = torch.eye(width)
        finer = torch.full((rows, width), 1 + 2.0**-20)
        with _onednn_products(), torch.no_grad():
            products = finer @ one, torch.nn.functional.linear(finer, one, torch.zeros(width)), (one @ finer.T).T
        if not all(torch.equal(product, finer) for product in products):
            return False
    return True
