"""Rows: prompts as token ids, and a batch of growing rows with the cache that spares recomputing them.

Shapes: R rows, T tokens, W width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sightline.core.cache import KeyValueCache
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Causal, Mask, Prefix
from sightline.errors import InputError, UnsupportedError
from sightline.model.model import Model, tokenizer_of
from sightline.networks.heads import pick

Prompts = str | Iterable[str] | Iterable[Sequence[int]]
BLOCK = 1024  # tokens whose sight is looked at together: a table of all of a long text's would not fit


def prompt_ids(model: Model, prompts: Prompts) -> list[list[int]]:
    """Every prompt as ids; texts start as the model expects and are left open at the end.

    Raises InputError for what is no prompt, for one that is empty and for one that leaves no position to go on at.
    """
    if isinstance(prompts, Mapping | bytes) or not isinstance(prompts, Iterable):
        raise InputError(
            f"a prompt cannot be of type {type(prompts).__name__}; give a text, several texts, or lists of token ids"
        )
    given = [prompts] if isinstance(prompts, str) else list(prompts)
    if not given:
        raise InputError("there is no prompt; give a text or a list of texts")
    return [_ids(model, prompt, f"prompt {number}") for number, prompt in enumerate(given, start=1)]


def _ids(model: Model, prompt: object, name: str) -> list[int]:
    """One prompt as ids that the model can take and go on from."""
    vocabulary, positions = model.config.vocabulary, model.config.positions
    if isinstance(prompt, str):
        ids = tokenizer_of(model).prompt(prompt)
    elif isinstance(prompt, Sequence) and all(type(token) is int for token in prompt):
        ids = list(prompt)
    else:
        raise InputError(
            f"{name}, of type {type(prompt).__name__}, is neither a text nor a list of whole numbers; write token ids"
            " as [[464, 3290]], a list for each prompt, without padding (tensor.tolist() makes one)"
        )
    if not ids:
        raise InputError(f"{name} is empty; give it at least one token")
    wrong = [token for token in ids if not 0 <= token < vocabulary]
    if wrong:
        raise InputError(
            f"{name} has token id {wrong[0]}, outside the vocabulary of {vocabulary}; is it another model's tokenizer?"
        )
    if len(ids) >= positions:
        raise InputError(
            f"{name} has {len(ids)} tokens and this model {positions} positions: nothing could follow; shorten it"
        )
    return ids


def check_can_answer(model: Model) -> None:
    """Raise UnsupportedError for a model whose answer would be random.

    A view made by `with_mask` shares its network with others, so that the network is asked and not the view.
    """
    if any(module.training for module in model.network.modules()):
        raise UnsupportedError("the model is in training mode, where dropout makes answers random; call model.eval()")


def check_unordered(model: Model) -> None:
    """Raise UnsupportedError where the mask reads what a text that is read at once does not have."""
    for leaf in model.mask.leaves():
        if leaf.reads:
            raise UnsupportedError(
                f"the mask {model.mask} reads each token's {leaf.reads}, and a text alone has none; look through"
                " another, such as causal"
            )


def reads_ranks(mask: Mask) -> bool:
    """Whether the mask goes by an order, so that tokens need a place in it."""
    return any(leaf.reads == "rank" for leaf in mask.leaves())


def learned_both_sides(model: Model) -> bool:
    """Whether the weights were trained to look ahead too, so that what stands at a blank predicts the blank itself.

    A model that was trained to look back only predicts there the token after the blank.
    """
    return any(looks_ahead(mask) for mask in model.trained_masks)


def looks_ahead(mask: Mask) -> bool:
    """Whether a token may see one behind it."""
    pair = Coordinates.consecutive(2)
    return reads_ranks(mask) or bool(mask.table(pair, pair)[0, 0, 1])


def as_taught(model: Model, *, ahead: bool) -> Model:
    """A hybrid looking through that of its masks under which it learned to look ahead, or back; others as they are."""
    if len(model.trained_masks) < 2 or model.mask not in model.trained_masks:
        return model
    fit = [mask for mask in model.trained_masks if looks_ahead(mask) == ahead]
    return model.with_mask(fit[0]) if fit else model


def _growing(prompt: int, length: int) -> Coordinates:
    """A text of `length` tokens in the order in which it becomes known: the prompt at once, then token by token."""
    rank = (torch.arange(length) + 1 - prompt).clamp(min=0)
    return replace(Coordinates.consecutive(length), rank=rank[None])


def looks_back(mask: Mask, prompt: int, length: int) -> bool:
    """Whether what a token sees never changes once it was read, in a text that grows from `prompt` to `length`.

    Within the prompt anything goes, since it is read at once; beyond it nobody may look ahead.
    """
    if any(isinstance(part, Causal) for part in mask.conjuncts()):
        return True
    at = _growing(prompt, length)
    for begin in range(prompt, length, BLOCK):
        later = at.slice(begin, min(begin + BLOCK, length))
        if bool((mask.table(at, later) & (later.position > at.position.mT)).any()):
            return False
    return True


def check_can_continue(mask: Mask, prompt: int, length: int) -> None:
    """Raise UnsupportedError unless what a token sees never changes once it was read: then a cache is exact."""
    if looks_back(mask, prompt, length):
        return
    prefix = max((leaf.size for leaf in mask.leaves() if isinstance(leaf, Prefix)), default=0)
    if prefix > prompt:
        raise UnsupportedError(
            f"the mask {mask} shows everyone the first {prefix} tokens, and a prompt has only {prompt}; give"
            f" prompts of at least {prefix} tokens, or look through permuted, where each prompt is its own prefix"
        )
    raise UnsupportedError(
        f"under the mask {mask} tokens see what comes after them, so text cannot grow word by word; use the method"
        " mask-predict (all blanks at once), or look through the mask causal (the past only)"
    )


class Rows:
    """A batch of rows that grow by a token at a time, each by `limit` tokens or up to its last position.

    What comes next is what the last token's state says, or in a network of two streams what a target says that is asked
    at the place behind it. Where tokens see what comes after them, earlier states change with every new one, and no
    cache could be exact: then each step reads the rows anew.

    Where the mask goes by an order, it is the one in which tokens become known: all of a prompt has rank 0, what
    follows 1, 2, … So under `Permuted()` each prompt is a prefix that is seen whole, as long as it happens to be.

    logits  (R, V): of what comes next in each row
    """

    def __init__(self, model: Model, prompts: Sequence[Sequence[int]], limit: int) -> None:
        self.model = model
        self.ordered, self.grown = reads_ranks(model.mask), 0
        lengths = [len(prompt) for prompt in prompts]
        width, shortest = max(lengths), min(lengths)
        longest = min(width + limit, model.config.positions)
        exact = looks_back(model.mask, shortest, longest)
        self.cache = KeyValueCache(capacity=width + min(limit, model.config.positions - shortest)) if exact else None
        self.ids = torch.zeros(len(prompts), width, dtype=torch.long)
        self.real = torch.zeros(len(prompts), width, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            self.ids[row, width - len(prompt) :] = torch.tensor(prompt)
            self.real[row, width - len(prompt) :] = 1
        self.logits = self._ask(self.ids, self.real)

    def _ask(self, ids: Tensor, real: Tensor | None) -> Tensor:
        """What comes next, given the tokens that the cache does not know yet."""
        known = torch.arange(ids.shape[1]) + 1 + self.grown - ids.shape[1]
        ranks = known.clamp(min=0)[None] if self.ordered else None
        behind = self.real.sum(-1, keepdim=True) if self.model.layout.two_streams else None
        with torch.no_grad():
            out = self.model(ids, real, cache=self.cache, ranks=ranks, targets=behind)
            return self.model.logits(pick(out.last_hidden_state, out.coordinates, "last"))

    def feed(self, tokens: Tensor) -> None:
        """Append a token to each row, int64 (R,), and ask what comes next."""
        self.grown += 1
        self.ids = torch.cat([self.ids, tokens[:, None].to(self.ids.device)], 1)
        self.real = torch.cat([self.real, torch.ones_like(self.real[:, :1])], 1)
        self.logits = self._ask(self.ids, self.real) if self.cache is None else self._ask(tokens[:, None], None)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only, in this order; a row may be named more than once."""
        if self.cache is not None:
            self.cache.reorder(rows)
        here = rows.to(self.ids.device)
        self.ids, self.real = self.ids.index_select(0, here), self.real.index_select(0, here)
        self.logits = self.logits.index_select(0, rows)
