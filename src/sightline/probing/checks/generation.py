"""Generation honours the attention mask: what stands in padding changes nothing that is written.

Shapes: B rows, T tokens, P places of padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sightline.probing import causes
from sightline.probing.checks.plan import Plan, amount, cannot_tell, failed, not_applicable, passed
from sightline.probing.checks.rounding import difference
from sightline.probing.report import Check

WRITES = "generation ignores what stands in padding"
TOKENS, PLACES, NEW = 4, 3, 2


def writing_ignores_padding(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """The model's own `generate`, with its first logits: other ids in the padding on the left change nothing."""
    module: Any = plan.exact.subject.module
    write = getattr(module, "generate", None)
    if not callable(write) or not callable(getattr(module, "prepare_inputs_for_generation", None)):
        return not_applicable(WRITES, "it has no generate of its own")
    ids = plan.draw(1, TOKENS, salt=18)
    mask = torch.cat([torch.zeros(1, PLACES, dtype=torch.long), torch.ones_like(ids)], 1)
    try:
        one, other = (_logits(write, torch.cat([plan.draw(1, PLACES, salt=salt), ids], 1), mask) for salt in (19, 20))
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError, NotImplementedError) as error:
        return not_applicable(WRITES, f"its generate refuses: {(str(error).splitlines() or [''])[0]:.120}")
    apart = float(difference(one, other).max())
    verdict = plan.exact.rounding.tell(apart)
    said = f"{TOKENS} tokens behind {PLACES} of padding, one more written: logits change by {amount(apart)}"
    if verdict == "same":
        return passed(WRITES, said)
    inert = all(
        check.status == "passed" for name, check in earlier.items() if name == "what stands in padding is inert"
    )
    cause = causes.MASK_DROPPED if inert else causes.PADDING_ATTENDED
    return failed(WRITES, said, cause) if verdict == "different" else cannot_tell(WRITES, f"{said}: rounding?")


def _logits(write: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Logits (B, V) of the first token that is written."""
    settings = {"max_new_tokens": NEW, "do_sample": False, "return_dict_in_generate": True, "output_logits": True}
    with torch.no_grad():
        made = write(input_ids=ids, attention_mask=mask, pad_token_id=0, **settings)
    return made.logits[0]
