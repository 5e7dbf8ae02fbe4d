"""Audit: a battery of checks of one model, by its behaviour alone.

    report = sl.audit(model, expect="causal")
    report.ok, [check.cause for check in report.failed]

It works on a model of ours, a model of transformers, any `nn.Module` whose first input are token ids, and any function
from ids to numbers. A check passes or fails by what was measured beyond rounding, else it says that it cannot tell.

Shapes: B rows, T tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import torch

from sightline.core.check import whole
from sightline.core.mask import Mask
from sightline.errors import ConfigError, InputError
from sightline.probing.causes import NOT_A_NUMBER
from sightline.probing.checks.battery import CHECKS, WHATEVER_IS_DRAWN
from sightline.probing.checks.named import first_position
from sightline.probing.checks.numbers import named_numbers, telling_lengths
from sightline.probing.checks.plan import Function, Plan, View, cannot_tell
from sightline.probing.checks.repeat import SAME
from sightline.probing.checks.rounding import find_rounding
from sightline.probing.checks.visibility import ALONE
from sightline.probing.measuring import HUGE
from sightline.probing.report import Check, Report
from sightline.probing.subject import ERRORS, Subject, in_a_line, subject
from sightline.probing.untouched import untouched

LENGTHS = (1, 2, 3, 7, 8, 31, 32, 63)
SHORT = 8  # tokens on which rounding is found
LARGE = 20_000_000  # weights from which on texts of more than LENGTHS cost too much to be looked at unasked


def audit(
    model: object,
    expect: Mask | str | None = None,
    *,
    layers: int | None = None,
    vocabulary: int | None = None,
    lengths: Sequence[int] | None = None,
    seed: int = 0,
    output: str = "auto",
    compiled: bool = False,
    only: Collection[str] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Report:
    """Run every check that applies.

    model       a Model of ours, a model of transformers, any `nn.Module` or function from ids (B, T) to floats
                (B, T, …), or a Subject, for what has a cache or kernels of its own
    expect      who should see whom: a mask, or its text: "causal", "bidirectional", "prefix(4) | causal". Default: what
                the model says of itself; where it says nothing, nothing is called a leak
    layers      through how many layers that mask goes; those of a model of ours are known. Default: any number, so
                that a window hides nothing that several layers might reach
    vocabulary  how many token ids there are; found by itself where an embedding reads them
    lengths     of texts, in tokens. Default: 1, 2, 3, 7, 8, 31, 32, 63, and around every window, block and last
                position that the configuration names, and around what the layers reach, where they are known
    seed        of the random tokens
    output      what of the model's result is looked at: "auto", or its name
    compiled    whether FlexAttention is checked too, which is compiled first: minutes
    only        the names of the checks that are run; those that they build on must be among them. Default: all
    progress    called with how many checks are done, and of how many

    The model is left as it was. Raises ConfigError for what cannot be audited, InputError where it takes no text.

        report = audit(lambda ids: model(ids).scores, expect="causal", vocabulary=1000)
    """
    given = subject(model, vocabulary=vocabulary, output=output)
    if layers is not None:
        whole("layers", layers)
    wanted = Mask.parse(expect) if isinstance(expect, str) else expect
    if wanted is not None and not isinstance(wanted, Mask):
        raise ConfigError(f'expect={expect!r} is no mask; pass one, or its text, such as "causal"')
    said_by = "caller" if wanted is not None else "model" if given.declared is not None else "measured"
    mask = given.declared if wanted is None else wanted
    with untouched(given.module, seed=seed):
        training = given.module is not None and any(each.training for each in given.module.modules())
        if given.module is not None:
            given.module.eval()
        seen = None if mask is None else _layers(given, mask, layers, said_by == "model")
        plan = _plan(given, mask, seen, lengths, seed, compiled, training)
        checks = _run(plan, [each for each in CHECKS if only is None or each[0] in only], progress)
    return Report(
        model=given.name,
        expect=None if mask is None else str(mask),
        said_by=said_by,
        lengths=plan.lengths,
        seed=seed,
        checks=tuple(checks),
        notes=_notes(plan),
    )


def _layers(given: Subject, mask: Mask, number: int | None, declared: bool) -> tuple[Mask, ...] | None:
    """Who should see whom in each layer; None where nobody knows how many there are."""
    if number is not None:
        return (mask,) * number
    if given.limits is None:
        return None
    return tuple(mask if limit is None or not declared else mask & limit for limit in given.limits)


def _plan(
    given: Subject,
    mask: Mask | None,
    layers: tuple[Mask, ...] | None,
    lengths: Sequence[int] | None,
    seed: int,
    compiled: bool,
    training: bool,
) -> Plan:
    numbers = named_numbers(getattr(given.module, "config", None))
    view = _view(given, mask, seed)
    plain = Plan(
        given=view,
        exact=view,
        expect=mask,
        lengths=(1,),
        numbers=numbers,
        layers=layers,
        seed=seed,
        compiled=compiled,
        training=training,
    )
    asked = (
        sorted({*LENGTHS, *_affordable(given, {*telling_lengths(numbers), *plain.reach()})})
        if lengths is None
        else lengths
    )
    taken, refused = _taken(plain, sorted(set(asked)))
    plan = replace(plain, exact=_exact(given, mask, seed) or view, lengths=taken, refused=refused)
    try:
        return replace(plan, first=first_position(plan.exact, plan)) if plan.takes("position_ids") else plan
    except ERRORS:
        return plan


def _weights(given: Subject) -> int:
    return 0 if given.module is None else sum(weight.numel() for weight in given.module.parameters())


def _affordable(given: Subject, lengths: Iterable[int]) -> list[int]:
    return [length for length in lengths if length <= LENGTHS[-1] + 1 or _weights(given) <= LARGE]


def _taken(plan: Plan, lengths: Sequence[int]) -> tuple[tuple[int, ...], dict[int, str]]:
    """The lengths that the subject takes, and what it says of shorter ones that it does not; InputError where it takes
    none."""
    refused: dict[int, str] = {}
    taken: list[int] = []
    for length in lengths:
        if length < 1:
            raise ConfigError(f"lengths holds {length!r}; give whole numbers of tokens, 1 or more")
        try:
            plan.given.run(plan.draw(1, length), plan.inputs(length))
            taken.append(length)
        except ERRORS as error:
            refused[length] = in_a_line(error)
    if not taken:
        last = next(reversed(refused.values()), "none was given")
        raise InputError(f"{plan.subject.name} takes no text of any of the lengths {list(lengths)}: {last}")
    return tuple(taken), {length: why for length, why in refused.items() if length < taken[-1]}


def _view(given: Subject, mask: Mask | None, seed: int) -> View:
    """The subject with what rounding does to it, found on a short text that it takes."""
    ranks = mask is not None and any(leaf.reads == "rank" for leaf in mask.leaves())
    for tokens in (SHORT, 2 * SHORT, 4 * SHORT, 8 * SHORT, 3, 1):
        inputs = {"ranks": torch.arange(tokens)[None]} if ranks else {}
        try:
            return View(subject=given, rounding=find_rounding(given, given.draw(1, tokens, seed=seed), inputs))
        except ERRORS as error:
            failed = error
    raise InputError(f"{given.name} takes no text of 1 to {8 * SHORT} tokens: {in_a_line(failed)}") from failed


def _exact(given: Subject, mask: Mask | None, seed: int) -> View | None:
    """A copy in float64 that gives finite numbers; None where there is none."""
    if given.module is None or given.dtype == torch.float64 or _weights(given) > HUGE:
        return None
    try:
        twin = _view(given.copy(torch.float64), mask, seed)
        made = twin.run(given.draw(1, SHORT), {})
        return twin if made.dtype == torch.float64 and bool(torch.isfinite(made).all()) else None
    except ERRORS:
        return None


def _confirmed(check: Check, function: Function, plan: Plan, earlier: dict[str, Check]) -> Check:
    """A failure, if neither the model in its own type nor another text contradicts it.

    Where the float64 copy gives no numbers, the model's own type judges: a mask's large number may be too large only in
    float64. A choice of the best may fall otherwise where two are equal but for rounding, which no other text repeats.
    """
    if plan.exact is not plan.given:
        own = function(replace(plan, exact=plan.given), earlier)
        if check.cause == NOT_A_NUMBER:
            return own
        if own.status == "passed":
            return cannot_tell(
                check.name, f"a copy in float64 fails ({check.detail}), the model in its own type passes"
            )
    if function(replace(plan, seed=plan.seed + 1), earlier).status == "passed":
        return cannot_tell(check.name, f"it fails on one text ({check.detail}) and passes on another: a choice?")
    return check


def _one(name: str, function: Function, plan: Plan, earlier: dict[str, Check]) -> Check:
    """One check, whatever happens in it."""
    if SAME in earlier and earlier[SAME].status == "failed" and name not in WHATEVER_IS_DRAWN:
        broken = earlier[SAME].cause == NOT_A_NUMBER
        why = "outputs are not numbers" if broken else "the same input does not always give the same output"
        return cannot_tell(name, why)
    try:
        check = function(plan, earlier)
        rounded = plan.given.rounding.digits != torch.float64
        return _confirmed(check, function, plan, earlier) if check.status == "failed" and rounded else check
    except ERRORS as error:
        return cannot_tell(name, f"stopped by {in_a_line(error)}")


def _run(
    plan: Plan, checks: Sequence[tuple[str, Function]], progress: Callable[[int, int], object] | None
) -> list[Check]:
    found: dict[str, Check] = {}
    for number, (name, function) in enumerate(checks):
        started = time.perf_counter()
        check = _one(name, function, plan, found)
        found[name] = replace(check, seconds=round(time.perf_counter() - started, 3))
        if name == ALONE and check.status == "failed":
            plan = replace(plan, apart=True)
        if progress is not None:
            progress(number + 1, len(checks))
    return list(found.values())


def _notes(plan: Plan) -> tuple[str, ...]:
    exact, kind = plan.exact, str(plan.exact.rounding.digits).removeprefix("torch.")
    how = "a copy in float64" if exact is not plan.given else f"the model as it is, in {kind}"
    rounds = "" if kind == "float64" else f"; it computes some of it in {kind}" if exact is not plan.given else ""
    nothing, something = (f"{each:.1e}" for each in (exact.rounding.nothing, exact.rounding.something))
    lengths = (f"it takes no text of {length} tokens: {why}" for length, why in plan.refused.items())
    judged = f"judged by {how}{rounds}: differences up to {nothing} are rounding, from {something} on they are not"
    return (judged, *lengths)
