"""AdamW over a model's parameters, in two groups.

    Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.

Decay pulls weights to zero. For a matrix, which is what dense layers and embeddings are, that limits how much it can
amplify. Vectors are left alone: a norm's gain belongs near 1 and not near 0, a bias amplifies nothing, and each has too
few numbers to fit noise with.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from sightline.training.config import TrainingConfig


def adamw(parameters: Iterable[nn.Parameter], config: TrainingConfig) -> torch.optim.AdamW:
    """The optimizer for the parameters that learn; torch's fused kernel, which reads and writes each number once."""
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
