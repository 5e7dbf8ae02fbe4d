"""Stop strings: text that ends a row, even when it is spread over several tokens."""

from __future__ import annotations

from collections.abc import Sequence

from sightline.errors import ConfigError


def stop_strings(stop: str | Sequence[str]) -> list[str]:
    """The strings, one or several; ConfigError for what is no string, and for the empty one, which is everywhere."""
    given: list[object] = [stop] if isinstance(stop, str) else list(stop)
    strings = [string for string in given if isinstance(string, str) and string]
    if len(strings) < len(given):
        raise ConfigError(f"stop={stop!r} must be a string of at least one character, or several of them")
    return strings


class StopText:
    """Lets text through until one of the strings appears; holds back what may become the beginning of one.

    >>> stop = StopText(["END"])
    >>> stop.feed("some E"), stop.feed("ND more"), stop.stopped
    ('some ', '', True)
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self.strings = stop_strings(strings)
        self.held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """What is certain to be shown now; nothing after a stop."""
        if self.stopped:
            return ""
        self.held += text
        found = [(at + len(string), at) for string in self.strings if (at := self.held.find(string)) >= 0]
        if found:
            # The string that is complete first, as if characters came one by one: pieces of text change nothing.
            _, begin = min(found)
            shown, self.held, self.stopped = self.held[:begin], "", True
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
