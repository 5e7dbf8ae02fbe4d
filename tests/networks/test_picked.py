"""Log-probabilities of picked words: PyTorch's own cross-entropy, its gradients among them, at any size of parts."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sightline.networks import picked as module
from sightline.networks.picked import picked

ROWS, WORDS = 7, 11


def theirs(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return -F.cross_entropy(wide, targets, reduction="none"), wide.logsumexp(-1)


@pytest.fixture(params=[1, 3 * WORDS, 2**20], ids=["row by row", "three rows", "at once"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED", {"cpu": request.param})


def given(dtype: torch.dtype = torch.float64, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return (torch.randn(ROWS, WORDS, dtype=torch.float64) * scale).to(dtype), torch.randint(0, WORDS, (ROWS,))


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float64, 1e-13), (torch.float32, 2e-6), (torch.bfloat16, 2e-6), (torch.float16, 2e-6)]
)
def test_it_is_cross_entropy_and_the_logarithm_of_the_sum(dtype: torch.dtype, error: float) -> None:
    logits, targets = given(dtype)
    for own, other in zip(picked(logits, targets), theirs(logits, targets), strict=True):
        assert own.dtype == other.dtype
        assert torch.allclose(own, other, rtol=0, atol=error * 3)


@pytest.mark.usefixtures("parts")
def test_gradients_are_right_for_whatever_is_made_of_both() -> None:
    logits, targets = given()
    assert torch.autograd.gradcheck(lambda x: picked(x, targets), logits.requires_grad_())


@pytest.mark.usefixtures("parts")
def test_the_gradient_of_short_numbers_is_rounded_once() -> None:
    logits, targets = given(torch.bfloat16)
    found, normalizer = picked(logits.requires_grad_(), targets)
    (own,) = torch.autograd.grad(found.sum() - 0.1 * normalizer.square().sum(), logits)
    wide = logits.detach().double().requires_grad_()
    found, normalizer = theirs(wide, targets)
    (exact,) = torch.autograd.grad(found.sum() - 0.1 * normalizer.square().sum(), wide)
    assert own.dtype == torch.bfloat16
    assert torch.allclose(own.double(), exact, rtol=2**-8, atol=1e-6)


def test_large_logits_stay_finite_and_hidden_words_have_no_gradient() -> None:
    logits = torch.tensor([[1e4, 0.0, -1e4], [-1e4, -1e4, -torch.inf]], requires_grad=True)
    found, _ = picked(logits, torch.tensor([1, 0]))
    assert found.tolist() == pytest.approx([-1e4, -0.6931472], rel=1e-6)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    assert gradient.tolist() == [[-1.0, 1.0, 0.0], [0.5, -0.5, 0.0]]


def test_no_tokens_have_no_log_probabilities() -> None:
    logits = torch.zeros(0, WORDS, requires_grad=True)
    found, _ = picked(logits, torch.zeros(0, dtype=torch.int64))
    found.sum().backward()
    assert found.shape == (0,)
    assert logits.grad is not None and logits.grad.shape == (0, WORDS)
