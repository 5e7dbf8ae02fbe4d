"""Explanation: what `explain` found: which setting makes how much of a difference, and where it begins."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite, isinf
from typing import Any, Literal

from sightline.probing.layers import First
from sightline.probing.switches import DRAWS, places

Status = Literal["same", "rounding", "different", "cannot tell"]
NOTABLE = 0.05  # a share of the difference that a sentence mentions


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One setting in which two runs differ.

    name       the setting; `label`: what it is called; `detail`: how the runs differ in it
    alone      the share of the difference that comes where a takes this setting alone from b; None: it cannot
    back       the share that goes where b takes this setting alone back from a
    size       by how much outputs change, at most, in either; in standard deviations of the outputs
    status     "different", "same" (what it does is rounding, or nothing), or "unclear"
    positions  the tokens of a whose outputs it changes beyond rounding
    first      where in the model its change is first seen
    """

    name: str
    label: str
    detail: str
    alone: float | None
    back: float | None
    size: float
    status: Literal["same", "different", "unclear"]
    positions: tuple[int, ...] = ()
    first: First | None = None

    @property
    def share(self) -> float:
        """Both ways together: the mean of those that could be measured."""
        known = [each for each in (self.alone, self.back) if each is not None]
        return sum(known) / len(known) if known else 0.0


@dataclass(frozen=True, kw_only=True)
class Together:
    """Two settings that do together what neither does alone: by what share of the difference, and whether it counts."""

    labels: tuple[str, str]
    share: float
    status: Literal["same", "different", "unclear"]


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What `explain` gives back.

    model        whose runs they are
    tokens       the texts of a's tokens
    compared     the tokens of a that were compared, by place; `changed`: those whose outputs differ beyond rounding
    difference   the largest, in standard deviations of the outputs; `rounding`: what rounding can do, likewise
    status       "same" (bit for bit), "rounding", "different" or "cannot tell"
    causes       what makes it, the strongest first; those that do nothing beyond rounding come last
    together     pairs of settings that interact
    unexplained  the share of the difference that no setting and no pair of them makes
    notes        what else was found
    """

    model: str
    tokens: tuple[str, ...]
    compared: tuple[int, ...]
    changed: tuple[int, ...]
    difference: float
    rounding: float
    status: Status
    causes: tuple[Cause, ...]
    together: tuple[Together, ...] = ()
    unexplained: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def found(self) -> tuple[Cause, ...]:
        """The causes that change something beyond rounding, dropout first."""
        real = [cause for cause in self.causes if cause.status == "different"]
        return tuple(sorted(real, key=lambda cause: cause.name != DRAWS))

    @property
    def first(self) -> First | None:
        """Where the strongest cause is first seen."""
        return next((cause.first for cause in self.causes if cause.first is not None), None)

    def verdict(self) -> str:
        """The finding in a sentence."""
        real = [cause.label for cause in self.found]
        cancel = f"; {_and(real)} change{'s' * (len(real) == 1)} them, and nothing is left of it" if real else ""
        if self.status == "same":
            return "the outputs are the same, bit for bit" + self._of_some() + cancel
        if self.status == "rounding":
            by = [cause.label for cause in self.causes if cause.size > 0]
            brought = f", brought in by {_and(by)}" if by and not real else ""
            sizes = f"the outputs differ by {self.difference:.2g}, and rounding can do {self.rounding:.2g}"
            return f"the difference is rounding{brought}: {sizes}{cancel}"
        if self.status == "cannot tell":
            return f"cannot tell: the outputs differ by {self.difference:.2g}, which the model may do by itself"
        return self._different()

    def _of_some(self) -> str:
        return "" if len(self.compared) == len(self.tokens) else f" (compared: {places(self.compared)})"

    def _different(self) -> str:
        found = self.found
        pairs = [pair for pair in self.together if pair.status == "different" and abs(pair.share) >= NOTABLE]
        paired = {label for pair in pairs for label in pair.labels}
        only = len(found) > 1 and all(cause.label in paired and abs(cause.alone or 0.0) < NOTABLE for cause in found)
        if not found and pairs:
            said = f"the difference is {_and(list(pairs[0].labels))} together: neither alone changes anything"
        elif not found:
            said = "the difference has no cause among the settings"
        elif len(found) == 1:
            said = f"the difference is {found[0].label}: {found[0].detail}"
        elif only:
            details = "; ".join(f"{cause.label}: {cause.detail}" for cause in found)
            said = f"the difference is {_and([cause.label for cause in found])} together, none of them alone: {details}"
        else:
            whole = not pairs and abs(self.unexplained) < NOTABLE  # else these shares and what is left make it
            shares = [cause.share if whole or cause.alone is None else cause.alone for cause in found]
            said = "the difference is " + "; and ".join(
                f"{cause.label} ({_percent(share)}): {cause.detail}" for cause, share in zip(found, shares, strict=True)
            )
        for pair in pairs if found and not only else []:
            said += f"; {_and(list(pair.labels))} together make {_more(pair.share)}"
        left = f"; {_percent(abs(self.unexplained))} is left unexplained"
        return said + (left if abs(self.unexplained) >= NOTABLE else "")

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; None for a difference that is infinite, as that of a number to none."""
        found = {"verdict": self.verdict(), **asdict(self), "first": asdict(self.first) if self.first else None}
        return {name: _finite(value) for name, value in found.items()}

    def __str__(self) -> str:
        lines = [self.verdict(), ""]
        if self.causes:
            wide = max(len(cause.label) for cause in self.causes)
            lines.append(f"{'cause':{wide}}  alone  taken back  by at most")
            lines += [_row(cause, wide, detail=len(self.causes) > 1) for cause in self.causes]
            lines += (
                []
                if self.status != "different"
                else [
                    f"{pair.labels[0]} with {pair.labels[1]}: {_more(pair.share)} than both alone"
                    for pair in self.together
                    if pair.status != "same"
                ]
            )
            lines.append("")
        if self.changed:
            lines.append(f"changed   {places(self.changed)} of {len(self.tokens)}")
        several = sum(cause.first is not None for cause in self.causes) > 1
        for cause in self.causes:
            if cause.first is not None:
                lines.append(f"begins    in {cause.first}" + (f": {cause.label}" if several else ""))
        lines.append(f"rounding  {self.rounding:.2g} at most, in standard deviations of the outputs")
        if abs(self.unexplained) >= NOTABLE:
            lines.append(f"left      {_percent(self.unexplained)} of the difference is unexplained")
        return "\n".join([*lines, *(f"note      {note}" for note in self.notes)])


def _row(cause: Cause, wide: int, detail: bool) -> str:
    alone, back = ("?" if each is None else _percent(each) for each in (cause.alone, cause.back))
    size = "nothing" if cause.size == 0 else "no number" if isinf(cause.size) else f"{cause.size:.2g}"
    kind = {"same": "rounding" if cause.size else "", "different": "", "unclear": "cannot tell"}[cause.status]
    said = kind or (cause.detail if detail else "")  # of one cause, the verdict has said it
    return f"{cause.label:{wide}}  {alone:>5}  {back:>10}  {size:>10}  {said}".rstrip()


def _more(share: float) -> str:
    return f"{_percent(abs(share))} {'more' if share > 0 else 'less'}"


def _percent(share: float) -> str:
    return "<1 %" if 0 < share < 0.005 else f"{round(100 * share)} %"


def _finite(value: Any) -> Any:
    """The same with None for numbers that JSON has not."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _and(labels: list[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
