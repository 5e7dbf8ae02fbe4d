"""What a model says of texts: log-probabilities of their tokens, and what is made of them.

Two kinds of numbers look alike and are not. A log-likelihood is the logarithm of a probability: over all texts these
sum to one. A pseudo-log-likelihood (Salazar et al. 2020, section 2) adds up log-probabilities that each know the rest
of the text: over all texts they sum to anything, and exp of their mean is no perplexity. So each result says which it
is, and nothing here puts both into one column. docs/evaluate.md says more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sightline.errors import InputError, UnsupportedError

Kind = Literal["log-likelihood", "pseudo-log-likelihood"]
PERPLEXITIES: dict[Kind, str] = {"log-likelihood": "perplexity", "pseudo-log-likelihood": "pseudo-perplexity"}


def check_kinds(kinds: Sequence[Kind]) -> None:
    """UnsupportedError where they differ."""
    if len(set(kinds)) > 1:
        raise UnsupportedError(
            "a log-likelihood and a pseudo-log-likelihood are not comparable: the one is a text's probability, the"
            " other knows all but one token of the text; score each with models of its own kind"
        )


def in_words(kind: Kind, method: str, within_word: str | None, before: str) -> str:
    """What was measured: "log-likelihood, from left to right, after <|endoftext|>"."""
    orders = {"causal": "from left to right", "order": "in the order from left to right"}
    pieces = {"l2r": ", words from left to right", "whole": ", words hidden whole"}
    order = orders.get(method, "each token from all others" + pieces.get(within_word or "", ""))
    return f"{kind}, {order}, after {before or 'nothing'}"


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How surprising something is, in nats, and in units that hold for every vocabulary.

    nats    the sum; what it is summed over: `tokens`, of `words` between white space, of `bytes` in UTF-8
    """

    kind: Kind
    nats: float
    tokens: int
    words: int
    bytes: int

    def per(self, unit: Literal["token", "word", "byte"], *, bits: bool = False) -> float:
        """Nats, or bits, for each token, word or byte; NaN where there is none.

        >>> Rates(kind="log-likelihood", nats=6.0, tokens=3, words=2, bytes=12).per("word")
        3.0
        """
        count = {"token": self.tokens, "word": self.words, "byte": self.bytes}[unit]
        return math.nan if not count else self.nats / count / (math.log(2) if bits else 1.0)

    def perplexity(self, unit: Literal["token", "word"] = "token") -> float:
        """exp of the nats for each token or word; infinite where that is too large a number.

        Raises UnsupportedError for a pseudo-log-likelihood, of which there is a `pseudo_perplexity`.
        """
        self._check("log-likelihood", "pseudo_perplexity")
        return self._exponential(unit)

    def pseudo_perplexity(self, unit: Literal["token", "word"] = "token") -> float:
        """exp of the nats for each token or word (Salazar et al. 2020, equation 4); not comparable with a perplexity.

        Raises UnsupportedError for a log-likelihood.
        """
        self._check("pseudo-log-likelihood", "perplexity")
        return self._exponential(unit)

    def _check(self, kind: Kind, other: str) -> None:
        if self.kind != kind:
            raise UnsupportedError(f"these numbers are a {self.kind}: ask for {other}, which is another thing")

    def _exponential(self, unit: Literal["token", "word"]) -> float:
        nats = self.per(unit)
        return math.exp(nats) if nats < 700 or math.isnan(nats) else math.inf

    def record(self) -> dict[str, Any]:
        """All of it, as JSON: what is no finite number is null."""
        units: tuple[Literal["token", "word", "byte"], ...] = ("token", "word", "byte")
        numbers = {
            **{f"nats_per_{unit}": self.per(unit) for unit in units},
            **{f"bits_per_{unit}": self.per(unit, bits=True) for unit in units},
            PERPLEXITIES[self.kind].replace("-", "_"): self._exponential("token"),
        }
        finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
        return {"tokens": self.tokens, "words": self.words, "bytes": self.bytes, **finite}


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a model says of one text.

    ids        the text's tokens; `tokens` are the stretches of the text that they stand for
    log_probs  of each token, in nats; None for a first token before which nothing stands, where that is what it would
               be predicted from
    words      how many there are between white space, and `bytes` of UTF-8: of what has a score
    """

    kind: Kind
    text: str
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    log_probs: tuple[float | None, ...]
    words: int
    bytes: int

    @property
    def total(self) -> float:
        """The sum, in nats."""
        return math.fsum(each for each in self.log_probs if each is not None)

    @property
    def rates(self) -> Rates:
        """The sum, turned positive, by token, word and byte."""
        count = sum(each is not None for each in self.log_probs)
        return Rates(kind=self.kind, nats=-self.total, tokens=count, words=self.words, bytes=self.bytes)

    def __gt__(self, other: Score) -> bool:
        """Whether this text has the larger sum; UnsupportedError where the other's is of another kind."""
        check_kinds((self.kind, other.kind))
        return self.total > other.total

    def record(self) -> dict[str, Any]:
        """All of it, as JSON."""
        return {
            "text": self.text,
            self.kind.replace("-", "_"): self.total,
            **self.rates.record(),
            "ids": list(self.ids),
            "token_texts": list(self.tokens),
            "log_probs": list(self.log_probs),
        }


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a model says of texts, one Score each, in their order.

    method  "causal", "order" or "pseudo"; within_word: how a word's pieces are hidden, for "pseudo"
    before  the token that stands before each text, as the vocabulary spells it; empty where there is none
    """

    kind: Kind
    method: str
    within_word: str | None
    before: str
    rows: tuple[Score, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Score:
        return self.rows[index]

    @property
    def totals(self) -> list[float]:
        """Each text's sum, in nats."""
        return [row.total for row in self.rows]

    @property
    def rates(self) -> Rates:
        """All texts together."""
        every = [row.rates for row in self.rows]
        return Rates(
            kind=self.kind,
            nats=math.fsum(each.nats for each in every),
            tokens=sum(each.tokens for each in every),
            words=sum(each.words for each in every),
            bytes=sum(each.bytes for each in every),
        )

    @property
    def how(self) -> str:
        """What was measured, in words."""
        return in_words(self.kind, self.method, self.within_word, self.before)


def tabulate(named: Mapping[str, Scores]) -> str:
    """Sums of several models side by side, a text a line, the models' names above them.

    Raises UnsupportedError where one has log-likelihoods and another pseudo-log-likelihoods, and InputError where they
    are of other texts.

        print(tabulate({"gpt2": score(gpt2, texts), "distilgpt2": score(distilgpt2, texts)}))
    """
    every = list(named.values())
    if not every:
        raise InputError("there are no scores to put side by side; give those of one model or more")
    check_kinds([scores.kind for scores in every])
    texts = [row.text for row in every[0].rows]
    if any([row.text for row in scores.rows] != texts for scores in every):
        raise InputError("the scores are of different texts; give those of the same texts in the same order")
    lines = ["\t".join([*named, f"text ({every[0].kind} in nats)"])]
    for number, text in enumerate(texts):
        lines.append("\t".join([*(f"{scores[number].total:.4f}" for scores in every), text]))
    return "\n".join(lines)
