"""Which output a label is compared with.

With a label at one place only, the loss changes with the label exactly as the logits of one output do: that output it
is. Next-token models compare a label with the output before it; a loss that shifts labels twice, with the one before
that.

Shapes: T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from sightline.probing import causes
from sightline.probing.checks.plan import Plan, View, cannot_tell, failed, not_applicable, passed
from sightline.probing.checks.rounding import difference
from sightline.probing.checks.substitute import substitute
from sightline.probing.checks.visibility import LEAKS
from sightline.probing.of_modules import named_inputs
from sightline.probing.reading import parts_of
from sightline.probing.report import Check

LABELS = "a label meets the right output"
TOKENS, PLACE, IGNORED = 8, 5, -100
CLOSE, FAR = 1e-3, 20  # losses are often computed in float32: of the largest logit; times the best


def labels_meet_outputs(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """A label is compared with the output before it, or at its own place, and with no output that sees its token."""
    view = plan.exact
    module = view.subject.module
    names = () if module is None else named_inputs(module.forward)
    if "labels" not in names or "decoder_input_ids" in names or plan.longest < TOKENS:
        return not_applicable(
            LABELS, "it takes no labels" if "labels" not in names else "its labels are of another kind"
        )
    ids = plan.draw(1, TOKENS, salt=16)
    logits = view.run(ids, plan.inputs(TOKENS))[0]
    if logits.dim() != 2 or logits.shape[-1] < plan.subject.vocabulary:
        return not_applicable(LABELS, "its outputs are no logits over the vocabulary")
    one, other = 1, min(2, logits.shape[-1] - 1)
    losses = [_loss(view, ids, label) for label in (one, other)]
    if any(each is None for each in losses):
        return not_applicable(LABELS, "it gives no loss for labels of -100 but one")
    gained = losses[0] - losses[1]  # type: ignore[operator]
    apart = difference(logits[:, other] - logits[:, one], torch.as_tensor(gained).expand(TOKENS))
    place = int(apart.argmin())
    size, others = float(logits.abs().max()), apart[torch.arange(TOKENS) != place]
    if float(apart[place]) > CLOSE * size or float(others.min()) <= FAR * float(apart[place]):
        return cannot_tell(LABELS, f"the loss of a label at {PLACE} follows no single output: it is no cross-entropy")
    return _judged(plan, place, earlier)


def _judged(plan: Plan, place: int, earlier: Mapping[str, Check]) -> Check:
    said = f"of {TOKENS} tokens, the label at {PLACE} is compared with output {place}"
    sees = float(substitute(plan, plan.exact, TOKENS, columns=torch.tensor([PLACE])).strength[place, 0])
    if place == PLACE - 2:
        return failed(LABELS, said, causes.LABELS_TWICE)
    if place not in (PLACE, PLACE - 1):
        return failed(LABELS, said, causes.LABELS_WRONG)
    if place == PLACE:
        return passed(LABELS, f"{said}: labels are not shifted inside, shift them before where the next token is asked")
    if plan.exact.rounding.tell(sees) == "different":
        if earlier[LEAKS].status == "failed":
            return not_applicable(LABELS, f"{said}, which depends on token {PLACE}, for it leaks")
        return failed(LABELS, f"{said}, which depends on token {PLACE}", causes.LABELS_SEEN)
    return passed(LABELS, f"{said}: labels are shifted inside, pass the ids themselves")


def _loss(view: View, ids: Tensor, label: int) -> Tensor | None:
    """The loss of one label; None where there is none."""
    labels = torch.full_like(ids, IGNORED)
    labels[0, PLACE] = label
    module = view.subject.module
    with torch.no_grad():
        place = view.subject.device
        made = None if module is None else module(ids.to(place), labels=labels.to(place))
    return next(_scalars(made), None)


def _scalars(made: object) -> Iterator[Tensor]:
    for _, part in parts_of(made):
        if part.is_floating_point() and part.numel() == 1 and bool(torch.isfinite(part).all()):
            yield part.reshape(())
