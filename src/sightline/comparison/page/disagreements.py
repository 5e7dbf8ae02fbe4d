"""The section to read: rows that contenders answer differently, with their texts, the truth and each one's answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.comparison.figures import MISSING, Record, count, decimal, known, percent, significant
from sightline.comparison.page.view import View
from sightline.pages.markup import Child, Html, clean, facts, isolated, joined, listed, more, section, tag

OPEN_ROWS, MOST_ROWS = 10, 30  # shown openly, and in all
MOST_SIGNS = 700  # of one text


def _quoted(text: object) -> Html:
    """A text to be read, in its own direction; a long one is cut."""
    words = clean(text)
    if not words.strip():
        return tag("p", "(empty)", class_="cut")
    rest = len(words) - MOST_SIGNS
    cut = tag("p", f"… and {count(rest)} more characters", class_="cut") if rest > 0 else None
    return joined(tag("p", words[:MOST_SIGNS], dir="auto", class_="quoted"), cut)


def _answers(view: View, row: Record) -> Html:
    """For classes: each answer, whether it is right, and who gave it."""
    predictions: Mapping[str, Any] = row.get("predictions") or {}
    sure: Mapping[str, Any] = row.get("probabilities") or {}
    order = [str(each.get("name")) for each in view.ranked if str(each.get("name")) in predictions]
    truth = str(row.get("truth"))
    given = list(dict.fromkeys(str(predictions[name]) for name in order))
    given.sort(key=lambda answer: answer != truth)
    groups = []
    for answer in given:
        names = [
            joined(view.who(name), None if known(sure.get(name)) is None else tag("small", percent(sure.get(name))))
            for name in order
            if str(predictions[name]) == answer
        ]
        right = answer == truth
        verdict = tag("span", "✓ right" if right else "✗ wrong", class_="yes" if right else "no")
        groups.append(
            tag("div", tag("div", verdict, " ", isolated(answer), class_="answer"), listed(*names, class_="names"))
        )
    return tag("div", *groups, class_="answers")


def _numbers(view: View, row: Record) -> Html:
    """For numbers: each prediction, the nearest to the truth first."""
    predictions: Mapping[str, Any] = row.get("predictions") or {}
    truth = known(row.get("truth"))

    def miss(name: str) -> float:
        value = known(predictions[name])
        return float("inf") if value is None or truth is None else abs(value - truth)

    order = sorted((str(each.get("name")) for each in view.ranked if str(each.get("name")) in predictions), key=miss)
    names = [joined(view.who(name), tag("small", decimal(predictions[name]))) for name in order]
    return tag("div", listed(*names, class_="names"), class_="answers")


def disagreements(view: View) -> Html | None:
    """Rows that contenders answer differently, to be read."""
    given = view.rows("disagreements")
    if not given:
        return None
    cards = []
    for row in given[:MOST_ROWS]:
        texts = [_quoted(row.get("text"))]
        if row.get("pair") is not None:
            texts.append(_quoted(row.get("pair")))
        truth = isolated(row.get("truth")) if view.kind == "classes" else significant(row.get("truth"))
        head = facts(("row", count(row.get("row"))), ("truth", truth if row.get("truth") is not None else MISSING))
        answers = _answers(view, row) if view.kind == "classes" else _numbers(view, row)
        cards.append(joined(head, *texts, answers))
    kept = view.results.get("predictions")
    where = joined(" All predictions are in ", tag("code", str(kept)), ".") if kept else None
    rest = len(given) - len(cards)
    folded, are = cards[OPEN_ROWS:], "is" if rest == 1 else "are"
    body: list[Child] = [
        listed(*cards[:OPEN_ROWS], class_="cards", kind="ol"),
        more(f"{len(folded)} more row{'s' * (len(folded) != 1)}", listed(*folded, class_="cards", kind="ol"))
        if folded
        else None,
        tag(
            "p",
            tag("b", f"{count(rest)} more row{'s' * (rest != 1)}"),
            f" {are} not shown here.",
            where,
            class_="after",
        )
        if rest
        else None,
    ]
    explained = joined(
        "Test rows that contenders answer differently, with how sure each one was."
        if view.kind == "classes"
        else "Test rows whose predictions lie far apart, each contender with its own.",
        None if rest else where,
    )
    return section("disagreements", "Where they disagree", explained, *body, wide=True)
