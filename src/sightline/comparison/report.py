"""The report of a comparison: results in, one self-contained HTML page out, the verdict first.

The page loads nothing and runs nothing: no script, no font, no picture from anywhere, and a policy in its head that
forbids them. Everything that comes from the results is escaped. The same results give the same bytes.
"""

from __future__ import annotations

import re
from typing import Any

from sightline.comparison.figures import MISSING, count
from sightline.comparison.page.disagreements import disagreements
from sightline.comparison.page.mistakes import calibration, confusion, scatters
from sightline.comparison.page.pairs import pairs
from sightline.comparison.page.run import again, fairness, protocol, rows
from sightline.comparison.page.scores import costs, key_facts, metrics, scores
from sightline.comparison.page.view import View, view
from sightline.pages.markup import Html, clean, isolated, listed, shortened, tag
from sightline.pages.shell import document, resource

CONTENTS = {
    "score": "Scores",
    "numbers": "All numbers",
    "cost": "Cost",
    "pairs": "Differences",
    "confusion": "Mistakes",
    "scatter": "Predictions",
    "calibration": "Calibration",
    "disagreements": "Disagreements",
    "fairness": "What was held equal",
    "rows": "Rows",
    "protocol": "Protocol",
    "again": "To repeat it",
}
LONG = 110  # characters of a heading that is set smaller
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])")


def _file(page: View) -> str:
    """The file's name without its folder."""
    return re.split(r"[/\\]", str(page.part("data").get("file") or MISSING))[-1]


def _verdict(page: View) -> Html:
    """The verdict's first sentence as the page's heading, what follows as a paragraph."""
    said = clean(page.results.get("verdict") or "There is no verdict.")
    first, *others = SENTENCE.split(said, maxsplit=1)
    all_in_all = len(page.ranked) + len(page.failed)
    failed = f" ({count(len(page.failed))} failed)" if page.failed else ""
    how = f" compared {count(all_in_all)} contenders{failed} on "
    over = tag("p", tag("b", "Sightline"), how, isolated(_file(page)), class_="over")
    lead = tag("p", isolated(others[0]), class_="lead") if others else None
    return tag(
        "header",
        over,
        tag("h1", isolated(first), class_="long" if len(first) > LONG else None),
        lead,
        key_facts(page),
    )


def _contents(names: list[str]) -> Html:
    links = [tag("a", CONTENTS[name], href=f"#{name}") for name in names]
    return tag("nav", listed(*links), aria_label="Contents")


def render(results: dict[str, Any]) -> str:
    """The report of `results` (the schema of results.json) as one HTML file. Missing numbers are shown as a dash.

    Path("report.html").write_text(render(results), encoding="utf-8")
    """
    page = view(results)
    drawn = {
        "score": scores(page),
        "numbers": metrics(page) if page.ranked else None,
        "cost": costs(page),
        "pairs": pairs(page),
        "confusion": confusion(page),
        "scatter": scatters(page),
        "calibration": calibration(page),
        "disagreements": disagreements(page),
        "fairness": fairness(page),
        "rows": rows(page),
        "protocol": protocol(page),
        "again": again(page),
    }
    shown = {name: each for name, each in drawn.items() if each is not None}
    skip = tag("a", "To the scores", href="#score", class_="skip")
    main = tag("main", _verdict(page), _contents(list(shown)), *shown.values())
    foot = tag("footer", tag("p", "Made by Sightline ", isolated(results.get("sightline") or ""), "."))
    return document(
        f"{shortened(_file(page), 60)} · Sightline",
        *(skip, main, foot),
        generator=f"Sightline {results.get('sightline') or ''}".strip(),
        styles=[resource("sightline.comparison.page", "style.css")],
    )
