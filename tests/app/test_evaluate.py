"""`sightline evaluate`: a table or JSON on stdout, a file that keeps what is finished, Ctrl-C in between."""

import json
from pathlib import Path

import pytest

import sightline as sl
from sightline.app.cli import main
from sightline.tasks import blimp

PAIRS = {
    "agreement": ("morphology", [("The soup was hot.", "The soup were hot.")] * 2),
    "islands": ("syntax", [("I ordered a lamp.", "Ordered I a lamp.")]),
    "order": ("syntax", [("The tea was weak.", "Tea the was weak.")]),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "gpt2"
    sentences = [sentence for _, pairs in PAIRS.values() for pair in pairs for sentence in pair]
    tokenizer = sl.learn_tokenizer(sentences, kind="bytelevel-bpe", vocabulary=300)
    sizes = {"layers": 1, "width": 16, "attention_heads": 2, "inner": 32, "positions": 24}
    sl.build("gpt2", "tiny", tokenizer=tokenizer, **sizes).save(folder)
    return str(folder)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The files of a small BLiMP; the current folder is the test's own."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name, (field, pairs) in PAIRS.items():
        rows = [
            {"sentence_good": good, "sentence_bad": bad, "field": field, "linguistics_term": "t", "UID": name}
            for good, bad in pairs
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "pairs"


def test_a_table_and_a_file(model: str, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", model, "blimp", "--data", data]) == 0
    captured = capsys.readouterr()
    found = sl.evaluate(sl.load(model), "blimp", data)
    assert captured.out == f"{found}\n" and "BLiMP, 3 paradigms, 4 pairs" in captured.out
    assert "log-likelihood" in captured.out
    kept = json.loads(Path("blimp-gpt2.json").read_text())
    assert kept["parts"] == found.parts and kept["summary"] == found.summary
    assert "results in blimp-gpt2.json" in captured.err


def test_as_json(model: str, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", model, "blimp", "--data", data, "--out", "kept.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(Path("kept.json").read_text())


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(
    model: str, data: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []
    judge = blimp.judge

    def until_the_third(by, paradigm, progress):  # type: ignore[no-untyped-def]
        if paradigm.name == "order" and len(judged) == 2:
            judged.append("stopped")
            raise KeyboardInterrupt
        judged.append(paradigm.name)
        return judge(by, paradigm, progress)

    monkeypatch.setattr(blimp, "judge", until_the_third)
    command = ["evaluate", model, "blimp", "--data", data]
    assert main(command) == 130
    assert "What is finished is kept in blimp-gpt2.json; the same command goes on." in capsys.readouterr().err
    assert list(json.loads(Path("blimp-gpt2.json").read_text())["parts"]) == ["agreement", "islands"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "going on with blimp-gpt2.json" in captured.err
    assert judged == ["agreement", "islands", "stopped", "order"]
    assert captured.out == f"{sl.evaluate(sl.load(model), 'blimp', data)}\n"


def test_the_other_benchmarks(model: str, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("wiki.txt").write_text(" The soup was hot . \n The tea was weak . \n")
    assert main(["evaluate", model, "wikitext", "--data", "wiki.txt", "--stride", "8"]) == 0
    assert "perplexity of a word (12 words)" in capsys.readouterr().out
    Path("passages.jsonl").write_text('{"text": "The soup was hot"}\n')
    assert main(["evaluate", model, "lambada", "--data", "passages.jsonl"]) == 0
    assert "last words of 1 passages" in capsys.readouterr().out


WRONG = [
    (["glue", "--data", "pairs"], "choose one of blimp, wikitext, lambada"),
    (["blimp"], "--data"),
    (["blimp", "--data", "nowhere"], "there is no file or folder nowhere"),
    (["blimp", "--data", "pairs", "--out", "pairs"], "is a folder"),
    (["blimp", "--data", "pairs", "--method", "pseudo"], "no mask token"),
]


@pytest.mark.parametrize(("args", "says"), WRONG, ids=[" ".join(args) for args, _ in WRONG])
def test_wrong_use_gives_one_line_and_exit_code_2(
    model: str, data: str, capsys: pytest.CaptureFixture[str], args: list[str], says: str
) -> None:
    assert main(["evaluate", model, *args]) == 2
    captured = capsys.readouterr()
    assert says in captured.err.splitlines()[-1] and captured.out == ""


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    assert "sightline evaluate my-bert blimp" in capsys.readouterr().out
