"""Scores against minicons, on random checkpoints that both read from a folder: sentences of our own, and of BLiMP.

minicons and transformers compute in float32, and what is left between them is its rounding.
"""

import json
import tarfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest

from contract.families import tiny
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks.evaluate import evaluate
from sightline.tasks.score import score
from sightline.text.learn import learn_tokenizer

SENTENCES = [
    "Katherine can't help herself.",
    "Katherine can't help himself.",
    "Who should Derek hug after shocking Richard?",
    "The governments' unbelievable disappointments weren't re-examined, were they?",
    "Some  spaces",
    "a",
]
PARADIGMS = ("anaphor_gender_agreement", "adjunct_island")
PAIRS = 60
POSITIONS = 64


def checkpoint(family: str, sentences: Sequence[str], folder: Path) -> Path:
    kind = "bytelevel-bpe" if family == "gpt2" else "wordpiece"
    tokenizer = learn_tokenizer(list(sentences), kind=kind, vocabulary=300)
    tiny(family, heads=("lm",), vocabulary=len(tokenizer), positions=POSITIONS, tokenizer=tokenizer).float().save(
        folder
    )
    return folder


def scorer_of(family: str, folder: Path) -> Any:
    """minicons' own, which warns of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from minicons.scorer import IncrementalLMScorer, MaskedLMScorer

        return (MaskedLMScorer if family == "bert" else IncrementalLMScorer)(str(folder), "cpu")


def masked_sums(peer: Any, sentences: Sequence[str], metric: str) -> list[list[float]]:
    """Of each token. Encoded here: minicons asks for a method that transformers 5 no longer has."""
    found = []
    for sentence in sentences:
        encoded = peer.tokenizer([sentence])
        found += peer.compute_stats(peer.prepare_text(encoded, PLL_metric=metric))
    return found


def causal_sums(peer: Any, sentences: Sequence[str], bos: bool) -> list[list[float]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [peer.compute_stats(peer.prepare_text([sentence], bos_token=bos))[0] for sentence in sentences]


def assert_same(ours: Sequence[Sequence[float | None]], theirs: Sequence[Sequence[float]]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        numpy.testing.assert_allclose([value for value in one if value is not None], other, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("within", "metric"), [("original", "original"), ("l2r", "within_word_l2r")])
def test_pseudo_log_likelihoods(within: str, metric: str, tmp_path: Path) -> None:
    folder = checkpoint("bert", SENTENCES, tmp_path / "bert")
    found = score(load(folder), SENTENCES, within_word=within)
    assert_same([row.log_probs for row in found.rows], masked_sums(scorer_of("bert", folder), SENTENCES, metric))


@pytest.mark.parametrize("bos", [True, False])
def test_log_likelihoods(bos: bool, tmp_path: Path) -> None:
    """minicons leaves the first token out unless it is told to put the bos token before it."""
    folder = checkpoint("gpt2", SENTENCES, tmp_path / "gpt2")
    texts = [text for text in SENTENCES if bos or len(text) > 1]  # it has no answer for a text of one token
    found = score(load(folder), texts, bos="auto" if bos else "none")
    assert_same([row.log_probs for row in found.rows], causal_sums(scorer_of("gpt2", folder), texts, bos))


@pytest.fixture(scope="module")
def pairs(data_folder: Path) -> dict[str, list[dict[str, str]]]:
    """The first pairs of two paradigms."""
    with tarfile.open(data_folder / "minimal-pairs" / "blimp.tar.xz") as archive:
        files = {name: archive.extractfile(f"{name}.jsonl") for name in sorted(PARADIGMS)}
        return {
            name: [json.loads(line) for line in file.read().decode().splitlines()[:PAIRS]]
            for name, file in files.items()
            if file is not None
        }


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_two_paradigms_of_blimp(family: str, pairs: dict[str, list[dict[str, str]]], tmp_path: Path) -> None:
    for name, rows in pairs.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sentences = [row[side] for rows in pairs.values() for row in rows for side in ("sentence_good", "sentence_bad")]
    folder = checkpoint(family, sentences, tmp_path / family)
    model, peer = load(folder), scorer_of(family, folder)
    found = evaluate(model, "blimp", tmp_path)
    for name, rows in pairs.items():
        good, bad = (_totals(model, peer, [row[side] for row in rows]) for side in ("sentence_good", "sentence_bad"))
        assert found.parts[name]["correct"] == sum(one > other for one, other in zip(good, bad, strict=True))
        assert 0 < found.parts[name]["correct"] < PAIRS


def _totals(model: Model, peer: Any, sentences: list[str]) -> list[float]:
    """minicons' sums, once they were found to be ours."""
    if model.family == "bert":
        theirs = [sum(row) for row in masked_sums(peer, sentences, "within_word_l2r")]
    else:
        theirs = [sum(row) for row in causal_sums(peer, sentences, True)]
    numpy.testing.assert_allclose(score(model, sentences).totals, theirs, rtol=0, atol=1e-4)
    return theirs
