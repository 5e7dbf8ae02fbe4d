"""The results as a plain table for a terminal or a pipe: a line a contender, the best on the test rows first."""

from __future__ import annotations

from unicodedata import east_asian_width

from sightline.comparison.figures import MISSING, Record, count, failures, finished, percent, score_of, significant
from sightline.pages.markup import shortened

LONGEST = 60  # signs of a name or a reason; of what is longer the middle is left out


def _plain(text: object) -> str:
    """One line that a terminal can show: no control characters, not too long."""
    return shortened("".join(sign if sign.isprintable() else " " for sign in str(text)).strip(), LONGEST)


def _width(text: str) -> int:
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def table(results: Record) -> str:
    """`results` (the schema of results.json) as lines of text without a newline at the end.

    print(table(results))
    #           accuracy              macro-F1  train s  ms/row  parameters
    # encoder      88.0%  81.6 to 94.4%  87.6%     31.0    2.10   3,312,642
    # my-bert   failed: out of memory
    """
    score = score_of(results)
    second = ("macro-F1", "macro_f1", percent) if score.key == "accuracy" else ("Spearman", "spearman", score.value)
    head = ["", score.name, "interval", second[0], "train s", "ms/row", "parameters"]
    rows = [
        [
            _plain(each.get("name")),
            score.value(each.get(score.key)),
            score.interval(each),
            second[2](each.get(second[1])),
            significant(each.get("train_seconds")),
            significant(each.get("ms_per_row")),
            count(each.get("parameters")),
        ]
        for each in finished(results)
    ]
    failed = [
        (_plain(each.get("name")), f"failed: {_plain(each.get('error') or MISSING)}") for each in failures(results)
    ]
    lines = [head, *rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(head))]
    widths[0] = max([widths[0], *(_width(name) for name, _ in failed)])

    def padded(text: str, width: int) -> str:
        return text + " " * (width - _width(text))

    shown = [
        "  ".join(
            [
                padded(line[0], widths[0]),
                *(f"{text:>{width}}" for text, width in zip(line[1:], widths[1:], strict=True)),
            ]
        )
        for line in lines
    ]
    return "\n".join([*shown, *(f"{padded(name, widths[0])}  {why}" for name, why in failed)])
