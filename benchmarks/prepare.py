"""Preparing a corpus against the tokenizer alone: how much of its speed is left when all else is done too.

SIGHTLINE_DATA=folder python benchmarks/prepare.py [--mib 16] [--rounds 3]

`prepare` reads from the disk, unpacks, cleans, drops duplicates, encodes, splits and writes; the yardstick is
`tokenizers`' own encode_batch over the same documents, in memory already, whose ids are thrown away. Both have a
process of their own, take turns, and use all cores. Prints a table: the medians, and the ratio with its range.
"""

import argparse
import itertools
import json
import lzma
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

BATCH = 2**22  # bytes of text that encode_batch is handed at once
KINDS = ("roberta-bpe", "wordpiece")


def paragraphs(data: Path) -> Iterator[str]:
    """Of 90 novels."""
    with tarfile.open(data / "text/english-novels/novels.tar.xz") as archive:
        for entry in archive:
            if content := archive.extractfile(entry):
                yield from content.read().decode("utf-8-sig").split("\n")


def write_texts(data: Path, folder: Path, mib: int) -> int:
    """The same text twice, packed: a paragraph a row, and a file of about 500 KB a document. Its bytes."""
    size, rows, file, number = 0, [], [], 0
    (folder / "files").mkdir()
    for text in paragraphs(data):
        if not text.strip():
            continue
        rows.append(json.dumps({"text": text}))
        file.append(text)
        size += len(text.encode())
        if (sum(map(len, file[-1:])) and size // 500_000 > number) or size >= mib * 2**20:
            (folder / "files" / f"{number:04d}.txt").write_text("\n".join(file), encoding="utf-8")
            file, number = [], number + 1
        if size >= mib * 2**20:
            break
    (folder / "rows.jsonl.xz").write_bytes(lzma.compress("\n".join(rows).encode(), preset=1))
    return size


def texts_of(source: Path) -> list[str]:
    if source.is_dir():
        return [path.read_text(encoding="utf-8") for path in sorted(source.iterdir())]
    with lzma.open(source, "rt", encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def measure(side: str, source: Path, tokenizer: Path) -> dict[str, float]:
    """Seconds, and the peak of memory in MB. Whatever is only there for the yardstick is not timed."""
    from sightline.tasks.prepare import prepare
    from sightline.tasks.prepare_config import PrepareConfig
    from sightline.text.tokenizer_files import load_tokenizer

    if side == "prepare":
        with tempfile.TemporaryDirectory(dir=tokenizer.parent) as out:
            start = time.perf_counter()
            for _ in prepare([source], Path(out) / "corpus", PrepareConfig(tokenizer=tokenizer, valid=0.0)):
                pass
            seconds = time.perf_counter() - start
    else:
        backend, texts = load_tokenizer(tokenizer).backend, texts_of(source)
        batches: list[list[str]] = [[]]
        size = 0
        for text in texts:
            batches[-1].append(text)
            size += len(text)
            if size > BATCH:
                batches.append([])
                size = 0
        start = time.perf_counter()
        for batch in batches:
            backend.encode_batch(batch)
        seconds = time.perf_counter() - start
    (peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return {"seconds": seconds, "peak": int(peak.split()[1]) / 1024}


def run(side: str, source: Path, tokenizer: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", side, str(source), str(tokenizer)]
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true"}
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=16, help="of text")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--measure", nargs=3, metavar=("SIDE", "SOURCE", "TOKENIZER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        side, source, tokenizer = options.measure
        print(json.dumps(measure(side, Path(source), Path(tokenizer))))
        return
    from sightline.text.learn import learn_tokenizer
    from sightline.text.tokenizer_files import save_tokenizer

    data = Path(os.environ["SIGHTLINE_DATA"])
    print(f"{os.cpu_count()} cores; {options.mib} MiB of novels; {options.rounds} rounds, medians\n")
    print("| text | tokenizer | encode_batch MB/s | prepare MB/s | ratio | range | peak MB of prepare |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = write_texts(data, folder, options.mib)
        for kind in options.kinds:
            save_tokenizer(learn_tokenizer(itertools.islice(paragraphs(data), 20_000), kind=kind), folder / kind)
            for what, source in (("paragraphs, .jsonl.xz", "rows.jsonl.xz"), ("files of 500 KB", "files")):
                rounds = []
                for number in range(options.rounds):
                    sides = ("prepare", "encode_batch")[:: 1 if number % 2 else -1]
                    rounds.append({side: run(side, folder / source, folder / kind) for side in sides})
                ratios = sorted(each["encode_batch"]["seconds"] / each["prepare"]["seconds"] for each in rounds)
                speeds = [
                    size / 1e6 / statistics.median(each[side]["seconds"] for each in rounds)
                    for side in ("encode_batch", "prepare")
                ]
                peak = max(each["prepare"]["peak"] for each in rounds)
                print(
                    f"| {what} | {kind} | {speeds[0]:.1f} | {speeds[1]:.1f} | **{statistics.median(ratios):.2f}** |"
                    f" {ratios[0]:.2f}-{ratios[-1]:.2f} | {peak:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
