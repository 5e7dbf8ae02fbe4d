"""How likely the tokens of a text are, each given those that come before it in an order: what XLNet is trained for.

    Yang et al. 2019, "XLNet", section 2.2: log p(x) = Σₜ log p(xₜ | those before it), whatever the order is.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sightline.core.mask import Permuted
from sightline.decoding.rows import check_can_answer
from sightline.errors import InputError, UnsupportedError
from sightline.networks.heads import LMHead

if TYPE_CHECKING:
    from sightline.model.model import Model


def order_states(model: Model, input_ids: Tensor, ranks: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """What a network of two streams says at each token from those of lower rank alone, (B, T, W).

    Arguments are as in `order_log_probs`, `ranks` (B, T) an order; nothing is checked.
    """
    every = torch.eye(input_ids.shape[1])[None].expand(len(input_ids), -1, -1)
    through = model.with_mask(Permuted())
    return through(input_ids, attention_mask, ranks=ranks, target_mapping=every).last_hidden_state


def order_log_probs(
    model: Model, input_ids: Tensor, ranks: Tensor | None = None, attention_mask: Tensor | None = None
) -> Tensor:
    """Log-probability of each token given those of lower rank: (B, T), in nats; 0 for what is given and for padding.

    input_ids       (B, T)
    ranks           (B, T) or (1, T), places in the order: 0 for tokens that are given and not asked, all seen by all;
                    others 1 or more, each once in a row. Default: from left to right, nothing given
    attention_mask  (B, T), 1 real and 0 padding

    A row's sum is the log-likelihood of its text in this order. Raises UnsupportedError for a network of one stream,
    which knows each token that it is asked about, and InputError for ranks that are no order.

        order_log_probs(load("xlnet-base-cased"), ids).sum(-1)
    """
    if not model.layout.two_streams:
        raise UnsupportedError(
            f"this {model.layout.model_type} has one stream, which knows the token it is asked about; an order's"
            " likelihood needs two, as XLNet has"
        )
    check_can_answer(model)
    head = model.head("lm")
    if not isinstance(head, LMHead):
        raise TypeError(f"an LM head is an LMHead, not {type(head).__name__}")
    real = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    order = real.long().cumsum(-1) if ranks is None else ranks.expand_as(input_ids)
    _check_order(order, real)
    with torch.no_grad():
        states = order_states(model, input_ids, order, attention_mask)
        found = head.log_prob(states, input_ids.to(model.device))
    return found * (real & (order > 0)).to(found)


def _check_order(ranks: Tensor, real: Tensor) -> None:
    """Raise InputError for ranks below 0, and for one above 0 that two tokens of a row share."""
    if bool((ranks < 0).any()):
        raise InputError("ranks start at 0, for tokens that are given, and one is below; count from 1")
    counted = torch.where(real & (ranks > 0), ranks, -1 - torch.arange(ranks.shape[1]))  # others differ from all
    ordered = counted.sort(-1).values
    if bool((ordered[:, 1:] == ordered[:, :-1]).any()):
        raise InputError(
            "two tokens of a row share a rank above 0, so neither comes before the other; give each its own"
        )
