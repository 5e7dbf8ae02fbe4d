"""How a model is asked for the tokens of texts: by which method, through which mask, after what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy
import torch
from numpy.typing import NDArray

from sightline.decoding.mask_predict import mask_id
from sightline.decoding.rows import as_taught, check_can_answer, check_unordered, looks_ahead, looks_back
from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.model.model import Model, tokenizer_of
from sightline.objectives.language import lm_head
from sightline.tasks.asked import Within
from sightline.tasks.asking import Asker, Method, Progress
from sightline.tasks.encode import longest, usual_batch_tokens
from sightline.tasks.reading import AUTO, Reading, Windows, around
from sightline.tasks.scores import Kind, in_words
from sightline.text.tokenizer import Tokenizer

_LOOK = 64  # tokens of a text in which a mask is tried
_METHODS: dict[str, Method] = {name: name for name in get_args(Method)}
_WITHIN: dict[str, Within] = {name: name for name in get_args(Within)}


def _has_blank(model: Model) -> bool:
    return tokenizer_of(model).special.mask_id is not None


def method_of(model: Model, method: str | None = None) -> Method:
    """The method that was asked for, or the one that suits the model's mask."""
    if method is not None:
        if method not in _METHODS:
            raise ConfigError(f"method={method!r} is none; choose one of {', '.join(_METHODS)}")
        return _METHODS[method]
    if model.layout.two_streams:
        return "order"
    return "pseudo" if looks_ahead(model.mask) and _has_blank(model) else "causal"


def through(model: Model, method: Method) -> Model:
    """The model through the mask that it is to be asked under; UnsupportedError where it cannot be asked so."""
    kind = model.layout.model_type
    if method == "order":
        if not model.layout.two_streams:
            raise UnsupportedError(
                f"this {kind} has one stream, which knows the token it is asked about; method 'order' is for XLNet"
            )
        return model
    if method == "pseudo":
        if not _has_blank(model):
            raise UnsupportedError(
                f"this {kind} has no mask token to hide a token behind, which method 'pseudo' does; look through the"
                " mask causal and use method 'causal'"
            )
        model = as_taught(model, ahead=True)
        check_unordered(model)
        return model
    if model.layout.two_streams:
        raise UnsupportedError(
            f"this {kind} expects at each token the token itself, and not the next one; use method 'order'"
        )
    model = as_taught(model, ahead=False)
    check_unordered(model)
    if not looks_back(model.mask, 1, _LOOK):
        raise UnsupportedError(
            f"under the mask {model.mask} this {kind} sees the tokens that it would be asked for; use method 'pseudo'"
            " where it has a mask token, or look through the mask causal"
        )
    return model


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorer:
    """A model and all that decides how it scores. Made by `scorer`."""

    asker: Asker
    tokenizer: Tokenizer
    windows: Windows
    before: str

    @property
    def kind(self) -> Kind:
        """What its numbers are."""
        return "pseudo-log-likelihood" if self.asker.method == "pseudo" else "log-likelihood"

    @property
    def within_word(self) -> str | None:
        """What else is hidden while a piece of a word is asked; None where nothing is hidden."""
        return self.asker.within if self.asker.method == "pseudo" else None

    @property
    def how(self) -> str:
        """What is measured, in words."""
        return in_words(self.kind, self.asker.method, self.within_word, self.before)

    @property
    def settings(self) -> dict[str, str | int | None]:
        """All that decides the numbers beside the model and the texts."""
        return {
            "kind": self.kind,
            "method": self.asker.method,
            "within_word": self.within_word,
            "before": self.before,
            "after": " ".join(self.tokenizer.token(id) for id in self.windows.around.after),
            "room": self.windows.room,
            "stride": self.windows.stride,
        }

    def log_probs(self, read: Sequence[Reading], progress: Progress) -> list[NDArray[numpy.float64]]:
        """The log-probability of every token of each text, in nats; NaN for one that cannot be asked."""
        views = [view for owner, reading in enumerate(read) for view in self.windows.views(reading, owner)]
        found = self.asker.ask(views, progress)
        whole = [numpy.full(len(reading.ids), numpy.nan) for reading in read]
        at = 0
        for view in views:
            whole[view.owner][view.token : view.token + view.asked] = found[at : at + view.asked]
            at += view.asked
        return whole


def _batch_tokens(device: torch.device) -> int:
    """How many tokens to compute at once where nobody says: rows are equally long, so that a CPU is given more."""
    return usual_batch_tokens(device) * (2 if device.type == "cpu" else 1)


def scorer(
    model: Model,
    *,
    method: str | None = None,
    within_word: str = "l2r",
    bos: str = AUTO,
    max_length: int | None = None,
    stride: int | None = None,
    batch_tokens: int | None = None,
) -> Scorer:
    """What `score` makes of its arguments, checked: for those who score many times."""
    tokenizer = tokenizer_of(model)
    how = method_of(model, method)
    if within_word not in _WITHIN:
        raise ConfigError(f"within_word={within_word!r} is none; choose one of {', '.join(_WITHIN)}")
    view = through(model, how)
    lm_head(view)
    check_can_answer(view)
    before = how == "causal" or view.shifted
    outside = around(tokenizer, bos, first_needs=before, closed=how == "pseudo")
    room = longest(view, max_length) - len(outside.before) - len(outside.after)
    # Of a window that comes later, the first token is there for the second, where that is asked one place before.
    most = room - (how == "causal" or (view.shifted and not outside.before))
    if most < 1:
        raise InputError(f"max_length=… leaves {max(room, 0)} tokens for text; raise it")
    if stride is not None and not 1 <= stride <= most:
        raise InputError(f"stride={stride} cannot be; choose 1 to {most}, so that windows of {room} meet")
    return Scorer(
        asker=Asker(
            model=view,
            method=how,
            within=_WITHIN[within_word],
            blank=mask_id(view) if how == "pseudo" else None,
            batch_tokens=_batch_tokens(view.device) if batch_tokens is None else batch_tokens,
        ),
        tokenizer=tokenizer,
        windows=Windows(
            around=outside,
            room=room,
            stride=max(1, min(most, room // 2)) if stride is None else stride,
            both=how == "pseudo",
            lone=not before,
        ),
        before=" ".join(tokenizer.token(id) for id in outside.before),
    )
