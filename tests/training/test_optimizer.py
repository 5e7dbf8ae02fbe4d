"""AdamW as the paper writes it, and which parameters decay."""

import pytest
import torch
from torch import nn

from sightline.model.model import Model
from sightline.training.config import TrainingConfig
from sightline.training.optimizer import adamw, optimizers
from training.small import small


def test_it_is_the_papers_algorithm() -> None:
    """Loshchilov and Hutter 2019, algorithm 2, line by line, in float64."""
    config = TrainingConfig(learning_rate=0.01, weight_decay=0.1, betas=(0.8, 0.95), eps=1e-6)
    generator = torch.Generator().manual_seed(0)
    matrix, vector = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((3, 4), (5,)))
    ours = [nn.Parameter(matrix.clone()), nn.Parameter(vector.clone())]
    by_hand, first, second = [matrix, vector], [0.0, 0.0], [0.0, 0.0]
    optimizer = adamw({"dense.weight": ours[0], "dense.bias": ours[1]}, config)
    for step in range(1, 6):
        for place, (parameter, decay) in enumerate(zip(ours, (0.1, 0.0), strict=True)):
            gradient = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.grad = gradient.clone()
            first[place] = 0.8 * first[place] + 0.2 * gradient
            second[place] = 0.95 * second[place] + 0.05 * gradient**2
            update = (first[place] / (1 - 0.8**step)) / ((second[place] / (1 - 0.95**step)).sqrt() + 1e-6)
            by_hand[place] = by_hand[place] - 0.01 * (update + decay * by_hand[place])
        optimizer.step()
    for parameter, expected in zip(ours, by_hand, strict=True):
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-12, atol=1e-12)


FAMILIES = ["bert", "gpt2", "modernbert", "transfo-xl", "xlnet"]


def matrices(model: Model) -> set[str]:
    """The names of what dense layers multiply by, and of embeddings."""
    modules = [name for name, module in model.named_modules() if isinstance(module, nn.Linear | nn.Embedding)]
    return {name for name, _ in model.named_parameters() if name.rpartition(".")[0] in modules} - {
        f"{name}.bias" for name in modules
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_matrices_decay_and_nothing_else(family: str) -> None:
    """So no bias does, one for each attention head included, as relative positions have them."""
    model = small(family)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    config = TrainingConfig(learning_rate=1.0, weight_decay=0.5)
    decaying, other = adamw(dict(model.named_parameters()), config).param_groups
    assert (decaying["weight_decay"], other["weight_decay"]) == (0.5, 0.0)
    assert len(decaying["params"]) + len(other["params"]) == len(names)
    assert {names[id(parameter)] for parameter in decaying["params"]} == matrices(model)


@pytest.mark.parametrize("family", FAMILIES)
def test_muon_takes_the_hidden_matrices_and_adamw_all_else(family: str) -> None:
    """Each parameter is in one optimizer; embeddings and heads are in AdamW, tied ones once."""
    model = small(family)
    parameters = dict(model.named_parameters())
    muon, other = optimizers(parameters, TrainingConfig(learning_rate=0.1, optimizer="muon"))
    assert isinstance(muon, torch.optim.Muon) and isinstance(other, torch.optim.AdamW)
    held = [[id(p) for group in each.param_groups for p in group["params"]] for each in (muon, other)]
    assert sorted(held[0] + held[1]) == sorted(map(id, parameters.values()))
    hidden = {name for name, p in parameters.items() if id(p) in held[0]}
    assert hidden == {name for name in matrices(model) if "stack.blocks" in name}


def test_a_model_without_hidden_matrices_that_learn_has_adamw_alone() -> None:
    head = {"heads.lm.weight": nn.Parameter(torch.zeros(3, 4))}
    (only,) = optimizers(head, TrainingConfig(learning_rate=0.1, optimizer="muon"))
    assert isinstance(only, torch.optim.AdamW)


def test_muons_updates_are_as_large_as_adamws() -> None:
    """Liu et al. 2025, section 2.2: a root mean square of about 0.2, whatever the gradient's size."""
    weight = nn.Parameter(torch.zeros(64, 96))
    (muon,) = optimizers({"network.stack.weight": weight}, TrainingConfig(learning_rate=0.1, optimizer="muon"))
    weight.grad = 1e-3 * torch.randn(64, 96, generator=torch.Generator().manual_seed(0))
    muon.step()
    assert 0.01 < float(weight.detach().square().mean().sqrt()) < 0.03
