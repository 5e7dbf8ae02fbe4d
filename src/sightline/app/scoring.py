"""What `sightline score` does: answers on stdout as texts come, under a heading that says what the numbers are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.app import talk
from sightline.app.classifying import SHOWN, plain
from sightline.app.texts import Some, lines_as_they_come, rows_of
from sightline.errors import InputError
from sightline.text.labelled_rows import blank
from sightline.text.records import DELIMITED, JSON_LINES

if TYPE_CHECKING:
    from sightline.model.model import Model
    from sightline.tasks.scorer import Scorer
    from sightline.tasks.scores import Score

_FILES = (".txt", ".parquet", *DELIMITED, *JSON_LINES)


def source_of(text: str | None, column: str | None) -> Iterator[Some]:
    """The texts of the argument, some at a time: a file's, standard input's, or itself."""
    if text is None and (sys.stdin is None or sys.stdin.isatty()):
        raise InputError("there is no text; give it, or a file, after the model, or pipe it in")
    if text is None or text == "-":
        return rows_of("-", (column,), None) if column else lines_as_they_come()
    is_name = len(text.split()) == 1 and Path(text).suffix.lower() in _FILES
    if column is not None or is_name or os.path.isfile(text):
        return rows_of(text, None if column is None else (column,), None)
    return iter([[(text,)]])


def _line(score: Score) -> str:
    """Sum, tokens, bits of a byte, (pseudo-)perplexity and the text, parted by tabs."""
    rates = score.rates
    each = rates.perplexity() if score.kind == "log-likelihood" else rates.pseudo_perplexity()
    return f"{score.total:.4f}\t{rates.tokens}\t{rates.per('byte', bits=True):.4f}\t{each:.5g}\t{_shown(score.text)}"


def _shown(text: str) -> str:
    flat = plain(text)
    return flat if len(flat) <= SHOWN else flat[: SHOWN - 1] + "…"


def _token_lines(score: Score) -> list[str]:
    return [
        f"\t{'none' if value is None else format(value, '.4f')}\t{token!r}"
        for token, value in zip(score.tokens, score.log_probs, strict=True)
    ]


def _answers(by: Scorer, some: Some, before: int) -> Iterator[tuple[int, str, Score | None]]:
    """Number, text and score of each row; none for an empty text."""
    from sightline.tasks.score import score_some

    texts = [row[0] for row in some]
    full = [text for text in texts if not blank(text)]
    scores = iter(score_some(by, full, before).rows if full else ())
    for number, text in enumerate(texts, start=before + 1):
        yield number, text, None if blank(text) else next(scores)


def _print(by: Scorer, some: Some, before: int, *, tokens: bool, json: bool) -> int:
    """The answers to some rows; how many of them went in windows."""
    lines, long = [], 0
    for number, text, score in _answers(by, some, before):
        long += score is not None and len(score.ids) > by.windows.room
        if json:
            lines.append(talk.as_json({"row": number, **({"text": text} if score is None else score.record())}))
        elif score is None:
            lines.append("\t\t\t\t")
        else:
            lines += [_line(score), *(_token_lines(score) if tokens else [])]
    talk.answer("\n".join(lines))
    return long


def score_rows(model: Model, source: Iterator[Some], settings: Mapping[str, Any], *, tokens: bool, json: bool) -> None:
    """Score the texts of a source; see the verb."""
    from sightline.tasks.scorer import scorer
    from sightline.tasks.scores import PERPLEXITIES

    by = scorer(model, **settings)
    rows = long = 0
    for some in source:
        if not rows and not json:
            talk.answer(f"{by.kind}\ttokens\tbits per byte\t{PERPLEXITIES[by.kind]}\ttext")
        long += _print(by, some, rows, tokens=tokens, json=json)
        rows += len(some)
    if not rows:
        raise InputError("there are no texts; give at least one")
    talk.say(f"{rows} text{'' if rows == 1 else 's'}: {by.how}")
    if long:
        talk.say(f"note: {long} longer than {by.windows.room} tokens went in windows, one every {by.windows.stride}")
