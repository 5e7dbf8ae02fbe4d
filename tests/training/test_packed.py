"""Documents as steps: every token is asked for once a pass, in an order of its own; a step knows nothing of others.

Shapes: B rows, T tokens of a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from contract.families import VOCABULARY, tiny
from sightline.errors import ConfigError, InputError
from sightline.model.model import Model
from sightline.objectives.causal import CausalLM
from sightline.objectives.objective import Batch
from sightline.objectives.text import NOT_ASKED, TextRows
from sightline.text.corpus import Documents, documents_of
from sightline.text.words import Words
from sightline.training.checkpoint import restore, save
from sightline.training.config import TrainingConfig
from sightline.training.fit import Training, fit
from sightline.training.packed import PackedSteps, Stage
from sightline.training.shuffled import keys_of, shuffled
from training.small import same, weights

LENGTHS = st.lists(st.integers(0, 12), min_size=2, max_size=9).filter(lambda lengths: sum(lengths) > 8)
STAGES = st.lists(
    st.builds(Stage, steps=st.integers(1, 7), rows=st.integers(1, 4), tokens=st.integers(1, 8)), min_size=1, max_size=3
)


def words(size: int = 1000) -> Words:
    return Words(begins=torch.ones(size, dtype=torch.bool), special=torch.zeros(size, dtype=torch.bool), mask_id=None)


def distinct(lengths: list[int]) -> list[list[int]]:
    """Documents of these lengths in which no id comes twice."""
    ids = iter(range(sum(lengths)))
    return [[next(ids) for _ in range(length)] for length in lengths]


def steps_of(documents: Documents, *stages: Stage, seed: int = 0, micro_rows: int | None = None) -> PackedSteps:
    return PackedSteps(documents, CausalLM(), words(), stages=stages, seed=seed, micro_rows=micro_rows)


def streams(
    documents: list[list[int]], seed: int, stage: int = 0
) -> Iterator[tuple[list[tuple[int, int]], numpy.random.Generator]]:
    """Each pass of a stage as its tokens, (id, number of its document), and what draws the order of its rows."""
    number = 0
    while True:
        random = numpy.random.default_rng((seed, 2, stage, number))
        order = random.permutation(len(documents))
        yield [(id, int(index)) for index in order for id in documents[index]], random
        number += 1


def by_hand(documents: list[list[int]], stages: list[Stage], seed: int) -> Iterator[list[list[tuple[int, int]]]]:
    """The rows of each step: every pass of a stage cut whole, and shuffled."""
    for number, stage in enumerate(stages):
        rows: list[list[tuple[int, int]]] = []
        for stream, random in streams(documents, seed, number):
            cut = [stream[at : at + stage.tokens + 1] for at in range(0, len(stream) - stage.tokens, stage.tokens)]
            keys = keys_of(random, len(cut))
            rows += [cut[shuffled(index, len(cut), keys)] for index in range(len(cut))]
            if len(rows) >= stage.steps * stage.rows:
                break
        for step in range(stage.steps):
            yield rows[step * stage.rows : (step + 1) * stage.rows]


@given(LENGTHS, STAGES, st.integers(0, 3))
def test_rows_are_what_cutting_and_shuffling_gives(lengths: list[int], stages: list[Stage], seed: int) -> None:
    documents = distinct(lengths)
    steps = steps_of(documents_of(documents), *stages, seed=seed)
    expected = list(by_hand(documents, stages, seed))
    assert len(steps) == len(expected)
    for step in numpy.random.default_rng(0).permutation(len(steps)).tolist():  # in any order
        rows = steps.rows(step)
        assert rows.ids.tolist() == [[id for id, _ in row] for row in expected[step]]
        for got, row in zip(rows.documents.tolist(), expected[step], strict=True):
            numbers = {document: number for number, document in enumerate(dict.fromkeys(each for _, each in row))}
            assert got == [numbers[document] for _, document in row]
        assert rows.numbers == tuple(row[0][1] + 1 for row in expected[step])


@given(LENGTHS, st.integers(1, 8), st.integers(0, 3))
def test_every_token_is_asked_for_once_a_pass_but_what_is_left_over(lengths: list[int], tokens: int, seed: int) -> None:
    """And but the first of each document, which nothing comes before."""
    documents = distinct(lengths)
    rows = (sum(lengths) - 1) // tokens
    steps = steps_of(documents_of(documents), Stage(steps=3 * rows, rows=1, tokens=tokens), seed=seed)
    first = {document[0] for document in documents if document}
    for number, (stream, _) in zip(range(3), streams(documents, seed), strict=False):
        asked: list[int] = []
        for step in range(number * rows, (number + 1) * rows):
            asked += [id for id in steps.rows(step).following.flatten().tolist() if id != NOT_ASKED]
        assert sorted(asked) == sorted(id for id, _ in stream[1 : rows * tokens + 1] if id not in first)
        assert sum(lengths) - 1 - rows * tokens < tokens


def test_a_long_document_is_not_read_in_one_go() -> None:
    """Of a step's rows, as many are of it as of the whole corpus."""
    documents = documents_of([list(range(10_000)), *([10_001 + number] * 10 for number in range(1000))])
    steps = steps_of(documents, Stage(steps=60, rows=16, tokens=20))
    shares = [sum(number == 1 for number in steps.rows(step).numbers) / 16 for step in range(60)]
    assert 0.4 < sum(shares) / 60 < 0.6 and max(shares) < 1 and min(shares) > 0


def test_each_pass_has_an_order_of_its_own() -> None:
    documents = documents_of(distinct([3] * 20))
    steps = steps_of(documents, Stage(steps=4, rows=1, tokens=59))
    orders = {tuple(steps.rows(step).ids[0].tolist()) for step in range(4)}
    assert len(orders) == 4
    other = steps_of(documents, Stage(steps=4, rows=1, tokens=59), seed=1)
    assert tuple(other.rows(0).ids[0].tolist()) not in orders


@dataclass(frozen=True, kw_only=True)
class Drawing(CausalLM):
    """Targets that are drawn, and that tell how much of the training is over."""

    def batches(self, rows: TextRows, words: Words, random: numpy.random.Generator, done: float) -> list[Batch]:
        (batch,) = super().batches(rows, words, random, done)
        targets = torch.from_numpy(random.integers(0, 1000, tuple(batch.targets.shape)))
        half = slice(0, len(targets) // 2)
        first = replace(batch, targets=targets[half] + int(1000 * done), rows=batch.rows[half], kind="first")
        return [replace(first, inputs={name: values[half] for name, values in batch.inputs.items()}), batch]


def test_what_is_drawn_is_of_the_step_alone() -> None:
    def steps(micro_rows: int | None = None) -> PackedSteps:
        stages = [Stage(steps=10, rows=6, tokens=7)]
        return PackedSteps(
            documents_of(distinct([20] * 5)), Drawing(), words(), stages=stages, seed=3, micro_rows=micro_rows
        )

    one, other = steps(), steps()
    for step in (4, 0, 9, 4):
        first, whole = one[step]
        expected = numpy.random.default_rng((3, 1, step)).integers(0, 1000, (6, 7))[:3] + 100 * step
        assert torch.equal(first.targets, torch.from_numpy(expected))
        assert torch.equal(whole.targets, other[step][1].targets)
    parts = steps(micro_rows=2)[4]
    assert [(batch.kind, len(batch.rows)) for batch in parts] == [("first", 2), ("first", 1)] + [("", 2)] * 3
    for kind, batch in zip(("first", ""), one[4], strict=True):
        cut = [part for part in parts if part.kind == kind]
        assert torch.equal(torch.cat([part.targets for part in cut]), batch.targets)
        assert sum((part.rows for part in cut), ()) == batch.rows
        assert sum(part.tokens for part in cut) == batch.tokens
        for name in batch.inputs:
            assert torch.equal(torch.cat([part.inputs[name] for part in cut]), batch.inputs[name])
    assert torch.equal(one.asked(4, done=0.9)[0].targets, one[4][0].targets + 500)


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_who_shares_a_row_does_not_see_the_other(family: str) -> None:
    """A document, or the part of it that a row holds, gets the hidden states that it gets alone."""
    model = tiny(family, heads=("lm",))
    random = numpy.random.default_rng(0)
    documents = documents_of([random.integers(3, VOCABULARY, length).tolist() for length in (5, 3, 9, 4, 6)])
    (batch,) = steps_of(documents, Stage(steps=1, rows=2, tokens=11))[0]
    packed = model(**batch.inputs).last_hidden_state
    assert int(batch.inputs["documents"].max()) > 0
    for row, numbers in enumerate(batch.inputs["documents"]):
        for number in numbers.unique():
            part = numbers == number
            alone = model(input_ids=batch.inputs["input_ids"][row, part][None]).last_hidden_state[0]
            torch.testing.assert_close(packed[row, part], alone, rtol=1e-9, atol=1e-9)


def some_documents() -> Documents:
    random = numpy.random.default_rng(0)
    return documents_of([random.integers(3, VOCABULARY, random.integers(2, 15)).tolist() for _ in range(30)])


def trained(micro_rows: int | None) -> dict[str, torch.Tensor]:
    model = tiny("gpt2", heads=("lm",), embedding_dropout=0.0, dropout=0.0, attention_dropout=0.0)
    steps = steps_of(some_documents(), Stage(steps=4, rows=5, tokens=8), micro_rows=micro_rows)
    config = TrainingConfig(learning_rate=0.02, precision="float32")
    for _ in fit(Training(model, CausalLM(), config, data=steps.fingerprint), steps):
        pass
    return weights(model)


def test_micro_batches_change_nothing_but_rounding() -> None:
    whole, parts = trained(None), trained(2)
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("stop", [1, 5, 9])
def test_a_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(stop: int, tmp_path: Path) -> None:
    """Bit for bit, within a stage and between two."""

    def begin() -> tuple[Model, Training, PackedSteps]:
        model = tiny("gpt2", heads=("lm",), dtype=torch.float32)
        stages = [Stage(steps=5, rows=4, tokens=6), Stage(steps=6, rows=2, tokens=11)]
        steps = steps_of(some_documents(), *stages)
        config = TrainingConfig(learning_rate=0.02, precision="float32")
        return model, Training(model, CausalLM(), config, data=steps.fingerprint), steps

    whole, training, steps = begin()
    for progress in fit(training, steps):
        if progress.step == stop:
            save(tmp_path, training)
    again, training, steps = begin()
    found = restore(tmp_path, training)
    assert found is not None and found.step == stop
    for _ in fit(training, steps):
        pass
    assert same(weights(whole), weights(again))


def test_the_fingerprint_is_of_all_that_is_read() -> None:
    documents, stage = documents_of(distinct([30, 20])), Stage(steps=4, rows=2, tokens=8)
    plain = steps_of(documents, stage).fingerprint
    assert steps_of(documents_of(distinct([30, 20])), stage, micro_rows=1).fingerprint == plain
    others = [
        steps_of(documents, stage, seed=1),
        steps_of(documents, replace(stage, rows=3)),
        steps_of(documents, stage, stage),
        steps_of(documents_of(distinct([20, 30])), stage),
        PackedSteps(documents, Drawing(), words(), stages=[stage]),
    ]
    assert len({plain, *(steps.fingerprint for steps in others)}) == 6


def test_what_cannot_be_steps() -> None:
    documents, stage = documents_of([[1, 2, 3], [4, 5]]), Stage(steps=4, rows=2, tokens=4)
    assert steps_of(documents, stage).rows(0).ids.shape == (2, 5)
    with pytest.raises(InputError, match="there are 5 tokens in all, too few for a row of 5"):
        steps_of(documents, stage, replace(stage, tokens=5))
    with pytest.raises(ConfigError, match="there are no stages; give at least one"):
        steps_of(documents)
    with pytest.raises(ConfigError, match="tokens=0 must be a whole number, 1 or more"):
        Stage(steps=1, rows=1, tokens=0)
    with pytest.raises(ConfigError, match="micro_rows=0"):
        steps_of(documents, stage, micro_rows=0)
    with pytest.raises(ConfigError, match="seed=-1"):
        steps_of(documents, stage, seed=-1)
    with pytest.raises(IndexError):
        steps_of(documents, stage)[4]
    assert torch.equal(steps_of(documents, stage).rows(-1).ids, steps_of(documents, stage).rows(3).ids)
