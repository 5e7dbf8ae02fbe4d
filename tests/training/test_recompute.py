"""Recomputing: the same gradients, dropout included, and less kept."""

import pytest
import torch

from contract.families import FAMILIES, random_ids
from sightline.objectives.classify import Classify
from sightline.training.config import TrainingConfig
from sightline.training.fit import Training, fit
from sightline.training.recompute import recomputing
from training.small import labelled, same, small, weights


@pytest.mark.parametrize("family", FAMILIES)
def test_it_changes_no_bit(family: str) -> None:
    """Dropout too is drawn the same a second time."""
    trained = []
    for wanted in (False, True):
        model = small(family, layers=4)
        with recomputing(model, wanted):
            for _ in fit(Training(model, Classify(), TrainingConfig(learning_rate=0.01)), labelled(8, passes=2)):
                pass
        trained.append(weights(model))
    assert same(*trained)


def kept(wanted: bool) -> int:
    """Bytes that are kept for the way back."""
    model, total = small("bert", layers=8), 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal total
        total += tensor.nbytes
        return tensor

    with recomputing(model, wanted), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        model(random_ids(4, 16)).last_hidden_state.sum()
    return total


def test_less_is_kept() -> None:
    assert kept(True) < kept(False) / 2


def test_afterwards_all_is_as_before() -> None:
    model = small("gpt2")
    with recomputing(model):
        pass
    assert all("forward" not in vars(module) for module in model.modules())
