"""LAMBADA: the last word of a passage, which people guess from the whole passage and not from its last sentence.

    Paperno et al. 2016, "The LAMBADA dataset"; as Radford et al. 2019 measured it.

A word counts where every one of its pieces is the likeliest token, those before it given. A masked model is told how
many pieces there are: they are hidden, and filled from left to right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy

from sightline.errors import ConfigError, InputError
from sightline.tasks.benchmark import Benchmark, Part, Progress, Record
from sightline.tasks.reading import Reading, View, readings
from sightline.tasks.scorer import Scorer
from sightline.tasks.scores import PERPLEXITIES
from sightline.text.packed_files import PackedFile

SUFFIXES = (".jsonl", ".ndjson", ".parquet", ".txt")
ROWS_OF_A_PART = 256


def passages(files: Sequence[PackedFile]) -> list[str]:
    """The passages, of whichever file holds them. InputError for a row that is no passage of two words or more."""
    found: list[str] = []
    for file in files:
        for number, (text,) in enumerate(file.texts("text"), start=1):
            if len(text.split()) < 2:
                raise InputError(f"row {number} of {file.name} has no 'text' of two words or more; LAMBADA's rows have")
            found.append(text.rstrip())
    if not found:
        raise InputError('there are no passages in the data; give a .jsonl with one "text" a line')
    return found


def _last_word(by: Scorer, reading: Reading, owner: int) -> View:
    """The end of a passage, as much of it as the model reads, asked for the pieces of its last word."""
    begin = len(reading.text[: -len(reading.text.split()[-1])].rstrip())  # the space is the word's
    first = next((token for token, (_, end) in enumerate(reading.spans) if end > begin), None)
    if first is None:
        raise InputError(f"passage {owner + 1} ends in a word that the tokenizer cannot read; leave it out")
    cut = max(0, len(reading.ids) - by.windows.room)
    if cut >= first + (by.windows.both or by.windows.lone) and cut:
        raise InputError(
            f"the last word of passage {owner + 1} alone has more tokens than the model reads; leave it out"
        )
    end = replace(reading, ids=reading.ids[cut:], words=reading.words[cut:], spans=reading.spans[cut:])
    view = next(by.windows.views(end, owner, first - cut))
    words = view.words.copy()
    words[slice(*view.places)] = words.max() + 1  # one word, whatever the tokenizer takes it for
    return replace(view, words=words)


def judge(by: Scorer, texts: Sequence[str], before: int, progress: Progress) -> Record:
    """How many last words are right, and what all of them cost."""
    views = [_last_word(by, reading, before + row) for row, reading in enumerate(readings(by.tokenizer, texts))]
    found = by.asker.ask(views, progress, best=True)
    firsts = numpy.cumsum([0, *(view.asked for view in views[:-1])])
    return {
        "passages": len(views),
        "correct": int(numpy.minimum.reduceat(found[:, 1], firsts).sum()),
        "tokens": len(found),
        "nats": -math.fsum(found[:, 0].tolist()),
    }


def summary(by: Scorer, parts: Mapping[str, Record]) -> Record:
    """Accuracy, and exp of the mean cost of a word."""
    count = sum(record["passages"] for record in parts.values())
    nats = math.fsum(record["nats"] for record in parts.values())
    return {
        "accuracy": sum(record["correct"] for record in parts.values()) / count,
        PERPLEXITIES[by.kind].replace("-", "_"): math.exp(min(nats / count, 700.0)),
        "passages": count,
        "tokens": sum(record["tokens"] for record in parts.values()),
    }


def _table(by: Scorer, found: Record) -> str:
    name = PERPLEXITIES[by.kind]
    return (
        f"{found['accuracy']:7.2%}  LAMBADA, last words of {found['passages']:,} passages, all pieces right\n"
        f"{found[name.replace('-', '_')]:7.4g}  {name} of a last word; by {by.how}"
    )


def lambada(by: Scorer, files: Sequence[PackedFile]) -> Benchmark:
    """The benchmark for one model; a part is some passages. ConfigError where pieces that come later would be seen."""
    if by.within_word not in (None, "l2r"):
        raise ConfigError(
            f"within_word={by.within_word!r} shows pieces of the word that LAMBADA asks for; choose 'l2r'"
        )
    texts = passages(files)

    def part(start: int) -> Part:
        some = texts[start : start + ROWS_OF_A_PART]
        name = f"{start + 1}-{start + len(some)}"
        return Part(name=name, size=len(some), run=lambda progress: judge(by, some, start, progress))

    return Benchmark(
        name="lambada",
        settings=by.settings,
        unit="passages",
        parts=[part(start) for start in range(0, len(texts), ROWS_OF_A_PART)],
        summary=lambda parts: summary(by, parts),
        table=lambda found: _table(by, found),
    )
