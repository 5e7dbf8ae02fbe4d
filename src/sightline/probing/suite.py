"""Suite: what the asserts of `sightline.testing` checked in one run of a test suite, kept for its report.

Nothing here needs torch, so that a test suite that asserts nothing pays nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sightline.probing.report import Check


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One assert.

    where   the test in which it stands, as pytest names it; empty outside of pytest
    claim   what was asserted: "assert_causal"
    model   what the model is called
    ok      whether it held; `said`: the message, where it did not
    checks  what was measured
    """

    where: str
    claim: str
    model: str
    ok: bool
    said: str = ""
    checks: tuple[Check, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain values, which go from process to process."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Checked:
        """What `as_dict` made of it."""
        checks = tuple(Check(**{name: _rows(value) for name, value in each.items()}) for each in values["checks"])
        return cls(**{**values, "checks": checks})


def _rows(value: object) -> Any:
    """Tables as the tuples that they were."""
    return tuple(tuple(row) for row in value) if isinstance(value, list | tuple) else value


@dataclass
class Record:
    """What is kept while a test suite runs.

    on  whether anything is kept
    """

    on: bool = False
    kept: list[Checked] = field(default_factory=list)

    def keep(self, checked: Checked) -> None:
        """Keep it, if anything is."""
        if self.on:
            self.kept.append(checked)


RECORD = Record()
