"""Predictions on the test rows: all of them as a table, and those that tell contenders apart."""

from __future__ import annotations

from typing import Any

import numpy

from sightline.comparison.entries import Finished
from sightline.comparison.rows import Rows

MOST_COLUMNS = 100  # classes whose probabilities predictions.parquet has, not the answer's alone
DISAGREEMENTS = 200  # rows that results.json shows; predictions.parquet has all


def disagreements(finished: list[Finished], rows: Rows) -> list[dict[str, Any]]:
    """Test rows on which contenders that read the text give different answers, the most divided first."""
    reading = [done for done in finished if done.contender.source != "majority"]
    if rows.labels is None or len(reading) < 2:
        return []
    labels, answers = rows.labels, numpy.stack([done.answers() for done in reading])
    means = [done.mean() for done in reading]
    wrong = (answers != rows.test.targets).sum(0)
    divided = numpy.flatnonzero((answers != answers[0]).any(0))
    order = sorted(divided, key=lambda row: (abs(2 * wrong[row] - len(reading)), row))[:DISAGREEMENTS]
    return [
        {
            "row": rows.test.rows[row],
            "text": rows.test.texts[row][:1000],
            "pair": None if rows.test.pairs is None else rows.test.pairs[row][:1000],
            "truth": labels[rows.test.targets[row]],
            "predictions": {done.contender.name: labels[answers[i, row]] for i, done in enumerate(reading)},
            "probabilities": {
                done.contender.name: round(float(means[i][row, answers[i, row]]), 4) for i, done in enumerate(reading)
            },
        }
        for row in order
    ]


def predictions(finished: list[Finished], rows: Rows) -> Any:
    """A table of every contender's and seed's answer to every test row."""
    import polars

    test, frames = rows.test, []
    for done in finished:
        for record, given in zip(done.seeds, done.test, strict=True):
            columns: dict[str, Any] = {
                "row": test.rows,
                "text": test.texts,
                "pair": [None] * len(test) if test.pairs is None else test.pairs,
                "contender": [done.contender.name] * len(test),
                "seed": [record["seed"]] * len(test),
            }
            if rows.labels is None:
                columns |= {"truth": test.targets, "prediction": given}
            else:
                best = given.argmax(1)
                columns["truth"] = [rows.labels[target] for target in test.targets]
                columns["prediction"] = [rows.labels[label] for label in best]
                columns["probability"] = given[numpy.arange(len(given)), best]
                if len(rows.labels) <= MOST_COLUMNS:
                    columns["probabilities"] = given.tolist()
            frames.append(polars.DataFrame(columns, schema_overrides={"pair": polars.String}))
    return polars.concat(frames)
