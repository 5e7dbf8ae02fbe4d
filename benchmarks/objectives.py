"""What does an objective teach? One network size, one corpus, one tokenizer, equal tokens and updates; what changes is
the objective and the family.

    python benchmarks/objectives.py run --data DATA --work FOLDER [--only gpt2-causal bert-masked]  # hours; goes on
    python benchmarks/objectives.py long --data DATA --work FOLDER [--only hybrid decoder]          # hours; goes on
    python benchmarks/objectives.py tables                       # the sections of docs/results.md from docs/results/

DATA is the folder that SIGHTLINE_DATA names too. Each model is taught by `sightline pretrain`, asked by `sightline
evaluate`, and all are tuned and compared by `sightline compare` on 1,000 rows of AG News. `run` makes the small models
of the first table; `long` makes one hybrid and one decoder of about 7 million weights.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import lzma
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from objectives_tables import tables
from results import DATASETS, texts_out

from sightline.comparison.results import machine
from sightline.model.build import build
from sightline.model.load import load
from sightline.text.corpus import open_corpus
from sightline.training.precision import chosen

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "docs" / "results"
PIECE = 1000  # words of a document, and what is left of its last paragraph
PAIRS = 100  # of each of BLiMP's paradigms
LABELLED = {"train": 1000, "test": 2000}  # rows of AG News
ROWS, STEPS = 32, 300
PASSES = 4  # over the labelled rows: after so few, what was taught before is still hard to move; more take longer
UNTAUGHT = "modernbert-untaught"  # the same network and tokenizer, with random weights


@dataclass(frozen=True, kw_only=True)
class Run:
    """A model to be taught: its family, the recipe that says how, and through which masks it is asked afterwards.

    changes  what the family needs otherwise in the recipe
    """

    family: str
    recipe: str
    asked: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)


LOOKS_BACK, LOOKS_AROUND = ("causal",), ("bidirectional",)
NO_Z_LOSS = {"objective.z_loss": 0.0}  # an adaptive softmax has no one sum to keep small
RUNS = {
    "gpt2-causal": Run(family="gpt2", recipe="causal", asked=LOOKS_BACK),
    "modernbert-causal": Run(family="modernbert", recipe="causal", asked=LOOKS_BACK),
    "transformer-xl-causal": Run(family="transformer-xl", recipe="causal", asked=LOOKS_BACK, changes=NO_Z_LOSS),
    "bert-masked": Run(family="bert", recipe="masked", asked=LOOKS_AROUND),
    "bert-next_sentence": Run(family="bert", recipe="next_sentence", asked=LOOKS_AROUND),
    "modernbert-masked": Run(family="modernbert", recipe="masked", asked=LOOKS_AROUND),
    "modernbert-hybrid": Run(family="modernbert", recipe="hybrid", asked=LOOKS_BACK + LOOKS_AROUND),
    "modernbert-prefix": Run(family="modernbert", recipe="prefix", asked=LOOKS_BACK),
    "xlnet-permutation": Run(family="xlnet", recipe="permutation", asked=("permuted",)),
}
LONG = {
    "hybrid": Run(family="modernbert", recipe="hybrid", asked=LOOKS_BACK + LOOKS_AROUND),
    "decoder": Run(family="modernbert", recipe="causal", asked=LOOKS_BACK),
}


def _texts(data: Path) -> Iterator[str]:
    """Novels, an encyclopedia, textbooks, news, stories, and what is said to children."""
    folder = data / "text"
    for archive in ("english-novels/novels.tar.xz", "onestopenglish/texts_by_level.tar.xz"):
        with tarfile.open(folder / archive) as entries:
            for entry in entries:
                if entry.name.endswith(".txt") and (content := entries.extractfile(entry)):
                    yield _decoded(content.read())
    packed = [folder / "wikitext-2" / "train.txt.xz", *sorted((folder / "openstax").glob("*.txt.xz"))]
    for path in (*packed, folder / "aochildes" / "child_directed.txt.xz"):
        yield _decoded(lzma.decompress(path.read_bytes()))
    with zipfile.ZipFile(folder / "nltk" / "abc.zip") as news:
        for name in ("abc/rural.txt", "abc/science.txt"):
            yield _decoded(news.read(name))
    yield _decoded((folder / "tinystories-sample" / "tinystories_sample.txt").read_bytes())


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _pieces(text: str) -> Iterator[str]:
    """A text as documents of about equal length, which end where a paragraph does."""
    lines: list[str] = []
    words = 0
    for line in text.split("\n"):
        lines.append(line.rstrip())
        words += len(line.split())
        if words >= PIECE and not line.strip():
            yield "\n".join(lines).strip()
            lines, words = [], 0
    if words:
        yield "\n".join(lines).strip()


def _command(work: Path, *line: str) -> None:
    print(f"$ sightline {' '.join(line)}", flush=True)
    program = str(Path(sys.executable).with_name("sightline"))
    subprocess.run([program, *line], cwd=work, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})


def corpus(data: Path, work: Path) -> None:
    if (work / "corpus" / "manifest.json").is_file():
        return
    texts = work / "texts.jsonl"
    with texts.open("w", encoding="utf-8") as file:
        for text in _texts(data):
            file.writelines(json.dumps({"text": piece}) + "\n" for piece in _pieces(text))
    _command(work, "prepare", texts.name, "--out", "corpus")


def blimp(data: Path, work: Path, pairs: int) -> str:
    """A folder with the first pairs of each paradigm; its name."""
    folder = work / f"blimp-{pairs}"
    folder.mkdir(exist_ok=True)
    with tarfile.open(data / "minimal-pairs" / "blimp.tar.xz") as entries:
        for entry in entries:
            if content := entries.extractfile(entry):
                lines = io.TextIOWrapper(content, encoding="utf-8").readlines()
                (folder / Path(entry.name).name).write_text("".join(lines[:pairs]), encoding="utf-8")
    return folder.name


def agnews(data: Path, work: Path) -> None:
    folder = work / "agnews"
    folder.mkdir(exist_ok=True)
    parts = DATASETS["agnews"].read(data)
    for part, count in LABELLED.items():
        rows = random.Random(0).sample(parts[part], count)
        with (folder / f"{part}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])


def teach(work: Path, name: str, run: Run, changes: dict[str, Any]) -> None:
    """`sightline pretrain`, where it is not done yet."""
    if (work / name / "sightline-pretraining.json").is_file():
        return
    given = {"model.family": run.family, **run.changes, **changes}
    settings = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    resume = ["--resume"] if (work / name / "checkpoints").is_dir() else []
    recipe = os.path.relpath(ROOT / "recipes" / f"{run.recipe}.toml", work)
    _command(work, "pretrain", recipe, "--corpus", "corpus", "--out", name, *settings, *resume)


def _answered(out: Path) -> bool:
    """Whether an evaluation came to its end: one that was stopped keeps what it has, and has no summary."""
    return out.is_file() and json.loads(out.read_text(encoding="utf-8")).get("summary") is not None


def ask(work: Path, name: str, run: Run, pairs: str) -> dict[str, Any]:
    """BLiMP, through each of the run's masks, in the numbers that this machine is fastest in."""
    found = {}
    dtype = chosen("auto", torch.device("cpu"), torch.float32)
    for mask in run.asked:
        out = f"{name}-{pairs}-{mask}.json"
        if not _answered(work / out):
            looks = [] if mask == "permuted" else ["--mask", mask]
            _command(work, "evaluate", name, "blimp", "--data", pairs, *looks, "--dtype", dtype, "--out", out)
        results = json.loads((work / out).read_text(encoding="utf-8"))
        found[mask] = {"method": results["measured"]["method"], **results["summary"]}
    return found


def taught(work: Path, name: str) -> dict[str, Any]:
    """What the log says of a training: its looks at the validation part, and the loss of every twentieth step."""
    lines = [json.loads(line) for line in (work / name / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [line for line in lines if "loss" in line]
    looks = [{"step": line["step"], **line["look"]["scores"]} for line in lines if "look" in line]
    return {
        "steps": steps[-1]["step"],
        "tokens": sum(line["tokens"] for line in steps),
        "seconds": round(steps[-1]["elapsed"], 1),
        "parameters": sum(parameter.numel() for parameter in load(work / name).parameters()),
        "looks": looks,
        "losses": [[line["step"], round(line["loss"], 4)] for line in steps[::20]],
    }


def measure(work: Path, name: str, run: Run, changes: dict[str, Any], pairs: str) -> dict[str, Any]:
    teach(work, name, run, changes)
    return {
        "name": name,
        "family": run.family,
        "objective": run.recipe,
        **taught(work, name),
        "blimp": ask(work, name, run, pairs),
    }


def keep(path: Path, found: list[dict[str, Any]], **rest: Any) -> None:
    """Write what was found, the runs that an earlier call measured among it, in the order they are listed above.

    Where all of it was found before, what says on which machine stays too.
    """
    before = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    if all(one in before for one in found):
        return
    known = {one["name"]: one for one in [*before, *found]}
    runs = [known[name] for name in (*RUNS, *LONG) if name in known]
    whole = {**rest, "protocol": {"machine": machine()}, "runs": runs}
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def run(data: Path, work: Path, names: list[str]) -> None:
    """The small models, one after another; once all are there they are compared on labelled rows."""
    corpus(data, work)
    pairs = blimp(data, work, PAIRS)
    for name in names:
        found = measure(work, name, RUNS[name], {"batches.rows": ROWS, "run.steps": STEPS}, pairs)
        keep(KEPT / "objectives.json", [found], pairs=PAIRS)
    if missing := [name for name in RUNS if not (work / name / "sightline-pretraining.json").is_file()]:
        print(f"The comparison waits for {', '.join(missing)}.")
        return
    agnews(data, work)
    untaught(work)
    contenders = ["majority", "tfidf", UNTAUGHT]
    for name in RUNS:
        asked = RUNS[name].asked
        contenders += [name] if len(asked) == 1 else [f"{name}@{mask}" for mask in asked]
    line = ["agnews/train.csv", "--test", "agnews/test.csv", "--text", "text", "--label", "label"]
    line += ["--contenders", ",".join(contenders), "--passes", str(PASSES), "--out", "agnews/compare"]
    _command(work, "compare", *line)
    results = json.loads((work / "agnews" / "compare" / "results.json").read_text(encoding="utf-8"))
    (KEPT / "agnews-1000.json").write_text(json.dumps(texts_out(results), indent=1) + "\n", encoding="utf-8")


def untaught(work: Path) -> None:
    """Write the network that the small models begin as."""
    if not (work / UNTAUGHT).is_dir():
        model = build("modernbert", "mini", tokenizer=open_corpus(work / "corpus").tokenizer, positions=128)
        model.save(work / UNTAUGHT)


def long(data: Path, work: Path, names: list[str], steps: int) -> None:
    """The larger ones: 6 layers, and BLiMP whole."""
    corpus(data, work)
    pairs = blimp(data, work, 1000)
    for name in names:
        changes = {"run.steps": steps, "model.settings.layers": 6, "run.validate_every": 250}
        keep(KEPT / "long.json", [measure(work, name, LONG[name], changes, pairs)], pairs=1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, known in (("run", RUNS), ("long", LONG)):
        own = verbs.add_parser(verb)
        own.add_argument("--data", type=Path, required=True)
        own.add_argument("--work", type=Path, required=True)
        own.add_argument("--only", nargs="*", choices=known, default=list(known))
    own.add_argument("--steps", type=int, default=4000)
    verbs.add_parser("tables")
    given = parser.parse_args()
    if given.verb != "tables":
        work = given.work.resolve()
        work.mkdir(parents=True, exist_ok=True)
        KEPT.mkdir(exist_ok=True)
        if given.verb == "run":
            run(given.data.resolve(), work, given.only)
        else:
            long(given.data.resolve(), work, given.only, given.steps)
    tables()


if __name__ == "__main__":
    main()
