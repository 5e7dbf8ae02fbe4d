"""How numbers are written, and where axes put them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sightline.comparison.figures import (
    count,
    decimal,
    duration,
    failures,
    finished,
    known,
    percent,
    points,
    probability,
    roughly,
    setting,
    significant,
    tick,
)
from sightline.comparison.page.scales import linear, logarithmic, tight


@pytest.mark.parametrize(
    ("write", "value", "text"),
    [
        (percent, 0.8725, "87.2%"),
        (percent, None, "–"),
        (percent, float("nan"), "–"),
        (percent, -0.0001, "0.0%"),
        (points, 0.02, "+2.0"),
        (points, -0.02, "−2.0"),
        (points, 0.0, "0.0"),
        (decimal, -0.1234, "−0.123"),
        (count, 3312642, "3,312,642"),
        (count, True, "–"),
        (count, 10**400, "–"),
        (significant, 0.004126, "0.00413"),
        (significant, 0.0200, "0.02"),
        (significant, 9.999, "10.0"),
        (significant, 31.0, "31.0"),
        (significant, 0.9996, "1.00"),
        (significant, 12345.6, "12,346"),
        (significant, 0, "0"),
        (probability, 0.0004, "<0.001"),
        (probability, 0.05, "0.050"),
        (tick, 40.0, "40"),
        (tick, -0.5, "−0.5"),
        (setting, 3e-05, "3e-05"),
        (setting, None, "–"),
        (setting, "l2", "l2"),
        (duration, 0.4, "0.4 s"),
        (duration, 41.2, "41 s"),
        (duration, 59.6, "1 min 0 s"),
        (duration, 210.5, "3 min 30 s"),
        (duration, 7500, "2 h 5 min"),
    ],
)
def test_a_number_is_written(write: Callable[[object], str], value: object, text: str) -> None:
    assert write(value) == text


@pytest.mark.parametrize("value", [None, "3", True, float("inf"), [1]])
def test_what_is_no_number_is_not_known(value: object) -> None:
    assert known(value) is None


def test_contenders_without_a_score_stand_last() -> None:
    scores = {"a": None, "b": -0.2, "c": 0.5, "d": float("nan")}
    contenders = [{"name": name, "status": "ok", "pearson": score} for name, score in scores.items()]
    results = {"data": {"kind": "numbers"}, "contenders": [*contenders, {"name": "e", "status": "failed"}]}
    assert [each["name"] for each in finished(results)] == ["c", "b", "a", "d"]
    assert [each["name"] for each in failures(results)] == ["e"]


@pytest.mark.parametrize("values", [[0.5], [0.81, 0.88], [0.0, 1.0], [-0.2, 3.7], [1e-9, 2e-9], [1e6, 3e6], []])
def test_a_linear_axis_holds_its_values_between_round_ticks(values: list[float]) -> None:
    scale = linear(values)
    assert scale.low < scale.high
    assert 2 <= len(scale.ticks) <= 8
    places = [scale.at(tick) for tick in scale.ticks]
    assert places == sorted(places) and places[0] >= 0 and places[-1] <= 1
    assert all(scale.low - 1e-12 <= value <= scale.high + 1e-12 for value in values)


@pytest.mark.parametrize("values", [[2.0], [0.0, 5.0], [-6.3, 8.9], [0.001, 0.002], []])
def test_a_tight_axis_holds_its_values_and_little_more(values: list[float]) -> None:
    scale = tight(values)
    low, high = min(values, default=0.0), max(values, default=1.0)
    assert scale.low < low <= high < scale.high
    assert len(values) < 2 or scale.high - scale.low < 1.1 * (high - low)
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks)


@pytest.mark.parametrize("values", [[3.0], [30.0, 35.0], [0.0003, 800.0], [1e-12, 1e12], []])
def test_a_logarithmic_axis_holds_its_values(values: list[float]) -> None:
    scale = logarithmic(values)
    assert all(0 <= scale.at(value) <= 1 for value in values)
    assert 2 <= len(scale.ticks) <= 8
    assert scale.at(scale.low) == 0 and scale.at(scale.high) == 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 second"), (1.4, "1 second"), (40, "40 seconds"), (100, "2 minutes"), (5400, "1.5 hours")],
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert roughly(seconds) == said
