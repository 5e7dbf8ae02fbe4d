"""Verbs on a device of its own answer as on the CPU: nothing of another place meets its tensors, and no float64."""

import copy
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch

from contract.families import random_ids, tiny
from elsewhere import Elsewhere, carried
from reading_models import make
from sightline.model.heads import with_classifier
from sightline.model.model import Model
from sightline.probing import subject
from sightline.probing.audit import audit
from sightline.probing.explain import explain
from sightline.probing.probe import probe
from sightline.probing.run import Run
from sightline.tasks.classify import classify
from sightline.tasks.embed import embed
from sightline.tasks.scale import Scale, fold_in
from sightline.tasks.score import score

FAMILIES = ("bert", "gpt2", "xlnet")
TEXTS = ["the cat sat", "a dog on the mat"]
SAVED = "saved = loaded"  # there is nothing that could be saved


def audited(model: Model) -> object:
    return {check.name: check.status for check in audit(model, lengths=(2, 8)).checks if check.name != SAVED}


def probed(model: Model) -> object:
    return probe(model, random_ids(1, 6)).verdict()


def explained(model: Model) -> object:
    ids = random_ids(1, 6)
    return explain(Run(model, ids), Run(model, ids, mask="causal & sliding_window(2)")).verdict()


@pytest.mark.parametrize("ask", [audited, probed, explained])
@pytest.mark.parametrize("family", FAMILIES)
def test_probing(family: str, ask: Callable[[Model], object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "WITHOUT_FLOAT64", {"meta"})
    model = tiny(family).float()
    near, far = ask(model), carried(copy.deepcopy(model))
    with Elsewhere():
        assert ask(far) == near


def classified(model: Model) -> Any:
    return classify(model, TEXTS).array


def of_numbers(model: Model) -> Any:
    fold_in(model, Scale(mean=3.0, deviation=2.0))
    return classify(model, TEXTS).array


def scored(model: Model) -> Any:
    return [value for row in score(model, TEXTS).rows for value in row.log_probs if value is not None]


def embedded(model: Model) -> Any:
    return embed(model, TEXTS, pooling="mean")


HEADS: dict[Callable[[Model], Any], tuple[str, ...] | None] = {classified: ("no", "yes"), of_numbers: None}


@pytest.mark.parametrize("ask", [classified, of_numbers, scored, embedded])
@pytest.mark.parametrize("family", FAMILIES)
def test_tasks(family: str, ask: Callable[[Model], Any]) -> None:
    torch.manual_seed(0)
    model = make(family).float()
    if ask in HEADS:
        model = with_classifier(model, HEADS[ask])
    near, far = ask(copy.deepcopy(model)), carried(model)
    with Elsewhere():
        assert numpy.allclose(ask(far), near, atol=1e-4)
