"""Audit's page: the verdict, every check with what it found, and the matrices that show who sees whom."""

from __future__ import annotations

import torch

from sightline.pages.markup import Child, Html, facts, isolated, joined, listed, section, table, tag
from sightline.probing.draw import Matrix
from sightline.probing.draw_page import page
from sightline.probing.draw_svg import drawn
from sightline.probing.report import SIGNS, Check, Report, Status

STYLE = (
    "table.checks :is(td, th) { padding: 0.3rem 1.2rem 0.3rem 0; text-align: left; vertical-align: top; }"
    "table.checks :is(th, td:nth-child(2)) { overflow-wrap: break-word; }"  # no word of ours is cut in two
    "table.checks th, table.checks .cause { font-weight: 600; }"
    "table.checks .cause { display: block; margin-top: 0.2rem; }"
)
ORDER: tuple[Status, ...] = ("failed", "cannot tell", "passed", "not applicable")


def verdict(report: Report) -> str:
    """What was found, in a sentence."""
    failed = len(report.failed)
    if failed:
        return f"{failed} check{'s' * (failed != 1)} failed: {report.failed[0].cause or report.failed[0].name}."
    passed = sum(check.status == "passed" for check in report.checks)
    return f"Nothing found: {passed} checks passed."


def _checks(report: Report) -> Html:
    rows: list[list[Child]] = []
    for check in sorted(report.checks, key=lambda each: ORDER.index(each.status)):
        cause = tag("span", f"Likely: {check.cause}.", class_="cause") if check.cause else None
        said = f"{SIGNS[check.status]} {check.status}"
        rows.append([check.name, said, joined(isolated(check.detail), cause), f"{check.seconds:.2g}"])
    explained = (
        "A check passes or fails only by differences far from what rounding does. A cause is the likely bug class, told"
        " from which checks failed, where, and how strongly."
    )
    head: list[Child] = ["check", "status", "what was found", "seconds"]
    return section("checks", "Every check", explained, table("Every check", head, rows, class_="checks"), wide=True)


def figure_of(check: Check, name: str) -> Html | None:
    """The matrix that shows what a check found, under a name of its own on the page; None where it has none."""
    if check.matrix is None:
        return None
    texts = [str(place) for place in range(len(check.matrix))]
    expected = None if check.expected is None else torch.tensor(check.expected)
    matrix = Matrix(outputs=texts, inputs=texts, measured=torch.tensor(check.matrix), expected=expected)
    return drawn(matrix, name, f"{check.name} ({check.status})")


def render(report: Report) -> str:
    """The whole page, self-contained."""
    figures = [*filter(None, (figure_of(check, f"matrix-{at}") for at, check in enumerate(report.checks)))]
    seen = "Outputs are rows and inputs columns, by place, of the shortest random text that shows what was found."
    expected = report.expect or "nobody said who should see whom"
    how = [f"Expected: {expected} (said by the {report.said_by}).", *(f"{note}." for note in report.notes)]
    how.append(f"Random tokens of seed {report.seed}, at {', '.join(map(str, report.lengths))} tokens.")
    parts = {
        "seen": section("seen", "Who sees whom", seen, *figures, wide=True) if figures else None,
        "checks": _checks(report),
        "how": section("how", "How it was measured", "By behaviour alone.", listed(*(isolated(each) for each in how))),
    }
    titles = {"seen": "Who sees whom", "checks": "Every check", "how": "How it was measured"}
    shown = {name: part for name, part in parts.items() if part is not None}
    counts = [(status, sum(check.status == status for check in report.checks)) for status in ORDER]
    return page(
        verdict(report),
        *shown.values(),
        over=f"audits {report.model}",
        facts=facts(*((status, joined(tag("b", str(count)))) for status, count in counts)),
        contents=[(name, titles[name]) for name in shown],
        styles=[STYLE],
    )
