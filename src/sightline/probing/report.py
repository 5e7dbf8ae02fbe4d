"""What an audit found: one check after another, each with what was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Table = tuple[tuple[bool, ...], ...]
Status = Literal["passed", "failed", "not applicable", "cannot tell"]
SIGNS: dict[Status, str] = {"passed": "✓", "failed": "✗", "not applicable": "-", "cannot tell": "?"}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check.

    name     what should hold, as a few words
    status   "passed", "failed", "not applicable" or "cannot tell"; only what was measured beyond doubt passes or fails
    detail   where, how much, and the smallest input that shows it; or why there was nothing to check
    cause    of a failure: the likely bug class (`sightline.probing.causes`)
    matrix   where one can see it: which output depends on which input, rows of the shortest text that shows it
    expected which may, if somebody said
    seconds  how long it took
    """

    name: str
    status: Status
    detail: str
    cause: str | None = None
    matrix: Table | None = None
    expected: Table | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `audit` gives back.

    model    whose behaviour it is
    expect   who should see whom, as a mask in text form; None where nobody said and nothing could be told
    said_by  who said so: "caller", "model", or "measured", where it is only what was found
    lengths  of the texts that were looked at, in tokens
    seed     of the random tokens
    notes    what the checks were made with: the type they were computed in, how much rounding was found
    """

    model: str
    expect: str | None
    said_by: str
    lengths: tuple[int, ...]
    seed: int
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.status == "failed")

    @property
    def seconds(self) -> float:
        """How long all checks took together."""
        return sum(check.seconds for check in self.checks)

    def check(self, name: str) -> Check:
        """The check of that name; KeyError that lists the names where there is none."""
        for each in self.checks:
            if each.name == name:
                return each
        raise KeyError(f"no check is called {name!r}; there are {', '.join(each.name for each in self.checks)}")

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {"ok": self.ok, **asdict(self), "seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        counts = {status: sum(check.status == status for check in self.checks) for status in SIGNS}
        said = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
        expected = (
            f"expected: {self.expect} (said by the {self.said_by})"
            if self.said_by != "measured"
            else (f"measured: {self.expect}" if self.expect else "nobody said who should see whom")
        )
        lines = [f"{self.model}: {said}", expected]
        wide = max((len(check.name) for check in self.checks), default=0)
        for check in self.checks:
            lines.append(f"  {SIGNS[check.status]} {check.name:{wide}}  {check.detail}")
            if check.cause:
                lines.append(f"    {'':{wide}}  likely: {check.cause}")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])
