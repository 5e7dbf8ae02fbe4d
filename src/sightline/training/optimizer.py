"""The optimizers over a model's parameters: AdamW for all, or Muon for hidden matrices and AdamW for the rest.

    Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2. Jordan et al. 2024, "Muon: An
    optimizer for hidden layers in neural networks"; Liu et al. 2025, "Muon is Scalable for LLM Training", section 2.2
    (its updates made as large as AdamW's, so that one learning rate serves both).

Decay pulls weights to zero. For a matrix, which is what dense layers and embeddings are, that limits how much it can
amplify. All else is left alone: a norm's gain belongs near 1 and not near 0, a bias amplifies nothing, and each has too
few numbers to fit noise with. What relative positions add to queries is a bias too, although it lies in a table with a
line for each attention head.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.optim import Optimizer

from sightline.training.config import TrainingConfig

HIDDEN = "network.stack."
"""What the names of the blocks' parameters begin with. Embeddings and heads are tables of words, or next to one: each
row has its own gradient, and is no map from one hidden state to the next."""


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether it is what a dense layer multiplies by, or an embedding: torch's modules call both `weight`."""
    return parameter.dim() == 2 and name.rpartition(".")[2] == "weight"


def adamw(parameters: Mapping[str, nn.Parameter], config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW for the parameters that learn; torch's fused kernel, which reads and writes each number once."""
    learning = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    groups = [
        {"params": [p for name, p in learning.items() if _is_matrix(name, p)], "weight_decay": config.weight_decay},
        {"params": [p for name, p in learning.items() if not _is_matrix(name, p)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.eps,
        fused=True,
    )


def optimizers(parameters: Mapping[str, nn.Parameter], config: TrainingConfig) -> list[Optimizer]:
    """The optimizers that the configuration names; every parameter, by its name in the model, is in one of them."""
    if config.optimizer == "adamw":
        return [adamw(parameters, config)]
    hidden = {name: p for name, p in parameters.items() if name.startswith(HIDDEN) and _is_matrix(name, p)}
    others = {name: p for name, p in parameters.items() if name not in hidden}
    found: list[Optimizer] = []
    if hidden:
        rate, decay, momentum = config.learning_rate, config.weight_decay, config.momentum
        matched = "match_rms_adamw"
        found.append(
            torch.optim.Muon(hidden.values(), lr=rate, weight_decay=decay, momentum=momentum, adjust_lr_fn=matched)
        )
    if others:
        found.append(adamw(others, config))
    return found
