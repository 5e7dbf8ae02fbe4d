"""Plans: how many steps of which shape, and what the clock changes in them."""

from itertools import accumulate

import pytest
from hypothesis import given, settings
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
    assert changed.steps == max(new, done)
    assert [changed.tokens(step) for step in range(done + 1)] == [plan.tokens(step) for step in range(done + 1)]
    assert sum(stage.steps for stage in changed.stages) == changed.steps
    assert all(begin <= end for begin, end in zip(changed.ends, changed.ends[1:], strict=False))


SEVERAL = (
    SHAPES,
    (StageRecipe(share=1.0, rows=8, tokens=32),),
    (StageRecipe(share=0.5, rows=2, tokens=32), StageRecipe(share=0.5, rows=16, tokens=32)),
    (StageRecipe(share=0.5, rows=64, tokens=32), StageRecipe(share=0.5, rows=16, tokens=32)),
    (StageRecipe(share=0.8, rows=64, tokens=128), StageRecipe(share=0.2, rows=8, tokens=512)),
)


def by_itself(shapes: tuple[StageRecipe, ...], guess: int, budget: float, paces: list[float]) -> tuple[Plan, float]:
    """A training by the clock, at so many seconds a token in each stage; its last plan, and how long it took."""
    plan = Plan(shapes=shapes, ends=(0,) * (len(shapes) - 1) + (guess,)).of(guess)
    done, spent = 0, 0.0
    while done < plan.steps:
        at = next(number for number, end in enumerate(plan.ends) if done < end)
        spent += paces[at] * shapes[at].rows * shapes[at].tokens
        done += 1
        assert spent < 2 * budget
        if done % 10 == 0 or done < 10 or spent > 0.98 * budget:
            plan = by_the_clock(plan, done, budget - spent, paces[at])
    return plan, spent


@pytest.mark.parametrize("shapes", SEVERAL)
@given(pace=st.floats(1e-6, 1e-3), guess=st.integers(1, 5000))
@settings(max_examples=20)
def test_a_training_by_the_clock_ends_on_time(shapes: tuple[StageRecipe, ...], pace: float, guess: int) -> None:
    """At a constant pace a token, whatever was guessed first."""
    budget = 1000 * a_step(shapes) * pace
    plan, spent = by_itself(shapes, guess, budget, [pace] * len(shapes))
    assert guess < 10 or spent == pytest.approx(budget, rel=0.03)
    halves = [end / plan.steps for end in plan.ends]
    assert guess < 10 or halves == pytest.approx(list(accumulate(shape.share for shape in shapes)), abs=0.05)


@pytest.mark.parametrize("shapes", SEVERAL)
@given(ratio=st.floats(0.4, 2.5))
@settings(max_examples=20)
def test_a_pace_that_changes_with_the_stage(shapes: tuple[StageRecipe, ...], ratio: float) -> None:
    """What was thought of the last stage before it began was wrong; how long it may take is not."""
    budget = 1000 * a_step(shapes) * 1e-4
    _, spent = by_itself(shapes, 1000, budget, [1e-4] * (len(shapes) - 1) + [1e-4 * ratio])
    assert spent == pytest.approx(budget, rel=0.03)


def test_without_time_there_is_no_further_step() -> None:
    plan = plan_of(1000)
    assert by_the_clock(plan, 7, 0.0, 1.0).steps == 7
    assert by_the_clock(plan, 7, -5.0, 1.0).steps == 7
    assert by_the_clock(plan, 995, 0.0, 1.0).steps == 995, "however few are left"
    last = plan.tokens(1000) - plan.tokens(999)  # were the eighth step the last, it would have the last stage's shape
    assert by_the_clock(plan, 7, last - 1, 1.0).steps == 7
    assert by_the_clock(plan, 7, last, 1.0).steps == 8


def test_a_change_that_does_not_matter_is_none() -> None:
    plan = plan_of(1000)
    left = 900 * a_step(SHAPES)
    done = plan.tokens(100)
    same = by_the_clock(plan, 100, 1000.5 * a_step(SHAPES) - done, 1.0)
    assert same is plan
    assert by_the_clock(plan, 100, left / 2, 1.0).steps < 600
