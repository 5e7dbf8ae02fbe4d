"""An evaluation that is interrupted goes on behind what is finished, and never mixes two measurements."""

import json
from pathlib import Path

import pytest
import torch

from contract.families import tiny
from decoding.models import bytelevel
from sightline.core.mask import Causal
from sightline.errors import CheckpointError, ConfigError, SightlineError
from sightline.tasks.benchmark import Benchmark, Part, Progress, Record, Results, digest_of_model, work_through

MEASURED = {"model": "m", "data": "d"}
NAMES = ("one", "two", "three")


def benchmark(ran: list[str], *, stop_at: str | None = None) -> Benchmark:
    """Three parts whose number is the length of their name."""

    def part(name: str) -> Part:
        def run(progress: Progress) -> Record:
            if name == stop_at:
                raise KeyboardInterrupt
            ran.append(name)
            progress(0.5)
            return {"value": len(name)}

        return Part(name=name, size=10, run=run)

    return Benchmark(
        name="count",
        settings={},
        unit="letters",
        parts=[part(name) for name in NAMES],
        summary=lambda parts: {"sum": sum(record["value"] for record in parts.values())},
        table=lambda found: f"{found['sum']} letters",
    )


def go(ran: list[str], out: Path | None, measured: Record = MEASURED, stop_at: str | None = None) -> Results:
    return work_through(benchmark(ran, stop_at=stop_at), measured, out, lambda done, total: None)


def test_what_is_finished_is_kept_and_gone_on_from(tmp_path: Path) -> None:
    ran: list[str] = []
    out = tmp_path / "results.json"
    with pytest.raises(KeyboardInterrupt):
        go(ran, out, stop_at="three")
    half = json.loads(out.read_text())
    assert list(half["parts"]) == ["one", "two"] and half["summary"] is None
    found = go(ran, out)
    assert ran == ["one", "two", "three"]
    whole = json.loads(out.read_text())
    assert whole == found.as_dict()
    assert whole["summary"] == {"sum": 11} and str(found) == "11 letters"
    assert whole["format"] == 1 and whole["benchmark"] == "count" and whole["measured"] == MEASURED
    go(ran, out)
    assert ran == ["one", "two", "three"]  # nothing is left to do


def test_without_a_file_it_is_worked_through_too() -> None:
    ran: list[str] = []
    assert go(ran, None).summary == {"sum": 11}


def test_progress_counts_what_was_left(tmp_path: Path) -> None:
    seen: list[tuple[float, int]] = []
    out = tmp_path / "results.json"
    with pytest.raises(KeyboardInterrupt):
        work_through(benchmark([], stop_at="two"), MEASURED, out, lambda done, total: seen.append((done, total)))
    assert seen == [(5.0, 30), (10, 30)]
    seen.clear()
    work_through(benchmark([]), MEASURED, out, lambda done, total: seen.append((done, total)))
    assert seen == [(5.0, 20), (10, 20), (15.0, 20), (20, 20)]


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        ("{}", ConfigError, "no results of an evaluation"),
        ('{"format": 1, "parts": []}', ConfigError, "no results of an evaluation"),
        ("not json", CheckpointError, "results.json"),
        (
            json.dumps({"format": 1, "benchmark": "count", "measured": {"model": "x"}, "parts": {}}),
            ConfigError,
            "model",
        ),
        (
            json.dumps({"format": 1, "benchmark": "count", "measured": MEASURED, "parts": {n: {} for n in NAMES}}),
            CheckpointError,
            "damaged",
        ),
    ],
)
def test_a_file_of_something_else_is_left_alone(
    content: str, error: type[SightlineError], said: str, tmp_path: Path
) -> None:
    out = tmp_path / "results.json"
    out.write_text(content)
    with pytest.raises(error, match=said):
        go([], out)
    assert out.read_text() == content


def test_two_processes_do_not_write_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*given: object) -> None:
        raise BlockingIOError

    ran: list[str] = []
    go(ran, tmp_path / "one.json")
    assert [path.name for path in tmp_path.iterdir()] == ["one.json"]  # and no lock
    monkeypatch.setattr("fcntl.lockf", taken)
    with pytest.raises(ConfigError, match=r"another process is writing two.json in .*; wait"):
        go(ran, tmp_path / "two.json")
    assert ran == list(NAMES)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        go([], tmp_path)


def test_a_model_is_known_by_all_that_decides_its_answers() -> None:
    def made(**settings: object):  # type: ignore[no-untyped-def]
        return tiny("gpt2", heads=("lm",), vocabulary=len(bytelevel()), tokenizer=bytelevel(), **settings)

    digest = digest_of_model(made())
    assert digest == digest_of_model(made())
    others = [made(seed=1), made().with_mask(Causal() | Causal()), made(dtype=torch.bfloat16), made(layers=2), made()]
    others[-1].shifted = True
    changed = [digest_of_model(other) for other in others if other.mask != made().mask or other is not others[1]]
    assert digest not in changed and len(set(changed)) == len(changed)
