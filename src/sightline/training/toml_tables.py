"""Tables of a TOML file as frozen dataclasses: a field's name, type and meaning are said once, in the dataclass."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from itertools import cycle
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sightline.errors import ConfigError
from sightline.phrases import did_you_mean

Value = TypeVar("Value")


def closest(name: str, names: Sequence[str]) -> str:
    """What a name that is none may have been meant for."""
    return did_you_mean(name, names) or f"there are {', '.join(names)}"


def _fits(value: object, hint: Any) -> bool:
    """Whether a TOML value is of an annotated type; what lies deeper is looked at by the dataclasses themselves."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        inner = get_args(hint)
        if not isinstance(value, tuple) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
            return False
        return all(_fits(one, each) for one, each in zip(value, cycle(inner[:1]), strict=False))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return type(value) is int
    plain = origin or hint
    return isinstance(value, plain) if isinstance(plain, type) else True


_IN_WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}


def _in_words(hint: Any) -> str:
    """What a TOML value of an annotated type is, for people; TOML has no None."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_in_words(each) for each in inner if each is not types.NoneType)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}" if len(inner) > 1 else repr(inner[0])
    if origin is tuple:
        many = "a list, each" if inner[-1] is Ellipsis else f"a list of {len(inner)}, each"
        return f"{many} {_in_words(inner[0])}"
    return _IN_WORDS.get(hint, "a table")


def _converted(value: object, hint: Any, where: str) -> object:
    """A TOML value as the annotated type has it: tables as dataclasses, lists as tuples, whole numbers as numbers."""
    for each in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
        if isinstance(value, Mapping) and isinstance(each, type) and is_dataclass(each):
            return from_table(each, value, where)
        if isinstance(value, list) and get_origin(each) is tuple:
            inner = get_args(each)[0]
            return tuple(_converted(one, inner, f"{where}[{place}]") for place, one in enumerate(value))
        if type(value) is int and each is float:
            return float(value)
    return value


def from_table(kind: type[Value], table: Mapping[str, Any], where: str) -> Value:
    """A dataclass from a table whose keys are its fields; ConfigError that says where, for what it has no meaning for.

    >>> from_table(StageRecipe, {"share": 1, "rows": 8, "tokens": 64}, "batches.stages[0]")  # doctest: +SKIP
    StageRecipe(share=1.0, rows=8, tokens=64)
    """
    hints = get_type_hints(kind)
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]  # every kind here is a dataclass
    given: dict[str, Any] = {}
    for name, value in table.items():
        place = f"{where}.{name}" if where else name
        if name not in known:
            raise ConfigError(f"there is no field {place}: {closest(name, known)}")
        given[name] = _converted(value, hints[name], place)
        if not _fits(given[name], hints[name]):
            raise ConfigError(f"{place} is {value!r}; it must be {_in_words(hints[name])}")
    missing = [
        each.name
        for each in fields(kind)  # type: ignore[arg-type]
        if each.default is MISSING and each.default_factory is MISSING and each.name not in given
    ]
    if missing:
        raise ConfigError(f"{where or 'the recipe'} lacks {', '.join(missing)}")
    try:
        return kind(**given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from error
