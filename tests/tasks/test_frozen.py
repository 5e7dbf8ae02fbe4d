"""Frozen embeddings under a linear model: scikit-learn's own numbers, kept by a folder, and damage is told."""

import json
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sightline.errors import CheckpointError
from sightline.tasks.classify import open_classifier
from sightline.tasks.frozen import Frozen, features
from sightline.text.labelled import Examples
from tasks.labelled_rows import classes, learner, numbers


@pytest.mark.parametrize("examples", [classes(40), classes(40, pairs=True), numbers(40)], ids=["one", "pair", "number"])
def test_it_is_scikit_learns_and_a_folder_keeps_it(examples: Examples, tmp_path: Path) -> None:
    model = learner("bert", examples)
    seen = features(model, examples.texts, examples.pairs)
    frozen = Frozen.fit(model, examples, seen, C=0.1)
    if examples.labels is None:
        want = make_pipeline(StandardScaler(), Ridge(alpha=10)).fit(seen, examples.targets).predict(seen)
    else:
        linear = LogisticRegression(C=0.1, max_iter=5000)
        want = make_pipeline(StandardScaler(), linear).fit(seen, examples.targets).predict_proba(seen)
    given = frozen.predict(examples.texts, examples.pairs)
    assert numpy.allclose(given, want, rtol=0, atol=1e-6)
    frozen.save(tmp_path / "frozen")
    opened = open_classifier(tmp_path / "frozen")
    assert opened.labels == examples.labels and opened.parameters == frozen.parameters
    assert numpy.array_equal(opened.predict(examples.texts, examples.pairs), given)


@pytest.mark.parametrize("labels", [["a"], "abc", ["a", "b", "a"], ["a", "b"], [1, 2, 3], None, ...])
def test_labels_that_do_not_belong_to_the_weights_are_damage(labels: object, tmp_path: Path) -> None:
    rows = classes(20)
    model = learner("bert", rows)
    Frozen.fit(model, rows, features(model, rows.texts)).save(tmp_path)
    (tmp_path / "frozen.json").write_text(json.dumps({} if labels is ... else {"labels": labels}))
    with pytest.raises(CheckpointError, match="do not belong together"):
        open_classifier(tmp_path)


def test_what_cannot_be_written_is_told_and_leaves_no_half_of_it(tmp_path: Path) -> None:
    rows = classes(20)
    model = learner("bert", rows)
    (tmp_path / "frozen.safetensors").mkdir()  # stands for a disk that refuses
    with pytest.raises(CheckpointError, match=r"cannot write .*frozen.safetensors: Is a directory; free some space"):
        Frozen.fit(model, rows, features(model, rows.texts)).save(tmp_path)
    assert not list(tmp_path.glob(".*")) and not (tmp_path / "frozen.json").exists()


def test_weights_of_another_width_or_no_numbers_are_damage(tmp_path: Path) -> None:
    rows = classes(20)
    model = learner("bert", rows)
    Frozen.fit(model, rows, features(model, rows.texts)).save(tmp_path)
    tensors = load_file(tmp_path / "frozen.safetensors")
    for wrong in (tensors["weight"][:, 1:].copy(), numpy.full_like(tensors["weight"], numpy.nan)):
        save_file({**tensors, "weight": wrong}, tmp_path / "frozen.safetensors")
        with pytest.raises(CheckpointError, match="do not belong together"):
            open_classifier(tmp_path)
