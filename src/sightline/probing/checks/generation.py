"""Generation honours the attention mask: what stands in padding changes nothing that is written.

Shapes: B rows, T tokens, P places of padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sightline.probing import causes
from sightline.probing.checks.padding import CONTENT
from sightline.probing.checks.plan import Plan, View, amount, cannot_tell, failed, not_applicable, passed
from sightline.probing.checks.rounding import Verdict, difference
from sightline.probing.report import Check
from sightline.probing.subject import ERRORS, in_a_line

WRITES = "generation ignores what stands in padding"
TOKENS, PLACES, NEW = 4, 3, 2


def _logits(module: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Logits (B, V) of the first token that is written."""
    settings = {"max_new_tokens": NEW, "do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    with torch.no_grad():
        made = module.generate(input_ids=ids, attention_mask=mask, pad_token_id=0, **settings)
    return made.logits[0]


def _apart(plan: Plan, view: View) -> tuple[float, Verdict]:
    """By how much the first logits differ that are written behind two paddings, and whether that is rounding."""
    ids = plan.draw(1, TOKENS, salt=18)
    mask = torch.cat([torch.zeros(1, PLACES, dtype=torch.long), torch.ones_like(ids)], 1)
    padded = [torch.cat([plan.draw(1, PLACES, salt=salt), ids], 1) for salt in (19, 20)]
    place = view.subject.device
    one, other = (_logits(view.subject.module, each.to(place), mask.to(place)) for each in padded)
    apart = float(difference(one, other).max())
    return apart, view.rounding.tell(apart)


def writing_ignores_padding(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """The model's own `generate`, with its first logits: other ids in the padding on the left change nothing."""
    module: Any = plan.subject.module
    if not all(callable(getattr(module, name, None)) for name in ("generate", "prepare_inputs_for_generation")):
        return not_applicable(WRITES, "it has no generate of its own")
    try:
        apart, verdict = _apart(plan, plan.exact)
    except ERRORS:  # some make numbers of one type on the way, which a copy in another cannot take
        try:
            apart, verdict = _apart(plan, plan.given)
        except ERRORS as error:
            return not_applicable(WRITES, f"its generate refuses: {in_a_line(error)}")
    said = f"{TOKENS} tokens behind {PLACES} of padding, one more written: logits change by {amount(apart)}"
    if verdict == "same":
        return passed(WRITES, said)
    inert = CONTENT not in earlier or earlier[CONTENT].status == "passed"
    cause = causes.MASK_DROPPED if inert else causes.PADDING_ATTENDED
    return failed(WRITES, said, cause) if verdict == "different" else cannot_tell(WRITES, f"{said}: rounding?")
