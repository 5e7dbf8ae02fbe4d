"""The verb tune: teach a model classes, or numbers, from labelled rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from sightline.app.options import Device, Json

Start = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A folder, a name on the hub, or a new network: new:bert, new:xlnet, new:gpt2, …"
    ),
]
RowsFile = Annotated[
    str, typer.Argument(metavar="ROWS", help="Texts and labels: CSV, TSV, JSONL, Parquet, or hf://… on the hub.")
]


def tune(
    model: Start,
    rows: RowsFile,
    out: Annotated[Path, Option(help="Folder for the result; a new one.")],
    text: Annotated[str | None, Option(help="The column of texts; two for pairs: premise,hypothesis.")] = None,
    label: Annotated[str | None, Option(help="The column of classes or numbers.")] = None,
    dev: Annotated[str | None, Option(help="Rows to choose the best weights on. Default: a part of ROWS.")] = None,
    test: Annotated[str | None, Option(help="Rows to judge on in the end. Default: a part of ROWS.")] = None,
    kind: Annotated[str, Option(help="What labels are: classes, numbers, or auto.")] = "auto",
    header: Annotated[bool, Option(help="Whether the first line of a CSV or TSV names the columns.")] = True,
    size: Annotated[
        str | None,
        Option(help="Size of a new network: tiny, mini (4 layers, 256 wide), small, medium, base. Default: mini."),
    ] = None,
    passes: Annotated[
        int | None, Option(help="Epochs: how often the training rows are read. Default: 3; for a new network 10.")
    ] = None,
    learning_rate: Annotated[
        float | None, Option(help="Default: 5e-5; for a new network 5e-4; with --freeze all 1e-3.")
    ] = None,
    batch_rows: Annotated[int, Option(help="Batch size: rows of one step.")] = 32,
    max_length: Annotated[int | None, Option(help="Tokens of a row. Default: as many as the model reads.")] = None,
    long: Annotated[str, Option(help="Longer texts: cut, windows (all of it is read, in parts), or error.")] = "cut",
    pooling: Annotated[str | None, Option(help="first, last or mean. Default: as suits family and mask.")] = None,
    mask: Annotated[str | None, Option(help="Look through another mask: 'causal', 'bidirectional'.")] = None,
    frozen_layers: Annotated[
        str, Option("--freeze", help="Freeze the embeddings and this many first layers; all: train the head alone.")
    ] = "0",
    class_weights: Annotated[str | None, Option(help="balanced: rare classes weigh as much as common ones.")] = None,
    early_stopping: Annotated[
        int | None, Option(help="Patience: stop after this many evaluations on dev without improvement.")
    ] = None,
    evaluations: Annotated[int, Option(help="Evaluations on dev per pass.")] = 1,
    precision: Annotated[str, Option(help="float32, bfloat16, or auto: whichever is faster here.")] = "auto",
    checkpoint_every: Annotated[
        int | None, Option(help="A checkpoint every this many steps, beside those after each evaluation.")
    ] = None,
    seed: Annotated[int, Option(help="The same seed gives the same model.")] = 0,
    device: Device = None,
    resume: Annotated[bool, Option("--resume", help="Go on with the training in the folder, exactly.")] = False,
    json: Json = False,
) -> None:
    """Teach a model classes, or numbers, from labelled rows; the best weights on dev become a model folder.

    **sightline tune bert-base-uncased reviews.csv --out my-model**

    **sightline tune new:gpt2 reviews.csv --size tiny --text review --label stars --out my-model**

    **sightline tune roberta-base pairs.tsv --text premise,hypothesis --long cut --early-stopping 2 --out my-model**

    Ctrl-C saves; the command that goes on is then printed. Afterwards: sightline classify my-model more-rows.csv
    """
    asked = {name: value for name, value in locals().items() if name != "json"}
    from sightline.app.tune_request import Request
    from sightline.app.tuning import tune_rows

    tune_rows(Request(**asked), json=json)
