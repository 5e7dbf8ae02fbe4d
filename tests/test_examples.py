"""Every example is a complete program that runs as it stands, here with less to do."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
LESS = {
    "two_masks.py": ["--steps", "4", "--out", "out"],
    "choose.py": ["--passes", "1", "--seeds", "1", "--out", "out"],
    "another_mask.py": ["--passes", "1"],
    "causal_bert.py": [],
    "teach.py": ["--passes", "1", "--out", "out"],
    "swap.py": ["bert", "transfo-xl", "--passes", "1"],
    "one_shot.py": ["--steps", "10"],
    "what_a_swap_changes.py": [],  # every family
    "can_bert_write.py": ["--steps", "4"],
}
"""What each is given, so that it takes seconds."""


def test_every_example_is_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == LESS.keys()


@pytest.mark.parametrize("name", LESS)
def test_an_example_is_short_and_runs(name: str, tmp_path: Path) -> None:
    program = (EXAMPLES / name).read_text(encoding="utf-8")
    assert 30 <= len(program.splitlines()) <= 80
    assert "Prints" in str(ast.get_docstring(ast.parse(program))), "the docstring says what it shows and what it prints"
    command = [sys.executable, "-W", "error::DeprecationWarning", str(EXAMPLES / name), *LESS[name]]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
