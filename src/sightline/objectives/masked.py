"""Masked language modelling: some tokens are hidden, and asked for.

    Devlin et al. 2019, "BERT", section 3.1 and appendix A.1.
    Masked next-token prediction: Charpentier and Samuel 2024, "GPT or BERT: why not both?", section 2.

Asks the head "lm", and only where something is hidden. Shapes: B rows, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy
import torch
from torch import Tensor

from sightline.core.mask import Bidirectional, Mask
from sightline.errors import ConfigError, UnsupportedError
from sightline.model.model import Model
from sightline.objectives.language import asked_counts, check_z_loss, language_terms
from sightline.objectives.objective import Batch, Term
from sightline.objectives.text import NOT_ASKED, TextRows
from sightline.objectives.units import Unit, drawn, unit_numbers
from sightline.text.words import Words


@dataclass(frozen=True, kw_only=True)
class Masked:
    """Cross-entropy of hidden tokens.

    rate        share of the tokens that are hidden, of those that may be: special tokens never are
    final_rate  what the rate has become, in a straight line, when the training ends; None: it stays
    keep        share of the hidden that are left as they are: asked all the same, and the model cannot tell
    random      share of the hidden in whose place any other token stands; the rest are the mask token
    unit        what is hidden together: "tokens", "words", "spans" or "word_spans"; `units` says which are whose
    shifted     ask for a hidden token at the one before it, as a causal model is asked (masked next-token prediction):
                then a document's first token, which has none before it, is never hidden
    z_loss      weight of the term `loss_z`, log² Σ exp of the logits; 0: there is none

    Which of keep, random and mask becomes of a hidden token is drawn for each token, and for spans once a span, as
    SpanBERT and GPT-BERT have it. GPT-BERT's preference for tokens that were hidden least often so far is left out: a
    step would depend on those before it. That both sides are seen is the model's mask, and no business of the
    objective.

    >>> Masked(rate=0.3, final_rate=0.15, keep=0, random=0, unit="spans")  # all mask, as in many later models
    Masked(rate=0.3, final_rate=0.15, keep=0, random=0, unit='spans', shifted=False, z_loss=0.0)
    """

    rate: float = 0.15
    final_rate: float | None = None
    keep: float = 0.1
    random: float = 0.1
    unit: Unit = "tokens"
    shifted: bool = False
    z_loss: float = 0.0
    heads: ClassVar[tuple[str, ...]] = ("lm",)
    masks: ClassVar[tuple[Mask, ...]] = (Bidirectional(),)
    likelihood: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        for name, rate in (("rate", self.rate), ("final_rate", self.final_rate)):
            if rate is not None and not 0 < rate <= 1:
                raise ConfigError(f"{name}={rate} is a share of the tokens; choose more than 0 and at most 1")
        if not (self.keep >= 0 and self.random >= 0 and self.keep + self.random <= 1):
            raise ConfigError(
                f"keep={self.keep} and random={self.random} are shares of the hidden tokens; choose 0 or more, together"
                " at most 1"
            )
        if self.unit not in get_args(Unit):
            raise ConfigError(f"unit={self.unit!r} is none that is hidden; choose one of {', '.join(get_args(Unit))}")
        check_z_loss(self.z_loss)

    def rate_at(self, done: float) -> float:
        """The rate when the share `done` of the training is over.

        >>> Masked(rate=0.5, final_rate=0.25).rate_at(0.5)
        0.375
        """
        return self.rate if self.final_rate is None else self.rate + (self.final_rate - self.rate) * done

    def hide(
        self, ids: Tensor, may: Tensor, apart: Tensor, words: Words, random: numpy.random.Generator, done: float
    ) -> tuple[Tensor, Tensor]:
        """The tokens as the model gets them, int64 (B, T), and which of them are hidden, bool (B, T).

        ids    int64 (B, T)
        may    bool (B, T): which may be hidden
        apart  bool (B, T): where a text begins, across which nothing is hidden together

        At least one is hidden where one may be. UnsupportedError where a mask token is needed and there is none.
        """
        if words.mask_id is None and self.keep + self.random < 1:
            raise UnsupportedError(
                "this tokenizer has no mask token to hide others by: learn one that has (kind wordpiece or roberta-bpe)"
            )
        whole = self.unit in ("words", "word_spans")
        if whole:  # a special token in a unit would keep its words from being hidden: those at a text's ends, mostly
            special = words.special[ids]
            apart = apart | special
            apart[:, 1:] |= special[:, :-1]
        units = unit_numbers(self.unit, words.begins[ids].numpy(), apart.numpy(), random)
        wanted = max(1, round(self.rate_at(done) * int(may.sum())))
        hidden = drawn(units, may.numpy(), wanted, whole, random)
        together = self.unit in ("spans", "word_spans")
        fate = random.random(int(units[-1, -1]) + 1)[units[hidden]] if together else random.random(int(hidden.sum()))
        text = numpy.flatnonzero(~words.special.numpy())
        new = text[random.integers(len(text), size=len(fate))]
        old = ids.numpy()[hidden]
        blank = 0 if words.mask_id is None else words.mask_id
        given = ids.numpy().copy()
        given[hidden] = numpy.where(fate < self.keep, old, numpy.where(fate < self.keep + self.random, new, blank))
        return torch.from_numpy(given), torch.from_numpy(hidden)

    def counts(self, batch: Batch) -> Mapping[str, float]:
        """How many tokens are hidden."""
        return asked_counts(batch.targets, z_loss=self.z_loss)

    def batches(self, rows: TextRows, words: Words, random: numpy.random.Generator, done: float) -> list[Batch]:
        """The rows with tokens hidden; the targets (B, T) are those tokens, where they are, or, shifted, one before."""
        ids, first = rows.ids[:, :-1], rows.inputs["position_ids"] == 0
        may = ~words.special[ids]
        given, hidden = self.hide(ids, may & ~first if self.shifted else may, first, words, random, done)
        targets = torch.where(hidden, ids, NOT_ASKED)
        if self.shifted:
            targets = torch.cat([targets[:, 1:], torch.full_like(targets[:, :1], NOT_ASKED)], 1)
        inputs = {**rows.inputs, "input_ids": given}
        return [Batch(inputs=inputs, targets=targets, rows=rows.numbers, tokens=rows.tokens)]

    def terms(self, model: Model, batch: Batch) -> Mapping[str, Term]:
        """The term `loss`, in nats, and `loss_z`, where there is a z-loss."""
        return language_terms(model, batch, z_loss=self.z_loss, few=True)
