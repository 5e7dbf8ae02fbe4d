"""The reviews that ship inside: real sentences, no templates, neither trivial nor hopeless."""

import csv
import re
from collections import Counter
from importlib.resources import files
from itertools import combinations

import pytest

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    text = files("sightline").joinpath("data", "reviews.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def words(text: str) -> list[str]:
    return re.findall(r"[\w'’]+", text.lower())


def test_about_a_thousand_in_two_equal_classes(rows: Rows) -> None:
    counts = Counter(row["label"] for row in rows)
    assert set(counts) == {"positive", "negative"}
    assert 1000 <= len(rows) <= 1100 and counts["positive"] == counts["negative"]
    assert all(3 <= len(words(row["text"])) <= 60 for row in rows)


def test_no_phrase_comes_again_and_again(rows: Rows) -> None:
    """No five words in a row stand in more than three reviews."""
    grams: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        said = words(row["text"])
        grams.update({tuple(said[start : start + 5]) for start in range(len(said) - 4)})
    assert max(grams.values()) <= 3, grams.most_common(3)


def test_no_two_are_nearly_the_same(rows: Rows) -> None:
    sets = [frozenset(words(row["text"])) for row in rows]
    alike = [
        (i, j)
        for (i, a), (j, b) in combinations(enumerate(sets), 2)
        if 2 * min(len(a), len(b)) > max(len(a), len(b)) and len(a & b) > 0.5 * len(a | b)
    ]
    assert not alike


def test_openings_differ(rows: Rows) -> None:
    assert max(Counter(tuple(words(row["text"])[:2]) for row in rows).values()) <= 15


def test_a_bag_of_words_gets_most_but_not_all(rows: Rows) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10.0))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    texts, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    score = cross_val_score(model, texts, labels, cv=folds).mean()
    assert 0.70 <= score <= 0.92, score
