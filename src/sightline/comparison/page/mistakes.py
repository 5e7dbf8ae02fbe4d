"""The sections on what contenders get wrong: which classes they mix up, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.comparison.figures import count, known, percent, tick
from sightline.comparison.page.charts import MOST_DOTS, Frame, reliability, scatter
from sightline.comparison.page.scales import Scale, tight
from sightline.comparison.page.view import View
from sightline.pages.markup import Child, Html, brief, joined, more, section, table, tag

MOST_CLASSES = 12  # of a grid; with more, the most confused pairs are listed
MOST_PAIRS = 10
LABEL = 28  # characters of a class's name in a grid
OPEN = 4  # contenders whose pictures are open; the rest is folded away
SHADES = 10  # of a matrix's cells, in the style sheet


def _shade(number: float, row: float, right: bool) -> str:
    share = number / row if row else 0.0
    return f"{'right' if right else 'wrong'} shade-{round(share * SHADES)}"


def _grid(labels: Sequence[str], matrix: Sequence[Sequence[float]], caption: str) -> Html:
    """A confusion matrix: a row for each true class, a column for each answer."""
    corner = tag("th", "answer →", tag("br"), "truth ↓", scope="col")
    top = tag("tr", corner, *(tag("th", brief(label, LABEL), scope="col") for label in labels))
    body = []
    for truth, row in enumerate(matrix):
        cells = [
            tag("td", count(number), class_=_shade(number, sum(row), truth == answer))
            for answer, number in enumerate(row)
        ]
        body.append(tag("tr", tag("th", brief(labels[truth], LABEL), scope="row"), *cells))
    whole = tag("table", tag("caption", caption), tag("thead", top), tag("tbody", *body), class_="matrix")
    return tag("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _confused(labels: Sequence[str], matrix: Sequence[Sequence[float]], caption: str) -> Html:
    """The most frequent mistakes, as pairs of classes."""
    wrong = [
        (number, truth, answer)
        for truth, row in enumerate(matrix)
        for answer, number in enumerate(row)
        if truth != answer and number > 0
    ]
    wrong.sort(key=lambda each: (-each[0], each[1], each[2]))
    names = [brief(label, 2 * LABEL) for label in labels]
    rows: list[list[Child]] = [
        [names[truth], names[answer], f"{count(number)} of {count(sum(matrix[truth]))}"]
        for number, truth, answer in wrong[:MOST_PAIRS]
    ]
    if not rows:
        return tag("p", "No mistakes.")
    return table(caption, ["Truth", "Answer", "Rows"], rows, class_="figures worded")


def _folded(figures: Sequence[Html], class_: str) -> Html:
    """The first few contenders' pictures, the rest for those who ask."""
    rest = figures[OPEN:]
    folded = more(f"{len(rest)} more contenders", tag("div", *rest, class_=class_)) if rest else None
    return joined(tag("div", *figures[:OPEN], class_=class_), folded)


def confusion(view: View) -> Html | None:
    """Which classes each contender takes for which."""
    labels = [str(label) for label in view.part("data").get("labels") or []]
    few = len(labels) <= MOST_CLASSES
    drawn = []
    for each in view.ranked:
        matrix = each.get("confusion")
        if matrix and len(matrix) == len(labels):
            caption = f"{'Answers' if few else 'Most confused classes'} of {each.get('name')}"
            body = _grid(labels, matrix, caption) if few else _confused(labels, matrix, caption)
            drawn.append(tag("figure", tag("figcaption", view.who(each.get("name"))), body))
    if not drawn:
        return None
    explained = (
        "A row for each true class, a column for each answer; the majority of the seeds' answers counts. On the"
        " diagonal is what was right."
        if few
        else f"Of {len(labels)} classes, the ten pairs that each contender takes for one another most often."
    )
    return section("confusion", "What is taken for what", explained, _folded(drawn, "many"), wide=True)


def _square(scale: Scale) -> Frame:
    return Frame(across=scale, up=scale, width=250.0, height=250.0)


def calibration(view: View) -> Html | None:
    """Whether a contender that is 80% sure is right 80% of the time."""
    figures = []
    frame = _square(Scale(low=0.0, high=1.0, ticks=(0.0, 0.5, 1.0)))
    for each in view.ranked:
        bins = [
            bin for bin in each.get("calibration") or [] if known(bin.get("confidence")) is not None and bin.get("rows")
        ]
        if not bins:
            continue
        error = percent(each.get("calibration_error"))
        points = [(known(bin["confidence"]) or 0.0, known(bin.get("correct")) or 0.0, int(bin["rows"])) for bin in bins]
        said = f"How often {each.get('name')} is right against how sure it is; calibration error {error}"
        drawn = reliability(frame, said, view.places[str(each.get("name"))], points)
        rows: list[list[Child]] = [
            [
                f"{percent(bin.get('low'))} to {percent(bin.get('high'))}",
                count(bin["rows"]),
                percent(bin["confidence"]),
                percent(bin.get("correct")),
            ]
            for bin in bins
        ]
        numbers = table(
            f"Calibration of {each.get('name')}", ["How sure", "Rows", "Mean", "Right"], rows, class_="figures"
        )
        caption = tag("figcaption", view.who(each.get("name")), tag("small", f"error {error}"))
        figures.append(tag("figure", caption, drawn, more("Numbers", numbers)))
    if not figures:
        return None
    explained = (
        "Across: how sure a contender said it was; up: how often it was right. On the dashed line it is as sure as it"
        " should be, below it is too sure. Larger dots stand for more rows."
    )
    return section("calibration", "Calibration", explained, _folded(figures, "small-plots"), wide=True)


def scatters(view: View) -> Html | None:
    """Truth against prediction, for numbers."""
    dots = {}
    for each in view.ranked:
        pairs = [(known(point[0]), known(point[1])) for point in each.get("scatter") or [] if len(point) == 2]
        dots[str(each.get("name"))] = [
            (truth, value) for truth, value in pairs if truth is not None and value is not None
        ]
    everything = [value for points in dots.values() for point in points for value in point]
    if not everything:
        return None
    frame = _square(tight(everything))
    figures = []
    for name, points in dots.items():
        if points:
            said = f"Prediction of {name} against the truth, {len(points)} rows"
            drawn = scatter(frame, said, view.places[name], points, tick)
            figures.append(tag("figure", tag("figcaption", view.who(name)), drawn))
    most = max(len(points) for points in dots.values())
    some = f" Of {count(most)} rows, about {MOST_DOTS} are drawn, evenly taken." if most > MOST_DOTS else ""
    explained = f"Each dot is a test row. On the dashed line the prediction is the truth.{some}"
    return section("scatter", "Predictions", explained, _folded(figures, "small-plots"), wide=True)
