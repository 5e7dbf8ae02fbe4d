"""Arguments and options that several verbs share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sightline.app.talk import busy, say
from sightline.errors import ConfigError, InputError

if TYPE_CHECKING:
    from sightline.model.model import Model

ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="A folder, or a name on the hub: bert-base-uncased.")]
AnyModel = Annotated[
    str, typer.Argument(metavar="MODEL", help="A folder, a hub id, or module:function that returns a model.")
]
Text = Annotated[str | None, typer.Argument(metavar="TEXT", help="The text; without it, or for -, stdin is read.")]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub model.")]
Device = Annotated[str | None, typer.Option(help="Where to compute: cpu, cuda, mps.")]
Dtype = Annotated[str | None, typer.Option(help="Type of the weights: float32, bfloat16. Default: as stored.")]
Ids = Annotated[str | None, typer.Option("--ids", help="Token ids in place of a text: 5,6,7.")]
Vocabulary = Annotated[int | None, typer.Option(help="How many token ids there are, if nothing tells.")]
MaskText = Annotated[
    str | None, typer.Option("--mask", help="Look through another mask: 'causal', 'prefix(4) | causal'.")
]


def open_model(
    name: str, revision: str | None = None, device: str | None = None, dtype: str | None = None, mask: str | None = None
) -> Model:
    """The model of that name, with a spinner while it loads, looking through `mask` where one is given."""
    with busy(f"Loading {name}"):
        from sightline.core.mask import Mask
        from sightline.model.load import load

        wanted = None if mask is None else Mask.parse(mask)
        model = load(name, revision=revision, device=device, dtype=dtype)
    if wanted is None or wanted == model.mask:
        return model
    if wanted in model.trained_masks:
        return model.with_mask(wanted)
    trained = "in every order of a text" if model.layout.two_streams else f"under the mask {model.trained_mask}"
    say(f"note: these weights were trained {trained}; they now look through {wanted}")
    return model.with_mask(wanted)


def token_ids(text: str) -> list[int]:
    """Token ids as they are written; ConfigError where they are none."""
    try:
        return [int(each) for each in text.replace(",", " ").split()]
    except ValueError:
        raise ConfigError(f"{text!r} are no token ids; write whole numbers, as in 5,6,7") from None


def text_or_ids(text: str | None, ids: str | None) -> str | list[int]:
    """The text, or the ids where those are given; ConfigError for both, and where neither can be read."""
    if ids is not None and text is not None:
        raise ConfigError("a text and --ids both say what is read; leave one out")
    return text_or_stdin(text) if ids is None else token_ids(ids)


def text_or_stdin(text: str | None) -> str:
    """The argument, or what stands on stdin; InputError where that is closed, or a terminal that nobody asked for."""
    if text is not None and text != "-":
        return text
    if sys.stdin is None or (text is None and sys.stdin.isatty()):
        raise InputError("there is no text; give it after the model, or pipe it in")
    given = sys.stdin.buffer.read()  # bytes: some locales would let what is no UTF-8 pass as something else
    try:
        return given.decode("utf-8-sig").replace("\r\n", "\n").rstrip("\n")
    except UnicodeDecodeError as error:
        place = f"byte {error.start + 1} is 0x{given[error.start]:02x}"
        raise InputError(f"standard input is not UTF-8 text: {place}; convert it first") from None
