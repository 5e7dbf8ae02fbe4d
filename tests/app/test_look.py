"""`sightline look`: a page, pictures, and what is left out."""

import json
from pathlib import Path

import pytest

import sightline as sl
from comparison.page_reader import read
from sightline.app.cli import main

SENTENCES = ["The soup was hot.", "The tea was weak.", "I ordered a lamp."]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    sizes = {"layers": 1, "width": 16, "attention_heads": 2, "inner": 32, "positions": 24}
    for family, kind in {"bert": "wordpiece", "gpt2": "bytelevel-bpe"}.items():
        tokenizer = sl.learn_tokenizer(SENTENCES, kind=kind, vocabulary=300)
        heads = ("lm",) if family == "gpt2" else ("lm", "pooler")
        sl.build(family, "tiny", tokenizer=tokenizer, heads=heads, **sizes).save(folder / family)
    return {name: str(folder / name) for name in ("bert", "gpt2")}


def test_a_page_and_pictures_are_written_and_named(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, pictures = tmp_path / "look.html", tmp_path / "pictures"
    assert main(["look", models["gpt2"], SENTENCES[0], "--out", str(out), "--png", str(pictures)]) == 0
    captured = capsys.readouterr()
    first, *others = captured.out.splitlines()
    assert first == str(out) and captured.err == ""
    assert sorted(others) == sorted(map(str, pictures.iterdir())) and str(pictures / "heads.png") in others
    page = read(out.read_text(encoding="utf-8"))
    assert page.all("h1")[0].text() == f"“{SENTENCES[0]}”"
    assert models["gpt2"][-40:].split("/")[-1] in page.all("p", "over")[0].text()


def test_another_mask_and_json(models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "look.html"
    asked = ["look", models["bert"], "The soup was [MASK].", "--mask", "causal", "--no-measure", "--out", str(out)]
    assert main([*asked, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"page": str(out), "pictures": [], "left_out": {}}
    assert "they now look through causal" in captured.err
    assert "under the mask causal" in read(out.read_text(encoding="utf-8")).all("p", "lead")[0].text()


def test_what_is_left_out_is_said(models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "The soup was hot. The tea was weak. " * 2  # as many tokens as there are positions
    model = sl.load(models["gpt2"])
    ids = model.tokenizer.encode(long)[:24]
    text = model.tokenizer.decode(ids)
    assert len(model.tokenizer.encode(text)) == 24
    assert main(["look", models["gpt2"], text, "--no-measure", "--out", str(tmp_path / "look.html")]) == 0
    assert "note: without written: prompt 1 has 24 tokens" in capsys.readouterr().err


def test_a_function_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "looked_at.py").write_text(
        "import torch\ntable = torch.randn(9, 9)\n\ndef make():\n    return lambda ids: table[ids].cumsum(1)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["look", "looked_at:make", "--ids", "5,6,7", "--vocabulary", "9"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "look.html\n" and "without heads: this is no model of Sightline's" in captured.err
    assert "causal" in read(Path("look.html").read_text(encoding="utf-8")).all("p", "lead")[0].text()


def test_wrong_use_is_one_line(models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for asked, said in (
        (["look", models["gpt2"], "a b " * 40], "at most 24"),
        (["look", models["gpt2"], "soup", "--top-k", "0"], "--top-k"),
        (["look", models["gpt2"], "soup", "--seed", "-1"], "--seed -1"),
        (["look", models["gpt2"], "soup", "--ids", "5"], "leave one out"),
        (["look", models["gpt2"], "--ids", "5,x"], "are no token ids"),
        (["look", "looked_at_no_more:make", "soup"], "Python finds no module"),
        (["look", models["gpt2"], "soup", "--no-measure", "--out", str(tmp_path / "file" / "x.html")], "cannot write"),
    ):
        assert main(asked) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
