"""Linear: the packed weight gives what the plain one gives, and follows it through every change."""

import copy
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sightline.core import linear as module
from sightline.core.linear import Linear, PackedWeight

PACKABLE = sorted(module._packable_types(), key=str)
needs_packing = pytest.mark.skipif(not PACKABLE, reason="this processor or build packs no weights")
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3, torch.float64: 1e-12}


class Watched(PackedWeight):
    """Counts how often a packed weight was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def of(self, weight: Tensor) -> Tensor:
        self.asked += 1
        return super().of(weight)


def watched(inputs: int = 16, outputs: int = 12, bias: bool = True, dtype: torch.dtype = torch.float32) -> Linear:
    layer = Linear(inputs, outputs, bias).to(dtype)
    layer.packed = Watched()
    return layer


def asked(layer: Linear) -> int:
    assert isinstance(layer.packed, Watched)
    return layer.packed.asked


def check(layer: Linear, x: Tensor | None = None) -> Tensor:
    """That the layer gives what its present weights say."""
    x = torch.randn(3, layer.in_features, dtype=layer.weight.dtype) if x is None else x
    output, wanted = (
        layer(x),
        F.linear(x.double(), layer.weight.double(), None if layer.bias is None else layer.bias.double()),
    )
    assert output.dtype == layer.weight.dtype
    torch.testing.assert_close(output.double(), wanted, rtol=TOLERANCE[output.dtype], atol=TOLERANCE[output.dtype])
    return output


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


# The same result


@needs_packing
@pytest.mark.parametrize("dtype", PACKABLE, ids=str)
@given(
    st.lists(st.integers(1, 5), max_size=3),
    st.integers(1, 40),
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from(["rows", "columns", "every other", "repeated"]),
)
def test_packed_is_plain_within_rounding(
    dtype: torch.dtype, shape: list[int], inputs: int, outputs: int, bias: bool, layout: str
) -> None:
    layer = watched(inputs, outputs, bias, dtype)
    x = {
        "rows": lambda: torch.randn(*shape, inputs),
        "columns": lambda: torch.randn(inputs, *shape).movedim(0, -1),
        "every other": lambda: torch.randn(*shape, 2 * inputs)[..., ::2],
        "repeated": lambda: torch.randn(inputs).expand(*shape, inputs),
    }[layout]().to(dtype)
    output = check(layer, x)
    assert output.shape == (*shape, outputs)
    assert asked(layer) == 1


@needs_packing
def test_a_weight_is_packed_once_while_it_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made, pack = [], torch.ops.mkldnn._reorder_linear_weight
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", lambda *given: made.append(1) or pack(*given))
    layer = Linear(16, 12)
    for _ in range(3):
        check(layer)
    assert len(made) == 1
    layer.weight.add_(1)
    for _ in range(3):
        check(layer)
    assert len(made) == 2


# What changes the weight


def optimizer_step(layer: Linear) -> None:
    optimizer = torch.optim.SGD(layer.parameters(), lr=10.0)
    with torch.enable_grad():
        layer(torch.randn(2, layer.in_features)).square().sum().backward()
    optimizer.step()


def fused_step(layer: Linear) -> None:
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1.0, fused=True)
    with torch.enable_grad():
        layer(torch.randn(2, layer.in_features)).square().sum().backward()
    optimizer.step()


def fused_step_after_a_look(layer: Linear) -> None:
    """As `fused_step`, with a pass between the gradients and the step."""
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1.0, fused=True)
    with torch.enable_grad():
        layer(torch.randn(2, layer.in_features)).square().sum().backward()
    check(layer)
    optimizer.step()


def data_written_to_in_training(layer: Linear) -> None:
    with torch.enable_grad():
        layer(torch.randn(2, layer.in_features)).square().sum().backward()
    layer.weight.data.sub_(layer.weight.grad)


def compiled_step(layer: Linear) -> None:
    """As `fused_step`, behind PyTorch's compiler, here without one."""
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1.0, fused=True)
    with torch.enable_grad():
        torch.compile(layer, backend="eager", fullgraph=True)(
            torch.randn(2, layer.in_features)
        ).square().sum().backward()
    optimizer.step()


def rounded(layer: Linear) -> None:
    layer.to(torch.bfloat16)
    check(layer)
    layer.to(torch.float32)


def swapped(layer: Linear) -> None:
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        rounded(layer)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)


def half_the_outputs(layer: Linear) -> None:
    """The same memory, fewer rows."""
    layer.weight = nn.Parameter(layer.weight.detach()[:6])
    layer.bias = nn.Parameter(layer.bias.detach()[:6])


def half_the_outputs_through_data(layer: Linear) -> None:
    layer.weight.data = layer.weight.data[:6]
    layer.bias.data = layer.bias.data[:6]


def other_outputs_of_the_same_memory(layer: Linear) -> None:
    half_the_outputs_through_data(layer)
    check(layer)
    whole = layer.weight.data.as_strided((12, 16), (16, 1))
    layer.weight.data = whole[6:]


def more_outputs(layer: Linear) -> None:
    layer.weight = nn.Parameter(torch.cat([layer.weight, torch.randn(5, 16)]))
    layer.bias = nn.Parameter(torch.cat([layer.bias, torch.randn(5)]))


def assigned(layer: Linear) -> None:
    layer.load_state_dict({name: torch.randn_like(held) for name, held in layer.state_dict().items()}, assign=True)


CHANGES: dict[str, Callable[[Linear], object]] = {
    "written to": lambda layer: layer.weight.mul_(2),
    "written to in part": lambda layer: layer.weight[3:5].zero_(),
    "written to through a view": lambda layer: layer.weight.T.copy_(torch.randn(16, 12)),
    "written to through what detach gives": lambda layer: layer.weight.detach().fill_(1),
    "initialised": lambda layer: nn.init.normal_(layer.weight),
    "optimizer step": optimizer_step,
    "fused optimizer step": fused_step,
    "compiled fused optimizer step": compiled_step,
    "fused optimizer step after a look": fused_step_after_a_look,
    "data written to in training": data_written_to_in_training,
    "load_state_dict": lambda layer: layer.load_state_dict(
        {name: torch.randn_like(held) for name, held in layer.state_dict().items()}
    ),
    "load_state_dict by assignment": assigned,
    "another dtype and back": rounded,
    "another dtype and back by swapping": swapped,
    "float64": lambda layer: layer.double(),
    "another parameter": lambda layer: setattr(layer, "weight", nn.Parameter(torch.randn(12, 16))),
    "other data": lambda layer: setattr(layer.weight, "data", torch.randn(12, 16)),
    "fewer outputs": half_the_outputs,
    "fewer outputs through data": half_the_outputs_through_data,
    "other outputs of the same memory": other_outputs_of_the_same_memory,
    "more outputs": more_outputs,
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_packed_weight_follows(change: str) -> None:
    layer = Linear(16, 12)
    x = torch.randn(3, 16)
    before = check(layer, x)
    CHANGES[change](layer)
    after = check(layer, x.to(layer.weight.dtype))
    if change not in ("another dtype and back", "another dtype and back by swapping", "float64"):
        assert after.shape != before.shape or not torch.allclose(after, before)


def test_a_transposed_weight_in_the_same_memory_is_another() -> None:
    layer = Linear(8, 8)
    check(layer)
    layer.weight.data = layer.weight.data.T
    check(layer)


@needs_packing
def test_memory_that_was_given_back_is_not_taken_for_the_old_weight() -> None:
    """A new weight may get the very address of the one before it."""
    layer = Linear(16, 12)
    for _ in range(20):
        check(layer)
        layer.weight = None  # type: ignore[assignment]
        layer.weight = nn.Parameter(torch.randn(12, 16))


# Copies


def through_pickle(layer: nn.Module, folder: Path) -> nn.Module:
    torch.save(layer, folder / "layer.pt")
    return torch.load(folder / "layer.pt", weights_only=False)


@pytest.mark.parametrize(
    "make", [lambda layer, folder: copy.deepcopy(layer), through_pickle], ids=["deepcopy", "pickle"]
)
def test_a_copy_computes_with_its_own_weights(make: Callable[[nn.Module, Path], nn.Module], tmp_path: Path) -> None:
    layer = Linear(16, 12)
    x = torch.randn(3, 16)
    before = check(layer, x)
    twin = make(layer, tmp_path)
    assert isinstance(twin, Linear)
    assert twin.packed is not layer.packed
    torch.testing.assert_close(check(twin, x), before)
    twin.weight = nn.Parameter(twin.weight + 1)
    check(twin, x)
    torch.testing.assert_close(check(layer, x), before)


def test_what_is_saved_is_what_pytorch_saves() -> None:
    layer, plain = Linear(16, 12), nn.Linear(16, 12)
    check(layer)
    assert list(layer.state_dict()) == list(plain.state_dict()) == ["weight", "bias"]
    assert len(list(layer.children())) == len(list(layer.buffers())) == 0
    held = io.BytesIO()
    torch.save(layer.state_dict(), held)
    held.seek(0)
    plain.load_state_dict(torch.load(held, weights_only=True))
    assert torch.equal(plain.weight, layer.weight)


def test_tied_weights_in_shared_memory_change_together() -> None:
    one, other = Linear(16, 12), Linear(16, 12)
    other.weight = one.weight
    one.share_memory()
    for write in (one.weight, other.weight):
        check(one)
        check(other)
        write.add_(1)
        check(one)
        check(other)


# Where packing is not for


@pytest.mark.parametrize(
    ("dtype", "shape"),
    [(torch.float64, (3, 16)), (torch.float16, (3, 16)), (torch.float32, (0, 16)), (torch.float32, (2, 0, 16))],
)
def test_other_types_and_empty_batches_take_the_plain_path(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    layer = watched(dtype=dtype)
    x = torch.randn(shape).to(dtype)
    assert torch.equal(layer(x), F.linear(x, layer.weight, layer.bias))
    assert asked(layer) == 0


def test_gradients_take_the_plain_path() -> None:
    layer, x = watched(), torch.randn(3, 16)
    with torch.enable_grad():
        output = layer(x)
        output.sum().backward()
    assert torch.equal(output, F.linear(x, layer.weight, layer.bias))
    assert layer.weight.grad is not None
    assert asked(layer) == 0
    check(layer)
    assert asked(layer) == 1
    with torch.enable_grad():
        layer(x)
    assert layer.packed.held is None  # training holds no second copy of its weights


def test_autocast_takes_the_plain_path() -> None:
    layer, x = watched(), torch.randn(3, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(x)
    assert output.dtype == torch.bfloat16
    assert asked(layer) == 0


def test_weights_made_under_inference_mode_take_the_plain_path() -> None:
    with torch.inference_mode():  # such tensors count no writes
        layer = watched()
        check(layer)
        layer.weight.add_(1)
        check(layer)
    assert asked(layer) == 0


@needs_packing
def test_other_weights_are_packed_under_inference_mode_too() -> None:
    layer = watched()
    with torch.inference_mode():
        check(layer)
        layer.weight.add_(1)
        check(layer)
    check(layer)
    assert asked(layer) == 3


def test_a_processor_that_packs_nothing_computes_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_packable_types", frozenset)
    layer = watched()
    check(layer)
    assert asked(layer) == 0


def test_unlike_types_are_refused_as_pytorch_refuses_them() -> None:
    with pytest.raises(RuntimeError, match="same dtype"):
        Linear(16, 12)(torch.randn(3, 16, dtype=torch.float64))


@needs_packing
def test_a_copy_given_up_by_another_thread_is_still_used_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one thread asks for the packed weight, another may train with the same layer, and gives it up."""
    layer, x = Linear(8, 8), torch.randn(3, 8)
    with torch.no_grad():
        expected = layer(x)
        is_set_to = Tensor.is_set_to

        def meanwhile(held: Tensor, weight: Tensor) -> bool:
            layer.packed.forget()
            return is_set_to(held, weight)

        monkeypatch.setattr(Tensor, "is_set_to", meanwhile)
        assert torch.equal(layer(x), expected)
