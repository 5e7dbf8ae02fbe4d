"""What a comparison found, as one JSON value: the schema is in docs/compare.md."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
import torch

from sightline.comparison.contend import seed_run
from sightline.comparison.contenders import Contender
from sightline.comparison.entries import Finished, entry, means
from sightline.comparison.plan import Plan
from sightline.comparison.predictions import disagreements, predictions
from sightline.comparison.report import render
from sightline.comparison.rows import Rows
from sightline.comparison.store import PREDICTIONS, REPORT, RESULTS, WINNER, Store
from sightline.comparison.verdict import Entry, Verdict, judge
from sightline.tasks.metrics import correct, goodness
from sightline.training.precision import chosen

SCHEMA = 1
LEVEL = 0.95


def _failure(contender: Contender, reason: str) -> dict[str, Any]:
    return {
        "name": contender.name,
        "method": "",
        "kind": contender.kind,
        "status": "failed",
        "error": reason,
    }


def machine() -> str:
    """The processor, as far as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' * (threads != 1)}"


def _verdict(finished: list[Finished], rows: Rows, seed: int) -> Verdict:
    entries = []
    for done in finished:
        dev, parameters = means(done.seeds, "dev"), done.seeds[0]["parameters"]
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


def _edge(done: Finished) -> str | None:
    """What dev chose, where that is the least or most that was tried of the one number that was tuned."""
    settings = done.seeds[0]["settings"]
    if len(settings) != 1:
        return None
    [(name, chosen)] = settings.items()
    values = {record["settings"][name] for record in done.tries}
    if len(values) < 2 or chosen not in (min(values), max(values)):
        return None
    end = "largest" if chosen == max(values) else "smallest"
    return f"{done.contender.name} ({name.replace('_', ' ')} {chosen:g}, the {end})"


def _held_equal(plan: Plan, finished: list[Finished], rows: Rows) -> list[str]:
    """What no contender had more of than another."""
    networks = any(done.contender.kind == "network" for done in finished)
    rates = f"; networks tried the same learning rates ({', '.join(f'{rate:g}' for rate in plan.learning_rates)})"
    said = [
        f"All learned from the same {len(rows.train):,} rows, were tuned on the same {len(rows.dev):,} and judged once"
        f" on the same {len(rows.test):,}; no text is in two parts.",
        f"All but the majority had {len(plan.learning_rates)} tries, chosen among by dev{rates if networks else ''}.",
    ]
    if networks:
        said.append(
            f"Every network was trained for {plan.passes} pass{'es' if plan.passes > 1 else ''} in batches of"
            f" {plan.batch_rows} rows with the same optimizer and schedule, with {plan.seeds}"
            f" seed{'s' if plan.seeds > 1 else ''}; of each run the weights that were best on dev were kept."
        )
    names = {done.contender.name for done in finished}
    if {"encoder", "decoder"} <= names:
        said.append(
            "encoder and decoder are one network with the same tokenizer (learned from the training rows), the same"
            " weights at the start, the same order of rows and the same updates; only the mask and the pooling differ."
        )
    if random := [done.contender.name for done in finished if done.contender.random]:
        know = "it knows" if len(random) == 1 else "they know"
        said.append(f"{' and '.join(random)} began from random weights: {know} nothing but the training rows.")
    if edges := [edge for done in finished if (edge := _edge(done))]:
        said.append(
            f"Dev chose what lies at an end of what was tried for {', '.join(edges)}: a value beyond it may be better"
            " still, and such a contender better than it looks here."
        )
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
    device: torch.device,
) -> dict[str, Any]:
    """The whole of results.json. `failed` gives the reason for each contender that did not finish."""
    verdict = _verdict(finished, rows, seed)
    written = {done.contender.name: entry(done, rows, verdict.intervals[done.contender.name]) for done in finished}
    written.update({one.name: _failure(one, failed[one.name]) for one in contenders if one.name in failed})
    return {
        "sightline": version("sightline"),
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
            "seed": seed,
            "seeds": plan.seeds,
            "passes": plan.passes,
            "learning_rates": list(plan.learning_rates),
            "batch_rows": plan.batch_rows,
            "precision": chosen("auto", device, torch.float32),
            "budget_minutes": budget,
            "level": LEVEL,
            "device": str(device),
            "threads": torch.get_num_threads(),
            "machine": machine(),
        },
        "contenders": [written[one.name] for one in contenders],
        "comparisons": [asdict(each) for each in verdict.comparisons],
        "winner": verdict.winner,
        "best": verdict.best,
        "runner_up": verdict.runner_up,
        "verdict": verdict.text,
        "disagreements": disagreements(finished, rows),
        "predictions": PREDICTIONS if finished else None,
        "model": None,
        "folder": str(store.folder),
    }


def _chosen(done: Finished, number: int, rows: Rows) -> dict[str, Any]:
    """Where the winner's folder comes from, and which columns it reads: `sightline classify` looks there."""
    record = done.seeds[number]
    return {
        "contender": done.contender.name,
        "method": done.learner.method,
        "settings": record["settings"],
        "seed": record["seed"],
        "dev": record["dev"],
        "test": record["test"],
        "columns": {"text": list(rows.table.text_columns), "label": rows.table.label_column},
        "file": Path(rows.table.name).name,
        "sha256_of_rows": rows.fingerprint(),
        "versions": {"sightline": version("sightline"), "torch": torch.__version__},
    }


def write_results(results: dict[str, Any], finished: list[Finished], rows: Rows, store: Store) -> None:
    """results.json, report.html and predictions.parquet; the best model on dev becomes the winner's folder."""
    best = next((done for done in finished if done.contender.name == results["best"]), None)
    if best is not None:
        number = max(range(len(best.seeds)), key=lambda index: goodness(best.seeds[index]["dev"]))
        crowned = store.crown(best.contender.name, seed_run(number), _chosen(best, number, rows))
        results["model"] = WINNER if crowned else None
    for done in finished:
        store.forget_models(done.contender.name)
    page, value = render(results), json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False)
    writers: dict[str, Any] = {
        REPORT: lambda path: path.write_text(page, encoding="utf-8"),
        RESULTS: lambda path: path.write_text(value + "\n", encoding="utf-8"),
    }
    if finished:
        writers = {PREDICTIONS: predictions(finished, rows).write_parquet, **writers}
    store.write(writers)
