"""The verb pretrain: teach a new model from a corpus, as a recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from sightline.app.options import Device, Json


def pretrain(
    recipe: Annotated[
        Path,
        typer.Argument(metavar="RECIPE", help="A TOML file, or the name of one that comes along: causal, hybrid …"),
    ],
    out: Annotated[Path, Option(help="Folder for the result; a new one.")],
    corpus: Annotated[str | None, Option(help="A folder that sightline prepare made. Default: the recipe's.")] = None,
    change: Annotated[
        list[str] | None, Option("--set", help="Change a field of the recipe: run.minutes=10, model.size=small.")
    ] = None,
    minutes: Annotated[float | None, Option(help="The same as --set run.minutes=…: end on time.")] = None,
    device: Device = None,
    resume: Annotated[bool, Option("--resume", help="Go on with the training in the folder, exactly.")] = False,
    json: Json = False,
) -> None:
    """Teach a new model from a corpus, as a recipe says: masked, causal, hybrid or another objective.

    **sightline prepare texts/\\*.txt --out corpus**

    **sightline pretrain causal --corpus corpus --out my-gpt --minutes 60**

    **sightline pretrain recipes/hybrid.toml --corpus corpus --out both --set model.size=small --set batches.rows=32**

    Ctrl-C saves; the command that goes on is then printed. Afterwards: sightline generate my-gpt "Once upon a time"
    """
    from sightline.app.pretraining import Request, pretrain_model

    changes = [*(change or []), *([] if minutes is None else [f"run.minutes={minutes}"])]
    pretrain_model(
        Request(recipe=recipe, out=out, corpus=corpus, changes=tuple(changes), device=device, resume=resume),
        as_json=json,
    )
