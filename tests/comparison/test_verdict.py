"""The verdict: who wins and who must not, over many contenders whose truth is known; and what the sentences say."""

import re

import numpy
import pytest

from comparison.truth import answers, effects
from sightline.comparison.power import power
from sightline.comparison.verdict import Entry, judge, ranked
from sightline.comparison.wording import about
from sightline.errors import InputError


def entry(
    name: str, test: object, *, dev: float = 0.8, loss: float = 0.5, size: int = 10, seeded: bool = True
) -> Entry:
    return Entry(name=name, dev=dev, dev_loss=loss, parameters=size, test=numpy.asarray(test), seeded=seeded)


def share(right: int, rows: int = 400, seeds: int = 1) -> numpy.ndarray:
    """Exactly so many right answers, the first ones, by each seed."""
    return numpy.tile(numpy.arange(rows) < right, (seeds, 1))


# Simulated: the truth is known, so a winner can be a false one


def test_of_200_equal_pairs_at_most_18_have_a_winner() -> None:
    random = numpy.random.default_rng(0)
    winners = 0
    for _ in range(200):
        rows, seeds = int(random.integers(50, 1001)), int(random.integers(1, 6))
        accuracy, spread = random.uniform(0.6, 0.95), random.choice([0.0, 0.03, 0.06])
        entries = [
            entry(
                name,
                answers(accuracy, seeds, rows, random, spread=spread),
                dev=answers(accuracy, seeds, 100, random, spread=spread).mean(),
            )
            for name in "ab"
        ]
        winners += judge(entries, draws=20).winner is not None
    assert winners <= 18


@pytest.mark.parametrize(("rows", "seeds", "spread"), [(200, 1, 0.0), (300, 3, 0.0), (400, 3, 0.05), (1000, 5, 0.1)])
def test_of_200_unequal_pairs_as_many_have_a_winner_as_computed(rows: int, seeds: int, spread: float) -> None:
    random = numpy.random.default_rng(1)
    winners = 0
    for _ in range(200):
        ease = random.standard_normal(rows)
        better, worse = (answers(accuracy, seeds, rows, random, spread=spread, ease=ease) for accuracy in (0.85, 0.8))
        verdict = judge([entry("better", better, dev=0.85), entry("worse", worse, dev=0.8)], draws=20)
        assert verdict.winner in ("better", None)
        winners += verdict.winner == "better"
    computed = power(0.05, rows=rows, **effects((0.85, 0.8), (seeds, seeds), spread=spread))
    assert winners / 200 == pytest.approx(computed, abs=0.1)


def test_among_four_equals_a_winner_is_rarer_still() -> None:
    random = numpy.random.default_rng(2)
    winners = 0
    for _ in range(60):
        entries = [entry(name, answers(0.8, 2, 300, random), dev=random.random()) for name in "abcd"]
        winners += judge(entries, draws=20).winner is not None
    assert winners <= 2


# Who wins


def test_the_best_on_dev_wins_where_test_confirms_it() -> None:
    verdict = judge(
        [
            entry("majority", share(200), dev=0.5, seeded=False),
            entry("encoder", share(350, seeds=3), dev=0.9),
            entry("tfidf", share(310), dev=0.8, seeded=False),
        ]
    )
    assert (verdict.best, verdict.runner_up, verdict.winner) == ("encoder", "tfidf", "encoder")
    assert re.fullmatch(
        r"encoder beats tfidf by 10\.0 ± \d\.\d points of accuracy on 400 test rows \(3 seeds\)\.", verdict.text
    )
    assert [(each.a, each.b) for each in verdict.comparisons] == [
        ("encoder", "tfidf"),
        ("encoder", "majority"),
        ("tfidf", "majority"),
    ]
    assert all(each.different and each.holm_p >= each.p for each in verdict.comparisons)
    assert all(each.mcnemar_p < 1e-6 and each.bootstrap_p < 0.01 for each in verdict.comparisons)
    low, high = verdict.intervals["encoder"]
    assert low < 350 / 400 < high


def test_nobody_wins_where_rows_cannot_show_it() -> None:
    random = numpy.random.default_rng(4)
    a, b = share(82, 100).copy(), share(80, 100)
    a[0] = random.permutation(a[0])
    verdict = judge([entry("encoder", a, dev=0.9), entry("tfidf", b, seeded=False)])
    assert verdict.winner is None
    assert verdict.text.startswith(
        "No difference that these 100 rows can show between encoder and tfidf. Measured: +2.0 points "
    )
    found = re.search(
        r"95% interval (-\d+\.\d) to \+(\d+\.\d)\); about ([\d,]+) test rows would be needed\. One seed", verdict.text
    )
    assert found
    only = verdict.comparisons[0]
    assert only.rows_needed is not None
    assert int(found[3].replace(",", "")) >= only.rows_needed > 100
    assert float(found[1]) == round(100 * only.low, 1)


def test_the_best_on_test_does_not_win_for_that() -> None:
    """dev chose another, and that choice was wrong: said plainly, and nobody wins."""
    verdict = judge([entry("encoder", share(300, seeds=3), dev=0.9), entry("tfidf", share(350), seeded=False)])
    assert (verdict.best, verdict.winner) == ("encoder", None)
    assert verdict.text.startswith(
        "encoder was best on the dev rows, but on 400 test rows (3 seeds) tfidf beats encoder by 12.5"
    )


def test_a_third_contender_that_comes_near_stands_between_the_best_and_a_win() -> None:
    verdict = judge(
        [
            entry("encoder", share(350, seeds=3), dev=0.9),
            entry("tfidf", share(300), dev=0.85, seeded=False),
            entry("decoder", numpy.roll(share(351, seeds=3), 20, axis=1), dev=0.8),
        ]
    )
    assert (verdict.best, verdict.runner_up, verdict.winner) == ("encoder", "tfidf", None)
    assert verdict.text.startswith("encoder beats tfidf by 12.5 ± ")
    assert "these 400 rows can show between encoder and decoder. Measured: -0.2 points (95%" in verdict.text


def test_a_third_contender_that_beats_the_best_is_named() -> None:
    verdict = judge(
        [
            entry("encoder", share(330, seeds=3), dev=0.9),
            entry("tfidf", share(300), dev=0.85, seeded=False),
            entry("decoder", share(380, seeds=3), dev=0.8),
        ]
    )
    assert verdict.winner is None
    assert "decoder beats encoder by 12.5" in verdict.text


def test_what_more_contenders_cost_is_said() -> None:
    """A difference that would count alone and does not among many."""
    row = numpy.arange(400)
    near = (row >= 10) & (row < 363)  # wrong on 10 rows that tfidf gets right, right on 23 that it gets wrong
    others = {f"other {i}": numpy.roll(share(338), 7 * i + 3, axis=1) for i in range(3)}
    alone = judge([entry("encoder", near, dev=0.9), entry("tfidf", share(340), dev=0.89)])
    assert alone.winner == "encoder"
    many = judge(
        [
            entry("encoder", near, dev=0.9),
            entry("tfidf", share(340), dev=0.89),
            *(entry(name, test, dev=0.1) for name, test in others.items()),
        ]
    )
    pair = many.comparisons[0]
    assert pair.p == alone.comparisons[0].p < 0.05 <= pair.holm_p
    assert many.winner is None
    assert re.search(r"\), but p = 0\.\d\d among 10 comparisons;", many.text)
    assert pair.rows_needed > alone.comparisons[0].rows_needed


def test_more_seeds_are_asked_for_where_rows_would_not_help() -> None:
    row = numpy.arange(400) % 20
    verdict = judge([entry("a", [row > 0, row > 4, row > 8], dev=0.9), entry("b", [row > 5] * 3)])
    assert verdict.text.endswith("because training runs differ too much: more seeds are needed.")
    assert verdict.comparisons[0].rows_needed is None


def test_equals_are_called_equal() -> None:
    verdict = judge([entry("a", share(300, seeds=3)), entry("b", share(300, seeds=3))])
    assert verdict.winner is None
    assert ": 0.0 points (" in verdict.text
    assert verdict.text.endswith("both are right equally often.")


def test_one_seed_is_said_to_be_one() -> None:
    verdict = judge([entry("encoder", share(350), dev=0.9), entry("tfidf", share(300), seeded=False)])
    assert verdict.text.endswith(
        "One seed of encoder: how much another training run would differ is not counted in this."
    )
    quiet = judge([entry("svm", share(350), dev=0.9, seeded=False), entry("tfidf", share(300), seeded=False)])
    assert "seed" not in quiet.text


def test_one_contender_has_nobody_to_beat() -> None:
    verdict = judge([entry("tfidf", share(300), seeded=False)])
    assert (verdict.best, verdict.runner_up, verdict.winner, verdict.comparisons) == ("tfidf", None, None, ())
    assert verdict.text == (
        "tfidf has 75.0% accuracy (95% interval 70.5% to 79.0%) on 400 test rows;"
        " there is no other contender to compare it with."
    )


def test_no_contender_leaves_nothing_to_say() -> None:
    verdict = judge([])
    assert (verdict.best, verdict.winner, verdict.intervals) == (None, None, {})
    assert verdict.text == "No contender finished, so there is nothing to compare."


def test_numbers_are_judged_by_their_correlation() -> None:
    random = numpy.random.default_rng(5)
    truth = random.normal(size=300)
    entries = [
        entry("encoder", truth + 0.5 * random.normal(size=(3, 300)), dev=0.9),
        entry("tfidf", truth + random.normal(size=(1, 300)), dev=0.7, seeded=False),
        entry("majority", numpy.zeros((1, 300)), dev=0.0, seeded=False),
    ]
    verdict = judge(entries, truth)
    assert verdict.winner == "encoder"
    assert re.fullmatch(
        r"encoder beats tfidf by 0\.\d{3} ± 0\.\d{3} in Pearson's correlation on 300 test rows \(3 seeds\)\.",
        verdict.text,
    )
    assert verdict.comparisons[0].mcnemar_p is None
    assert verdict.intervals["majority"] == (0.0, 0.0)
    close = judge([entries[0], entry("twin", entries[0].test + 0.1 * random.normal(size=(3, 300)), dev=0.1)], truth)
    assert re.search(r": [+-]?0\.\d{3} \(95% interval -0\.\d{3} to \+0\.\d{3}\)", close.text)


# Which contender is the candidate


def test_dev_ranks_by_score_then_loss_then_size_then_name() -> None:
    entries = [
        entry("large", share(1), dev=0.8, loss=0.4, size=100),
        entry("small", share(1), dev=0.8, loss=0.4, size=10),
        entry("unsure", share(1), dev=0.8, loss=0.6, size=1),
        entry("best", share(1), dev=0.9, loss=0.9, size=1000),
        entry("also large", share(1), dev=0.8, loss=0.4, size=100),
    ]
    assert [each.name for each in ranked(entries)] == ["best", "small", "also large", "large", "unsure"]


def test_the_order_in_which_contenders_come_means_nothing() -> None:
    random = numpy.random.default_rng(6)
    entries = [entry(name, answers(0.8, 3, 200, random), dev=0.8) for name in "abcd"]
    assert judge(entries, draws=100) == judge(entries[::-1], draws=100)


def test_a_pair_reads_from_either_side() -> None:
    pair = judge([entry("a", share(300)), entry("b", share(280))]).comparisons[0]
    turned = pair.seen_from("b")
    assert (turned.a, turned.b, turned.difference) == ("b", "a", -pair.difference)
    assert (turned.low, turned.high) == (-pair.high, -pair.low)
    assert turned.seen_from("a") == pair
    with pytest.raises(InputError, match="c is not of the pair"):
        pair.seen_from("c")


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="two contenders have one name: a, a"):
        judge([entry("a", share(1)), entry("a", share(1))])
    with pytest.raises(InputError, match=r"judged on \[300, 400\] rows"):
        judge([entry("a", share(1)), entry("b", share(1, 300))])


@pytest.mark.parametrize(("rows", "said"), [(7, "7"), (42, "42"), (1851, "1,900"), (100_001, "110,000")])
def test_rows_are_said_in_two_digits_and_never_too_few(rows: int, said: str) -> None:
    assert about(rows) == said
