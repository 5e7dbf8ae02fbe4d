"""6. Every kernel route gives the same result, and attention weights are transformers' own."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from contract.families import families, padded, random_ids, tiny
from contract.reference import LM, reference, run, saved
from sightline.core.attention import flex_is_available
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Causal, Mask, Prefix, SlidingWindow
from sightline.model.load import load
from sightline.model.model import Model

MASKS: dict[str, Mask | None] = {"own": None, "causal": Causal(), "prefix and window": Prefix(2) | SlidingWindow(3)}
TEXTS = [random_ids(1, length, seed=length)[0] for length in (9, 5, 2)]


def results(model: Model, kernel: str, side: str) -> tuple[Tensor, dict[str, Tensor]]:
    """Hidden states of real tokens, and the gradients of all weights."""
    ids, real = padded(TEXTS, side, filler=0)
    hidden = model(ids, attention_mask=real, kernel=kernel).last_hidden_state[real.bool()]
    model.zero_grad()
    (hidden * torch.arange(hidden.shape[-1])).square().sum().backward()
    network = model.network.named_parameters()
    return hidden.detach(), {name: p.grad.clone() for name, p in network if p.grad is not None}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("mask", MASKS)
@families("kernels")
def test_the_routes_agree_forward_and_backward(family: str, mask: str, side: str) -> None:
    model = tiny(family, heads=(), mask=MASKS[mask])
    expected, slopes = results(model, "reference", side)
    for kernel in ("sdpa", "auto"):
        hidden, gradients = results(model, kernel, side)
        assert torch.allclose(hidden, expected, rtol=0, atol=1e-12)
        assert gradients.keys() == slopes.keys()
        assert all(torch.allclose(gradients[name], slopes[name], rtol=1e-9, atol=1e-9) for name in slopes)


@pytest.mark.parametrize("unpadded", [True, False])
@families("kernels")
def test_the_routes_agree_where_a_kernel_may_take_a_short_cut(family: str, unpadded: bool) -> None:
    """Nothing to mask, or plain causal order: no table is made, and the result is the same."""
    for mask in (None, Causal()):
        model = tiny(family, heads=(), mask=mask)
        ids = random_ids(2, 9)
        position_ids = None if unpadded else torch.arange(9)[None]
        by = {kernel: model(ids, position_ids=position_ids, kernel=kernel) for kernel in ("reference", "sdpa", "auto")}
        for output in by.values():
            assert torch.allclose(output.last_hidden_state, by["reference"].last_hidden_state, rtol=0, atol=1e-12)


def check_flex(family: str, mask: Mask | None, side: str) -> None:
    torch._dynamo.reset()  # the compiler gives up after a few masks and shapes in one process
    model = tiny(family, heads=(), mask=mask, dtype=torch.float32)
    ids, real = padded(TEXTS, side, filler=0)
    with torch.no_grad():
        by = [model(ids, attention_mask=real, kernel=kernel).last_hidden_state for kernel in ("reference", "flex")]
    assert torch.allclose(by[0][real.bool()], by[1][real.bool()], rtol=0, atol=1e-4)


needs_a_compiler = pytest.mark.skipif(not flex_is_available("cpu"), reason="no C++ compiler that works here: flex")
compiles = pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")


@compiles
@needs_a_compiler
def test_flex_agrees() -> None:
    check_flex("gpt2", Causal() & SlidingWindow(3), "left")


@compiles
@needs_a_compiler
@pytest.mark.slow
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("mask", MASKS)
@families("flex")
def test_flex_agrees_for_every_family(family: str, mask: str, side: str) -> None:
    check_flex(family, MASKS[mask], side)


@families("parity")
def test_attentions_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    theirs = reference(LM[family], attention="eager")
    model = load(saved(theirs, tmp_path))
    ids, real = padded(TEXTS, "right", filler=theirs.config.pad_token_id)
    positions = Coordinates.padded(real.bool()).position
    expected = run(theirs, ids, attention_mask=real, position_ids=positions, output_attentions=True).attentions
    for kernel in ("auto", "reference", "sdpa"):  # whichever kernel computes, the weights are there
        attentions = model(ids, attention_mask=real, attentions=True, kernel=kernel).attentions
        for mine, other in zip(attentions, expected, strict=True):
            assert mine.shape == other.shape
            rows = real.bool()[:, None].expand(mine.shape[:3])
            assert torch.allclose(mine[rows], other[rows], rtol=0, atol=1e-12)
            assert torch.allclose(mine.sum(-1), torch.ones_like(mine[..., 0]))


@families("kernels")
def test_asking_for_more_changes_nothing(family: str) -> None:
    model, ids = tiny(family), random_ids(2, 6)
    plain = model(ids)
    for asked in ({"hidden_states": True}, {"attentions": True}, {"hidden_states": True, "attentions": True}):
        output = model(ids, **asked)
        assert torch.equal(output.last_hidden_state, plain.last_hidden_state)
        assert (output.hidden_states is None) == ("hidden_states" not in asked)
        assert (output.attentions is None) == ("attentions" not in asked)
    assert len(output.hidden_states) == len(output.attentions) + 1
    assert all(state.shape == plain.last_hidden_state.shape for state in output.hidden_states)
    assert torch.equal(output.hidden_states[-1], plain.last_hidden_state)
