"""What objectives of language share: the head "lm", asked at the tokens at which something is asked.

    z-loss: Chowdhery et al. 2022, "PaLM", section 5.

Shapes: B rows, T tokens, W width, N targets that are asked, K tokens of a row that are wanted.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.model.model import Model
from sightline.networks.adaptive import AdaptiveSoftmax
from sightline.networks.heads import LMHead
from sightline.objectives.objective import Batch, Term
from sightline.objectives.text import NOT_ASKED


def lm_head(model: Model) -> LMHead | AdaptiveSoftmax:
    """The head "lm"; InputError for one that gives no log-probabilities of targets."""
    head = model.head("lm")
    if not isinstance(head, LMHead | AdaptiveSoftmax):
        raise InputError(f"a language model's head is an LMHead or an AdaptiveSoftmax, not {type(head).__name__}")
    return head


def asked_of(hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden states (N, W) of the tokens at which something is asked, and the targets (N,) there, on their device.

    Which these are is read on the host, where targets (B, T) lie: nobody waits for the device.
    """
    index = (targets != NOT_ASKED).flatten().nonzero()[:, 0]
    states = hidden.flatten(0, 1).index_select(0, index.to(hidden.device, non_blocking=True))
    return states, targets.flatten()[index].to(hidden.device, non_blocking=True)


def log_probs(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N,) of the targets that are asked, in float32 at least, and which those are, bool (B, T).

    Only these tokens' states go through the head. Where the batch brings a memory, it answers for earlier tokens and
    remembers these.
    """
    hidden = model(**batch.inputs, cache=batch.memory).last_hidden_state
    return lm_head(model).log_prob(*asked_of(hidden, batch.targets)), batch.targets != NOT_ASKED


def asked_counts(targets: Tensor, name: str = "loss", z_loss: float = 0.0) -> dict[str, float]:
    """How many targets the terms of `asked_terms` have."""
    asked = float((targets != NOT_ASKED).sum())
    return {name: asked, f"{name}_z": asked} if z_loss else {name: asked}


def asked_terms(
    model: Model, hidden: Tensor, targets: Tensor, name: str = "loss", *, weight: float = 1.0, z_loss: float = 0.0
) -> dict[str, Term]:
    """The cross-entropy of the targets (B, T) that are asked of hidden states (B, T, W), in nats, as the term `name`.

    With a `z_loss`, which is its weight, there is a term `name_z` too: the square of the logits' log Σ exp, which keeps
    them from drifting away together. UnsupportedError for a head that has no such sum over all its vocabulary.
    """
    head, (states, wanted) = lm_head(model), asked_of(hidden, targets)
    count = float(len(wanted))
    if not z_loss:
        return {name: Term(sum=-head.log_prob(states, wanted).sum(), count=count, weight=weight)}
    if not isinstance(head, LMHead):
        raise UnsupportedError(f"z_loss={z_loss} needs logits over one vocabulary, and this head cuts it; leave it out")
    found, normalizer = head.log_prob_and_normalizer(states, wanted)
    return {
        name: Term(sum=-found.sum(), count=count, weight=weight),
        f"{name}_z": Term(sum=normalizer.square().sum(), count=count, weight=weight * z_loss),
    }


def asked_alone(targets: Tensor, asked: Tensor) -> tuple[Tensor, Tensor] | None:
    """Which tokens of each row are asked, int64 (B, K), and the targets (B, K) there; None where a row has so many that
    leaving out the others saves little.

    Rows that have fewer are filled up with their first token, of which nothing is asked. K is a multiple of an eighth
    of the row, so that it seldom differs from step to step: compiled code likes that.

    targets  (B, T), on the host
    asked    bool (B, T): which tokens are wanted, those with a target among them
    """
    rows, tokens = asked.shape
    part = -(-tokens // 8)
    many = -(-max(int(asked.sum(1).max()), 1) // part) * part
    if 2 * many > tokens:
        return None
    index = torch.zeros(rows, many, dtype=torch.long)
    row, token = asked.nonzero(as_tuple=True)
    index[row, asked.cumsum(1)[row, token] - 1] = token
    repeated = (index == 0) & (torch.arange(many) > 0)
    return index, targets.gather(1, index).masked_fill(repeated, NOT_ASKED)


def language_terms(
    model: Model, batch: Batch, name: str = "loss", *, weight: float = 1.0, z_loss: float = 0.0, few: bool = False
) -> dict[str, Term]:
    """The forward pass, and `asked_terms` of it. Where the batch brings a memory, it answers for earlier tokens and
    remembers these.

    few  whether to look if few tokens are asked, so that these alone need go through the last layer
    """
    alone = asked_alone(batch.targets, batch.targets != NOT_ASKED) if few else None
    if alone is None:
        hidden, targets = model(**batch.inputs, cache=batch.memory).last_hidden_state, batch.targets
    else:
        index, targets = alone
        hidden = model(**batch.inputs, cache=batch.memory, only=index).last_hidden_state
    return asked_terms(model, hidden, targets, name, weight=weight, z_loss=z_loss)


def check_z_loss(z_loss: float) -> None:
    """Raise ConfigError unless the weight is 0 or a small positive number."""
    if not 0 <= z_loss < 1:
        raise ConfigError(f"z_loss={z_loss} is the weight of a small term: 0 for none, or 1e-4 as PaLM has it")
