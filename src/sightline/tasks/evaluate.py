"""Evaluation: a model on a published benchmark."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from sightline.errors import ConfigError
from sightline.model.model import Model
from sightline.tasks import blimp, lambada, wikitext
from sightline.tasks.benchmark import Benchmark, Results, digest_of_files, digest_of_model, work_through
from sightline.tasks.reading import AUTO
from sightline.tasks.scorer import Scorer, scorer
from sightline.text.hub_tables import PREFIX, fetch_folder, fetch_table
from sightline.text.packed_files import PackedFile, packed_files

_BENCHMARKS: dict[str, tuple[Callable[[Scorer, Sequence[PackedFile]], Benchmark], tuple[str, ...]]] = {
    "blimp": (blimp.blimp, blimp.SUFFIXES),
    "wikitext": (wikitext.wikitext, wikitext.SUFFIXES),
    "lambada": (lambada.lambada, lambada.SUFFIXES),
}
"""By name, what makes a benchmark of a scorer and files, and what the files end in."""
BENCHMARKS = tuple(_BENCHMARKS)
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+", re.ASCII)


def _files(data: str | Path, suffixes: tuple[str, ...]) -> list[PackedFile]:
    """The files at a path, at an hf:// address, or of a data set of the hub."""
    address = str(data)
    if not address.startswith(PREFIX):
        if Path(address).exists() or not _HUB_ID.fullmatch(address):
            return packed_files(address, suffixes)
        address = f"{PREFIX}datasets/{address}"
    one = Path(address).suffix.lower() in (*suffixes, ".zip", ".tar", ".xz", ".gz", ".bz2")
    return packed_files(fetch_table(address) if one else fetch_folder(address, suffixes), suffixes)


def evaluate(
    model: Model,
    benchmark: str,
    data: str | Path,
    *,
    out: str | Path | None = None,
    method: str | None = None,
    within_word: str = "l2r",
    bos: str = AUTO,
    max_length: int | None = None,
    stride: int | None = None,
    batch_tokens: int | None = None,
    progress: Callable[[float, int], object] | None = None,
) -> Results:
    """The model's numbers on a benchmark.

    benchmark  "blimp" (accuracy on minimal pairs, by field and phenomenon), "wikitext" (perplexity of words, bits of a
               byte, of any text) or "lambada" (the last words of passages)
    data       a file, folder or archive with the benchmark's files, an hf://datasets/… address, or a data set's name on
               the hub
    out        a JSON file that keeps what is finished, and from which the same evaluation goes on
    progress   called with how much is done, and how much there was to do

    The others are as in `score`. Raises what `score` raises, NotFoundError for data that is not there, InputError for
    data that is of another kind, and ConfigError where `out` holds results of something else.

        print(evaluate(load("bert-base-uncased"), "blimp", "blimp.tar.xz", out="blimp.json"))
    """
    if benchmark not in _BENCHMARKS:
        raise ConfigError(f"there is no benchmark {benchmark!r}; choose one of {', '.join(BENCHMARKS)}")
    make, suffixes = _BENCHMARKS[benchmark]
    by = scorer(
        model,
        method=method,
        within_word=within_word,
        bos=bos,
        max_length=max_length,
        stride=stride,
        batch_tokens=batch_tokens,
    )
    files = _files(data, suffixes)
    made = make(by, files)
    measured = {**made.settings, "model": digest_of_model(by.asker.model), "data": digest_of_files(files)}
    return work_through(made, measured, None if out is None else Path(out), progress or (lambda done, total: None))
