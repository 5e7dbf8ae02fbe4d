"""WikiText, or any running text: how surprising a model finds it, by word and by byte.

    Merity et al. 2017, "Pointer Sentinel Mixture Models" (the text); words as there: what stands between white space,
    and the end of each line, which counts as a word too where the tokenizer keeps it.

A text that is longer than the model's positions goes in windows that begin every `stride` tokens; each token is asked
once, in the first window that holds it, so that all but the first have at least window − stride tokens before them. A
Transformer-XL reads segments of `stride` tokens, and remembers those before (Dai et al. 2019, section 3.2).

Shapes: T tokens of the text.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy
import torch
from numpy.typing import NDArray

from sightline.core.cache import Memory
from sightline.errors import InputError, UnsupportedError
from sightline.networks.transformer_xl import TransformerXLConfig
from sightline.objectives.language import lm_head
from sightline.tasks.benchmark import Benchmark, Part, Progress, Record
from sightline.tasks.reading import Ids, Reading
from sightline.tasks.scorer import Scorer
from sightline.tasks.scores import Rates
from sightline.text.packed_files import PackedFile
from sightline.text.tokenizer import Tokenizer

SUFFIXES = (".txt", ".tokens", ".raw", ".jsonl", ".ndjson", ".parquet")
LINES_AT_ONCE = 4096
VIEWS_OF_A_PART = 32
SEGMENT = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class Text:
    """A text as ids (T,), and how many words and bytes it has."""

    ids: Ids
    words: int
    bytes: int


def chosen(files: Sequence[PackedFile]) -> PackedFile:
    """The one file; of several, the one that is the test part. InputError where that leaves none or several."""
    test = [file for file in files if "test" in file.name.rsplit("/", 1)[-1]] if len(files) > 1 else list(files)
    if len(test) != 1:
        names = ", ".join(repr(file.name) for file in (test or files)[:6])
        raise InputError(f"the data has {len(files)} files, and not one is clearly the test text: {names}; name one")
    return test[0]


def _lines(file: PackedFile) -> list[str]:
    """The lines of the file, their ends included."""
    if file.suffix not in (".jsonl", ".ndjson", ".parquet"):
        return list(io.StringIO(file.content.decode("utf-8-sig").replace("\r\n", "\n")))
    return [text if text.endswith("\n") else f"{text}\n" for (text,) in file.texts("text")]


def _keeps_lines(tokenizer: Tokenizer) -> bool:
    one, other = tokenizer.encodings(["a\nb", "a b"], False)
    return one.ids != other.ids


def read(tokenizer: Tokenizer, file: PackedFile) -> Text:
    """The text of a file. A vocabulary of whole words gets its eos token for each end of a line, as it was made for."""
    try:
        lines = _lines(file)
    except UnicodeDecodeError as error:
        raise InputError(f"{file.name} is not UTF-8 text at byte {error.start + 1}; convert it first") from None
    end = tokenizer.special.eos_id if tokenizer.kind == "wordlevel" else None
    parts: list[int] = []
    for start in range(0, len(lines), LINES_AT_ONCE):
        some = lines[start : start + LINES_AT_ONCE]
        if end is None:
            parts += tokenizer.literal(["".join(some)])[0].ids
        else:
            for row in tokenizer.literal(some):
                parts += [*row.ids, end]
    if len(parts) < 2:
        raise InputError(f"{file.name} has no text that the tokenizer can read")
    words = sum(len(line.split()) for line in lines)
    ends = len(lines) if end is not None or _keeps_lines(tokenizer) else 0
    return Text(
        ids=numpy.array(parts, dtype=numpy.int32), words=words + ends, bytes=sum(len(line.encode()) for line in lines)
    )


def _reading(text: Text) -> Reading:
    return Reading(text="", ids=text.ids, spans=(), words=numpy.zeros(len(text.ids), dtype=numpy.int64))


@torch.no_grad()
def _remembering(
    by: Scorer, text: Text, segment: int, memory_length: int, progress: Progress
) -> NDArray[numpy.float64]:
    """Log-probabilities of all tokens that have one before them, read segment by segment, with a memory."""
    model, memory = by.asker.model, Memory(length=memory_length)
    ids = torch.tensor([[*by.windows.around.before, *text.ids.tolist()]])
    found: list[NDArray[numpy.float64]] = []
    for start in range(0, ids.shape[1] - 1, segment):
        some, following = ids[:, start : start + segment], ids[0, start + 1 : start + segment + 1]
        hidden = model(some, cache=memory).last_hidden_state[0, : len(following)]
        found.append(lm_head(model).log_prob(hidden, following.to(hidden.device)).cpu().double().numpy())
        progress(min(1.0, (start + segment) / ids.shape[1]))
    return numpy.concatenate(found)


def _record(found: NDArray[numpy.float64]) -> Record:
    return {"tokens": len(found), "nats": -math.fsum(found.tolist())}


def _parts(by: Scorer, text: Text) -> list[Part]:
    """Some windows each; with a memory, which nothing but the text before it can fill, the whole."""
    config = by.asker.model.config
    if isinstance(config, TransformerXLConfig) and config.memory_length:
        segment, length = min(SEGMENT, by.windows.stride), config.memory_length
        return [
            Part(
                name="text",
                size=len(text.ids),
                run=lambda progress: _record(_remembering(by, text, segment, length, progress)),
            )
        ]
    views = list(by.windows.views(_reading(text), 0))

    def part(start: int) -> Part:
        some = views[start : start + VIEWS_OF_A_PART]
        last = some[-1].token + some[-1].asked
        return Part(
            name=f"tokens {some[0].token}-{last - 1}",
            size=last - some[0].token,
            run=lambda progress: _record(by.asker.ask(some, progress)),
        )

    return [part(start) for start in range(0, len(views), VIEWS_OF_A_PART)]


def summary(by: Scorer, text: Text, parts: Mapping[str, Record]) -> Record:
    """Perplexity of words and tokens, bits of a byte."""
    tokens = sum(record["tokens"] for record in parts.values())
    nats = math.fsum(record["nats"] for record in parts.values())
    rates = Rates(kind=by.kind, nats=nats, tokens=tokens, words=text.words, bytes=text.bytes)
    return {"word_perplexity": rates.perplexity("word"), **rates.record()}


def _table(by: Scorer, settings: Record, found: Record) -> str:
    return (
        f"{found['word_perplexity']:8.5g}  perplexity of a word ({found['words']:,} words)\n"
        f"{found['bits_per_byte']:8.5g}  bits of a byte ({found['bytes']:,} bytes)\n"
        f"{found['perplexity']:8.5g}  perplexity of a token ({found['tokens']:,} tokens)\n"
        f"{settings['read']}; by {by.how}"
    )


def wikitext(by: Scorer, files: Sequence[PackedFile]) -> Benchmark:
    """The benchmark for one model. Raises UnsupportedError for a model that has no log-likelihood of a text."""
    if by.kind != "log-likelihood":
        both = len(by.asker.model.trained_masks) > 1  # a hybrid, which writes too
        remedy = "ask this one with method='causal'" if both else "evaluate it on blimp or lambada"
        raise UnsupportedError(
            "wikitext measures perplexity, which a masked model has none of: a pseudo-perplexity knows the text around"
            f" each token; {remedy}, or score texts"
        )
    text = read(by.tokenizer, chosen(files))
    parts, config = _parts(by, text), by.asker.model.config
    if isinstance(config, TransformerXLConfig) and config.memory_length:
        how = f"segments of {min(SEGMENT, by.windows.stride)} tokens, {config.memory_length} remembered"
    else:
        how = f"windows of {min(by.windows.room, len(text.ids))} tokens, one every {by.windows.stride}"
    settings = {**by.settings, "read": how}
    return Benchmark(
        name="wikitext",
        settings=settings,
        unit="tokens",
        parts=parts,
        summary=lambda found: summary(by, text, found),
        table=lambda found: _table(by, settings, found),
    )
