"""Phrases that messages are made of."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def and_more(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are.

    >>> and_more(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question after the known name that looks most like this one; empty where none does.

    >>> did_you_mean("gtp2", ["bert", "gpt2"])
    "did you mean 'gpt2'?"
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else ""
