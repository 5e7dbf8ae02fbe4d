"""The verb audit: a battery of checks of one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from sightline.app import talk
from sightline.app.opening import open_any
from sightline.app.options import AnyModel, Device, Dtype, Json, MaskText, Revision, Vocabulary
from sightline.app.probe import Expected, Layers
from sightline.errors import ConfigError


def _lengths(text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(each) for each in text.split(",")]
    except ValueError:
        raise ConfigError(f"--lengths {text!r} are no whole numbers; write them as in 1,2,8,33") from None


def audit(
    model: AnyModel,
    expect: Expected = None,
    layers: Layers = None,
    lengths: Annotated[str | None, Option(help="Lengths of the test texts in tokens: 1,2,8,33. Default: many.")] = None,
    vocabulary: Vocabulary = None,
    seed: Annotated[int, Option(help="Seed of the random tokens.")] = 0,
    compiled: Annotated[bool, Option("--compiled", help="Check FlexAttention too: minutes.")] = False,
    html: Annotated[Path | None, Option(help="A file for a page with the matrices.")] = None,
    json: Json = False,
    mask: MaskText = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Check a model by its behaviour: leaks, padding, caches, batches, kernels, what is saved; and say what is wrong.

    **sightline audit gpt2**

    **sightline audit bert-base-uncased --mask causal --expect causal --html audit.html**

    **sightline audit mymodels:make --expect causal --json**

    The exit code is 1 where a check fails, else 0.
    """
    from sightline.probing.audit import audit as check
    from sightline.probing.audit_page import render
    from sightline.probing.draw_page import save

    sizes = _lengths(lengths)
    opened = open_any(model, revision, device, dtype, mask)
    with talk.progress("Checking") as advance_to:
        found = check(
            opened,
            expect,
            layers=layers,
            vocabulary=vocabulary,
            lengths=sizes,
            seed=seed,
            compiled=compiled,
            progress=advance_to,
        )
    if html is not None:
        save(render(found), html)
    talk.answer_json(found.as_dict()) if json else talk.answer(str(found))
    if not found.ok:
        raise typer.Exit(1)
