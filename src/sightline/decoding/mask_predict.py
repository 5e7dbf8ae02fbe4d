"""Mask-predict: how a masked model writes. All blanks at once, then the least certain ones again, round by round.

    Ghazvininejad et al. 2019, "Mask-Predict: Parallel Decoding of Conditional Masked Language Models", section 3.

Shapes: T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sightline.core.check import whole
from sightline.decoding.rows import learned_both_sides
from sightline.decoding.sampling import Sampling, draw, warp
from sightline.errors import InputError, UnsupportedError
from sightline.model.model import Model, tokenizer_of


@dataclass(frozen=True, kw_only=True)
class MaskPredict:
    """How often to look again: in round r of R, the R − r of every R tokens that are least certain are masked anew."""

    rounds: int = 10

    def __post_init__(self) -> None:
        whole("rounds", self.rounds)


@dataclass(frozen=True)
class Round:
    """What stands in the blanks after a round: tokens, and the log-probability that each had when it was chosen."""

    tokens: list[int]
    log_probs: list[float]


def masked_log_probs(model: Model, ids: Tensor, places: Tensor) -> Tensor:
    """Log-probabilities at `places` (P,) of each row of ids (B, T): (B, P, V), on the host.

    They are the model's own, over the whole vocabulary; only that what is no word, such as a special token, has −inf.
    """
    with torch.no_grad():
        logits = model.logits(_states(model, ids, places.to(model.device)))
    log_probs = logits.float().cpu().log_softmax(-1)
    return log_probs.masked_fill(~_words(model), -torch.inf)


def _states(model: Model, ids: Tensor, places: Tensor) -> Tensor:
    """What stands for a blank at each place, (B, P, W): the state of the mask token that holds it, or of the token
    before it where the model answers there, or in a network of two streams that of a target, while nobody sees what
    holds the place of a blank."""
    if model.shifted and bool((places == 0).any()):
        raise InputError("this model answers a blank at the token before it, and none stands before the first")
    if not model.layout.two_streams:
        return model(ids).last_hidden_state[:, places - 1 if model.shifted else places]
    tokens = ids.shape[1]
    hidden = (ids == mask_id(model))[:, None].expand(-1, tokens, -1)
    mapping = torch.nn.functional.one_hot(places.cpu(), tokens)[None].expand(len(ids), -1, -1)
    return model(ids, perm_mask=hidden, target_mapping=mapping).last_hidden_state


def _words(model: Model) -> Tensor:
    """Which tokens stand for text, bool (V,): neither special, nor rows of the vocabulary that no token has."""
    tokenizer = tokenizer_of(model)
    words = torch.arange(model.config.vocabulary) < len(tokenizer)
    words[[token for token in tokenizer.special.ids if token < len(words)]] = False
    return words


def mask_id(model: Model) -> int:
    """The id of the mask token; UnsupportedError for a model that cannot fill one."""
    kind = model.layout.model_type
    if model.tokenizer is None:
        raise UnsupportedError(
            f"this {kind} came without a tokenizer, which knows the mask token; load it from a folder that has one"
        )
    if model.tokenizer.special.mask_id is None:
        raise UnsupportedError(
            f"this {kind} fills no blanks: its tokenizer has no mask token; use a masked model such as BERT, or"
            " generate, which continues text"
        )
    if "lm" not in model.heads:
        raise UnsupportedError(
            f"this {kind} has no head that fills blanks; load a checkpoint of masked language modelling, such as"
            " bert-base-uncased"
        )
    if not learned_both_sides(model):
        raise UnsupportedError(
            f"this {kind} was trained under the mask {model.trained_mask}: at a blank it expects the word after it, not"
            " the one that is missing; use generate, which continues text"
        )
    return model.tokenizer.special.mask_id


def longest(model: Model, prompt: Sequence[int]) -> int:
    """How many blanks fit after the prompt; InputError where none does."""
    room: int = model.config.positions - len(prompt) - len(tokenizer_of(model).closing)
    if room < 1:
        raise InputError(
            f"the prompt's {len(prompt)} tokens leave no place for a blank among this model's {model.config.positions}"
            " positions; shorten it"
        )
    return room


def predict(model: Model, prompt: Sequence[int], blanks: int, how: MaskPredict, sampling: Sampling) -> Iterator[Round]:
    """Fill `blanks` places after the prompt; yields the state after every round."""
    blank = mask_id(model)
    if blanks > longest(model, prompt):
        raise InputError(
            f"{len(prompt)} tokens and {blanks} blanks are more than this model's {model.config.positions} positions;"
            f" ask for at most {longest(model, prompt)} blanks"
        )
    ids = torch.tensor([[*prompt, *([blank] * blanks), *tokenizer_of(model).closing]])
    places = torch.arange(len(prompt), len(prompt) + blanks)
    die = torch.Generator().manual_seed(sampling.seed)
    certain = torch.full((blanks,), -torch.inf)
    again = torch.arange(blanks)
    for number in range(1, how.rounds + 1):
        ids[0, places[again]] = blank
        log_probs = masked_log_probs(model, ids, places[again])[0]
        if sampling.temperature == 0:
            chosen = log_probs.argmax(-1)
        else:
            chosen = draw(warp(log_probs, sampling), torch.rand(len(again), generator=die, dtype=torch.float64))
        ids[0, places[again]] = chosen
        certain[again] = log_probs.gather(1, chosen[:, None])[:, 0]
        yield Round(ids[0, places].tolist(), certain.tolist())
        count = blanks * (how.rounds - number) // how.rounds
        if count == 0:
            return
        again = certain.topk(count, largest=False).indices.sort().values
