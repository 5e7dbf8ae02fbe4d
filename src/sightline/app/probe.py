"""The verb probe: which output of a model depends on which input."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from sightline.app import talk
from sightline.app.opening import open_any
from sightline.app.options import (
    AnyModel,
    Device,
    Dtype,
    Ids,
    Json,
    MaskText,
    Revision,
    Text,
    Vocabulary,
    text_or_ids,
)

Expected = Annotated[
    str | None, Option("--expect", help="Who should see whom: causal, bidirectional. Default: the model's mask.")
]
Layers = Annotated[
    int | None, Option("--layers", help="Through how many layers that mask goes. Default: as the model says, or any.")
]


def probe(
    model: AnyModel,
    text: Text = None,
    ids: Ids = None,
    expect: Expected = None,
    layers: Layers = None,
    method: Annotated[str, Option(help="both, substitution or gradient: each alone misses something.")] = "both",
    past: Annotated[int, Option(help="Read this many first tokens in an earlier call, through a cache.")] = 0,
    state: Annotated[str, Option(help="What goes from call to call: cache, or memory (hidden states).")] = "cache",
    png: Annotated[Path | None, Option(help="A file for the picture.")] = None,
    html: Annotated[Path | None, Option(help="A file for a page that shows everything.")] = None,
    vocabulary: Vocabulary = None,
    seed: Annotated[int, Option(help="Seed of the tokens and vectors that take others' places.")] = 0,
    json: Json = False,
    mask: MaskText = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Measure which output depends on which input, and whether any depends on what it may not see.

    **sightline probe gpt2 "The keys to the cabinet are on the table." --png seen.png**

    **sightline probe bert-base-uncased "The keys to the cabinet" --mask causal --expect causal**

    **sightline probe mymodels:make --ids 5,6,7,8 --expect causal --json**

    The exit code is 1 where there are leaks, else 0.
    """
    from sightline.probing.draw_page import save
    from sightline.probing.probe import probe as measure
    from sightline.probing.probe_page import render, write_picture

    given = text_or_ids(text, ids)
    opened = open_any(model, revision, device, dtype, mask)
    with talk.busy("Probing"):
        found = measure(
            opened,
            given,
            expect=expect,
            layers=layers,
            method=method,  # type: ignore[arg-type]  # checked where it is read, as the state is
            past=past,
            state=state,  # type: ignore[arg-type]
            vocabulary=vocabulary,
            seed=seed,
        )
    if png is not None:
        write_picture(found, png)
    if html is not None:
        save(render(found), html)
    talk.answer_json(found.as_dict()) if json else talk.answer(str(found))
    if found.leaks:
        raise typer.Exit(1)
