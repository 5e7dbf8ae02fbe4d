"""`sightline prepare`: what it says, what it answers, and how it stops."""

import json
import signal
from pathlib import Path

import pytest

from sightline.app.cli import main
from sightline.tasks import prepare_reading
from sightline.tasks.prepare_work import AHEAD, Encoding
from sightline.text.corpus import open_corpus
from tasks.test_prepare import content, sentences, write


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write(tmp_path / "text.txt", [*sentences(100), "", *sentences(5)])


def command(text: Path, out: Path, *more: str) -> list[str]:
    return ["prepare", str(text), "--out", str(out), "--vocabulary", "350", "--valid", "0.2", *more]


def test_it_says_what_it_assumed_and_answers_what_came_of_it(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(text, tmp_path / "corpus", "--documents", "lines", "--licence", "CC0")) == 0
    captured, corpus = capsys.readouterr(), open_corpus(tmp_path / "corpus")
    train, valid, where = captured.out.splitlines()
    assert train.startswith(
        f"train   {len(corpus.train)} documents, {corpus.train.tokens:,} tokens, {corpus.train.text_bytes:,} bytes"
    )
    assert valid.startswith(f"valid   {len(corpus.valid)} documents, {corpus.valid.tokens:,} tokens")
    assert where == f"corpus  {tmp_path / 'corpus'}, with a vocabulary of 350 tokens"
    assert captured.err == "106 documents read; 5 duplicates, 1 empty left out\n"
    assert corpus.manifest["sources"][0]["licence"] == "CC0"
    assert main(command(text, tmp_path / "other", "--json", "--valid", "0")) == 0
    captured = capsys.readouterr()
    assert captured.err == f"A document of {text} is what blank lines part; --documents says otherwise.\n"
    found = json.loads(captured.out)
    assert found["documents"] == {"read": 2, "bad": 0, "empty": 0, "duplicates": 0} and found["vocabulary"] == 350
    assert set(found) == {"out", "vocabulary", "documents", "train", "valid"}


def test_what_is_wrong_is_one_line(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text.write_bytes(b"one\ntw\xffo\nthree\nfour\nfive\n")
    assert main(command(text, tmp_path / "corpus")) == 2
    why = f"{text} is not UTF-8 text: byte 3 of line 2 is 0xff; save it as UTF-8"
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"sightline: {why}; or leave out what cannot be read with --skip-bad"
    )
    assert main(command(text, tmp_path / "corpus", "--skip-bad", "--valid", "0")) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[-2:] == [f"left out: {why}", "5 documents read; 1 not readable left out"]
    assert main(["prepare", str(tmp_path / "nowhere"), "--out", "x"]) == 2
    assert main(["prepare", "--out", "x"]) == 2


def test_ctrl_c_saves_and_the_same_command_goes_on(
    text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_reading, "CHUNK_BYTES", 500)
    asked = command(text, tmp_path / "corpus", "--documents", "lines")
    write_chunk, calls = Encoding._write, 0

    def interrupted(self: Encoding, *arguments: object) -> None:
        nonlocal calls
        calls += 1
        write_chunk(self, *arguments)  # type: ignore[arg-type]
        if calls == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Encoding, "_write", interrupted)
        assert main(asked) == 130
    captured = capsys.readouterr()
    assert captured.out == "" and calls == 3 + AHEAD  # what is being encoded is waited for
    assert f"Saved in {tmp_path / 'corpus'}. To go on, give the same command again.\n" in captured.err
    assert main(asked) == 0
    assert f"Going on with the corpus that was begun in {tmp_path / 'corpus'}.\n" in capsys.readouterr().err
    assert main(command(text, tmp_path / "whole", "--documents", "lines")) == 0
    assert content(tmp_path / "corpus") == content(tmp_path / "whole")


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--help"]) == 0
    assert "sightline prepare novels.tar.xz wiki.jsonl.gz --out corpus" in capsys.readouterr().out
