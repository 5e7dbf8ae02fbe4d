"""The plain table: aligned, complete, and safe to print."""

import pytest

from comparison.results_example import EXAMPLES, classes, one_failed
from sightline.comparison.summary import table


def test_it_holds_the_numbers_of_the_results() -> None:
    head, *lines = table(classes()).splitlines()
    assert head.split() == ["accuracy", "interval", "macro-F1", "train", "s", "ms/row", "parameters"]
    assert [line.split()[0] for line in lines] == ["encoder", "decoder", "tfidf", "majority"]
    assert lines[2].split() == ["tfidf", "79.0%", "71.0", "to", "87.0%", "78.6%", "0.41", "0.02", "8,412"]
    assert len({len(line) for line in (head, *lines)}) == 1, "columns are aligned"


def test_a_failed_contender_has_its_reason() -> None:
    assert table(one_failed()).splitlines()[-1].startswith("my-bert   failed: CheckpointError: no file")


def test_numbers_have_their_own_columns() -> None:
    head, first, *_ = table(EXAMPLES["numbers"]()).splitlines()
    assert head.split()[0] == "Pearson" and "Spearman" in head
    assert first.split()[:2] == ["minilm", "0.860"]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_every_line_can_be_printed(example: object) -> None:
    results = example()  # type: ignore[operator]
    lines = table(results).splitlines()
    assert len(lines) == 1 + len(results["contenders"])
    assert all(line.isprintable() and len(line) < 160 for line in lines)


def test_nothing_gives_the_head_alone() -> None:
    assert len(table({}).splitlines()) == 1
