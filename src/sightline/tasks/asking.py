"""Asking a model for the probability of single tokens.

Rows of equal length go together, so that there is next to no padding, and only states that are asked reach the
vocabulary.

Shapes: N questions, B rows of a batch, T tokens, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.errors import UnsupportedError
from sightline.model.model import Model
from sightline.networks.adaptive import AdaptiveSoftmax
from sightline.objectives.language import lm_head
from sightline.tasks.asked import Questions, Within, as_they_stand, masked
from sightline.tasks.orders import order_states
from sightline.tasks.reading import Ids, View
from sightline.text.batches import by_length
from sightline.text.encoding import pad, real_tokens

Method = Literal["causal", "order", "pseudo"]
Progress = Callable[[float], object]

TOKENS_AT_ONCE = 2**21  # of the rows that are made together: a few tens of MB
LOGITS_AT_ONCE = 2**24


def in_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Rows that go together: of one length as far as they fill half a batch, what is left over by length and padded.

    >>> in_batches([3, 2, 3, 3, 2], 6)
    [[0, 2], [3], [1, 4]]
    """
    of_length: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        of_length.setdefault(length, []).append(index)
    full: list[list[int]] = []
    left: list[int] = []
    for length, same in sorted(of_length.items(), reverse=True):
        size = max(1, batch_tokens // max(1, length))
        for start in range(0, len(same), size):
            some = same[start : start + size]
            if 2 * len(some) >= size:
                full.append(some)
            else:
                left += some
    padded = by_length([lengths[index] for index in left], batch_tokens) if left else []
    return full + [[left[index] for index in batch] for batch in padded]


@dataclass(frozen=True, kw_only=True, eq=False)
class Asker:
    """A model, and how it is asked.

    blank  the mask token's id; None where nothing is hidden
    """

    model: Model
    method: Method
    within: Within
    blank: int | None
    batch_tokens: int

    def answer_place(self, place: NDArray[numpy.int64]) -> NDArray[numpy.int64]:
        """Where a model says what stands at a place: there, or at the token before it."""
        before = self.method == "causal" or (self.method == "pseudo" and self.model.shifted)
        return place - 1 if before else place

    def questions(self, views: Sequence[View]) -> Questions:
        """What is asked of the model, so that each asked token of the views has its answer, in their order."""
        return as_they_stand(views) if self.blank is None else masked(views, self.blank, self.within)

    def cost(self, view: View) -> int:
        """Tokens of the rows that a view makes."""
        return len(view.ids) * (1 if self.blank is None else view.asked)

    def groups(self, views: Sequence[View]) -> Iterator[list[View]]:
        """Views, cut where they ask for more, in groups that make at most TOKENS_AT_ONCE tokens."""
        group: list[View] = []
        room = TOKENS_AT_ONCE
        for whole in views:
            most = whole.asked if self.blank is None else max(1, TOKENS_AT_ONCE // len(whole.ids))
            for start in range(0, whole.asked, most):
                view = whole.part(start, start + most)
                if group and self.cost(view) > room:
                    yield group
                    group, room = [], TOKENS_AT_ONCE
                group.append(view)
                room -= self.cost(view)
        if group:
            yield group

    def states(self, rows: Sequence[Ids], given: NDArray[numpy.int64], only: Tensor | None) -> Tensor:
        """What the model says at each token of the rows, (B, T, W); or, where it can, at `only` these (B, N)."""
        lengths = [len(row) for row in rows]
        width = max(lengths)
        real = None
        if min(lengths) == width:
            ids = torch.from_numpy(numpy.stack(rows).astype(numpy.int64))
        else:
            ids, real = pad([row.tolist() for row in rows], width, 0, "right"), real_tokens(lengths, width, "right")
        if self.method == "order":
            ranks = (torch.arange(width) + 1 - torch.from_numpy(given)[:, None]).clamp(min=0)
            return order_states(self.model, ids, ranks, real)
        if not self.model.layout.two_streams:
            return self.model(ids, real, only=only).last_hidden_state
        # Nobody sees what holds the place of a blank; a place behind a row's end is none that can be asked.
        blanks = ids.eq(-1 if self.blank is None else self.blank)[:, None].expand(-1, width, -1)
        every = torch.minimum(torch.arange(width)[None], torch.tensor(lengths)[:, None] - 1)
        return self.model(ids, real, perm_mask=blanks, targets=every).last_hidden_state

    def _picked(
        self,
        rows: Sequence[Ids],
        given: NDArray[numpy.int64],
        counts: NDArray[numpy.int64],
        places: NDArray[numpy.int64],
    ) -> Tensor:
        """What the model says at places (N,) of rows, so many of each as `counts` says: (N, W).

        Where every row is asked at one place, as with hidden tokens, only that one goes through the last layer.
        """
        row = numpy.repeat(numpy.arange(len(rows)), counts)
        one = numpy.full(len(rows), -1)
        one[row] = places
        if not self.model.layout.two_streams and (one[row] == places).all():
            return self.states(rows, given, torch.from_numpy(one)[:, None])[torch.from_numpy(row), 0]
        states = self.states(rows, given, None)
        return states[torch.from_numpy(row), torch.from_numpy(places)]

    def answers(self, asked: Questions, progress: Progress, *, best: bool = False) -> NDArray[numpy.float64]:
        """Log-probabilities (N,) in nats; with `best`, whether each target is the likeliest token, as 1 or 0: (N, 2).

        progress is called with the share of the rows that is done.
        """
        once, where = asked.once()
        lengths = [len(row) for row in once.rows]
        bounds = numpy.searchsorted(once.row, numpy.arange(len(lengths) + 1))
        places, total, done = self.answer_place(once.place), sum(lengths), 0
        found = numpy.empty((len(once.row), 2))
        for batch in in_batches(lengths, self.batch_tokens):
            rows = [once.rows[index] for index in batch]
            mine = numpy.concatenate([numpy.arange(bounds[index], bounds[index + 1]) for index in batch])
            counts = bounds[1:][batch] - bounds[:-1][batch]
            picked = self._picked(rows, once.given[batch], counts, places[mine])
            found[mine] = self._looked_up(picked, torch.from_numpy(once.target[mine]), best)
            done += sum(lengths[index] for index in batch)
            progress(done / total)
        if numpy.isnan(found[:, 0]).any():
            raise UnsupportedError(
                "the model's answers are no numbers: its weights are damaged, or too large for their type; try"
                " dtype='float32'"
            )
        return found[where] if best else found[where, 0]

    def _looked_up(self, states: Tensor, targets: Tensor, best: bool) -> NDArray[numpy.float64]:
        """Log-probability of each target, states (N, W), and whether it is the likeliest: (N, 2)."""
        head, size = lm_head(self.model), max(1, LOGITS_AT_ONCE // self.model.config.vocabulary)
        found = numpy.zeros((len(targets), 2))
        for start in range(0, len(targets), size):
            some, wanted = states[start : start + size], targets[start : start + size].to(states.device)
            if isinstance(head, AdaptiveSoftmax) and not best:
                found[start : start + size, 0] = head.log_prob(some, wanted).cpu().double()
                continue
            logits = head(some)
            wide = logits if logits.dtype == torch.float64 else logits.float()  # bfloat16 cannot add up so many
            own = wide.gather(-1, wanted[:, None])[:, 0]
            found[start : start + size, 0] = (own - wide.logsumexp(-1)).cpu().double()
            if best:
                found[start : start + size, 1] = (logits.argmax(-1) == wanted).cpu()
        return found

    @torch.no_grad()
    def ask(self, views: Sequence[View], progress: Progress, *, best: bool = False) -> NDArray[numpy.float64]:
        """Of every asked token of the views, in their order, what `answers` gives."""
        groups = list(self.groups(views))
        whole, done, parts = sum(self.cost(view) for group in groups for view in group), 0, []
        for group in groups:
            cost = sum(self.cost(view) for view in group)
            at = done

            def shown(share: float, at: int = at, cost: int = cost) -> None:
                progress((at + share * cost) / whole)

            parts.append(self.answers(self.questions(group), shown, best=best))
            done += cost
        return numpy.concatenate(parts) if parts else numpy.zeros((0, 2) if best else 0)
