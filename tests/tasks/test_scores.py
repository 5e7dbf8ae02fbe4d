"""What is made of log-probabilities, and that the two kinds of them never stand in one column."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import InputError, UnsupportedError
from sightline.tasks.scores import PERPLEXITIES, Kind, Rates, Score, Scores, tabulate

KINDS: tuple[Kind, ...] = ("log-likelihood", "pseudo-log-likelihood")


def made(kind: Kind = "log-likelihood", text: str = "a b", log_probs: tuple[float | None, ...] = (-1.0, -3.0)) -> Score:
    return Score(
        kind=kind,
        text=text,
        ids=(1, 2),
        tokens=("a", " b"),
        log_probs=log_probs,
        words=len(text.split()),
        bytes=len(text.encode()),
    )


def many(kind: Kind, *texts: str) -> Scores:
    rows = tuple(made(kind, text) for text in texts)
    return Scores(kind=kind, method="causal", within_word=None, before="<s>", rows=rows)


@given(nats=st.floats(0.01, 600), tokens=st.integers(1, 99), words=st.integers(1, 99), size=st.integers(1, 999))
def test_rates_of_every_unit_say_the_same_thing(nats: float, tokens: int, words: int, size: int) -> None:
    rates = Rates(kind="log-likelihood", nats=nats, tokens=tokens, words=words, bytes=size)
    for unit, count in (("token", tokens), ("word", words), ("byte", size)):
        assert rates.per(unit) * count == pytest.approx(nats)
        assert rates.per(unit, bits=True) * math.log(2) == pytest.approx(rates.per(unit))
    assert math.log(rates.perplexity()) * tokens == pytest.approx(nats)
    assert math.log(rates.perplexity("word")) * words == pytest.approx(nats)


def test_a_token_without_a_score_counts_nowhere() -> None:
    whole, part = made(), made(log_probs=(None, -3.0))
    assert (whole.total, part.total) == (-4.0, -3.0)
    assert (whole.rates.tokens, part.rates.tokens) == (2, 1)


def test_each_kind_has_a_perplexity_of_its_own_name() -> None:
    for kind, other in (KINDS, KINDS[::-1]):
        rates, record = made(kind).rates, made(kind).record()
        own = {"log-likelihood": rates.perplexity, "pseudo-log-likelihood": rates.pseudo_perplexity}
        assert own[kind]() == pytest.approx(math.exp(2))
        with pytest.raises(UnsupportedError, match="another thing"):
            own[other]()
        for name in (kind, PERPLEXITIES[kind]):
            assert name.replace("-", "_") in record
        for name in (other, PERPLEXITIES[other]):
            assert name.replace("-", "_") not in record


def test_the_two_kinds_are_neither_compared_nor_put_side_by_side() -> None:
    one, other = made(KINDS[0]), made(KINDS[1])
    with pytest.raises(UnsupportedError, match="not comparable"):
        one > other  # noqa: B015
    with pytest.raises(UnsupportedError, match="not comparable"):
        max([one, other])
    with pytest.raises(UnsupportedError, match="not comparable"):
        tabulate({"gpt2": many(KINDS[0], "a b"), "bert": many(KINDS[1], "a b")})
    assert made(log_probs=(-1.0, -1.0)) > made()
    assert not made() > made()


def test_models_of_one_kind_stand_side_by_side() -> None:
    table = tabulate({"one": many(KINDS[1], "a b", "c"), "two": many(KINDS[1], "a b", "c")})
    assert table.splitlines() == [
        "one\ttwo\ttext (pseudo-log-likelihood in nats)",
        "-4.0000\t-4.0000\ta b",
        "-4.0000\t-4.0000\tc",
    ]
    with pytest.raises(InputError, match="different texts"):
        tabulate({"one": many(KINDS[0], "a b"), "two": many(KINDS[0], "a c")})
    with pytest.raises(InputError, match="no scores"):
        tabulate({})


def test_all_texts_together_are_their_sums() -> None:
    rates = many("log-likelihood", "a b", "c").rates
    assert (rates.nats, rates.tokens, rates.words, rates.bytes) == (8.0, 4, 3, 4)


def test_a_record_is_json_whatever_the_numbers() -> None:
    nothing = Score(
        kind="log-likelihood", text="a", ids=(1,), tokens=("a",), log_probs=(None,), words=0, bytes=0
    ).record()
    assert nothing["nats_per_token"] is None and nothing["perplexity"] is None
    hopeless = made(log_probs=(-1e4, -1e4)).record()
    assert hopeless["perplexity"] is None and hopeless["nats_per_token"] == 1e4
    for record in (nothing, hopeless):
        json.dumps(record, allow_nan=False)


def test_what_was_measured_is_said() -> None:
    assert many("log-likelihood", "a").how == "log-likelihood, from left to right, after <s>"
    masked = Scores(kind="pseudo-log-likelihood", method="pseudo", within_word="l2r", before="", rows=())
    assert masked.how == ("pseudo-log-likelihood, each token from all others, words from left to right, after nothing")
