"""No test leaves this computer: what would reach another one raises, and fails the test even if that is swallowed."""

import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from typing import Any

attempts: list[str] = []  # addresses asked for and refused since the last look


class NetworkRefused(RuntimeError):
    """A test tried to reach another computer."""


def is_local(host: object) -> bool:
    """Whether `host`, a name or a numeric address, is this computer; any name but `localhost` would ask a server."""
    if isinstance(host, bytes):
        host = host.decode()
    if host is None or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).split("%")[0]).is_loopback
    except ValueError:
        return False


def refuse(address: object) -> None:
    """Record the attempt and raise."""
    attempts.append(str(address))
    raise NetworkRefused(
        f"a test tried to reach {address!r}; tests may reach this computer only: start a server on 127.0.0.1, "
        "or take the data from the folder that SIGHTLINE_DATA names"
    )


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook (PEP 578): Python calls it before every connection and every look-up of a name, in any library."""
    if not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if isinstance(address, tuple) and not is_local(address[0]):  # a Unix socket's address is a path, no tuple
            refuse(address[0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0]
        if not is_local(host) and host != socket.gethostname():
            refuse(host)


@contextlib.contextmanager
def staying_here() -> Iterator[None]:
    """Fail at the end where something in the block tried to reach another computer, also if it swallowed the error."""
    attempts.clear()
    yield
    refused = sorted(set(attempts))
    attempts.clear()
    assert not refused, f"the test tried to reach {', '.join(refused)}"


def install(home: str) -> None:
    """Guard this process, and settle the environment that it and the processes it starts read.

    `home` is an empty folder that stands in for the user's own Hugging Face folder.
    """
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"):
        os.environ.pop(name, None)
    os.environ.update(
        HF_HOME=home,
        HF_HUB_OFFLINE="1",  # a test that runs its own server says otherwise, together with its HF_ENDPOINT
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_XET="1",  # a network client of its own, outside Python
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        TOKENIZERS_PARALLELISM="false",
        MPLBACKEND="agg",
    )
    sys.addaudithook(watch)
