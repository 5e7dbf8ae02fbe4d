"""The sections on how the comparison was made: what was held equal, what was assumed, the rows, the protocol."""

from __future__ import annotations

from sightline.comparison.figures import MISSING, Record, count, duration, known, percent, setting, significant
from sightline.comparison.page.view import View
from sightline.pages.markup import (
    NOTHING,
    Child,
    Html,
    facts,
    isolated,
    joined,
    listed,
    more,
    section,
    table,
    tag,
)

MOST_COUNTS = 12  # classes whose rows are shown; the rest is folded away


def fairness(view: View) -> Html | None:
    """What was the same for all, and what was decided without being asked."""
    held = [isolated(text) for text in view.rows("held_equal")]
    assumed = [isolated(text) for text in view.rows("assumed")]
    if not held and not assumed:
        return None
    explained = "A difference means something only where everything else is the same."
    body: list[Child] = []
    for title, sentences in (("Held equal", held), ("Assumed", assumed)):
        if sentences:
            body += [tag("h3", title), listed(*sentences, class_="sentences")]
    return section("fairness", "What was held equal, and what was assumed", explained, *body)


def _counts(counts: Record) -> Html:
    """How many rows each class has, the largest first."""
    ranked = sorted(((known(number) or 0.0, str(label)) for label, number in counts.items()), key=lambda pair: -pair[0])
    whole, most = sum(number for number, _ in ranked) or 1.0, max((number for number, _ in ranked), default=1.0) or 1.0
    bars = [
        joined(
            tag("span", isolated(label), class_="class"),
            tag(
                "svg", tag("rect", width=f"{100 * number / most:.2f}%", height="100%"), class_="bar", aria_hidden="true"
            ),
            tag("span", f"{count(number)} ", tag("small", percent(number / whole)), class_="value"),
        )
        for number, label in ranked
    ]
    folded = more(f"{len(bars) - MOST_COUNTS} more classes", listed(*bars[MOST_COUNTS:], class_="bars"))
    rest = folded if len(bars) > MOST_COUNTS else NOTHING
    return joined(tag("h3", f"{count(len(bars))} classes"), listed(*bars[:MOST_COUNTS], class_="bars"), rest)


def rows(view: View) -> Html:
    """The file, its columns, its rows and its classes."""
    data = view.part("data")
    number, words = data.get("rows") or {}, data.get("words") or {}
    columns = joined(*(tag("code", str(name)) for name in data.get("text") or []), between=" and ")
    said: list[tuple[str, Child]] = [
        ("file", isolated(data.get("file") or MISSING)),
        ("texts from", columns),
        ("labels from", tag("code", str(data.get("label") or MISSING))),
        ("rows read", count(number.get("read"))),
    ]
    if number.get("sampled_from") is not None:
        said.append(("sampled from", f"{count(number['sampled_from'])} rows"))
    said += [
        ("left out", joined(*_left_out(number), between=", ")),
        ("learned from", f"{count(number.get('train'))} rows"),
        ("chosen on (dev)", f"{count(number.get('dev'))} rows"),
        ("judged on (test)", f"{count(number.get('test'))} rows"),
    ]
    if words:
        said.append(
            (
                "words in a text",
                f"{setting(words.get('median'))} in the median, 95% have at most {setting(words.get('p95'))}",
            )
        )
    counts = data.get("counts")
    body = joined(facts(*said), _counts(counts) if counts else NOTHING)
    return section(
        "rows", "The rows", "What was read, and how it was split. The test rows were used once, at the end.", body
    )


def _left_out(number: Record) -> list[str]:
    names = (("empty", "empty"), ("unlabelled", "without a label"), ("duplicates", "duplicates"))
    left = [f"{count(number.get(key))} {name}" for key, name in names if known(number.get(key))]
    conflicting = known(number.get("conflicting"))
    kept = [f"kept {count(conflicting)} whose text has another label elsewhere"] if conflicting else []
    return [*(left or ["none"]), *kept]


def _settings(settings: object) -> str:
    if not isinstance(settings, dict) or not settings:
        return MISSING
    return ", ".join(f"{str(key).replace('_', ' ')} {setting(value)}" for key, value in settings.items())


def _tries(view: View) -> Html | None:
    """What was tried for each contender, and what was chosen."""
    lines: list[list[Child]] = []
    for each in view.ranked:
        for attempt in each.get("tries") or []:
            chosen = attempt.get("settings") == each.get("settings")
            score = view.score.value((attempt.get("dev") or {}).get(view.score.key))
            lines.append(
                [
                    view.who(each.get("name")),
                    _settings(attempt.get("settings")),
                    tag("b", score) if chosen else score,
                    significant(attempt.get("seconds")),
                    tag("b", "chosen") if chosen else isolated(attempt["error"]) if attempt.get("error") else "",
                ]
            )
    if not lines:
        return None
    head: list[Child] = ["Contender", "Settings", f"{view.score.name} on dev", "Seconds", "Chosen"]
    return table("Settings that were tried", head, lines, class_="figures worded")


def _seeds(view: View) -> Html | None:
    """The score of each seed on the test rows."""
    numbers = sorted({seed.get("seed") for each in view.ranked for seed in each.get("seeds") or []}, key=str)
    if len(numbers) < 2:
        return None
    lines: list[list[Child]] = []
    for each in view.ranked:
        by = {seed.get("seed"): seed for seed in each.get("seeds") or []}
        lines.append(
            [view.who(each.get("name")), *(view.score.value(by.get(n, {}).get(view.score.key)) for n in numbers)]
        )
    head: list[Child] = ["Contender", *(f"seed {number}" for number in numbers)]
    return table(f"{view.score.name} of each seed on the test rows", head, lines, class_="figures")


def protocol(view: View) -> Html:
    """The rules that every contender ran under, and what each of them tried."""
    given = view.part("protocol")
    budget = known(given.get("budget_minutes"))
    learning: list[tuple[str, Child]] = [
        ("passes over the rows", count(given.get("passes"))),
        ("learning rates", ", ".join(setting(rate) for rate in given.get("learning_rates") or []) or MISSING),
        ("rows in a step", count(given.get("batch_rows"))),
    ]
    said: list[tuple[str, Child]] = [
        ("chosen by", f"{view.score.name} on dev"),
        ("seeds", count(given.get("seeds"))),
        *(learning if any(each.get("kind") == "network" for each in view.ranked) else []),
        ("precision", isolated(given.get("precision") or MISSING)),
        ("budget", "none" if budget is None else f"{budget:g} minute{'s' * (budget != 1)}"),
        ("intervals", view.level),
    ]
    body: list[Child] = [facts(*said)]
    for title, shown in (("Settings that were tried", _tries(view)), ("Seeds", _seeds(view))):
        if shown is not None:
            body += [tag("h3", title), shown]
    explained = "The same effort for each contender: as many tries, chosen on dev, then one training run for each seed."
    return section("protocol", "Protocol", explained, *body)


def again(view: View) -> Html:
    """The machine, and the command that repeats the comparison."""
    given, results = view.part("protocol"), view.results
    threads = known(given.get("threads"))
    at_once = None if threads is None else f", {threads:.0f} thread{'s' * (threads != 1)}"
    device = joined(isolated(given.get("device") or MISSING), at_once)
    said: list[tuple[str, Child]] = [
        ("machine", isolated(given.get("machine") or MISSING)),
        ("device", device),
        ("started", isolated(results.get("started") or MISSING)),
        ("took", duration(results.get("seconds"))),
        ("Sightline", isolated(results.get("sightline") or MISSING)),
        ("folder", isolated(results.get("folder") or MISSING)),
    ]
    if results.get("model"):
        said.append(("model for sightline classify", tag("code", str(results["model"]))))
    command = tag("pre", tag("code", str(results.get("command") or MISSING)), tabindex="0", aria_label="command line")
    explained = "Times are this machine's; on another one they differ, and scores may in the last digit."
    return section("again", "To repeat it", explained, command, facts(*said))
