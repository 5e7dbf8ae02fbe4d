"""Every mutant is found with the right cause, at five sizes and seeds; no healthy twin is accused."""

from dataclasses import replace
from functools import cache

import pytest
from torch import Tensor

from probing.mutants.catalogue import MUTANTS, Mutant
from probing.mutants.network import Parts, Tiny
from sightline.probing.audit import audit
from sightline.probing.report import Report
from sightline.probing.subject import Inputs, Subject, subject

SEEDS = range(5)
BRIEF = (1, 2, 3, 8, 35)  # lengths; those that are usual are looked at for the first seed only


def as_subject(model: Tiny, steps: bool) -> Subject:
    """The model with its cache, if it has one, and its two kernels."""
    made = subject(model, step=model.step if steps else None)

    def switch(name: str) -> Subject:
        def call(ids: Tensor, inputs: Inputs) -> Tensor:
            model.use_kernel(name)
            try:
                return made.call(ids, inputs)
            finally:
                model.use_kernel("eager")

        return replace(made, call=call)

    return replace(made, kernels=("eager", "sdpa"), switch=switch)


def report_on(mutant: Mutant, seed: int, *, healthy: bool) -> Report:
    model = mutant.build(seed, healthy=healthy)
    if seed % 2 and model.parts.listed and not mutant.single:  # layers that torch does not know stay what they are
        model.double()
    lengths = BRIEF if seed else None
    return audit(as_subject(model, mutant.steps), mutant.expect, layers=mutant.depth, lengths=lengths, seed=seed)


@cache
def healthy_report(parts: Parts, steps: bool, expect: str, layers: int, depth: int | None, seed: int) -> Report:
    mutant = Mutant(name="", cause="", parts=parts, twin=parts, expect=expect, steps=steps, layers=layers, depth=depth)
    return report_on(mutant, seed, healthy=True)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_found_with_the_right_cause(mutant: Mutant, seed: int) -> None:
    report = report_on(mutant, seed, healthy=False)
    assert not report.ok
    assert report.failed[0].cause == mutant.cause, str(report)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_healthy_twin_is_not_accused(mutant: Mutant, seed: int) -> None:
    report = healthy_report(mutant.twin, mutant.steps, mutant.expect, mutant.layers, mutant.depth, seed)
    assert report.ok and not [check for check in report.checks if check.status == "cannot tell"], str(report)


def test_there_are_enough_of_them_and_each_has_a_bug_of_its_own() -> None:
    assert len(MUTANTS) >= 20
    assert len({mutant.name for mutant in MUTANTS}) == len({mutant.cause for mutant in MUTANTS}) == len(MUTANTS)
