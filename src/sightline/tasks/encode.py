"""Texts, or pairs of texts, as rows of ids that a model can read whole, and what becomes of those that are too long.

Shapes: N texts, R rows (texts, or windows of long ones), T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from sightline.core.position import ENDLESS
from sightline.errors import ConfigError, InputError
from sightline.model.model import Model
from sightline.text.encoding import kept_by_longest_first, pad, real_tokens
from sightline.text.rows import no_unicode
from sightline.text.tokenizer import Tokenizer
from sightline.text.windows import Row, encode_rows, windows

Long = Literal["cut", "windows", "error"]
Real = TypeVar("Real", bound=numpy.floating)
BATCH_TOKENS_A_THREAD = 256  # on a CPU; a larger batch computes a token no faster, and its rows are less alike
BATCH_TOKENS_ELSEWHERE = 16384  # an accelerator wants to be filled
AT_ONCE = 4096  # tokens of a row where positions have no end: what attention computes grows with their square


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Rows that all fit.

    rows    one a text, or several windows of a long one, one after another
    owners  (R,) which text each is of, ascending
    long    how many texts have more tokens than fit
    """

    rows: list[Row]
    owners: NDArray[numpy.int64]
    long: int

    def of_texts(self, found: NDArray[Real]) -> NDArray[Real]:
        """What was found of each row, (R, L), as what that says of each text, (N, L): the mean over its windows, each
        weighted by the tokens that no earlier window had."""
        if self.owners[-1] == len(self.rows) - 1:
            return found
        weights = numpy.array([row.new for row in self.rows], dtype=found.dtype)[:, None]
        firsts = numpy.flatnonzero(numpy.diff(self.owners, prepend=-1))
        mean = numpy.add.reduceat(found * weights, firsts) / numpy.add.reduceat(weights, firsts)
        return mean.astype(found.dtype, copy=False)


def check_long(long: str) -> None:
    """ConfigError for what is no way with long texts."""
    if long not in get_args(Long):
        raise ConfigError(f"long={long!r} is none; where texts are too long, choose {', '.join(get_args(Long))}")


def usual_length(model: Model) -> int:
    """How many tokens to read at once where nobody says: all positions, where they have an end."""
    positions: int = model.config.positions
    return AT_ONCE if positions == ENDLESS else positions


def longest(model: Model, asked: int | None, stated: int | None = None) -> int:
    """How many tokens a row may have: as asked, or what its makers or the tokenizer state and the positions allow."""
    positions: int = model.config.positions
    if asked is None:
        stated = stated or (None if model.tokenizer is None else model.tokenizer.max_length)
        return min(positions, stated or usual_length(model))
    if not 1 <= asked <= positions:
        raise InputError(f"max_length={asked} cannot be; choose 1 to {positions}, this model's positions")
    return asked


def usual_batch_tokens(device: torch.device) -> int:
    """How many tokens to compute at once, padding included, where nobody says."""
    return BATCH_TOKENS_A_THREAD * torch.get_num_threads() if device.type == "cpu" else BATCH_TOKENS_ELSEWHERE


def check_texts(texts: Sequence[object], numbers: Sequence[int]) -> None:
    """InputError for the first that is no text, or empty, by its number."""
    for number, text in zip(numbers, texts, strict=True):
        if not isinstance(text, str):
            raise InputError(f"row {number} is {type(text).__name__} {text!r:.40}, not text; give each row as a str")
        if not text.strip():
            raise InputError(f"row {number} is empty; leave it out, or give it some text")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise no_unicode(f"row {number}", error) from None


def _unreadable(number: int) -> InputError:
    return InputError(f"row {number} has nothing that the tokenizer can read; leave it out, or give it some text")


def _too_long(number: int, tokens: int, limit: int) -> InputError:
    return InputError(f"row {number} has {tokens} tokens, more than {limit}; shorten it, or choose another `long`")


def _fit(row: Row, number: int, limit: int, long: Long, stride: int | None) -> list[Row]:
    room = limit - row.front - row.back
    if room < 1:
        raise InputError(f"max_length {limit} leaves no room for text beside {row.front + row.back} added tokens")
    if row.new < 1:
        raise _unreadable(number)
    if row.new <= room:
        return [row]
    if long == "cut":
        return [row.part(0, room, new=room)]
    if long == "error":
        raise _too_long(number, len(row.ids), limit)
    return windows(row, room, max(1, room * 3 // 4) if stride is None else stride)


def _fit_pairs(
    tokenizer: Tokenizer, texts: Sequence[str], pairs: Sequence[str], numbers: Sequence[int], limit: int, long: Long
) -> tuple[list[Row], int]:
    """Pairs as rows, the longer text of each cut first; and how many were cut."""
    rows, cut = [], 0
    encodings = tokenizer.encodings(list(zip(texts, pairs, strict=True)))
    for number, found in zip(numbers, encodings, strict=True):
        ids, types = found.ids, found.type_ids
        if not ids:
            raise _unreadable(number)
        if len(ids) > limit:
            if long == "error":
                raise _too_long(number, len(ids), limit)
            kept = kept_by_longest_first(found.sequence_ids, limit)
            if kept is None:
                raise InputError(f"max_length {limit} leaves no room for text beside added tokens; raise it")
            ids, types, cut = [ids[place] for place in kept], [types[place] for place in kept], cut + 1
        rows.append(Row(ids=ids, types=types if tokenizer.makes_types else None, front=0, back=0, new=len(ids)))
    return rows, cut


def encode(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    *,
    limit: int,
    long: Long,
    stride: int | None = None,
    numbers: Sequence[int] | None = None,
) -> Encoded:
    """Texts as rows of at most `limit` tokens, those that the tokenizer adds included.

    long     "cut": the end of a text is lost; "windows": it is read in parts that overlap; "error": it is refused
    stride   from the beginning of one window to that of the next, in tokens of text; default: three quarters of it
    numbers  the texts' numbers in the user's file, for messages; default: from 1

    Of a pair the longer text is cut first; windows of pairs are refused. Raises InputError for an empty text.
    """
    check_long(long)
    numbers = range(1, len(texts) + 1) if numbers is None else numbers
    if pairs is not None and len(pairs) != len(texts):
        raise InputError(f"{len(texts)} texts but {len(pairs)} pairs; give one second text for each first")
    check_texts(texts, numbers)
    if pairs is not None:
        if long == "windows":
            raise ConfigError("long='windows' reads single texts; pairs of texts can only be cut: leave it out")
        check_texts(pairs, numbers)
        rows, cut = _fit_pairs(tokenizer, texts, pairs, numbers, limit, long)
        return Encoded(rows=rows, owners=numpy.arange(len(rows)), long=cut)
    whole = encode_rows(tokenizer, texts)
    fitted = [_fit(row, number, limit, long, stride) for row, number in zip(whole, numbers, strict=True)]
    return Encoded(
        rows=[part for parts in fitted for part in parts],
        owners=numpy.repeat(numpy.arange(len(fitted)), [len(parts) for parts in fitted]),
        long=sum(len(row.ids) > limit for row in whole),
    )


def cut_in_words(cut: int, rows: int, limit: int) -> str:
    """How many texts lost their end: for a note that is made once."""
    have, were = ("has", "was") if cut == 1 else ("have", "were")
    return f"{cut} of {rows} rows {have} more than {limit} tokens and {were} cut"


def inputs_of(rows: Sequence[Row], filler: int) -> dict[str, Tensor]:
    """What the model is called with: rows filled up to the longest, on the right, (R, T)."""
    lengths = [len(row.ids) for row in rows]
    width = max(lengths)
    inputs = {"input_ids": pad([row.ids for row in rows], width, filler, "right")}
    if min(lengths) < width:
        inputs["attention_mask"] = real_tokens(lengths, width, "right")
    types = [row.types for row in rows if row.types is not None]
    if types:
        inputs["token_type_ids"] = pad(types, width, 0, "right")
    return inputs
