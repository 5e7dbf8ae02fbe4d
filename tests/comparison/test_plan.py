"""How much everyone learns within a budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.comparison.plan import BATCH_ROWS, FEWEST_PASSES, MOST_PASSES, Cost, Plan, decide, wanted_passes

SIZES = {"dev": 100, "test": 100, "seeds": 3}


def test_without_a_budget_everyone_reads_everything() -> None:
    plan = decide(
        {"a": Cost(a_row=0.01, runs=6), "b": Cost(a_row=0.02, runs=6)}, train=1000, budget=None, passes=None, **SIZES
    )
    assert (plan.rows, plan.passes) == (1000, wanted_passes(1000))


def test_what_is_asked_for_is_given_whatever_the_budget() -> None:
    plan = decide({"a": Cost(a_row=5.0, runs=6)}, train=1000, budget=1.0, passes=7, **SIZES)
    assert (plan.rows, plan.passes) == (1000, 7)


def test_passes_go_before_rows_do() -> None:
    whole = decide({"a": Cost(a_row=0.01, runs=6)}, train=10_000, budget=None, passes=None, **SIZES)
    fewer = decide({"a": Cost(a_row=0.01, runs=6)}, train=1000, budget=300.0, passes=None, **SIZES)
    sampled = decide({"a": Cost(a_row=0.01, runs=6)}, train=10_000, budget=300.0, passes=None, **SIZES)
    assert fewer.rows == 1000 and FEWEST_PASSES <= fewer.passes < wanted_passes(1000)
    assert sampled.rows < whole.rows and sampled.passes == FEWEST_PASSES


@given(
    cost=st.floats(1e-5, 1.0),
    train=st.integers(10, 200_000),
    budget=st.floats(1.0, 10_000.0),
    seeds=st.integers(1, 5),
)
def test_a_plan_stays_within_its_budget_unless_the_least_is_too_much(
    cost: float, train: int, budget: float, seeds: int
) -> None:
    plan = decide(
        {"a": Cost(a_row=cost, runs=6)},
        train=train,
        dev=train // 10,
        test=train // 10,
        seeds=seeds,
        budget=budget,
        passes=None,
    )
    assert 1 <= plan.rows <= train and FEWEST_PASSES <= plan.passes <= MOST_PASSES
    least = plan.rows <= 8 * BATCH_ROWS and plan.passes == FEWEST_PASSES
    assert plan.seconds <= budget or least


def test_a_plan_survives_json() -> None:
    import json

    plan = decide({"a": Cost(a_row=0.01, runs=6)}, train=1000, budget=60.0, passes=None, **SIZES)
    assert Plan.from_dict(json.loads(json.dumps(plan.as_dict()))) == plan


@pytest.mark.parametrize(("rows", "passes"), [(1, 10), (800, 10), (4000, 5), (50_000, 3)])
def test_fewer_rows_are_read_more_often(rows: int, passes: int) -> None:
    assert wanted_passes(rows) == passes


def test_what_takes_no_passes_costs_the_same_however_many_there_are() -> None:
    once = Cost(a_run=1.0, a_row=0.01, repeated=False, runs=4)
    assert once.run(1, 100, 30) == once.run(10, 100, 30) == pytest.approx(2.1)
    assert Cost(a_row=0.01).run(10, 100, 30) == pytest.approx(11.0)
