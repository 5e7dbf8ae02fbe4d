"""The comparison: every contender learns from the same rows under one protocol, and is judged once.

    for event in compare("reviews.csv", budget=5): print(event.text)
    compare("reviews.csv", budget=5).results()["verdict"]

1. Rows are divided: to learn from, to choose settings on (dev), to judge on (test).
2. A first timing tells how often everyone can read them within the budget.
3. Each contender tries the same number of settings; dev chooses among them.
4. The chosen settings are trained once for each seed, and each of these predicts the test rows, once.
5. The best on dev is judged on test against the others.

What is finished is kept in a folder, so that a comparison that was stopped goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightline.comparison.contenders import DEFAULT
from sightline.comparison.question import Question
from sightline.comparison.running import Comparison
from sightline.text.labelled import Kind


def compare(
    path: str | Path,
    *,
    text: Sequence[str] | str | None = None,
    label: str | None = None,
    kind: Kind = "auto",
    header: bool = True,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    contenders: Sequence[str] = DEFAULT,
    budget: float | None = 10.0,
    passes: int | None = None,
    seeds: int = 3,
    size: str = "mini",
    rows: int = 100_000,
    seed: int = 0,
    device: str | None = None,
    out: str | Path | None = None,
    command: str = "",
) -> Comparison:
    """Which kind of model serves these rows best, by how much, how surely, at what cost.

    path        a table of texts and labels: .csv, .tsv, .jsonl, .parquet, or an hf:// path of one
    text        the column of texts, or two columns of pairs; default: the obvious one
    label       the column of classes or numbers; kind says which ("classes", "numbers"), where that is not obvious
    dev, test   files to choose settings on and to judge on; what is not given is set apart of the first file
    contenders  "majority", "tfidf", "encoder", "decoder", "bert", "gpt2", a folder or hub id, NAME@MASK, NAME#frozen
    budget      minutes for everything; None: no limit
    passes      how often networks read the rows; default: as often as the budget allows
    seeds       how often the chosen settings are trained
    size        of new networks: "tiny", "mini" (4 layers, 256 wide), "small", "medium", "base"
    rows        at most so many rows are read, drawn by the seed
    device      where networks learn and answer: "cpu", "cuda", "mps"; default: PyTorch's default device
    out         the folder for results.json, report.html, predictions.parquet and the winner; default: NAME-compare

    Gives an iterator of events; `.results()` runs to the end and gives what results.json holds.
    Raises InputError for rows that cannot be compared on, ConfigError for wrong settings, at the first event.

        results = compare("reviews.csv", text="review", label="stars", budget=5).results()
    """
    question = Question(
        path=str(path),
        text=None if text is None else (text,) if isinstance(text, str) else tuple(text),
        label=label,
        kind=kind,
        header=header,
        dev=None if dev is None else str(dev),
        test=None if test is None else str(test),
        contenders=tuple(contenders),
        budget=budget,
        passes=passes,
        seeds=seeds,
        size=size,
        most=rows,
        seed=seed,
        device=device,
    )
    folder = Path(f"{Path(str(path)).stem}-compare") if out is None else Path(out)
    return Comparison(question, folder, command)
