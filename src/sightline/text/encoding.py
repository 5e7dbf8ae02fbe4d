"""What a tokenizer hands to a model: padded tensors, and beside them what the host knows about each token.

Shapes: batch = rows, tokens = the longest row of the batch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal, TypeVar

import numpy
import tokenizers
import torch

from sightline.errors import InputError

Side = Literal["left", "right"]
Value = TypeVar("Value")


def pad(rows: Sequence[Sequence[int]], width: int, filler: int, side: Side) -> torch.Tensor:
    """Rows of unequal length as one LongTensor `(len(rows), width)`, filled up on `side` with `filler`."""
    table = numpy.full((len(rows), width), filler, dtype=numpy.int64)
    # One assignment a row: `torch.tensor` on nested lists walks every number in Python and takes ten times as long.
    for line, row in zip(table, rows, strict=True):
        if side == "right":
            line[: len(row)] = row
        else:
            line[width - len(row) :] = row
    return torch.from_numpy(table)


def real_tokens(lengths: Sequence[int], width: int, side: Side) -> torch.Tensor:
    """`(len(lengths), width)` LongTensor: 1 where a row has a token, 0 where it is filled up."""
    columns = numpy.arange(width)
    length = numpy.asarray(lengths)[:, None]
    real = columns < length if side == "right" else columns >= width - length
    return torch.from_numpy(real.astype(numpy.int64))


def kept_by_longest_first(sequence_ids: Sequence[int | None], max_length: int) -> list[int] | None:
    """Which tokens of a row stay when it is cut to `max_length`, as indices; None when not even one token of text fits.

    Every token that the tokenizer added stays. Of a pair, the longer text is cut until both are equally long, then
    both: `longest_first` of Hugging Face's libraries.

    >>> kept_by_longest_first([None, 0, 0, 0, None], 4)    # [CLS] a b c [SEP]
    [0, 1, 2, 4]
    """
    budget = max_length - sequence_ids.count(None)
    if budget < 1:
        return None
    short, long = sorted((sequence_ids.count(0), sequence_ids.count(1)))
    long = min(long, max(short, budget - short))
    if short + long > budget:
        short, long = budget // 2, budget - budget // 2
    first_is_short = sequence_ids.count(0) <= sequence_ids.count(1)
    left = {0: short, 1: long} if first_is_short else {0: long, 1: short}
    kept = []
    for index, sequence in enumerate(sequence_ids):
        if sequence is not None:
            left[sequence] -= 1
        if sequence is None or left[sequence] >= 0:
            kept.append(index)
    return kept


class Encoding(Mapping[str, torch.Tensor]):
    """Texts as tensors, made by `Tokenizer.__call__` and used as `model(**encoding)`.

    A mapping of LongTensors `(batch, tokens)`: `input_ids`, `attention_mask` (1 = a token, 0 = padding) and, where the
    tokenizer makes them, `token_type_ids`. Everything else is host data, aligned with the columns of the tensors:

    - `real`: how many tokens each row has without padding, as a tuple of ints; `padding_side`: where the padding is
    - `offsets[row][column]`: `(start, end)` in characters of the row's text (of its second text, where
      `sequence_ids` says 1); `(0, 0)` for tokens that the tokenizer added and for padding
    - `word_ids[row][column]`: the index of the word that the token is a piece of, or None
    - `sequence_ids[row][column]`: 0 or 1 for the first or second text, None for added tokens and padding
    - `special`: BoolTensor `(batch, tokens)`, True for tokens that the tokenizer added and for padding
    """

    def __init__(
        self,
        tensors: Mapping[str, torch.Tensor],
        *,
        real: tuple[int, ...],
        padding_side: Side,
        kept: Mapping[int, list[int]],
        trace: Callable[[], list[tokenizers.Encoding]],
    ) -> None:
        """`kept` maps a row that was cut to the tokens that stayed; `trace` encodes again, with offsets and words.

        Following offsets costs a tokenizer a third of its time and few callers ask for them, so it is done when asked.
        """
        self._tensors = dict(tensors)
        self.real = real
        self.padding_side: Side = padding_side
        self._kept = kept
        self._trace = trace

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        batch, tokens = self.input_ids.shape
        return f"Encoding({', '.join(self)}: {batch} rows × {tokens} tokens, padded on the {self.padding_side})"

    @property
    def input_ids(self) -> torch.Tensor:
        """Token ids, LongTensor `(batch, tokens)`."""
        return self._tensors["input_ids"]

    @property
    def attention_mask(self) -> torch.Tensor:
        """1 = a token, 0 = padding, LongTensor `(batch, tokens)`."""
        return self._tensors["attention_mask"]

    def to(self, device: torch.device | str) -> "Encoding":
        """The same encoding with its tensors on `device`."""
        return Encoding(
            {name: tensor.to(device) for name, tensor in self._tensors.items()},
            real=self.real,
            padding_side=self.padding_side,
            kept=self._kept,
            trace=self._trace,
        )

    @cached_property
    def offsets(self) -> list[list[tuple[int, int]]]:
        """Character offsets of each token in its text, see the class."""
        return self._columns([row.offsets for row in self._rows], (0, 0))

    @cached_property
    def word_ids(self) -> list[list[int | None]]:
        """The word that each token is a piece of, see the class."""
        return self._columns([row.word_ids for row in self._rows], None)

    @cached_property
    def sequence_ids(self) -> list[list[int | None]]:
        """Which text of a pair each token comes from, see the class."""
        return self._columns([row.sequence_ids for row in self._rows], None)

    @cached_property
    def special(self) -> torch.Tensor:
        """True for tokens that the tokenizer added and for padding, BoolTensor `(batch, tokens)`."""
        columns = self._columns([row.special_tokens_mask for row in self._rows], 1)
        return torch.tensor(columns, dtype=torch.bool, device=self.input_ids.device)

    @cached_property
    def _rows(self) -> list[tokenizers.Encoding]:
        rows = self._trace()
        if any(len(self._kept.get(index, row)) != self.real[index] for index, row in enumerate(rows)):
            raise InputError("the tokenizer has gained tokens since this encoding was made; encode the texts again")
        return rows

    def _columns(self, rows: list[list[Value]], filler: Value) -> list[list[Value]]:
        """Per-token values of whole rows, cut and padded as the tensors are."""
        width = self.input_ids.shape[1]
        columns = []
        for index, row in enumerate(rows):
            values = [row[token] for token in self._kept[index]] if index in self._kept else row
            padding = [filler] * (width - len(values))
            columns.append(values + padding if self.padding_side == "right" else padding + values)
        return columns
