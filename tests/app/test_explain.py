"""`sightline explain`: the verdict, what each setting makes, and one line for whatever is wrong."""

import json
from pathlib import Path

import pytest

import sightline as sl
from sightline.app.cli import main

TEXT = "The keys to the cabinet are on the table."
SIZES = {"layers": 1, "width": 16, "attention_heads": 2, "inner": 32, "positions": 48}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    for family, kind in {"bert": "wordpiece", "gpt2": "bytelevel-bpe"}.items():
        tokenizer = sl.learn_tokenizer([TEXT], kind=kind, vocabulary=300)
        for number in range(2):
            sl.build(family, "tiny", tokenizer=tokenizer, seed=number, **SIZES).save(folder / f"{family}{number}")
    return {each.name: str(each) for each in folder.iterdir()}


def test_the_verdict_comes_first(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", models["gpt20"], TEXT, "--against", "mode=train"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "the difference is dropout: b is in training mode; in eval mode, nothing changes"
    assert any(line.startswith("begins    in network.embeddings") for line in lines)


def test_several_settings_and_both_runs(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--against", "mask=causal", "--against", "batch=3:padded", "--both", "kernel=sdpa", "--json"]
    assert main(["explain", models["bert0"], TEXT, *given]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "the difference is the mask: bidirectional in a, causal in b"
    assert {cause["name"]: cause["status"] for cause in found["causes"]} == {"mask": "different", "mates": "same"}


def test_texts_tokens_and_checkpoints(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    other = TEXT.replace("table", "keys")
    assert main(["explain", models["gpt20"], TEXT, "--against", f"text={other}"]) == 0
    assert "the difference is the text: token " in capsys.readouterr().out
    assert main(["explain", models["bert0"], TEXT, "--against", "special_tokens=off"]) == 0
    assert "special tokens: with them in a, without in b" in capsys.readouterr().out
    given = ["--ids", "5,6,7", "--against", f"checkpoint={models['bert1']}", "--output", "last_hidden_state"]
    assert main(["explain", models["bert0"], *given]) == 0
    assert "tensors differ, first " in capsys.readouterr().out
    assert main(["explain", models["gpt20"], "--ids", "5,6,7", "--against", "ids=5,6,8", "--at", "0"]) == 0
    assert capsys.readouterr().out.startswith("the outputs are the same, bit for bit (compared: position 0)")


WRONG = [
    (["--against", "mod=train"], "did you mean mode"),
    (["--against", "mode"], "has no value"),
    (["--against", "padding=top"], "left, right"),
    (["--against", "text=a", "--against", "ids=1"], "give one of them"),
    (["--against", "kernel=none"], "reference, sdpa"),
    (["--against", "batch=2", "--at", "99"], "--at 99 is no token"),
    (["--against", "ids=x"], "are no token ids"),
    (["--ids", "5,6", "--against", "mode=train"], "leave one out"),
    ([], "nothing differs; say how"),
]


@pytest.mark.parametrize(("given", "says"), WRONG)
def test_wrong_use_is_one_line(
    models: dict[str, str], capsys: pytest.CaptureFixture[str], given: list[str], says: str
) -> None:
    assert main(["explain", models["gpt20"], TEXT, *given]) == 2
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_a_function_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The forum's question: a model that was built, not loaded, and whose first output changes with the last token."""
    (tmp_path / "built_here.py").write_text(
        "from probing.test_explain import new_gpt2\n\ndef make():\n    return new_gpt2()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = ["--ids", "5,6,7,8,9", "--against", "ids=5,6,7,8,30", "--at", "0"]
    assert main(["explain", "built_here:make", *given]) == 0
    assert capsys.readouterr().out.splitlines()[0] == (
        "the difference is dropout: the model is in training mode (built from a config);"
        " in eval mode, position 0 does not change"
    )
