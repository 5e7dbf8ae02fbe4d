"""What does a memory buy? A small Transformer-XL and a GPT-2 of equal size, taught equally long, on WikiText-2.

    python benchmarks/wikitext.py run --data DATA --work FOLDER [--minutes 40] [--seeds 0]   # goes on where it stopped
    python benchmarks/wikitext.py tables                           # the section of docs/results.md from docs/results/

DATA is the folder that SIGHTLINE_DATA names too. Both models have the same words, the same adaptive softmax, tied to
equally wide embeddings, and as many weights; a training is as many steps as fit into the minutes, by the pace of a few
(processor time for each thread: what else the machine does meanwhile favours neither). Then the same weights are asked
for the test words with ever more words before them: for each segment of 64 words, Transformer-XL remembers the last so
many, and GPT-2 reads them again, as many as its positions allow.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from document import DOCS, write
from torch import Tensor, nn

from sightline.comparison.results import machine
from sightline.core.cache import Memory
from sightline.model.build import build
from sightline.model.model import Model
from sightline.networks.adaptive import AdaptiveSoftmax, Clusters
from sightline.networks.embedding import token_embedding
from sightline.objectives.causal import CausalLM
from sightline.objectives.language import log_probs
from sightline.objectives.objective import Batch
from sightline.objectives.text import NOT_ASKED
from sightline.text.tokenizer import Tokenizer
from sightline.text.wordlevel import wordlevel_pipeline
from sightline.training.checkpoint import restore, save
from sightline.training.config import TrainingConfig
from sightline.training.fit import Training, fit
from sightline.training.stream import StreamSteps

KEPT = DOCS / "results" / "wikitext-2.json"
SEGMENT = 64  # words that are asked together
CONTEXTS = (0, 64, 128, 256, 512, 1024)
EVERY = 100  # steps from checkpoint to checkpoint
ROWS_ASKED = 8


@dataclass(frozen=True, kw_only=True)
class Size:
    """Sizes of both models, and how they are taught; `span`: words that a token can see in training."""

    width: int = 256
    layers: int = 4
    attention_heads: int = 4
    inner: int = 1024
    span: int = 256
    rows: int = 16
    cutoffs: tuple[int, ...] = (2000, 10000)
    learning_rate: float = 1e-3
    dropout: float = 0.1


SIZES = {"small": Size(), "tiny": Size(width=32, layers=2, attention_heads=2, inner=64, span=64, rows=4)}


def words(data: Path, part: str) -> list[str]:
    """All words of a part, each line closed by <eos>, as is usual for this data."""
    with lzma.open(data / "text" / "wikitext-2" / f"{part}.txt.xz", "rt", encoding="utf-8") as file:
        return [word for line in file for word in (*line.split(), "<eos>")]


def vocabulary(train: list[str]) -> dict[str, int]:
    """Words by falling frequency, as an adaptive softmax wants them."""
    return {word: id for id, (word, _) in enumerate(Counter(train).most_common())}


def ids_of(text: list[str], known: dict[str, int]) -> Tensor:
    return torch.tensor([known.get(word, known["<unk>"]) for word in text])


def transformer_xl(size: Size, tokenizer: Tokenizer, seed: int) -> Model:
    """Half of what a token sees in training is its own segment, half is remembered."""
    return build(
        "transformer-xl",
        "mini",
        tokenizer=tokenizer,
        width=size.width,
        layers=size.layers,
        attention_heads=size.attention_heads,
        inner=size.inner,
        memory_length=size.span // 2,
        cutoffs=size.cutoffs,
        dropout=size.dropout,
        seed=seed,
    )


def gpt2(size: Size, tokenizer: Tokenizer, seed: int) -> Model:
    """As many weights: the feed-forward is wider by what Transformer-XL's projections of distances cost."""
    model = build(
        "gpt2",
        "mini",
        tokenizer=tokenizer,
        heads=(),
        width=size.width,
        layers=size.layers,
        attention_heads=size.attention_heads,
        inner=size.inner + size.width // 2,
        positions=size.span,
        dropout=size.dropout,
        embedding_dropout=size.dropout,
        attention_dropout=0.0,
        seed=seed,
    )
    clusters = Clusters(vocabulary=len(tokenizer), cutoffs=size.cutoffs, width=size.width)
    head = AdaptiveSoftmax(clusters, size.width, tied=[token_embedding(model.network)])
    with torch.no_grad():
        for name, parameter in head.named_parameters():
            nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.normal_(parameter, std=0.02)
    model.heads["lm"] = head
    return model.eval()


BUILT = {"transformer-xl": transformer_xl, "gpt2": gpt2}


def stream(name: str, ids: Tensor, size: Size, steps: int, seed: int) -> StreamSteps:
    """What a model reads: equally many words a step."""
    remembers = name == "transformer-xl"
    tokens, rows = (size.span // 2, size.rows) if remembers else (size.span, size.rows // 2)
    memory = size.span // 2 if remembers else None
    return StreamSteps(ids, rows=rows, tokens=tokens, steps=steps, memory_length=memory, seed=seed)


def training(model: Model, size: Size, seed: int, data: str) -> Training:
    config = TrainingConfig(learning_rate=size.learning_rate, schedule="cosine", weight_decay=0.0, seed=seed)
    return Training(model, CausalLM(), config, data=data)


def clock() -> float:
    """Seconds of processor time, for each thread."""
    return time.process_time() / torch.get_num_threads()


def steps_within(name: str, model: Model, ids: Tensor, size: Size, minutes: float) -> int:
    """How many steps fit into the minutes, by the pace of a few; the model learns them and is thrown away."""
    seen = [clock()]
    for _ in fit(training(model, size, 0, ""), stream(name, ids, size, 8, 0)):
        seen.append(clock())
    return max(10, int(60 * minutes / median(later - earlier for earlier, later in pairwise(seen[2:]))))


def teach(name: str, tokenizer: Tokenizer, ids: Tensor, size: Size, seed: int, minutes: float, folder: Path) -> Any:
    """A model, and how it was taught; what is in the folder is gone on from."""
    plan, done = folder / "plan.json", folder / "done.json"
    folder.mkdir(parents=True, exist_ok=True)
    if not plan.exists():
        steps = steps_within(name, BUILT[name](size, tokenizer, seed), ids, size, minutes)
        plan.write_text(json.dumps({"steps": steps}))
    model = BUILT[name](size, tokenizer, seed)
    read = stream(name, ids, size, json.loads(plan.read_text())["steps"], seed)
    under_way = training(model, size, seed, read.fingerprint)
    found = restore(folder / "checkpoints", under_way)
    seconds = 0.0 if found is None else float(found.state["seconds"])
    if found is not None:
        read.go_on(found.step, found.tensors)
    began = clock() - seconds
    for progress in fit(under_way, read):
        if progress.step % EVERY == 0 or progress.step == progress.steps:
            seconds = clock() - began
            save(folder / "checkpoints", under_way, state={"seconds": seconds}, tensors=read.remembered())
            print(f"{name} step {progress.step}/{progress.steps} loss {progress.loss:.3f} {seconds:.0f} s", flush=True)
    if not done.exists():
        many = len(read) * read.rows * read.tokens
        done.write_text(json.dumps({"steps": len(read), "words": many, "seconds": round(seconds, 1)}))
    return model, {**json.loads(done.read_text()), "precision": under_way.precision}


def remembering(ids: Tensor, context: int) -> Iterator[Batch]:
    """Segments of rows that lie side by side, each with the last `context` words remembered."""
    length = (len(ids) - 1) // ROWS_ASKED
    rows = ids[: ROWS_ASKED * length + 1].unfold(0, length + 1, length)  # (rows, length + 1)
    memory = Memory(length=context) if context else None
    for begin in range(0, length, SEGMENT):
        part = rows[:, begin : begin + SEGMENT + 1]
        yield _batch(part[:, :-1], part[:, 1:], memory)


def reading_again(ids: Tensor, context: int) -> Iterator[Batch]:
    """Windows of `context` words and a segment, of which only the segment's are asked."""
    windows = ids.unfold(0, context + SEGMENT + 1, SEGMENT)  # (windows, context + SEGMENT + 1)
    for part in windows.split(ROWS_ASKED):
        targets = part[:, 1:].clone()
        targets[:, :context] = NOT_ASKED
        yield _batch(part[:, :-1], targets, None)


def _batch(inputs: Tensor, targets: Tensor, memory: Any) -> Batch:
    rows = tuple(range(1, len(inputs) + 1))
    return Batch(inputs={"input_ids": inputs}, targets=targets, rows=rows, tokens=inputs.numel(), memory=memory)


def perplexity(model: Model, batches: Iterator[Batch]) -> dict[str, float]:
    """Of all words that the batches ask for: exp of the mean negative log-probability."""
    began, total, count = time.perf_counter(), 0.0, 0
    with torch.no_grad():
        for batch in batches:
            found, _ = log_probs(model, batch)
            total, count = total - float(found.double().sum()), count + len(found)
    return {"perplexity": math.exp(total / count), "words": count, "seconds": round(time.perf_counter() - began, 1)}


def ask(name: str, model: Model, ids: Tensor, size: Size) -> list[dict[str, Any]]:
    """Perplexity at growing context."""
    remembers = name == "transformer-xl"
    contexts = CONTEXTS if remembers else [c for c in range(0, size.span, SEGMENT) if c + SEGMENT <= size.span]
    batches = remembering if remembers else reading_again
    return [{"context": context, **perplexity(model, batches(ids, context))} for context in contexts]


def run(data: Path, work: Path, minutes: float, seeds: list[int], names: list[str], size: Size, most: int) -> None:
    train = words(data, "train")
    known = vocabulary(train)
    tokenizer = Tokenizer(
        wordlevel_pipeline(known, unknown="<unk>"), names={"unk": "<unk>", "eos": "<eos>"}, makes_types=False
    )
    learned, test = ids_of(train, known), ids_of(words(data, "test"), known)[:most]
    results: list[dict[str, Any]] = []
    for seed in seeds:
        for name in names:
            folder = work / f"{name}-{seed}"
            model, how = teach(name, tokenizer, learned, size, seed, minutes, folder)
            found = folder / "asked.json"
            if not found.exists():
                found.write_text(json.dumps(ask(name, model, test, size)))
            if name == "transformer-xl":
                model.save(folder / "model")
            every = sum(parameter.numel() for parameter in model.parameters())
            embedded = len(known) * size.width
            results.append({"model": name, "seed": seed, "parameters": every, "embedded": embedded, **how})
            results[-1]["asked"] = json.loads(found.read_text())
    protocol = {
        "minutes": minutes,
        "segment": SEGMENT,
        "machine": machine(),
        **asdict(size),
    }
    command = "python benchmarks/wikitext.py run --data DATA --work FOLDER"
    vocabulary_size = {"words": len(known), "train": len(learned), "test": len(test)}
    whole = {"command": command, "data": vocabulary_size, "protocol": protocol, "results": results}
    (work / "wikitext-2.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def _table(whole: dict[str, Any]) -> Iterator[str]:
    by_model: dict[str, list[dict[str, Any]]] = {}
    for one in whole["results"]:
        by_model.setdefault(one["model"], []).append(one)
    contexts = sorted({asked["context"] for one in whole["results"] for asked in one["asked"]})
    yield (
        "| words before the segment | "
        + " | ".join(map(str, contexts))
        + " | weights beside the embedding | words read |"
    )
    yield "|---" * (len(contexts) + 3) + "|"
    for name, runs in by_model.items():
        cells = []
        for context in contexts:
            found = [asked["perplexity"] for one in runs for asked in one["asked"] if asked["context"] == context]
            cells.append(f"{mean(found):.1f}" if found else "–")
        beside = runs[0]["parameters"] - runs[0]["embedded"]
        read = mean(one["words"] for one in runs) / 1e6
        yield f"| {name} | {' | '.join(cells)} | {beside:,} | {read:.2f} million |"


def _said(whole: dict[str, Any]) -> str:
    """What the table says, in words: the means over seeds."""
    asked: dict[str, dict[int, list[float]]] = {}
    for one in whole["results"]:
        for each in one["asked"]:
            asked.setdefault(one["model"], {}).setdefault(each["context"], []).append(each["perplexity"])
    memory, again = ({at: mean(found) for at, found in asked[name].items()} for name in ("transformer-xl", "gpt2"))
    best, longest, lowest = min(memory, key=memory.__getitem__), max(memory), min(again.values())
    span = whole["protocol"]["span"]
    return (
        f"**The memory buys {1 - memory[best] / memory[0]:.0%}:** the same weights have {memory[0]:.1f} without it and"
        f" {memory[best]:.1f} with {best} words remembered. Far more than the {span} words that were in sight in"
        f" training does not help: {memory[longest]:.1f} with {longest}. GPT-2, at its best {lowest:.1f}, has"
        f" {lowest / memory[best] - 1:.0%} more than Transformer-XL after equally many minutes."
    )


def tables() -> None:
    """Write the section of docs/results.md from what is in docs/results."""
    whole = json.loads(KEPT.read_text(encoding="utf-8"))
    protocol, seeds = whole["protocol"], sorted({one["seed"] for one in whole["results"]})
    section = [
        "## WikiText-2: what a memory buys",
        "",
        f"Perplexity of {whole['data']['test']:,} test words under the same weights, with more and more words before"
        f" each segment of {protocol['segment']}: remembered by Transformer-XL, read again by GPT-2, which has"
        f" {protocol['span']} positions. Both were taught {protocol['minutes']:g} minutes on {whole['data']['train']:,}"
        f" words, {protocol['span']} of them in sight; {len(seeds)} seed{'s' * (len(seeds) != 1)}, a vocabulary of"
        f" {whole['data']['words']:,} words, the same adaptive softmax. Machine: {protocol['machine']}.",
        "",
        *_table(whole),
        "",
        _said(whole),
        "",
        "```sh",
        whole["command"],
        "```",
    ]
    write("results.md", "WikiText-2", section)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs = verbs.add_parser("run")
    runs.add_argument("--data", type=Path, required=True)
    runs.add_argument("--work", type=Path, required=True)
    runs.add_argument("--minutes", type=float, default=40.0, help="of teaching, for each model and seed")
    runs.add_argument("--seeds", type=int, nargs="+", default=[0])
    runs.add_argument("--only", nargs="+", choices=BUILT, default=list(BUILT))
    runs.add_argument("--size", choices=SIZES, default="small")
    runs.add_argument("--test-words", type=int, default=None, help="ask for the first so many only")
    verbs.add_parser("tables")
    given = parser.parse_args()
    if given.verb == "tables":
        tables()
        return
    size, work = SIZES[given.size], given.work.resolve()
    run(given.data.resolve(), work, given.minutes, given.seeds, given.only, size, given.test_words)
    if given.size == "small" and given.test_words is None and set(given.only) == set(BUILT):
        KEPT.parent.mkdir(exist_ok=True)
        KEPT.write_text((work / "wikitext-2.json").read_text(encoding="utf-8"), encoding="utf-8")
        tables()


if __name__ == "__main__":
    main()
