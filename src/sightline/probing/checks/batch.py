"""A row is a row: other rows, their number and order change nothing.

Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from sightline.probing import causes
from sightline.probing.checks.plan import Plan, amount, cannot_tell, failed, not_applicable, passed, showing
from sightline.probing.checks.profile import leaks_of
from sightline.probing.checks.rounding import difference
from sightline.probing.checks.substitute import Seen, substitute
from sightline.probing.checks.visibility import ALONE, LEAKS
from sightline.probing.report import Check

MATE = "a padded row-mate changes nobody's sight"
ROWS, TOKENS = 5, 8


def alone_is_in_a_batch(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Each row of a batch gets what it gets alone, whatever the others are, how many, and in which order."""
    view, tokens = plan.exact, min(TOKENS, plan.longest)
    ids, inputs = plan.draw(ROWS, tokens, salt=1), plan.inputs(tokens)
    alone = torch.cat([view.run(row[None], inputs) for row in ids])
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(plan.seed))
    batches = {f"{ROWS} rows": view.run(ids, inputs), "2 rows": view.run(ids[:2], inputs)}
    batches["another order"] = view.run(ids[order], inputs)[order.argsort()]
    worst = 0.0
    for name, found in batches.items():
        apart = difference(found, alone[: len(found)]).flatten(2).amax(-1)
        worst = max(worst, float(apart.max()))
        if view.rounding.tell(float(apart.max())) == "different":
            row, token = divmod(int(apart.argmax()), tokens)
            where = f"{tokens} tokens in {name}: row {row}, output {token} is {amount(float(apart.max()))} off"
            return failed(ALONE, where, _by_content(plan))
    if view.rounding.tell(worst) == "unclear":
        return cannot_tell(ALONE, f"rows differ by {amount(worst)} in a batch: rounding?")
    return passed(ALONE, f"{tokens} tokens in 2 and {ROWS} rows, in two orders: within {amount(worst)}")


def _by_content(plan: Plan) -> str | None:
    """The cause where it is what other rows hold that changes one."""
    tokens = min(TOKENS, plan.longest)
    ids, others = plan.draw(2, tokens, salt=1), plan.draw(2, tokens, salt=2)
    apart = difference(
        plan.exact.run(ids, plan.inputs(tokens)),
        plan.exact.run(torch.stack([ids[0], others[1]]), plan.inputs(tokens)),
    )
    return causes.BATCH_STATISTICS if plan.exact.rounding.tell(float(apart[0].max())) == "different" else None


def a_padded_mate(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Who sees whom in a whole row stays as it is when another row of the batch is padded, on either side."""
    if not plan.takes("attention_mask"):
        return not_applicable(MATE, "it takes no attention_mask")
    length = max((each for each in plan.lengths if each <= TOKENS), default=1)
    allowed = plan.allowed(length)
    if length < 2 or allowed is None or bool(allowed.all()):
        return not_applicable(MATE, "nothing is hidden from anyone, or nobody said so")
    if earlier[LEAKS].status == "failed":
        return not_applicable(MATE, "it leaks without a padded row, too")
    if earlier[ALONE].status == "failed":
        return not_applicable(MATE, "rows change each other without a padded one, too")
    least, worst = plan.exact.rounding.something, 0.0
    for side in ("right", "left"):
        mask = torch.ones(1, length, dtype=torch.long)
        mask[0, -1 if side == "right" else 0] = 0
        mate = plan.draw(1, length, salt=3), {"attention_mask": mask}
        seen = substitute(plan, plan.exact, length, mates=mate)
        leaks = leaks_of(seen, allowed, least)
        worst = max(worst, float(seen.strength[~allowed].max()))
        if bool(leaks.any()):
            return _leak(plan, seen, leaks, side)
    if worst > plan.exact.rounding.nothing:
        return cannot_tell(MATE, f"beside a padded row a hidden token changes an output by {amount(worst)}: rounding?")
    return passed(MATE, f"at {length} tokens, beside a row that is padded on the right and one on the left")


def _leak(plan: Plan, seen: Seen, leaks: torch.Tensor, side: str) -> Check:
    output, token = (int(place) for place in leaks.nonzero()[0])
    said = f"2 rows of {seen.tokens} tokens, the second padded on the {side}: in the first, output {output}"
    strength = float(seen.strength[output, token])
    where = f"{said} depends on token {token}, which {plan.expect} hides: it changes by {amount(strength)}"
    check = failed(MATE, where, causes.WHEN_PADDED)
    return showing(check, seen.strength >= plan.exact.rounding.something, plan.allowed(seen.tokens))
