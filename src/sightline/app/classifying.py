"""What `sightline classify` does: answers on stdout as rows come, or in a file that appears when all are there."""

from __future__ import annotations

import csv
import io
import json as json_
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from sightline.app import talk
from sightline.app.texts import rows_of
from sightline.app.tune_request import MADE
from sightline.errors import InputError
from sightline.text.labelled_rows import blank

SUFFIXES = (".csv", ".jsonl", ".parquet")
SHOWN = 60  # characters of a text on stdout


def plain(text: str) -> str:
    """On one line, without signs that a terminal would obey."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the classifier says of one row: a class and the probability of each, or a number; of an empty text nothing.

    labels  of all classes; None where the answer is a number
    said    the probability of each class, or the number; None where the row has an empty text
    """

    row: int
    texts: tuple[str, ...]
    labels: tuple[str, ...] | None
    said: list[float] | float | None

    @property
    def probabilities(self) -> dict[str, float]:
        """The probability of each class; of an empty text, and for numbers, none."""
        return dict(zip(self.labels or (), self.said, strict=True)) if isinstance(self.said, list) else {}

    @property
    def label(self) -> str | None:
        """The likeliest class, where there is one."""
        shares = self.probabilities
        return max(shares, key=shares.__getitem__) if shares else None

    def line(self) -> str:
        """label, probability and the text, parted by tabs, on one line that a terminal can show."""
        text = " · ".join(map(plain, self.texts))
        shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
        if self.labels is None:
            return f"\t{shown}" if self.said is None else f"{self.said:.6g}\t{shown}"
        if (label := self.label) is None:
            return f"\t\t{shown}"
        return f"{plain(label)}\t{self.probabilities[label]:.4f}\t{shown}"

    def record(self) -> dict[str, Any]:
        """All of it, as JSON."""
        texts = dict(zip(("text", "pair"), self.texts, strict=False))
        if self.labels is None:
            return {"row": self.row, **texts, "value": self.said}
        return {"row": self.row, **texts, "label": self.label, "probabilities": self.probabilities or None}

    def fields(self) -> dict[str, Any]:
        """All of it, as one row of a table."""
        record, shares = self.record(), self.probabilities
        record.pop("probabilities", None)
        return {**record, **{f"probability_{label}": shares.get(label) for label in self.labels or ()}}


def _usual_columns(folder: str) -> tuple[str, ...] | None:
    """The columns that the classifier was taught on, where it says so."""
    from sightline.comparison.store import CHOSEN
    from sightline.weights.files import read_json

    made = next((path for name in (MADE, CHOSEN) if (path := Path(folder) / name).is_file()), None)
    if made is None:
        return None
    columns = read_json(made).get("columns")
    texts = columns.get("text") if isinstance(columns, dict) else None
    return tuple(map(str, texts)) if isinstance(texts, list) and texts else None


class _Classifying:
    """Rows on their way through a classifier, counted."""

    def __init__(self, classifier: Any, source: Iterator[list[tuple[str, ...]]]) -> None:
        self.classifier, self.source = classifier, source
        self.rows = self.cut = self.empty = 0
        self.counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[list[Answer]]:
        for some in self.source:
            yield self._some(some)
        if not self.rows:
            raise InputError("there are no rows; give at least one text")

    def _some(self, some: Sequence[tuple[str, ...]]) -> list[Answer]:
        labels = self.classifier.labels
        full = {number: row for number, row in enumerate(some, start=self.rows + 1) if not any(map(blank, row))}
        said = self._said(full) if full else {}
        answers = [
            Answer(row=number, texts=row, labels=labels, said=said.get(number))
            for number, row in enumerate(some, start=self.rows + 1)
        ]
        self.counts.update(answer.label for answer in answers if answer.label is not None)
        self.rows, self.empty = self.rows + len(some), self.empty + len(some) - len(full)
        return answers

    def _said(self, rows: dict[int, tuple[str, ...]]) -> dict[int, Any]:
        """What the classifier says of rows that are not empty, by their numbers."""
        from sightline.tasks.classify import predictions

        texts = [row[0] for row in rows.values()]
        pairs = [row[1] for row in rows.values()] if all(len(row) == 2 for row in rows.values()) else None
        found = predictions(self.classifier, texts, pairs, list(rows))
        self.cut += found.cut
        return dict(zip(rows, found.array.tolist(), strict=True))


def _write_csv(path: Path, answers: Iterator[list[Answer]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        first = next(answers)
        writer = csv.DictWriter(file, fieldnames=list(first[0].fields()), lineterminator="\n")
        writer.writeheader()
        for some in chain([first], answers):
            writer.writerows(answer.fields() for answer in some)


def _write_jsonl(path: Path, answers: Iterator[list[Answer]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for some in answers:
            file.writelines(json_.dumps(answer.record(), ensure_ascii=False) + "\n" for answer in some)


def _write_parquet(path: Path, answers: Iterator[list[Answer]]) -> None:
    """Each part as a file of its own, which polars then joins without holding them all."""
    import polars

    types = {"row": polars.Int64, "text": polars.String, "pair": polars.String, "label": polars.String}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}") as folder:
        parts: list[Path] = []
        for some in answers:
            parts.append(Path(folder) / f"{len(parts):08d}.parquet")
            # Each column's type is named: a part whose texts are all empty does not show it.
            schema = {name: types.get(name, polars.Float64) for name in some[0].fields()}
            polars.DataFrame([answer.fields() for answer in some], schema=schema).write_parquet(parts[-1])
        polars.scan_parquet(parts).sink_parquet(path)


_WRITERS: dict[str, Callable[[Path, Iterator[list[Answer]]], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}


def _check_out(out: Path, file: str) -> None:
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot write answers to {out}: name a file that ends in {', '.join(SUFFIXES)}")
    if out.is_dir():
        raise InputError(f"cannot write answers to {out}: it is a folder; name a file in it")
    if out.exists() and Path(file).exists() and out.samefile(file):
        raise InputError(f"cannot write answers to {out}: the rows are in it; name another file")


def _print(under_way: _Classifying, *, json: bool) -> None:
    for some in under_way:
        text = io.StringIO()
        for answer in some:
            text.write((talk.as_json(answer.record()) if json else answer.line()) + "\n")
        talk.answer(text.getvalue().removesuffix("\n"))


def _save(under_way: _Classifying, out: Path, *, json: bool) -> None:
    from sightline.core.files import replace_files

    with talk.progress("Classifying") as advance_to:

        def shown() -> Iterator[list[Answer]]:
            for some in under_way:
                advance_to(under_way.rows)
                yield some

        write = _WRITERS[out.suffix.lower()]
        replace_files(out.parent, {out.name: lambda path: write(path, shown())})
    counts = dict(under_way.counts.most_common())
    if json:
        talk.answer_json({"out": str(out), "rows": under_way.rows, "counts": counts or None})
        return
    of_each = ", ".join(f"{label} {count}" for label, count in list(counts.items())[:10])
    talk.answer(f"{under_way.rows} answers in {out}" + (f" ({of_each})" if of_each else ""))


def classify_rows(
    folder: str,
    file: str,
    columns: tuple[str, ...] | None,
    out: Path | None,
    *,
    header: bool,
    json: bool,
    revision: str | None,
    device: str | None,
) -> None:
    """Classify the texts of a file; see the verb."""
    if out is not None:
        _check_out(out, file)
    with talk.busy(f"Loading {folder}"):
        from sightline.tasks.classify import open_classifier

        classifier = open_classifier(folder, device=device, revision=revision)
    under_way = _Classifying(classifier, rows_of(file, columns, _usual_columns(folder), header=header))
    if out is None:
        _print(under_way, json=json)
    else:
        _save(under_way, out, json=json)
    if under_way.cut:
        are, were = ("is", "was") if under_way.cut == 1 else ("are", "were")
        talk.say(f"note: {under_way.cut} of {under_way.rows} rows {are} longer than the model reads and {were} cut")
    if under_way.empty:
        have = "has" if under_way.empty == 1 else "have"
        talk.say(f"note: {under_way.empty} of {under_way.rows} rows {have} an empty text and got no answer")
