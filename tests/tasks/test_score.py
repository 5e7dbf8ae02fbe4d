"""Scores against every token asked alone, written out; what stands before a text; windows; and what cannot be scored.

Shapes: T tokens.
"""

import math
import warnings
from collections.abc import Callable, Sequence

import numpy
import pytest
import tokenizers
import torch

from contract.families import tiny
from decoding.models import bytelevel, masked, roberta_tokenizer, wordpiece, words
from sightline.core.mask import Bidirectional, Causal, Permuted, Prefix
from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.model.model import Model
from sightline.tasks.orders import order_log_probs
from sightline.tasks.score import score, score_batches
from sightline.text.tokenizer import Tokenizer

TEXTS = ["the cat sat on the mat", "a dog, a cat", "cat", "the catdog sat on dogcatmat, the end of it", "a dog, a cat"]


def causal(**settings: object) -> Model:
    tokenizer = bytelevel()
    return tiny("gpt2", heads=("lm",), vocabulary=len(tokenizer), tokenizer=tokenizer, positions=64, **settings)


def bert(**settings: object) -> Model:
    return masked("bert", positions=64, **settings)


def hybrid(seed: int = 0) -> Model:
    """A BERT whose output at each token is about the next one, trained under both masks."""
    model = masked("bert", positions=64, seed=seed)
    model.trained_masks, model.shifted = (Bidirectional(), Causal()), True
    return model


def log_probs_at(model: Model, ids: Sequence[int], place: int) -> numpy.ndarray:
    with torch.no_grad():
        return model.logits(model(torch.tensor([list(ids)])).last_hidden_state)[0, place].log_softmax(-1).numpy()


def looking_back(model: Model, before: Sequence[int], ids: Sequence[int]) -> list[float]:
    """Each token from those before it, one forward pass for each."""
    row = [*before, *ids]
    first = len(before)
    return [
        math.nan if place == 0 else float(log_probs_at(model, row[:place], place - 1)[row[place]])
        for place in range(first, len(row))
    ]


def hiding(model: Model, text: str, within: str, before: int, around: tuple[list[int], list[int]]) -> list[float]:
    """Each token of a text from all others, one forward pass for each; read `before` places before it."""
    tokenizer = model.tokenizer
    encoding = tokenizer([text], add_special_tokens=False)
    ids, word = encoding.input_ids[0].tolist(), encoding.word_ids[0]
    front, back = around
    found = []
    for place in range(len(ids)):
        same = [other for other in range(len(ids)) if word[other] == word[place]]
        hidden = {
            "original": [place],
            "l2r": [other for other in same if other >= place],
            "whole": same,
        }[within]
        row = [*front, *ids, *back]
        for other in hidden:
            row[len(front) + other] = tokenizer.special.mask_id
        at = len(front) + place - before
        found.append(float(log_probs_at(model, row, at)[ids[place]]) if at >= 0 else math.nan)
    return found


def assert_scores(found: Sequence[float | None], wanted: Sequence[float]) -> None:
    got = [math.nan if value is None else value for value in found]
    numpy.testing.assert_allclose(got, wanted, rtol=0, atol=1e-9)


# Each token is what it is alone


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_a_causal_model_is_asked_for_each_token_from_those_before(batch_tokens: int) -> None:
    model = causal()
    start = model.tokenizer.special.bos_id
    found = score(model, TEXTS, batch_tokens=batch_tokens)
    assert found.kind == "log-likelihood" and found.method == "causal" and found.before == "<|endoftext|>"
    for text, row in zip(TEXTS, found.rows, strict=True):
        assert_scores(row.log_probs, looking_back(model, [start], model.tokenizer.encode(text)))
        assert row.total == pytest.approx(sum(row.log_probs), abs=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch_tokens", [1, 50, 10_000])
@pytest.mark.parametrize("within", ["l2r", "original", "whole"])
@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_a_masked_model_is_asked_for_each_token_from_all_others(family: str, within: str, batch_tokens: int) -> None:
    tokenizer = roberta_tokenizer() if family == "roberta" else wordpiece()
    model = masked(family, tokenizer, positions=64)
    around = [tokenizer.special.cls_id], [tokenizer.special.sep_id]
    found = score(model, TEXTS, within_word=within, batch_tokens=batch_tokens)
    assert found.kind == "pseudo-log-likelihood" and found.method == "pseudo" and found.within_word == within
    for text, row in zip(TEXTS, found.rows, strict=True):
        assert_scores(row.log_probs, hiding(model, text, within, 0, around))


def test_words_of_several_pieces_make_the_ways_differ() -> None:
    """Else the tests above would compare the same numbers thrice."""
    totals = {within: score(bert(), TEXTS, within_word=within).totals for within in ("l2r", "original", "whole")}
    assert totals["l2r"] != totals["original"] and totals["l2r"] != totals["whole"]


def test_a_hybrid_answers_a_token_earlier_in_both_of_its_modes() -> None:
    model = hybrid()
    special = model.tokenizer.special
    found = score(model, TEXTS)
    assert found.kind == "pseudo-log-likelihood"
    for text, row in zip(TEXTS, found.rows, strict=True):
        assert_scores(row.log_probs, hiding(model, text, "l2r", 1, ([special.cls_id], [special.sep_id])))
    for asked in (score(model, TEXTS, method="causal"), score(model.with_mask(Causal()), TEXTS)):
        assert asked.kind == "log-likelihood" and asked.before == "[CLS]"
        for text, row in zip(TEXTS, asked.rows, strict=True):
            ids = model.tokenizer.encode(text, add_special_tokens=False)
            assert_scores(row.log_probs, looking_back(model.with_mask(Causal()), [special.cls_id], ids))
    assert score(model.with_mask(Causal()), TEXTS, method="pseudo").totals == pytest.approx(found.totals, abs=1e-9)


def xlnet() -> Model:
    tokenizer = wordpiece()
    return tiny("xlnet", heads=("lm",), vocabulary=len(tokenizer), tokenizer=tokenizer)


@pytest.mark.parametrize("batch_tokens", [1, 10_000])
def test_a_network_of_two_streams_is_asked_in_an_order(batch_tokens: int) -> None:
    model = xlnet()
    found = score(model, TEXTS, batch_tokens=batch_tokens)
    assert found.kind == "log-likelihood" and found.method == "order" and found.before == "[CLS]"
    for text, row in zip(TEXTS, found.rows, strict=True):
        ids = [model.tokenizer.special.cls_id, *model.tokenizer.encode(text, add_special_tokens=False)]
        ranks = torch.arange(len(ids))[None]
        assert_scores(row.log_probs, order_log_probs(model, torch.tensor([ids]), ranks)[0, 1:].tolist())
    bare = score(model, TEXTS, bos="none")
    for text, row in zip(TEXTS, bare.rows, strict=True):
        ids = model.tokenizer.encode(text, add_special_tokens=False)
        assert_scores(row.log_probs, order_log_probs(model, torch.tensor([ids]))[0].tolist())


def test_a_network_of_two_streams_fills_blanks_that_nobody_sees() -> None:
    """As `fill` asks it: what holds the place of a blank changes nothing."""
    model = xlnet()
    tokenizer = model.tokenizer
    found = score(model, "the cat sat", method="pseudo", within_word="original")
    assert found.kind == "pseudo-log-likelihood"
    ids = tokenizer.encode("the cat sat")
    for place, value in enumerate(found[0].log_probs, start=1):
        ranks = torch.zeros(1, len(ids), dtype=torch.long)
        ranks[0, place] = 1
        wanted = order_log_probs(model, torch.tensor([ids]), ranks)[0, place]
        assert value == pytest.approx(float(wanted), abs=1e-9)


def test_order_and_company_of_texts_change_nothing() -> None:
    for model in (causal(), bert()):
        every = score(model, TEXTS)
        backwards = score(model, TEXTS[::-1])
        numpy.testing.assert_allclose(every.totals, backwards.totals[::-1], rtol=0, atol=1e-9)
        numpy.testing.assert_allclose(every.totals, [score(model, text)[0].total for text in TEXTS], rtol=0, atol=1e-9)
        assert every.rows[1] == every.rows[4]  # equal texts, to the last bit


@pytest.mark.parametrize("method", ["order", "pseudo"])
def test_company_changes_nothing_for_two_streams(method: str) -> None:
    model = xlnet()
    alone = [score(model, text, method=method)[0].total for text in TEXTS]
    numpy.testing.assert_allclose(score(model, TEXTS, method=method).totals, alone, rtol=0, atol=1e-9)


def test_in_bfloat16_sums_are_those_of_its_logits() -> None:
    """The logits are rounded, what is made of them is not: probabilities still sum to one."""
    model = causal(dtype=torch.bfloat16)
    plain = looking_back(model.to(torch.float64), [0], model.tokenizer.encode(TEXTS[0]))
    found = score(causal(dtype=torch.bfloat16), TEXTS[0])[0].log_probs
    numpy.testing.assert_allclose(found, plain, rtol=0.1, atol=0.3)


# What stands before a text


def test_without_anything_before_it_the_first_token_has_no_score() -> None:
    model = causal()
    found = score(model, TEXTS, bos="none")
    assert found.before == ""
    for text, row in zip(TEXTS, found.rows, strict=True):
        ids = model.tokenizer.encode(text)
        assert row.log_probs[0] is None and len(row.log_probs) == len(ids)
        assert_scores(row.log_probs, looking_back(model, [], ids))
        rest = text[len(row.tokens[0]) :]
        assert (row.words, row.bytes) == (len(rest.split()), len(rest))
        assert row.rates.tokens == len(ids) - 1


def test_any_token_of_the_vocabulary_can_stand_before() -> None:
    model = causal()
    token = model.tokenizer.token(7)
    found = score(model, TEXTS[0], bos=token)
    assert found.before == token
    assert_scores(found[0].log_probs, looking_back(model, [7], model.tokenizer.encode(TEXTS[0])))


def test_a_masked_model_without_anything_around_the_text() -> None:
    model = bert()
    assert_scores(score(model, TEXTS[0], bos="none")[0].log_probs, hiding(model, TEXTS[0], "l2r", 0, ([], [])))
    bare = score(hybrid(), TEXTS[0], bos="none")[0]
    assert bare.log_probs[0] is None
    assert_scores(bare.log_probs, hiding(hybrid(), TEXTS[0], "l2r", 1, ([], [])))


def test_a_decoder_whose_tokenizer_closes_texts_is_not_asked_for_the_closing() -> None:
    tokenizer = wordpiece()
    model = tiny("modernbert-decoder", heads=("lm",), vocabulary=len(tokenizer), tokenizer=tokenizer, positions=64)
    found = score(model, TEXTS[0])
    assert found.before == "[CLS]" and found.method == "causal"
    ids = tokenizer.encode(TEXTS[0], add_special_tokens=False)
    assert found[0].ids == tuple(ids)
    assert_scores(found[0].log_probs, looking_back(model, [tokenizer.special.cls_id], ids))


def test_a_vocabulary_with_nothing_but_an_end_begins_with_it() -> None:
    tokenizer = words()
    model = tiny("transfo-xl", heads=("lm",), vocabulary=len(tokenizer), cutoffs=(), tokenizer=tokenizer)
    found = score(model, TEXTS[0])
    assert found.before == "<eos>"
    ids = tokenizer.encode(TEXTS[0], add_special_tokens=False)
    assert_scores(found[0].log_probs, looking_back(model, [tokenizer.special.eos_id], ids))


@pytest.mark.parametrize("shifted", [False, True])
def test_a_tokenizer_that_adds_nothing_reads_texts_as_they_stand_in_a_corpus(shifted: bool) -> None:
    """Between the tokens that would open and close them."""
    backend = tokenizers.Tokenizer.from_str(bytelevel().backend.to_str())
    names = {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "mask": "<mask>"}
    tokenizer = Tokenizer(backend, names=names, makes_types=False)
    model = masked("bert", tokenizer, positions=64)
    model.shifted = shifted
    found = score(model, TEXTS[0], within_word="original")
    assert found.before == "<|endoftext|>"
    assert_scores(found[0].log_probs, hiding(model, TEXTS[0], "original", int(shifted), ([0], [0])))


# Long texts


LONG = " ".join(TEXTS)


def test_a_long_text_is_read_in_windows_and_each_token_asked_once() -> None:
    model = causal()
    ids = model.tokenizer.encode(LONG)
    with pytest.warns(UserWarning, match=r"1 of 1 texts has more than 15 tokens and was read in windows"):
        found = score(model, LONG, max_length=16, stride=4)[0]
    row = [0, *ids]
    wanted = []
    for place in range(len(ids)):
        begin = 0 if place < 15 else min(-(-(place - 14) // 4) * 4, len(ids) - 15)
        seen = ([0] if begin == 0 else []) + ids[begin:place]
        wanted.append(float(log_probs_at(model, seen, -1)[row[place + 1]]))
    assert_scores(found.log_probs, wanted)


def test_a_masked_model_is_asked_where_a_token_has_text_on_both_sides() -> None:
    model = bert()
    with pytest.warns(UserWarning, match="in windows"):
        found = score(model, LONG, max_length=18, stride=8, within_word="original")[0]
    ids = model.tokenizer.encode(LONG, add_special_tokens=False)
    room, last = 16, len(ids) - 16
    starts = [*range(0, last, 8), last]
    special = model.tokenizer.special
    for place in range(len(ids)):
        begin = min(
            starts, key=lambda start: (start > place or start + room <= place, abs(place + 0.5 - start - room / 2))
        )
        row = [special.cls_id, *ids[begin : begin + room], special.sep_id]
        row[place - begin + 1] = special.mask_id
        assert found.log_probs[place] == pytest.approx(
            float(log_probs_at(model, row, place - begin + 1)[ids[place]]), abs=1e-9
        )


def test_windows_without_anything_before_them_meet_where_answers_come_one_place_before() -> None:
    model = hybrid()
    with pytest.raises(InputError, match="choose 1 to 7, so that windows of 8 meet"):
        score(model, LONG, method="pseudo", bos="none", max_length=8, stride=8)
    ids = model.tokenizer.encode(LONG, add_special_tokens=False)
    with pytest.warns(UserWarning, match="in windows"):
        found = score(model, LONG, method="pseudo", bos="none", max_length=8, stride=7, within_word="original")[0]
    assert found.log_probs[0] is None
    starts = [*range(0, len(ids) - 8, 7), len(ids) - 8]
    for place in range(1, len(ids)):
        begin = max(start for start in starts[:-1] if start < place)  # a window's first token answers for none
        if place >= (starts[-1] + starts[-2] + 8 + 1) // 2:  # where the last, which begins earlier, has more around it
            begin = starts[-1]
        row = ids[begin : begin + 8]
        row[place - begin] = model.tokenizer.special.mask_id
        wanted = float(log_probs_at(model, row, place - begin - 1)[ids[place]])
        assert found.log_probs[place] == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("make", [bert, hybrid, causal])
def test_what_looks_like_a_special_token_is_text(make: Callable[[], Model]) -> None:
    model = make()
    for sign in ("[MASK]", "<mask>", "[SEP]", "<|endoftext|>"):
        (text,) = score(model, f"the cat {sign} sat")
        special = model.tokenizer.special
        named = {special.mask_id, special.sep_id, special.cls_id, special.eos_id} - {None}
        assert not named & set(text.ids) and "".join(text.tokens).replace(" ", "") == f"thecat{sign}sat"


def test_a_text_that_just_fits_is_one_row() -> None:
    model = causal()
    tokens = len(model.tokenizer.encode(TEXTS[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exact = score(model, TEXTS[0], max_length=tokens + 1)
    assert exact.totals == score(model, TEXTS[0]).totals


# Streams


def test_batches_are_the_same_scores_as_they_come() -> None:
    model = causal()
    pieces = list(score_batches(model, iter(TEXTS)))
    assert [row for piece in pieces for row in piece.rows] == list(score(model, TEXTS).rows)
    done: list[float] = []
    score(model, TEXTS, progress=done.append)
    assert done == sorted(done) and done[-1] == len(TEXTS)


def test_rows_that_ask_for_too_much_at_once_are_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    from sightline.tasks import asking

    whole = [score(model, TEXTS) for model in (causal(), bert())]
    monkeypatch.setattr(asking, "TOKENS_AT_ONCE", 30)
    monkeypatch.setattr(asking, "LOGITS_AT_ONCE", 100)
    for before, model in zip(whole, (causal(), bert()), strict=True):
        numpy.testing.assert_allclose(score(model, TEXTS).totals, before.totals, rtol=0, atol=1e-9)


# What cannot be


def test_a_model_that_would_see_what_it_is_asked_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="sees the tokens that it would be asked for"):
        score(causal().with_mask(Bidirectional()), TEXTS)
    with pytest.raises(UnsupportedError, match="sees the tokens that it would be asked for"):
        score(causal().with_mask(Prefix(3) | Causal()), TEXTS)
    with pytest.raises(UnsupportedError, match="sees the tokens that it would be asked for"):
        score(bert(), TEXTS, method="causal")
    with pytest.raises(UnsupportedError, match="no mask token to hide a token behind"):
        score(causal(), TEXTS, method="pseudo")
    with pytest.raises(UnsupportedError, match="one stream"):
        score(causal(), TEXTS, method="order")
    with pytest.raises(UnsupportedError, match="use method 'order'"):
        score(xlnet(), TEXTS, method="causal")
    with pytest.raises(UnsupportedError, match="rank"):
        score(causal().with_mask(Permuted()), TEXTS)
    with pytest.raises(UnsupportedError, match="training mode"):
        score(causal().train(), TEXTS)


def test_wrong_use_is_named() -> None:
    model = causal()
    for wrong, said in (
        ({"method": "best"}, "choose one of causal, order, pseudo"),
        ({"within_word": "r2l"}, "choose one of l2r, original, whole"),
    ):
        with pytest.raises(ConfigError, match=said):
            score(model, TEXTS, **wrong)
    for wrong, said in (
        ({"bos": "[CLS]"}, "not a token"),
        ({"max_length": 1}, "leaves 0 tokens for text"),
        ({"max_length": 65}, "choose 1 to 64"),
        ({"stride": 63}, "choose 1 to 62"),
    ):
        with pytest.raises(InputError, match=said):
            score(model, TEXTS, **wrong)
    with pytest.raises(InputError, match="the list is empty"):
        score(model, [])
    with pytest.raises(InputError, match="row 2 is empty"):
        score(model, ["a", " "])


def test_numbers_that_are_none_are_an_error() -> None:
    model = causal()
    with torch.no_grad():
        model.network.norm.weight.fill_(torch.nan)  # type: ignore[union-attr,operator]
    with pytest.raises(UnsupportedError, match="no numbers"):
        score(model, TEXTS)
