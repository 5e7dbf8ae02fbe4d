"""What `sightline evaluate` does: a bar while it measures, a file that keeps what is finished, a table in the end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.app import talk

if TYPE_CHECKING:
    from sightline.model.model import Model


def usual_out(name: str, benchmark: str) -> Path:
    """Where results go when nobody says: blimp-my-bert.json, here."""
    last = Path(name).name or "model"
    return Path(f"{benchmark}-{re.sub(r'[^A-Za-z0-9._-]', '-', last)[:60]}.json")


def evaluate_on(
    model: Model, name: str, benchmark: str, data: str, out: Path | None, settings: Mapping[str, Any], *, json: bool
) -> None:
    """Evaluate a model; see the verb."""
    from sightline.tasks.evaluate import BENCHMARKS, evaluate

    out = usual_out(name, benchmark if benchmark in BENCHMARKS else "results") if out is None else out
    if out.is_file():
        talk.say(f"going on with {out}")
    try:
        with talk.progress(f"Evaluating on {benchmark}") as advance_to:
            results = evaluate(model, benchmark, data, out=out, progress=advance_to, **settings)
    except KeyboardInterrupt:
        if out.is_file():
            talk.say(f"What is finished is kept in {out}; the same command goes on.")
        raise
    talk.say(f"results in {out}, {results.seconds:.1f} s")
    if json:
        talk.answer_json(results.as_dict())
    else:
        talk.answer(str(results))
