"""Causal language modelling: at each token, the one that comes after it.

    Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", section 3.1, equation 1.

Asks the head "lm". Shapes: B rows, T tokens, N targets that are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy
from torch import Tensor

from sightline.errors import InputError
from sightline.model.model import Model
from sightline.networks.adaptive import AdaptiveSoftmax
from sightline.networks.heads import LMHead
from sightline.objectives.objective import Batch, Term
from sightline.objectives.text import NOT_ASKED, TextRows
from sightline.text.words import Words


def lm_head(model: Model) -> LMHead | AdaptiveSoftmax:
    """The head "lm"; InputError for one that gives no log-probabilities of targets."""
    head = model.head("lm")
    if not isinstance(head, LMHead | AdaptiveSoftmax):
        raise InputError(f"a language model's head is an LMHead or an AdaptiveSoftmax, not {type(head).__name__}")
    return head


def log_probs(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N,) of the targets that are asked, in float32 at least, and which those are, bool (B, T).

    Where the batch brings a memory, it answers for earlier tokens and remembers these.
    """
    hidden = model(**batch.inputs, cache=batch.memory).last_hidden_state
    targets = batch.targets.to(hidden.device, non_blocking=True)
    asked = targets != NOT_ASKED
    return lm_head(model).log_prob(hidden[asked], targets[asked]), asked


@dataclass(frozen=True, kw_only=True)
class CausalLM:
    """Cross-entropy of the next tokens; targets are their ids, int64 (B, T), NOT_ASKED where there is none.

    That nobody looks ahead is the model's mask, and no business of the objective.

    >>> CausalLM().counts(batch)  # doctest: +SKIP
    {'loss': 2048.0}
    """

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How many targets are asked."""
        return {"loss": float((batch.targets != NOT_ASKED).sum())}

    def batches(self, rows: TextRows, words: Words, random: numpy.random.Generator, done: float) -> list[Batch]:
        """The rows as they are, each token followed by the next of its document."""
        return [Batch(inputs=rows.inputs, targets=rows.following, rows=rows.numbers, tokens=rows.tokens)]

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The one term, `loss`, in nats."""
        found, _ = log_probs(model, batch)
        return {"loss": Term(sum=-found.sum(), count=float(len(found)))}
