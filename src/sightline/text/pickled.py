"""Plain values from a pickle, read without running it: what would be more than a plain value is refused by name.

A pickle is a program for a small stack machine, and some of its instructions call whatever they name. Here its
instructions are read one by one (`pickletools` only takes them apart), and those are followed that build dicts, lists,
tuples, texts, bytes, numbers, True, False and None. Of all names only two may be asked for, OrderedDict and Counter,
and both become plain dicts. Nothing is imported and nothing is called.

    Python's Library Reference, "pickletools"; PEP 307, PEP 3154 and PEP 574 for the protocols.
"""

import io
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sightline.errors import CheckpointError
from sightline.text.tokenizer_settings import AGAIN

LARGEST = 32 * 2**20  # bytes; the vocabulary of transfo-xl-wt103, with 267,735 words, has 9 MB
MAGIC = 0x1950A86A20F9469CFC6C  # how older files of torch.save begin: several pickles, the fourth holds the value
_ALLOWED = (("collections", "OrderedDict"), ("collections", "Counter"))
_PASSED_OVER = ("PROTO", "FRAME", "STOP")
_VALUES = frozenset(
    "INT LONG LONG1 LONG4 BININT BININT1 BININT2 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES"
    " SHORT_BINBYTES BINBYTES8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8".split()
)


_OF_ARCHIVES = (zipfile.BadZipFile, zlib.error)


class _Mark:
    """What MARK leaves on the stack."""


class _Kind:
    """A name that was asked for and is allowed: calling it makes a dict."""


class _Damage(ValueError):
    """What no pickle of plain values does."""


class _Machine:
    """The stack, and what was remembered by number."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def take(self, count: int) -> list[Any]:
        """The last `count` values, taken off the stack."""
        taken = self.stack[-count:]
        if len(taken) < count or any(isinstance(value, _Mark) for value in taken):
            raise _Damage("it takes more values than there are")
        del self.stack[-count:]
        return taken

    def since_mark(self) -> list[Any]:
        """What stands above the last mark, taken off with it."""
        marks = (place for place in range(len(self.stack) - 1, -1, -1) if isinstance(self.stack[place], _Mark))
        place = next(marks, None)
        if place is None:
            raise _Damage("it closes what it never opened")
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken

    def top(self, kind: type) -> Any:
        """The value on top, which must be of this kind."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise _Damage(f"it fills something that is no {kind.__name__}")
        return self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        """Append values to the list on top."""
        self.top(list).extend(values)

    def fill(self, pairs: list[Any]) -> None:
        """Put keys and values, one after the other, into the dict on top."""
        if len(pairs) % 2 or any(not isinstance(key, str | int) for key in pairs[::2]):
            raise _Damage("it has a key that is neither text nor a whole number")
        self.top(dict).update(zip(pairs[::2], pairs[1::2], strict=True))

    def push_dict(self, pairs: list[Any]) -> None:
        """Put a dict of these keys and values on the stack."""
        self.stack.append({})
        self.fill(pairs)

    def remember(self, number: int) -> None:
        """Give the value on top a number."""
        (self.memo[number],) = values = self.take(1)
        self.stack.extend(values)

    def name(self, asked: list[Any]) -> None:
        """A module and a name in it."""
        if not all(isinstance(part, str) for part in asked):
            raise _Damage("it names what is no text")
        if tuple(asked) not in _ALLOWED:
            raise PermissionError(".".join(asked))
        self.stack.append(_Kind())

    def call(self) -> None:
        """A dict: of one of the kinds that are allowed, from nothing, from a dict, or from a list of pairs."""
        kind, given = self.take(2)
        if not isinstance(kind, _Kind) or not isinstance(given, tuple) or len(given) > 1:
            raise _Damage("it calls what is no OrderedDict and no Counter")
        content = given[0] if given else {}
        pairs = content.items() if isinstance(content, dict) else content
        if not isinstance(content, dict | list):
            raise _Damage("it makes a dict of what is none")
        if any(not isinstance(pair, tuple | list) or len(pair) != 2 for pair in pairs):
            raise _Damage("it makes a dict of what holds no pairs")
        self.push_dict([part for pair in pairs for part in pair])


_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "NONE": lambda machine, value: machine.stack.append(None),
    "NEWTRUE": lambda machine, value: machine.stack.append(True),
    "NEWFALSE": lambda machine, value: machine.stack.append(False),
    "EMPTY_DICT": lambda machine, value: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, value: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, value: machine.stack.append(()),
    "MARK": lambda machine, value: machine.stack.append(_Mark()),
    "DICT": lambda machine, value: machine.push_dict(machine.since_mark()),
    "LIST": lambda machine, value: machine.stack.append(machine.since_mark()),
    "TUPLE": lambda machine, value: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, value: machine.stack.append(tuple(machine.take(1))),
    "TUPLE2": lambda machine, value: machine.stack.append(tuple(machine.take(2))),
    "TUPLE3": lambda machine, value: machine.stack.append(tuple(machine.take(3))),
    "APPEND": lambda machine, value: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, value: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, value: machine.fill(machine.take(2)),
    "SETITEMS": lambda machine, value: machine.fill(machine.since_mark()),
    "MEMOIZE": lambda machine, value: machine.remember(len(machine.memo)),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda machine, value: machine.remember(value)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, value: machine.stack.append(machine.memo[value])),
    **dict.fromkeys(_VALUES, lambda machine, value: machine.stack.append(value)),
    **dict.fromkeys(_PASSED_OVER, lambda machine, value: None),
    "GLOBAL": lambda machine, value: machine.name(value.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, value: machine.name(machine.take(2)),
    "REDUCE": lambda machine, value: machine.call(),
}


def _one(stream: io.BytesIO) -> Any:
    """The value of the next pickle of a stream."""
    machine = _Machine()
    for instruction, value, _ in pickletools.genops(stream):
        step = _STEPS.get(instruction.name)
        if step is None:
            raise _Damage(f"its instruction {instruction.name} builds no plain value")
        step(machine, value)
    (result,) = machine.take(1)
    return result


def _unpacked(path: Path, content: bytes) -> bytes:
    """The pickle within the zip archive that torch.save writes now; other content as it is."""
    if not content.startswith(b"PK\x03\x04"):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (within,) = (entry for entry in archive.infolist() if entry.filename.endswith("/data.pkl"))
        if within.file_size > LARGEST:
            raise CheckpointError(f"{path} unpacks to {within.file_size:,} bytes, too many for a vocabulary; {AGAIN}")
        return archive.read(within)


def read_plain(path: Path) -> Any:
    """The value in a pickle, or in a file of torch.save, of at most 32 MiB.

    Raises CheckpointError, naming file and reason, for what is damaged, too large or more than plain values.

    >>> read_plain(Path("vocab.pkl"))["sym2idx"]["the"]  # doctest: +SKIP
    1
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); check its permissions, or {AGAIN}") from None
    if len(content) > LARGEST:
        raise CheckpointError(f"{path} has more than {LARGEST:,} bytes, too many for a vocabulary; {AGAIN}")
    try:
        stream = io.BytesIO(_unpacked(path, content))
        value = _one(stream)
        return [_one(stream) for _ in range(3)][-1] if value == MAGIC else value
    except PermissionError as error:
        raise CheckpointError(
            f"{path} asks for {str(error)[:100]!r}, and nothing that a file names is executed: dict, list, tuple, str,"
            " numbers, OrderedDict and Counter are all that is read; write the words into vocab.txt, one a line, in the"
            " order of their ids"
        ) from None
    except (ValueError, LookupError, TypeError, ArithmeticError, EOFError, RuntimeError, *_OF_ARCHIVES) as error:
        raise CheckpointError(f"{path} is damaged or no pickle ({str(error)[:100]!r}); {AGAIN}") from None
