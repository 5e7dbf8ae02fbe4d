"""Stop strings: text that ends a row, even when it is spread over several tokens."""

from __future__ import annotations

from collections.abc import Sequence


class StopText:
    """Lets text through until one of the strings appears; holds back what may become the beginning of one.

    >>> stop = StopText(["END"])
    >>> stop.feed("some E"), stop.feed("ND more"), stop.stopped
    ('some ', '', True)
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self.strings = [string for string in strings if string]
        self.held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """What is certain to be shown now."""
        self.held += text
        found = [at for at in (self.held.find(string) for string in self.strings) if at >= 0]
        if found:
            shown, self.held, self.stopped = self.held[: min(found)], "", True
            return shown
        keep = max((self._overlap(string) for string in self.strings), default=0)
        cut = len(self.held) - keep
        shown, self.held = self.held[:cut], self.held[cut:]
        return shown

    def _overlap(self, string: str) -> int:
        """How many characters at the end may begin `string`."""
        return next(
            (n for n in range(min(len(string) - 1, len(self.held)), 0, -1) if self.held.endswith(string[:n])), 0
        )

    def finish(self) -> str:
        """What was held back, now that nothing follows."""
        shown, self.held = self.held, ""
        return shown
