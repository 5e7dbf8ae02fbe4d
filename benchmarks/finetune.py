"""Fine-tuning a classifier, Sightline against transformers' Trainer, in one run: rows a second, and peak memory.

python benchmarks/finetune.py --write

Both sides open the same folder (BERT layout, random weights) and learn from the same 6,400 ragged rows with the same
batch size, precision (bfloat16 autocast), AdamW, schedule, clipping and dropout. Trainer pads each batch to its longest
row, and runs in four ways: eager and with torch_compile, in its default order and with its grouping by length. Each
side makes its own batches of one whole pass; every so many-th of them by length is then learned from, so that a few
steps are to the pass what a pass of all of them would be. In each round every contender runs once, in a process of its
own; the steps in which it warms up and compiles are not counted. Ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from document import write
from run import machine

SHAPES = {
    "base": ("bert-base, 12 layers x 768", {}, 6),
    "small": ("6 layers x 384", {"layers": 6, "width": 384, "attention_heads": 6, "inner": 1536}, 16),
}  # what, what differs from bert-base, measured steps
CONTENDERS = {
    "sightline": "Sightline",
    "trainer": "Trainer",
    "trainer-grouped": "Trainer, grouped by length",
    "trainer-compiled": "Trainer, `torch_compile`",
    "trainer-compiled-grouped": "Trainer, `torch_compile`, grouped by length",
}
ROWS, BATCH, WARM = 6400, 32, 4  # rows of a pass, rows of a step, steps that are not measured
CHECKED = 4  # rows of which both sides must say the same before they learn
BATCH_TOKENS = 2048  # Sightline computes a larger step in parts: it takes as long, in less memory
Clock = Callable[[], float]
SETTINGS = {"learning_rate": 5e-5, "weight_decay": 0.01}
CLIP, WARMUP = 1.0, 0.1
MEDIAN, SPREAD, SHORTEST, LONGEST = 30, 0.65, 8, 128  # tokens of a row, log-normal; SPREAD is of the logarithm


def texts() -> tuple[list[str], list[int]]:
    """Texts whose words are one token each, and classes. Lengths spread as in SST-2 (0.66) and SMS spam (0.63)."""
    import numpy

    die = numpy.random.default_rng(0)
    lengths = die.lognormal(math.log(MEDIAN), SPREAD, ROWS).round().clip(SHORTEST, LONGEST).astype(int) - 2
    words = [" ".join(f"w{word}" for word in die.integers(0, 30000, length)) for length in lengths]
    return words, die.integers(0, 2, ROWS).tolist()


def make_model(folder: Path, changes: dict[str, int]) -> None:
    """A classifier with random weights, and a vocabulary whose every word is a token."""
    from sightline.model.build import build
    from sightline.model.heads import with_classifier
    from sightline.text.tokenizer_files import load_tokenizer

    folder.mkdir()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [f"w{number}" for number in range(30522 - len(special))]
    (folder / "vocab.txt").write_text("\n".join([*special, *words]) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 512, "do_lower_case": True})
    )
    model = build("bert", "base", tokenizer=load_tokenizer(folder), heads=(), seed=0, **changes)
    with_classifier(model, ("negative", "positive")).save(folder)


def sample(lengths: list[list[int]], steps: int) -> list[int]:
    """Which batches of a pass are learned from, by the lengths of their rows: those to warm up, then the measured."""
    order = sorted(range(len(lengths)), key=lambda index: max(lengths[index]))
    every = len(order) // steps
    measured = order[every // 2 :: every][:steps]
    random.Random(0).shuffle(measured)
    return [order[-1], *order[every // 2 + 1 :: len(order) // (WARM - 1)][: WARM - 1], *measured]


def sightline(folder: Path, steps: int, clock: Clock) -> dict[str, Any]:
    """Through `training.fit`, the loop of `finetune`, with the batches that `finetune` makes."""
    import torch

    import sightline as sl
    from sightline.objectives.classify import Classify
    from sightline.tasks.encode import encode, longest
    from sightline.tasks.finetune_config import FinetuneConfig
    from sightline.tasks.ready import own_memory
    from sightline.training.fit import Training, fit
    from sightline.training.steps import LabelledSteps

    words, labels = texts()
    model = sl.load(folder)
    config = FinetuneConfig(passes=1, batch_rows=BATCH, clip=CLIP, warmup=WARMUP, precision="bfloat16", **SETTINGS)
    encoded = encode(model.tokenizer, words, limit=longest(model, None), long="cut")
    own_memory(model)
    whole = LabelledSteps(
        encoded.rows,
        labels,
        filler=model.tokenizer.special.pad_id,
        batch_rows=config.batch_rows,
        passes=config.passes,
        seed=config.seed,
        batch_tokens=BATCH_TOKENS,
    )
    lengths = [[len(encoded.rows[row].ids) for row in whole.indices(step)] for step in range(len(whole))]
    chosen = sample(lengths, steps)
    with torch.no_grad():
        output = model(**model.tokenizer(words[:CHECKED]))
        check = model.head("classifier")(output.last_hidden_state, output.coordinates)[:, 0].tolist()
    began, done = clock(), []
    for _ in fit(Training(model, Classify(), config.training()), [whole[step] for step in chosen]):
        done.append(clock())
    return {**numbers(began, done, [lengths[step] for step in chosen]), "check": check}


def trainer(folder: Path, steps: int, clock: Clock, compiled: bool, grouped: bool) -> dict[str, Any]:
    """Trainer with its data collator that pads to the longest row of a batch."""
    import torch
    import transformers
    from transformers.trainer_pt_utils import get_length_grouped_indices

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    words, labels = texts()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    encoded = tokenizer(words)
    ids = encoded["input_ids"]
    torch.manual_seed(0)
    of_all = [len(row) for row in ids]
    order = get_length_grouped_indices(of_all, BATCH) if grouped else torch.randperm(ROWS).tolist()
    batches = [order[begin : begin + BATCH] for begin in range(0, ROWS, BATCH)]
    lengths = [[of_all[row] for row in batch] for batch in batches]
    chosen = sample(lengths, steps)
    rows = [row for batch in chosen for row in batches[batch]]
    data = [{**{name: encoded[name][row] for name in encoded}, "labels": labels[row]} for row in rows]
    done = []

    class Watch(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **rest) -> None:
            done.append(clock())
            if len(done) == WARM:
                graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])

    graphs: list[int] = []
    with torch.no_grad():
        check = model(**tokenizer(words[:CHECKED], padding=True, return_tensors="pt")).logits[:, 0].tolist()
    with tempfile.TemporaryDirectory() as name:
        arguments = transformers.TrainingArguments(
            output_dir=name,
            per_device_train_batch_size=BATCH,
            num_train_epochs=1,
            train_sampling_strategy="sequential",  # which is the order that it chose above
            torch_compile=compiled,
            bf16=True,
            use_cpu=True,
            max_grad_norm=CLIP,
            lr_scheduler_type="linear",
            warmup_steps=WARMUP,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **SETTINGS,
        )
        collator = transformers.DataCollatorWithPadding(tokenizer)
        own = transformers.Trainer(
            model=model, args=arguments, train_dataset=data, data_collator=collator, callbacks=[Watch()]
        )
        began = clock()
        own.train()
    late = torch._dynamo.utils.counters["stats"]["unique_graphs"] - graphs[0]
    return {**numbers(began, done, [lengths[batch] for batch in chosen]), "check": check, "compiled_late": late}


def numbers(began: float, done: list[float], lengths: list[list[int]]) -> dict[str, float]:
    """What the moments at which steps were done say, the first of them being warm-up."""
    if len(done) != len(lengths):
        sys.exit(f"{len(done)} steps were done, and {len(lengths)} were to be")
    measured = lengths[WARM:]
    seconds = done[-1] - done[WARM - 1]
    padded = sum(max(rows) * len(rows) for rows in measured) / sum(map(sum, measured))
    return {
        "rows_per_second": sum(map(len, measured)) / seconds,
        "warm_seconds": done[WARM - 1] - began,
        "padded": padded,
        "tokens": sum(map(sum, measured)) / sum(map(len, measured)),
    }


def peak_mb() -> float:
    """The most memory that this process has held."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def run_one(contender: str, folder: Path, steps: int, clock: Clock) -> None:
    """The work of one process: prints its numbers as JSON."""
    if contender == "sightline":
        found = sightline(folder, steps, clock)
    else:
        found = trainer(folder, steps, clock, "compiled" in contender, "grouped" in contender)
    print(json.dumps({**found, "peak_mb": peak_mb()}))


def measure(contender: str, folder: Path, steps: int, cache: Path, busy: bool) -> dict[str, Any]:
    """One contender in a process of its own; what it compiles is kept for the next round, as between two trainings."""
    command = [sys.executable, __file__, "--one", contender, str(folder), str(steps)]
    settings = {"TORCHINDUCTOR_CACHE_DIR": str(cache), **os.environ, "HF_HUB_OFFLINE": "1"}
    if busy:
        command, settings = [*command, "--busy"], {**settings, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=settings)
    if done.returncode:
        sys.exit(f"{contender} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def agree(checks: list[list[float]]) -> None:
    """Whether all opened the same model: what they say of some rows, before they learn."""
    far = max(abs(one - other) for check in checks for one, other in zip(check, checks[0], strict=True))
    if far > 1e-4:
        sys.exit(f"the contenders' logits differ by {far:.1e} before they have learned anything")


def lines(shape: str, rounds: list[dict[str, dict[str, Any]]]) -> list[str]:
    """The table's rows for one shape: every contender, and how much faster Sightline is than it."""
    found = []
    for name in rounds[0]:
        of = {
            key: [one[name][key] for one in rounds] for key in ("rows_per_second", "padded", "warm_seconds", "peak_mb")
        }
        ratios = sorted(one["sightline"]["rows_per_second"] / one[name]["rows_per_second"] for one in rounds)
        ratio = "" if name == "sightline" else f"**{statistics.median(ratios):.2f}**"
        spread = "" if name == "sightline" else f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
        found.append(
            f"| {SHAPES[shape][0]} | {CONTENDERS[name]} | {statistics.median(of['rows_per_second']):.1f} | {ratio} |"
            f" {spread} | {statistics.median(of['padded']):.2f} | {max(of['warm_seconds']):.0f} |"
            f" {statistics.median(of['peak_mb']):.0f} |"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", nargs="*", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--contenders", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--busy", action="store_true", help="the machine does other work: one thread, processor time")
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "FOLDER", "STEPS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        contender, folder, steps = options.one
        return run_one(contender, Path(folder), int(steps), time.process_time if options.busy else time.perf_counter)
    how = ", one thread, rows per second of processor time" if options.busy else ""
    command = f"python benchmarks/finetune.py --write{' --busy' * options.busy}"
    table = [
        f"{machine()}{how}; {options.rounds} rounds, medians; command: `{command}`",
        "",
        "| shape | what | rows/s | Sightline is faster by | range | padded / real | warm-up, s | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        for shape in options.shapes:
            folder = Path(name) / shape
            make_model(folder, SHAPES[shape][1])
            rounds: list[dict[str, dict[str, Any]]] = []
            for number in range(options.rounds):
                order = options.contenders if number % 2 == 0 else options.contenders[::-1]
                found = {}
                for contender in order:
                    found[contender] = measure(
                        contender, folder, SHAPES[shape][2], Path(name) / "compiled", options.busy
                    )
                    print(f"{shape}, round {number + 1}, {contender}: {found[contender]}", file=sys.stderr, flush=True)
                agree([found[contender]["check"] for contender in options.contenders])
                rounds.append({contender: found[contender] for contender in options.contenders})
            table += lines(shape, rounds)
            print("\n".join(table), flush=True)
    if options.write:
        write("performance.md", "fine-tuning", table)


if __name__ == "__main__":
    main()
