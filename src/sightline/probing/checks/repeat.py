"""The same input gives the same output; and what training mode changes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from sightline.probing import causes
from sightline.probing.checks.plan import Plan, amount, failed, not_applicable, passed
from sightline.probing.checks.rounding import difference
from sightline.probing.report import Check
from sightline.probing.untouched import seed_everything

SAME = "the same input, the same output"
MODE = "training mode changes nothing"
TOKENS = 8


def same_again(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Two runs in eval mode agree, and give numbers at every length."""
    for length in plan.lengths:
        broken = plan.given.run(plan.draw(1, length, salt=length), plan.inputs(length)).isnan()
        if bool(broken.any()):
            token = int(broken.flatten(2).any(-1)[0].nonzero()[0])
            return failed(SAME, f"on {length} tokens output {token} is not a number", causes.NOT_A_NUMBER)
    tokens = min(TOKENS, plan.longest)
    ids = plan.draw(2, tokens)
    first = plan.given.run(ids, plan.inputs(tokens))
    rounding = plan.given.rounding
    seed_everything(plan.seed + 1)
    apart = max(float(difference(first, plan.given.run(ids, plan.inputs(tokens))).max()) for _ in range(2))
    apart = max(apart, rounding.repeats)
    if rounding.tell(apart) == "same":
        said = "bit for bit" if apart == 0 else f"within {amount(apart)}, which is rounding"
        return passed(SAME, f"two runs on {tokens} tokens agree {said}")
    cause = causes.DROPOUT if _seeded(plan, ids, tokens) else causes.KEPT
    return failed(SAME, f"two runs in eval mode on the same {tokens} tokens differ by {amount(apart)}", cause)


def _seeded(plan: Plan, ids: Tensor, tokens: int) -> bool:
    """Whether two runs agree where random numbers begin alike."""
    made = []
    for _ in range(2):
        seed_everything(plan.seed + 1)
        made.append(plan.given.run(ids, plan.inputs(tokens)))
    return plan.given.rounding.tell(float(difference(*made).max())) == "same"


def training_mode(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """The mode in which the model was handed over gives what eval mode gives."""
    module, tokens = plan.subject.module, min(TOKENS, plan.longest)
    if module is None:
        return not_applicable(MODE, "a function has no modes")
    if not plan.training:
        return not_applicable(MODE, "the model was handed over in eval mode")
    ids = plan.draw(2, tokens)
    plain = plan.given.run(ids, plan.inputs(tokens))
    modes = [(each, each.training) for each in module.modules()]
    try:
        module.train()
        taught = plan.given.run(ids, plan.inputs(tokens))
    finally:
        for each, mode in modes:
            each.training = mode
    apart = float(difference(plain, taught).max())
    if plan.given.rounding.tell(apart) == "different":
        said = f"the model was handed over in training mode, in which outputs differ by {amount(apart)} from eval mode"
        return failed(MODE, f"{said}; all other checks ran in eval mode", causes.TRAINING_MODE)
    return passed(MODE, "the model was handed over in training mode, and nothing in it behaves differently there")
