"""Several processes: how many they are changes nothing but rounding."""

from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp

from training.ranked import process, train
from training.small import labelled, same


@pytest.mark.parametrize("world", [3])
def test_how_many_there_are_changes_nothing(tmp_path: Path, world: int) -> None:
    """The same losses and weights as one process, and bit for bit the same weights in each.

    No loss depends on the bias of keys, which softmax takes out again: its gradient is rounding alone (1e-17), which
    Adam divides by little more than its eps (1e-8).
    """
    assert len(labelled(24, batch_rows=12, passes=2, batch_tokens=20)[0]) > world  # some compute more than others
    expected, losses = train()
    mp.start_processes(process, args=(world, str(tmp_path)), nprocs=world, start_method="spawn")
    results = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(world)]
    for found, told in results:
        assert told == pytest.approx(losses, rel=1e-12)
        for name, value in expected.items():
            absolute = 1e-10 if name.endswith("key.bias") else 1e-14
            torch.testing.assert_close(found[name], value, rtol=1e-11, atol=absolute)
        assert same(found, results[0][0])
