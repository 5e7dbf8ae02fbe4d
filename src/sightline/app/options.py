"""Arguments and options that several verbs share."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sightline.app.talk import busy, say
from sightline.errors import InputError

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
