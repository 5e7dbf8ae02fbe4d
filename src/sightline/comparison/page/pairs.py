"""The section on which contenders differ: every pair, the difference, how sure it is, and whether it counts."""

from __future__ import annotations

from sightline.comparison.figures import MISSING, Record, count, known, probability
from sightline.comparison.page.charts import strip
from sightline.comparison.page.scales import Scale, linear
from sightline.comparison.page.view import View
from sightline.pages.markup import Child, Html, joined, more, section, table, tag

SHOWN = 10  # pairs; the rest is folded away


def _different(pair: Record) -> Child:
    different = pair.get("different")
    return tag("b", "yes") if different is True else "no" if different is False else MISSING


def _pair(view: View, pair: Record, scale: Scale) -> list[Child]:
    difference, low, high = (known(pair.get(key)) for key in ("difference", "low", "high"))
    write = view.score.difference
    span = MISSING if low is None or high is None else f"{write(low)} to {write(high)}"
    said = f"{pair.get('a')} minus {pair.get('b')}: {write(difference)}, between {span.replace(' to ', ' and ')}"
    drawn = strip(scale, said, view.places.get(str(pair.get("a")), 0), difference, (low, high), reference=0.0)
    return [
        tag("span", view.who(pair.get("a")), tag("i", "against"), view.who(pair.get("b")), class_="pair"),
        joined(write(difference), None if span == MISSING else tag("small", span)),
        drawn,
        probability(pair.get("p")),
        probability(pair.get("holm_p")),
        _different(pair),
        count(pair.get("rows_needed")),
    ]


def pairs(view: View) -> Html | None:
    """Every pair of contenders: the difference, how sure it is, and whether it counts."""
    given = view.rows("comparisons")
    if not given:
        return None
    first = {view.results.get("best"), view.results.get("runner_up")}
    given.sort(key=lambda pair: {pair.get("a"), pair.get("b")} != first)
    ends = [known(pair.get(key)) for pair in given for key in ("difference", "low", "high")]
    scale = linear([0.0, *(end for end in ends if end is not None)], steps=4)
    unit = f", {view.score.unit}" if view.score.unit else ""
    head: list[Child] = [
        "Pair",
        f"Difference{unit}",
        f"{view.level} interval",
        "p",
        "p after Holm",
        "Different?",
        "Rows needed",
    ]
    rows = [_pair(view, pair, scale) for pair in given]
    body: list[Child] = [table("Pairs of contenders", head, rows[:SHOWN], class_="figures pairs")]
    if rest := rows[SHOWN:]:
        body.append(
            more(f"{len(rest)} more pairs", table("More pairs of contenders", head, rest, class_="figures pairs"))
        )
    corrected = f", corrected for all {len(given)} pairs after Holm," if len(given) > 1 else ""
    explained = (
        "The first minus the second, on the same rows; the dashed line is no difference. Two contenders count as"
        f" different where p{corrected} is below {1 - (known(view.part('protocol').get('level')) or 0.95):.2g}."
        " Rows needed: how many test rows would show a difference as large as this one."
    )
    return section("pairs", "Who differs from whom", explained, *body, wide=True)
