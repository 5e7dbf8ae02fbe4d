"""Ctrl-C as a wish and not as a blow: what is under way ends first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sightline.app import talk

INTERRUPTED = 130
"""The exit code of what Ctrl-C ended, as shells have it."""


class Stop:
    """Whether Ctrl-C was pressed."""

    asked = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Within, the first Ctrl-C (or SIGTERM) sets `asked`; the second raises KeyboardInterrupt as ever."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield stop
        return

    def note(number: int, frame: object) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        talk.say("Stopping after this step, then saving; Ctrl-C again stops at once.")

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
