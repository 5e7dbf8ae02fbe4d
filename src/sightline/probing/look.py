"""Look: everything that can be seen of a model reading one text, gathered once; a page and pictures are made of it.

    look = sl.look(model, "The cat sat on the mat.")
    look.save("look.html")

Shapes: L layers, H heads, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from sightline.core.check import whole
from sightline.core.files import replace_files
from sightline.model.model import Model
from sightline.probing.draw import Matrix
from sightline.probing.lens import Lens
from sightline.probing.replaced import Replaced
from sightline.probing.tokens import Tokens
from sightline.probing.written import Written


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """What a model does with one text. In a notebook it shows itself.

    name      what the model is called
    about     what it is, in a sentence
    facts     the few numbers that belong to it: (name, value)
    text      what it read
    tokens    how it read it
    seen      who may see whom, each with its title
    weights   attention of every head, (L, H, T, T)
    lenses    what each layer says at each place, by one or several ways to ask
    expects   what the last one says
    written   what it writes after the text
    replaced  what moves when one token is another
    spelled   the text of every token that occurs in any of these, by id
    left_out  parts that there are not, and a sentence that says why
    """

    name: str
    about: str
    facts: tuple[tuple[str, str], ...]
    text: str
    tokens: Tokens
    seen: tuple[tuple[str, Matrix], ...]
    spelled: Mapping[int, str]
    left_out: Mapping[str, str]
    weights: Tensor | None = None
    lenses: tuple[Lens, ...] = ()
    expects: Lens | None = None
    written: Written | None = None
    replaced: Replaced | None = None

    def html(self) -> str:
        """A page of its own: one file that loads nothing."""
        from sightline.probing.look_page import render

        return render(self)

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all; returns its path. Raises CheckpointError where it cannot be written."""
        from sightline.probing.draw_page import save

        save(self.html(), Path(path))
        return Path(path)

    def pictures(self, folder: str | Path) -> list[Path]:
        """Write every part that is a picture as a PNG file into a folder; returns their paths."""
        from sightline.probing.look_png import pictures

        drawn, place = pictures(self), Path(folder)
        replace_files(place, {name: partial(Path.write_bytes, data=content) for name, content in drawn.items()})
        return [place / name for name in drawn]

    def _repr_html_(self) -> str:
        from sightline.probing.look_page import framed

        return framed(self.html())


def spelled(
    spell: Callable[[int], str],
    tokens: Tokens,
    lenses: Sequence[Lens] = (),
    found: Written | None = None,
    moved: Replaced | None = None,
) -> dict[int, str]:
    """The text of every token that is shown."""
    ids = set(tokens.ids)
    for each in lenses:
        ids |= {*each.words.flatten().tolist(), *(token for token in each.truth.tolist() if token >= 0)}
    if found is not None:
        ids |= set(found.prompt)
        for step in found.steps:
            ids |= {one.token for one in step} | {token for one in step for token, _ in one.others}
    ids |= set() if moved is None else set(moved.by)
    return {token: spell(token) for token in sorted(ids)}


def look(
    model: object,
    text: str | Sequence[int] | Tensor,
    *,
    name: str | None = None,
    measure: bool = True,
    top_k: int = 5,
    new_tokens: int = 12,
    seed: int = 0,
    vocabulary: int | None = None,
    tokenizer: Any = None,
) -> Look:
    """Look at a model reading a text: who sees whom, heads, layers, what it expects and writes, what a word moves.

    model       a Model; `model.with_mask(…)` looks through another mask. Of any other model that `probe` takes, from
                transformers, a module or a function: who sees whom, and what it expects
    text        a text, or token ids; at most 128 tokens
    name        what the page calls the model
    measure     whether to measure who depends on whom, which takes the longest; else only what the mask allows
    top_k       how many words at each place
    new_tokens  how many it writes; 0: none
    seed        of the words that take others' places
    vocabulary, tokenizer   of a model that is not ours, as `probe` takes them

    What the model cannot do is left out, with the reason in `Look.left_out`. Raises InputError for a text that gives no
    tokens or too many, UnsupportedError for a model in training mode and under a mask that reads more than positions.

        look(model, "The [MASK] sat on the mat.").save("look.html")
    """
    whole("top_k", top_k)
    whole("new_tokens", new_tokens, least=0)
    whole("seed", seed, least=0)
    if not isinstance(model, Model):
        from sightline.probing.look_others import look_at_other

        return look_at_other(model, text, name=name, top_k=top_k, seed=seed, vocabulary=vocabulary, tokenizer=tokenizer)
    from sightline.probing.look_ours import look_at_ours

    return look_at_ours(model, text, name=name, measure=measure, top_k=top_k, new_tokens=new_tokens, seed=seed)
