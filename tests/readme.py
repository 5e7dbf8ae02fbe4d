"""Run a page as its reader would, the README above all: every block in order, in one empty folder.

- `bash`: each command must succeed.
- `console`: likewise, after `$ `; the lines below a command are what it must print.
- `python`: executed, all blocks in one namespace.
- `pycon`: likewise, after `>>> `; the lines below are what it must print.

Where output is shown, `…` stands for any text, and alone on a line for any lines; the rest, numbers above all, must
be exactly so (`Reader(within=…)` lets numbers with a decimal point differ by a share of themselves, for pages that
train). `# exit 2` behind a command of a console block says that it fails with this status; its output is then what
stands on stderr. `make` targets must exist; of `make demo`, what it runs is run, other targets are not. A line
`<!-- not run: the reason -->` right above a block leaves the block out.
"""

import difflib
import doctest
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHELL_LANGUAGES = {"bash", "console"}
PYTHON_LANGUAGES = {"python", "pycon"}
LIKE_THESE = {"sh", "shell", "zsh", "shell-session", "py", "python3", "ipython"}
NOT_RUN = {"git", "cd", "source", "."}
DEMO = "sightline compare src/sightline/data/reviews.csv --out demo-output"
MADE = {
    "make demo": f"{DEMO} --passes 1 --seeds 2 --size tiny"
}  # what a target runs once everything is installed, less of it
RUN = {"sightline", "python", "cat", "head", "tail", "wc", "ls", "echo", "printf", "mkdir"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line of its fence, and why it is not run (empty: it is)."""

    language: str
    text: str
    line: int
    reason: str = ""


@dataclass(frozen=True)
class Command:
    """One command line, the output shown below it (None: none shown) and the exit status it promises."""

    text: str
    line: int
    shown: str | None = None
    status: int = 0


class Wrong(Exception):
    """What the page says is not so."""


def blocks(markdown: str) -> list[Block]:
    """The fenced blocks of a page."""
    found: list[Block] = []
    lines = markdown.splitlines()
    reason, number = "", 0
    while number < len(lines):
        fence = re.match(r"( *)(`{3,}|~{3,})\s*([\w-]*)", lines[number])
        note = re.match(r"\s*<!--\s*not run:?\s*(.*?)\s*-->\s*$", lines[number])
        if fence:
            indent, ticks, language = fence.groups()
            start = number
            number += 1
            while number < len(lines) and lines[number].strip() != ticks:
                number += 1
            text = "\n".join(line.removeprefix(indent) for line in lines[start + 1 : number])
            found.append(Block(language, text, start + 1, reason))
        elif reason:
            raise Wrong(f"line {number + 1}: no block right below <!-- not run: {reason} -->")
        if note and not note[1]:
            raise Wrong(f"line {number + 1}: say why the block is not run: <!-- not run: the reason -->")
        reason = note[1] if note else ""
        number += 1
    if reason:
        raise Wrong(f"line {number}: no block right below <!-- not run: {reason} -->")
    return found


def commands(block: Block) -> Iterator[Command]:
    """The commands of a shell block; what goes on over several lines (a backslash, a here-document) is one command."""
    lines = list(enumerate(block.text.splitlines(), start=block.line + 1))
    while lines:
        number, text = lines.pop(0)
        if block.language == "console":
            if not text.startswith("$ "):
                raise Wrong(f"line {number}: a console block begins with a command: $ …")
            text = text.removeprefix("$ ")
        while text.endswith("\\") and lines:
            text = f"{text[:-1]} {lines.pop(0)[1].strip().removeprefix('> ')}"
        if here := re.search(r"<<\s*['\"]?(\w+)", text):
            while lines and text.splitlines()[-1] != here[1]:
                text += "\n" + lines.pop(0)[1].removeprefix("> ")
        status = re.search(r"\s+# exit (\d+)$", text)
        shown: list[str] = []
        while block.language == "console" and lines and not lines[0][1].startswith("$ "):
            shown.append(lines.pop(0)[1])
        if text.strip() and not text.lstrip().startswith("#"):
            output = "\n".join(shown) if any(line.strip() for line in shown) else None
            yield Command(text, number, output, int(status[1]) if status else 0)


DECIMAL = r"(-?\d+\.\d+)"


def agrees(shown: str, printed: str, within: float = 0.0) -> bool:
    """Whether `printed` is what is `shown`, with `…` for anything; white space at the ends of lines does not count.

    within  a share: numbers with a decimal point may be so much larger or smaller than they are shown, or be a rounding
            (one in the last digit) away
    """
    pattern = ""
    for line in shown.strip().splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(_escaped(part, within) for part in line.rstrip().split("…")) + r"\n"
    lines = printed.strip().splitlines()
    found = re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in lines))
    if found is None or not within:
        return found is not None
    expected = re.findall(DECIMAL, shown)
    return all(_near(*pair, within) for pair in zip(expected, found.groups(), strict=True))


def _escaped(part: str, within: float) -> str:
    """A pattern for just this text, or for this text with other decimal numbers, which it then catches."""
    if not within:
        return re.escape(part)
    pieces = re.split(DECIMAL, part)
    text = [re.escape(piece) if index % 2 == 0 else DECIMAL for index, piece in enumerate(pieces)]
    return re.sub(r"(?:\\ )+", " +", "".join(text))  # a number of other length moves what is set in columns


def _near(shown: str, printed: str, within: float) -> bool:
    last_digit = 10.0 ** -len(shown.partition(".")[2])
    return abs(float(printed) - float(shown)) <= max(within * abs(float(shown)), 1.01 * last_digit)


def difference(shown: str, printed: str) -> str:
    """The two outputs, line by line."""
    pair = shown.strip().splitlines(), printed.strip().splitlines()
    return "\n".join(difflib.unified_diff(*pair, "the page", "the command", lineterm="", n=1))


class _Checker(doctest.OutputChecker):
    """Looks at what a Python session prints as `agrees` does."""

    def __init__(self, within: float) -> None:
        self.within = within

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return agrees(want, got, self.within)


def targets(makefile: Path) -> set[str]:
    """What `make` can be asked for."""
    return set(re.findall(r"^([\w-]+):(?!=)", makefile.read_text(encoding="utf-8"), flags=re.MULTILINE))


class Reader:
    """Somebody in an empty folder, with the package in a virtual environment, who types what the page says.

    within  how far decimal numbers may be from those that the page shows: see `agrees`
    """

    def __init__(self, folder: Path, root: Path, within: float = 0.0) -> None:
        self.folder, self.root, self.within = folder, root, within
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        binaries = folder / ".venv" / "bin"
        binaries.mkdir(parents=True)
        for name, arguments in (("python", ""), ("python3", ""), ("sightline", "-m sightline")):
            (binaries / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            (binaries / name).chmod(0o755)
        for name in ("examples", "recipes", "src"):
            if (root / name).is_dir():
                (folder / name).symlink_to(root / name)
        nowhere = "http://127.0.0.1:9"  # the guard of the tests does not reach into other processes; a closed port does
        self.environment = {
            **os.environ,
            "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
            "COLUMNS": "100",
            "NO_COLOR": "1",
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), nowhere),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1"),
        }

    def read(self, markdown: str) -> list[str]:
        """Do all that the page says; returns what went wrong, each with its line."""
        problems: list[str] = []
        for block in blocks(markdown):
            if not block.reason:
                problems += self.run(block)
        return problems

    def run(self, block: Block) -> Iterator[str]:
        """Run one block."""
        if block.language in LIKE_THESE or (not block.language and re.search(r"^\$ ", block.text, re.MULTILINE)):
            yield f"line {block.line}: write the block as bash, console, python or pycon, so that it is run"
        elif block.language in SHELL_LANGUAGES:
            for command in commands(block):
                try:
                    self.type(command)
                except Wrong as wrong:
                    yield f"line {command.line}: {command.text}\n{wrong}"
        elif block.language in PYTHON_LANGUAGES:
            try:
                self.execute(block)
            except Exception:
                yield f"line {block.line}: the {block.language} block fails\n{traceback.format_exc()}"

    def type(self, command: Command) -> None:
        """Run one command line; what is not meant to be run is looked at."""
        kinds = [self.kind(part) for part in re.split(r"\s+&&\s+", command.text)]
        if not all(kinds):
            return
        text = MADE.get(command.text.split("#")[0].strip(), command.text)
        try:
            ran = subprocess.run(
                ["bash", "-o", "pipefail", "-c", text],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                timeout=300,
            )
        except subprocess.TimeoutExpired:
            raise Wrong("not done after 300 seconds") from None
        if ran.returncode != command.status:
            raise Wrong(f"exit status {ran.returncode}, not {command.status}\n{ran.stdout}{ran.stderr}")
        printed = ran.stderr if command.status else ran.stdout
        if command.shown is not None and not agrees(command.shown, printed, self.within):
            raise Wrong(difference(command.shown, printed))

    def kind(self, part: str) -> bool:
        """Whether a part of a command line is to be run; raises where the page may not say it."""
        words = shlex.split(part.splitlines()[0], comments=True)
        while words and re.match(r"\w+=", words[0]):
            words.pop(0)
        name = words[0].removeprefix(".venv/bin/") if words else ""
        if name == "make":
            asked = {word for word in words[1:] if not word.startswith("-") and "=" not in word}
            if missing := asked - targets(self.root / "Makefile"):
                raise Wrong(f"the Makefile has no target {', '.join(sorted(missing))}")
            return " ".join(words) in MADE
        elif name not in NOT_RUN and name not in RUN:
            raise Wrong(f"{name} is not run by the test; say why above the block: <!-- not run: the reason -->")
        return name in RUN

    def execute(self, block: Block) -> None:
        """Run Python, in this process, in the folder."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            if block.language == "python":
                code = compile("\n" * block.line + block.text, "page", "exec")
                exec(code, self.namespace)
            else:
                self.converse(block)
        finally:
            os.chdir(before)

    def converse(self, block: Block) -> None:
        """Run a Python session with what it prints."""
        test = doctest.DocTestParser().get_doctest(block.text + "\n", self.namespace, "page", "page", block.line)
        test.globs = self.namespace  # the parser makes a copy; the blocks share one
        report: list[str] = []
        runner = doctest.DocTestRunner(_Checker(self.within), verbose=False)
        if runner.run(test, out=report.append, clear_globs=False).failed:
            raise Wrong("".join(report))
