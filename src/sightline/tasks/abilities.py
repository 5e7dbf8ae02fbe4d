"""What a model can do, by which way, and why not: read off its heads, its mask and its tokenizer.

    >>> abilities(model)["generate"].can
    True

Shapes: T tokens, all of them queries and keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sightline.core.coordinates import Coordinates
from sightline.core.mask import Mask
from sightline.core.reach import TOKENS, informed
from sightline.decoding.rows import as_taught, learned_both_sides, looks_back, reads_ranks
from sightline.errors import UnsupportedError
from sightline.phrases import and_more
from sightline.tasks.asking import Method
from sightline.tasks.pooling import cls_is_last
from sightline.tasks.scorer import method_of, through

if TYPE_CHECKING:
    from sightline.model.model import Model

Looks = Literal["back", "back, after a prefix", "to both sides", "by an order"]


@dataclass(frozen=True)
class Ability:
    """Whether a model can do something, and how, or why not."""

    can: bool
    how: str

    def __str__(self) -> str:
        return self.how


def _sees_ahead(mask: Mask, start: int) -> bool:
    at = Coordinates.consecutive(TOKENS, start=start)
    return bool((mask.table(at, at)[0] & (at.position[0] > at.position[0][:, None])).any())


def looks(mask: Mask, positions: int) -> Looks:
    """Where a token of a text looks; `positions`: how many the model has.

    "back" means that nothing a token sees ever changes once it was read, so that text can grow token by token.
    """
    if reads_ranks(mask):
        return "by an order"
    if _sees_ahead(mask, start=positions):
        return "to both sides"
    return "back, after a prefix" if _sees_ahead(mask, start=0) else "back"


def _retrained(model: Model) -> str:
    """A warning, where the weights were trained under a mask that looks elsewhere."""
    positions = model.config.positions
    if any(looks(model.mask, positions) == looks(mask, positions) for mask in model.trained_masks):
        return ""
    return f"; the weights were trained under {model.trained_mask}, so expect little"


def _has_blank(model: Model) -> bool:
    return model.tokenizer is not None and model.tokenizer.special.mask_id is not None


def _unordered(model: Model) -> str:
    """Why a text alone is too little for the mask; empty where it is enough."""
    ordered = looks(model.mask, model.config.positions) == "by an order"
    return f"{model.mask} shows a token what comes before it in an order, and a text has none" if ordered else ""


_SIDES: dict[Looks, str] = {
    "back": "from what stands before the blank alone",
    "back, after a prefix": "from what stands before the blank, and from the prefix",
    "to both sides": "from what stands on both sides of the blank",
}


def _fill(model: Model) -> Ability:
    if "lm" not in model.heads:
        return Ability(False, "it has no head over the vocabulary")
    if model.tokenizer is None:
        return Ability(False, "it came without a tokenizer, which would know the mask token")
    if not _has_blank(model):
        return Ability(False, "its vocabulary has no mask token, so nobody taught it to fill blanks")
    if not learned_both_sides(model):
        how = f"trained under {model.trained_mask}, at a blank it expects the word after it"
        return Ability(False, how)
    view = as_taught(model, ahead=True)
    if _unordered(view):
        return Ability(False, _unordered(view))
    return Ability(True, _SIDES[looks(view.mask, view.config.positions)] + _retrained(view))


def _generate(model: Model) -> Ability:
    if "lm" not in model.heads:
        return Ability(False, "it has no head over the vocabulary")
    ids = "" if model.tokenizer is not None else "; from token ids, since it came without a tokenizer"
    model = as_taught(model, ahead=False)
    sight = looks(model.mask, model.config.positions)
    if sight == "back":
        return Ability(True, f"autoregressive: token by token, each from those before it{ids}{_retrained(model)}")
    if sight == "back, after a prefix":
        return Ability(True, f"autoregressive, after a prompt that fills the prefix{ids}{_retrained(model)}")
    if model.layout.two_streams and sight == "to both sides":
        how = "autoregressive: asked at the place behind the last token, the text read anew for each"
        return Ability(True, f"{how}, as under {model.mask} what was read sees what is new{ids}{_retrained(model)}")
    if sight == "by an order" and looks_back(model.mask, TOKENS, 2 * TOKENS):
        return Ability(True, f"autoregressive: the prompt is seen whole, then token by token{ids}{_retrained(model)}")
    if _unordered(model):
        return Ability(False, _unordered(model))
    if _has_blank(model) and learned_both_sides(model):
        return Ability(True, f"mask-predict: all blanks at once, refined in rounds{_retrained(model)}")
    return Ability(
        False,
        f"under {model.mask} tokens see what comes after them, and there is no mask token to fill blanks by;"
        " with_mask(Causal()) looks back only",
    )


_SCORES: dict[Method, str] = {
    "causal": "log-likelihood: each token from those before it",
    "order": "log-likelihood: each token from those before it in an order",
    "pseudo": "pseudo-log-likelihood: each token from all others",
}


def _score(model: Model) -> Ability:
    if "lm" not in model.heads:
        return Ability(False, "it has no head over the vocabulary")
    if model.tokenizer is None:
        return Ability(False, "it came without a tokenizer")
    method = method_of(model)
    try:
        through(model, method)
    except UnsupportedError as error:
        return Ability(False, str(error).partition(";")[0])
    return Ability(True, _SCORES[method] + _retrained(model))


_ONE_TOKEN = {"cls": "first", "last": "last"}
"""Poolings that take one token's vector, and which."""


def _embed(model: Model) -> Ability:
    if model.tokenizer is None:
        return Ability(False, "it came without a tokenizer")
    if _unordered(model):
        return Ability(False, _unordered(model))
    knows = informed(model.mask, model.config.positions)
    unfit = {
        pooling: f"under {model.mask} the {token} token does not see the whole text"
        for pooling, token in _ONE_TOKEN.items()
        if not knows[token]
    }
    if cls_is_last(model.tokenizer):
        unfit["cls"] = f"its {model.tokenizer.special.cls} is the last token"
    good = ", ".join(pooling for pooling in ("mean", "cls", "last", "max") if pooling not in unfit)
    bad = "".join(f"; not {pooling}: {why}" for pooling, why in unfit.items())
    made = model.embedding
    meant = "" if made is None else f" (made for {made.pooling}{', length 1' if made.normalize else ''})"
    return Ability(True, f"one vector a text, by pooling {good}{meant}{bad}")


def _row_token(name: str) -> Callable[[Model], str | None]:
    """Which token a head of the whole row reads; None for one that reads them all."""

    def token(model: Model) -> str | None:
        pooling = str(model.heads[name].pooling)
        return None if pooling == "mean" else pooling

    return token


_READS = {"classifier": _row_token("classifier"), "next_sentence": _row_token("next_sentence")}


def _head(name: str, gives: Callable[[Model], str]) -> Callable[[Model], Ability]:
    """An ability that is one head's: `model.head(name)`. A head on one token needs a mask that informs it."""

    def ability(model: Model) -> Ability:
        if name not in model.heads:
            return Ability(False, "it has no head for this")
        reads = _READS.get(name)
        where = None if reads is None else reads(model)
        if where is not None and not informed(model.mask, model.config.positions)[where]:
            how = f"its head reads the {where} token, which under {model.mask} does not see the whole text"
            return Ability(False, how)
        return Ability(True, f'{gives(model)}, by head("{name}")')

    return ability


def count_labels(model: Model) -> int | None:
    """How many classes the classifier or tagger tells apart; None where there is neither."""
    head = next((model.heads[name] for name in ("classifier", "tagger") if name in model.heads), None)
    return None if head is None else int(head.output.out_features)  # type: ignore[union-attr, arg-type]


def _labels(model: Model) -> str:
    count, names = count_labels(model), model.labels or ()
    shown = and_more(names)
    return f"{count} labels" + (f" ({shown})" if shown else "")


_VERBS: dict[str, Callable[[Model], Ability]] = {
    "fill": _fill,
    "generate": _generate,
    "embed": _embed,
    "score": _score,
    "classify": _head(
        "classifier", lambda model: "a number for a text" if model.regression else f"a text into {_labels(model)}"
    ),
    "tag": _head("tagger", lambda model: f"every token with one of {_labels(model)}"),
    "answer": _head("span", lambda model: "start and end of an answer within a text"),
    "next_sentence": _head("next_sentence", lambda model: "whether one text follows another"),
}


def abilities(model: Model) -> dict[str, Ability]:
    """For every verb whether the model can do it, and by which way, or why not.

    >>> print(abilities(model)["fill"])  # doctest: +SKIP
    from what stands on both sides of the blank
    """
    return {verb: ability(model) for verb, ability in _VERBS.items()}
