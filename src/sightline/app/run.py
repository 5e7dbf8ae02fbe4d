"""The verbs that run a model: fill, generate, embed, show. Each is a few lines over what Python users call too."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from sightline.app import talk
from sightline.app.options import (
    Device,
    Dtype,
    Json,
    MaskText,
    ModelName,
    Revision,
    Text,
    open_model,
    text_or_stdin,
)
from sightline.errors import ConfigError


def fill(
    model: ModelName,
    text: Text = None,
    top_k: Annotated[int, Option(help="How many words for each blank.")] = 5,
    json: Json = False,
    mask: MaskText = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Fill the blanks of a text: the likeliest words for each, and for all of them together.

    **sightline fill bert-base-uncased "The pizza was fantastic. The restaurant is [MASK]."**
    """
    text = text_or_stdin(text)
    loaded = open_model(model, revision, device, dtype, mask)
    from sightline.decoding.fill import fill as fill_blanks

    filled = fill_blanks(loaded, text, top_k)
    if json:
        talk.answer_json({"text": text, **dataclasses.asdict(filled)})
    else:
        talk.answer(str(filled))


def generate(
    model: ModelName,
    text: Text = None,
    max_new_tokens: Annotated[int, Option("--max-new-tokens", "-n", help="How many new tokens at most.")] = 100,
    temperature: Annotated[
        float, Option(help="0: always the likeliest token; above 0: sampled, the higher the more varied.")
    ] = 0.0,
    top_k: Annotated[int | None, Option(help="Sample among the k likeliest tokens.")] = None,
    top_p: Annotated[
        float | None, Option(help="Sample among the likeliest tokens whose probabilities add up to p.")
    ] = None,
    min_p: Annotated[float | None, Option(help="Sample among tokens at least p times as likely as the best.")] = None,
    repetition_penalty: Annotated[float, Option(help="Above 1: tokens that came before become less likely.")] = 1.0,
    no_repeat_ngram: Annotated[int, Option(help="No sequence of n tokens comes twice; 0: any may.")] = 0,
    stop: Annotated[list[str] | None, Option(help="A string that ends the text; may be given more than once.")] = None,
    samples: Annotated[int, Option(help="How many texts for the prompt.")] = 1,
    beams: Annotated[int, Option(help="Above 1: beam search.")] = 1,
    length_penalty: Annotated[float, Option(help="Beam search: above 0 favours long texts.")] = 1.0,
    method: Annotated[str, Option(help="autoregressive, or mask-predict for a masked model.")] = "autoregressive",
    rounds: Annotated[int, Option(help="mask-predict: how many rounds.")] = 10,
    seed: Annotated[int, Option(help="The same seed gives the same text.")] = 0,
    json: Json = False,
    mask: MaskText = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Continue a text; it appears as it is written.

    **sightline generate gpt2 "Once upon a time" --temperature 0.8 --top-p 0.95 --seed 1**
    """
    text = text_or_stdin(text)
    loaded = open_model(model, revision, device, dtype, mask)
    from sightline.app.writing import write_out
    from sightline.decoding.generate import generate as grow

    started = time.perf_counter()
    generation = grow(
        loaded,
        text,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        no_repeat_ngram=no_repeat_ngram,
        stop=stop or (),
        samples=samples,
        beams=beams,
        length_penalty=length_penalty,
        method=method,
        rounds=rounds,
        seed=seed,
    )
    write_out(generation, text, samples=samples, wanted=max_new_tokens, json=json, started=started)


def embed(
    model: ModelName,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Texts: one a line, CSV, TSV, JSONL, Parquet; or -.")],
    out: Annotated[Path | None, Option(help="Where the vectors go: a .npy or .parquet file.")] = None,
    column: Annotated[str | None, Option(help="The column that holds the texts.")] = None,
    pooling: Annotated[str | None, Option(help="mean, cls, last or max. Default: the model's own, else mean.")] = None,
    normalize: Annotated[bool | None, Option("--normalize/--no-normalize", help="Vectors of length 1.")] = None,
    word: Annotated[str | None, Option(help="The vector of this word; FILE is then a sentence.")] = None,
    json: Json = False,
    mask: MaskText = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Turn texts into vectors, one a row.

    **sightline embed MODEL reviews.csv --column text --out vectors.npy**

    **sightline embed MODEL "The bank of the river" --word bank**
    """
    from sightline.app.vectors import embed_file, embed_one_word

    if word is not None:
        for option, value in {"column": column, "pooling": pooling, "normalize": normalize}.items():
            if value is not None:
                raise ConfigError(f"--word gives the mean of the word's tokens in one sentence; leave out --{option}")
        embed_one_word(open_model(model, revision, device, dtype, mask), file, word, out=out, json=json)
        return
    if out is None:
        raise ConfigError("say where the vectors go: --out vectors.npy, or --out vectors.parquet")
    loaded = open_model(model, revision, device, dtype, mask)
    embed_file(loaded, file, out, column=column, pooling=pooling, normalize=normalize, json=json)


def show(
    model: ModelName,
    other: Annotated[str | None, typer.Argument(metavar="OTHER", help="A second model: what differs?")] = None,
    json: Json = False,
    mask: MaskText = None,
    revision: Revision = None,
) -> None:
    """Say what a model is, who may attend to whom in it, and what it can do; or how two models differ.

    **sightline show bert-base-uncased gpt2**
    """
    from sightline.tasks.describe import describe
    from sightline.tasks.differences import differences

    first = open_model(model, revision, mask=mask)
    found = describe(first) if other is None else differences(first, open_model(other))
    if json:
        talk.answer_json(found.as_dict())
    else:
        talk.answer(str(found))
