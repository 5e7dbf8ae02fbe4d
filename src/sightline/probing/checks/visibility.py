"""Nobody sees what is hidden: at many lengths, each token to each token, by substitution and by gradient.

Shapes: T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sightline.probing import causes
from sightline.probing.checks.gradients import gradients
from sightline.probing.checks.plan import Plan, amount, cannot_tell, failed, inherited, not_applicable, passed, showing
from sightline.probing.checks.profile import kind_of_leak, leaks_of
from sightline.probing.checks.substitute import Seen, substitute
from sightline.probing.report import Check

ALONE = "a row alone = the same row in a batch"
LEAKS = "nobody sees what is hidden"
GRADIENT = "no gradient from what is hidden"
PAST = "what should be seen is seen"
NEGLIGIBLE, NOTABLE = 1e-13, 1e-8  # of the largest gradient: below the one nothing, above the other something
MIDDLE = 32  # tokens of the texts whose gradients are looked at


def hidden_are_unseen(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """At every length, whatever token is put in a place changes only the outputs that may know of it."""
    if plan.expect is None:
        return _as_measured(plan)
    found: dict[int, tuple[Seen, Tensor]] = {}
    unclear: list[tuple[float, int]] = []
    nothing_hidden = True
    for length in plan.lengths:
        allowed = plan.allowed(length)
        if allowed is None or bool(allowed.all()):
            continue
        nothing_hidden = False
        seen = substitute(plan, plan.exact, length)
        found[length] = seen, leaks_of(seen, allowed, plan.exact.rounding.something)
        hidden = seen.strength[~allowed[:, seen.columns]]
        doubt = hidden[(hidden > plan.exact.rounding.nothing) & (hidden < plan.exact.rounding.something)]
        unclear += [(float(doubt.max()), length)] if len(doubt) else []
    if nothing_hidden:
        return not_applicable(LEAKS, f"under {plan.expect} nothing is hidden from anyone")
    if any(bool(leaks.any()) for _, leaks in found.values()):
        return _leak(plan, found, inherited(earlier, ALONE))
    if unclear:
        most, length = max(unclear)
        return cannot_tell(LEAKS, f"at {length} tokens a hidden token changes an output by {amount(most)}: rounding?")
    own = _in_its_own_type(plan, [*found])
    if own is not None:
        return own
    largest = max(float(seen.strength[~_allowed(plan, seen)].max()) for seen, _ in found.values())
    return passed(LEAKS, f"at {_listed(found)} tokens; the largest change by a hidden token is {amount(largest)}")


def _in_its_own_type(plan: Plan, lengths: list[int]) -> Check | None:
    """What leaks in the model as it was handed over, where a copy in float64 is clean; None where nothing does."""
    given = plan.given
    kind = str(given.subject.dtype).removeprefix("torch.")
    doubt = None
    for length in sorted({max((each for each in lengths if each <= most), default=0) for most in (8, MIDDLE)} - {0}):
        if plan.exact is given:
            break
        seen = substitute(plan, given, length)
        hidden = torch.where(_allowed(plan, seen), 0.0, seen.strength)
        most, (output, column) = float(hidden.max()), divmod(int(hidden.argmax()), len(seen.columns))
        said = f"at {length} tokens, in {kind}, output {output} depends on token {int(seen.columns[column])}, which"
        said = f"{said} {plan.expect} hides: it changes by {amount(most)}; in a copy in float64 it does not"
        if given.rounding.tell(most) == "different":
            return showing(failed(LEAKS, said, causes.ONE_TYPE), seen.strength >= most, plan.allowed(length))
        doubt = cannot_tell(LEAKS, f"{said}: rounding?") if given.rounding.tell(most) == "unclear" else doubt
    return doubt


def _allowed(plan: Plan, seen: Seen) -> Tensor:
    allowed = plan.allowed(seen.tokens)
    return torch.ones_like(seen.strength, dtype=torch.bool) if allowed is None else allowed[:, seen.columns]


def _listed(lengths: Mapping[int, object]) -> str:
    return ", ".join(map(str, lengths))


def _leak(plan: Plan, found: Mapping[int, tuple[Seen, Tensor]], known: str | None) -> Check:
    shortest = min(length for length, (_, leaks) in found.items() if bool(leaks.any()))
    seen, leaks = found[shortest]
    output, column = (int(place) for place in leaks.nonzero()[0])
    least, strength = plan.exact.rounding.something, float(seen.strength[output, column])
    clean = [length for length, (_, leaks) in found.items() if not bool(leaks.any())]
    bad = [length for length in found if length not in clean]
    where = (
        f"at {shortest} tokens output {output} depends on token {int(seen.columns[column])}, which {plan.expect} hides:"
        f" it changes by {amount(strength)} ({int(leaks.sum())} such cells; leaks at {', '.join(map(str, bad))} tokens"
        f"{', none at ' + ', '.join(map(str, clean)) if clean else ''})"
    )
    cause = known or kind_of_leak(found, least, _in_gradients(plan, bad))
    check = failed(LEAKS, where, cause)
    return showing(check, seen.strength >= least, plan.allowed(shortest)) if seen.whole else check


def _in_gradients(plan: Plan, lengths: list[int]) -> bool | None:
    """Whether gradients show the leak too, at a length of which not much has to be computed."""
    length = max((each for each in lengths if each <= MIDDLE), default=min(lengths))
    table, allowed = gradients(plan, plan.exact, length) if length <= 2 * MIDDLE else None, plan.allowed(length)
    if table is None or allowed is None or not bool(torch.isfinite(table).all()):
        return None
    return bool((table[~allowed] > NOTABLE).any())


def _as_measured(plan: Plan) -> Check:
    """What is seen, where nobody said what should be."""
    longest = max(length for length in plan.lengths if length <= 2 * MIDDLE)
    seen = substitute(plan, plan.exact, longest)
    ahead = seen.strength.triu(1)
    if longest > 1 and float(ahead.max()) <= plan.exact.rounding.nothing:
        return not_applicable(
            LEAKS, f"nobody said who should see whom; at {longest} tokens nobody sees what comes later"
        )
    number = int((ahead >= plan.exact.rounding.something).sum())
    said = f"at {longest} tokens {number} of {longest * (longest - 1) // 2} later tokens are seen"
    return not_applicable(LEAKS, f"nobody said who should see whom; {said}: pass expect, such as causal")


def hidden_have_no_gradient(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """No single output has a gradient to a single token that is hidden from it."""
    lengths = [length for length in plan.lengths if 1 < length <= MIDDLE][-2:]
    if not lengths or plan.expect is None:
        return not_applicable(GRADIENT, "nobody said who should see whom" if plan.expect is None else "one token only")
    largest = 0.0
    for length in lengths:
        allowed = plan.allowed(length)
        if allowed is None or bool(allowed.all()):
            return not_applicable(GRADIENT, f"under {plan.expect} nothing is hidden from anyone")
        table = gradients(plan, plan.exact, length)
        if table is None:
            return not_applicable(GRADIENT, "no vectors can be given in the tokens' place, or they get no gradient")
        hidden = torch.where(allowed, 0.0, table)
        if not bool(torch.isfinite(table).all()):
            return cannot_tell(GRADIENT, f"at {length} tokens a gradient is not a number")
        largest = max(largest, float(hidden.max()))
        if largest >= NOTABLE:
            output, token = divmod(int(hidden.argmax()), length)
            said = f"at {length} tokens output {output} has a gradient to token {token}, which {plan.expect} hides"
            same = inherited(earlier, ALONE, LEAKS)
            of_largest = f"{amount(float(hidden.max()))} of the largest"
            return failed(GRADIENT, f"{said}: {of_largest}", same or causes.SOME_LEAK)
    if largest > NEGLIGIBLE:
        return cannot_tell(GRADIENT, f"a hidden token has {amount(largest)} of the largest gradient: rounding?")
    return passed(GRADIENT, f"at {' and '.join(map(str, lengths))} tokens, one output and one token at a time")


def shown_are_seen(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Outputs do depend on tokens before them, and on later ones where they may."""
    length = max((each for each in plan.lengths if each <= 8), default=plan.lengths[0])
    table = plan.table(length)
    table = torch.ones(length, length, dtype=torch.bool).tril() if table is None else table
    if length < 2:
        return not_applicable(PAST, "one token only")
    strength, rounding = substitute(plan, plan.exact, length).strength, plan.exact.rounding
    for name, cells in (("earlier", table.tril(-1)), ("later", table.triu(1))):
        found = strength[cells]
        if not len(found) or bool((found >= rounding.something).any()):
            continue
        if bool((found > rounding.nothing).any()):
            return cannot_tell(PAST, f"at {length} tokens {name} ones change outputs by {amount(float(found.max()))}")
        cause = causes.NO_PAST if name == "earlier" else causes.FUTURE_HIDDEN
        cause = inherited(earlier, LEAKS) or cause
        check = failed(PAST, f"at {length} tokens no output depends on any {name} one", cause)
        return showing(check, strength >= rounding.something, plan.allowed(length))
    seen = strength >= rounding.something
    said = f"at {length} tokens {int(seen[table].sum())} of {int(table.sum())} such cells depend"
    return showing(passed(PAST, said), seen, plan.allowed(length))
