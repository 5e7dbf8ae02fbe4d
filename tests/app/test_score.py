"""`sightline score`: texts, files and standard input; what the numbers are stands above them."""

import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sightline as sl
from sightline.app.cli import main

SENTENCES = ["The soup was hot.", "The tea was weak.", "I ordered a lamp."]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    sizes = {"layers": 1, "width": 16, "attention_heads": 2, "inner": 32, "positions": 24}
    for family, kind in {"bert": "wordpiece", "gpt2": "bytelevel-bpe"}.items():
        tokenizer = sl.learn_tokenizer(SENTENCES, kind=kind, vocabulary=300)
        sl.build(family, "tiny", tokenizer=tokenizer, **sizes).save(folder / family)
    return {name: str(folder / name) for name in ("bert", "gpt2")}


def test_a_text_has_a_sum_under_a_heading(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", models["gpt2"], SENTENCES[0]]) == 0
    captured = capsys.readouterr()
    heading, line = captured.out.splitlines()
    assert heading.split("\t") == ["log-likelihood", "tokens", "bits per byte", "perplexity", "text"]
    expected = sl.score(sl.load(models["gpt2"]), SENTENCES[0])[0]
    total, tokens, bits, perplexity, text = line.split("\t")
    assert float(total) == pytest.approx(expected.total, abs=1e-4)
    assert int(tokens) == len(expected.ids) and text == SENTENCES[0]
    assert float(bits) == pytest.approx(expected.rates.per("byte", bits=True), abs=1e-4)
    assert float(perplexity) == pytest.approx(expected.rates.perplexity(), rel=1e-4)
    assert "after <|endoftext|>" in captured.err


def test_a_masked_model_has_another_heading(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """So that nobody reads its numbers as perplexities."""
    assert main(["score", models["bert"], SENTENCES[0]]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("pseudo-log-likelihood\ttokens\tbits per byte\tpseudo-perplexity\ttext\n")
    assert "each token from all others" in captured.err
    assert main(["score", models["bert"], SENTENCES[0], "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert "pseudo_perplexity" in record and "perplexity" not in record and "log_likelihood" not in record


def test_every_token_on_request(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", models["gpt2"], SENTENCES[0], "--tokens", "--bos", "none"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()[2:]]
    expected = sl.score(sl.load(models["gpt2"]), SENTENCES[0], bos="none")[0]
    assert [line[2] for line in lines] == [repr(token) for token in expected.tokens]
    assert lines[0][1] == "none"
    assert [float(line[1]) for line in lines[1:]] == pytest.approx(list(expected.log_probs[1:]), abs=1e-4)


def test_a_file_of_texts_keeps_its_rows(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f'id,said\n1,"{SENTENCES[0]}"\n2,\n3,"{SENTENCES[1]}"\n')
    assert main(["score", models["bert"], str(path), "--column", "said"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[2] == "\t\t\t\t"
    assert main(["score", models["bert"], str(path), "--column", "said", "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["row"] for record in records] == [1, 2, 3]
    assert records[1] == {"row": 2, "text": ""}
    expected = sl.score(sl.load(models["bert"]), [SENTENCES[0], SENTENCES[1]])
    for record, row in zip((records[0], records[2]), expected.rows, strict=True):
        assert record["pseudo_log_likelihood"] == pytest.approx(row.total, abs=1e-5)


@pytest.mark.parametrize("argument", [["-"], []])
def test_standard_input(
    models: dict[str, str],
    argument: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = io.TextIOWrapper(io.BytesIO("\n".join(SENTENCES).encode()))
    monkeypatch.setattr(sys, "stdin", text)
    assert main(["score", models["gpt2"], *argument]) == 0
    assert [line.split("\t")[-1] for line in capsys.readouterr().out.splitlines()[1:]] == SENTENCES


def test_answers_come_as_texts_are_read(models: dict[str, str]) -> None:
    """A text is answered before the next one is there."""
    command = [sys.executable, "-m", "sightline", "score", models["gpt2"], "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None and process.stdout is not None
        for number, sentence in enumerate(SENTENCES[:2]):
            process.stdin.write(sentence.encode() + b"\n")
            process.stdin.flush()
            if number == 0:
                assert process.stdout.readline().startswith(b"log-likelihood")
            started = time.monotonic()
            assert process.stdout.readline().decode().rstrip("\n").endswith(sentence)
            assert time.monotonic() - started < 60
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_long_text_goes_in_windows_and_that_is_said(
    models: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", models["gpt2"], " ".join(SENTENCES * 3), "--max-length", "12", "--stride", "4"]) == 0
    assert "1 longer than 11 tokens went in windows, one every 4" in capsys.readouterr().err


WRONG = [
    (["{gpt2}", "missing.txt"], "there is no file missing.txt"),
    (["{gpt2}", "a soup", "--mask", "bidirectional"], "sees the tokens that it would be asked for"),
    (["{gpt2}", "a soup", "--method", "pseudo"], "no mask token"),
    (["{gpt2}", "a soup", "--method", "best"], "choose one of causal, order, pseudo"),
    (["{gpt2}", "a soup", "--bos", "[BOS]"], "not a token"),
    (["{bert}", "a soup", "--within-word", "r2l"], "choose one of l2r, original, whole"),
    (["{gpt2}", "a soup", "--column", "text"], "there is no file a soup"),
    (["{gpt2}", "a soup", "--stride", "99"], "--stride 99 cannot be"),
]


@pytest.mark.parametrize(("args", "says"), WRONG, ids=[" ".join(args) for args, _ in WRONG])
def test_wrong_use_gives_one_line_and_exit_code_2(
    models: dict[str, str], capsys: pytest.CaptureFixture[str], args: list[str], says: str
) -> None:
    assert main(["score", *(arg.format(**models) for arg in args)]) == 2
    captured = capsys.readouterr()
    assert says in captured.err.splitlines()[-1] and captured.err.splitlines()[-1].startswith("sightline: ")
    assert captured.out == ""


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "--help"]) == 0
    assert "sightline score gpt2" in capsys.readouterr().out
