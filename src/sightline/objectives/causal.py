"""Causal language modelling: at each token, the one that comes after it.

    Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", section 3.1, equation 1.

Asks the head "lm". Shapes: B rows, T tokens, N targets that are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sightline.errors import InputError
from sightline.model.model import Model
from sightline.networks.adaptive import AdaptiveSoftmax
from sightline.networks.heads import LMHead
from sightline.objectives.objective import Batch, Term

NOT_ASKED = -100
"""The target of a token at which nothing is asked."""


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

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The one term, `loss`, in nats."""
        found, _ = log_probs(model, batch)
        return {"loss": Term(sum=-found.sum(), count=float(len(found)))}
