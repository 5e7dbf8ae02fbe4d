"""The verb classify: a class with its probabilities, or a number, for each text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from sightline.app.options import Device, Json, Revision

ClassifierName = Annotated[
    str, typer.Argument(metavar="FOLDER", help="What tune or compare wrote, or a model that classifies, by hub name.")
]
TextsFile = Annotated[
    str, typer.Argument(metavar="ROWS", help="Texts: CSV, TSV, JSONL, Parquet, one a line; - for standard input.")
]


def classify(
    folder: ClassifierName,
    rows: TextsFile,
    column: Annotated[
        str | None, Option(help="The column of texts; two for pairs: premise,hypothesis. Default: as in training.")
    ] = None,
    out: Annotated[Path | None, Option(help="Where the answers go: .csv, .jsonl or .parquet. Default: stdout.")] = None,
    header: Annotated[bool, Option(help="Whether the first line of a CSV or TSV names the columns.")] = True,
    json: Json = False,
    revision: Revision = None,
    device: Device = None,
) -> None:
    """Classify texts: label and probability a line; --json and --out give the probabilities of all classes.

    **sightline classify my-model more-rows.csv --out answers.csv**

    **tail -f reviews.txt | sightline classify my-model -**

    Answers come as rows are read. On standard input a line is a text; of a pair, a tab parts the two.
    An empty text gets an empty answer.
    """
    from sightline.app.classifying import classify_rows

    columns = None if column is None else tuple(column.split(","))
    classify_rows(folder, rows, columns, out, header=header, json=json, revision=revision, device=device)
