"""Filling blanks: probabilities are those of transformers' own models, and joint ones the plain product.

Shapes: P blanks, V vocabulary.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from contract.reference import reference, saved
from decoding.models import bytelevel, masked, roberta_tokenizer, wordpiece, writer
from sightline.core.mask import Causal, Permuted
from sightline.decoding.fill import Filled, fill
from sightline.decoding.generate import generate
from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.model.build import build
from sightline.model.load import load
from sightline.model.model import Model
from sightline.tasks.abilities import abilities
from sightline.text.learn import learn_tokenizer
from sightline.text.tokenizer import Tokenizer

SHOWN = {"bert": "BertForMaskedLM", "roberta": "RobertaForMaskedLM", "distilbert": "DistilBertForMaskedLM"}


@pytest.mark.parametrize(
    ("family", "make"), [("bert", wordpiece), ("distilbert", wordpiece), ("roberta", roberta_tokenizer)]
)
def test_probabilities_are_those_of_transformers(family: str, make: Callable[[], Tokenizer], tmp_path: Path) -> None:
    """A softmax over all of the vocabulary at the blank; special tokens, which are no words, are left out."""
    tokenizer = make()
    theirs = reference(SHOWN[family], vocab_size=len(tokenizer))
    ours = load(saved(theirs, tmp_path))
    ours.tokenizer = tokenizer
    ids = torch.tensor([tokenizer.encode(f"the cat {tokenizer.special.mask} on the {tokenizer.special.mask}.")])
    with torch.no_grad():
        probabilities = theirs(ids).logits[0].softmax(-1)
    filled = fill(ours, "the cat [MASK] on the [MASK].", top_k=12)
    places = (ids[0] == tokenizer.special.mask_id).nonzero()[:, 0].tolist()
    assert len(filled.blanks) == len(places) == 2
    for place, candidates in zip(places, filled.blanks, strict=True):
        best = probabilities[place].sort(descending=True)
        words = [token for token in best.indices.tolist() if token not in tokenizer.special.ids][:12]
        assert [candidate.token for candidate in candidates] == words
        for candidate in candidates:
            assert candidate.probability == pytest.approx(float(probabilities[place, candidate.token]), rel=1e-5)
            assert candidate.word == tokenizer.decode([candidate.token]).strip()


def all_fillings(model: Model, ids: list[int], places: list[int], words: list[int]) -> dict[tuple[int, ...], float]:
    """P(first) · P(second | first) · … of every filling, by a plain forward pass after each word."""
    if not places:
        return {(): 1.0}
    with torch.no_grad():
        logits = model.logits(model(torch.tensor([ids])).last_hidden_state)[0, places[0]]
    found = {}
    for word, probability in zip(words, logits.softmax(-1)[words].tolist(), strict=True):
        filled = [*ids[: places[0]], word, *ids[places[0] + 1 :]]
        for later, rest in all_fillings(model, filled, places[1:], words).items():
            found[(word, *later)] = probability * rest
    return found


def small() -> Model:
    """A model of seven words: small enough to try every filling."""
    tokenizer = learn_tokenizer(["ab ba aa"], vocabulary=20)
    assert len(tokenizer) - len(tokenizer.special.ids) == 7
    return masked("bert", tokenizer)


@pytest.mark.parametrize("text", ["a [MASK] b [MASK]", "[MASK] [MASK] a [MASK]"])
def test_joint_probabilities_over_all_fillings(text: str) -> None:
    """With room for every partial filling, the list is that of all fillings, best first."""
    model = small()
    tokenizer = model.tokenizer
    assert tokenizer is not None
    ids = tokenizer.encode(text)
    places = [place for place, token in enumerate(ids) if token == tokenizer.special.mask_id]
    words = [token for token in range(len(tokenizer)) if token not in tokenizer.special.ids]
    every = {
        tuple(tokenizer.decode([token]) for token in tokens): probability
        for tokens, probability in all_fillings(model, ids, places, words).items()
    }
    joint = fill(model, text, top_k=1000).joint
    assert len(joint) == len(every) == 7 ** len(places)
    for filling in joint:
        assert filling.probability == pytest.approx(every[filling.words], rel=1e-4)
    order = [filling.probability for filling in joint]
    assert order == sorted(order, reverse=True)
    best = max(every, key=lambda words: every[words])
    assert joint[0].words == best == fill(model, text, top_k=7).joint[0].words


def test_the_best_filling_does_not_depend_on_how_many_are_asked_for() -> None:
    for seed in range(6):
        model = masked(seed=seed)
        text = "the [MASK] sat on [MASK] and the [MASK]"
        five = fill(model, text, top_k=5)
        one = fill(model, text, top_k=1)
        assert one.joint == five.joint[:1]
        assert [candidates[0] for candidates in five.blanks] == [candidates[0] for candidates in one.blanks]
        assert len(five.joint) == 5


def test_a_joint_filling_is_more_than_the_best_of_each() -> None:
    """Else joint search would be of no use: somewhere the first words differ."""
    differs = []
    for seed in range(6):
        filled = fill(masked(seed=seed), "the [MASK] sat on [MASK] and the [MASK]")
        differs.append(tuple(candidates[0].word for candidates in filled.blanks) != filled.joint[0].words)
    assert any(differs)


def test_one_blank_is_asked_for_once() -> None:
    """Joint or not, one blank is the same question; p blanks take p passes."""
    model, calls = masked(), []
    model.network.register_forward_pre_hook(lambda *_: calls.append(1))
    filled = fill(model, "the [MASK] sat")
    assert len(calls) == 1
    assert [(filling.words, filling.probability) for filling in filled.joint] == [
        ((candidate.word,), candidate.probability) for candidate in filled.blanks[0]
    ]
    fill(model, "[MASK] [MASK] [MASK]")
    assert len(calls) == 1 + 3


@pytest.mark.parametrize(("family", "make"), [("bert", wordpiece), ("roberta", roberta_tokenizer)])
def test_both_spellings_of_the_blank(family: str, make: Callable[[], Tokenizer]) -> None:
    model = masked(family, make())
    first = fill(model, "the [MASK] sat on the <mask>.")
    assert first == fill(model, "the <mask> sat on the [MASK].") == fill(model, "the [MASK] sat on the [MASK].")
    assert len(first.blanks) == 2


def test_words_read_as_words() -> None:
    """No space in front, no special token in the text, the text as the tokenizer writes it."""
    filled = fill(masked("roberta", roberta_tokenizer()), "the [MASK] sat", top_k=300)
    assert all(candidate.word == candidate.word.strip() for candidate in filled.blanks[0])
    filling = next(filling for filling in filled.joint if filling.words == ("cat",))
    assert filling.text in ("the cat sat", "thecat sat")  # " cat" and "cat" are two tokens

    filled = fill(masked(), "the [MASK] sat", top_k=60)
    texts = {filling.words[0]: filling.text for filling in filled.joint}
    assert texts["dog"] == "the dog sat"


def test_no_more_words_than_there_are() -> None:
    """Special tokens have no probability here and are never listed, nor are ids that no token has."""
    for model in (masked(), masked(vocabulary=len(wordpiece()) + 7)):
        filled = fill(model, "the [MASK] sat on [MASK]", top_k=10_000)
        for candidates in filled.blanks:
            assert len(candidates) == len(wordpiece()) - 5
            assert all(candidate.probability > 0 for candidate in candidates)
        assert len(filled.joint) == (len(wordpiece()) - 5) ** 2
        shares = [sum(candidate.probability for candidate in candidates) for candidates in filled.blanks]
        assert all(share < 1 for share in shares)
        assert math.fsum(filling.probability for filling in filled.joint) <= shares[0]


def test_shown() -> None:
    model = masked()
    one, two = str(fill(model, "the [MASK] sat", top_k=2)), str(fill(model, "the [MASK] sat on [MASK]", top_k=2))
    word = fill(model, "the [MASK] sat").blanks[0][0]
    assert one.splitlines()[0] == f"{word.probability:7.2%}  {word.word}"
    assert len(one.splitlines()) == 2
    assert [line for line in two.splitlines() if "%" not in line] == ["blank 1", "blank 2", "together"]
    assert len(two.splitlines()) == 9
    assert isinstance(fill(model, "[MASK]"), Filled)


def test_a_model_that_learned_to_look_back_fills_nothing(tmp_path: Path) -> None:
    """At a blank it predicts the token after it; a view on one that looked both ways still predicts the blank."""
    view = masked().with_mask(Causal())
    assert fill(view, "the [MASK]").blanks
    config = json.loads((view.save(tmp_path) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "sightline": {}}))
    decoder = load(tmp_path)
    assert decoder.trained_mask == Causal()
    assert not abilities(decoder)["fill"].can
    for asked in (lambda: fill(decoder, "the [MASK]"), lambda: generate(decoder, "the", method="mask-predict").ids()):
        with pytest.raises(
            UnsupportedError, match="trained under the mask causal: at a blank it expects the word after"
        ):
            asked()


def test_wrong_use() -> None:
    model = masked()
    gpt2 = build("gpt2", "tiny", layers=1, width=8, inner=8, tokenizer=bytelevel())
    with pytest.raises(UnsupportedError, match=r"this gpt2 fills no blanks: .* use a masked model such as BERT, or"):
        fill(gpt2, "the [MASK]")
    with pytest.raises(UnsupportedError, match="this bert came without a tokenizer"):
        fill(writer("bert"), "the [MASK]")
    with pytest.raises(InputError, match=r"the text is empty; write a sentence with \[MASK\] where a word is missing"):
        fill(model, " \n")
    with pytest.raises(InputError, match=r"the text has no blank; write \[MASK\] where a word is missing"):
        fill(model, "the cat")
    with pytest.raises(InputError, match=r"the text has no blank; write <mask> where"):
        fill(masked("roberta", roberta_tokenizer()), "the cat")
    with pytest.raises(InputError, match="the text is of type list; fill takes one text"):
        fill(model, ["the [MASK]"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"34 tokens are more than this model's 24 positions: shorten the text"):
        fill(model, "the cat " * 15 + "[MASK] .")
    for top_k in (0, -1, 1.5, None):
        with pytest.raises(ConfigError, match=r"top_k=.* must be a whole number, 1 or more"):
            fill(model, "the [MASK]", top_k)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="reads each token's rank, and a text alone has none"):
        fill(model.with_mask(Permuted()), "the [MASK]")
    with pytest.raises(
        UnsupportedError, match=r"training mode, where dropout makes answers random; call model.eval\(\)"
    ):
        fill(model.train(), "the [MASK]")
