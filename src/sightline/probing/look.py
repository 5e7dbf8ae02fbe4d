"""Look: everything that can be seen of a model reading one text, gathered once; a page and pictures are made of it.

    look = sl.look(model, "The cat sat on the mat.")
    look.save("look.html")

Shapes: L layers, H heads, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from sightline.core.check import whole
from sightline.decoding.rows import check_can_answer, check_unordered
from sightline.errors import InputError, UnsupportedError
from sightline.model.model import Model, tokenizer_of
from sightline.probing.attention import head_weights
from sightline.probing.draw import Matrix
from sightline.probing.lens import Lens, hidden_lens, lens
from sightline.probing.replaced import Replaced, replaced
from sightline.probing.seen import matrices
from sightline.probing.tokens import Tokens, token_text, tokens_of
from sightline.probing.written import Written, written
from sightline.weights.replace import replace_files


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
    weights: Tensor | None
    lenses: tuple[Lens, ...]
    written: Written | None
    replaced: Replaced | None
    spelled: Mapping[int, str]
    left_out: Mapping[str, str]

    def html(self) -> str:
        """A page of its own: one file that loads nothing."""
        from sightline.probing.look_page import render

        return render(self)

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all; returns its path. Raises CheckpointError where it cannot be written."""
        place, page = Path(path), self.html()
        replace_files(place.parent, {place.name: lambda file: file.write_text(page, encoding="utf-8")})
        return place

    def pictures(self, folder: str | Path) -> list[Path]:
        """Write every part that is a picture as a PNG file into a folder; returns their paths."""
        from sightline.probing.look_png import pictures

        drawn, place = pictures(self), Path(folder)
        replace_files(place, {name: partial(Path.write_bytes, data=content) for name, content in drawn.items()})
        return [place / name for name in drawn]

    def _repr_html_(self) -> str:
        from sightline.probing.look_page import framed

        return framed(self.html())


def _lenses(model: Model, tokens: Tokens, top_k: int, left_out: dict[str, str]) -> tuple[Lens, ...]:
    """Every way to ask that there is, the most telling first."""
    found = []
    places = tuple(place for place in range(len(tokens)) if not tokens.special[place] or place in tokens.blanks)
    try:
        model.head("lm")
        if places:
            try:
                found.append(hidden_lens(model, tokens.tensor(), places, top_k))
            except UnsupportedError as error:
                if model.layout.two_streams:
                    raise error from None
        if not model.layout.two_streams:
            found.append(lens(model, tokens.tensor(), top_k))
    except UnsupportedError as error:
        left_out["lens"] = left_out["expected"] = str(error)
    return tuple(each for each in found if each.places)


def _written(
    model: Model, text: str | Sequence[int] | Tensor, tokens: Tokens, limit: int, top_k: int, left_out: dict[str, str]
) -> Written | None:
    if limit == 0:
        return None
    try:
        prompt = tokenizer_of(model).prompt(text) if isinstance(text, str) else list(tokens.ids)
        return written(model, prompt, limit, top_k)
    except (UnsupportedError, InputError) as error:
        left_out["written"] = str(error)
        return None


def _ids(lenses: Sequence[Lens], found: Written | None, moved: Replaced | None, tokens: Tokens) -> set[int]:
    """Every token that is shown."""
    ids = set(tokens.ids)
    for each in lenses:
        ids |= {*each.words.flatten().tolist(), *(token for token in each.truth.tolist() if token >= 0)}
    if found is not None:
        ids |= set(found.prompt)
        for step in found.steps:
            ids |= {one.token for one in step} | {token for one in step for token, _ in one.others}
    return ids | (set() if moved is None else set(moved.by))


def _spelled_out(model: Model, tokens: Tokens) -> str:
    """A text that was given as ids."""
    if model.tokenizer is None or max(tokens.ids) >= len(model.tokenizer):
        return " ".join(tokens.texts)
    return model.tokenizer.decode(tokens.ids)


def _about(model: Model) -> str:
    masks = " and ".join(str(mask) for mask in model.trained_masks)
    trained = "" if model.trained_masks == (model.mask,) else f"; its weights were trained under {masks}"
    count = sum(parameter.numel() for parameter in model.parameters())
    kind = f"{model.layout.model_type}, {count:,} parameters"
    return f"A model of the kind {kind}, under the mask {model.mask}{trained}."


def look(
    model: Model,
    text: str | Sequence[int] | Tensor,
    *,
    name: str | None = None,
    top_k: int = 5,
    new_tokens: int = 12,
    seed: int = 0,
) -> Look:
    """Look at a model reading a text: who sees whom, heads, layers, what it expects and writes, what a word moves.

    model       a Model; `model.with_mask(…)` looks through another mask
    text        a text, or token ids; at most 128 tokens
    name        what the page calls the model
    top_k       how many words at each place
    new_tokens  how many it writes; 0: none
    seed        of the words that take others' places

    What the model cannot do is left out, with the reason in `Look.left_out`. Raises InputError for a text that gives no
    tokens or too many, UnsupportedError for a model in training mode and under a mask that reads more than positions.

        look(model, "The [MASK] sat on the mat.").save("look.html")
    """
    whole("top_k", top_k)
    whole("new_tokens", new_tokens, least=0)
    check_can_answer(model)
    check_unordered(model)
    tokens = tokens_of(model, text)
    left_out: dict[str, str] = {}
    lenses = _lenses(model, tokens, top_k, left_out)
    found = _written(model, text, tokens, new_tokens, top_k, left_out)
    moved = replaced(model, tokens, seed) if tokens.words else None
    if moved is None:
        left_out["replaced"] = "none of these tokens stands for text, so there is nothing to replace"
    config = model.config
    return Look(
        name=name or model.layout.model_type,
        about=_about(model),
        facts=(
            ("tokens", str(len(tokens))),
            ("layers", str(config.layers)),
            ("heads in each", str(config.attention_heads)),
            ("numbers a token", f"{config.width:,}"),
        ),
        text=text if isinstance(text, str) else _spelled_out(model, tokens),
        tokens=tokens,
        seen=tuple(matrices(model, tokens.texts)),
        weights=head_weights(model, tokens.tensor()),
        lenses=lenses,
        written=found,
        replaced=moved,
        spelled={token: token_text(model.tokenizer, token) for token in _ids(lenses, found, moved, tokens)},
        left_out=left_out,
    )
