"""What a fine-tuning needs before it begins, and what remains to be said of the model when it has ended."""

from __future__ import annotations

import copy
import hashlib
from collections import Counter

import numpy
import torch

from sightline.errors import InputError, UnsupportedError
from sightline.model.model import Model
from sightline.tasks.answers import check_classifier, labels_of
from sightline.tasks.encode import Long
from sightline.text.labelled import Examples


def check_examples(model: Model, train: Examples, dev: Examples | None) -> None:
    """InputError for rows whose labels are not the model's; UnsupportedError for a model that cannot classify."""
    check_classifier(model)
    if model.problem_type == "multi_label_classification":
        raise UnsupportedError(
            "the model's head says yes or no to each class for itself, and these rows have one class each; give it"
            " another: with_classifier(model, examples.labels)"
        )
    for name, examples in (("training", train), ("dev", dev)):
        if examples is None:
            continue
        if not len(examples):
            raise InputError(f"there are no {name} rows; give at least one")
        if (examples.labels is None) != model.regression:
            there, here = ("numbers", "classes") if examples.labels is None else ("classes", "numbers")
            raise InputError(
                f"the {name} rows have {there} and the model's head is for {here}; give it another:"
                " with_classifier(model, examples.labels)"
            )
        if examples.labels is not None and examples.labels != labels_of(model):
            raise InputError(
                f"the {name} rows have the classes {', '.join(examples.labels[:5])} and the model's head"
                f" {', '.join((labels_of(model) or ())[:5])}; they must be the same, in the same order"
            )
        if (examples.pairs is None) != (train.pairs is None):
            raise InputError("the training rows or the dev rows are pairs of texts, the others not; give both alike")
        if examples.labels is None and not numpy.isfinite(examples.targets).all():
            raise InputError(f"a number of the {name} rows is not finite; leave such rows out")


def balanced(examples: Examples) -> tuple[float, ...]:
    """One weight a class, so that all classes weigh the same and a row weighs 1 on average; 1 for one without rows."""
    counts = Counter(examples.targets.tolist())
    present, labels = len(counts), examples.labels or ()
    return tuple(len(examples) / (present * counts[index]) if counts[index] else 1.0 for index in range(len(labels)))


def digest(examples: Examples) -> str:
    """SHA-256 of the rows: texts, pairs and targets, in their order."""
    found = hashlib.sha256()
    for texts in (examples.texts, examples.pairs or []):
        for text in texts:
            found.update(text.encode("utf-8", "surrogatepass") + b"\0")
    found.update(examples.targets.tobytes())
    return found.hexdigest()


def fingerprint(steps: str, dev: Examples | None, labels: tuple[str, ...] | None) -> str:
    """All that decides what comes out, the model and its settings aside."""
    said = (steps, None if dev is None else digest(dev), labels)
    return hashlib.sha256(repr(said).encode()).hexdigest()


@torch.no_grad()
def own_memory(model: Model) -> None:
    """Move weights from the file that they may be views of into memory of their own, in plain rows.

    The same numbers laid out otherwise are summed up in another order: a training that is taken up again, from a file
    or not, must compute with the same bits.
    """
    for parameter in model.parameters():
        parameter.data = parameter.detach().clone(memory_format=torch.contiguous_format)


def taught(model: Model, limit: int, long: Long) -> None:
    """Nothing of the model is random any more, its weights know its mask, and its rows are as long as in training."""
    model.requires_grad_(True)
    model.new_tensors, model.trained_masks, model.long = (), (model.mask,), "windows" if long == "windows" else "cut"
    if model.tokenizer is not None and model.tokenizer.max_length != limit:
        model.tokenizer = copy.copy(model.tokenizer)  # the caller's own goes on saying what it said
        model.tokenizer.max_length = limit
