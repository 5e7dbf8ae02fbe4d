"""Ids equal those of transformers' own generate(), greedy and by beams, on random models that are sure of their words.

Rows of unequal length are padded on the left for transformers, which knows no other way.
"""

import copy
import itertools
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch

from contract.reference import reference, saved
from sightline.decoding.generate import generate
from sightline.decoding.sampling import Sampling, penalize, warp
from sightline.model.load import load
from sightline.model.model import Model

PAD = 2
NEW = 12
PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [12, 13], [14], [3, 4, 3, 4, 3]]
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "untied": {"tie_word_embeddings": False},
    "scaled by layer": {"scale_attn_by_inverse_layer_idx": True},
}


@cache
def lively(variant: str, seed: int) -> Any:
    """A random model whose words change from position to position, and which is sure of them."""
    model = reference("GPT2LMHeadModel", seed=seed, **VARIANTS[variant])
    with torch.no_grad():
        model.transformer.wpe.weight.mul_(8)
        model.transformer.ln_f.weight.mul_(3)
    model.generation_config.pad_token_id = PAD
    return model


@cache
def pair(variant: str, seed: int, ends: int) -> tuple[Any, Model, list[int]]:
    """The same random weights in both libraries, in float64, and the end tokens: `ends` of those that it would say."""
    theirs = lively(variant, seed)
    theirs.generation_config.eos_token_id = None
    said = continued(theirs, PROMPTS, [])
    chosen = [said[0][6], said[1][9], said[3][4]][:ends]
    theirs = copy.deepcopy(theirs)
    theirs.config.eos_token_id = theirs.generation_config.eos_token_id = chosen or None
    with TemporaryDirectory() as folder:
        ours = load(saved(theirs, Path(folder)))
    return theirs, ours, chosen


def continued(model: Any, prompts: list[list[int]], ends: list[int], **settings: Any) -> list[list[int]]:
    """What transformers' generate() adds to each row, up to its first end token."""
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(prompt)) + prompt for prompt in prompts])
    real = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    with torch.no_grad():
        rows = model.generate(ids, attention_mask=real, max_new_tokens=NEW, do_sample=False, **settings)
    found = []
    for row in rows[:, width:].tolist():
        end = next((place for place, token in enumerate(row) if token in ends), NEW - 1)
        found.append(row[: end + 1])
    return found


def each_alone(model: Any, ends: list[int], **settings: Any) -> list[list[int]]:
    """Row by row: in a batch, transformers' penalties count its padding as tokens of the row."""
    return [row for prompt in PROMPTS for row in continued(model, [prompt], ends, **settings)]


@pytest.mark.parametrize("ends", [0, 1, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_greedy(variant: str, ends: int) -> None:
    lengths = []
    for seed in range(4):
        theirs, ours, ending = pair(variant, seed, ends)
        got = generate(ours, PROMPTS, max_new_tokens=NEW).ids()
        assert got == continued(theirs, PROMPTS, ending), seed
        lengths += [len(row) for row in got]
    assert set(lengths) == {NEW} if ends == 0 else len(set(lengths)) > 2


PENALTIES: list[dict[str, Any]] = [
    {"repetition_penalty": 1.8},
    {"repetition_penalty": 0.5},
    {"no_repeat_ngram": 1},
    {"no_repeat_ngram": 2},
    {"no_repeat_ngram": 3, "repetition_penalty": 1.2},
]


def named(settings: dict[str, Any]) -> dict[str, Any]:
    """As transformers calls them."""
    return {"no_repeat_ngram_size" if name == "no_repeat_ngram" else name: held for name, held in settings.items()}


@pytest.mark.parametrize("ends", [0, 1])
@pytest.mark.parametrize("settings", PENALTIES, ids=str)
def test_penalties(settings: dict[str, Any], ends: int) -> None:
    changed = False
    for seed in (0, 1):
        theirs, ours, ending = pair("plain", seed, ends)
        got = generate(ours, PROMPTS, max_new_tokens=NEW, **settings).ids()
        assert got == each_alone(theirs, ending, **named(settings))
        changed |= got != generate(ours, PROMPTS, max_new_tokens=NEW).ids()
    assert changed


BEAMS = list(itertools.product((2, 4), (-1.0, 0.0, 1.0, 2.0), (False, True)))


def beams_agree(variant: str, seed: int, ends: int, how: tuple[int, float, bool], returned: int) -> list[list[int]]:
    beams, penalty, early = how
    theirs, ours, ending = pair(variant, seed, ends)
    settings: dict[str, Any] = {"length_penalty": penalty, "early_stopping": early}
    got = generate(ours, PROMPTS, max_new_tokens=NEW, beams=beams, samples=returned, **settings).ids()
    assert got == continued(theirs, PROMPTS, ending, num_beams=beams, num_return_sequences=returned, **settings)
    return got


@pytest.mark.parametrize("ends", [0, 3])
@pytest.mark.parametrize("how", BEAMS, ids=str)
def test_beams(how: tuple[int, float, bool], ends: int) -> None:
    """All of the beams are returned, best first."""
    beams, lengths = how[0], []
    for seed in (0, 1) if ends else (2,):
        got = beams_agree("plain", seed, ends, how, returned=beams)
        lengths += [len(row) for row in got]
        assert len({tuple(row) for row in got[:beams]}) == beams
    assert set(lengths) == {NEW} if ends == 0 else len(set(lengths)) > 2


@pytest.mark.parametrize("variant", ["untied", "scaled by layer"])
def test_beams_of_variants(variant: str) -> None:
    beams_agree(variant, 0, 1, (3, 1.0, False), returned=1)
    beams_agree(variant, 1, 3, (3, 0.5, True), returned=2)


@pytest.mark.parametrize("settings", [PENALTIES[0], PENALTIES[3]], ids=str)
def test_beams_with_penalties(settings: dict[str, Any]) -> None:
    theirs, ours, ending = pair("plain", 1, 3)
    got = generate(ours, PROMPTS, max_new_tokens=NEW, beams=3, samples=2, **settings).ids()
    assert got == each_alone(theirs, ending, num_beams=3, num_return_sequences=2, **named(settings))


def test_settings_differ_in_what_they_find() -> None:
    """Else the tests above would compare one answer many times."""
    _, ours, _ = pair("plain", 0, 3)
    found = set()
    for beams, penalty, early in itertools.product((1, 2, 4), (-1.0, 2.0), (False, True)):
        settings: dict[str, Any] = {"beams": beams, "length_penalty": penalty, "early_stopping": early}
        found.add(str(generate(ours, PROMPTS, max_new_tokens=NEW, **settings).ids()))
    assert len(found) >= 5


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7, "top_k": 7},
        {"temperature": 1.5, "top_p": 0.8, "repetition_penalty": 1.4},
        {"temperature": 1.1, "top_k": 20, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 0.8, "no_repeat_ngram": 2},
    ],
    ids=str,
)
def test_what_is_drawn_from_step_by_step(settings: dict[str, Any]) -> None:
    """All settings together and in their order: what transformers draws from is what we would draw from."""
    theirs, _, _ = pair("plain", 0, 0)
    prompt = torch.tensor([PROMPTS[0]])
    with torch.no_grad():
        out = theirs.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=8,
            do_sample=True,
            output_scores=True,
            output_logits=True,
            return_dict_in_generate=True,
            **{"top_k": 0, **named(settings)},  # its default is 50
        )
    sampling = Sampling(**settings)
    for step, (logits, scores) in enumerate(zip(out.logits, out.scores, strict=True)):
        tokens = out.sequences[:, : prompt.shape[1] + step].tolist()
        assert torch.equal(warp(penalize(logits, tokens, sampling), sampling), scores)
