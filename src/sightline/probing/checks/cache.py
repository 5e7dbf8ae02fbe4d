"""Cached = uncached: read piece by piece, a text gets what it gets at once.

Shapes: B rows, T tokens, S tokens of a piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sightline.probing import causes
from sightline.probing.checks.batch import MATE
from sightline.probing.checks.padding import CONTENT, LEFT
from sightline.probing.checks.plan import Plan, View, amount, cannot_tell, failed, inherited, not_applicable, passed
from sightline.probing.checks.rounding import difference
from sightline.probing.checks.visibility import ALONE, LEAKS
from sightline.probing.report import Check
from sightline.probing.subject import ERRORS, Step, in_a_line

STEPS = "cached = uncached, token by token"
CHUNKS = "cached = uncached, in pieces"
MEMORY = "remembered segments = read at once"
UNEQUAL = "cached = uncached, unequal prompts in a batch"
TOKENS, PIECES = 24, (2, 3, 5, 8)
NO_CACHE = "it cannot go on from a state"


def _why_not(plan: Plan, earlier: Mapping[str, Check]) -> str | None:
    """Why nothing can be said about a cache; None where something can."""
    return _looking(plan, earlier) if plan.that_has("step").subject.step else NO_CACHE


def _looking(plan: Plan, earlier: Mapping[str, Check]) -> str | None:
    """Why what was read before would be another with what comes later; None where it stays."""
    if earlier[LEAKS].status == "failed":
        return "it leaks without a cache, too"
    if plan.expect is not None and not plan.looks_back():
        return f"under {plan.expect} what is remembered would have to know of what comes later"
    return None if plan.longest > 2 else "no text has more than two tokens"


def _tokens(plan: Plan) -> int:
    """How many tokens: more than any window that the configuration names can hold, where that is affordable."""
    windows = [size for name, size in plan.numbers.items() if "window" in name and size <= 32]
    return min(plan.longest, max([TOKENS, *(2 * size + 5 for size in windows)]))


def in_pieces(view: View, ids: Tensor, piece: int) -> Tensor:
    """Outputs (B, T, …) of rows that are read `piece` tokens at a time."""
    return _read(view.subject.step, ids, piece)


def _read(step: Step | None, ids: Tensor, piece: int) -> Tensor:
    state, made = None, []
    with torch.no_grad():
        for part in ids.split(piece, 1):
            if step is not None:
                outputs, state = step(part, state, {})
                made.append(outputs)
    return torch.cat(made, 1)


def _first_off(view: View, ids: Tensor, whole: Tensor, piece: int) -> tuple[int | None, float]:
    """The first output that is off, and by how much the furthest is."""
    apart = difference(in_pieces(view, ids, piece), whole).flatten(2).amax(-1).amax(0)  # (T,)
    off = (apart >= view.rounding.something).nonzero()
    return (int(off[0]) if len(off) else None), float(apart.max())


def token_by_token(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """One token at a time."""
    return _pieces(plan, earlier, (1,), STEPS)


def piece_by_piece(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Several at a time: chunked prefill."""
    return _pieces(plan, earlier, PIECES, CHUNKS)


def _pieces(plan: Plan, earlier: Mapping[str, Check], sizes: tuple[int, ...], name: str) -> Check:
    why = _why_not(plan, earlier)
    if why is not None:
        return not_applicable(name, why)
    view, tokens = plan.that_has("step"), _tokens(plan)
    ids = plan.draw(2, tokens, salt=7)
    whole = view.run(ids, {})
    found = {size: _first_off(view, ids, whole, size) for size in sizes if size < tokens}
    worst = max(apart for _, apart in found.values())
    off = {size: first for size, (first, _) in found.items() if first is not None}
    if off:
        size, first = next(iter(off.items()))
        pieces = "one token at a time" if size == 1 else f"in pieces of {size}"
        said = f"{tokens} tokens {pieces}: output {first} is the first that differs, the furthest by"
        return failed(name, f"{said} {amount(found[size][1])}", _cause(plan, view, whole, ids))
    if view.rounding.tell(worst) == "unclear":
        return cannot_tell(name, f"cached outputs differ by {amount(worst)}: rounding?")
    how = "one at a time" if sizes == (1,) else f"in pieces of {', '.join(map(str, found))}"
    return passed(name, f"{tokens} tokens {how}: within {amount(worst)}")


def segment_by_segment(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """The same through a memory of hidden states, as far as it reaches."""
    view = plan.that_has("memory")
    why = "it has no memory of hidden states" if view.subject.memory is None else _looking(plan, earlier)
    if why is not None:
        return not_applicable(MEMORY, why)
    reaches = min([size for name, size in plan.numbers.items() if "mem" in name] or [TOKENS])
    tokens = min(plan.longest, TOKENS, reaches)
    ids = plan.draw(2, tokens, salt=7)
    whole, worst = view.run(ids, {}), 0.0
    for size in PIECES:
        apart = difference(_read(view.subject.memory, ids, size), whole).flatten(2).amax(-1).amax(0)
        worst = max(worst, float(apart.max()))
        off = (apart >= view.rounding.something).nonzero()
        if len(off):
            said = f"{tokens} tokens in segments of {size}: output {int(off[0])} is the first that is off, the furthest"
            cause = causes.SEGMENTS_REVERSED if int(off[0]) == 2 * size else causes.CACHE_WRONG
            return failed(MEMORY, f"{said} by {amount(float(apart.max()))}", cause)
    if view.rounding.tell(worst) == "unclear":
        return cannot_tell(MEMORY, f"outputs differ by {amount(worst)}: rounding?")
    return passed(MEMORY, f"{tokens} tokens in segments of {', '.join(map(str, PIECES))}: within {amount(worst)}")


def _cause(plan: Plan, view: View, whole: Tensor, ids: Tensor) -> str:
    """The likely cause, told from where outputs begin to be off and from what they depend on."""
    sizes = [size for size in (1, *PIECES) if 2 * size < ids.shape[1]]
    off = {size: _first_off(view, ids, whole, size)[0] for size in sizes}
    if all(first == 2 * size for size, first in off.items() if size > 1 or first is not None):
        return causes.SEGMENTS_REVERSED
    if any(off.get(size) == size for size in sizes[:2]):
        return _at_once(plan, view, ids, off[1] is None)
    late = off[1] is None and any(first is not None for first in off.values())
    return causes.OVERWRITTEN if late else causes.CACHE_WRONG


def _at_once(plan: Plan, view: View, ids: Tensor, one_by_one: bool) -> str:
    """The cause where the second piece is wrong already: does it see ahead, or not back?"""
    piece = max(2, min(4, ids.shape[1] // 3))
    row, least = ids[:1, : 2 * piece], view.rounding.something
    rows = row.repeat(2 * piece, 1)
    others = plan.draw(1, 2 * piece, salt=8)[0]
    places = torch.arange(2 * piece)
    rows[places, places] = torch.where(others == row[0], plan.draw(1, 2 * piece, salt=9)[0], others)
    apart = difference(in_pieces(view, rows, piece), in_pieces(view, row, piece)).flatten(2).amax(-1)  # (changed, T)
    second = apart[:, piece:]  # whom the second piece depends on
    later = torch.ones(piece, piece, dtype=torch.bool).tril(-1)  # changed after the one that answers
    if bool((second[piece:][later] >= least).any()):
        return causes.WITH_CACHE if one_by_one else causes.CACHE_WRONG
    moved = rows[places, places] != row[0]
    late = [place for place in range(1, piece) if bool(moved[place])]
    if late and bool((second[late, 0] < least).all()):
        return causes.TOP_LEFT
    return causes.CACHE_PIECES if one_by_one else causes.CACHE_POSITIONS


def unequal_prompts(plan: Plan, earlier: Mapping[str, Check]) -> Check:
    """Prompts of different lengths, padded on the left, go on as each would alone."""
    why = _why_not(plan, earlier)
    if why is None and not plan.takes("attention_mask"):
        why = "it takes no attention_mask, so unequal prompts cannot stand in one batch"
    if why is not None:
        return not_applicable(UNEQUAL, why)
    if earlier[STEPS].status == "failed":
        return not_applicable(UNEQUAL, "a row alone is not cached rightly either")
    view = plan.that_has("step")
    lengths, grown = (3, 5) if plan.longest >= 8 else (1, 2), 3
    widest = max(lengths)
    whole = plan.draw(2, widest + grown, salt=10)
    mask = torch.ones_like(whole)
    mask[0, : widest - lengths[0]] = 0
    positions = plan.positions(mask) if plan.takes("position_ids") else None
    try:
        found = _grow(view, whole, mask, widest, positions)
    except ERRORS as error:
        return cannot_tell(UNEQUAL, f"it does not take padded prompts and then more tokens: {in_a_line(error)}")
    worst = 0.0
    for row, length in enumerate(lengths):
        own = whole[row : row + 1, widest - length :]
        apart = difference(found[row, widest:], view.run(own, {})[0, length:]).flatten(1).amax(-1)
        worst = max(worst, float(apart.max()))
        if view.rounding.tell(float(apart.max())) == "different":
            said = f"prompts of {lengths[0]} and {lengths[1]} tokens, padded on the left, then {grown} more: row {row},"
            more = f"{said} new token {int(apart.argmax())} is {amount(float(apart.max()))} off"
            known = inherited(earlier, ALONE, MATE, CONTENT, LEFT if positions is None else ALONE)
            return failed(UNEQUAL, more, known or _cause_of_unequal(plan, view, whole, mask, widest, positions))
    if view.rounding.tell(worst) == "unclear":
        return cannot_tell(UNEQUAL, f"rows differ by {amount(worst)} from the same alone: rounding?")
    return passed(
        UNEQUAL, f"prompts of {lengths[0]} and {lengths[1]} tokens, then {grown} more: within {amount(worst)}"
    )


def _grow(view: View, ids: Tensor, mask: Tensor, prompt: int, positions: Tensor | None) -> Tensor:
    """Outputs (B, T, …): the prompts at once, then one token after another."""
    step, state, made = view.subject.step, None, []
    ends = [prompt, *range(prompt + 1, ids.shape[1] + 1)]
    with torch.no_grad():
        for begin, end in zip([0, *ends[:-1]], ends, strict=True):
            named: dict[str, Any] = {"attention_mask": mask[:, :end]}
            if positions is not None:
                named["position_ids"] = positions[:, begin:end]
            if step is not None:
                outputs, state = step(ids[:, begin:end], state, named)
                made.append(outputs)
    return torch.cat(made, 1)


def _cause_of_unequal(
    plan: Plan, view: View, ids: Tensor, mask: Tensor, prompt: int, positions: Tensor | None
) -> str | None:
    """Whether it is what stands in the padding that shows later."""
    if not bool(torch.isfinite(_grow(view, ids, mask, prompt, positions)[:, prompt:]).all()):
        return causes.NOT_A_NUMBER
    other = torch.where(mask == 0, plan.draw(len(ids), ids.shape[1], salt=11), ids)
    one, two = (_grow(view, each, mask, prompt, positions)[0, prompt:] for each in (ids, other))
    if view.rounding.tell(float(difference(one, two).max())) == "different":
        return causes.CACHE_FORGETS_PADDING
    return causes.CACHE_WRONG if positions is None else causes.CACHE_POSITIONS
