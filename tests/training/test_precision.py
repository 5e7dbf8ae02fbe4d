"""Where bfloat16 is chosen, and that float32 stays float32."""

import pytest
import torch

from sightline.training import precision
from sightline.training.precision import chosen, computing

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "bf16"])
@pytest.mark.parametrize("has", [True, False])
def test_auto_asks_the_processor(monkeypatch: pytest.MonkeyPatch, name: str, has: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {name: has, "avx2": True})
    assert chosen("auto", CPU, torch.float32) == ("bfloat16" if has else "float32")
    assert chosen("auto", CPU, torch.float64) == "float32"
    assert chosen("float32", CPU, torch.float32) == "float32"
    assert chosen("bfloat16", CPU, torch.float32) == "bfloat16"


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        ({"cpu_name": "AMD Zen4", "avx512_bf16": True}, "bfloat16"),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True}, "bfloat16"),  # Cooper Lake, which has no AMX to multiply in
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "avx512_fp16": True}, "float32"),
        ({"cpu_name": "Intel Xeon", "avx512_bf16": True, "avx512_fp16": True, "amx_bf16": True}, "bfloat16"),
    ],
)
def test_where_amx_is_hidden_float32_is_faster(
    monkeypatch: pytest.MonkeyPatch, processor: dict[str, object], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: processor)
    assert chosen("auto", CPU, torch.float32) == expected


def test_bfloat16_is_that() -> None:
    weight = torch.ones(4, 4, requires_grad=True)
    with computing("bfloat16", CPU):
        assert torch.nn.functional.linear(torch.ones(2, 4), weight).dtype == torch.bfloat16
    assert torch.nn.functional.linear(torch.ones(2, 4), weight).dtype == torch.float32


@pytest.mark.parametrize("shape", [(8, 16, 32), (300, 256, 1024), (77, 384, 384)])
def test_float32_loses_no_digits(shape: tuple[int, int, int]) -> None:
    """The products of a training step are near those of float64, where bfloat16's are not."""
    rows, inner, outer = shape
    x, weight = torch.randn(rows, inner), torch.randn(outer, inner)
    exact = x.double() @ weight.double().T
    rounded = (torch.nn.functional.linear(x.bfloat16(), weight.bfloat16()) - exact).abs().max()
    with computing("float32", CPU):
        ours = (torch.nn.functional.linear(x, weight) - exact).abs().max()
    assert ours < 0.01 * rounded


def test_amx_is_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_tile": True})
    assert not precision._onednn_keeps_float32.__wrapped__()


def test_a_product_that_was_rounded_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert isinstance(precision._onednn_keeps_float32.__wrapped__(), bool)
    linear = torch.nn.functional.linear
    monkeypatch.setattr(
        torch.nn.functional, "linear", lambda *given: linear(*(each.bfloat16() for each in given)).float()
    )
    assert not precision._onednn_keeps_float32.__wrapped__()


def test_torchs_settings_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_onednn_keeps_float32", lambda: True)
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision
    with pytest.raises(ZeroDivisionError), computing("float32", CPU):
        assert settings.fp32_precision == "bf16"
        raise ZeroDivisionError
    assert settings.fp32_precision == before
    try:
        settings.fp32_precision = "ieee"
        with computing("float32", CPU):
            assert settings.fp32_precision == "ieee"
    finally:
        settings.fp32_precision = before
