"""How the command line speaks: answers on stdout, talk on stderr, one line for each error."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Not run.minutes=60 of a recipe, nor what somebody called a file or wrote in quotes.
_ARGUMENT = re.compile(r"(?<![\w.'/\\-])(\w+)=(…|True|False|None|'[^']*'|-?(?:\d[\w.+-]*|inf|nan))")
_options: dict[str, tuple[str, str]] = {}  # arguments of the verb that runs: how they are given, and switched off


def answer(text: str) -> None:
    """A line for stdout."""
    print(text, flush=True)


def as_json(value: Any) -> str:
    """A JSON value on one line; in ASCII where stdout is not UTF-8."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not unicode)


def answer_json(value: Any) -> None:
    """A JSON value for stdout, on one line."""
    print(as_json(value), flush=True)


def wrapped(text: str) -> str:
    """A paragraph in lines as long as the terminal's; one line where stdout is no terminal."""
    return textwrap.fill(text, shutil.get_terminal_size().columns) if sys.stdout.isatty() else text


def print_what_can_be_printed() -> None:
    """From now on a character that stdout's encoding lacks comes out as a question mark, where it would be an error."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


def speak_for(verb: Any) -> None:
    """From now on arguments go by the names of this verb's options; a command of typer's."""
    _options.clear()
    for each in verb.params:
        if each.opts[0].startswith("--"):
            _options[each.name] = (each.opts[0], *each.secondary_opts, "")[:2]


def _option(found: re.Match[str]) -> str:
    name, value = found.groups()
    if name not in _options:
        return found[0]
    on, off = _options[name]
    if value in ("True", "False"):
        return (on if value == "True" else off) or found[0]
    said = {"…": "", "None": " 0"}  # no limit is None in Python, and 0 here
    return on + said.get(value, " " + shlex.quote(value.strip("'")))


def for_command_line(text: str) -> str:
    """A message of the layers below, which know Python alone, in this verb's options: max_length=99 as --max-length 99,
    label=… as --label, header=False as --no-header."""
    return _ARGUMENT.sub(_option, text)


def say(text: str) -> None:
    """A line for stderr."""
    print(for_command_line(text), file=sys.stderr, flush=True)


@contextmanager
def notes() -> Iterator[None]:
    """Python's warnings as lines on stderr, without the code that raised them."""

    def show(message: Warning | str, *place: object, **more: object) -> None:
        say(f"note: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


@contextmanager
def busy(what: str) -> Iterator[None]:
    """A spinner on stderr while something takes its time; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Any]:
    """A bar on stderr with the time left, where the total is known; gives a function that takes how much is done, and
    the total where that is known only now."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, total=total: bar.update(task, completed=done, total=total)
