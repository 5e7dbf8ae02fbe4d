"""Mask-predict: how a masked model writes. All blanks at once, then the least certain ones again, round by round.

    Ghazvininejad et al. 2019, "Mask-Predict: Parallel Decoding of Conditional Masked Language Models", section 3.

Shapes: T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sightline.core.check import whole
from sightline.decoding.rows import tokenizer_of
from sightline.decoding.sampling import Sampling, draw, warp
from sightline.errors import InputError, UnsupportedError

if TYPE_CHECKING:
    from sightline.model.model import Model


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

    They are the model's own, over the whole vocabulary; only that special tokens, which are no words, have −inf.
    """
    with torch.no_grad():
        out = model(ids)
        logits = model.logits(out.last_hidden_state[:, places.to(model.device)])
    log_probs = logits.float().cpu().log_softmax(-1)
    log_probs[..., sorted(tokenizer_of(model).special.ids)] = -torch.inf
    return log_probs


def mask_id(model: Model) -> int:
    """The id of the mask token; UnsupportedError for a model that was never taught to fill one."""
    found = None if model.tokenizer is None else model.tokenizer.special.mask_id
    if found is None or "lm" not in model.heads:
        raise UnsupportedError(
            f"this {model.layout.model_type} fills no blanks: it has no mask token, or no head for one;"
            " use a masked model such as BERT, or generate, which continues text"
        )
    return found


def predict(model: Model, prompt: list[int], blanks: int, how: MaskPredict, sampling: Sampling) -> Iterator[Round]:
    """Fill `blanks` places after the prompt; yields the state after every round."""
    tokenizer, blank = tokenizer_of(model), mask_id(model)
    end = [] if tokenizer.special.sep_id is None else [tokenizer.special.sep_id]
    if len(prompt) + blanks + len(end) > model.config.positions:
        raise InputError(
            f"{len(prompt)} tokens and {blanks} blanks are more than this model's {model.config.positions} positions;"
            " ask for fewer"
        )
    ids = torch.tensor([[*prompt, *([blank] * blanks), *end]])
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
