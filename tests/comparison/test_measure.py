"""What a contender is said to cost is its own."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path

import pytest
import torch

from comparison.compared import small_model, texts, write
from sightline.comparison.contenders import parse
from sightline.comparison.measure import forget_peak, peak_memory
from sightline.comparison.networks import NetworkLearner, Tokenizers
from sightline.comparison.rows import read_rows
from sightline.model.model import Model

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's highest memory, and forgets it")
def test_memory_that_was_freed_before_is_not_counted() -> None:
    forget_peak(CPU)
    before = peak_memory(CPU)
    assert before is not None
    blocks = [torch.ones(8192) for _ in range(10_000)]  # 330 MB, each too small to be a mapping of its own
    last = blocks[-1]
    del blocks
    full = peak_memory(CPU)
    forget_peak(CPU)
    after = peak_memory(CPU)
    assert full is not None and after is not None and last.sum() == 8192
    assert full > before + 300 and after < before + 100


def test_a_network_that_waits_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read_rows(write(tmp_path / "rows.csv", texts(60)))
    made: list[weakref.ref[Model]] = []
    real = NetworkLearner._model

    def model(self: NetworkLearner, seed: int) -> Model:
        found = real(self, seed)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(NetworkLearner, "_model", model)
    learner = NetworkLearner(rows, parse(str(small_model(tmp_path / "small"))), "tiny", Tokenizers(rows), CPU)
    assert learner.method.startswith("bert checkpoint (1 layers, 16 wide)") and learner.mask == "bidirectional"
    assert learner.notes() == [] and learner.cost(1).a_row > 0
    gc.collect()
    assert len(made) == 2 and not any(each() for each in made)
