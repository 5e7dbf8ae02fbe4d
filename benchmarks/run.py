"""Sightline against transformers, in one run: `make bench`.

Every case runs in rounds; in each round both sides run one after the other, each in a process of its own, and their
ratio is taken. The table gives the median ratio and its range over the rounds, and goes into docs/performance.md.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from document import write

HERE = Path(__file__).parent
SIDES = ("sightline", "transformers")
UNITS = {
    "decode-float32": ("GPT-2 124M, greedy, batch 1, 128 tokens, float32", "tokens/s"),
    "decode-bfloat16": ("the same, bfloat16", "tokens/s"),
    "encode-float32": ("BERT-base, 32 x 128 tokens, float32", "tokens/s"),
    "encode-bfloat16": ("the same, bfloat16", "tokens/s"),
    "ragged-float32": ("BERT-base, 256 ragged texts to vectors, arrival order, float32", "real tokens/s"),
    "ragged-bfloat16": ("the same, bfloat16", "real tokens/s"),
    "load": ("load GPT-2 124M, libraries imported", "loads/s"),
    "first-token": ("first token of GPT-2 124M from a cold start", "starts/s"),
}


def make_models(folder: Path) -> None:
    """Random weights in the full shapes, and a vocabulary whose every word is a token."""
    import torch
    from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(eos_token_id=None, bos_token_id=None)).save_pretrained(folder / "gpt2")
    BertModel(BertConfig()).save_pretrained(folder / "bert")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [f"w{number}" for number in range(30522 - len(special))]
    (folder / "bert" / "vocab.txt").write_text("\n".join([*special, *words]) + "\n")
    (folder / "bert" / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 512, "do_lower_case": True})
    )


def measure(case: str, side: str, folder: Path) -> dict:
    """One process; where it measures nothing itself, its whole life is the measurement."""
    command = [sys.executable, str(HERE / "peers.py"), case, side, str(folder)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{case} by {side} failed:\n{done.stderr}")
    result = json.loads(done.stdout.splitlines()[-1])
    return result if result["value"] else {**result, "value": 1 / seconds}


def machine() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers"))
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def row(case: str, rounds: list[dict[str, dict]]) -> str:
    what, unit = UNITS[case]
    ratios = sorted(one["sightline"]["value"] / one["transformers"]["value"] for one in rounds)
    values = [statistics.median(one[side]["value"] for one in rounds) for side in SIDES]
    shown = [f"{value:.0f}" if value >= 10 else f"{value:.2f}" for value in values]
    memory = [statistics.median(one[side]["peak_mb"] for one in rounds) for side in SIDES]
    return (
        f"| {what} | {shown[0]} | {shown[1]} | {unit} | **{statistics.median(ratios):.2f}** | "
        f"{ratios[0]:.2f}-{ratios[-1]:.2f} | {memory[0]:.0f} / {memory[1]:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="*", default=list(UNITS), choices=list(UNITS))
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    table = [
        f"{machine()}; {options.rounds} rounds, medians; command: `make bench`",
        "",
        "| what | Sightline | transformers | | ratio | range | peak MB |",
        "|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_models(folder)
        for case in options.cases:
            rounds = []
            for number in range(options.rounds):
                order = SIDES if number % 2 == 0 else SIDES[::-1]
                rounds.append({side: measure(case, side, folder) for side in order})
                print(f"{case} round {number + 1} of {options.rounds}", file=sys.stderr)
            checks = [rounds[0][side]["check"] for side in SIDES]
            if checks[0] != checks[1]:
                print(f"note: {case}: the two sides disagree: {checks}", file=sys.stderr)
            table.append(row(case, rounds))
            print(table[-1], flush=True)
    print("\n".join(table))
    if options.write:
        write("performance.md", "benchmark", table)


if __name__ == "__main__":
    main()
