"""The README is true: its commands and code run, print what it shows, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

from readme import Block, Command, Reader, Wrong, agrees, blocks, commands

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path, ROOT)


def test_the_readme_runs_as_written(reader: Reader) -> None:
    assert not (problems := reader.read(PAGE)), "\n" + "\n\n".join(problems)


def test_the_readme_shows_what_everything_starts_with() -> None:
    shown = {
        command.text.split("#")[0].strip()
        for block in blocks(PAGE)
        if block.language == "bash"
        for command in commands(block)
    }
    assert {"make demo", "make test"} <= shown


def test_ci_calls_nothing_that_the_readme_does_not_show() -> None:
    called = re.findall(r"\bmake [\w-]+", (ROOT / ".ci" / "run").read_text())
    assert called
    assert [command for command in called if command not in PAGE] == []


def test_links_of_the_readme_lead_somewhere() -> None:
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    linked = re.findall(r"\]\(([^)#\s]+)[^)]*\)|(?:src|srcset|href)=\"([^\"#]+)", prose)
    local = [path for pair in linked for path in pair if path and "://" not in path]
    assert [path for path in local if not (ROOT / path).exists()] == []


# The mechanism can fail


def page(language: str, *lines: str, above: str = "") -> str:
    return "\n".join(["Some words.", above, f"```{language}", *lines, "```", ""])


@pytest.mark.parametrize(
    "markdown",
    [
        page(
            "bash",
            "# a comment",
            "echo one",
            "",
            "make demo -j2  # two",
            "git clone somewhere && cd somewhere && make test",
        ),
        page("bash", "cat > rows.csv <<'END'", "text,label", "good,1", "END", "test=1 wc -l rows.csv | cat"),
        page("bash", "python -c 'import sightline' && \\", "  .venv/bin/python -c 'print(1)'"),
        page("console", "$ echo 0.867", "0.867", "$ printf '1\\n2\\n3\\n'", "1", "…", "$ echo took 3.2 s", "took … s"),
        page("console", "$ python -c 'import sys; sys.exit(\"no such model\")'  # exit 1", "no such model"),
        page("python", "x = 1")
        + page("pycon", ">>> x + 1", "2", ">>> print('took', 3.2)", "took …")
        + page("python", "x += 1"),
        page("bash", "rm -rf everything", above="<!-- not run: it would be a pity -->"),
        page("text", "$ nothing"),
    ],
)
def test_what_is_true_passes(reader: Reader, markdown: str) -> None:
    assert reader.read(markdown) == []


@pytest.mark.parametrize(
    ("markdown", "complaint"),
    [
        (page("bash", "make demonstration"), "no target demonstration"),
        (page("bash", "git clone x && make nothing"), "no target nothing"),
        (page("bash", "pip install sightline"), "pip is not run"),
        (page("bash", "python -c 'raise SystemExit(3)'"), "exit status 3, not 0"),
        (page("bash", "python -c 'raise SystemExit(3)' | cat"), "exit status 3, not 0"),
        (page("bash", "sightline no-such-verb"), "exit status"),
        (page("console", "$ echo 0.867", "0.868"), "-0.868"),
        (page("console", "$ echo 0.867", "0.86"), "-0.86"),
        (page("console", "$ printf '1\\n2\\n'", "1"), "+2"),
        (page("console", "$ echo fine  # exit 2", "fine"), "exit status 0, not 2"),
        (page("python", "1 / 0"), "ZeroDivisionError"),
        (page("python", "import warnings", "warnings.warn('old')"), "old"),
        (page("pycon", ">>> 0.1 + 0.2", "0.3"), "0.30000000000000004"),
        (page("sh", "echo"), "write the block as bash"),
        (page("", "$ echo"), "write the block as bash"),
    ],
)
def test_what_is_not_true_is_found(reader: Reader, markdown: str, complaint: str) -> None:
    (problem,) = reader.read(markdown)
    assert re.match(r"line [34]: ", problem)
    assert complaint in problem


@pytest.mark.parametrize(
    ("above", "complaint"),
    [
        ("<!-- not run: -->", "say why"),
        ("<!-- not run -->", "say why"),
        ("<!-- not run: late -->\n", "no block right below"),
    ],
)
def test_leaving_a_block_out_takes_a_reason(above: str, complaint: str) -> None:
    with pytest.raises(Wrong, match=complaint):
        blocks(page("bash", "rm -rf everything", above=above))


def test_names_live_on_from_block_to_block(reader: Reader) -> None:
    reader.read(page("python", "x = 1") + page("pycon", ">>> y = x + 1") + page("python", "z = y"))
    assert reader.namespace["z"] == 2


def test_blocks_know_their_lines_and_indents() -> None:
    markdown = "- a list\n\n  ```bash\n  echo one\n  ```\n\n~~~python\nx = '```'\n~~~\n"
    assert blocks(markdown) == [Block("bash", "echo one", 3), Block("python", "x = '```'", 7)]


def test_a_console_block_is_commands_and_what_they_print() -> None:
    block = Block("console", "$ one \\\n>   two\nout\n\nput\n$ three  # exit 2", 10)
    assert list(commands(block)) == [Command("one    two", 11, "out\n\nput"), Command("three  # exit 2", 16, None, 2)]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\n…\nd", "a\nb\nc\nd\n", True),
        ("a\n…\nd", "a\nd", True),
        ("a\n…\nd", "a\nb\n", False),
        ("… 0.9 …", "about 0.9 here", True),
        ("0.9", "0.90", False),
        ("0.9", "0.9   \n", True),
        ("a.b", "aXb", False),
    ],
)
def test_an_ellipsis_stands_for_anything(shown: str, printed: str, same: bool) -> None:
    assert agrees(shown, printed) is same


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("loss 0.50, then …", "loss 0.54, then 7", True),
        ("loss 0.50", "loss 0.56", False),
        ("loss 0.5", "loss 0.6", True),  # one in the last digit
        ("loss 12.00  -3.0", "loss  9.00 -3.3", False),
        ("  8.0   1.0", " 10.0   1.0", False),
        (" 10.0   1.0", "  9.9   1.0", True),
        ("2 texts, 0.50", "3 texts, 0.50", False),
        ("2 texts", "2.0 texts", False),
    ],
)
def test_numbers_that_training_gives_may_be_a_little_off(shown: str, printed: str, same: bool) -> None:
    assert agrees(shown, printed, within=0.1) is same
    assert not agrees(shown, printed) or shown == printed
