"""Pairs of a corpus: whose texts they are, how often the second follows, and that a step is a pure function.

Every document here has tokens of its own, one after the other, so that a token says where it is from.
"""

import copy

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models

from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.objectives.masked import Masked
from sightline.objectives.next_sentence import ANOTHER, FOLLOWS, NextSentence, Pairs
from sightline.text.corpus import Documents, documents_of
from sightline.text.learn import BERT_ORDER, learn_tokenizer
from sightline.text.pipelines import BERT_TOKENS, bert_pipeline
from sightline.text.tokenizer import Tokenizer
from sightline.training.packed import Stage
from sightline.training.pairs import PairSteps, next_sentence, sentences_from, shortened

COUNT, LONGEST = 40, 60
CLS, SEP = 2, 3


def _tokenizer() -> Tokenizer:
    """Tokens of COUNT documents, LONGEST of each; about every sixth ends a sentence."""
    random = numpy.random.default_rng(0)
    stops = numpy.where(random.random(COUNT * LONGEST) < 1 / 6, ".", "")
    tokens = [f"w{number}{stop}" for number, stop in enumerate(stops)]
    vocabulary = {token: id for id, token in enumerate([*BERT_ORDER, *tokens])}
    return Tokenizer(
        bert_pipeline(models.WordPiece(vocabulary, unk_token="[UNK]"), BERT_TOKENS, lowercase=True),
        names=BERT_TOKENS,
        makes_types=True,
    )


TOKENIZER = _tokenizer()
ENDS = numpy.array([TOKENIZER.token(id).endswith(".") for id in range(len(TOKENIZER))])


def corpus(shortest: int = 1, *, ends: bool = True) -> Documents:
    random = numpy.random.default_rng(1)
    made = []
    for number in range(COUNT):
        text = list(range(5 + number * LONGEST, 5 + number * LONGEST + int(random.integers(shortest, LONGEST + 1))))
        made.append([CLS, *text, SEP] if ends else text)
    return documents_of(made)


DOCUMENTS = corpus()


def steps(count: int = 40, rows: int = 16, tokens: int = 32, **settings: object) -> PairSteps:
    given = {"stages": [Stage(steps=count, rows=rows, tokens=tokens)], **settings}
    return PairSteps(DOCUMENTS, NextSentence(), TOKENIZER, **given)


def texts_of(pairs: Pairs) -> list[tuple[list[int], list[int], int]]:
    """A and B of each row, without what stands between, and whether B follows; the layout is checked."""
    found = []
    for ids, types, length, follows in zip(pairs.ids, pairs.types, pairs.lengths, pairs.follows, strict=True):
        row = ids[:length].tolist()
        assert row[0] == CLS and row[-1] == SEP and not ids[length:].any() and not types[length:].any()
        middle = row.index(SEP)
        assert types[:length].tolist() == [0] * (middle + 1) + [1] * (len(row) - middle - 1)
        found.append((row[1:middle], row[middle + 1 : -1], int(follows)))
    return found


def of(id: int) -> tuple[int, int]:
    """Which document a token is of, and where it stands in it."""
    return divmod(id - 5, LONGEST)


@pytest.mark.parametrize("short", [0.0, 0.5])
@pytest.mark.parametrize("ends", [True, False])
def test_what_pairs_are_made_of(short: float, ends: bool) -> None:
    held = PairSteps(
        corpus(ends=ends), NextSentence(), TOKENIZER, stages=[Stage(steps=30, rows=16, tokens=32)], short=short
    )
    follow = []
    for step in range(len(held)):
        for first, second, label in texts_of(held.rows(step)):
            assert first and second and len(first) + len(second) + 3 <= 32
            for text in (first, second):
                assert text == list(range(text[0], text[0] + len(text)))  # a run of one document
                assert of(text[0])[0] == of(text[-1])[0]
            (one, _), (other, at) = of(first[0]), of(second[0])
            assert (one == other) == (label == FOLLOWS)
            if label == FOLLOWS:
                assert at > of(first[-1])[1]
            follow.append(label == FOLLOWS)
    assert abs(sum(follow) - len(follow) / 2) < 5 * (len(follow) / 4) ** 0.5 + 0.05 * len(follow)


def test_texts_begin_and_end_with_sentences() -> None:
    """Where nothing had to be cut: A and B of one document touch at the end of a sentence."""
    held, seen = steps(), 0
    for step in range(len(held)):
        for first, second, label in texts_of(held.rows(step)):
            document, begin = of(first[0])
            text = DOCUMENTS[document][1:-1].astype(int)
            if label == FOLLOWS and len(first) + len(second) < 29 and ENDS[text[begin : of(second[-1])[1]]].any():
                assert begin in (0, len(text) - 2) or ENDS[first[0] - 1] or begin % 29 == 0
                assert second[0] == first[-1] + 1 and ENDS[first[-1]]
                assert ENDS[second[-1]] or of(second[-1])[1] == len(text) - 1
                seen += 1
    assert seen > 50


def test_a_step_is_a_pure_function_of_its_number() -> None:
    one, other = steps(12, seed=3), steps(12, seed=3)
    for step in (7, 0, 11, 3, 7):
        a, b = one[step], other[step]
        assert all(torch.equal(a[0].inputs[name], value) for name, value in b[0].inputs.items())
        assert torch.equal(a[0].targets, b[0].targets) and a[0].rows == b[0].rows
    assert not torch.equal(one.rows(0).ids[:, :5], steps(12, seed=4).rows(0).ids[:, :5])
    assert torch.equal(one[-1][0].targets, one[11][0].targets)
    with pytest.raises(IndexError):
        one[12]


def test_a_pass_reads_every_piece_once() -> None:
    """Pieces of all documents that have a text on each side of a cut; and then again, in another order."""
    pieces = sum(-(-(length - 2) // 29) for length in DOCUMENTS.lengths.tolist() if length >= 4)
    held = steps(2 * pieces, rows=1)
    for turn in range(2):
        assert sorted(held._order(0, turn, pieces).tolist()) == list(range(pieces))
    firsts = [of(texts_of(held.rows(step))[0][0][0])[0] for step in range(2 * pieces)]
    assert [held.rows(step).numbers for step in range(2 * pieces)] == [(first + 1,) for first in firsts]
    assert firsts[:pieces] != firsts[pieces:] and sorted(firsts[:pieces]) == sorted(firsts[pieces:])


def test_stages_and_micro_batches() -> None:
    stages = [Stage(steps=3, rows=6, tokens=16), Stage(steps=2, rows=4, tokens=48)]
    whole, cut = (steps(stages=stages, micro_rows=rows) for rows in (None, 4))
    assert len(whole) == 5
    assert [len(batch.rows) for step in range(5) for batch in whole[step]] == [6, 6, 6, 4, 4]
    assert [[len(batch.rows) for batch in cut[step]] for step in (0, 4)] == [[4, 2], [4]]
    assert (
        max(batch.inputs["input_ids"].shape[1] for batch in whole[1]) <= 16 < whole[4][0].inputs["input_ids"].shape[1]
    )
    (one,), parts = whole[2], cut[2]
    for name, value in one.inputs.items():
        assert torch.equal(torch.cat([part.inputs[name] for part in parts]), value)
    assert torch.equal(torch.cat([part.targets for part in parts]), one.targets)


def test_short_rows_are_met() -> None:
    def lengths(short: float) -> list[int]:
        held = PairSteps(
            corpus(50), NextSentence(), TOKENIZER, stages=[Stage(steps=20, rows=16, tokens=32)], short=short
        )
        return [length for step in range(20) for length in held.rows(step).lengths.tolist()]

    usual, short = lengths(0.0), lengths(1.0)
    assert numpy.mean(usual) > numpy.mean(short) + 4


def test_what_changes_what_is_read_changes_the_fingerprint() -> None:
    same, other = steps(), [steps(seed=1), steps(short=0.2), steps(tokens=33), steps(rows=8)]
    other.append(PairSteps(DOCUMENTS, NextSentence(masking=Masked(rate=0.2)), TOKENIZER, stages=same.stages))
    other.append(PairSteps(corpus(2), NextSentence(), TOKENIZER, stages=same.stages))
    assert same.fingerprint == steps().fingerprint == steps(micro_rows=4).fingerprint
    assert len({each.fingerprint for each in [same, *other]}) == 7


# The parts


@given(
    first=st.integers(1, 30), second=st.integers(1, 30), most=st.integers(2, 40), seed=st.integers(0, 9)
)  # fmt: skip
def test_texts_are_shortened_from_the_longer(first: int, second: int, most: int, seed: int) -> None:
    """As one token at a time is taken, of B where both are as long (Devlin et al.'s truncate_seq_pair)."""
    one, other = shortened(numpy.arange(first), numpy.arange(100, 100 + second), most, numpy.random.default_rng(seed))
    while first + second > most:
        if first > second:
            first -= 1
        else:
            second -= 1
    assert (len(one), len(other)) == (first, second)
    assert (numpy.diff(one) == 1).all() and (numpy.diff(other) == 1).all()


def test_both_ends_are_shortened() -> None:
    cut = [shortened(numpy.arange(9), numpy.arange(2), 6, numpy.random.default_rng(seed))[0] for seed in range(200)]
    assert {int(text[0]) for text in cut} == set(range(6))


@given(text=st.lists(st.booleans(), min_size=1, max_size=30), at=st.integers(0, 29), reach=st.integers(1, 30))
def test_where_the_next_sentence_begins(text: list[bool], at: int, reach: int) -> None:
    ids, ends, at = numpy.array(text, dtype=int), numpy.array([False, True]), min(at, len(text) - 1)
    begins = [place for place in range(at, min(at + reach + 1, len(text))) if place == 0 or text[place - 1]]
    assert next_sentence(ids, ends, at, reach) == (begins or [at])[0]


@given(
    text=st.lists(st.booleans(), min_size=1, max_size=30), begin=st.integers(0, 29), wanted=st.integers(1, 20),
    more=st.integers(0, 20),
)  # fmt: skip
def test_how_far_whole_sentences_go(text: list[bool], begin: int, wanted: int, more: int) -> None:
    ids, ends, begin, most = (
        numpy.array(text, dtype=int),
        numpy.array([False, True]),
        min(begin, len(text) - 1),
        wanted + more,
    )
    stop, cuts = sentences_from(ids, ends, begin, wanted, most)
    far = [place for place in range(begin + wanted, min(begin + most, len(text)) + 1) if text[place - 1]]
    assert stop == (far or [min(begin + most, len(text))])[0]
    assert cuts.tolist() == [place for place in range(begin + 1, stop) if text[place - 1]]


# What cannot be


def test_wrong_settings_are_named() -> None:
    for wrong in ({"short": 1.5}, {"seed": -1}, {"micro_rows": 0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            steps(**wrong)
    for stages in ([], [Stage(steps=1, rows=1, tokens=4)]):
        with pytest.raises(ConfigError, match="stages need"):
            steps(stages=stages)


def test_corpora_and_tokenizers_that_give_no_pairs() -> None:
    with pytest.raises(InputError, match="two documents"):
        PairSteps(
            documents_of([[2, 9, 9, 3], [2, 9, 3]]),
            NextSentence(),
            TOKENIZER,
            stages=[Stage(steps=1, rows=1, tokens=9)],
        )
    empty = PairSteps(
        documents_of([[2, 2, 3, 3]] * 2), NextSentence(), TOKENIZER, stages=[Stage(steps=1, rows=1, tokens=9)]
    )
    with pytest.raises(InputError, match="opens and closes a text"):
        empty[0]
    gpt2 = learn_tokenizer(["some text."], kind="bytelevel-bpe", vocabulary=257)
    with pytest.raises(UnsupportedError, match=r"\[CLS\] and \[SEP\]"):
        PairSteps(DOCUMENTS, NextSentence(), gpt2, stages=[Stage(steps=1, rows=1, tokens=9)])


def test_a_document_of_nothing_but_unknown_words_is_a_text() -> None:
    """As one in another script is, to a tokenizer that never met it."""
    unknown = TOKENIZER.special.unk_id
    some = documents_of([[CLS, unknown, unknown, unknown, SEP], [CLS, 9, 10, 11, SEP]])
    made = PairSteps(some, NextSentence(), TOKENIZER, stages=[Stage(steps=20, rows=4, tokens=9)])
    seen = {tuple(first + second) for step in range(20) for first, second, _ in texts_of(made.rows(step))}
    assert (unknown,) * 3 in seen and all(len(batch.targets) for step in range(20) for batch in made[step])


def test_a_text_without_sentences_still_has_halves() -> None:
    silent = copy.copy(steps(rows=64))
    silent._ends = numpy.zeros_like(ENDS)
    labels = torch.cat([silent.rows(step).follows for step in range(10)])
    assert abs(int((labels == ANOTHER).sum()) - 320) < 5 * 160**0.5 + 32
