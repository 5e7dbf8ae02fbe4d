"""What generate() takes and what it refuses: at the call, before the first step, in one line that says what to do."""

import math
from typing import Any

import pytest
import torch

from contract.families import tiny
from decoding.models import babbler, bytelevel, masked, writer
from sightline.core.mask import Causal
from sightline.decoding.generate import generate
from sightline.errors import ConfigError, InputError, SightlineError, UnsupportedError
from sightline.model.build import build

MODEL = babbler()
CAT = bytelevel().encode("the cat")


def refused(kind: type[SightlineError], says: str, model: Any, prompts: Any, **settings: Any) -> None:
    with pytest.raises(kind, match=says) as caught:
        generate(model, prompts, **settings)  # nothing is iterated
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_ways_to_give_a_prompt() -> None:
    expected = generate(MODEL, "the cat", max_new_tokens=3).ids()
    given: list[Any] = [
        ["the cat"],
        ("the cat",),
        iter(["the cat"]),
        [CAT],
        (tuple(CAT),),
        torch.tensor([CAT]).tolist(),
    ]
    for prompts in given:
        assert generate(MODEL, prompts, max_new_tokens=3).ids() == expected
    assert generate(MODEL, (text for text in ["a", "the cat"]), max_new_tokens=3).ids()[1:] == expected
    assert generate(MODEL, ["the cat", CAT], max_new_tokens=3).ids() == expected * 2  # type: ignore[list-item]


def test_prompts_are_left_as_they_are() -> None:
    prompts = [list(CAT), list(CAT)]
    generate(MODEL, prompts, max_new_tokens=3).ids()
    assert prompts == [CAT, CAT]


PROMPTS: dict[str, tuple[Any, str]] = {
    "nothing": ([], "there is no prompt; give a text or a list of texts"),
    "an empty list of ids": ([CAT, []], "prompt 2 is empty; give it at least one token"),
    "no list": (5, "a prompt cannot be of type int; give a text, several texts, or lists of token ids"),
    "none": (None, "a prompt cannot be of type NoneType"),
    "bytes": (b"text", "a prompt cannot be of type bytes"),
    "an encoding": (bytelevel()("the cat"), "a prompt cannot be of type Encoding; give a text"),
    "ids without their list": (CAT, r"prompt 1, of type int, is neither .* write token ids as \[\[464, 3290\]\]"),
    "a tensor": (torch.tensor([CAT]), r"prompt 1, of type Tensor, .* without padding \(tensor.tolist\(\) makes one"),
    "a list of tensors": ([torch.tensor(CAT)], "prompt 1, of type Tensor"),
    "ids that are not whole": ([[1.0, 2.0]], "prompt 1, of type list, is neither a text nor a list of whole numbers"),
    "truth values": ([[True]], "prompt 1, of type list"),
    "several texts in one": (["a", ["b", "c"]], "prompt 2, of type list"),
    "an id too large": (
        [CAT, [280]],
        "prompt 2 has token id 280, outside the vocabulary of 280; is it another model's",
    ),
    "an id below 0": ([[-1]], "prompt 1 has token id -1, outside"),
    "no position left": (
        [[5] * 24],
        "prompt 1 has 24 tokens and this model 24 positions: nothing could follow; shorten",
    ),
    "far too long": ("the cat " * 50, "this model 24 positions: nothing could follow"),
}


@pytest.mark.parametrize("what", PROMPTS)
def test_what_is_no_prompt(what: str) -> None:
    prompts, says = PROMPTS[what]
    refused(InputError, says, MODEL, prompts)


def test_an_empty_text_begins_where_there_is_a_token_to_begin_with() -> None:
    """An unconditional sample; a tokenizer without such a token cannot."""
    assert generate(MODEL, "", max_new_tokens=3).ids() == generate(MODEL, [[0]], max_new_tokens=3).ids()


SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"max_new_tokens": 0}, "max_new_tokens=0 must be a whole number, 1 or more"),
    ({"max_new_tokens": 2.5}, "max_new_tokens=2.5 must be a whole number"),
    ({"max_new_tokens": None}, "max_new_tokens=None must be a whole number"),
    ({"samples": 0, "temperature": 1.0}, "samples=0 must be a whole number, 1 or more"),
    ({"samples": True}, "samples=True must be a whole number"),
    ({"samples": 2}, "2 samples at temperature 0 would be the same; give a temperature, or as many beams"),
    ({"samples": 3, "beams": 2}, "3 samples at temperature 0 would be the same; give a temperature, or as many beams"),
    ({"beams": 0}, "beams=0 must be a whole number, 1 or more"),
    ({"beams": 281}, "beams=281 is more than the vocabulary of 280; ask for fewer"),
    ({"beams": 2, "temperature": 0.5}, "leave temperature at 0, or beams at 1"),
    ({"beams": 2, "stop": "x"}, "stop strings end a row as it grows, and beams find whole rows: leave one of them out"),
    ({"beams": 2, "length_penalty": math.nan}, "length_penalty=nan must be a number"),
    ({"beams": 2, "length_penalty": "long"}, "length_penalty='long' must be a number"),
    ({"beams": 2, "early_stopping": "never"}, "early_stopping='never' must be true or false"),
    ({"stop": ""}, "stop='' must be a string of at least one character"),
    ({"stop": ["a", 5]}, r"stop=\['a', 5\] must be a string"),
    ({"method": "magic"}, "there is no method 'magic'; choose one of autoregressive, mask-predict"),
    ({"rounds": 0}, "rounds=0 must be a whole number, 1 or more"),
    ({"temperature": -1}, "temperature=-1 must be 0"),
    ({"top_k": 3}, "give a temperature above 0 as well"),
    ({"seed": -1}, "seed=-1 must be a whole number, 0 or more"),
]


@pytest.mark.parametrize(("settings", "says"), SETTINGS, ids=[f"{settings}" for settings, _ in SETTINGS])
def test_values_that_cannot_work(settings: dict[str, Any], says: str) -> None:
    refused(ConfigError, says, MODEL, "the cat", **settings)


def test_a_model_that_cannot() -> None:
    headless = build("bert", "tiny", layers=1, width=8, inner=8, heads=("pooler",)).with_mask(Causal())
    refused(UnsupportedError, r"no head over the vocabulary \(it has: pooler\), so it writes nothing", headless, [[5]])
    refused(UnsupportedError, "tokens see what comes after them", masked(), "the cat")


def test_training_mode_is_refused() -> None:
    """Dropout would make greedy random. A view's own flag says nothing: what counts is the network they share."""
    model = tiny("gpt2", dropout=0.5).train()
    view = model.with_mask(Causal())
    refused(UnsupportedError, r"the model is in training mode.* random; call model.eval\(\)", model, [[5]])
    model.eval()
    assert view.training
    assert generate(view, [[5]], max_new_tokens=3).ids() == generate(model, [[5]], max_new_tokens=3).ids()
    model.network.stack.train()
    refused(UnsupportedError, "training mode", model, [[5]])


def test_vocabularies_smaller_than_what_is_asked_of_them() -> None:
    """A top_k beyond the vocabulary is all of it; as many beams as tokens work; a vocabulary of one says one thing."""
    model = writer(vocabulary=6)
    everything = generate(model, [[3]], temperature=1.0, top_k=10**6, max_new_tokens=8).ids()
    assert everything == generate(model, [[3]], temperature=1.0, max_new_tokens=8).ids()
    beams = generate(model, [[3]], beams=6, samples=6, max_new_tokens=1).ids()
    assert sorted(beams) == [[token] for token in range(6)]
    assert generate(writer(vocabulary=1), [[0]], max_new_tokens=4, temperature=1.0).ids() == [[0] * 4]


def test_a_penalty_that_leaves_nothing() -> None:
    model = writer(vocabulary=6)
    for how in ({}, {"beams": 2}, {"temperature": 1.0}):
        generation = generate(model, [[3, 4]], no_repeat_ngram=1, max_new_tokens=10, **how)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="no_repeat_ngram=1 leaves no token to go on with"):
            generation.ids()
    generation = generate(model, [[3, 4]], no_repeat_ngram=1, max_new_tokens=4)
    assert sorted(generation.ids()[0]) == [0, 1, 2, 5]
