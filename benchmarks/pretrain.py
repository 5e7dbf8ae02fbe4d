"""Pretraining, Sightline against transformers' Trainer, in one run: tokens a second, and peak memory.

python benchmarks/pretrain.py --write
python benchmarks/pretrain.py --profile gpt2    # where the time of Sightline's steps goes

Both sides open the same folder (random weights) and learn from the same rows of the same tokens with the same batch
size, precision (bfloat16 autocast), AdamW, schedule, clipping and dropout. GPT-2 learns the next token; BERT a 15 % of
hidden ones, each side hiding them by its own means. Both run eager and compiled. In each round every contender runs
once, in a process of its own; the steps in which it warms up and compiles are not counted. Ratios are taken within a
round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from document import write
from finetune import Clock, peak_mb
from run import machine

ROWS, TOKENS, VOCABULARY = 16, 256, 30000
WARM, MEASURED = 3, 6  # steps
SHAPE = {"layers": 6, "width": 384, "attention_heads": 6, "inner": 1536, "positions": TOKENS, "vocabulary": VOCABULARY}
FAMILIES = {"gpt2": "GPT-2, next token", "bert": "BERT, masked"}
CONTENDERS = {
    "sightline": "Sightline",
    "sightline-compiled": "Sightline, compiled",
    "trainer": "Trainer",
    "trainer-compiled": "Trainer, `torch_compile`",
}
SETTINGS = {"learning_rate": 1e-3, "weight_decay": 0.01}
PARTS = {
    "matrix products": ("mm", "addmm", "bmm"),
    "the vocabulary's softmax": ("exp_", "amax", "gather", "sub_", "scatter_add_"),
    "dropout": ("random_", "bitwise_and_", "bitwise_right_shift_"),
    "copies and casts": ("copy_",),
    "attention's softmax": ("_softmax", "_softmax_backward_data", "masked_fill_"),
    "activations": ("gelu", "gelu_backward", "tanh", "tanh_backward"),
    "norms": ("native_layer_norm", "native_layer_norm_backward"),
    "optimizer and clipping": ("_fused_adamw_", "linalg_vector_norm"),
}  # of a step, by the operations that nearly nothing else uses
MASK, SPECIAL, RATE = 4, 5, 0.15  # the id of the mask token, how many ids are no words, and the share that is hidden


def make_model(folder: Path, family: str) -> None:
    from sightline.model.build import build

    build(family, "base", heads=("lm",), seed=0, **SHAPE).save(folder)


def rows() -> Any:
    """Random words, (rows of all steps, tokens + 1)."""
    import torch

    die = torch.Generator().manual_seed(0)
    return torch.randint(SPECIAL, VOCABULARY, ((WARM + MEASURED) * ROWS, TOKENS + 1), generator=die)


def steps_of(folder: Path, family: str, compiled: bool) -> Iterator[Any]:
    """Through `training.fit`, the loop of `pretrain`, with the batches that its objectives make."""
    import numpy
    import torch

    import sightline as sl
    from sightline.objectives.causal import CausalLM
    from sightline.objectives.masked import Masked
    from sightline.objectives.text import TextRows
    from sightline.tasks.ready import own_memory
    from sightline.text.words import Words
    from sightline.training.compiled import compile_blocks
    from sightline.training.config import TrainingConfig
    from sightline.training.fit import Training, fit

    model = sl.load(folder)
    own_memory(model)
    if compiled:
        compile_blocks(model)
    special = torch.arange(VOCABULARY) < SPECIAL
    words = Words(begins=torch.ones(VOCABULARY, dtype=torch.bool), special=special, mask_id=MASK)
    objective = CausalLM() if family == "gpt2" else Masked(rate=RATE)
    given = rows().split(ROWS)

    class Steps:
        def __len__(self) -> int:
            return len(given)

        def __getitem__(self, step: int) -> list[Any]:
            ids = given[step]
            read = TextRows(ids=ids, documents=torch.zeros_like(ids), numbers=tuple(range(1, ROWS + 1)))
            return objective.batches(read, words, numpy.random.default_rng(step), step / len(given))

    config = TrainingConfig(**SETTINGS, precision="bfloat16", warmup=0.0)
    return fit(Training(model, objective, config), Steps())


def sightline(folder: Path, family: str, compiled: bool, clock: Clock) -> dict[str, Any]:
    steps = steps_of(folder, family, compiled)
    began, done, losses = clock(), [], []
    for progress in steps:
        done.append(clock())
        losses.append(progress.loss)
    return {**numbers(began, done), "losses": losses}


def profile(family: str) -> None:
    """What share of a step each of PARTS takes, by PyTorch's profiler."""
    from torch import profiler

    with tempfile.TemporaryDirectory() as name:
        make_model(Path(name) / family, family)
        steps = steps_of(Path(name) / family, family, compiled=False)
        for _ in range(WARM):
            next(steps)
        with profiler.profile(activities=[profiler.ProfilerActivity.CPU]) as seen:
            for _ in range(MEASURED):
                next(steps)
    took = {each.key: each.self_cpu_time_total for each in seen.key_averages()}
    whole = sum(took.values())
    print(f"{machine()}; {FAMILIES[family]}: {whole / MEASURED / 1e6:.2f} s a step")
    for part, names in PARTS.items():
        print(f"{sum(took.get(f'aten::{name}', 0) for name in names) / whole:7.1%}  {part}")


def trainer(folder: Path, family: str, compiled: bool, clock: Clock) -> dict[str, Any]:
    """Trainer as its users call it; BERT's tokens are hidden beforehand, by the recipe of its collator."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    kind = transformers.AutoModelForCausalLM if family == "gpt2" else transformers.AutoModelForMaskedLM
    model = kind.from_pretrained(folder, dtype=torch.float32)
    given = rows()[:, :-1]
    labels = given.clone()
    if family == "gpt2":
        labels[:, 0] = -100  # nothing predicts the first token, but Trainer's mean would count it
    else:
        die = torch.Generator().manual_seed(1)
        chosen = torch.rand(given.shape, generator=die) < RATE
        fate = torch.rand(given.shape, generator=die)
        labels[~chosen] = -100
        given = torch.where(chosen & (fate < 0.8), MASK, given)
        other = torch.randint(SPECIAL, VOCABULARY, given.shape, generator=die)
        given = torch.where(chosen & (fate >= 0.8) & (fate < 0.9), other, given)
    data = [{"input_ids": ids, "labels": answers} for ids, answers in zip(given, labels, strict=True)]
    done, losses = [], []

    class Watch(transformers.TrainerCallback):
        def on_step_end(self, args, state, control, **rest) -> None:
            done.append(clock())

        def on_log(self, args, state, control, logs=None, **rest) -> None:
            losses.extend([logs["loss"]] if logs and "loss" in logs else [])

    with tempfile.TemporaryDirectory() as name:
        arguments = transformers.TrainingArguments(
            output_dir=name,
            per_device_train_batch_size=ROWS,
            num_train_epochs=1,
            train_sampling_strategy="sequential",
            torch_compile=compiled,
            bf16=True,
            use_cpu=True,
            max_grad_norm=1.0,
            lr_scheduler_type="linear",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **SETTINGS,
        )
        own = transformers.Trainer(model=model, args=arguments, train_dataset=data, callbacks=[Watch()])
        began = clock()
        own.train()
    return {**numbers(began, done), "losses": losses}


def numbers(began: float, done: list[float]) -> dict[str, float]:
    """What the moments at which steps were done say, the first of them being warm-up."""
    if len(done) != WARM + MEASURED:
        sys.exit(f"{len(done)} steps were done, and {WARM + MEASURED} were to be")
    seconds = done[-1] - done[WARM - 1]
    return {"tokens_per_second": MEASURED * ROWS * TOKENS / seconds, "warm_seconds": done[WARM - 1] - began}


def run_one(contender: str, folder: Path, family: str, clock: Clock) -> None:
    """The work of one process: prints its numbers as JSON."""
    side = sightline if contender.startswith("sightline") else trainer
    print(json.dumps({**side(folder, family, "compiled" in contender, clock), "peak_mb": peak_mb()}))


def measure(contender: str, folder: Path, family: str, cache: Path, busy: bool) -> dict[str, Any]:
    """One contender in a process of its own; what it compiles is kept for the next round, as between two trainings."""
    command = [sys.executable, __file__, "--one", contender, str(folder), family, *["--busy"] * busy]
    settings = {"TORCHINDUCTOR_CACHE_DIR": str(cache), **os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env={**settings, **({"OMP_NUM_THREADS": "1"} if busy else {})}
    )
    if done.returncode:
        sys.exit(f"{contender} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def agree(found: dict[str, dict[str, Any]], family: str) -> None:
    """Whether all learned alike: the first loss is the same but for dropout, and for what was hidden."""
    first = [one["losses"][0] for one in found.values()]
    if max(first) - min(first) > (0.05 if family == "gpt2" else 0.2):
        sys.exit(f"the contenders' first losses are {first}: they did not compute the same")


def lines(family: str, rounds: list[dict[str, dict[str, Any]]]) -> list[str]:
    """The table's rows for one family: every contender, and how much faster Sightline is than it, at its best."""
    found, own = [], [name for name in rounds[0] if name.startswith("sightline")]
    for name in rounds[0]:
        held = {key: [one[name][key] for one in rounds] for key in ("tokens_per_second", "warm_seconds", "peak_mb")}
        best = [max(one[each]["tokens_per_second"] for each in own) for one in rounds]
        ratios = sorted(ours / theirs for ours, theirs in zip(best, held["tokens_per_second"], strict=True))
        shown = (
            ("", "") if name in own else (f"**{statistics.median(ratios):.2f}**", f"{ratios[0]:.2f}-{ratios[-1]:.2f}")
        )
        found.append(
            f"| {FAMILIES[family]} | {CONTENDERS[name]} | {statistics.median(held['tokens_per_second']):,.0f} |"
            f" {shown[0]} | {shown[1]} | {max(held['warm_seconds']):.0f} | {statistics.median(held['peak_mb']):.0f} |"
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--contenders", nargs="*", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    parser.add_argument("--busy", action="store_true", help="the machine does other work: one thread, processor time")
    parser.add_argument("--profile", choices=list(FAMILIES), help="of our steps; nothing is compared")
    parser.add_argument("--one", nargs=3, metavar=("CONTENDER", "FOLDER", "FAMILY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        contender, folder, family = options.one
        return run_one(contender, Path(folder), family, time.process_time if options.busy else time.perf_counter)
    if options.profile:
        return profile(options.profile)
    given = f"python benchmarks/pretrain.py{' --busy' * options.busy}"
    told = [f"{machine()}; {options.rounds} rounds, medians; command: `{given}`", ""]
    told += [f"6 layers x 384, {ROWS} rows of {TOKENS} tokens a step, a vocabulary of {VOCABULARY:,}.", ""]
    told += ["| what is learned | by | tokens/s | Sightline's best is faster by | range | warm-up, s | peak MB |"]
    told += ["|---|---|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as name:
        for family in options.families:
            folder, cache = Path(name) / family, Path(name) / "cache"
            make_model(folder, family)
            rounds = []
            for number in range(options.rounds):
                names = options.contenders if number % 2 else options.contenders[::-1]
                found = {}
                for contender in names:
                    found[contender] = measure(contender, folder, family, cache, options.busy)
                    print(f"{family}, round {number + 1}, {contender}: {found[contender]}", file=sys.stderr, flush=True)
                agree(found, family)
                rounds.append({contender: found[contender] for contender in options.contenders})
            told += lines(family, rounds)
    print("\n".join(told))
    if options.write:
        write("performance.md", "pretraining", told)


if __name__ == "__main__":
    main()
