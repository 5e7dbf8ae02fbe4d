"""Activations: each name gives what it gives in transformers, where checkpoints take their names from."""

import pickle

import pytest
import torch
from transformers.activations import ACT2FN

from sightline.core.activation import ACTIVATIONS, activation
from sightline.errors import ConfigError

HAVE_WEIGHTS = {"prelu", "xielu"}  # learned; no family here stores them


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_a_name_means_what_it_means_in_transformers(name: str) -> None:
    x = torch.cat([torch.linspace(-12, 12, 401, dtype=torch.float64), torch.tensor([0.0, -1e-9, 1e-9, 60, -60])])
    wanted = ACT2FN[name](x)
    torch.testing.assert_close(activation(name)(x), wanted, rtol=0, atol=1e-12)


def test_every_name_without_weights_is_known() -> None:
    assert set(ACT2FN) - set(ACTIVATIONS) <= HAVE_WEIGHTS


@pytest.mark.parametrize("name", ["gleu", "", "prelu"])
def test_another_name_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match=f"activation='{name}' is not known; choose one of gelu, gelu_10"):
        activation(name)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_an_activation_is_found_by_another_process(name: str) -> None:
    assert pickle.loads(pickle.dumps(activation(name))) is activation(name)
