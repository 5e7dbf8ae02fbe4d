"""What every section of the page needs of the results, taken out once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sightline.comparison.figures import MAJORITY, Record, Score, failures, finished, kind_of, known, score_of
from sightline.comparison.page.marks import named, places
from sightline.pages.markup import Html


@dataclass(frozen=True, kw_only=True)
class View:
    """Results ready to be shown.

    ranked      the contenders with numbers, the best on the test rows first
    failed      those without
    places      each contender's place in the results: its colour and its shape
    reference   the majority's score, if it has one
    """

    results: Record
    kind: str
    score: Score
    ranked: tuple[Record, ...]
    failed: tuple[Record, ...]
    places: dict[str, int]
    reference: float | None

    def part(self, key: str) -> dict[str, Any]:
        """A record of the results, empty where it is missing."""
        return dict(self.results.get(key) or {})

    def rows(self, key: str) -> list[Any]:
        """A list of the results, empty where it is missing."""
        return list(self.results.get(key) or [])

    @property
    def level(self) -> str:
        """How sure the intervals are: 95%."""
        return f"{100 * (known(self.part('protocol').get('level')) or 0.95):g}%"

    @property
    def test_rows(self) -> int | None:
        return (self.part("data").get("rows") or {}).get("test")

    def who(self, name: object, *, whole: bool = False) -> Html:
        """A contender's name with its mark."""
        return named(str(name), self.places.get(str(name), 0), whole=whole)

    def value(self, contender: Record) -> float | None:
        return known(contender.get(self.score.key))

    def interval(self, contender: Record) -> tuple[float | None, float | None]:
        return known(contender.get(f"{self.score.key}_low")), known(contender.get(f"{self.score.key}_high"))


def view(results: Record) -> View:
    """The results, ready to be shown."""
    score, ranked = score_of(results), finished(results)
    majority = next((known(each.get(score.key)) for each in ranked if each.get("name") == MAJORITY), None)
    return View(
        results=results,
        kind=kind_of(results),
        score=score,
        ranked=tuple(ranked),
        failed=tuple(failures(results)),
        places=places(results.get("contenders") or []),
        reference=majority,
    )
