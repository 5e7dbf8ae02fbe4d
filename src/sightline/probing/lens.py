"""The logit lens: what each layer's hidden states would say if they were the last.

    nostalgebraist 2020, "interpreting GPT: the logit lens": each state goes through the network's final norm, where it
    has one, and through its head over the vocabulary.

A masked model reads each token itself, so that its states say mostly what stands there; with each token hidden in turn
they say what the model would expect. A network of two streams is asked without knowing the token anyway.

Shapes: B rows, L layers (the embeddings are one more), T tokens, N asked, W width, V vocabulary, K words shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sightline.core.block import Stack
from sightline.decoding.mask_predict import mask_id
from sightline.decoding.rows import learned_both_sides
from sightline.model.model import Model

ROWS = 8  # read at once where each token is hidden in turn
NEXT, READ, HIDDEN = "what comes next", "what stands here, as it was read", "what stands here, hidden from the model"


@dataclass(frozen=True, kw_only=True, eq=False)
class Lens:
    """The likeliest words at some places of a text, layer by layer.

    asks           what a state is taken to say: NEXT, READ or HIDDEN
    places         the tokens that are asked at, N
    words          int64 (L + 1, N, K): the likeliest tokens, best first; row 0 are the embeddings
    probabilities  (L + 1, N, K): theirs
    truth          what really stands, or comes, there: int64 (N), −1 where nobody knows
    of_truth       (L + 1, N): its probability, 0 where nobody knows it
    """

    asks: str
    places: tuple[int, ...]
    words: Tensor
    probabilities: Tensor
    truth: Tensor
    of_truth: Tensor


def says_next(model: Model) -> bool:
    """Whether a token's state says what comes after it, where others' say what stands there."""
    return not model.layout.two_streams and (model.shifted or not learned_both_sides(model))


def _final_norm(model: Model) -> tuple[list[nn.Module], list[torch.utils.hooks.RemovableHandle]]:
    """A list that will hold what the network applies after its last block, once it has run, and hooks to be removed."""
    found: list[nn.Module] = []

    def look(stack: nn.Module, given: tuple[object, ...], named: dict[str, object]) -> None:
        norm = named.get("norm")
        found.append(norm if isinstance(norm, nn.Module) else nn.Identity())

    stacks = [module for module in model.network.modules() if isinstance(module, Stack)]
    return found, [stack.register_forward_pre_hook(look, with_kwargs=True) for stack in stacks]


def _states(model: Model, ids: Tensor, *, unseen: Tensor | None = None, targets: Tensor | None = None) -> list[Tensor]:
    """Hidden states before the first block and after each, L + 1 of (B, T, W), each through the final norm.

    unseen, targets  for two streams: whom nobody sees (B, T, T), and where is asked (B, N, T); then (B, N, W)
    """
    norms, handles = _final_norm(model)
    try:
        out = model(ids, hidden_states=True, perm_mask=unseen, target_mapping=targets)
    finally:
        for handle in handles:
            handle.remove()
    asked = out.last_hidden_state.shape[1]
    states = list(out.hidden_states or ())
    return [*(norms[0](state[:, -asked:]) for state in states[:-1]), *states[-1:]]


def _said(model: Model, states: list[Tensor], truth: Tensor, top: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of states (N, W) of every layer: the likeliest words, their probabilities, and that of the truth."""
    words, probabilities, of_truth = [], [], []
    known = truth.clamp(min=0).to(states[0].device)
    for state in states:
        each = model.logits(state[None])[0].float().softmax(-1)
        best = each.topk(min(top, each.shape[-1]), dim=-1)
        words.append(best.indices.cpu())
        probabilities.append(best.values.cpu())
        of_truth.append(torch.where(truth >= 0, each.gather(1, known[:, None])[:, 0].cpu(), 0.0))
    return torch.stack(words), torch.stack(probabilities), torch.stack(of_truth)


def lens(model: Model, ids: Tensor, top: int = 5) -> Lens:
    """What each layer says at every token of ids (1, T), read as they are.

    Raises UnsupportedError for a model without a head over the vocabulary.
    """
    model.head("lm")
    tokens = ids.shape[1]
    with torch.no_grad():
        states = [state[0] for state in _states(model, ids)]
        after = torch.cat([ids[0, 1:], torch.tensor([-1])])
        truth = after if says_next(model) else ids[0].clone()
        words, probabilities, of_truth = _said(model, states, truth, top)
    return Lens(
        asks=NEXT if says_next(model) else READ,
        places=tuple(range(tokens)),
        words=words,
        probabilities=probabilities,
        truth=truth,
        of_truth=of_truth,
    )


def hidden_lens(model: Model, ids: Tensor, places: tuple[int, ...], top: int = 5) -> Lens:
    """What each layer says at `places` of ids (1, T), each token hidden behind the mask token in a row of its own.

    Raises UnsupportedError for a model that fills no blanks.
    """
    blank, before = mask_id(model), int(model.shifted)
    places = tuple(place for place in places if place >= before)
    asked = torch.tensor(places)
    rows = ids.repeat(len(places), 1)
    truth = torch.where(rows[torch.arange(len(places)), asked] == blank, -1, rows[torch.arange(len(places)), asked])
    rows[torch.arange(len(places)), asked] = blank
    found: list[list[Tensor]] = []
    with torch.no_grad():
        for some, own in zip(rows.split(ROWS), asked.split(ROWS), strict=True):
            found.append(_asked(model, some, own, blank))
        states = [torch.cat(layer) for layer in zip(*found, strict=True)]
        words, probabilities, of_truth = _said(model, states, truth, top)
    return Lens(
        asks=HIDDEN,
        places=places,
        words=words,
        probabilities=probabilities,
        truth=truth,
        of_truth=of_truth,
    )


def _asked(model: Model, rows: Tensor, places: Tensor, blank: int) -> list[Tensor]:
    """The states (B, W) of every layer that stand for the blank of each row (B, T), which is at its place (B)."""
    count, tokens = rows.shape
    if model.layout.two_streams:  # nobody sees what holds the place of a blank, and a target asks there
        unseen = (rows == blank)[:, None].expand(-1, tokens, -1)
        mapping = torch.nn.functional.one_hot(places, tokens)[:, None]
        return [state[:, 0] for state in _states(model, rows, unseen=unseen, targets=mapping)]
    at = places - int(model.shifted)
    return [state[torch.arange(count), at] for state in _states(model, rows)]
