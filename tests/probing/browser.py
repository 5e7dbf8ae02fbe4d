"""A real browser for pages: Debian's chromium without a window, spoken to over two pipes, no network in between.

Tests that need it skip where there is none.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 180.0  # seconds for one answer, on a machine that is busy
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-extensions --disable-sync"
    " --disable-background-networking --disable-component-update --disable-dev-shm-usage --remote-debugging-pipe"
)


def chromium() -> str | None:
    """The browser's program."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Tab:
    """A page in the browser, by the DevTools protocol."""

    def __init__(self, write: int, read: int) -> None:
        self.write, self.read, self.buffer, self.number = write, read, b"", 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], PATIENCE)
            if not ready:
                raise TimeoutError("the browser does not answer")
            piece = os.read(self.read, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self.buffer += piece
        said, _, self.buffer = self.buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(said)
        return message

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come meanwhile are kept."""
        self.number += 1
        command = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            command["sessionId"] = self.session
        sent = json.dumps(command).encode() + b"\0"
        while sent:
            sent = sent[os.write(self.write, sent) :]
        while (message := self._message()).get("id") != self.number:
            self.events.append(message)
        assert "error" not in message, message["error"]
        result: dict[str, Any] = message["result"]
        return result

    def wait_for(self, method: str) -> None:
        """Wait until an event of this kind has come."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._message())

    def open(self, page: Path, *, width: int = 1200, height: int = 900, scheme: str = "light") -> None:
        """Show a file in a window of this size, in the light or in the dark."""
        if self.session is None:
            target = self.ask("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.ask(f"{domain}.enable")
        mobile = width < 700
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.ask("Page.navigate", url=page.absolute().as_uri())
        self.wait_for("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """What an expression of the page comes to."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, where the focus is."""
        for key in keys:
            self.ask("Input.dispatchKeyEvent", type="rawKeyDown", key=key, code=key)
            self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, code=key)

    def point(self, x: float, y: float, *, press: bool = False) -> None:
        """Move the pointer there; press its button where that is wanted."""
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        if press:
            for kind in ("mousePressed", "mouseReleased"):
                self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Write what the window shows, or the whole page, as a PNG file."""
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(shot["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {**size, "x": 0, "y": 0, "scale": 1}}

    def complaints(self) -> list[str]:
        """What the page did wrong: errors of its scripts, refused by its policy, requests beyond itself."""
        said = []
        for event in self.events:
            about = event.get("params", {})
            match event.get("method"):
                case "Runtime.exceptionThrown":
                    said.append(str(about["exceptionDetails"]))
                case "Log.entryAdded":
                    said.append(about["entry"]["text"])
                case "Network.requestWillBeSent" if not about["request"]["url"].startswith(("file:", "about:")):
                    said.append(f"asked for {about['request']['url']:.80}")
        return said


@contextmanager
def browsing(home: Path) -> Iterator[Tab]:
    """A browser with a profile of its own under `home`; the test is skipped where none is installed."""
    program = chromium()
    if program is None:
        pytest.skip("no chromium is installed; on Debian and Ubuntu: apt-get install chromium")
    commands, write = os.pipe()
    read, answers = os.pipe()

    # The browser reads commands from 3 and writes answers to 4, which the shell makes of whichever numbers these have.
    run = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
    process = subprocess.Popen(
        ["bash", "-c", run, program, *FLAGS.split(), f"--user-data-dir={home}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(commands, answers),
        env={**os.environ, "HOME": str(home)},
    )
    os.close(commands)
    os.close(answers)
    tab = Tab(write, read)
    try:
        yield tab
    finally:
        os.close(write)
        os.close(read)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
