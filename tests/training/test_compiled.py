"""Compiled blocks: the same training but for rounding, and the same names in a checkpoint."""

import pytest
import torch

from contract.test_kernels import compiles, needs_a_compiler
from sightline.objectives.classify import Classify
from sightline.training.compiled import compile_blocks
from sightline.training.config import TrainingConfig
from sightline.training.fit import Training, fit
from training.small import labelled, still


# Dynamo looks at the gradient of whatever goes into a block, and torch warns of its own look.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@compiles
@needs_a_compiler
@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", "gpt2", "modernbert"])
def test_it_changes_nothing_but_rounding(family: str) -> None:
    told, names = [], []
    for compiled in (False, True):
        model = still(family, layers=2)
        if compiled:
            compile_blocks(model)
        config = TrainingConfig(learning_rate=0.01, precision="float32")
        steps = fit(Training(model, Classify(), config), labelled(8, batch_rows=8, passes=3))
        told.append([progress.loss for progress in steps])
        names.append(list(model.state_dict()))
    assert names[0] == names[1]
    assert told[1] == pytest.approx(told[0], rel=1e-4)
    assert torch.isfinite(torch.tensor(told)).all()
