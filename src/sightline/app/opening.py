"""Opening whatever is to be judged: a folder or hub id, or a model that a function of the user's returns."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import traceback

from sightline.app.options import open_model
from sightline.app.talk import busy
from sightline.errors import ConfigError, NotFoundError, SightlineError

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def is_function(name: str) -> bool:
    """Whether the name says where a function is: `package.module:function`."""
    return _FUNCTION.fullmatch(name) is not None


def open_any(name: str, revision: str | None, device: str | None, dtype: str | None, mask: str | None) -> object:
    """The model of that name, or what the function of that name returns.

    The function is looked for as Python would from the folder that one stands in, and called without arguments.
    """
    if not is_function(name):
        return open_model(name, revision, device, dtype, mask)
    given = {"revision": revision, "device": device, "dtype": dtype, "mask": mask}
    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"--{option} is for folders and hub models; let {name!r} return what you mean")
    with busy(f"Loading {name}"):
        return _made(name)


def _made(name: str) -> object:
    module_name, _, path = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise NotFoundError(
            f"Python finds no module {error.name!r}; {name!r} means a function in {module_name}.py or an installed"
            " package: go to its folder, or install it"
        ) from None
    except Exception as error:
        raise ConfigError(f"importing {module_name!r} fails: {_where(error)}") from error
    for part in path.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise NotFoundError(f"the module {module_name!r} has no {path!r}; name a function that returns a model")
    if not callable(found):
        raise ConfigError(f"{name!r} is no function, but {type(found).__name__}; name one that returns a model")
    try:
        inspect.signature(found).bind()
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name!r} must take no arguments and return a model: {error}") from None
    try:
        return found()
    except SightlineError:
        raise
    except Exception as error:
        raise ConfigError(f"{name!r} fails: {_where(error)}") from error


def _where(error: Exception) -> str:
    """What was raised, and the last line of the user's own files on the way there."""
    said = (str(error).strip().splitlines() or [""])[0]
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not re.search(r"site-packages|importlib", each.filename)][1:]
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {said:.200}{where}"
