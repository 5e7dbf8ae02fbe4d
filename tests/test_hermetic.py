"""The guard itself: it lets this computer through, stops every other, and remembers."""

import contextlib
import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import hermetic


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.1.2.3", "", None])
def test_this_computer_is_local(host: str | None) -> None:
    assert hermetic.is_local(host)


@pytest.mark.parametrize(
    "host", ["example.com", b"example.com", "192.0.2.1", "0.0.0.0", "2001:db8::1", "localhost.example.com"]
)
def test_other_computers_are_not(host: str | bytes) -> None:
    assert not hermetic.is_local(host)


def test_a_name_is_not_even_looked_up() -> None:
    with pytest.raises(hermetic.NetworkRefused, match=r"example\.com"):
        urllib.request.urlopen("http://example.com/")
    assert hermetic.attempts == ["example.com"]
    hermetic.attempts.clear()  # asked for on purpose


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_an_address_is_not_connected_to(kind: socket.SocketKind) -> None:
    with (
        socket.socket(socket.AF_INET, kind) as outgoing,
        pytest.raises(hermetic.NetworkRefused, match="start a server"),
    ):
        outgoing.connect(("192.0.2.1", 80))
    hermetic.attempts.clear()


def test_an_attempt_that_is_swallowed_fails_at_the_end() -> None:
    with pytest.raises(AssertionError, match=r"tried to reach 192\.0\.2\.1"), hermetic.staying_here():  # noqa: SIM117
        with contextlib.suppress(Exception):
            socket.create_connection(("192.0.2.1", 80))


def test_a_local_server_is_reached() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"here")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=10) as answer:
            assert answer.read() == b"here"
