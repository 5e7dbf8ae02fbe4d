"""The sections on how good each contender is and what that costs."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.comparison.figures import (
    COST,
    MAJORITY,
    MISSING,
    QUALITY,
    Column,
    Record,
    count,
    known,
    significant,
    tick,
)
from sightline.comparison.page.charts import Frame, Point, against, axis, strip
from sightline.comparison.page.scales import Scale, linear, logarithmic
from sightline.comparison.page.view import View
from sightline.pages.markup import Child, Html, facts, isolated, joined, listed, section, table, tag


def _limits(view: View) -> tuple[float, float]:
    return (0.0, 1.0) if view.kind == "classes" else (-1.0, 1.0)


def _write(view: View, value: float) -> str:
    return f"{tick(round(100 * value, 9))}%" if view.kind == "classes" else tick(value)


def _seeds(view: View, contender: Record) -> list[float]:
    """The score of each seed, where there is more than one and they have a mean."""
    scores = [known(seed.get(view.score.key)) for seed in contender.get("seeds") or []]
    several = len(scores) > 1 and view.value(contender) is not None
    return [score for score in scores if score is not None] if several else []


def _axis(view: View, contenders: Sequence[Record], steps: int) -> Scale:
    values = [value for each in contenders for value in (view.value(each), *view.interval(each), *_seeds(view, each))]
    return linear([value for value in values if value is not None], within=_limits(view), steps=steps)


def _said(view: View, contender: Record) -> str:
    value, interval = view.score.value(contender.get(view.score.key)), view.score.interval(contender)
    between = "" if interval == MISSING else f", between {interval.replace(' to ', ' and ')}"
    return f"{contender.get('name')}: {view.score.name} {value}{between}"


def _contender(view: View, contender: Record, scale: Scale) -> Html:
    drawn = strip(
        scale,
        _said(view, contender),
        view.places[str(contender.get("name"))],
        view.value(contender),
        view.interval(contender),
        seeds=_seeds(view, contender),
        reference=view.reference,
    )
    interval = view.score.interval(contender)
    value = tag("strong", view.score.value(contender.get(view.score.key)))
    marks = [text for text, true in (("winner", contender.get("name") == view.results.get("winner")),) if true]
    name = joined(view.who(contender.get("name"), whole=True), *(tag("em", mark, class_="badge") for mark in marks))
    method = joined(
        isolated(contender.get("method") or ""), "; from random weights" if contender.get("random") is True else None
    )
    return joined(
        tag("div", tag("div", name, class_="name"), tag("div", method, class_="method"), class_="about"),
        tag("div", drawn, class_="drawn"),
        tag("div", value, " ", None if interval == MISSING else tag("span", interval), class_="value"),
    )


def scores(view: View) -> Html:
    """Each contender's score with its interval; those that failed with their reason."""
    scale = _axis(view, view.ranked, 5)
    rows = [_contender(view, each, scale) for each in view.ranked]
    chart: list[Child] = []
    if rows:
        chart = [
            listed(*rows, class_="strips", kind="ol"),
            tag("div", axis(scale, lambda value: _write(view, value)), class_="strips-axis"),
        ]
    failed = [
        joined(
            tag("div", view.who(each.get("name"), whole=True), tag("em", "failed", class_="badge bad"), class_="name"),
            tag("div", isolated(each.get("method") or ""), class_="method"),
            tag("p", isolated(each.get("error") or "no reason was given"), class_="reason"),
        )
        for each in view.failed
    ]
    reference = "" if view.reference is None else " The dashed line is the majority: what is reached without reading."
    seeds = known(view.part("protocol").get("seeds")) or 1
    over = ", over rows and seeds" if seeds > 1 else ""
    ticks = f" Each fine tick is one of {seeds:.0f} seeds." if seeds > 1 else ""
    bars = f"On {count(view.test_rows)} test rows. A bar spans the {view.level} interval{over}."
    explained = f"{bars}{ticks}{reference}" if rows else "No contender came to its end; here is why."
    title = f"{view.score.name[0].upper()}{view.score.name[1:]}"
    return section("score", title, explained, *chart, listed(*failed, class_="failed"), wide=True)


def _best(column: Column, contenders: tuple[Record, ...]) -> str | None:
    """The best value of a column as it is written; None where there is no other."""
    counted = [each for each in contenders if not (column.trivial and each.get("name") == MAJORITY)]
    values = [value for each in counted if (value := known(each.get(column.key))) is not None]
    if len(values) < 2:
        return None
    return column.text(max(values) if column.best == "highest" else min(values))


def _cell(view: View, column: Column, contender: Record, best: str | None) -> Child:
    text = column.text(contender.get(column.key))
    trivial = column.trivial and contender.get("name") == MAJORITY
    value: Child = tag("b", text) if text == best and not trivial else text
    below = None
    if column.key == view.score.key and view.score.interval(contender) != MISSING:
        below = view.score.interval(contender)
    if column.key == "ms_per_row" and known(contender.get("ms_per_row_p95")) is not None:
        below = f"95%: {significant(contender.get('ms_per_row_p95'))}"
    return joined(value, None if below is None else tag("small", below))


def metrics(view: View) -> Html:
    """All numbers of all contenders."""
    columns = (*QUALITY[view.kind], *COST)
    best = {column.key: _best(column, view.ranked) for column in columns}
    rows: list[list[Child]] = [
        [view.who(each.get("name")), *(_cell(view, column, each, best[column.key]) for column in columns)]
        for each in view.ranked
    ]
    for each in view.failed:
        rows.append([view.who(each.get("name")), *([MISSING] * len(columns))])
    explained = (
        "Measured on the test rows, means over the seeds. Bold: the best of a column; where being best takes no"
        " reading at all, the majority does not count. ms a row: the median of single rows, below it what 95% of them"
        " stay under."
    )
    titles = [tag("span", column.title, class_="whole" if len(column.title) < 12 else None) for column in columns]
    head: list[Child] = ["Contender", *titles]
    return section("numbers", "All numbers", explained, table("All numbers", head, rows, class_="figures"), wide=True)


def _cost(view: View, key: str, title: str) -> Html | None:
    """Score against one cost, on a logarithmic axis. The majority has none: it is a line, where it is not far below."""
    points = []
    for each in view.ranked:
        cost, value = known(each.get(key)), view.value(each)
        if cost is not None and cost > 0 and value is not None and each.get("name") != MAJORITY:
            name = str(each.get("name"))
            low, high = view.interval(each)
            said = f"{_said(view, each)}; {title}: {significant(cost)}"
            points.append(Point(place=view.places[name], name=name, said=said, x=cost, y=value, low=low, high=high))
    if not points:
        return None
    up = _axis(view, [each for each in view.ranked if each.get("name") != MAJORITY], 4)
    frame = Frame(across=logarithmic(point.x for point in points), up=up, width=420.0, height=310.0)
    return against(
        frame,
        f"{view.score.name} against {title}. " + ". ".join(point.said for point in points),
        points,
        titles=(title, view.score.name),
        write=(tick, lambda value: _write(view, value)),
        reference=view.reference if view.reference is not None and view.reference >= up.low else None,
    )


def costs(view: View) -> Html | None:
    """What a better score costs, in training and in use."""
    plots = [_cost(view, "train_seconds", "seconds of training"), _cost(view, "ms_per_row", "milliseconds a row")]
    drawn = [tag("figure", plot) for plot in plots if plot is not None]
    if not drawn:
        return None
    shown = [view.who(each.get("name")) for each in view.ranked if each.get("name") != MAJORITY]
    dashed = "" if view.reference is None else " A dashed line is the majority."
    explained = f"Better is up, cheaper is left; each step to the right costs a multiple.{dashed}"
    body = [tag("div", *drawn, class_="two"), listed(*shown, class_="legend")]
    return section(
        "cost", f"{view.score.name[0].upper()}{view.score.name[1:]} against cost", explained, *body, wide=True
    )


def key_facts(view: View) -> Html:
    """The few numbers that belong right under the verdict."""
    said: list[tuple[str, Child]] = []
    named = {str(each.get("name")): each for each in view.ranked}
    for name, title in ((view.results.get("best"), "best on dev"), (view.results.get("runner_up"), "runner-up")):
        if (each := named.get(str(name))) is not None:
            interval = view.score.interval(each)
            small = None if interval == MISSING else tag("small", interval)
            said.append(
                (
                    f"{view.score.name}, {title}",
                    joined(tag("b", view.score.value(view.value(each))), small, view.who(name)),
                )
            )
    best = named.get(str(view.results.get("best")))
    if best is not None:
        train, row = known(best.get("train_seconds")), best.get("ms_per_row")
        spent = MISSING if train is None else f"{significant(train)} s"
        said.append(
            ("training of the best", joined(tag("b", spent), tag("small", f"{significant(row)} ms a row in use")))
        )
    learned = (view.part("data").get("rows") or {}).get("train")
    said.append(("test rows", joined(tag("b", count(view.test_rows)), tag("small", f"{count(learned)} to learn from"))))
    return facts(*said)
