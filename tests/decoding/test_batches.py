"""A batch of unequal prompts gives each row exactly what it gets alone, and a seed always gives the same."""

from functools import cache
from typing import Any

import pytest
import torch

from decoding.models import assert_same_rows, babbler, endings, masked, writer
from sightline.core.mask import Causal, SlidingWindow
from sightline.decoding.generate import generate
from sightline.decoding.generation import Step
from sightline.model.model import Model

PROMPTS = [[5, 6, 7, 8, 3], [9], [10, 11, 12], list(range(3, 24)), [9]]
"""One of 21 tokens has three positions left; two are the same."""
NEW = 10
HOW: dict[str, dict[str, Any]] = {
    "greedy": {},
    "greedy, penalized": {"repetition_penalty": 1.7, "no_repeat_ngram": 2},
    "drawn": {"temperature": 1.2, "seed": 3},
    "drawn from few": {"temperature": 2.0, "top_k": 9, "top_p": 0.9, "min_p": 0.01, "seed": 1},
    "several drawn": {"temperature": 1.2, "samples": 3, "seed": 7},
    "drawn, penalized": {"temperature": 1.0, "repetition_penalty": 1.5, "no_repeat_ngram": 2, "samples": 2},
    "beams": {"beams": 3},
    "several beams": {"beams": 4, "samples": 3, "length_penalty": 0.5, "early_stopping": True},
}


@cache
def ender(family: str = "gpt2") -> Model:
    """A model that has two end tokens, which it would say without having them in the middle of a row."""
    said = generate(writer(family), PROMPTS, max_new_tokens=NEW).ids()
    return writer(family, ends=[said[0][4], said[2][7]])


def rows(model: Model, prompts: list[list[int]], **how: Any) -> list[list[Step]]:
    return generate(model, prompts, max_new_tokens=NEW, **how).rows()


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("family", ["gpt2", "bert", "roberta"])
def test_each_row_gets_what_it_gets_alone(family: str, how: str) -> None:
    model, settings = ender(family), HOW[how]
    samples = settings.get("samples", 1)
    together = rows(model, PROMPTS, **settings)
    kinds = set()
    for number, prompt in enumerate(PROMPTS):
        alone = rows(model, [prompt], **settings)
        begin = number * samples
        assert_same_rows(together[begin : begin + samples], alone, first=begin)
        kinds |= {(len(row), row[-1].ending) for row in alone}
    assert len(kinds) > 1  # rows leave the batch at different times
    assert "end token" in {ending for _, ending in kinds}


@pytest.mark.parametrize("how", ["greedy", "drawn", "several beams"])
def test_the_order_of_prompts_changes_nothing(how: str) -> None:
    model, settings = ender(), HOW[how]
    samples = settings.get("samples", 1)
    order = [3, 0, 4, 2, 1]
    first, second = rows(model, PROMPTS, **settings), rows(model, [PROMPTS[place] for place in order], **settings)
    for number, place in enumerate(order):
        moved = second[number * samples : (number + 1) * samples]
        assert_same_rows(moved, first[place * samples : (place + 1) * samples], first=number * samples)


@pytest.mark.parametrize("how", ["greedy", "drawn"])
def test_rows_that_end_leave_the_others_as_they_are(how: str) -> None:
    """With end tokens, every row is the beginning of what it is without them, up to its first end token."""
    whole, cut = rows(writer(), PROMPTS, **HOW[how]), rows(ender(), PROMPTS, **HOW[how])
    ends, shortened = ender().stored_config["eos_token_id"], 0
    for long, short in zip(whole, cut, strict=True):
        tokens = [step.token for step in long]
        end = next((place for place, token in enumerate(tokens) if token in ends), len(tokens) - 1)
        assert [step.token for step in short] == tokens[: end + 1]
        shortened += len(short) < len(long)
    assert shortened


def test_a_window_forgets_the_same_in_a_batch() -> None:
    """The padding behind a short prompt takes no place from it in a window."""
    model = writer().with_mask(Causal() & SlidingWindow(3))
    together = rows(model, PROMPTS)
    for number, prompt in enumerate(PROMPTS):
        assert_same_rows([together[number]], rows(model, [prompt]), first=number)


@pytest.mark.parametrize("samples", [1, 2])
def test_masked_models_fill_each_row_alone(samples: int) -> None:
    model, prompts = masked(), ["the cat", "a dog sat on the mat", "the"]
    how: dict[str, Any] = {"method": "mask-predict", "rounds": 3, "max_new_tokens": 6, "seed": 2, "samples": samples}
    how |= {"temperature": 1.0} if samples > 1 else {}
    together = generate(model, prompts, **how).rows()
    for number, prompt in enumerate(prompts):
        begin = number * samples
        alone = generate(model, [prompt], **how).rows()
        assert_same_rows(together[begin : begin + samples], alone, first=begin)


def test_texts_come_row_by_row_as_alone() -> None:
    model, prompts = babbler(), ["the cat", "a", "THE END of "]
    how: dict[str, Any] = {"temperature": 1.0, "samples": 2, "max_new_tokens": 8}
    together = generate(model, prompts, **how).texts()
    assert together == [text for prompt in prompts for text in generate(model, prompt, **how).texts()]
    assert len(set(together)) == 6


def test_a_long_row_ends_at_its_own_last_position() -> None:
    """And those beside it go on; however many tokens were asked for, room is made for the positions only."""
    generation = generate(writer(), PROMPTS, max_new_tokens=2**31 - 1)
    assert [len(prompt) + len(row) for prompt, row in zip(PROMPTS, generation.ids(), strict=True)] == [24] * 5
    assert endings(generation) == ["length"] * 5


def test_the_same_seed_draws_the_same() -> None:
    model, how = writer(), {"temperature": 1.5}
    first = rows(model, PROMPTS, seed=4, **how)
    assert_same_rows(rows(model, PROMPTS, seed=4, **how), first)
    assert_same_rows(rows(writer(), PROMPTS, seed=4, **how), first)
    found = {str(generate(model, PROMPTS, max_new_tokens=NEW, seed=seed, **how).ids()) for seed in range(5)}
    assert len(found) == 5


def test_a_seed_is_nobody_elses() -> None:
    """Neither does anybody's global seed change what is drawn, nor does drawing move it."""
    model = writer()
    torch.manual_seed(1)
    first = rows(model, PROMPTS, temperature=1.5)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert_same_rows(rows(model, PROMPTS, temperature=1.5), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_are_what_the_next_seeds_draw() -> None:
    model, how = ender(), {"temperature": 1.2, "top_p": 0.95}
    several = rows(model, PROMPTS[:3], seed=5, samples=3, **how)
    for sample in range(3):
        for number, row in enumerate(rows(model, PROMPTS[:3], seed=5 + sample, **how)):
            place = number * 3 + sample
            assert_same_rows([several[place]], [row], first=place)


def test_the_best_beams_come_first() -> None:
    model = ender()
    all_four = generate(model, PROMPTS, max_new_tokens=NEW, beams=4, samples=4).ids()
    best = generate(model, PROMPTS, max_new_tokens=NEW, beams=4).ids()
    assert best == all_four[::4]


def test_a_beam_search_over_everything_finds_the_likeliest() -> None:
    """With as many beams as there are texts of two tokens, the search is exhaustive; log-probabilities say the same."""
    model = writer(vocabulary=24)
    generation = generate(model, [[5, 6]], max_new_tokens=2, beams=24, samples=24, length_penalty=0.0)
    scores = [sum(step.log_prob for step in row) for row in generation.rows()]
    assert scores == sorted(scores, reverse=True)
    pairs = torch.cartesian_prod(torch.arange(24), torch.arange(24))
    with torch.no_grad():
        ids = torch.cat([torch.tensor([[5, 6]]).expand(len(pairs), -1), pairs[:, :1]], 1)
        log_probs = model.logits(model(ids).last_hidden_state)[:, 1:].log_softmax(-1)
    every = log_probs.gather(2, pairs[:, :, None])[:, :, 0].sum(1).sort(descending=True).values
    assert every[:24].tolist() == pytest.approx(scores, abs=1e-5)
