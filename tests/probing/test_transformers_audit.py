"""Every causal language model of the installed transformers that its configuration alone can build, audited.

A later token may be seen only where a reason is stated, and whatever else is found must show without the audit too.
"""

import time
import warnings
from functools import cache

import pytest
import torch
import transformers
from torch import nn

from probing.reproductions import reproduction, run, takes_of
from probing.shrunk import REASONS, TYPES, tiny
from sightline.probing.audit import audit

LEAST = 40  # types that must be built
SECONDS = 120  # of processor time, for one
LENGTHS = (1, 2, 3, 8, 9, 33)


@pytest.fixture(autouse=True)
def quiet() -> None:
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()


@cache
def built(kind: str) -> nn.Module | str:
    """The tiny model, or why there is none."""
    try:
        model = tiny(kind)
        with torch.no_grad():
            model(input_ids=torch.randint(3, 60, (2, 16)))
        return model
    except Exception as error:  # whatever its library says of such a configuration
        return f"{type(error).__name__}: {error}"[:200]


@pytest.mark.slow
@pytest.mark.parametrize("kind", TYPES)
def test_what_is_found_shows_without_the_audit_too(kind: str) -> None:
    model = built(kind)
    if isinstance(model, str):
        pytest.skip(f"its small configuration does not build or run: {model}")
    began = time.process_time()
    report = audit(model, expect="causal", lengths=LENGTHS)
    assert time.process_time() - began < SECONDS
    for check in report.failed:
        assert "hidden" not in check.name or kind in REASONS, str(report)
        said = run(reproduction(kind, check.name, check.detail, takes_of(model)))
        number = float(said.split()[0]) if said.split()[0].replace(".", "").replace("e-", "").isdigit() else 1.0
        ignored = "give what" in check.detail
        assert number < 1e-5 if ignored else not number < 1e-5, (check, said)


@pytest.mark.slow
def test_enough_of_them_are_built() -> None:
    assert sum(isinstance(built(kind), nn.Module) for kind in TYPES) >= LEAST


def test_a_reproduction_says_what_the_audit_says() -> None:
    """For one type here; for all where there is time."""
    model = tiny("gpt2")
    report = audit(model, expect="causal", lengths=(1, 2, 8))
    assert [check.name for check in report.failed] == ["padding on the left is inert", "token types matter when given"]
    for check in report.failed:
        lines = reproduction("gpt2", check.name, check.detail, takes_of(model))
        assert len(lines) == 3 and float(run(lines)) > 0.1
