"""The verb evaluate: a model on a published benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from sightline.app.options import Device, Dtype, Json, MaskText, ModelName, Revision, open_model
from sightline.app.score import Bos, MaxLength, Method, Stride, WithinWord


def evaluate(
    model: ModelName,
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="blimp, wikitext or lambada.")],
    data: Annotated[str, Option(help="Its files: a file, a folder, an archive, or a data set's name on the hub.")],
    out: Annotated[
        Path | None, Option(help="What is finished is kept there, and gone on from. Default: BENCHMARK-MODEL.json.")
    ] = None,
    method: Method = None,
    within_word: WithinWord = "l2r",
    bos: Bos = "auto",
    max_length: MaxLength = None,
    stride: Stride = None,
    json: Json = False,
    mask: MaskText = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Measure a model: minimal pairs of grammar, perplexity of a text, last words of passages.

    **sightline evaluate my-bert blimp --data blimp.tar.xz --dtype bfloat16**

    **sightline evaluate gpt2 wikitext --data wikitext-2/test.txt --stride 512**

    **sightline evaluate gpt2 lambada --data lambada_test.jsonl --out lambada.json**

    Ctrl-C keeps what is finished; the same command goes on.
    """
    from sightline.app.evaluating import evaluate_on

    by = open_model(model, revision, device, dtype, mask)
    settings = {"method": method, "within_word": within_word, "bos": bos, "max_length": max_length, "stride": stride}
    evaluate_on(by, model, benchmark, data, out, settings, json=json)
