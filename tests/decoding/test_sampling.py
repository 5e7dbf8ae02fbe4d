"""How the next token is chosen: against transformers' processors, and a distribution's inverse in plain arithmetic.

Shapes: R rows, V vocabulary.
"""

import math
from typing import Any

import pytest
import torch
import transformers.generation.logits_process as theirs
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from decoding.models import writer
from sightline.decoding.generate import generate
from sightline.decoding.sampling import Sampling, choose, draw, penalize, warp
from sightline.errors import ConfigError

NO_TOKENS = torch.zeros(2, 0, dtype=torch.long)
seeds = st.integers(0, 2**31)


@st.composite
def logits(draw: st.DrawFn, rows: int = 2) -> Tensor:
    """(R, V) in float32, from flat to sharp, some of them rounded so that many are equal."""
    generator = torch.Generator().manual_seed(draw(seeds))
    drawn = torch.randn(rows, draw(st.integers(1, 20)), generator=generator) * draw(
        st.sampled_from([0.0, 0.1, 1.0, 5.0, 40.0])
    )
    return drawn.round() if draw(st.booleans()) else drawn


shares = st.one_of(st.none(), st.floats(0.01, 1.0), st.sampled_from([0.25, 0.5, 1.0]))


@given(logits(), st.floats(0.05, 20), st.one_of(st.none(), st.integers(1, 25)), shares, shares)
def test_what_may_be_drawn_is_what_transformers_allows(
    scores: Tensor, temperature: float, top_k: int | None, top_p: float | None, min_p: float | None
) -> None:
    warpers: list[Any] = [theirs.TemperatureLogitsWarper(temperature)]
    warpers += [] if top_k is None else [theirs.TopKLogitsWarper(top_k)]
    warpers += [] if top_p is None else [theirs.TopPLogitsWarper(top_p)]
    warpers += [] if min_p is None else [theirs.MinPLogitsWarper(min_p)]
    expected = scores
    for warper in warpers:
        expected = warper(NO_TOKENS, expected)
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
    before = scores.clone()
    assert torch.equal(warp(scores, sampling), expected)
    assert torch.equal(scores, before)


def test_as_few_as_reach_the_share() -> None:
    """Two of four equal ones reach a half exactly, and the other two are one too many, in transformers as here."""
    equal, half = torch.zeros(2, 4), Sampling(temperature=1.0, top_p=0.5)
    assert (warp(equal, half) > -math.inf).sum(1).tolist() == [2, 2]
    assert torch.equal(warp(equal, half), theirs.TopPLogitsWarper(0.5)(NO_TOKENS, equal))


@given(logits(rows=1), st.floats(0.3, 4), st.integers(0, 4), st.data())
def test_penalties_are_transformers(scores: Tensor, penalty: float, ngram: int, data: st.DataObject) -> None:
    tokens = data.draw(st.lists(st.integers(0, scores.shape[1] - 1), min_size=1, max_size=12))
    expected, ids = scores, torch.tensor([tokens])
    if penalty != 1:
        expected = theirs.RepetitionPenaltyLogitsProcessor(penalty)(ids, expected)
    if ngram:
        expected = theirs.NoRepeatNGramLogitsProcessor(ngram)(ids, expected)
    before = scores.clone()
    got = penalize(scores, [tokens], Sampling(repetition_penalty=penalty, no_repeat_ngram=ngram))
    assert torch.equal(got, expected)
    assert torch.equal(scores, before)


def test_a_row_is_penalized_for_its_own_tokens() -> None:
    scores = torch.ones(3, 4)
    got = penalize(scores, [[0, 0, 1], [3], [2, 2]], Sampling(repetition_penalty=2.0, no_repeat_ngram=1))
    assert got.tolist() == [[-math.inf, -math.inf, 1, 1], [1, 1, 1, -math.inf], [1, 1, -math.inf, 1]]


def inverse(scores: list[float], uniform: float) -> set[int]:
    """The tokens at which the cumulated probability may pass `uniform`: one, or two where it falls on the border."""
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    total = math.fsum(weights)
    found = set()
    for slack in (-1e-12, 1e-12):
        shares = [math.fsum(weights[: token + 1]) / total for token in range(len(weights))]
        passed = [token for token, share in enumerate(shares) if share > uniform + slack and weights[token] > 0]
        found.add(passed[0] if passed else max(token for token, weight in enumerate(weights) if weight > 0))
    return found


some_scores = st.lists(st.one_of(st.floats(-30, 30), st.just(-math.inf)), min_size=1, max_size=12)


@given(some_scores.filter(lambda scores: max(scores) > -math.inf), st.floats(0, 1, exclude_max=True))
def test_draw_inverts_the_cumulated_distribution(scores: list[float], uniform: float) -> None:
    got = int(draw(torch.tensor([scores], dtype=torch.float64), torch.tensor([uniform], dtype=torch.float64)))
    assert got in inverse(scores, uniform)
    assert scores[got] > -math.inf


def test_draw_at_the_edges() -> None:
    none = -math.inf
    scores = torch.tensor([[none, none, 2.0, none, 1.0, none, none]])
    least, most = torch.tensor([0.0]), torch.tensor([math.nextafter(1.0, 0.0)], dtype=torch.float64)
    assert draw(scores, least).tolist() == [2]
    assert draw(scores, most).tolist() == [4]
    tenths = torch.tensor([[0.0] * 10 + [none]])
    assert float(tenths.double().softmax(-1).cumsum(-1)[0, -1]) < 1  # and yet nothing behind the last is drawn
    assert draw(tenths, most).tolist() == [9]
    assert draw(scores, torch.tensor([1.0])).tolist() == [4]  # what float32 makes of a number just below
    assert draw(torch.tensor([[none, 5.0]]), torch.tensor([0.5])).tolist() == [1]
    one_sure = torch.tensor([[0.0, 1000.0, 0.0]])  # the others have no probability left, and are never drawn
    assert draw(one_sure.expand(2, -1), torch.cat([least.double(), most])).tolist() == [1, 1]


def test_equal_logits_share_equally() -> None:
    uniforms = torch.arange(16, dtype=torch.float64) / 16
    assert draw(torch.zeros(16, 8), uniforms).tolist() == [place // 2 for place in range(16)]


def test_rows_are_drawn_each_by_itself() -> None:
    scores, uniforms = torch.randn(7, 9), torch.rand(7, dtype=torch.float64)
    alone = [int(draw(scores[row : row + 1], uniforms[row : row + 1])) for row in range(7)]
    assert draw(scores, uniforms).tolist() == alone


def test_drawn_tokens_follow_the_distribution() -> None:
    scores = torch.tensor([[0.3, -1.0, 2.0, -math.inf, 0.9, -3.0]])
    uniforms = torch.rand(20_000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    counts = draw(scores.expand(len(uniforms), -1), uniforms).bincount(minlength=6).double()
    expected = scores[0].double().softmax(-1) * len(uniforms)
    possible = expected > 0
    assert int(counts[~possible].sum()) == 0
    assert chisquare(counts[possible].numpy(), expected[possible].numpy()).pvalue > 0.01


def test_generated_tokens_follow_the_warped_distribution() -> None:
    """Seeds next to each other are independent enough: first tokens of many samples."""
    model, samples = writer(), 3000
    settings: dict[str, Any] = {"temperature": 1.3, "top_k": 9, "top_p": 0.95, "min_p": 0.02}
    ids = generate(model, [[5, 6]], max_new_tokens=1, samples=samples, **settings).ids()
    counts = torch.tensor([tokens[0] for tokens in ids]).bincount(minlength=31)
    with torch.no_grad():
        scores = model.logits(model(torch.tensor([[5, 6]])).last_hidden_state)[:, -1].float()
    expected = warp(scores, Sampling(**settings))[0].double().softmax(-1) * samples
    possible = expected > 0
    assert 3 < int(possible.sum()) <= 9
    assert int(counts[~possible].sum()) == 0
    assert chisquare(counts[possible].numpy(), expected[possible].numpy()).pvalue > 0.01


@given(logits(), st.integers(0, 99))
def test_one_candidate_is_the_likeliest(scores: Tensor, seed: int) -> None:
    """Equal ones are all candidates of top-k and min-p, as in transformers; which one is drawn is left to the dice."""
    scores = scores + torch.linspace(0, 1e-3, scores.shape[1])  # no two are equal
    for one in ({"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1.0}):
        dice = [torch.Generator().manual_seed(seed) for _ in scores]
        chosen = choose(scores, [[0], [0]], Sampling(temperature=1.0, **one), dice)
        assert torch.equal(chosen, scores.argmax(-1))


@pytest.mark.parametrize("temperature", [1e-6, 1e6])
def test_extreme_temperatures_stay_numbers(temperature: float) -> None:
    scores = torch.tensor([[1e4, -1e4, 1e4 - 1]])
    warped = warp(scores, Sampling(temperature=temperature, top_p=0.9, min_p=0.1))
    assert not warped.isnan().any() and not warped.isposinf().any()
    assert warped[0, 0] > -math.inf


def test_nothing_left_to_choose_is_refused() -> None:
    tokens, sampling = [[0, 1, 2], [0, 1, 1]], Sampling(no_repeat_ngram=1)
    dice = [torch.Generator()] * 2
    assert choose(torch.zeros(1, 3), tokens[1:], sampling, dice[:1]).tolist() == [2]
    with pytest.raises(ConfigError, match="no_repeat_ngram=1 leaves no token to go on with"):
        choose(torch.zeros(2, 3), tokens, sampling, dice)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"temperature": -0.1}, "temperature=-0.1 must be 0, which takes the likeliest token, or at least"),
    ({"temperature": 1e-9}, "temperature=1e-09 must be 0"),
    ({"temperature": math.nan}, "temperature=nan must be a number"),
    ({"temperature": math.inf}, "temperature=inf must be a number"),
    ({"temperature": "warm"}, "temperature='warm' must be a number"),
    ({"temperature": True}, "temperature=True must be a number"),
    ({"temperature": 1.0, "top_k": 0}, "top_k=0 must be a whole number, 1 or more"),
    ({"temperature": 1.0, "top_k": 1.5}, "top_k=1.5 must be a whole number"),
    ({"temperature": 1.0, "top_p": 0.0}, "top_p=0.0 must be above 0 and at most 1"),
    ({"temperature": 1.0, "top_p": 1.1}, "top_p=1.1 must be above 0 and at most 1"),
    ({"temperature": 1.0, "top_p": "most"}, "top_p='most' must be a number"),
    ({"temperature": 1.0, "min_p": -1}, "min_p=-1 must be above 0 and at most 1"),
    ({"top_k": 5}, "give a temperature above 0"),
    ({"top_p": 0.5}, "give a temperature above 0"),
    ({"min_p": 0.5}, "give a temperature above 0"),
    ({"repetition_penalty": 0.0}, "repetition_penalty=0.0 must be above 0"),
    ({"repetition_penalty": math.inf}, "repetition_penalty=inf must be a number"),
    ({"no_repeat_ngram": -1}, "no_repeat_ngram=-1 must be a whole number, 0 or more"),
    ({"seed": -1}, "seed=-1 must be a whole number, 0 or more"),
    ({"seed": 1.0}, "seed=1.0 must be a whole number"),
    ({"seed": 2**63}, "is too large; choose one below"),
]


@pytest.mark.parametrize(("settings", "says"), WRONG, ids=[f"{settings}" for settings, _ in WRONG])
def test_values_that_cannot_work(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Sampling(**settings)
