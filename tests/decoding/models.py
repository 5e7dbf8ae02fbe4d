"""Tokenizers of a few hundred tokens, models that write with them, and the plain loop that every faster way must equal.

Shapes: P positions.
"""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from contract.families import tiny
from sightline.core.mask import Causal
from sightline.decoding.generation import Generation, Step
from sightline.model.build import build
from sightline.model.model import Model
from sightline.text.learn import learn_tokenizer
from sightline.text.pipelines import TRANSFORMER_XL_TOKENS
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer
from sightline.text.wordlevel import wordlevel_pipeline

TEXTS = ["the cat sat on the mat and the dog sat on the cat", "a dog, a cat, a mat: THE END of ends"]


@cache
def bytelevel() -> Tokenizer:
    """Every byte is a token, and some words; `<|endoftext|>` is 0."""
    return learn_tokenizer(TEXTS, kind="bytelevel-bpe", vocabulary=280)


@cache
def wordpiece() -> Tokenizer:
    return learn_tokenizer(TEXTS, vocabulary=60)


@cache
def words() -> Tokenizer:
    """Every word of the texts is a token, as in Transformer-XL's vocabulary; `<eos>` is 0 and `<unk>` 1."""
    known = dict.fromkeys(["<eos>", "<unk>", *" ".join(TEXTS).replace(",", " ,").replace(":", " :").split()])
    backend = wordlevel_pipeline({word: id for id, word in enumerate(known)}, unknown="<unk>")
    return Tokenizer(backend, names=TRANSFORMER_XL_TOKENS, makes_types=False)


@cache
def roberta_tokenizer() -> Tokenizer:
    """The byte-level tokens between `<s>` and `</s>`, with `<mask>`."""
    state = json.loads(bytelevel().backend.to_str())["model"]
    pieces = [token for token in state["vocab"] if token != "<|endoftext|>"]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces, "<mask>"]
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "vocab.json").write_text(json.dumps({token: id for id, token in enumerate(tokens)}))
        (folder / "merges.txt").write_text("".join(" ".join(pair) + "\n" for pair in state["merges"]))
        return load_tokenizer(folder, model_type="roberta")


def writer(family: str = "gpt2", *, ends: Sequence[int] = (), seed: int = 0, **settings: Any) -> Model:
    """A random model without tokenizer, causal, in float64, whose rows end at `ends`.

    Its positions weigh much, so that it says one word after another and not the same for ever.
    """
    model = tiny(family, heads=("lm",), mask=Causal(), seed=seed, **settings)
    with torch.no_grad():
        model.network.embeddings.positions.table.weight.mul_(8)  # type: ignore[union-attr,operator]
    model.stored_config = {"eos_token_id": list(ends)} if ends else {}
    return model


def masked(family: str = "bert", tokenizer: Tokenizer | None = None, *, seed: int = 0, **settings: Any) -> Model:
    """A random masked model in float64, with a tokenizer."""
    tokenizer = tokenizer or wordpiece()
    sizes = {"vocabulary": len(tokenizer), **settings}
    return tiny(family, heads=("lm",), seed=seed, tokenizer=tokenizer, **sizes)


def babbler(seed: int = 0, **settings: Any) -> Model:
    """A random GPT-2 over bytes: what it writes is hardly ever valid text."""
    tokenizer = bytelevel()
    return tiny("gpt2", heads=("lm",), seed=seed, vocabulary=len(tokenizer), tokenizer=tokenizer, **settings)


def scripted(tokens: Sequence[int], tokenizer: Tokenizer | None = None, *, vocabulary: int | None = None) -> Model:
    """A GPT-2 that says exactly these tokens after a prompt of one token, whatever the prompt is.

    Position p is the p-th unit vector, all layers add nothing, and row `tokens[p]` of the head's matrix looks for it.
    """
    size = vocabulary or len(tokenizer or bytelevel())
    positions = len(tokens) + 1
    model = build(
        "gpt2",
        "tiny",
        layers=1,
        heads=("lm",),
        vocabulary=size,
        width=2 * positions,
        inner=1,
        positions=positions,
        tied=False,
        tokenizer=tokenizer or bytelevel(),
        dtype=torch.float64,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for position, token in enumerate(tokens):
            model.network.embeddings.positions.table.weight[position, position] = 1.0  # type: ignore[union-attr,operator,index]
            model.heads["lm"].weight[token, position] = 1.0  # type: ignore[union-attr,operator,index]
        model.network.norm.weight.fill_(1.0)  # type: ignore[union-attr,operator]
    return model


def plain_loop(
    model: Model,
    prompt: Sequence[int],
    steps: int,
    ends: Sequence[int] = (),
    mend: Callable[[Tensor], Tensor] = Tensor.clone,
) -> tuple[list[int], list[float]]:
    """Greedy tokens and their log-probabilities, everything computed anew at each step; `mend` changes logits (V,)."""
    tokens, log_probs = list(prompt), []
    for _ in range(steps):
        with torch.no_grad():
            logits = model.logits(model(torch.tensor([tokens])).last_hidden_state)[0, -1]
        token = int(mend(logits).argmax())
        log_probs.append(float(logits.log_softmax(-1)[token]))
        tokens.append(token)
        if token in ends:
            break
    return tokens[len(prompt) :], log_probs


def assert_same_rows(got: list[list[Step]], wanted: list[list[Step]], first: int = 0) -> None:
    """Tokens, texts and endings exactly; log-probabilities within float32; rows numbered from `first` in `got`."""
    assert len(got) == len(wanted)
    for number, (ours, theirs) in enumerate(zip(got, wanted, strict=True), start=first):
        assert {step.row for step in ours} == {number}
        assert [(s.token, s.text, s.ending) for s in ours] == [(s.token, s.text, s.ending) for s in theirs]
        for one, other in zip(ours, theirs, strict=True):
            assert abs(one.log_prob - other.log_prob) < 1e-5


def endings(generation: Generation) -> list[str | None]:
    """Why each row ended; and that nothing ends before its last step."""
    for row in generation.rows():
        assert all(step.ending is None for step in row[:-1])
    return [row[-1].ending for row in generation.rows()]
