"""What a comparison found, as one JSON value: the schema is in docs/compare.md.

Scores are means over the seeds, on the test rows. A contender's answer for a row is what most of its seeds say.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from numpy.typing import NDArray

from sightline import __version__
from sightline.comparison.contend import goodness, seed_run
from sightline.comparison.contenders import Contender
from sightline.comparison.learners import Learner
from sightline.comparison.metrics import calibration, confusion, correct
from sightline.comparison.plan import Plan
from sightline.comparison.report import render
from sightline.comparison.rows import Rows
from sightline.comparison.store import PREDICTIONS, REPORT, RESULTS, WINNER, Store
from sightline.comparison.verdict import Entry, Verdict, judge
from sightline.training.precision import chosen
from sightline.weights.replace import replace_files

SCHEMA = 1
DISAGREEMENTS = 200  # rows that results.json shows; predictions.parquet has all
POINTS = 2000  # of a scatter plot
LARGEST_CONFUSION = 200  # classes
MOST_COLUMNS = 100  # classes whose probabilities predictions.parquet has, not the answer's alone
LEVEL = 0.95


@dataclass(frozen=True)
class Finished:
    """A contender that went all its way: its records, tries and seeds, and its predictions on test."""

    contender: Contender
    learner: Learner
    tries: list[dict[str, Any]]
    seeds: list[dict[str, Any]]
    test: list[NDArray[numpy.float64]]

    def mean(self) -> NDArray[numpy.float64]:
        """The seeds' mean: probabilities (N, L), or numbers (N,)."""
        return numpy.mean(self.test, axis=0)

    def answers(self) -> NDArray[numpy.int64]:
        """(N,): the class that most seeds give each row; of equally many the one with the higher mean probability."""
        labels = self.test[0].shape[1]
        votes = sum(numpy.eye(labels)[each.argmax(1)] for each in self.test)
        return (votes + self.mean() / 2).argmax(1)  # probabilities decide ties, and no more: they are below 1


def collect(contender: Contender, learner: Learner, plan: Plan, store: Store) -> Finished:
    """What a contender left in the store."""
    name, seeds = contender.name, plan.seeds if learner.seeded else 1
    tries = [store.finished(name, f"try-{number + 1}") for number in range(len(learner.grid(plan)))]
    judged = [store.finished(name, seed_run(number)) for number in range(seeds)]
    test = [store.predictions(name, seed_run(number))["test"] for number in range(seeds)]
    return Finished(contender, learner, [one for one in tries if one], [one for one in judged if one], test)


def _means(records: list[dict[str, Any]], part: str) -> dict[str, float]:
    return {key: float(numpy.mean([record[part][key] for record in records])) for key in records[0][part]}


def _entry(done: Finished, rows: Rows, verdict: Verdict) -> dict[str, Any]:
    """One of "contenders"."""
    first, name = done.seeds[0], done.contender.name
    main = "pearson" if rows.labels is None else "accuracy"
    low, high = verdict.intervals[name]
    scored = _means(done.seeds, "test")
    written: dict[str, Any] = {
        "name": name,
        "method": done.learner.method,
        "kind": done.contender.kind,
        "labels": len(rows.train),
        "status": "ok",
        "error": None,
        "mask": done.learner.mask,
        "random": done.contender.random,
        main: scored.pop(main),
        f"{main}_low": low,
        f"{main}_high": high,
        **scored,
        "dev": _means(done.seeds, "dev"),
        "train_seconds": float(numpy.mean([record["seconds"] for record in done.seeds])),
        "rows_per_second": first["rows_per_second"],
        "ms_per_row": first["ms_per_row"],
        "ms_per_row_p95": first["ms_per_row_p95"],
        "parameters": first["parameters"],
        "peak_memory_mb": max((record["peak_memory_mb"] or 0.0 for record in done.seeds), default=0.0) or None,
        "settings": first["settings"],
        "tries": [
            {
                "settings": one["settings"],
                "dev": one.get("dev"),
                "seconds": one.get("seconds"),
                "error": one.get("error"),
            }
            for one in done.tries
        ],
        "seeds": [{"seed": one["seed"], **one["test"], "train_seconds": one["seconds"]} for one in done.seeds],
        "confusion": None,
        "calibration": None,
        "scatter": None,
    }
    if rows.labels is None:
        written["scatter"] = numpy.stack([rows.test.targets, done.mean()], 1)[:POINTS].round(6).tolist()
        return written
    written["calibration"] = calibration(
        numpy.concatenate([rows.test.targets] * len(done.test)), numpy.concatenate(done.test)
    )
    if len(rows.labels) <= LARGEST_CONFUSION:
        written["confusion"] = confusion(rows.test.targets, done.answers(), len(rows.labels)).tolist()
    return written


def _failure(contender: Contender, reason: str) -> dict[str, Any]:
    return {
        "name": contender.name,
        "method": "",
        "kind": contender.kind,
        "status": "failed",
        "error": reason,
    }


def _disagreements(finished: list[Finished], rows: Rows) -> list[dict[str, Any]]:
    """Test rows on which contenders that read the text give different answers, the most divided first."""
    reading = [done for done in finished if done.contender.source != "majority"]
    if rows.labels is None or len(reading) < 2:
        return []
    labels, answers = rows.labels, numpy.stack([done.answers() for done in reading])
    means = [done.mean() for done in reading]
    wrong = (answers != rows.test.targets).sum(0)
    divided = numpy.flatnonzero((answers != answers[0]).any(0))
    order = sorted(divided, key=lambda row: (abs(2 * wrong[row] - len(reading)), row))[:DISAGREEMENTS]
    return [
        {
            "row": rows.test.rows[row],
            "text": rows.test.texts[row][:1000],
            "pair": None if rows.test.pairs is None else rows.test.pairs[row][:1000],
            "truth": labels[rows.test.targets[row]],
            "predictions": {done.contender.name: labels[answers[i, row]] for i, done in enumerate(reading)},
            "probabilities": {
                done.contender.name: round(float(means[i][row, answers[i, row]]), 4) for i, done in enumerate(reading)
            },
        }
        for row in order
    ]


def machine() -> str:
    """The processor, as far as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads"


def _verdict(finished: list[Finished], rows: Rows, seed: int) -> Verdict:
    entries = []
    for done in finished:
        dev, parameters = _means(done.seeds, "dev"), done.seeds[0]["parameters"]
        main, loss = ("pearson", "rmse") if rows.labels is None else ("accuracy", "log_loss")
        answers = done.test if rows.labels is None else [correct(rows.test.targets, each) for each in done.test]
        entries.append(
            Entry(
                name=done.contender.name,
                dev=dev[main],
                dev_loss=dev[loss],
                parameters=parameters,
                test=numpy.stack(answers),
                seeded=done.learner.seeded,
            )
        )
    return judge(entries, rows.test.targets if rows.labels is None else None, level=LEVEL, seed=seed)


def _held_equal(plan: Plan, finished: list[Finished], rows: Rows) -> list[str]:
    """What no contender had more of than another."""
    said = [
        f"All learned from the same {len(rows.train):,} rows, were tuned on the same {len(rows.dev):,} and judged once"
        f" on the same {len(rows.test):,}; no text is in two parts.",
        f"All but the majority had {len(plan.learning_rates)} tries, chosen among by dev; networks tried the same"
        f" learning rates ({', '.join(f'{rate:g}' for rate in plan.learning_rates)}).",
        f"Every network was trained for {plan.passes} passes in batches of {plan.batch_rows} rows with the same"
        f" optimizer and schedule, with {plan.seeds} seed{'s' if plan.seeds > 1 else ''}; of each run the weights that"
        " were best on dev were kept.",
    ]
    names = {done.contender.name for done in finished}
    if {"encoder", "decoder"} <= names:
        said.append(
            "encoder and decoder are one network with the same tokenizer (learned from the training rows), the same"
            " weights at the start, the same order of rows and the same updates; only the mask and the pooling differ."
        )
    if random := [done.contender.name for done in finished if done.contender.random]:
        said.append(f"{' and '.join(random)} began from random weights: they know nothing but the training rows.")
    return said


def assemble(
    *,
    command: str,
    finished: list[Finished],
    failed: Mapping[str, str],
    contenders: list[Contender],
    rows: Rows,
    plan: Plan,
    store: Store,
    seconds: float,
    budget: float | None,
    seed: int,
) -> dict[str, Any]:
    """The whole of results.json. `failed` gives the reason for each contender that did not finish."""
    verdict = _verdict(finished, rows, seed)
    written = {done.contender.name: _entry(done, rows, verdict) for done in finished}
    written.update({one.name: _failure(one, failed[one.name]) for one in contenders if one.name in failed})
    return {
        "sightline": __version__,
        "schema": SCHEMA,
        "command": command,
        "started": store.plan.get("started"),
        "seconds": round(seconds, 1),
        "status": "finished",
        "data": rows.facts(),
        "assumed": list(rows.assumed),
        "held_equal": _held_equal(plan, finished, rows),
        "protocol": {
            "metric": "pearson" if rows.labels is None else "accuracy",
            "seeds": plan.seeds,
            "passes": plan.passes,
            "learning_rates": list(plan.learning_rates),
            "batch_rows": plan.batch_rows,
            "precision": chosen("auto", torch.device("cpu"), torch.float32),
            "budget_minutes": budget,
            "level": LEVEL,
            "device": "cpu",
            "threads": torch.get_num_threads(),
            "machine": machine(),
        },
        "contenders": [written[one.name] for one in contenders],
        "comparisons": [asdict(each) for each in verdict.comparisons],
        "winner": verdict.winner,
        "best": verdict.best,
        "runner_up": verdict.runner_up,
        "verdict": verdict.text,
        "disagreements": _disagreements(finished, rows),
        "predictions": PREDICTIONS,
        "model": None if verdict.best is None else WINNER,
        "folder": str(store.folder),
    }


def _predictions(finished: list[Finished], rows: Rows) -> Any:
    """A table of every contender's and seed's answer to every test row."""
    import polars

    test, frames = rows.test, []
    for done in finished:
        for record, given in zip(done.seeds, done.test, strict=True):
            columns: dict[str, Any] = {
                "row": test.rows,
                "text": test.texts,
                "pair": [None] * len(test) if test.pairs is None else test.pairs,
                "contender": [done.contender.name] * len(test),
                "seed": [record["seed"]] * len(test),
            }
            if rows.labels is None:
                columns |= {"truth": test.targets, "prediction": given}
            else:
                best = given.argmax(1)
                columns["truth"] = [rows.labels[target] for target in test.targets]
                columns["prediction"] = [rows.labels[label] for label in best]
                columns["probability"] = given[numpy.arange(len(given)), best]
                if len(rows.labels) <= MOST_COLUMNS:
                    columns["probabilities"] = given.tolist()
            frames.append(polars.DataFrame(columns, schema_overrides={"pair": polars.String}))
    return polars.concat(frames) if frames else polars.DataFrame()


def write_results(results: dict[str, Any], finished: list[Finished], rows: Rows, store: Store) -> None:
    """results.json, report.html and predictions.parquet; the best model on dev becomes the winner's folder."""
    best = next((done for done in finished if done.contender.name == results["best"]), None)
    if best is not None:
        number = max(range(len(best.seeds)), key=lambda index: goodness(best.seeds[index]["dev"]))
        store.crown(best.contender.name, seed_run(number))
    for done in finished:
        store.forget_models(done.contender.name)
    table = _predictions(finished, rows)
    page, value = render(results), json.dumps(results, indent=1, ensure_ascii=False)
    replace_files(
        store.folder,
        {
            PREDICTIONS: table.write_parquet,
            REPORT: lambda path: path.write_text(page, encoding="utf-8"),
            RESULTS: lambda path: path.write_text(value + "\n", encoding="utf-8"),
        },
    )
