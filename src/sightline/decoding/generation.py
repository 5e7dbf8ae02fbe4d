"""Generation: the steps of growing text, as they come, or the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sightline.errors import UnsupportedError

Ending = Literal["end token", "stop string", "length"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One token of one row.

    row       which output: with n samples of each prompt, prompt p's are rows p·n … p·n + n − 1
    token     its id
    text      what it adds to the text; empty while a character or a stop string is undecided
    log_prob  of the token by the model itself, in nats, before any temperature or penalty
    ending    why the row ends with this token, or None
    """

    row: int
    token: int
    text: str
    log_prob: float
    ending: Ending | None = None


class Generation:
    """An iterator of steps that remembers them: `for step in generation`, or `generation.texts()` for the whole.

    Whoever stops iterating may go on later. What an error or Ctrl-C ended cannot go on, and keeps what there was.
    """

    def __init__(self, steps: Iterator[Step], rows: int, has_text: bool) -> None:
        self._steps, self._has_text = steps, has_text
        self._seen: list[list[Step]] = [[] for _ in range(rows)]

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> Step:
        step = next(self._steps)
        self._seen[step.row].append(step)
        return step

    def rows(self) -> list[list[Step]]:
        """All steps, row by row."""
        for _ in self:
            pass
        return [list(row) for row in self._seen]

    def ids(self) -> list[list[int]]:
        """Every row's new tokens, an end token included."""
        return [[step.token for step in row] for row in self.rows()]

    def texts(self) -> list[str]:
        """Every row's new text; UnsupportedError where the model has no tokenizer."""
        if not self._has_text:
            raise UnsupportedError("this model came without a tokenizer, so there is no text; ask for ids()")
        return ["".join(step.text for step in row) for row in self.rows()]
