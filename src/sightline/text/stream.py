"""Text from ids that arrive one at a time, as a model generates them.

A byte-level token may hold a part of a character, and a word piece joins the word before it: what one token adds to the
text is only known from its neighbours. So a short window of ids is decoded again at each step.
"""

from collections.abc import Callable, Sequence

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class DecodeStream:
    """Takes one id at a time and returns the text that has become complete; made by `Tokenizer.decode_stream`.

    The pieces, joined, with what `finish` returns at the end, are the text that decoding all ids at once gives.

    >>> stream = tokenizer.decode_stream()
    >>> text = "".join(stream.add(id) for id in ids) + stream.finish()
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], after: Sequence[int] = ()) -> None:
        """`decode` turns ids into text; `after` are ids already shown, which the new text continues."""
        self._decode = decode
        self._window = list(after)
        self._new: list[int] = []
        self._shown = len(decode(self._window).rstrip(UNFINISHED)) if after else 0

    def add(self, id: int) -> str:
        """The text that `id` completes: empty while a character is unfinished, or for a token that is not shown."""
        text = self._decode([*self._window, id])
        self._window.append(id)
        self._new.append(id)
        # A cut character decodes to U+FFFD until its last byte is there; a real U+FFFD only waits for its successor.
        complete = text.rstrip(UNFINISHED)
        piece = complete[self._shown :]
        if complete != text:
            self._shown = len(complete)
        elif piece:
            # The window moves on to whole characters, and is never empty: a first token is decoded without its space.
            self._window, self._new = self._new, []
            self._shown = len(self._decode(self._window))
        else:
            self._window.pop()
            self._new.pop()
        return piece

    def finish(self) -> str:
        """What is still held back, where the ids end within a character: a replacement character, as in `decode`."""
        return self._decode(self._window)[self._shown :] if self._window else ""
