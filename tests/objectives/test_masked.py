"""Masked language modelling: what is hidden, how often, and that the model does not know it.

Shapes: B rows, T tokens.
"""

from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import DataCollatorForLanguageModeling

from contract.families import tiny
from contract.reference import reference, run, saved
from objectives.texts import END, MASK, batches_of, loss_of, only, plain_rows, text_rows, toy_words
from sightline.core.mask import Bidirectional
from sightline.core.taps import record
from sightline.errors import ConfigError, UnsupportedError
from sightline.model.load import load
from sightline.objectives.masked import Masked
from sightline.objectives.text import NOT_ASKED
from sightline.text.learn import learn_tokenizer
from sightline.text.words import words_of

UNITS = ["tokens", "words", "spans", "word_spans"]
objectives = st.builds(
    Masked,
    rate=st.floats(0.01, 1),
    keep=st.floats(0, 0.5),
    random=st.floats(0, 0.5),
    unit=st.sampled_from(UNITS),
    shifted=st.booleans(),
)


def asked_of(objective: Masked, targets: Tensor) -> Tensor:
    """The tokens that are hidden, bool (B, T), by where they are asked."""
    asked = targets != NOT_ASKED
    return torch.cat([torch.zeros_like(asked[:, :1]), asked[:, :-1]], 1) if objective.shifted else asked


@given(objective=objectives, seed=st.integers(0, 99), rows=st.integers(1, 3), tokens=st.integers(2, 30))
def test_what_is_hidden_is_asked_and_all_else_is_as_it_was(
    objective: Masked, seed: int, rows: int, tokens: int
) -> None:
    held, words = text_rows(rows, tokens, seed=seed), toy_words()
    batch = only(batches_of(objective, held, seed=seed))
    ids, given = held.ids[:, :-1], batch.inputs["input_ids"]
    hidden = asked_of(objective, batch.targets)
    first = held.inputs["position_ids"] == 0
    may = ~words.special[ids] & ~(first & objective.shifted)
    assert torch.equal(given[~hidden], ids[~hidden])
    assert torch.equal(batch.targets[batch.targets != NOT_ASKED], ids[hidden])
    assert not (hidden & ~may).any()
    assert hidden.any() == may.any() or objective.unit in ("words", "word_spans")  # a word may be hidden, or a part not
    changed = given[hidden]
    assert not words.special[changed[changed != MASK]].any()  # nothing stands for a hidden token that is no text
    assert {name: batch.inputs[name] is held.inputs[name] for name in held.inputs if name != "input_ids"} == {
        name: True for name in held.inputs if name != "input_ids"
    }
    again = only(batches_of(objective, held, seed=seed))
    assert torch.equal(again.inputs["input_ids"], given) and torch.equal(again.targets, batch.targets)
    assert (batch.rows, batch.tokens) == (held.numbers, ids.numel())


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("shifted", [False, True])
def test_as_many_as_the_rates_say(unit: str, shifted: bool) -> None:
    """All counts within 5 standard deviations, of what is drawn for each token, or each span."""
    objective = Masked(rate=0.2, keep=0.1, random=0.25, unit=unit, shifted=shifted)
    held = text_rows(64, 512, vocabulary=3000)
    batch = only(batches_of(objective, held, words=toy_words(3000)))
    ids, given, hidden = held.ids[:, :-1], batch.inputs["input_ids"], asked_of(objective, batch.targets)
    may = ~toy_words(3000).special[ids] & ~((held.inputs["position_ids"] == 0) & shifted)
    count = int(hidden.sum())
    assert abs(count - 0.2 * int(may.sum())) <= 10  # half of the longest unit
    together = {"spans": 3, "word_spans": 10 * 3}.get(unit, 1)
    shares = {
        0.1 + 0.25 / 2997: given[hidden] == ids[hidden],
        0.65: given[hidden] == MASK,
        0.25 * 2996 / 2997: (given[hidden] != ids[hidden]) & (given[hidden] != MASK),
    }
    for share, found in shares.items():
        assert abs(int(found.sum()) - share * count) < 5 * (together * count * share * (1 - share)) ** 0.5
    # And wherever a token is, it is as likely to be hidden as any other: of those at each place of a row, as many.
    by_place = hidden.sum(0).double() / may.sum(0).clamp(min=1)
    assert abs(float(by_place[1:].mean()) - 0.2) < 0.02
    assert float(by_place[1:].max()) < 0.2 + 6 * (together * 0.16 / 50) ** 0.5


@pytest.mark.parametrize("unit", UNITS)
def test_a_texts_ends_are_hidden_as_often_as_its_middle(unit: str) -> None:
    """No token is spared for standing next to a special one."""
    vocabulary, length, many = 300, 12, 4000
    ids = numpy.random.default_rng(0).integers(3, vocabulary, (many, length + 3))
    ids[:, [0, length + 1, length + 2]] = END
    batch = only(
        batches_of(Masked(rate=0.2, unit=unit), plain_rows(torch.from_numpy(ids)), words=toy_words(vocabulary))
    )
    often = (batch.targets != NOT_ASKED).double().mean(0)[1 : length + 1]
    assert float(often.max() - often.min()) < 0.05, often


def test_the_rate_goes_from_one_to_the_other() -> None:
    objective, held = Masked(rate=0.4, final_rate=0.1), text_rows(32, 128)
    may = int((~toy_words().special[held.ids[:, :-1]]).sum())
    for done, rate in ((0.0, 0.4), (0.5, 0.25), (1.0, 0.1)):
        assert objective.counts(only(batches_of(objective, held, done=done)))["loss"] == round(rate * may)


def test_words_are_hidden_whole() -> None:
    """As transformers' collator parts a text into words, by where tokens lie in it. (Punctuation, which it joins to the
    word before, is left out.)"""
    texts = ["the unbelievable elephants remembering whatever happened", "disbelief happens elephants remember"]
    tokenizer = learn_tokenizer(texts * 3, kind="wordpiece", vocabulary=70)
    words = words_of(tokenizer)
    for text in texts:
        encoded = tokenizer.backend.encode(text)
        ids, no_text = torch.tensor([encoded.ids]), numpy.array([encoded.special_tokens_mask], dtype=bool)
        parts = DataCollatorForLanguageModeling._calc_word_ids_and_prob_mask
        theirs = parts(numpy.array([encoded.offsets]), no_text)[0][0]
        rows = plain_rows(torch.cat([ids, ids[:, :1]], 1))
        assert len(set(theirs.tolist())) < (~no_text).sum()  # some words have several tokens
        for seed in range(20):
            batch = only(batches_of(Masked(rate=0.4, unit="words"), rows, words=words, seed=seed))
            hidden = (batch.targets[0] != NOT_ASKED).numpy()
            for word in set(theirs[~no_text[0]].tolist()):
                assert len(set(hidden[(theirs == word) & ~no_text[0]].tolist())) == 1, (text, word)


@pytest.mark.parametrize("shifted", [False, True])
def test_the_model_does_not_know_what_is_hidden(shifted: bool) -> None:
    """Other tokens under the same masks: the same input, and so the same outputs; and no gradient reaches them."""
    objective = Masked(rate=0.3, keep=0, random=0, shifted=shifted)
    held = plain_rows(torch.randint(3, 20, (3, 13), generator=torch.Generator().manual_seed(0)))
    batch = only(batches_of(objective, held))
    hidden = asked_of(objective, batch.targets)
    others = held.ids.clone()
    others[:, :-1][hidden] = 25  # an id that stands nowhere else
    changed = only(batches_of(objective, plain_rows(others)))
    assert torch.equal(changed.inputs["input_ids"], batch.inputs["input_ids"])
    assert set(changed.targets.unique().tolist()) == {NOT_ASKED, 25}
    model = tiny("bert", heads=("lm",))
    model(**changed.inputs).last_hidden_state.square().sum().backward()
    gradient = model.network.embeddings.tokens.weight.grad
    assert not gradient[25].any() and gradient[MASK].any()


@pytest.mark.parametrize("family", ["bert", "modernbert", "xlnet"])
@pytest.mark.parametrize("rate", [0.02, 0.15, 0.3])
def test_only_hidden_tokens_go_through_the_last_layer(family: str, rate: float) -> None:
    """And the loss is that of all hidden states, row by row, also where a row has none."""
    model, held = tiny(family, heads=("lm",)), text_rows(4, 24)
    objective = Masked(rate=rate, z_loss=0.01, shifted=True)
    batch = only(batches_of(objective, held))
    asked = batch.targets != NOT_ASKED
    with record(model.network, "*.output") as seen:
        terms = objective.terms(model, batch)
    *_, last = seen.values()
    most, tokens = int(asked.sum(1).max()), asked.shape[1]
    assert last.shape[1] == tokens or most <= last.shape[1] <= tokens / 2
    assert (last.shape[1] < tokens) == (rate < 0.3 or most < tokens / 2 - tokens / 8)
    logits = model.logits(model(**batch.inputs).last_hidden_state[asked])
    expected = -logits.log_softmax(-1).gather(-1, batch.targets[asked][:, None]).sum()
    torch.testing.assert_close(terms["loss"].sum, expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(terms["loss_z"].sum, logits.logsumexp(-1).square().sum(), rtol=1e-11, atol=1e-11)
    assert {name: term.count for name, term in terms.items()} == objective.counts(batch)


def test_only_hidden_tokens_reach_the_vocabulary() -> None:
    model, batch = tiny("bert", heads=("lm",)), only(batches_of(Masked(), text_rows(2, 20)))
    seen = []
    model.head("lm").register_forward_hook(lambda head, given, logits: seen.append(logits.shape))
    Masked().terms(model, batch)
    assert seen == [(int(Masked().counts(batch)["loss"]), model.config.vocabulary)]


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "RobertaForMaskedLM", "ModernBertForMaskedLM"])
def test_the_loss_is_transformers(architecture: str, tmp_path: Path) -> None:
    theirs = reference(architecture)
    held = plain_rows(torch.randint(3, 31, (3, 13), generator=torch.Generator().manual_seed(0)))
    batch = only(batches_of(Masked(rate=0.4), held))
    given = run(theirs, batch.inputs["input_ids"], labels=batch.targets, position_ids=batch.inputs["position_ids"])
    ours = loss_of(Masked(rate=0.4), load(saved(theirs, tmp_path)), batch)
    assert abs(float(ours.detach() - given.loss.detach())) < 1e-5


def test_shifted_asks_in_the_alignment_of_a_causal_model() -> None:
    """Each hidden token is asked at the one before it, which is of its document, whether or not that has an opening
    token; and the token after the last is nobody's input, so it cannot be hidden."""
    held = text_rows(4, 40)
    held = replace(held, ids=held.ids.clamp(min=3))
    batch = only(batches_of(Masked(rate=0.9, keep=0, random=0, shifted=True), held))
    asked = batch.targets != NOT_ASKED
    assert torch.equal(batch.targets[asked], held.following[asked])
    assert asked[:, :-1][held.following[:, :-1] != NOT_ASKED].float().mean() > 0.8 and not asked[:, -1].any()
    assert (batch.inputs["input_ids"] == MASK).sum() == asked.sum()


def test_z_loss_is_the_square_of_the_normalizer() -> None:
    """And a part of the loss by its weight; its gradient is the written-out one's."""
    model, batch = tiny("bert", heads=("lm",)), only(batches_of(Masked(), text_rows(2, 20)))
    objective = Masked(z_loss=0.01)
    terms = objective.terms(model, batch)
    hidden = model(**batch.inputs).last_hidden_state
    asked = batch.targets != NOT_ASKED
    normalizer = model.logits(hidden[asked]).logsumexp(-1)
    torch.testing.assert_close(terms["loss_z"].sum, normalizer.square().sum(), rtol=1e-11, atol=1e-11)
    expected = Masked().terms(model, batch)["loss"].sum + 0.01 * normalizer.square().sum()
    expected = torch.autograd.grad(expected, list(model.parameters()), allow_unused=True)
    found = sum(term.weight * term.sum for term in terms.values())
    for one, other in zip(
        torch.autograd.grad(found, list(model.parameters()), allow_unused=True), expected, strict=True
    ):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
    assert {name: term.count for name, term in terms.items()} == objective.counts(batch)
    with pytest.raises(UnsupportedError, match="cuts it"):
        objective.terms(tiny("transfo-xl", heads=("lm",)).with_mask(Bidirectional()), batch)


def test_losses_are_at_least_float32() -> None:
    """Of a model in short numbers, and under autocast: as exact as its logits."""
    batch = only(batches_of(Masked(), text_rows(2, 20)))
    short, wide = (tiny("bert", heads=("lm",), dtype=dtype) for dtype in (torch.bfloat16, torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = Masked(z_loss=0.01).terms(wide, batch)
    logits = short.logits(short(**batch.inputs).last_hidden_state[batch.targets != NOT_ASKED]).double()
    found = Masked(z_loss=0.01).terms(short, batch)
    torch.testing.assert_close(found["loss_z"].sum.double(), logits.logsumexp(-1).square().sum(), rtol=1e-5, atol=1e-5)
    assert {term.sum.dtype for terms in (found, mixed) for term in terms.values()} == {torch.float32}


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0.0}, {"rate": 1.5}, {"final_rate": -1.0}, {"keep": -0.1}, {"random": 0.95}, {"unit": "letters"},
     {"z_loss": -1.0}, {"rate": float("nan")}, {"keep": float("nan")}],
)  # fmt: skip
def test_wrong_settings_are_named(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Masked(**wrong)


def test_a_vocabulary_without_a_mask_token() -> None:
    held, words = text_rows(), toy_words(mask_id=None)
    with pytest.raises(UnsupportedError, match="no mask token"):
        batches_of(Masked(), held, words=words)
    batch = only(batches_of(Masked(keep=0.2, random=0.8), held, words=words))
    assert (batch.inputs["input_ids"] > 2).sum() == (held.ids[:, :-1] > 2).sum()


def test_rows_without_text_ask_nothing() -> None:
    batch = only(batches_of(Masked(), plain_rows(torch.full((2, 5), 2))))
    assert Masked().counts(batch) == {"loss": 0.0}
