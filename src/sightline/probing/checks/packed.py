"""Documents that are packed into one row do not see each other.

Shapes: T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from sightline.probing import causes
from sightline.probing.checks.plan import Plan, amount, cannot_tell, failed, inherited, not_applicable, passed, showing
from sightline.probing.checks.substitute import substitute
from sightline.probing.checks.visibility import LEAKS
from sightline.probing.report import Check

PACKED = "packed documents do not see each other"
SIZES = (3, 4)


def documents_are_apart(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Changing a token of one document changes no output of the other."""
    tokens = sum(SIZES)
    if plan.longest < tokens:
        return not_applicable(PACKED, f"the longest text has {plan.longest} tokens, and two documents take {tokens}")
    document = torch.cat([torch.full((size,), number) for number, size in enumerate(SIZES)])[None]
    position = torch.cat([torch.arange(size) for size in SIZES])[None] + plan.first
    inputs = {name: value for name, value in (("documents", document), ("position_ids", position)) if plan.takes(name)}
    if not inputs:
        return not_applicable(PACKED, "it takes neither documents nor position_ids, which say where one begins")
    strength = substitute(plan, plan.exact, tokens, inputs=inputs).strength
    apart = document[0][:, None] != document[0][None]
    most, rounding = float(strength[apart].max()), plan.exact.rounding
    if rounding.tell(most) == "same":
        by = "documents" if "documents" in inputs else "position_ids that begin again"
        return passed(PACKED, f"{SIZES[0]} and {SIZES[1]} tokens in a row, told by {by}: within {amount(most)}")
    if "documents" not in inputs:
        return not_applicable(PACKED, "it takes no documents, and position_ids that begin again do not part them here")
    if rounding.tell(most) == "unclear":
        return cannot_tell(PACKED, f"a token changes an output of another document by {amount(most)}: rounding?")
    output, token = divmod(int(torch.where(apart, strength, 0.0).argmax()), tokens)
    said = (
        f"documents of {SIZES[0]} and {SIZES[1]} tokens in a row: output {output} depends on token {token} of the other"
    )
    cause = inherited(earlier, LEAKS) or causes.DOCUMENTS_VISIBLE
    allowed = plan.allowed(tokens)
    check = failed(PACKED, f"{said}: it changes by {amount(most)}", cause)
    return showing(check, strength >= rounding.something, ~apart if allowed is None else allowed & ~apart)
