"""The optimizers over a model's parameters: AdamW for all, or Muon for hidden matrices and AdamW for the rest.

    Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2. Jordan et al. 2024, "Muon: An
    optimizer for hidden layers in neural networks"; Liu et al. 2025, "Muon is Scalable for LLM Training", section 2.2
    (its updates made as large as AdamW's, so that one learning rate serves both).

Decay pulls weights to zero. For a matrix, which is what dense layers and embeddings are, that limits how much it can
amplify. Vectors are left alone: a norm's gain belongs near 1 and not near 0, a bias amplifies nothing, and each has too
few numbers to fit noise with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn
from torch.optim import Optimizer

from sightline.training.config import TrainingConfig

HIDDEN = "network.stack."
"""What the names of the blocks' parameters begin with. Embeddings and heads are tables of words: each row has its own
gradient, and is no map from one hidden state to the next."""


def adamw(parameters: Iterable[nn.Parameter], config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW for the parameters that learn; torch's fused kernel, which reads and writes each number once."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [p for p in learning if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in learning if p.dim() < 2], "weight_decay": 0.0},
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
        return [adamw(parameters.values(), config)]
    hidden = [p for name, p in parameters.items() if name.startswith(HIDDEN) and p.dim() == 2]
    others = {id(p): p for p in parameters.values()}
    for parameter in hidden:
        others.pop(id(parameter), None)
    muon = torch.optim.Muon(
        hidden,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=config.momentum,
        adjust_lr_fn="match_rms_adamw",
    )
    return [muon, *([adamw(others.values(), config)] if others else [])] if hidden else [adamw(others.values(), config)]
