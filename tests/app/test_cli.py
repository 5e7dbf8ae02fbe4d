"""The command line: answers on stdout, talk on stderr, exit codes, and one line for whatever is wrong."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest

import sightline as sl
from sightline.app.cli import app, main

SENTENCES = ["The soup was hot.", "The tea was weak.", "I ordered a lamp.", "The shop is small."]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    wordpiece = sl.learn_tokenizer(SENTENCES, kind="wordpiece", vocabulary=80)
    bytelevel = sl.learn_tokenizer(SENTENCES, kind="bytelevel-bpe", vocabulary=300)
    sizes = {"layers": 1, "width": 16, "attention_heads": 2, "inner": 32, "positions": 24}
    sl.build("bert", "tiny", tokenizer=wordpiece, **sizes).save(folder / "bert")
    sl.build("gpt2", "tiny", tokenizer=bytelevel, **sizes).save(folder / "gpt2")
    return {name: str(folder / name) for name in ("bert", "gpt2")}


def run(*args: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sightline", *args]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, encoding="utf-8", timeout=120)


def test_fill_prints_words_with_probabilities(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill", models["bert"], "The [MASK] was hot.", "--top-k", "3"]) == 0
    out = capsys.readouterr().out
    expected = sl.fill(sl.load(models["bert"]), "The [MASK] was hot.", top_k=3)
    assert out == f"{expected}\n" and len(out.splitlines()) == 3


def test_fill_as_json_has_every_blank_and_the_joint_fillings(
    models: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fill", models["bert"], "The [MASK] was [MASK].", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["blanks"]) == 2 and len(found["blanks"][0]) == 5
    assert {"token", "word", "probability"} == set(found["blanks"][0][0])
    assert len(found["joint"][0]["words"]) == 2


def test_generate_streams_prompt_and_text_on_stdout_and_talks_on_stderr(
    models: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", models["gpt2"], "The soup", "-n", "5"]) == 0
    captured = capsys.readouterr()
    text = sl.generate(sl.load(models["gpt2"]), "The soup", max_new_tokens=5).texts()[0]
    assert captured.out == f"The soup{text}\n"
    assert "5 tokens in" in captured.err


def test_generate_as_json_agrees_with_python(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--temperature", "0.9", "--top-p", "0.9", "--seed", "3", "--samples", "2", "-n", "4", "--json"]
    assert main(["generate", models["gpt2"], "The tea", *settings]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    python = sl.generate(
        sl.load(models["gpt2"]), "The tea", temperature=0.9, top_p=0.9, seed=3, samples=2, max_new_tokens=4
    )
    assert [row["tokens"] for row in rows] == python.ids()
    assert [row["text"] for row in rows] == python.texts()


def test_generate_numbers_several_texts(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", models["gpt2"], "The tea", "--beams", "2", "--samples", "2", "-n", "3"]) == 0
    assert [line[:3] for line in capsys.readouterr().out.splitlines() if line.startswith("[")] == ["[1]", "[2]"]


def test_a_masked_model_generates_by_mask_predict(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", models["bert"], "The soup", "-n", "3", "--method", "mask-predict"]) == 0
    assert capsys.readouterr().out.startswith("The soup")


@pytest.mark.parametrize("mask", ["causal", "permuted"])
def test_looking_through_another_mask_is_said(
    models: dict[str, str], mask: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """BERT as a decoder, and as a prefix LM that sees its prompt whole."""
    assert main(["generate", models["bert"], "The soup", "-n", "3", "--mask", mask]) == 0
    captured = capsys.readouterr()
    assert f"trained under the mask bidirectional; they now look through {mask}" in captured.err
    assert captured.out.startswith("The soup")


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_embed_writes_one_vector_a_row(models: dict[str, str], tmp_path: Path, suffix: str) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("id,text\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(SENTENCES)), encoding="utf-8")
    out = tmp_path / f"vectors{suffix}"
    assert main(["embed", models["bert"], str(rows), "--column", "text", "--out", str(out)]) == 0
    expected = sl.embed(sl.load(models["bert"]), SENTENCES)
    if suffix == ".npy":
        found = numpy.load(out)
    else:
        import polars

        found = polars.read_parquet(out)["embedding"].to_numpy()
    assert found.dtype == numpy.float32
    numpy.testing.assert_allclose(found, expected, atol=1e-6)


def test_embed_gives_the_vector_of_a_word(models: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", models["bert"], "The soup was hot.", "--word", "soup", "--json"]) == 0
    vector = json.loads(capsys.readouterr().out)["vector"]
    expected = sl.embed_word(sl.load(models["bert"]), "The soup was hot.", "soup")
    numpy.testing.assert_allclose(vector, expected, rtol=1e-6)


def test_the_vector_of_a_word_goes_to_a_file_where_one_is_named(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "word.npy"
    assert main(["embed", models["bert"], "The soup was hot.", "--word", "soup", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"1 vector of 16 numbers in {out}\n"
    expected = sl.embed_word(sl.load(models["bert"]), "The soup was hot.", "soup")
    numpy.testing.assert_allclose(numpy.load(out), expected[None], rtol=1e-6)


@pytest.mark.parametrize(("wanted", "said"), [("100", True), ("2", False)])
def test_a_text_that_ends_because_the_positions_do_says_so(
    models: dict[str, str], capsys: pytest.CaptureFixture[str], wanted: str, said: bool
) -> None:
    assert main(["generate", models["gpt2"], "The soup", "-n", wanted]) == 0
    assert ("positions are full" in capsys.readouterr().err) == said


def test_show_tells_one_model_and_the_differences_of_two(
    models: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", models["bert"]]) == 0
    assert "bidirectional" in capsys.readouterr().out
    assert main(["show", models["bert"], models["gpt2"]]) == 0
    assert "28 of 64 cells differ" in capsys.readouterr().out
    assert main(["show", models["gpt2"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


WRONG = [
    (["fill", "{gpt2}", "a [MASK]"], "fills no blanks"),
    (["fill", "{bert}", "no blank here"], "[MASK]"),
    (["fill", "{bert}", ""], "empty"),
    (["fill", "{bert}", "[MASK] " + "soup " * 40], "positions"),
    (["generate", "{bert}", "The soup"], "mask-predict"),
    (["generate", "{gpt2}", "soup " * 40], "positions"),
    (["generate", "{gpt2}", "The soup", "--temperature", "-1"], "temperature"),
    (["generate", "{gpt2}", "The soup", "--top-k", "3"], "temperature"),
    (["generate", "{gpt2}", "The soup", "--method", "magic"], "autoregressive"),
    (["generate", "{gpt2}", "The soup", "--mask", "causel"], "did you mean causal"),
    (["embed", "{bert}", "{rows}"], "--out"),
    (["embed", "{bert}", "{rows}", "--out", "vectors.txt"], ".npy"),
    (["embed", "{bert}", "{rows}.missing", "--out", "vectors.npy"], "missing"),
    (["embed", "{gpt2}", "{rows}", "--out", "vectors.npy", "--pooling", "cls"], "does not see"),
    (["embed", "{bert}", "The soup was hot.", "--word", "soop"], "soup"),
    (["embed", "{bert}", "The soup was hot.", "--word", "soup", "--pooling", "cls"], "--pooling"),
    (["embed", "{bert}", "The soup was hot.", "--word", "soup", "--out", "vectors.txt"], ".npy"),
    (["show", "{rows}"], "rows"),
    (["show", "./no-such-folder"], "no-such-folder"),
    (["show", "{bert}", "--colour", "blue"], "--colour"),
    (["fill", "{bert}", "[MASK]", "--dtype", "float33"], "float3"),
    (["paint", "{bert}"], "paint"),
    (["fill"], "MODEL"),
]


@pytest.mark.parametrize(("args", "says"), WRONG, ids=[" ".join(args)[:40] for args, _ in WRONG])
def test_wrong_use_gives_one_line_and_exit_code_2(
    models: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str], says: str
) -> None:
    rows = tmp_path / "rows.txt"
    rows.write_text("The soup was hot.\n", encoding="utf-8")
    assert main([arg.format(rows=rows, **models) for arg in args]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1 and captured.err.startswith("sightline: ")


def test_text_comes_from_stdin_too(models: dict[str, str]) -> None:
    piped = run("fill", models["bert"], "--top-k", "1", stdin="The [MASK] was hot.\n")
    given = run("fill", models["bert"], "The [MASK] was hot.", "--top-k", "1")
    assert piped.returncode == given.returncode == 0
    assert piped.stdout == given.stdout != ""


@pytest.mark.parametrize(
    ("redirect", "code", "says"),
    [
        ("fill '{bert}' --top-k 1 < '{latin}'", 2, "sightline: standard input is not UTF-8 text: byte 4 is 0xe9;"),
        ("fill '{bert}' <&-", 2, "sightline: there is no text;"),
        ("show '{bert}' > /dev/full", 2, "sightline: the system refused: No space left on device"),
    ],
)
def test_what_stands_at_the_other_end_of_a_pipe_is_named(
    models: dict[str, str], tmp_path: Path, redirect: str, code: int, says: str
) -> None:
    if "/dev/full" in redirect and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9 [MASK]")
    command = f"'{sys.executable}' -m sightline {redirect.format(latin=latin, **models)}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.returncode == code
    assert done.stderr.startswith(says) and len(done.stderr.splitlines()) == 1


def test_windows_files_can_be_piped_in(models: dict[str, str]) -> None:
    command = [sys.executable, "-m", "sightline", "fill", models["bert"], "--json"]
    done = subprocess.run(command, input=b"\xef\xbb\xbfThe [MASK]\r\nwas hot.\r\n", capture_output=True, timeout=120)
    assert json.loads(done.stdout)["text"] == "The [MASK]\nwas hot."


def test_an_encoding_without_these_characters_stops_nothing(
    models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert "may attend" in run("show", models["bert"]).stdout
    filled = json.loads(run("fill", models["bert"], "The café was [MASK].", "--json").stdout)
    assert filled["text"] == "The café was [MASK]."


def test_a_refusal_names_the_file_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoints").write_text("a file in a folder's place")
    done = run("tune", "new:bert", "rows.csv", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert done.stderr == f"sightline: the system refused {tmp_path / 'out' / 'checkpoints'}: Not a directory\n"


def test_a_reader_that_goes_away_is_no_error(models: dict[str, str]) -> None:
    command = f'"{sys.executable}" -m sightline show "{models["bert"]}" | true'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr and done.stderr == ""


def test_ctrl_c_stops_quietly_and_leaves_no_half_file(models: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sightline", "embed", models["bert"], "-", "--out", "vectors.npy"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.1)  # until the file that will take its place has been begun, so that work is under way
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "Stopped."
    assert list(tmp_path.iterdir()) == []


def test_help_and_version_do_not_import_torch() -> None:
    code = "import sys; from sightline.app.cli import main; main(['--help']); main(['fill', '--help'])"
    done = subprocess.run(
        [sys.executable, "-c", code + "; print('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "False"
    assert run("--version").stdout == f"sightline {sl.__version__}\n"


def test_every_verb_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in [command.callback.__name__ for command in app.registered_commands if command.callback]:
        assert main([verb, "--help"]) == 0
        assert f"sightline {verb} " in capsys.readouterr().out.split("╭")[0].split("Usage", 1)[1].split("\n", 1)[1]


def test_the_name_alone_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "Usage: sightline" in captured.out and captured.err == ""
