"""How the command line speaks."""

import ast
import re
from pathlib import Path
from typing import cast

import pytest
import typer
from typer.core import TyperGroup

import sightline
from sightline.app import talk
from sightline.app.cli import app, main
from sightline.app.talk import for_command_line

VERBS = cast(TyperGroup, typer.main.get_command(app)).commands


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("name it with label=…", "name it with --label"),
        ("with text=… and label=…", "with --text and --label"),
        ("unless kind='numbers' is given", "unless --kind numbers is given"),
        ("leave out header=False", "leave out --no-header"),
        ("with header=True", "with --header"),
        ("with json=False", "with json=False"),
        ("rows=-1 must be 1 or more: …", "--rows -1 must be 1 or more: …"),
        (
            "budget=nan must be more than 0; no limit is budget=None",
            "--budget nan must be more than 0; no limit is --budget 0",
        ),
        ("kind='two words' is none", "--kind 'two words' is none"),
        ("kind='' is none", "--kind '' is none"),
        ("weight_decay=-1.0 must be 0 or more", "weight_decay=-1.0 must be 0 or more"),
        ("has no column 'a (b=c)' (for text=…): its columns", "has no column 'a (b=c)' (for --text): its columns"),
        (
            "--set run.rows=60 --resume, seeds/rows=60.csv, 'rows=60' and a-rows=60",
            "--set run.rows=60 --resume, seeds/rows=60.csv, 'rows=60' and a-rows=60",
        ),
        ("text=sometext, kind=classes", "text=sometext, kind=classes"),
    ],
)
def test_arguments_are_named_as_this_verb_has_them(said: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    talk.speak_for(VERBS["compare"])
    talk.say(said)
    assert capsys.readouterr().err == f"{shown}\n"


def test_options_are_those_of_the_verb_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "./none"]) == 2
    assert for_command_line("label=…, mask=…") == "label=…, --mask"
    assert main(["compare", "./none.csv"]) == 2
    assert for_command_line("label=…, mask=…") == "--label, mask=…"


def test_the_layers_below_name_arguments_that_there_are_and_no_options() -> None:
    package = Path(sightline.__file__).parent
    arguments, said = set(), set()
    for file in package.rglob("*.py"):
        below = file.parent.name != "app" and file.name != "pytest_plugin.py"
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.arg):
                arguments.add(node.arg)
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                arguments.add(node.target.id)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said |= set(re.findall(r"\b(\w+)=…", node.value))
                assert not (below and re.search(r"(?<![\w(-])--[a-z]{2}", node.value)), f"{file}: {node.value}"
    assert "documents" in said <= arguments
