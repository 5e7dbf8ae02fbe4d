"""A beginning is a beginning: how much follows changes nothing that came before.

What follows is changed elsewhere, one token at a time, and its number stays; here its number changes, and nothing else.

Shapes: T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

from sightline.probing import causes
from sightline.probing.checks.plan import Plan, amount, cannot_tell, failed, inherited, not_applicable, passed
from sightline.probing.checks.rounding import difference
from sightline.probing.checks.visibility import ALONE, LEAKS
from sightline.probing.report import Check

BEGINNING = "a beginning alone = the same in a longer text"


def beginning_is_the_same(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Cut short at any length, a text that is read from left to right gets what its beginning gets in the whole."""
    if plan.expect is None or not plan.looks_back():
        return not_applicable(BEGINNING, "later tokens may be seen" if plan.expect else "nobody said who sees whom")
    if earlier[LEAKS].status == "failed":
        return not_applicable(BEGINNING, "it depends on what later tokens are, too")
    if plan.longest < 2:
        return not_applicable(BEGINNING, "one token only")
    ids, worst = plan.draw(1, plan.longest, salt=15), 0.0
    whole = plan.exact.run(ids, plan.inputs(plan.longest))
    for length in plan.lengths[:-1]:
        begun = plan.exact.run(ids[:, :length], plan.inputs(length))
        apart = difference(begun, whole[:, :length]).flatten(2).amax(-1)[0]
        worst = max(worst, float(apart.max()))
        if plan.exact.rounding.tell(float(apart.max())) == "different":
            where = f"the first {length} of {plan.longest} tokens alone: output {int(apart.argmax())} is"
            cause = inherited(earlier, ALONE) or causes.LENGTH
            return failed(BEGINNING, f"{where} {amount(float(apart.max()))} off", cause)
    if plan.exact.rounding.tell(worst) == "unclear":
        return cannot_tell(BEGINNING, f"beginnings of {plan.longest} tokens differ by {amount(worst)}: rounding?")
    return passed(BEGINNING, f"beginnings of {plan.longest} tokens: within {amount(worst)}")
