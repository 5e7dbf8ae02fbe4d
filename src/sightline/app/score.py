"""The verb score: how likely a model finds texts."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Option

from sightline.app.options import Device, Dtype, Json, MaskText, ModelName, Revision, open_model

Method = Annotated[
    str | None,
    Option(
        help="causal (each token from those before), order (XLNet's), pseudo (from all others). Default: the mask's."
    ),
]
WithinWord = Annotated[
    str,
    Option(help="pseudo: what else is hidden of a word: l2r (its later pieces), original (nothing), whole (it all)."),
]
Bos = Annotated[str, Option(help="What stands before a text: auto, none, or a token such as '<|endoftext|>'.")]
MaxLength = Annotated[int | None, Option(help="Tokens of a row; longer texts go in windows. Default: the model's.")]
Stride = Annotated[int | None, Option(help="Tokens from one window's beginning to the next. Default: half a window.")]


def score(
    model: ModelName,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT|FILE|-]", help="A text, a file of texts, or standard input.")
    ] = None,
    column: Annotated[str | None, Option(help="The column that holds the texts of a table.")] = None,
    method: Method = None,
    within_word: WithinWord = "l2r",
    bos: Bos = "auto",
    max_length: MaxLength = None,
    stride: Stride = None,
    tokens: Annotated[bool, Option("--tokens", help="Each token's log-probability too.")] = False,
    json: Json = False,
    mask: MaskText = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """Say how likely a text is: its log-likelihood, or of a masked model its pseudo-log-likelihood, in nats.

    **sightline score gpt2 "The keys to the cabinet are on the table." --tokens**

    **sightline score bert-base-uncased sentences.txt --json**

    **tail -f sentences.txt | sightline score gpt2 - --bos none**

    Answers come as texts are read, a text a line; an empty one gets an empty answer.
    """
    from sightline.app.scoring import score_rows, source_of

    source = source_of(text, column)
    by = open_model(model, revision, device, dtype, mask)
    settings = {"method": method, "within_word": within_word, "bos": bos, "max_length": max_length, "stride": stride}
    score_rows(by, source, settings, tokens=tokens, json=json)
