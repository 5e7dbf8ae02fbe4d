"""sightline audit: a folder or a function that returns a model; exit code 1 where a check fails."""

import json
import sys
from pathlib import Path

import pytest

from contract.families import tiny
from sightline.app.cli import main

MADE = """
import torch
from torch import nn

class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)

    def forward(self, ids):
        vectors = self.embedding(ids)
        return vectors + vectors.mean(1, keepdim=True)

def make():
    torch.manual_seed(0)
    return Both().eval()

def wants(something):
    return something

def breaks():
    raise KeyError("layers")

number = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "made_for_audit.py").write_text(MADE)
    (tmp_path / "broken_for_audit.py").write_text("number = 1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "made_for_audit", raising=False)
    return tmp_path


def test_a_function_returns_the_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = here / "audit.html"
    line = ["audit", "made_for_audit:make", "--expect", "causal", "--lengths", "1,3,8"]
    assert main([*line, "--html", str(page)]) == 1
    said = capsys.readouterr().out
    assert "✗ nobody sees what is hidden" in said and "likely: " in said
    assert "<svg" in page.read_text(encoding="utf-8")
    assert main([*line, "--json"]) == 1
    kept = json.loads(capsys.readouterr().out)
    assert kept["ok"] is False and kept["lengths"] == [1, 3, 8]
    assert main(["audit", "made_for_audit:make", "--expect", "bidirectional", "--lengths", "1,3,8"]) == 0


def test_a_folder_is_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny("gpt2", heads=("lm",)).float().save(tmp_path / "model")
    assert main(["audit", str(tmp_path / "model"), "--lengths", "1,8", "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)
    assert (kept["expect"], kept["said_by"]) == ("causal", "model")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["made_for_audit:nothing"], "has no 'nothing'"),
        (["made_for_audit:number"], "is no function"),
        (["made_for_audit:wants"], "must take no arguments"),
        (["made_for_audit:breaks"], "'made_for_audit:breaks' fails: KeyError: 'layers' ("),
        (["broken_for_audit:make"], "importing 'broken_for_audit' fails: ZeroDivisionError: division by zero ("),
        (["no_such_module:make"], "Python finds no module 'no_such_module'"),
        (["made_for_audit:make", "--mask", "causal"], "--mask is for folders and hub models"),
        (["made_for_audit:make", "--lengths", "1,x"], "no whole numbers"),
        (["made_for_audit:make", "--expect", "cuasal"], "did you mean causal"),
    ],
)
def test_wrong_use_is_one_line(here: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error
