"""Baselines: scikit-learn's own pipeline as the reference, files that come back bit for bit, damage that is named."""

import json
import os
from pathlib import Path

import numpy
import pytest
from scipy import stats
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from sightline.errors import CheckpointError, ConfigError, InputError
from sightline.tasks.baseline import Majority, Tfidf, load_baseline
from sightline.tasks.baseline_files import JSON, NUMBERS
from sightline.text.labelled import Examples

WORDS = "I not a the food place staff great awful slow warm cold never again best worst C+".split()
STRANGE = ["", "   ", "!!! ???", "zzz qqq", "GREAT food", "x" * 5000, "naïve café 東京", "never " * 50]


def examples(
    rows: int = 120, labels: tuple[str, ...] | None = ("bad", "good"), *, paired: bool = False, seed: int = 0
) -> Examples:
    """Texts in which some words go with a label, or with a number."""
    random = numpy.random.default_rng(seed)
    count = 1 if labels is None else len(labels)
    targets = random.normal(size=rows) if labels is None else random.integers(count, size=rows)

    def text(target: float) -> str:
        said = [str(word) for word in random.choice(WORDS, size=8)]
        return " ".join([*said, WORDS[7 + round(abs(float(target))) % 8]])

    texts = [text(target) for target in targets]
    pairs = [text(target) for target in targets] if paired else None
    return Examples(texts=texts, pairs=pairs, targets=targets, labels=labels, rows=list(range(1, rows + 1)))


KINDS = {
    "majority": lambda: Majority.fit(examples(labels=("a", "b", "c"))),
    "majority of numbers": lambda: Majority.fit(examples(labels=None)),
    "majority of pairs": lambda: Majority.fit(examples(paired=True)),
    "two classes": lambda: Tfidf.fit(examples()),
    "five classes": lambda: Tfidf.fit(examples(labels=tuple("abcde")), C=1.0, ngrams=1),
    "characters": lambda: Tfidf.fit(examples(), analyzer="char", ngrams=4),
    "numbers": lambda: Tfidf.fit(examples(labels=None)),
    "pairs": lambda: Tfidf.fit(examples(paired=True)),
    "numbers of pairs": lambda: Tfidf.fit(examples(labels=None, paired=True)),
}


@pytest.fixture(params=KINDS)
def baseline(request: pytest.FixtureRequest) -> Majority | Tfidf:
    """Each kind, fitted."""
    return KINDS[request.param]()


@pytest.mark.parametrize("labels", [("bad", "good"), tuple("abcde")])
@pytest.mark.parametrize("analyzer", ["word", "char"])
def test_classes_agree_with_scikit_learns_pipeline(labels: tuple[str, ...], analyzer: str) -> None:
    rows = examples(labels=labels)
    if analyzer == "word":
        vectorizer = TfidfVectorizer(ngram_range=(1, 3), sublinear_tf=True, token_pattern=r"\b\w+\b")
    else:
        vectorizer = TfidfVectorizer(ngram_range=(2, 3), sublinear_tf=True, analyzer="char_wb")
    theirs = make_pipeline(vectorizer, LogisticRegression(C=3.0, max_iter=1000)).fit(rows.texts, rows.targets)
    ours = Tfidf.fit(rows, C=3.0, ngrams=3, analyzer=analyzer)
    texts = [*rows.texts, *STRANGE]
    numpy.testing.assert_allclose(ours.predict(texts), theirs.predict_proba(texts), rtol=0, atol=1e-12)
    assert ours.converged
    logistic = theirs[-1]
    assert ours.parameters == logistic.coef_.size + logistic.intercept_.size + theirs[0].idf_.size


def test_numbers_agree_with_scikit_learns_ridge() -> None:
    rows = examples(labels=None)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\b\w+\b")
    dense = vectorizer.fit_transform(rows.texts).toarray()  # solved exactly, where ours iterates
    theirs = Ridge(alpha=0.5, solver="cholesky").fit(dense, rows.targets)
    ours = Tfidf.fit(rows, C=2.0)
    numpy.testing.assert_allclose(ours.predict(rows.texts), theirs.predict(dense), rtol=0, atol=1e-6)


def test_majority_gives_the_shares_or_the_mean() -> None:
    rows = examples(labels=("a", "b", "c"))
    shares = [float((rows.targets == label).mean()) for label in range(3)]
    assert Majority.fit(rows).predict(["x", ""]).tolist() == [shares, shares]
    numbers = examples(labels=None)
    assert Majority.fit(numbers).predict(["x"]) == pytest.approx([numbers.targets.mean()])
    assert Majority.fit(rows).parameters == 3


def test_what_predictions_look_like(baseline: Majority | Tfidf) -> None:
    paired = STRANGE if baseline.paired else None
    found = baseline.predict(STRANGE, paired)
    assert found.dtype == numpy.float64
    assert numpy.isfinite(found).all()
    if baseline.labels is None:
        assert found.shape == (len(STRANGE),)
    else:
        assert found.shape == (len(STRANGE), len(baseline.labels))
        assert found.sum(1) == pytest.approx(numpy.ones(len(STRANGE)))
    assert baseline.parameters > 0
    assert baseline.predict([], [] if baseline.paired else None).shape == (0, *found.shape[1:])
    # A row's prediction is its own: alone and among others.
    alone = [baseline.predict([text], [text] if baseline.paired else None)[0] for text in STRANGE]
    numpy.testing.assert_allclose(alone, found, rtol=0, atol=1e-14)


def test_loaded_predicts_what_was_saved_bit_for_bit(baseline: Majority | Tfidf, tmp_path: Path) -> None:
    baseline.save(tmp_path / "new")
    assert sorted(os.listdir(tmp_path / "new")) == [JSON, NUMBERS]
    loaded = load_baseline(tmp_path / "new")
    texts = [*examples().texts, *STRANGE]
    paired = texts[::-1] if baseline.paired else None
    assert (loaded.predict(texts, paired) == baseline.predict(texts, paired)).all()
    assert (loaded.labels, loaded.parameters, loaded.paired) == (baseline.labels, baseline.parameters, baseline.paired)
    loaded.save(tmp_path / "again")
    for name in (JSON, NUMBERS):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "new" / name).read_bytes()


def test_a_word_that_both_hold_counts_in_pairs() -> None:
    """Whether two texts are alike cannot be told from either alone."""
    random = numpy.random.default_rng(3)
    words = [f"w{i}" for i in range(40)]
    texts = [" ".join(random.choice(words, 6, replace=False)) for _ in range(400)]
    same = random.integers(2, size=400)
    pairs = [
        text if like else " ".join(random.choice(words, 6, replace=False))
        for text, like in zip(texts, same, strict=True)
    ]
    rows = Examples(texts=texts, pairs=pairs, targets=same, labels=("other", "same"), rows=list(range(400)))
    fitted = Tfidf.fit(rows.take(range(200)))
    found = fitted.predict(texts[200:], pairs[200:]).argmax(1)
    assert (found == same[200:]).mean() > 0.95
    numbers = Examples(texts=texts, pairs=pairs, targets=same.astype(float), labels=None, rows=list(range(400)))
    values = Tfidf.fit(numbers.take(range(200))).predict(texts[200:], pairs[200:])
    assert stats.pearsonr(values, same[200:]).statistic > 0.9


def test_a_label_without_rows_has_no_chance() -> None:
    rows = examples(labels=("bad", "good"))
    more = Examples(texts=rows.texts, pairs=None, targets=rows.targets * 2, labels=("a", "never", "c"), rows=rows.rows)
    fitted = Tfidf.fit(more)
    found = fitted.predict(rows.texts)
    assert (found[:, 1] == 0).all()
    numpy.testing.assert_allclose(found[:, [0, 2]], Tfidf.fit(rows).predict(rows.texts), rtol=0, atol=1e-12)


def test_memory_is_bounded_by_the_number_of_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.tasks.baseline.MOST_WEIGHTS", 50)
    assert Tfidf.fit(examples(labels=tuple("abcde"))).weights.shape == (10, 5)
    assert Tfidf.fit(examples(paired=True)).weights.shape == (3 * 8 + 1, 2)
    assert Tfidf.fit(examples(), max_features=3).weights.shape == (3, 2)


def test_a_thousand_classes_and_a_very_long_text() -> None:
    random = numpy.random.default_rng(0)
    texts = [f"word{label} " * 3 + str(random.choice(WORDS)) for label in range(1000) for _ in range(2)]
    rows = Examples(
        texts=texts,
        pairs=None,
        targets=numpy.repeat(numpy.arange(1000), 2),
        labels=tuple(map(str, range(1000))),
        rows=list(range(2000)),
    )
    fitted = Tfidf.fit(rows, ngrams=1)
    assert fitted.predict(texts[:100]).argmax(1).tolist() == [label for label in range(50) for _ in range(2)]
    assert fitted.predict(["word7 " * 100_000]).argmax() == 7


@pytest.mark.parametrize("texts", [["", " "], ["!!!", "..."]])
def test_no_words_at_all_is_a_clear_error(texts: list[str]) -> None:
    rows = Examples(texts=texts, pairs=None, targets=numpy.array([0, 1]), labels=("a", "b"), rows=[1, 2])
    with pytest.raises(InputError, match="none of the 2 texts holds a word"):
        Tfidf.fit(rows)


def test_one_label_or_no_row_is_a_clear_error() -> None:
    rows = examples(10)
    alike = Examples(texts=rows.texts, pairs=None, targets=rows.targets * 0, labels=("a", "b"), rows=rows.rows)
    with pytest.raises(InputError, match="all rows have one label"):
        Tfidf.fit(alike)
    assert Majority.fit(alike).predict(["x"]).tolist() == [[1.0, 0.0]]
    for kind in (Majority, Tfidf):
        with pytest.raises(InputError, match="no rows to learn from"):
            kind.fit(rows.take([]))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"C": 0.0}, "C=0.0 must be a number above 0"),
        ({"C": float("nan")}, "C=nan"),
        ({"ngrams": 0}, "ngrams=0 must be a whole number"),
        ({"max_features": 1.5}, "max_features=1.5"),
        ({"analyzer": "sound"}, "analyzer='sound' is neither 'word' nor 'char'"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Tfidf.fit(examples(10), **settings)  # type: ignore[arg-type]


def test_single_texts_and_pairs_are_not_confused() -> None:
    with pytest.raises(InputError, match="learned from single texts and got pairs"):
        Tfidf.fit(examples()).predict(["a"], ["b"])
    with pytest.raises(InputError, match="learned from pairs of texts and got single texts"):
        Majority.fit(examples(paired=True)).predict(["a"])
    with pytest.raises(InputError, match="2 texts and 1 second texts"):
        Tfidf.fit(examples(paired=True)).predict(["a", "b"], ["c"])


def test_fitting_twice_gives_the_same() -> None:
    first, second = Tfidf.fit(examples()), Tfidf.fit(examples())
    assert (first.weights == second.weights).all()


# Damaged and foreign folders


def change(**fields: object) -> object:
    def damage(folder: Path) -> None:
        about = json.loads((folder / JSON).read_text())
        about.update(fields)
        (folder / JSON).write_text(json.dumps(about))

    return damage


def flip(folder: Path) -> None:
    content = bytearray((folder / NUMBERS).read_bytes())
    content[-3] ^= 1
    (folder / NUMBERS).write_bytes(content)


DAMAGE = {
    "no JSON": (lambda folder: (folder / JSON).unlink(), "cannot read .*baseline.json"),
    "no numbers": (lambda folder: (folder / NUMBERS).unlink(), "cannot read .*baseline.safetensors"),
    "not JSON": (lambda folder: (folder / JSON).write_text("{"), "not valid JSON"),
    "a cut file": (lambda folder: os.truncate(folder / NUMBERS, 100), "cannot read .*baseline.safetensors"),
    "a flipped bit": (flip, "is not the file that baseline.json was written with"),
    "another format": (change(sightline_baseline=2), "is not a baseline of format 1"),
    "another kind": (change(kind="forest"), "known kind"),
    "no labels": (change(labels=[]), "labels"),
    "labels twice": (change(labels=["a", "a"]), "labels"),
    "too many labels": (change(labels=["a", "b", "c"]), "weights of shape"),
    "terms that are numbers": (change(terms=[1, 2]), "terms"),
    "too few terms": (change(terms=["one"]), "rarity of shape"),
    "pairs or not": (change(paired="yes"), "pairs"),
    "turned into pairs": (change(paired=True), "weights of shape"),
    "no settings": (change(settings=None), "settings"),
    "strange settings": (change(settings={"analyzer": "word", "ngrams": "2"}), "settings"),
    "no end": (change(converged=None), "optimizer"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named(kind: str, tmp_path: Path) -> None:
    Tfidf.fit(examples()).save(tmp_path)
    damage, said = DAMAGE[kind]
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=said) as caught:
        load_baseline(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot write"):
        Tfidf.fit(examples()).save(tmp_path / "file")


def test_real_messages_are_told_from_spam(data_folder: Path) -> None:
    path = data_folder / "classification" / "sms-spam" / "sms.tsv"
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    lines = [line.split("\t", 1) for line in path.read_text(encoding="utf-8").splitlines() if "\t" in line]
    texts, targets = [text for _, text in lines], numpy.array([kind == "spam" for kind, _ in lines], dtype=numpy.int64)
    rows = Examples(texts=texts, pairs=None, targets=targets, labels=("ham", "spam"), rows=list(range(len(texts))))
    learned, judged = rows.take(range(0, len(rows), 2)), rows.take(range(1, len(rows), 2))
    right = Tfidf.fit(learned, ngrams=1).predict(judged.texts).argmax(1) == judged.targets
    common = Majority.fit(learned).predict(judged.texts).argmax(1) == judged.targets
    assert right.mean() > 0.97 > 0.9 > common.mean()
