"""Plans: how many steps of which shape, and what the clock changes in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.objectives.causal import CausalLM
from sightline.training.config import TrainingConfig
from sightline.training.plan import Plan, a_step, by_the_clock, first_plan
from sightline.training.recipe import BatchRecipe, Recipe, RunRecipe, StageRecipe

SHAPES = (
    StageRecipe(share=0.5, rows=8, tokens=32),
    StageRecipe(share=0.3, rows=4, tokens=64),
    StageRecipe(share=0.2, rows=2, tokens=256),
)


def plan_of(steps: int) -> Plan:
    return Plan(shapes=SHAPES, ends=(0, 0, steps)).of(steps)


def recipe(**run: float) -> Recipe:
    return Recipe(
        objective=CausalLM(),
        training=TrainingConfig(learning_rate=1e-3),
        run=RunRecipe(**run),  # type: ignore[arg-type]
        batches=BatchRecipe(stages=SHAPES),
    )


def test_the_first_plan() -> None:
    assert [stage.steps for stage in first_plan(recipe(steps=10), 10**6).stages] == [5, 3, 2]
    plan = first_plan(recipe(passes=3), 100_000)
    assert plan.tokens(plan.steps) == pytest.approx(300_000, rel=0.01)
    assert plan.tokens(5) == 5 * 8 * 32


@given(steps=st.integers(1, 300), new=st.integers(1, 300), data=st.data())
def test_what_was_done_stays_as_it_was(steps: int, new: int, data: st.DataObject) -> None:
    plan = plan_of(steps)
    done = data.draw(st.integers(0, steps))
    changed = plan.of(new, done)
    assert changed.steps == max(new, done + 1)
    assert [changed.tokens(step) for step in range(done + 1)] == [plan.tokens(step) for step in range(done + 1)]
    assert sum(stage.steps for stage in changed.stages) == changed.steps
    assert all(begin <= end for begin, end in zip(changed.ends, changed.ends[1:], strict=False))


@given(pace=st.floats(1e-6, 1e-3), guess=st.integers(1, 5000))
def test_a_training_by_the_clock_ends_on_time(pace: float, guess: int) -> None:
    """At a constant pace a token, whatever was guessed first."""
    budget, spent, done, plan = 2000 * a_step(SHAPES) * pace, 0.0, 0, plan_of(guess)
    while done < plan.steps:
        spent += pace * (plan.tokens(done + 1) - plan.tokens(done))
        done += 1
        if done % 10 == 0:
            plan = by_the_clock(plan, done, budget - spent, pace)
    assert done < 10 or guess < 10 or spent == pytest.approx(budget, rel=0.03)


def test_a_change_that_does_not_matter_is_none() -> None:
    plan = plan_of(1000)
    left = 900 * a_step(SHAPES)
    done = plan.tokens(100)
    same = by_the_clock(plan, 100, 1000.5 * a_step(SHAPES) - done, 1.0)
    assert same is plan
    assert by_the_clock(plan, 100, left / 2, 1.0).steps < 600
