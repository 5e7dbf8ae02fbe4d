"""What a look shows is what the model does: each part against the model itself, by another way, in every family.

Shapes: L layers, H heads, T tokens, N places, V vocabulary.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

import sightline as sl
from contract.families import bounds, reach
from probing import subjects
from reading_models import make
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Causal, Permuted
from sightline.decoding.mask_predict import masked_log_probs
from sightline.model.families import LAYOUTS
from sightline.model.model import Model
from sightline.probing.attention import surest
from sightline.probing.lens import HIDDEN, NEXT, READ
from sightline.probing.look import Look, look
from sightline.probing.tokens import MOST, tokens_of
from sightline.probing.written import AT_ONCE, WORD_BY_WORD

TEXT = "the cat sat on the mat"
every_family = pytest.mark.parametrize("family", LAYOUTS)


@cache
def model_of(family: str) -> Model:
    return make(family)


@cache
def seen(family: str) -> Look:
    return look(model_of(family), TEXT, measure=False, new_tokens=4)


@every_family
def test_every_part_is_there_or_says_why_not(family: str) -> None:
    found = seen(family)
    parts = {
        "heads": found.weights is not None,
        "lens": bool(found.lenses),
        "expected": found.expects is not None,
        "written": found.written is not None,
        "replaced": found.replaced is not None,
    }
    assert {name for name, there in parts.items() if not there} == set(found.left_out)
    assert not found.left_out, "every family can do everything, in its own way"
    assert found.tokens.ids == tuple(model_of(family).tokenizer.encode(TEXT))


@every_family
def test_heads_are_the_models_own_and_keep_to_the_mask(family: str) -> None:
    model, found = model_of(family), seen(family)
    assert found.weights is not None
    whole = torch.stack(model(found.tokens.tensor(), attentions=True).attentions)[:, 0]
    assert found.weights.allclose(whole.float())
    tokens = len(found.tokens)
    at = Coordinates.consecutive(tokens)
    table = model.mask.table(at, at)[0]
    for layer, bound in zip(found.weights, bounds(model, at), strict=True):
        assert bool((layer[:, ~(table & bound)] == 0).all())
        assert layer.sum(-1).allclose(torch.ones(len(layer), tokens), atol=1e-5)


@every_family
def test_the_last_layer_of_the_lens_is_what_the_model_says(family: str) -> None:
    model, found = model_of(family), seen(family)
    asked = {lens.asks: lens for lens in found.lenses}
    assert found.expects is found.lenses[0]
    ids = found.tokens.tensor()
    for asks in {NEXT, READ} & asked.keys():
        lens = asked[asks]
        shares = model.logits(model(ids).last_hidden_state)[0].float().softmax(-1)
        best = shares.topk(min(5, shares.shape[-1]))
        assert torch.equal(lens.words[-1], best.indices) and lens.probabilities[-1].allclose(best.values, atol=1e-6)
        known = lens.truth >= 0
        assert lens.of_truth[-1][known].allclose(shares[known].gather(1, lens.truth[known, None])[:, 0], atol=1e-6)
        after = [*found.tokens.ids[1:], -1] if asks == NEXT else [*found.tokens.ids]
        assert lens.truth.tolist() == after
    if HIDDEN in asked:
        lens = asked[HIDDEN]
        blank = model.tokenizer.special.mask_id
        for at, place in enumerate(lens.places):
            row = ids.clone()
            row[0, place] = blank
            alone = masked_log_probs(model, row, torch.tensor([place]))[0, 0]
            words = lens.words[-1, at]
            texts = alone[words] > -torch.inf
            assert lens.probabilities[-1, at][texts].allclose(alone[words][texts].exp(), atol=1e-5)


def test_which_question_a_state_answers_follows_from_what_was_taught() -> None:
    asks = {family: [lens.asks for lens in seen(family).lenses] for family in LAYOUTS}
    assert asks["gpt2"] == asks["transfo-xl"] == [NEXT]
    assert asks["bert"] == asks["roberta"] == [HIDDEN, READ]
    assert asks["xlnet"] == [HIDDEN], "its states of tokens are made to be looked at, and say nothing"


def test_the_lens_is_the_one_that_transformers_states_give(tmp_path: Path) -> None:
    """Every layer through the final norm and the head, by the other library's modules."""
    theirs = subjects.gpt2(n_layer=3)
    theirs.save_pretrained(tmp_path)
    ours = sl.load(tmp_path)
    ids = torch.randint(3, subjects.VOCABULARY, (1, 7))
    found = look(ours, ids, measure=False, new_tokens=0, top_k=3)
    with torch.no_grad():
        states = theirs(ids, output_hidden_states=True).hidden_states
        expected = [theirs.lm_head(theirs.transformer.ln_f(state)) for state in states[:-1]] + [
            theirs.lm_head(states[-1])
        ]
    (lens,) = found.lenses
    assert len(lens.words) == len(expected) == 4
    for layer, logits in enumerate(expected):
        best = logits[0].softmax(-1).topk(3)
        assert torch.equal(lens.words[layer], best.indices)
        assert lens.probabilities[layer].allclose(best.values, atol=1e-5)


@every_family
def test_what_it_writes_is_what_generate_writes(family: str) -> None:
    model, found = model_of(family), seen(family).written
    assert found is not None
    prompt = model.tokenizer.prompt(TEXT)
    assert list(found.prompt) == prompt
    if found.how == AT_ONCE:
        how = {"method": "mask-predict", "rounds": 4}
        assert [one.token for one in found.steps[-1]] == sl.generate(model, [prompt], max_new_tokens=4, **how).ids()[0]
        return
    assert found.how == WORD_BY_WORD
    (steps,) = sl.generate(model, [prompt], max_new_tokens=4).rows()
    assert [one.token for (one,) in found.steps] == [step.token for step in steps]
    for (one,) in found.steps:
        assert one.others[0][0] == one.token, "the likeliest was taken"
        assert one.others[0][1] == pytest.approx(one.probability, rel=1e-4)


@every_family
def test_a_replaced_token_moves_what_can_know_of_it_and_nothing_else(family: str) -> None:
    model, found = model_of(family), seen(family)
    moved, tokens = found.replaced, len(found.tokens)
    assert moved is not None and moved.places == found.tokens.words
    at = Coordinates.consecutive(tokens)
    table, each = model.mask.table(at, at)[0], bounds(model, at)
    for layer in range(len(each) + 1):
        knows = reach(table, each[:layer])
        for number, place in enumerate(moved.places):
            assert torch.equal(moved.changes[number, layer] > 0, knows[:, place]), (layer, place)
    assert all(other != found.tokens.ids[place] for place, other in zip(moved.places, moved.by, strict=True))


def test_a_change_is_a_share_of_the_states_length() -> None:
    model, found = model_of("gpt2"), seen("gpt2")
    assert found.replaced is not None
    ids = found.tokens.tensor()
    other = ids.clone()
    other[0, 2] = found.replaced.by[2]
    before, after = (torch.stack(model(row, hidden_states=True).hidden_states)[:, 0] for row in (ids, other))
    assert found.replaced.changes[2].allclose((after - before).norm(dim=-1) / before.norm(dim=-1), rtol=1e-4)


def test_the_same_seed_replaces_by_the_same_words_of_the_same_kind() -> None:
    model = model_of("bert")
    first, again, other = (look(model, TEXT, measure=False, new_tokens=0, seed=seed).replaced for seed in (0, 0, 1))
    assert first is not None and again is not None and other is not None
    assert first.by == again.by != other.by
    tokenizer = model.tokenizer
    assert not any(tokenizer.token(word).startswith("##") for word in first.by)


def test_who_sees_whom_is_measured_beside_what_the_mask_allows() -> None:
    model = model_of("modernbert")
    found = look(model, TEXT, new_tokens=0)
    titles = [title for title, _ in found.seen]
    assert titles[:2] == ["in 1 of 3 layers: bidirectional", "in 2 of 3 layers: bidirectional & sliding_window(3)"]
    title, matrix = found.seen[-1]
    assert "measured" in title and matrix.measured is not None and matrix.expected is not None
    assert torch.equal(matrix.measured, matrix.expected), "no leak"
    at = Coordinates.consecutive(len(found.tokens))
    expected = reach(model.mask.table(at, at)[0], bounds(model, at))
    quick = look(model, TEXT, new_tokens=0, measure=False).seen[-1][1]
    assert quick.measured is None and quick.expected is not None and torch.equal(quick.expected, expected)


def test_another_mask_is_looked_through() -> None:
    model = model_of("bert").with_mask(Causal())
    found = look(model, TEXT, measure=False, new_tokens=2)
    assert found.weights is not None and bool((found.weights.triu(1) == 0).all())
    assert "under the mask causal; its weights were trained under bidirectional" in found.about
    assert found.written is not None and found.written.how == WORD_BY_WORD


def test_a_blank_is_a_place_without_a_truth() -> None:
    model = model_of("bert")
    found = look(model, "the <mask> sat on the [MASK]", measure=False, new_tokens=0)
    assert [found.tokens.texts[place] for place in found.tokens.blanks] == ["[MASK]"] * 2
    lens = found.expects
    assert lens is not None and set(found.tokens.blanks) <= set(lens.places)
    assert [lens.places[at] for at in (lens.truth < 0).nonzero()[:, 0].tolist()] == list(found.tokens.blanks)
    assert not found.left_out and found.written is None
    filled = sl.fill(model, "the <mask> sat on the [MASK]", top_k=1).blanks[0][0]
    at = lens.places.index(found.tokens.blanks[0])
    assert filled.token in lens.words[-1, at].tolist()


def test_parts_that_cannot_be_say_why() -> None:
    headless = sl.build("bert", "tiny", tokenizer=model_of("bert").tokenizer, heads=())
    found = look(headless, TEXT, measure=False)
    assert set(found.left_out) == {"lens", "expected", "written"}
    assert "has no head 'lm'" in found.left_out["lens"]
    without = sl.build("bert", "tiny", vocabulary=31)
    found = look(without, [3, 4, 5], measure=False)
    assert [lens.asks for lens in found.lenses] == [READ] and "tokenizer" in found.left_out["written"]
    assert found.text == "#3 #4 #5"
    only_special = look(model_of("bert"), "", measure=False, new_tokens=0)
    assert "nothing to replace" in only_special.left_out["replaced"]


def test_what_cannot_be_looked_at_is_refused() -> None:
    model = model_of("gpt2")
    with pytest.raises(sl.InputError, match="gives no tokens"):
        look(model, "")
    with pytest.raises(sl.InputError, match=f"at most {min(MOST, 64)}"):
        look(model, TEXT * 40)
    with pytest.raises(sl.InputError, match="token id 999999 is outside"):
        look(model, [999_999])
    with pytest.raises(sl.UnsupportedError, match="a text alone has none"):
        look(model.with_mask(Permuted()), TEXT)
    for several, said in ((["one", "two"], "several texts"), ([[5, 6], [7, 8]], "token ids"), (None, "neither a text")):
        with pytest.raises(sl.InputError, match=said):
            look(model, several)  # type: ignore[arg-type]
    with pytest.raises(sl.InputError, match="token ids are whole numbers"):
        look(model, torch.tensor([[5, 6], [7, 8]]))
    with pytest.raises(sl.ConfigError, match="seed='a'"):
        look(model, "the cat", seed="a")  # type: ignore[arg-type]
    with pytest.raises(sl.ConfigError, match="top_k=0"):
        look(model, TEXT, top_k=0)
    training = make("gpt2").train()
    with pytest.raises(sl.UnsupportedError, match="training mode"):
        look(training, TEXT)


def test_nothing_of_the_model_is_changed() -> None:
    model = make("gpt2")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state, hooks = torch.get_rng_state(), [dict(module._forward_hooks) for module in model.modules()]
    look(model, TEXT, new_tokens=2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert hooks == [dict(module._forward_hooks) for module in model.modules()]
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_tokens_read_as_text() -> None:
    texts = tokens_of(model_of("gpt2"), "the cat").texts
    assert "".join(texts) == "the cat"
    pieces = tokens_of(model_of("gpt2"), "猫").texts
    assert len(pieces) == 3 and "\ufffd" not in "".join(pieces), "parts of a character, as the vocabulary spells them"


def test_the_surest_head_gives_most_to_single_tokens() -> None:
    weights = torch.full((2, 3, 4, 4), 0.25)
    weights[1, 2] = torch.eye(4)
    assert surest(weights) == (1, 2)
    assert surest(torch.ones(1, 1, 1, 1)) == (0, 0)


def test_one_token_is_looked_at_too() -> None:
    for family in ("bert", "gpt2", "xlnet"):
        found = look(model_of(family), [40], new_tokens=1)
        assert found.weights is not None and found.weights.shape[2:] == (1, 1) and not found.left_out
        assert found.seen[-1][1].measured is not None


def test_ids_without_a_token_read_as_their_number() -> None:
    tokenizer = model_of("bert").tokenizer
    padded = sl.build("bert", "tiny", tokenizer=tokenizer, vocabulary=len(tokenizer) + 3, layers=1)
    found = look(padded, [len(tokenizer) + 1, 7], measure=False, new_tokens=0)
    assert found.tokens.texts[0] == f"#{len(tokenizer) + 1}"
    assert found.replaced is not None and found.replaced.places == (0, 1)


def test_what_cannot_be_measured_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise sl.UnsupportedError("no numbers")

    monkeypatch.setattr("sightline.probing.seen.probe", refuse)
    found = look(model_of("gpt2"), TEXT, new_tokens=0)
    assert "no numbers" in found.left_out["measured"] and found.seen[-1][1].measured is None
    assert "no numbers" in found.html()


# Models of others


def test_a_model_of_transformers_is_seen_from_outside() -> None:
    theirs, ids = subjects.gpt2(), torch.randint(3, subjects.VOCABULARY, (1, 6))
    found = look(theirs, ids, name="theirs")
    assert set(found.left_out) == {"heads", "lens", "written", "replaced"}
    assert "no model of Sightline" in found.left_out["heads"]
    ((_, matrix),) = found.seen
    assert matrix.measured is not None and torch.equal(matrix.measured, torch.ones(6, 6).tril().bool())
    with torch.no_grad():
        best = theirs(ids).logits[0].softmax(-1).topk(5)
    assert found.expects is not None and found.expects.asks == NEXT
    assert torch.equal(found.expects.words[0], best.indices)
    assert found.expects.truth.tolist() == [*ids[0, 1:].tolist(), -1]


def test_a_model_without_words_shows_who_sees_whom_alone() -> None:
    found = look(subjects.bert(), [3, 4, 5, 6])
    assert found.expects is None and "no numbers for each of 41 words" in found.left_out["expected"]
    assert bool(found.seen[0][1].measured.all())  # type: ignore[union-attr]
    assert "One token replaced" in found.html()


def test_a_function_is_looked_at_too() -> None:
    module = subjects.Averaging()
    table = torch.randn(6, subjects.VOCABULARY, generator=torch.Generator().manual_seed(0))
    found = look(lambda ids: module(ids) @ table, [3, 9, 4], vocabulary=subjects.VOCABULARY, top_k=2)
    assert found.expects is not None and found.expects.asks == NEXT and found.expects.words.shape == (1, 3, 2)
    with pytest.raises(sl.SightlineError, match="vocabulary"):
        look(lambda ids: module(ids), [3, 9, 4])
