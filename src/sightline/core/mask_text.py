"""Reading a mask from its text form, `causal & sliding_window(256) | prefix(32)`."""

from __future__ import annotations

import ast
import difflib
from dataclasses import fields

from sightline.core.mask import LEAVES, Mask, snake
from sightline.errors import ConfigError

_BY_NAME = {snake(leaf.__name__): leaf for leaf in LEAVES}
_LONGEST = 2000
_DEEPEST = 100  # far below Python's own limit, so that whatever was read can also be written and compared


def parse(text: str) -> Mask:
    """The mask that `str` wrote; raises ConfigError naming what it could not read.

    The text form is a subset of Python's expressions; it is read as a syntax tree and never executed.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"a mask of {len(text)} characters is too long; at most {_LONGEST}")
    try:
        return _build(ast.parse(text.strip(), mode="eval").body, text)
    except (SyntaxError, RecursionError, MemoryError, TypeError, ValueError):
        raise ConfigError(f"cannot read the mask {text!r}: join {', '.join(_BY_NAME)} with &, |, ~ and ()") from None


def _build(node: ast.expr, text: str, depth: int = 0) -> Mask:
    if depth > _DEEPEST:
        raise ConfigError(f"the mask {text!r} is nested too deep; at most {_DEEPEST} times")
    match node:
        case ast.BinOp(left=left, op=ast.BitAnd(), right=right):
            return _build(left, text, depth + 1) & _build(right, text, depth + 1)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _build(left, text, depth + 1) | _build(right, text, depth + 1)
        case ast.UnaryOp(op=ast.Invert(), operand=inner):
            return ~_build(inner, text, depth + 1)
        case ast.Name(id=name):
            return _leaf(name, [], text)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return _leaf(name, args, text)
    raise ConfigError(f"cannot read {ast.unparse(node)!r} in the mask {text!r}: expected one of {', '.join(_BY_NAME)}")


def _leaf(name: str, args: list[ast.expr], text: str) -> Mask:
    kind = _BY_NAME.get(snake(name))
    if kind is None:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        meant = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(_BY_NAME)}"
        raise ConfigError(f"there is no mask {name!r} (in {text!r}): {meant}")
    truths = {"true": True, "false": False}
    values = [truths.get(arg.id) if isinstance(arg, ast.Name) else ast.literal_eval(arg) for arg in args]
    try:
        return kind(*values)
    except TypeError:
        takes = ", ".join(f.name for f in fields(kind)) or "no value"  # type: ignore[arg-type]
        raise ConfigError(f"cannot read {name!r} in the mask {text!r}: it takes {takes}") from None
