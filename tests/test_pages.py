"""Pages of docs/ that show how something is done are true: every block runs, and prints what the page shows."""

from pathlib import Path

import pytest

from readme import Reader

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "page", ["pretrain.md", "evaluate.md", "probe.md", "audit.md", "look.md", "testing.md", "explain.md"]
)
def test_it_runs_as_written(page: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert not (problems := Reader(tmp_path, ROOT).read(text)), "\n" + "\n\n".join(problems)
