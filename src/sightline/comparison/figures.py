"""Results as people read them: one way to write each kind of number, and which columns a table of results has.

A value that is missing, or no finite number, is an en dash.

    >>> percent(0.8725), points(-0.02), significant(0.004126), count(3312642)
    ('87.2%', '−2.0', '0.00413', '3,312,642')
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

MISSING = "–"
MAJORITY = "majority"  # the contender that every other one is measured against
Record = Mapping[str, Any]


def known(value: object) -> float | None:
    """The number, or None for anything that is no finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _written(value: object, form: str, factor: float = 1.0) -> str:
    number = known(value)
    if number is None:
        return MISSING
    text = format(number * factor, form)
    if not text.strip("-+0.,%"):  # what rounds to zero has no sign
        text = text.lstrip("-+")
    return text.replace("-", "−")


def percent(value: object) -> str:
    """A share in percent, one decimal."""
    text = _written(value, ".1f", 100.0)
    return text if text == MISSING else f"{text}%"


def points(value: object) -> str:
    """A difference of shares in percentage points, with its sign."""
    return _written(value, "+.1f", 100.0)


def decimal(value: object) -> str:
    """Three decimals."""
    return _written(value, ".3f")


def signed(value: object) -> str:
    """Three decimals with their sign."""
    return _written(value, "+.3f")


def count(value: object) -> str:
    """A whole number, thousands apart."""
    return _written(value, ",.0f")


def significant(value: object) -> str:
    """Three significant digits, never as a power of ten; below 1 without zeros at the end."""
    number = known(value)
    if number is None:
        return MISSING
    if abs(number) < 1e-6:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(number))))
    rounded = round(number, decimals)
    text = _written(rounded, f",.{max(0, 2 - math.floor(math.log10(abs(rounded))))}f")
    return text.rstrip("0") if abs(rounded) < 1 else text


def probability(value: object) -> str:
    """A p-value: three decimals, the smallest as a bound."""
    number = known(value)
    return "<0.001" if number is not None and number < 0.001 else decimal(number)


def duration(value: object) -> str:
    """Seconds as a clock would say them: 41 s, 3 min 30 s, 2 h 5 min."""
    number = known(value)
    if number is None:
        return MISSING
    whole = round(number)
    if whole < 60:
        return f"{significant(number) if number < 10 else whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def roughly(seconds: float) -> str:
    """Seconds for people: "40 seconds", "3 minutes", "1.5 hours"."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} second{'' if round(seconds) <= 1 else 's'}"
    return f"{round(seconds / 60)} minutes" if seconds < 90 * 60 else f"{seconds / 3600:.1f} hours"


def tick(value: float) -> str:
    """A number below an axis, as short as it can be."""
    return f"{value:.10g}".replace("-", "−")


def setting(value: object) -> str:
    """A setting's value, as a command line takes it: the shortest text of a number, anything else as it is."""
    return MISSING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, kw_only=True)
class Score:
    """What contenders are judged by: its key in the results, its name, how its values and differences are written."""

    key: str
    name: str
    value: Callable[[object], str]
    difference: Callable[[object], str]
    unit: str  # of differences

    def interval(self, record: Record) -> str:
        """`81.6 to 94.4%` of a contender; an en dash where it has none."""
        low, high = self.value(record.get(f"{self.key}_low")), self.value(record.get(f"{self.key}_high"))
        if MISSING in (low, high):
            return MISSING
        return f"{low.removesuffix('%')} to {high}"


ACCURACY = Score(key="accuracy", name="accuracy", value=percent, difference=points, unit="points")
PEARSON = Score(key="pearson", name="Pearson", value=decimal, difference=signed, unit="")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the table of results, and which end of it is the better one."""

    key: str
    title: str
    text: Callable[[object], str]
    best: Literal["highest", "lowest"]
    trivial: bool = False  # the majority is best at it without being of use: its value does not count as the best


QUALITY = {
    "classes": (
        Column(key="accuracy", title="Accuracy", text=percent, best="highest"),
        Column(key="macro_f1", title="Macro-F1", text=percent, best="highest"),
        Column(key="log_loss", title="Log-loss", text=decimal, best="lowest"),
        Column(key="calibration_error", title="Calibration error", text=percent, best="lowest", trivial=True),
    ),
    "numbers": (
        Column(key="pearson", title="Pearson", text=decimal, best="highest"),
        Column(key="spearman", title="Spearman", text=decimal, best="highest"),
        Column(key="rmse", title="RMSE", text=significant, best="lowest"),
        Column(key="mae", title="MAE", text=significant, best="lowest"),
        Column(key="r2", title="R²", text=decimal, best="highest"),
    ),
}
COST = (
    Column(key="train_seconds", title="Training, s", text=significant, best="lowest", trivial=True),
    Column(key="rows_per_second", title="Rows a second", text=significant, best="highest", trivial=True),
    Column(key="ms_per_row", title="ms a row", text=significant, best="lowest", trivial=True),
    Column(key="parameters", title="Parameters", text=count, best="lowest", trivial=True),
    Column(key="peak_memory_mb", title="Memory, MB", text=count, best="lowest", trivial=True),
)


def kind_of(results: Record) -> str:
    """ "classes" or "numbers"."""
    return "numbers" if (results.get("data") or {}).get("kind") == "numbers" else "classes"


def score_of(results: Record) -> Score:
    """What the contenders of these results are judged by."""
    return PEARSON if kind_of(results) == "numbers" else ACCURACY


def finished(results: Record) -> list[Record]:
    """The contenders with numbers, the best on the test rows first; equals, and those without a score, as they came."""
    key = score_of(results).key
    fine = [each for each in results.get("contenders") or [] if each.get("status") == "ok"]

    def order(each: Record) -> float:
        score = known(each.get(key))
        return math.inf if score is None else -score

    return sorted(fine, key=order)


def failures(results: Record) -> list[Record]:
    """The contenders without numbers, as they came."""
    return [each for each in results.get("contenders") or [] if each.get("status") != "ok"]
