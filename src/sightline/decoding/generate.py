"""Generating text: tokens one after another, by a loop that everybody else consumes.

    generate(model, "Once upon a time", temperature=0.8, seed=1)       # an iterator of steps
    generate(model, ["One prompt", "and another"], beams=4).texts()    # the whole

A batch of unequal prompts gives each row what it gets alone. Any network writes that looks back: BERT under a causal
mask, and under `Permuted()` as a prefix LM, each prompt seen whole and what follows it from the left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from sightline.core.check import whole
from sightline.decoding.beam import BeamSearch, search
from sightline.decoding.generation import Ending, Generation, Step
from sightline.decoding.mask_predict import MaskPredict, longest, mask_id, predict
from sightline.decoding.rows import (
    Prompts,
    Rows,
    as_taught,
    check_can_answer,
    check_can_continue,
    check_unordered,
    prompt_ids,
)
from sightline.decoding.sampling import Sampling, choose
from sightline.decoding.stop import StopText, stop_strings
from sightline.errors import ConfigError, UnsupportedError
from sightline.text.stream import DecodeStream

if TYPE_CHECKING:
    from sightline.model.model import Model

METHODS = ("autoregressive", "mask-predict")


class RowText:
    """One row's text as its tokens come, cut at a stop string.

    A vocabulary may have more rows than the tokenizer has tokens (often a multiple of 64); those have no text.
    """

    def __init__(self, model: Model, prompt: Sequence[int], stop: Sequence[str]) -> None:
        tokenizer = model.tokenizer
        self.known = 0 if tokenizer is None else len(tokenizer)
        self.stream: DecodeStream | None = None
        if tokenizer is not None:
            shown = [token for token in prompt if token < self.known]
            self.stream = tokenizer.decode_stream(after=shown, skip_special_tokens=True)
        self.stop = StopText(stop)

    def add(self, token: int) -> str:
        """The text that the token completes."""
        if self.stream is None or token >= self.known:
            return ""
        return self.stop.feed(self.stream.add(token))

    def finish(self) -> str:
        """What was held back, now that nothing follows; nothing after a stop string."""
        return "" if self.stream is None else self.stop.feed(self.stream.finish()) + self.stop.finish()


def end_tokens(model: Model) -> frozenset[int]:
    """Tokens after which nothing follows: what the checkpoint says, else the tokenizer's end or separator."""
    stated = model.stored_config.get("eos_token_id")
    if isinstance(stated, int):
        return frozenset({stated})
    if isinstance(stated, list):
        return frozenset(int(token) for token in stated)
    if model.tokenizer is None:
        return frozenset()
    return frozenset(model.tokenizer.special.document_end)


def _grow(
    model: Model, prompts: list[list[int]], samples: int, limit: int, sampling: Sampling, stop: Sequence[str]
) -> Iterator[Step]:
    """Steps of all rows, one token each in turn; rows that have ended leave the batch."""
    ends = end_tokens(model)
    rows = Rows(model, prompts, limit)
    if samples > 1:
        rows.keep(torch.arange(len(prompts), device=rows.logits.device).repeat_interleave(samples))
    alive = list(range(len(prompts) * samples))
    tokens = [list(prompts[row // samples]) for row in alive]
    texts = [RowText(model, prompts[row // samples], stop) for row in alive]
    dice = [torch.Generator().manual_seed(sampling.seed + row % samples) for row in alive]
    while alive:
        logits = rows.logits.float()
        chosen = choose(logits, [tokens[row] for row in alive], sampling, [dice[row] for row in alive])
        log_probs = logits.log_softmax(-1).gather(1, chosen[:, None])[:, 0].tolist()
        going_on = []
        for place, (row, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            tokens[row].append(token)
            text = "" if token in ends else texts[row].add(token)
            ending = _ending(model, token, ends, texts[row], len(tokens[row]), len(prompts[row // samples]) + limit)
            if ending is None:
                going_on.append(place)
            else:
                text += texts[row].finish()
            yield Step(row=row, token=token, text=text, log_prob=log_probs[place], ending=ending)
        if going_on and len(going_on) < len(alive):
            index = torch.tensor(going_on, device=chosen.device)
            rows.keep(index)
            chosen = chosen[index]
        alive = [alive[place] for place in going_on]
        if alive:
            rows.feed(chosen)


def _ending(model: Model, token: int, ends: frozenset[int], text: RowText, length: int, longest: int) -> Ending | None:
    if token in ends:
        return "end token"
    if text.stop.stopped:
        return "stop string"
    return "length" if length >= min(longest, model.config.positions) else None


def _written_out(
    model: Model, row: int, prompt: Sequence[int], tokens: Sequence[int], log_probs: Sequence[float]
) -> Iterator[Step]:
    """The steps of a row that was found as a whole."""
    ends, text = end_tokens(model), RowText(model, prompt, ())
    for token, log_prob in zip(tokens[:-1], log_probs[:-1], strict=True):
        yield Step(row=row, token=token, text=text.add(token), log_prob=log_prob)
    last = tokens[-1]
    shown = "" if last in ends else text.add(last)
    ending: Ending = "end token" if last in ends else "length"
    yield Step(row=row, token=last, text=shown + text.finish(), log_prob=log_probs[-1], ending=ending)


def _searched(
    model: Model, prompts: list[list[int]], samples: int, limit: int, how: BeamSearch, sampling: Sampling
) -> Iterator[Step]:
    for number, found in enumerate(search(model, prompts, limit, how, sampling, end_tokens(model))):
        for sample, one in enumerate(found[:samples]):
            yield from _written_out(model, number * samples + sample, prompts[number], one.tokens, one.log_probs)


def _filled(
    model: Model, prompts: list[list[int]], samples: int, limit: int, how: MaskPredict, sampling: Sampling
) -> Iterator[Step]:
    for row in range(len(prompts) * samples):
        prompt = prompts[row // samples]
        own = replace(sampling, seed=sampling.seed + row % samples)
        *_, last = predict(model, prompt, min(limit, longest(model, prompt)), how, own)
        yield from _written_out(model, row, prompt, last.tokens, last.log_probs)


def _check_grows(model: Model, rows: list[list[int]], limit: int, how: BeamSearch, stop: bool) -> None:
    """Raise ConfigError or UnsupportedError for what does not go with growing these prompts by `limit` tokens."""
    if "lm" not in model.heads:
        has = ", ".join(model.heads) or "none"
        raise UnsupportedError(
            f"this {model.layout.model_type} has no head over the vocabulary (it has: {has}), so it writes nothing;"
            " load a checkpoint of language modelling, such as gpt2"
        )
    if how.beams > model.config.vocabulary:
        raise ConfigError(f"beams={how.beams} is more than the vocabulary of {model.config.vocabulary}; ask for fewer")
    if how.beams > 1 and stop:
        raise ConfigError("stop strings end a row as it grows, and beams find whole rows: leave one of them out")
    if stop and model.tokenizer is None:
        raise UnsupportedError("stop strings are found in text, and this model came without tokenizer; leave them out")
    shortest, widest = min(map(len, rows)), max(map(len, rows))
    if not model.layout.two_streams:  # a target is asked behind the last token, whoever sees whom before it
        check_can_continue(model.mask, shortest, min(widest + limit, model.config.positions))


def _check_fills(model: Model, rows: list[list[int]], sampling: Sampling, how: BeamSearch, stop: bool) -> None:
    """Raise ConfigError, UnsupportedError or InputError for what does not go with blanks behind these prompts."""
    mask_id(model)
    check_unordered(model)
    given = {
        "beams": how.beams > 1,
        "stop": stop,
        "repetition_penalty": sampling.repetition_penalty != 1,
        "no_repeat_ngram": sampling.no_repeat_ngram > 0,
    }
    for name in (name for name, wanted in given.items() if wanted):
        raise ConfigError(f"{name} follows a row as it grows, and mask-predict writes it all at once; leave it out")
    for row in rows:
        longest(model, row)


def generate(
    model: Model,
    prompts: Prompts,
    *,
    max_new_tokens: int = 100,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    no_repeat_ngram: int = 0,
    stop: Sequence[str] = (),
    samples: int = 1,
    beams: int = 1,
    length_penalty: float = 1.0,
    early_stopping: bool = False,
    method: str = "autoregressive",
    rounds: int = 10,
    seed: int = 0,
) -> Generation:
    """Text that goes on where the prompts end.

    prompts         a text, several, or lists of token ids
    max_new_tokens  per row; a row also ends at the model's end token, at a stop string, or at its last position.
                    mask-predict writes exactly as many, or as many as there are positions
    temperature     0 takes the likeliest token; above 0 tokens are drawn: see `Sampling` for top_k … no_repeat_ngram
    stop            strings that end a row and are not shown (its ids have them)
    samples         outputs of each prompt: drawn with seed, seed + 1, …, or the best of the beams
    beams           above 1: beam search; see `BeamSearch`
    method          "autoregressive", or "mask-predict" for a masked model: all blanks at once, refined in `rounds`
    seed            the same seed gives the same text, on a CPU, for the same prompt

    Raises ConfigError for a value that cannot work, UnsupportedError for a model that cannot continue text in this way,
    InputError for a prompt that is empty or leaves no position.

        for step in generate(model, "Once upon a time", temperature=0.8):
            print(step.text, end="", flush=True)
    """
    whole("max_new_tokens", max_new_tokens)
    whole("samples", samples)
    sampling = Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        no_repeat_ngram=no_repeat_ngram,
        seed=seed,
    )
    search_by = BeamSearch(beams=beams, length_penalty=length_penalty, early_stopping=early_stopping)
    refine_by, stops = MaskPredict(rounds=rounds), stop_strings(stop)
    if method not in METHODS:
        raise ConfigError(f"there is no method {method!r}; choose one of {', '.join(METHODS)}")
    if beams > 1 and temperature > 0:
        raise ConfigError("beams look for the likeliest text and draw nothing; leave temperature at 0, or beams at 1")
    if samples > 1 and temperature == 0 and samples > beams:
        raise ConfigError(f"{samples} samples at temperature 0 would be the same; give a temperature, or as many beams")
    model = as_taught(model, ahead=method == "mask-predict")
    rows = prompt_ids(model, prompts)
    check_can_answer(model)
    if method == "mask-predict":
        _check_fills(model, rows, sampling, search_by, bool(stops))
        steps = _filled(model, rows, samples, max_new_tokens, refine_by, sampling)
    else:
        _check_grows(model, rows, max_new_tokens, search_by, bool(stops))
        if beams > 1:
            steps = _searched(model, rows, samples, max_new_tokens, search_by, sampling)
        else:
            steps = _grow(model, rows, samples, max_new_tokens, sampling, stops)
    return Generation(steps, len(rows) * samples, has_text=model.tokenizer is not None)
