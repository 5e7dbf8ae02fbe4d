"""A corpus as steps of pairs: two texts in a row, the second of which follows the first, or is of another document.

    Devlin et al. 2019, "BERT", section 3.1 and appendix A.2, and the create_pretraining_data.py published with it.

Shapes: B rows, T tokens of a row, N documents, V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy
import torch

from sightline.core.check import whole
from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.objectives.next_sentence import ANOTHER, FOLLOWS, NextSentence, Pairs
from sightline.objectives.objective import Batch
from sightline.text.corpus import Documents
from sightline.text.sentences import sentence_ends
from sightline.text.tokenizer import Tokenizer
from sightline.text.words import words_of
from sightline.training.packed import Stage, cut, stage_of

ADDED = 3  # [CLS] A [SEP] B [SEP]
_SHORTEST = 4  # a document with its two ends and a token on each side of a cut


def next_sentence(ids: numpy.ndarray, ends: numpy.ndarray, at: int, reach: int) -> int:
    """Where the first sentence of a text begins at or after `at`; `at` where none does within `reach` tokens.

    ends  bool (V,): the tokens that end a sentence

    >>> next_sentence(numpy.array([0, 1, 0, 0]), numpy.array([False, True]), 1, 4)
    2
    """
    if at == 0:
        return 0
    before = ids[at - 1 : min(at + reach, len(ids) - 1)]  # a text's last token has no sentence behind it
    found = ends[before].nonzero()[0]
    return at + int(found[0]) if len(found) else at


def sentences_from(
    ids: numpy.ndarray, ends: numpy.ndarray, begin: int, wanted: int, most: int
) -> tuple[int, numpy.ndarray]:
    """Where whole sentences from `begin` on end that have `wanted` tokens or more, `most` at most; and where, before
    that, others end: those are the places at which the piece can be cut in two."""
    stops = begin + 1 + ends[ids[begin : begin + most]].nonzero()[0]
    far = stops[stops >= begin + wanted]
    stop = int(far[0]) if len(far) else min(begin + most, len(ids))
    return stop, stops[stops < stop]


def shortened(
    first: numpy.ndarray, second: numpy.ndarray, most: int, random: numpy.random.Generator
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Two texts that have `most` tokens together: one at a time is cut from the longer, from either end at random."""
    over = max(len(first) + len(second) - most, 0)
    of_first = min(over, max(len(first) - len(second), 0))
    of_second = min(over, max(len(second) - len(first), 0))
    rest = over - of_first - of_second
    cuts = of_first + rest // 2, of_second + rest - rest // 2
    parts = []
    for ids, many in zip((first, second), cuts, strict=True):
        front = int(random.binomial(many, 0.5))
        parts.append(ids[front : len(ids) - (many - front)])
    return parts[0], parts[1]


class PairSteps:
    """Documents as steps of next-sentence prediction; what a step reads is a pure function of its number.

    documents   what is read, such as `open_corpus(folder).train`
    objective   what is asked of it
    tokenizer   its tokens, among them those that stand for [CLS] and [SEP]
    stages      the shapes of the steps, one stage after the other; each begins with a pass of its own
    seed        of the order in each pass, and of all that is drawn
    short       share of the rows that are shorter than they could be, so that the model meets such
    micro_rows  a batch of more rows than this is cut into micro-batches; changes rounding, and what
                dropout draws. None: never

    A pass cuts every document into pieces that fill a row, and reads them in random order, one a row. A piece is whole
    sentences, A some of the first. Half of the rows have the others as B; the other half have sentences of another
    document, and what is left of the piece is not read in that pass. A piece that is one sentence is cut anywhere, so
    that halves are halves in any text. Together A and B are cut to what a row can hold, from either end.

    Step s draws from `default_rng((seed, 1, s))`. The order of the pieces is held in memory, 8 bytes
    each, and where each document has its own, 8 bytes a stage.

    >>> stages = [Stage(steps=90, rows=64, tokens=128), Stage(steps=10, rows=16, tokens=512)]
    >>> steps = PairSteps(corpus.train, NextSentence(), corpus.tokenizer, stages=stages)  # doctest: +SKIP
    >>> for progress in fit(training, steps): ...  # doctest: +SKIP
    """

    def __init__(
        self,
        documents: Documents,
        objective: NextSentence,
        tokenizer: Tokenizer,
        *,
        stages: Sequence[Stage],
        seed: int = 0,
        short: float = 0.1,
        micro_rows: int | None = None,
    ) -> None:
        whole("seed", seed, least=0)
        if micro_rows is not None:
            whole("micro_rows", micro_rows)
        if not 0 <= short <= 1:
            raise ConfigError(f"short={short} is a share of the rows; choose 0 to 1")
        if not stages or min(stage.tokens for stage in stages) < ADDED + 2:
            raise ConfigError(
                f"stages need at least one, and rows of {ADDED + 2} tokens or more: two texts and 3 between"
            )
        first, between, filler = tokenizer.special.cls_id, tokenizer.special.sep_id, tokenizer.special.pad_id
        if first is None or between is None:
            raise UnsupportedError(
                "this tokenizer has no tokens that open a row and part its texts, as [CLS] and [SEP] do; learn one of"
                " kind wordpiece"
            )
        self.first, self.between, self.filler = first, between, filler or 0
        self.documents, self.objective = documents, objective
        self.stages, self.seed, self.short, self.micro_rows = tuple(stages), seed, short, micro_rows
        self.words, self._ends = words_of(tokenizer), sentence_ends(tokenizer).numpy()
        known = tokenizer.special
        self._outer = [known.cls_id, known.sep_id, known.bos_id, known.eos_id]
        self._usable = numpy.flatnonzero(documents.lengths >= _SHORTEST)
        if len(self._usable) < 2:
            raise InputError(f"pairs need two documents of {_SHORTEST} tokens or more; give more text")
        self._orders: dict[tuple[int, int], numpy.ndarray] = {}

    def __len__(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def __getitem__(self, step: int) -> list[Batch]:
        return self.asked(step, range(len(self))[step] / len(self))

    def asked(self, step: int, done: float) -> list[Batch]:
        """What a step asks when the share `done` of the training is over, whenever that is."""
        step = range(len(self))[step]
        random = numpy.random.default_rng((self.seed, 1, step))
        batches = self.objective.batches(self._rows(step, random), self.words, random, done)
        return batches if self.micro_rows is None else list(cut(batches, self.micro_rows))

    def rows(self, step: int) -> Pairs:
        """What a step reads, before the objective asks anything of it."""
        step = range(len(self))[step]
        return self._rows(step, numpy.random.default_rng((self.seed, 1, step)))

    def _rows(self, step: int, random: numpy.random.Generator) -> Pairs:
        number, before = stage_of(self.stages, step)
        stage = self.stages[number]
        ends = self._piece_ends[number]
        made, follows, numbers = [], [], []
        for row in range(before * stage.rows, (before + 1) * stage.rows):
            turn, place = divmod(row, int(ends[-1]))
            piece = int(self._order(number, turn, int(ends[-1]))[place])
            document = int(numpy.searchsorted(ends, piece, side="right"))
            within = piece - (int(ends[document - 1]) if document else 0)
            first, second, label = self._pair(document, within, stage.tokens - ADDED, random)
            made.append((first, second))
            follows.append(label)
            numbers.append(int(self._usable[document]) + 1)
        width = max(len(first) + len(second) for first, second in made) + ADDED
        ids = numpy.full((len(made), width), self.filler, numpy.int64)
        types, lengths = numpy.zeros_like(ids), numpy.empty(len(made), numpy.int64)
        for index, (first, second) in enumerate(made):
            middle, end = 1 + len(first), len(first) + len(second) + ADDED
            ids[index, 0], ids[index, 1:middle], ids[index, middle] = self.first, first, self.between
            ids[index, middle + 1 : end - 1], ids[index, end - 1] = second, self.between
            types[index, middle + 1 : end] = 1
            lengths[index] = end
        held = [torch.from_numpy(each) for each in (ids, types, lengths)]
        return Pairs(ids=held[0], types=held[1], lengths=held[2], follows=torch.tensor(follows), numbers=tuple(numbers))

    def _pair(
        self, document: int, within: int, most: int, random: numpy.random.Generator
    ) -> tuple[numpy.ndarray, numpy.ndarray, int]:
        """A and B of a piece of a document, and whether B follows A."""
        wanted = int(random.integers(2, most + 1)) if random.random() < self.short else most
        ids = self._text(document)
        begin = next_sentence(ids, self._ends, min(within * most, len(ids) - 1), most)
        begin = min(begin, max(len(ids) - 2, 0))  # of two tokens both texts can have one
        stop, cuts = sentences_from(ids, self._ends, begin, wanted, 2 * most)
        if not len(cuts):
            cuts = numpy.arange(begin + 1, stop)
        middle = int(cuts[random.integers(len(cuts))]) if len(cuts) else stop
        first, second, label = ids[begin:middle], ids[middle:stop], FOLLOWS
        if random.random() < 0.5 or not len(second):
            other = int(random.integers(len(self._usable) - 1))
            ids = self._text(other + (other >= document))
            begin = next_sentence(ids, self._ends, int(random.integers(len(ids))), most)
            stop, _ = sentences_from(ids, self._ends, begin, max(wanted - len(first), 1), most)
            second, label = ids[begin:stop], ANOTHER
        first, second = shortened(first, second, most, random)
        return first, second, label

    def _text(self, usable: int) -> numpy.ndarray:
        """A document without the tokens that open and close it."""
        number = int(self._usable[usable])
        ids = self.documents[number]
        begin, end = 0, len(ids)
        while begin < end and ids[begin] in self._outer:
            begin += 1
        while begin < end and ids[end - 1] in self._outer:
            end -= 1
        if begin == end:
            raise InputError(
                f"document {number + 1} holds nothing but what opens and closes a text; leave it out of the corpus"
            )
        return ids[begin:end]

    @cached_property
    def _piece_ends(self) -> list[numpy.ndarray]:
        """Of each stage, how many pieces the usable documents have, up to each: int64."""
        lengths = self.documents.lengths[self._usable] - 2  # without their ends
        return [numpy.cumsum(-(-lengths // (stage.tokens - ADDED))) for stage in self.stages]

    def _order(self, stage: int, turn: int, pieces: int) -> numpy.ndarray:
        """The order of the pieces in a pass of a stage. Two are remembered: a step may end one and begin the next."""
        if (stage, turn) not in self._orders:
            for old in [each for each in self._orders if each != (stage, turn - 1)]:
                del self._orders[old]
            self._orders[stage, turn] = numpy.random.default_rng((self.seed, 2, stage, turn)).permutation(pieces)
        return self._orders[stage, turn]

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides what is read when: `Training(…, data=steps.fingerprint)`."""
        settings = (self.stages, self.seed, self.short, self.objective, self.documents.fingerprint, len(self.words))
        return hashlib.sha256(repr(settings).encode()).hexdigest()
