"""Tables of a TOML file as frozen dataclasses: a field's name, type and meaning are said once, in the dataclass."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from sightline.errors import ConfigError

Value = TypeVar("Value")


def closest(name: str, names: Sequence[str]) -> str:
    """What a name that is none may have been meant for."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"


def _fits(value: object, hint: Any) -> bool:
    """Whether a TOML value is of an annotated type; what lies deeper is looked at by the dataclasses themselves."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in get_args(hint))
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return isinstance(value, tuple)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return type(value) is int
    plain = origin or hint
    return isinstance(value, plain) if isinstance(plain, type) else True


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
            wanted = getattr(hints[name], "__name__", str(hints[name]).replace("typing.", ""))
            raise ConfigError(f"{place} is {value!r}; it must be of the type {wanted}")
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
