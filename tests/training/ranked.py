"""A training that several processes run together, each of which writes down what came of it."""

import torch
import torch.distributed as dist
from torch import Tensor

from sightline.objectives.classify import Classify
from sightline.training.config import TrainingConfig
from sightline.training.fit import Training, fit
from training.small import labelled, still, weights


def train() -> tuple[dict[str, Tensor], list[float]]:
    """A few steps of several unequal micro-batches, in float64."""
    model = still("gpt2", dtype=torch.float64)
    steps = labelled(24, batch_rows=12, passes=2, batch_tokens=20)
    config = TrainingConfig(learning_rate=0.01, clip=0.5)
    losses = [done.loss for done in fit(Training(model, Classify(), config), steps)]
    return weights(model), losses


def process(rank: int, world: int, folder: str) -> None:
    """One of `world` processes that meet in `folder`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    torch.save(train(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()
