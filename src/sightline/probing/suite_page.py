"""The report of a test suite: every assert with what it checked and found, and the matrices."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.pages.markup import Child, Html, facts, isolated, joined, section, table, tag
from sightline.probing.audit_page import STYLE, figure_of
from sightline.probing.draw_page import page
from sightline.probing.report import SIGNS
from sightline.probing.suite import Checked


def verdict(checked: Sequence[Checked]) -> str:
    """What was found, in a sentence."""
    failed = sum(not each.ok for each in checked)
    if not checked:
        return "No test asserted anything of a model."
    if not failed:
        return f"All {len(checked)} asserts hold." if len(checked) > 1 else "The one assert holds."
    return f"{failed} of {len(checked)} asserts fail{'s' * (failed == 1)}."


def _one(number: int, checked: Checked) -> Html:
    rows: list[list[Child]] = []
    for check in checked.checks:
        cause = tag("span", f"Likely: {check.cause}.", class_="cause") if check.cause else None
        rows.append([check.name, f"{SIGNS[check.status]} {check.status}", joined(isolated(check.detail), cause)])
    head: list[Child] = ["check", "status", "what was found"]
    title = f"{checked.claim}: {'holds' if checked.ok else 'fails'}"
    telling = [check for check in checked.checks if check.status == "failed"] or list(checked.checks)[-1:]
    figures = [figure_of(check, f"matrix-{number}-{index}") for index, check in enumerate(telling)]
    about = f"{checked.model}{', in ' + checked.where if checked.where else ''}"
    return section(
        f"assert-{number}", title, about, table(title, head, rows, class_="checks"), *filter(None, figures), wide=True
    )


def render(checked: Sequence[Checked]) -> str:
    """The whole page, self-contained; what fails comes first."""
    ordered = sorted(checked, key=lambda each: each.ok)
    failed = sum(not each.ok for each in checked)
    counts: list[Child] = [joined(tag("b", str(failed))), joined(tag("b", str(len(checked) - failed)))]
    return page(
        verdict(checked),
        *(_one(number, each) for number, each in enumerate(ordered)),
        over="tests models",
        facts=facts(("fail", counts[0]), ("hold", counts[1])),
        contents=[
            (f"assert-{number}", f"{each.claim}, {each.where.rpartition('::')[2] or each.model}")
            for number, each in enumerate(ordered)
        ],
        styles=[STYLE],
    )
