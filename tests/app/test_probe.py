"""`sightline probe`: who depends on whom, on the terminal, as JSON, picture and page; leaks are exit code 1."""

import json
from pathlib import Path

import pytest

import sightline as sl
from sightline.app.cli import main

TEXT = "The keys to the cabinet are on the table."
SIZES = {"layers": 1, "width": 16, "attention_heads": 2, "inner": 32, "positions": 24}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    for family, kind in {"bert": "wordpiece", "gpt2": "bytelevel-bpe"}.items():
        tokenizer = sl.learn_tokenizer([TEXT], kind=kind, vocabulary=300)
        sl.build(family, "tiny", tokenizer=tokenizer, **SIZES).save(folder / family)
    return {name: str(folder / name) for name in ("bert", "gpt2")}


def test_what_a_model_declares_is_measured(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", models["gpt2"], TEXT]) == 0
    printed = capsys.readouterr().out
    assert "every output depends on exactly what it should" in printed
    assert "   1 ␣keys" in printed and "expected   causal" in printed


def test_leaks_are_exit_code_1_and_are_drawn(
    models: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture, page = tmp_path / "seen.png", tmp_path / "pages" / "seen.html"
    given = ["--expect", "causal", "--json", "--png", str(picture), "--html", str(page)]
    assert main(["probe", models["bert"], TEXT, *given]) == 1
    found = json.loads(capsys.readouterr().out)
    tokens = len(found["tokens"])
    assert len(found["leaks"]) == tokens * (tokens - 1) // 2 and found["ok"] is False
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = page.read_text(encoding="utf-8")
    assert f"{len(found['leaks'])} leaks" in text and "https://" not in text and found["gap"]["nothing"] == 0


def test_another_mask_is_looked_through(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", models["bert"], TEXT, "--mask", "causal", "--expect", "causal"]) == 0
    assert main(["probe", models["gpt2"], TEXT, "--past", "4", "--method", "substitution"]) == 0
    assert "   3 " not in capsys.readouterr().out.split("gpt2 under")[1]


def test_a_function_of_the_users_may_return_the_model(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
import torch

def make():
    torch.manual_seed(0)
    table = torch.randn(9, 4)
    return lambda ids: table[ids].flip(1).cumsum(1).flip(1)
"""
    (tmp_path / "mymodels_probed.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    given = ["probe", "mymodels_probed:make", "--ids", "1,2,3,4"]
    assert main([*given, "--vocabulary", "9", "--expect", "causal", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {(pair["output"], pair["input"]) for pair in found["leaks"]} == {(i, j) for j in range(4) for i in range(j)}
    assert main(given) == 2
    assert "pass --vocabulary" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--expect", "casual"], "did you mean causal"),
        (["--method", "guess"], "--method guess"),
        (["--past", "99"], "--past 99"),
        (["--state", "dream"], "--state dream"),
        (["--ids", "1,2"], "leave one out"),
    ],
)
def test_wrong_use_is_one_line(
    models: dict[str, str], capsys: pytest.CaptureFixture[str], given: list[str], says: str
) -> None:
    assert main(["probe", models["gpt2"], TEXT, *given]) == 2
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_help_names_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "--help"]) == 0
    assert "exit code is 1" in capsys.readouterr().out
