"""The board: what it shows of each contender, and which lines stay."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from comparison.compared import texts, write
from sightline.app.board import _State, board
from sightline.comparison.compare import compare
from sightline.comparison.question import Event
from sightline.comparison.running import Comparison

DEV = {"dev": {"accuracy": 0.875}, "seconds": 12.34}


@pytest.fixture
def comparison() -> Comparison:
    return compare("rows.csv", contenders=["majority", "tfidf", "encoder"])


def drawn(state: _State) -> str:
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as capture:
        console.print(state.draw())
    return capture.get()


def test_it_says_who_waits_who_learns_who_is_done_and_who_failed(comparison: Comparison) -> None:
    state = _State(comparison)
    state.take(Event(what="timing", text="Timing tfidf", contender="tfidf"))
    assert "timing" in drawn(state)
    state.take(Event(what="planned", text="…"))
    assert "timing" not in drawn(state) and drawn(state).count("waiting") == 3
    state.take(Event(what="tried", text="…", contender="majority", record=DEV, share=0.25, left=60.0))
    state.take(Event(what="failed", text="tfidf failed: no", contender="tfidf"))
    state.take(Event(what="learning", text="try 1 of 4", contender="encoder", share=0.5, left=40.0))
    lines = [line.split() for line in drawn(state).splitlines()]
    assert lines[1] == ["majority", "done", "87.5%", "12.3"] and lines[2] == ["tfidf", "failed"]
    assert lines[3] == ["encoder", "try", "1", "of", "4"]
    assert lines[4][-5:] == ["50%", "about", "40", "seconds", "left"]


def test_names_are_no_markup(tmp_path: Path) -> None:
    state = _State(compare("rows.csv", contenders=["some/[red]model"]))
    assert "some/[red]model" in drawn(state)


def test_while_rows_are_read_it_counts_them(comparison: Comparison) -> None:
    state = _State(comparison)
    comparison.rows_read = 4096
    state.take(Event(what="reading", text="Reading rows.csv"))
    assert drawn(state).strip() == "4,096 rows"


def test_where_nobody_watches_lines_say_what_was_done(
    comparison: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    with board(comparison) as show:
        show(Event(what="assumed", text="The texts are long."))
        show(Event(what="learning", text="try 1 of 4", contender="tfidf"))
        show(Event(what="tried", text="tfidf, try 1 of 4: dev accuracy 87.5%", contender="tfidf", share=0.42))
    assert capsys.readouterr().err == "  The texts are long.\n 42%  tfidf, try 1 of 4: dev accuracy 87.5%\n"


def test_a_terminal_is_left_with_the_answer_alone(tmp_path: Path) -> None:
    write(tmp_path / "rows.csv", texts(60))
    above, below = pty.openpty()
    args = [sys.executable, "-m", "sightline", "compare", "rows.csv", "--contenders", "majority,tfidf", "--out", "out"]
    env = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(args, cwd=tmp_path, env=env, stdin=below, stdout=below, stderr=below) as process:
        os.close(below)
        seen = b""
        while True:
            try:
                some = os.read(above, 65536)
            except OSError:  # the other side is closed
                break
            if not some:
                break
            seen += some
    os.close(above)
    assert process.returncode == 0
    shown = seen.decode("utf-8")
    last = shown[shown.rindex("\x1b[2K") :]  # where the board was wiped away
    assert "waiting" not in last and "left" not in last
    assert "macro-F1" in last and "report  out/report.html" in last
