"""Looking at a model of ours, whose inside is open: every part, and a sentence for each that there cannot be."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from sightline.decoding.rows import check_can_answer, check_unordered
from sightline.errors import InputError, SightlineError, UnsupportedError
from sightline.model.model import Model, tokenizer_of
from sightline.probing.attention import head_weights
from sightline.probing.draw import Matrix
from sightline.probing.lens import Lens, hidden_lens, lens
from sightline.probing.look import Look, spelled
from sightline.probing.replaced import replaced
from sightline.probing.seen import in_one_layer, through_all_layers
from sightline.probing.tokens import Tokens, token_text, tokens_of
from sightline.probing.written import Written, written

Text = str | Sequence[int] | Tensor


def _hidden(model: Model, tokens: Tokens, top_k: int) -> tuple[Lens, ...]:
    """With each token hidden in turn; nothing where the model fills no blanks, but can be asked otherwise."""
    places = tuple(place for place in range(len(tokens)) if not tokens.special[place] or place in tokens.blanks)
    if not places:
        return ()
    try:
        return (hidden_lens(model, tokens.tensor(), places, top_k),)
    except UnsupportedError:
        if model.layout.two_streams:
            raise
        return ()


def _lenses(model: Model, tokens: Tokens, top_k: int, left_out: dict[str, str]) -> tuple[Lens, ...]:
    """Every way to ask that there is, the most telling first."""
    try:
        model.head("lm")
        found = _hidden(model, tokens, top_k)
    except UnsupportedError as error:
        left_out["lens"] = left_out["expected"] = str(error)
        return ()
    if not model.layout.two_streams:
        found = (*found, lens(model, tokens.tensor(), top_k))
    if not found:
        left_out["lens"] = left_out["expected"] = "none of these tokens stands for text, so there is nothing to ask for"
    return found


def _through(
    model: Model, ids: Tensor, tokens: Tokens, measure: bool, seed: int, left_out: dict[str, str]
) -> tuple[str, Matrix]:
    """Whom a token knows of after all layers; what the mask allows alone, where it cannot be measured."""
    try:
        return through_all_layers(model, ids, tokens.texts, measure=measure, seed=seed)
    except SightlineError as error:
        if not measure:
            raise
        left_out["measured"] = f"it could not be measured who depends on whom: {error}"
        return through_all_layers(model, ids, tokens.texts, measure=False, seed=seed)


def _written(
    model: Model, text: Text, tokens: Tokens, limit: int, top_k: int, left_out: dict[str, str]
) -> Written | None:
    if limit == 0:
        return None
    try:
        prompt = tokenizer_of(model).prompt(text) if isinstance(text, str) else list(tokens.ids)
        return written(model, prompt, limit, top_k)
    except (UnsupportedError, InputError) as error:
        left_out["written"] = str(error)
        return None


def _about(model: Model) -> str:
    masks = " and ".join(str(mask) for mask in model.trained_masks)
    trained = "" if model.trained_masks == (model.mask,) else f"; its weights were trained under {masks}"
    count = sum(parameter.numel() for parameter in model.parameters())
    return f"{model.layout.model_type} with {count:,} parameters, under the mask {model.mask}{trained}."


def _text(model: Model, tokens: Tokens) -> str:
    """A text that was given as ids."""
    if model.tokenizer is None or max(tokens.ids) >= len(model.tokenizer):
        return " ".join(tokens.texts)
    return model.tokenizer.decode(tokens.ids)


def look_at_ours(
    model: Model, text: Text, *, name: str | None, measure: bool, top_k: int, new_tokens: int, seed: int
) -> Look:
    """See `look`."""
    check_can_answer(model)
    check_unordered(model)
    tokens = tokens_of(model, text)
    ids, left_out = tokens.tensor(), dict[str, str]()
    weights = head_weights(model, ids)
    lenses = _lenses(model, tokens, top_k, left_out)
    found = _written(model, text, tokens, new_tokens, top_k, left_out)
    moved = replaced(model, tokens, seed) if tokens.words else None
    if moved is None:
        left_out["replaced"] = "none of these tokens stands for text, so there is nothing to replace"
    seen = (*in_one_layer(model, tokens.texts), _through(model, ids, tokens, measure, seed, left_out))
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
        text=text if isinstance(text, str) else _text(model, tokens),
        tokens=tokens,
        seen=seen,
        spelled=spelled(lambda token: token_text(model.tokenizer, token), tokens, lenses, found, moved),
        left_out=left_out,
        weights=weights,
        lenses=lenses,
        expects=lenses[0] if lenses else None,
        written=found,
        replaced=moved,
    )
