"""Vocabularies cut by frequency: rare words get narrow vectors, and cost next to nothing when they are not the answer.

    Grave et al. 2017, "Efficient softmax approximation for GPUs" (the head); Baevski and Auli 2019, "Adaptive Input
    Representations for Neural Language Modeling" (the embedding). As Transformer-XL joins them.

Ids go by frequency, the most frequent first. The first cluster is the shortlist; the head chooses among its words and
the other clusters, and then among the words of that cluster: P(word) = P(cluster) · P(word | cluster).

Shapes: B batch, T tokens, N positions that are asked, W model width, V vocabulary, C clusters, E a cluster's width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from sightline.core.check import whole
from sightline.core.coordinates import Coordinates
from sightline.core.linear import Linear, PackedWeight, linear
from sightline.errors import ConfigError
from sightline.networks.embedding import Resized, TokenEmbedding


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """How a vocabulary is cut.

    vocabulary  V
    cutoffs     where a cluster ends and the next begins, ascending; none: one cluster, the plain softmax
    width       of the first cluster's vectors
    divisor     each further cluster's vectors are narrower by it; 1: all are equally wide and lie in one table

    >>> Clusters(vocabulary=100, cutoffs=(10, 40), width=16, divisor=4).widths
    (16, 4, 1)
    """

    vocabulary: int
    cutoffs: tuple[int, ...] = ()
    width: int
    divisor: int = 1

    def __post_init__(self) -> None:
        for name in ("vocabulary", "width", "divisor"):
            whole(name, getattr(self, name))
        if not isinstance(self.cutoffs, tuple):
            raise ConfigError(f"cutoffs={self.cutoffs!r} must be a tuple of word ids, such as (2000, 10000)")
        for cutoff in self.cutoffs:
            whole("cutoffs", cutoff)
        if any(low >= high for low, high in pairwise((*self.cutoffs, self.vocabulary))):
            raise ConfigError(
                f"cutoffs={self.cutoffs!r} must ascend and stay below vocabulary={self.vocabulary}; leave some out"
            )
        if self.widths[-1] < 1:
            raise ConfigError(
                f"divisor={self.divisor} leaves the last of {len(self.widths)} clusters no width of {self.width}: make"
                " it smaller, or leave cutoffs out"
            )

    @property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Of each cluster, its first id and the one after its last."""
        return tuple(pairwise((0, *self.cutoffs, self.vocabulary)))

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many words each cluster has."""
        return tuple(end - begin for begin, end in self.bounds)

    @property
    def widths(self) -> tuple[int, ...]:
        """How wide each cluster's vectors are."""
        return tuple(self.width // self.divisor**cluster for cluster in range(len(self.cutoffs) + 1))

    @property
    def tables(self) -> tuple[tuple[int, int], ...]:
        """Of each table of vectors, how many and how wide: one a cluster, or one for all where all are equally wide."""
        if self.divisor == 1:
            return ((self.vocabulary, self.width),)
        return tuple(zip(self.sizes, self.widths, strict=True))

    def projected(self, model_width: int) -> bool:
        """Whether vectors are projected to the model's width: in published weights, wherever widths can differ."""
        return self.divisor != 1 or self.width != model_width


class AdaptiveEmbedding(nn.Module):
    """(B, T) ids → (B, T, W) vectors, times √W; (B, T, W) vectors stay what they are."""

    def __init__(self, clusters: Clusters, width: int) -> None:
        super().__init__()
        self.clusters, self.width = clusters, width
        self.tables = nn.ModuleList([TokenEmbedding(*table) for table in clusters.tables])
        projected = [Linear(own, width, bias=False) for _, own in clusters.tables if clusters.projected(width)]
        self.projections = nn.ModuleList(projected)  # one a table, or none

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.is_floating_point():
            return tokens
        # Autocast projects to short numbers, and blocks add to these: they are to be as precise as the weights.
        kept = self.tables[0].get_parameter("weight").dtype
        return self._vectors(tokens).to(kept) * self.width**0.5

    def _vectors(self, ids: Tensor) -> Tensor:
        """(B, T) → (B, T, W).

        Every table is asked for every token, and what it says of words that are not its own is passed over: further
        tables are so narrow that this costs little, and no shape depends on which words there are.
        """
        vectors = self._of_table(0, ids.clamp(max=self.clusters.tables[0][0] - 1))
        bounds = self.clusters.bounds if len(self.tables) > 1 else ()
        for index, (begin, end) in enumerate(bounds[1:], start=1):
            own = (ids >= begin) & (ids < end)
            vectors = torch.where(
                own[..., None], self._of_table(index, (ids - begin).clamp(0, end - begin - 1)), vectors
            )
        return vectors

    def _of_table(self, index: int, ids: Tensor) -> Tensor:
        vectors = self.tables[index](ids)
        return self.projections[index](vectors) if len(self.projections) else vectors

    def resize(self, vocabulary: int, resized: Resized) -> None:
        """Give its last table as many rows as make so many words in all, in place."""
        self.clusters = replace(self.clusters, vocabulary=vocabulary)
        last = self.tables[-1]
        if isinstance(last, TokenEmbedding):
            last.resize(self.clusters.tables[-1][0], resized)


class Words(nn.Module):
    """What scores the words of one table: its own matrix (words, E) or an embedding's, and a bias."""

    def __init__(self, words: int, width: int, tied: nn.Embedding | None) -> None:
        super().__init__()
        self.tied = (tied,)  # in a tuple: the embedding belongs to the network, not to the head
        self.weight = nn.Parameter(torch.empty(words, width)) if tied is None else None
        self.bias = nn.Parameter(torch.zeros(words))

    @property
    def matrix(self) -> Tensor:
        """(words, E)."""
        (tied,) = self.tied
        return tied.weight if tied is not None else self.get_parameter("weight")


class AdaptiveSoftmax(nn.Module):
    """Hidden states to log-probabilities over a vocabulary that is cut into clusters, (B, T, W) → (B, T, V).

    width             W
    tied              the embeddings whose matrices are used, one a table of the clusters; None: matrices of its own
    tied_projections  for each cluster, the embedding's projection that is used, or None: one of its own, where vectors
                      are projected at all

    Column i − 1 behind the shortlist's words stands for cluster i (other code has them in reverse).
    """

    def __init__(
        self,
        clusters: Clusters,
        width: int,
        *,
        tied: Sequence[nn.Embedding] | None = None,
        tied_projections: Sequence[Linear | None] | None = None,
    ) -> None:
        super().__init__()
        self.clusters = clusters
        embeddings = [None] * len(clusters.tables) if tied is None else list(tied)
        self.tables = nn.ModuleList(
            [Words(*table, embedding) for table, embedding in zip(clusters.tables, embeddings, strict=True)]
        )
        rare = len(clusters.cutoffs)
        self.cluster = Linear(clusters.width, rare) if rare else None
        self.tied_projections = tuple(tied_projections or [None] * (rare + 1))
        own = {
            str(index): Linear(narrow, width, bias=False)
            for index, (narrow, theirs) in enumerate(zip(clusters.widths, self.tied_projections, strict=True))
            if theirs is None and clusters.projected(width)
        }
        self.projections = nn.ModuleDict(own)
        self.packed = [PackedWeight() for _ in clusters.sizes]

    def forward(self, hidden: Tensor, at: Coordinates | None = None) -> Tensor:
        flat = hidden.flatten(0, -2)
        words = self._words()
        shortlist = self._shortlist(flat, words)
        first, rare = shortlist.split([self.clusters.sizes[0], len(self.clusters.cutoffs)], -1)
        parts = [first, *(rare[:, i : i + 1] + self._rare(flat, words, i + 1) for i in range(rare.shape[-1]))]
        return torch.cat(parts, -1).view(*hidden.shape[:-1], -1)

    def log_prob(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Log-probability of each target: hidden (…, W), targets (…) → (…), in nats.

        Of a rare cluster's words only those positions are computed whose target is one of them.
        """
        flat, wanted = hidden.flatten(0, -2), targets.flatten()
        words, short = self._words(), self.clusters.sizes[0]
        cluster = torch.bucketize(wanted, wanted.new_tensor(self.clusters.cutoffs), right=True)  # (N,)
        column = torch.where(cluster == 0, wanted, short + cluster - 1)
        found = self._shortlist(flat, words).gather(1, column[:, None])[:, 0]
        for index, (begin, _) in enumerate(self.clusters.bounds[1:], start=1):
            at = (cluster == index).nonzero()[:, 0]
            within = self._rare(flat[at], words, index).gather(1, (wanted[at] - begin)[:, None])[:, 0]
            found = found.index_add(0, at, within)
        return found.view(targets.shape)

    def resize(self, vocabulary: int, resized: Resized) -> None:
        """Give its last table as many rows as make so many words in all; an embedding that it is tied to is not its own
        to resize."""
        self.clusters = replace(self.clusters, vocabulary=vocabulary)
        last, (count, _) = self.tables[-1], self.clusters.tables[-1]
        for name, parameter in list(last.named_parameters()):
            last.register_parameter(name, resized(parameter, count))

    def _words(self) -> list[tuple[Tensor, Tensor]]:
        """Of each cluster the matrix (words, E) and the bias (words): tables, or pieces of the only one."""
        tables: list[tuple[Tensor, Tensor]] = [
            (table.matrix, table.bias) for table in self.tables if isinstance(table, Words)
        ]
        if len(tables) == len(self.clusters.sizes):
            return tables
        sizes = list(self.clusters.sizes)
        ((matrix, bias),) = tables
        return list(zip(matrix.split(sizes), bias.split(sizes), strict=True))

    def _narrow(self, hidden: Tensor, index: int) -> Tensor:
        """(N, W) → (N, E) of a cluster."""
        tied = self.tied_projections[index]
        if tied is not None:
            return hidden @ tied.weight
        if str(index) in self.projections:
            return hidden @ self.get_parameter(f"projections.{index}.weight")
        return hidden

    def _shortlist(self, hidden: Tensor, words: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Log-probabilities of the shortlist's words, then of the other clusters: (N, words + C − 1)."""
        narrow = self._narrow(hidden, 0)
        scores = linear(narrow, *words[0], self.packed[0])
        return _log_softmax(scores if self.cluster is None else torch.cat([scores, self.cluster(narrow)], -1))

    def _rare(self, hidden: Tensor, words: list[tuple[Tensor, Tensor]], index: int) -> Tensor:
        """Log-probabilities of a further cluster's words, given the cluster: (N, words)."""
        return _log_softmax(linear(self._narrow(hidden, index), *words[index], self.packed[index]))


def _log_softmax(scores: Tensor) -> Tensor:
    """In float32 at least."""
    return scores.log_softmax(-1, dtype=torch.promote_types(scores.dtype, torch.float32))
