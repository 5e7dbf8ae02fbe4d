"""A stream as steps: every token is read once a pass, rows read on, and a memory goes with them.

Shapes: B rows, T tokens of a segment.
"""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contract.families import VOCABULARY, tiny
from sightline.errors import ConfigError, InputError
from sightline.model.model import Model
from sightline.objectives.causal import CausalLM
from sightline.training.checkpoint import restore, save
from sightline.training.config import TrainingConfig
from sightline.training.fit import Training, fit
from sightline.training.stream import StreamSteps
from training.small import same, weights


def read(steps: StreamSteps, step: int) -> tuple[Tensor, Tensor]:
    (batch,) = steps[step]
    return batch.inputs["input_ids"], batch.targets


@given(count=st.integers(30, 200), rows=st.integers(1, 4), tokens=st.integers(1, 6), seed=st.integers(0, 3))
def test_a_pass_reads_each_token_at_most_once_and_nearly_all(count: int, rows: int, tokens: int, seed: int) -> None:
    steps = StreamSteps(torch.arange(count), rows=rows, tokens=tokens, steps=1000, seed=seed)
    many = steps.steps_per_pass
    for number in range(2):
        pieces = [read(steps, number * many + segment) for segment in range(many)]
        ids, targets = (torch.cat(parts, 1) for parts in zip(*pieces, strict=True))
        assert torch.equal(targets, ids + 1)  # what comes next, across segments and at each row's end
        assert torch.equal(ids[:, 1:], ids[:, :-1] + 1)  # rows read on
        assert len(ids.unique()) == ids.numel() >= count - 2 * tokens - rows * (tokens + 1)
        assert int(targets.max()) < count


def test_a_step_is_a_function_of_its_number_and_passes_cut_the_stream_elsewhere() -> None:
    one, other = (StreamSteps(torch.arange(100), rows=2, tokens=7, steps=40, seed=1) for _ in range(2))
    assert torch.equal(read(one, 9)[0], read(other, 9)[0])
    read(one, 3)
    assert torch.equal(read(one, 9)[0], read(other, 9)[0])
    begins = {int(read(one, number * one.steps_per_pass)[0][0, 0]) for number in range(6)}
    assert len(begins) > 2
    assert len(one) == 40
    with pytest.raises(IndexError):
        one[40]


def test_the_fingerprint_is_of_all_that_is_read() -> None:
    settings = {"rows": 2, "tokens": 7, "steps": 40}
    plain = StreamSteps(torch.arange(100), **settings).fingerprint
    assert StreamSteps(torch.arange(100), **settings).fingerprint == plain
    others = [{"rows": 3}, {"tokens": 6}, {"steps": 41}, {"seed": 1}, {"memory_length": 4}]
    assert all(StreamSteps(torch.arange(100), **{**settings, **change}).fingerprint != plain for change in others)
    assert StreamSteps(torch.arange(100).flip(0), **settings).fingerprint != plain


def test_a_memory_goes_from_step_to_step_and_begins_anew_with_each_pass() -> None:
    model = tiny("transfo-xl", heads=("lm",))
    steps = StreamSteps(torch.randint(3, VOCABULARY, (100,)), rows=2, tokens=7, steps=40, memory_length=10)
    lengths = []
    for step in range(steps.steps_per_pass + 2):
        (batch,) = steps[step]
        lengths.append(0 if batch.memory.coordinates is None else batch.memory.coordinates.tokens)
        CausalLM().terms(model, batch)
    assert lengths == [0, 7, *[10] * (steps.steps_per_pass - 2), 0, 7]
    steps[3]
    assert steps[1][0].memory.coordinates is None  # out of turn
    assert StreamSteps(torch.arange(100), rows=2, tokens=7, steps=4)[0][0].memory is None


def learn(model: Model, steps: StreamSteps) -> list[float]:
    config = TrainingConfig(learning_rate=0.02, weight_decay=0.0, precision="float32")
    return [progress.loss for progress in fit(Training(model, CausalLM(), config, data=steps.fingerprint), steps)]


def test_a_memory_is_what_it_takes_to_learn_what_lies_behind_the_segment() -> None:
    """3 4 3 5 3 4 3 5 …, read token by token: what follows a 3 hangs on the token before it."""
    ids, last = torch.tensor([3, 4, 3, 5]).repeat(50), {}
    for length in (None, 2):
        model = tiny("transfo-xl", heads=("lm",), dtype=torch.float32, layers=1, dropout=0.0)
        losses = learn(model, StreamSteps(ids, rows=4, tokens=1, steps=120, memory_length=length))
        last[length] = sum(losses[-20:]) / 20
    assert last[None] > 0.3  # half of the tokens are 3s, and ln 2 is 0.69
    assert last[2] < 0.1


def test_the_same_steps_give_the_same_weights() -> None:
    ids = torch.randint(3, VOCABULARY, (200,))
    found = []
    for _ in range(2):
        model = tiny("transfo-xl", heads=("lm",), dtype=torch.float32)
        learn(model, StreamSteps(ids, rows=2, tokens=6, steps=12, memory_length=6))
        found.append(weights(model))
    assert same(*found)


@pytest.mark.parametrize("stop", [1, 5, 11, 17])
def test_a_training_that_goes_on_from_a_checkpoint_goes_on_with_its_memory(stop: int, tmp_path: Path) -> None:
    """Bit for bit, wherever in a pass it stopped."""
    ids = torch.randint(3, VOCABULARY, (150,))

    def begin() -> tuple[Training, StreamSteps]:
        model = tiny("transfo-xl", heads=("lm",), dtype=torch.float32)
        steps = StreamSteps(ids, rows=2, tokens=6, steps=20, memory_length=9)
        config = TrainingConfig(learning_rate=0.02, precision="float32")
        return Training(model, CausalLM(), config, data=steps.fingerprint), steps

    whole, steps = begin()
    for progress in fit(whole, steps):
        if progress.step == stop:
            save(tmp_path, whole, tensors=steps.remembered())
    again, steps = begin()
    found = restore(tmp_path, again)
    assert found is not None and found.step == stop
    steps.go_on(found.step, found.tensors)
    for _ in fit(again, steps):
        pass
    assert same(weights(whole.model), weights(again.model))


def test_what_cannot_be_a_stream() -> None:
    with pytest.raises(ConfigError, match="rows=0 must be a whole number"):
        StreamSteps(torch.arange(100), rows=0, tokens=7, steps=40)
    with pytest.raises(ConfigError, match="memory_length=0 must be"):
        StreamSteps(torch.arange(100), rows=2, tokens=7, steps=40, memory_length=0)
    with pytest.raises(InputError, match="has 22 tokens, too few for 2 rows of 7"):
        StreamSteps(torch.arange(22), rows=2, tokens=7, steps=40)
    assert StreamSteps(torch.arange(23), rows=2, tokens=7, steps=40).steps_per_pass == 1
    with pytest.raises(InputError, match="one row of token ids"):
        StreamSteps(torch.rand(100), rows=2, tokens=7, steps=40)
