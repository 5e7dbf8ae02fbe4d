"""Every causal language model of the installed transformers, tiny and random, audited.

    python benchmarks/audit_transformers.py run --work FOLDER [--only gpt2 llama] [--minutes 10]   # goes on
    python benchmarks/audit_transformers.py tables                # the section of docs/results.md from docs/results/

A model is built from its type's configuration, whose numbers are made small by their names (tests/probing/shrunk.py);
what does not build so is listed with the error. Each is audited as what it is there for: a model that sees the past
only. Every failure comes with three lines that repeat it without the audit, and with what they print.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from document import write

import sightline as sl
from sightline.comparison.results import machine

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from probing import reproductions  # noqa: E402  # which lies beside the tests that use it too
from probing.shrunk import REASONS, TYPES, tiny  # noqa: E402

KEPT = ROOT / "docs" / "results" / "transformers-audit.json"
LENGTHS = (1, 2, 3, 7, 8, 9, 10, 31, 33)  # 9 is the window of those that have one
SECONDS = 300  # for one type
LEFT = "padding on the left is inert"


class TooSlow(Exception):
    """A type took longer than it may."""


def _stop(number: int, frame: object) -> None:
    raise TooSlow(f"more than {SECONDS} seconds")


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:160]}"


def one(kind: str) -> dict[str, Any]:
    """What the audit of one type found; or why there is none."""
    signal.signal(signal.SIGALRM, _stop)
    signal.alarm(SECONDS)
    began = time.process_time()
    try:
        model = tiny(kind)
        model(input_ids=torch.randint(3, 60, (2, 16)))
    except Exception as error:  # whatever its library says of such a configuration
        return {"type": kind, "built": False, "error": _line(error)}
    finally:
        signal.alarm(0)
    try:
        signal.alarm(SECONDS)
        report = sl.audit(model, expect="causal", lengths=LENGTHS)
        checks = [_kept(kind, check, model) for check in report.as_dict()["checks"]]
    except (sl.SightlineError, TooSlow) as error:
        return {"type": kind, "built": True, "error": _line(error)}
    finally:
        signal.alarm(0)
    seconds = round(time.process_time() - began, 1)
    known = {"class": report.model, "seconds": seconds, "notes": list(report.notes)}
    return {"type": kind, "built": True, **known, "checks": checks}


def _kept(kind: str, check: dict[str, Any], model: torch.nn.Module) -> dict[str, Any]:
    """What is kept of a check; of a failure, what repeats it too."""
    kept = {name: check[name] for name in ("name", "status", "detail", "cause")}
    if check["status"] == "failed":
        lines = reproductions.reproduction(kind, check["name"], check["detail"], reproductions.takes_of(model))
        try:
            kept |= {"reproduction": lines, "prints": reproductions.run(lines)}
        except Exception as error:  # lines that do not run say so
            kept |= {"reproduction": lines, "prints": _line(error)}
    return kept


def run(work: Path, kinds: list[str], minutes: float) -> None:
    """Audit each type that has no result yet, until the minutes are over; then put all there are together."""
    work.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * minutes
    for kind in kinds:
        path = work / f"{kind}.json"
        if path.exists():
            continue
        if time.monotonic() > ends:
            print("there is more to do: run it again", flush=True)
            break
        found = one(kind)
        path.write_text(json.dumps(found), encoding="utf-8")
        wrong = [check for check in found.get("checks", []) if check["status"] == "failed"]
        said = "; ".join(f"{check['name']} ({check['cause']}; {check['prints']})" for check in wrong)
        print(kind, found.get("error") or said or "nothing found", flush=True)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(work.glob("*.json"))]
    protocol = {"machine": machine(), "transformers": transformers.__version__, "lengths": LENGTHS, "types": len(TYPES)}
    whole = {"command": "python benchmarks/audit_transformers.py run --work FOLDER", "protocol": protocol}
    KEPT.write_text(json.dumps({**whole, "results": results}, indent=1) + "\n", encoding="utf-8")


def _by_status(result: dict[str, Any], status: str) -> list[dict[str, Any]]:
    return [check for check in result["checks"] if check["status"] == status]


def _failures(audited: list[dict[str, Any]]) -> Iterator[str]:
    """What failed, each kind of failure with the types that have it."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in audited:
        for check in _by_status(result, "failed"):
            groups.setdefault((check["name"], check["cause"] or ""), []).append({**check, "type": result["type"]})
    yield "| check that fails | likely | of types |"
    yield "|---|---|---|"
    for (name, cause), found in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        kinds = ", ".join(each["type"] for each in found)
        yield f"| {name} | {cause} | {len(found)}: {kinds} |"
    yield ""
    yield "<details><summary>One of each, as three lines repeat it</summary>"
    yield ""
    yield "In the folder `tests`, after `import tempfile, torch, sightline as sl` and"
    yield "`from probing.shrunk import tiny`:"
    for (name, _), found in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        yield from ("", f"{found[0]['type']}: {name}; they print {found[0]['prints']}.", "", "```python")
        yield from found[0]["reproduction"]
        yield "```"
    yield from ("", "</details>")


def _section(whole: dict[str, Any]) -> Iterator[str]:
    results, protocol = whole["results"], whole["protocol"]
    audited = [result for result in results if "checks" in result]
    clean = [result["type"] for result in audited if not _by_status(result, "failed")]
    leaking = {
        result["type"] for result in audited for check in _by_status(result, "failed") if "hidden" in check["name"]
    }
    open_ = sum(len(_by_status(result, "cannot tell")) for result in audited)
    passed = sum(len(_by_status(result, "passed")) for result in audited)
    yield "## transformers' causal language models, audited"
    yield ""
    yield (
        f"transformers {protocol['transformers']} names {protocol['types']} types of causal language models."
        f" Of {len(results)} tried, {len(audited)} could be built tiny from their configurations alone and were"
        f' audited with `expect="causal"`. {passed:,} checks passed, {open_} could not be told.'
        f" In {len(clean)} types nothing was found."
        f" A token that comes later is seen in {len(leaking)}, each for a reason:"
    )
    yield ""
    for kind in sorted(leaking):
        yield f"- {kind}: {REASONS.get(kind, 'no reason is known')}."
    yield ""
    yield f"Nothing found: {', '.join(clean)}."
    yield ""
    yield from _failures(audited)
    yield ""
    out = [f"{result['type']} ({result['error'].replace('|', ' ')})" for result in results if "checks" not in result]
    yield f"Not audited, for the small configuration does not build or run: {'; '.join(out) or 'none'}."
    yield ""
    yield f"Machine: {protocol['machine']}."
    yield ""
    yield from ("```sh", whole["command"], "```")


def tables() -> None:
    """Write the section of docs/results.md."""
    write("results.md", "audit", list(_section(json.loads(KEPT.read_text(encoding="utf-8")))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs = verbs.add_parser("run")
    runs.add_argument("--work", type=Path, required=True)
    runs.add_argument("--only", nargs="+", choices=TYPES, default=list(TYPES))
    runs.add_argument("--minutes", type=float, default=60)
    verbs.add_parser("tables")
    given = parser.parse_args()
    if given.verb == "tables":
        tables()
        return
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    run(given.work, given.only, given.minutes)


if __name__ == "__main__":
    main()
