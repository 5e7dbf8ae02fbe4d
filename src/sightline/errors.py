"""Errors that are meant for the user: what was wrong, its value, what to do.

A `SightlineError` becomes one line on stderr and exit code 2. Anything else that escapes is a bug and keeps its
traceback.
"""


class SightlineError(Exception):
    """Base of every error that Sightline raises on purpose."""


class ConfigError(SightlineError):
    """A configuration field has a value that cannot work."""


class CheckpointError(SightlineError):
    """A checkpoint's files or tensors are missing, damaged or of the wrong shape."""


class NotFoundError(SightlineError):
    """No model, file or name like the one asked for, or no way to reach it."""


class InputError(SightlineError):
    """Text, token ids, masks or coordinates that the model cannot take."""


class UnsupportedError(SightlineError):
    """The model cannot do what was asked, or would quietly do it wrong."""
