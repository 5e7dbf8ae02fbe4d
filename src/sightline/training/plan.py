"""How many steps a training has, when it is said in steps, in passes over a corpus, or in minutes; and of which shapes.

    Geiping and Goldstein 2022, "Cramming", section 3: a schedule tied to the clock.

By the clock, the number of steps is a guess that gets better: the pace so far tells how many more fit. What was done
stays as it was; what comes, stages and learning rate, follows the new number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from sightline.training.packed import Stage
from sightline.training.recipe import Recipe, StageRecipe

FIRST_GUESS = 1000  # steps of a training by the clock, before any was timed
MATTERS = 0.01  # a share of all steps; a smaller change is not worth a new plan


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps of a training, by shape.

    shapes  the recipe's stages
    ends    after which step each of them ends; the last is the number of all steps
    """

    shapes: tuple[StageRecipe, ...]
    ends: tuple[int, ...]

    @property
    def steps(self) -> int:
        """How many there are."""
        return self.ends[-1]

    @property
    def stages(self) -> list[Stage]:
        """The stages that have any steps."""
        begins = (0, *self.ends)
        parts = zip(self.shapes, begins, self.ends, strict=False)
        return [Stage(steps=end - begin, rows=at.rows, tokens=at.tokens) for at, begin, end in parts if end > begin]

    def tokens(self, steps: int) -> int:
        """How many tokens the first `steps` read."""
        begins = (0, *self.ends)
        return sum(
            at.rows * at.tokens * (min(end, steps) - min(begin, steps))
            for at, begin, end in zip(self.shapes, begins, self.ends, strict=False)
        )

    def of(self, steps: int, done: int = 0) -> Plan:
        """The plan for another number of steps, when so many are `done`: what ended before, ended where it did."""
        steps = max(steps, done, 1)
        shares = accumulate(shape.share for shape in self.shapes)
        wanted = [round(min(share, 1.0) * steps) for share in shares]
        ends = [old if done > 0 and old <= done else max(new, done) for old, new in zip(self.ends, wanted, strict=True)]
        return Plan(shapes=self.shapes, ends=(*ends[:-1], steps))


def a_step(shapes: Sequence[StageRecipe]) -> float:
    """How many tokens a step reads, on average over the training."""
    return sum(shape.share * shape.rows * shape.tokens for shape in shapes)


def first_plan(recipe: Recipe, corpus_tokens: int) -> Plan:
    """The plan before the first step.

    >>> first_plan(recipe, corpus_tokens=10**6).steps  # doctest: +SKIP
    122
    """
    shapes = recipe.batches.shapes
    steps = recipe.run.steps or FIRST_GUESS
    if recipe.run.passes is not None:
        steps = max(1, round(recipe.run.passes * corpus_tokens / a_step(shapes)))
    return Plan(shapes=shapes, ends=(0,) * (len(shapes) - 1) + (steps,)).of(steps)


def by_the_clock(plan: Plan, done: int, seconds_left: float, seconds_a_token: float) -> Plan:
    """The plan that ends when the time does, at the pace of now; the same one where the change would not matter.

    How many tokens a further step reads depends on where the stages end that are not over yet, so it is searched for.
    """
    room, read = int(max(0.0, seconds_left) / seconds_a_token), plan.tokens(done)
    smallest = min(shape.rows * shape.tokens for shape in plan.shapes)
    many = range(done, done + room // smallest + 1)
    steps = done + bisect_right(many, read + room, key=lambda number: plan.of(number, done).tokens(number)) - 1
    return plan if room and abs(steps - plan.steps) < MATTERS * plan.steps else plan.of(steps, done)
