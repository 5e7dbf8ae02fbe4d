"""Steps: every row once a pass, in batches of similar length, as a pure function of the step."""

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import ConfigError, InputError
from sightline.text.windows import Row
from sightline.training.steps import POOL, LabelledSteps, shuffled
from training.small import labelled, rows

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=300)


@given(lengths=LENGTHS, batch_rows=st.integers(1, 20), seed=st.integers(0, 5), number=st.integers(0, 5))
def test_a_pass_reads_every_row_once_in_equal_batches(
    lengths: list[int], batch_rows: int, seed: int, number: int
) -> None:
    batches = shuffled(lengths, batch_rows, seed, number)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_rows)
    sizes = {len(batch) for batch in batches}
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_rows


def padding(batches: list[list[int]], lengths: list[int]) -> float:
    """Share of all tokens that are padding."""
    real = sum(lengths[index] for batch in batches for index in batch)
    return 1 - real / sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)


def test_little_is_padding_and_every_pass_differs() -> None:
    lengths = numpy.random.default_rng(0).geometric(0.05, 3000).tolist()
    first, second = (shuffled(lengths, 32, 0, number) for number in (0, 1))
    as_drawn = [list(range(begin, min(begin + 32, 3000))) for begin in range(0, 3000, 32)]
    assert padding(first, lengths) < 0.1 < 0.5 < padding(as_drawn, lengths)
    together = [{frozenset((a, b)) for batch in batches for a in batch for b in batch} for batches in (first, second)]
    assert len(together[0] & together[1]) < 0.3 * len(together[0])
    longest = [max(lengths[index] for index in batch) for batch in first]
    assert longest != sorted(longest)
    assert shuffled(lengths, 32, 1, 0) != first


def test_more_rows_than_a_pool_has() -> None:
    count = 3 * POOL * 4 + 7
    lengths = numpy.random.default_rng(0).integers(1, 99, count).tolist()
    batches = shuffled(lengths, 4, 0, 0)
    assert sorted(index for batch in batches for index in batch) == list(range(count))


@given(order=st.permutations(range(6)))
def test_a_step_is_a_function_of_its_number(order: list[int]) -> None:
    in_order = [describe(labelled(passes=2)[step]) for step in range(6)]
    steps = labelled(passes=2)
    assert all(describe(steps[step]) == in_order[step] for step in order)


def describe(batches: list) -> list:
    return [(batch.rows, batch.targets.tolist(), batch.inputs["input_ids"].tolist()) for batch in batches]


def test_the_order_depends_on_lengths_and_seed_only() -> None:
    other_ids = [Row(ids=[3] * len(r.ids), types=None, front=0, back=0, new=0) for r in rows(24)]
    other = LabelledSteps(other_ids, numpy.arange(24.0), filler=1, batch_rows=8, passes=2, seed=0, batch_tokens=9)
    ours = labelled()
    assert [ours.indices(step) for step in range(6)] == [other.indices(step) for step in range(6)]
    longer = [Row(ids=r.ids * 2, types=None, front=0, back=0, new=0) for r in rows(24)[::-1]]
    given_lengths = LabelledSteps(
        longer,
        numpy.zeros(24, dtype=int),
        filler=0,
        batch_rows=8,
        passes=2,
        seed=0,
        lengths=[len(r.ids) for r in rows(24)],
    )
    assert [ours.indices(step) for step in range(6)] == [given_lengths.indices(step) for step in range(6)]
    assert [ours.indices(step) for step in range(6)] != [labelled(seed=1).indices(step) for step in range(6)]


@given(most=st.integers(1, 60))
def test_micro_batches_hold_at_most_so_many_tokens(most: int) -> None:
    whole, cut = labelled(), labelled(batch_tokens=most)
    for step in range(len(whole)):
        assert sorted(whole[step][0].rows) == sorted(row for batch in cut[step] for row in batch.rows)
        for batch in cut[step]:
            assert batch.inputs["input_ids"].numel() <= most or len(batch.rows) == 1


def test_what_a_batch_holds() -> None:
    given_rows = rows(7, types=True)
    steps = LabelledSteps(
        given_rows, [0.5 * i for i in range(7)], filler=2, batch_rows=7, passes=1, seed=0, numbers=range(10, 17)
    )
    (batch,) = steps[0]
    assert batch.tokens == sum(len(row.ids) for row in given_rows)
    for place, number in enumerate(batch.rows):
        row = given_rows[number - 10]
        count = len(row.ids)
        assert batch.inputs["input_ids"][place].tolist()[:count] == row.ids
        assert set(batch.inputs["input_ids"][place].tolist()[count:]) <= {2}
        assert int(batch.inputs["attention_mask"][place].sum()) == count
        assert batch.inputs["token_type_ids"][place].tolist()[:count] == row.types
        assert batch.targets[place] == 0.5 * (number - 10)
    assert batch.targets.dtype == torch.float64


def test_rows_of_one_length_need_no_mask() -> None:
    same_length = [Row(ids=[3, 4, 5], types=None, front=0, back=0, new=3)] * 4
    (batch,) = LabelledSteps(same_length, [0, 1, 2, 0], filler=0, batch_rows=4, passes=1, seed=0)[0]
    assert "attention_mask" not in batch.inputs


def test_the_fingerprint_tells_data_apart() -> None:
    assert labelled().fingerprint == labelled().fingerprint
    others = [labelled(23), labelled(batch_rows=7), labelled(passes=3), labelled(batch_tokens=9), labelled(seed=1)]
    changed = labelled()
    changed.rows[3].ids[0] += 1
    assert len({steps.fingerprint for steps in [labelled(), *others, changed]}) == 7


def test_what_cannot_be_read_is_refused() -> None:
    ok = {"filler": 0, "batch_rows": 4, "passes": 1, "seed": 0}
    with pytest.raises(InputError, match="24 rows and 3 targets"):
        LabelledSteps(rows(24), [0, 1, 2], **ok)
    with pytest.raises(InputError, match="24 rows and 2 numbers"):
        LabelledSteps(rows(24), [0] * 24, numbers=[1, 2], **ok)
    with pytest.raises(InputError, match="no rows"):
        LabelledSteps([], [], **ok)
    with pytest.raises(InputError, match=r"row 2 .*no token"):
        LabelledSteps([*rows(1), Row(ids=[], types=None, front=0, back=0, new=0)], [0, 1], **ok)
    for name in ("batch_rows", "passes", "batch_tokens"):
        with pytest.raises(ConfigError, match=f"{name}=0 "):
            LabelledSteps(rows(24), [0] * 24, **{**ok, name: 0})
    with pytest.raises(IndexError):
        labelled()[6]
