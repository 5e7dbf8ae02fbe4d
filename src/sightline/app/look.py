"""The verb look: a page and pictures of what a model does with one text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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

Png = Annotated[Path | None, Option(help="A folder for every picture as a PNG file.")]


def look(
    model: AnyModel,
    text: Text = None,
    ids: Ids = None,
    out: Annotated[Path, Option(help="The page: one HTML file that needs nothing else.")] = Path("look.html"),
    png: Png = None,
    measure: Annotated[bool, Option("--measure/--no-measure", help="Measure who depends on whom.")] = True,
    top_k: Annotated[int, Option(help="How many words at each place.")] = 5,
    new_tokens: Annotated[int, Option(help="How many tokens it writes after the text; 0: none.")] = 12,
    vocabulary: Vocabulary = None,
    seed: Annotated[int, Option(help="Seed of the words that take others' places.")] = 0,
    json: Json = False,
    mask: MaskText = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
) -> None:
    """See what a model does with a text: who sees whom, attention heads, what each layer would say, what a word moves.

    **sightline look bert-base-uncased "The pizza was [MASK]." --out pizza.html**

    **sightline look gpt2 "The keys to the cabinet" --png pictures**

    **sightline look bert-base-uncased "The keys to the cabinet" --mask causal**

    **sightline look mymodels:make --ids 5,6,7,8**
    """
    given = text_or_ids(text, ids)
    loaded = open_any(model, revision, device, dtype, mask)
    with talk.busy("Looking"):
        from sightline.probing.look import look as look_at

        found = look_at(
            loaded,
            given,
            name=model,
            measure=measure,
            top_k=top_k,
            new_tokens=new_tokens,
            seed=seed,
            vocabulary=vocabulary,
        )
        page, pictures = found.save(out), [] if png is None else found.pictures(png)
    written = {"page": str(page), "pictures": [str(each) for each in pictures], "left_out": dict(found.left_out)}
    if json:
        talk.answer_json(written)
    else:
        talk.answer("\n".join(map(str, [page, *pictures])))
        for part, reason in found.left_out.items():
            talk.say(f"note: without {part}: {reason}")
