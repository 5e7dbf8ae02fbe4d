"""Mask-predict: all blanks at once, then the least certain ones again, as in the paper's section 3.

Shapes: P blanks, V vocabulary.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from decoding.models import TEXTS, bytelevel, endings, masked, roberta_tokenizer, wordpiece, writer
from sightline.decoding.generate import generate
from sightline.decoding.mask_predict import MaskPredict, Round, longest, masked_log_probs, predict
from sightline.decoding.sampling import Sampling
from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.model.build import build
from sightline.model.model import Model
from sightline.text.learn import learn_tokenizer
from sightline.text.tokenizer import Tokenizer

PROMPT = wordpiece().prompt("the cat")
BLANK = wordpiece().special.mask_id
END = wordpiece().special.sep_id


def rounds_of(
    model: Model, blanks: int, rounds: int, prompt: list[int] = PROMPT, **how: Any
) -> tuple[list[Round], list[list[int]]]:
    """What stood in the blanks after each round, and the ids that the model was asked with."""
    asked: list[list[int]] = []

    def note(_: object, inputs: tuple[Tensor, ...]) -> None:
        asked.append(inputs[0][0].tolist())

    hook = model.network.register_forward_pre_hook(note)
    found = list(predict(model, prompt, blanks, MaskPredict(rounds=rounds), Sampling(**how)))
    hook.remove()
    return found, asked


def plain_log_probs(model: Model, ids: list[int], place: int) -> Tensor:
    """(V,), by a forward pass over everything, in the model's own type."""
    with torch.no_grad():
        return model.logits(model(torch.tensor([ids])).last_hidden_state)[0, place].log_softmax(-1)


def words_only(log_probs: Tensor, tokenizer: Tokenizer) -> Tensor:
    return log_probs.index_fill(0, torch.tensor(sorted(tokenizer.special.ids)), -torch.inf)


@pytest.mark.parametrize(("family", "make"), [("bert", wordpiece), ("roberta", roberta_tokenizer)])
def test_the_first_round_takes_the_likeliest_everywhere(family: str, make: Callable[[], Tokenizer]) -> None:
    tokenizer = make()
    model, prompt = masked(family, tokenizer), tokenizer.prompt("the cat")
    (first, *_), (asked, *_) = rounds_of(model, 5, 4, prompt)
    assert asked == [*prompt, *[tokenizer.special.mask_id] * 5, tokenizer.special.sep_id]
    for place, (token, log_prob) in enumerate(zip(first.tokens, first.log_probs, strict=True), start=len(prompt)):
        own = plain_log_probs(model, asked, place)
        assert token == int(words_only(own, tokenizer).argmax())
        assert log_prob == pytest.approx(float(own[token]), abs=1e-5)


@pytest.mark.parametrize(("blanks", "rounds"), [(1, 10), (3, 1), (5, 2), (7, 4), (12, 5), (10, 10), (4, 10)])
def test_how_many_are_masked_again(blanks: int, rounds: int) -> None:
    """n = N · (T − t) / T, rounded down: all, then fewer and fewer; once it is none, the text stays."""
    found, asked = rounds_of(masked(), blanks, rounds)
    counts = [blanks, *(blanks * (rounds - number) // rounds for number in range(1, rounds))]
    assert [ids.count(BLANK) for ids in asked] == [count for count in counts if count]
    assert len(found) == len(asked)


@pytest.mark.parametrize("how", [{}, {"temperature": 1.0, "seed": 3}], ids=["likeliest", "drawn"])
def test_the_least_certain_are_masked_again_and_nothing_else_changes(how: dict[str, Any]) -> None:
    changed = False
    for seed in range(4):
        model = masked(seed=seed)
        found, asked = rounds_of(model, 9, 6, **how)
        for before, after, ids in zip(found[:-1], found[1:], asked[1:], strict=True):
            again = [place for place in range(9) if ids[len(PROMPT) + place] == BLANK]
            assert again == sorted(sorted(range(9), key=lambda place: before.log_probs[place])[: len(again)])
            for place in range(9):
                if place in again:
                    own = float(plain_log_probs(model, ids, len(PROMPT) + place)[after.tokens[place]])
                    assert after.log_probs[place] == pytest.approx(own, abs=1e-5)
                    changed |= after.tokens[place] != before.tokens[place]
                else:
                    assert ids[len(PROMPT) + place] == before.tokens[place] == after.tokens[place]
                    assert after.log_probs[place] == before.log_probs[place]
            assert ids[: len(PROMPT)] == PROMPT and ids[-1] == END
    assert changed  # a second look is of use


@pytest.mark.parametrize("seed", range(3))
def test_only_words_are_written(seed: int) -> None:
    """No special token, and no row of the vocabulary that no token has, not even at a high temperature."""
    tokenizer = wordpiece()
    model = masked(seed=seed, vocabulary=len(tokenizer) + 9)
    generation = generate(model, "the cat", method="mask-predict", max_new_tokens=15, temperature=50.0, seed=seed)
    assert all(token < len(tokenizer) and token not in tokenizer.special.ids for token in generation.ids()[0])


def test_more_special_tokens_than_the_model_has_rows() -> None:
    """A tokenizer that was given tokens after the model was made; the model cannot write those anyway."""
    tokenizer = learn_tokenizer(TEXTS, vocabulary=60)
    model = masked("bert", tokenizer)
    tokenizer.add_tokens(["<later>"], special=True)
    assert tokenizer.id("<later>") == model.config.vocabulary
    assert len(generate(model, "the cat", method="mask-predict", max_new_tokens=3).ids()[0]) == 3


def test_the_text_is_what_stands_in_the_blanks() -> None:
    model = masked()
    *_, last = predict(model, PROMPT, 6, MaskPredict(rounds=3), Sampling())
    generation = generate(model, "the cat", method="mask-predict", max_new_tokens=6, rounds=3)
    (row,) = generation.rows()
    assert [step.token for step in row] == last.tokens
    assert [step.log_prob for step in row] == last.log_probs
    assert "the cat" + generation.texts()[0] == wordpiece().decode([*PROMPT, *last.tokens], skip_special_tokens=True)
    assert endings(generation) == ["length"]


def test_seeds() -> None:
    model = masked()
    how: dict[str, Any] = {"method": "mask-predict", "max_new_tokens": 8, "rounds": 3, "temperature": 1.5}
    texts = [generate(model, "the cat", seed=seed, **how).texts()[0] for seed in range(4)]
    assert len(set(texts)) == 4
    assert generate(model, "the cat", seed=1, samples=3, **how).texts() == texts[1:]
    likeliest = generate(model, "the cat", **{**how, "temperature": 0.0}).texts()
    assert generate(model, "the cat", top_k=1, seed=5, **how).texts() == likeliest
    assert generate(model, "the cat", **{**how, "temperature": 0.0}).texts() == likeliest


def test_as_many_blanks_as_fit() -> None:
    """Asked for more, a row ends at the last position, as everywhere; the function itself refuses."""
    model = masked()  # 24 positions; [CLS] the cat … [SEP]
    assert longest(model, PROMPT) == 24 - len(PROMPT) - 1
    generation = generate(model, "the cat", method="mask-predict", max_new_tokens=1000)
    assert len(generation.ids()[0]) == longest(model, PROMPT)
    says = r"3 tokens and 21 blanks are more than this model's 24 positions; ask for at most 20 blanks"
    with pytest.raises(InputError, match=says):
        next(predict(model, PROMPT, 21, MaskPredict(), Sampling()))
    with pytest.raises(InputError, match="23 tokens leave no place for a blank among this model's 24 positions"):
        generate(model, [[7] * 23], method="mask-predict")
    assert len(generate(model, [[7] * 22], method="mask-predict").ids()[0]) == 1


def test_who_cannot() -> None:
    gpt2 = build("gpt2", "tiny", layers=1, width=8, inner=8, tokenizer=bytelevel())
    with pytest.raises(
        UnsupportedError, match="this gpt2 fills no blanks: its tokenizer has no mask token; use a mask"
    ):
        generate(gpt2, "a", method="mask-predict")
    with pytest.raises(UnsupportedError, match="this bert came without a tokenizer, which knows the mask token"):
        generate(writer("bert"), [[5]], method="mask-predict")
    headless = build("bert", "tiny", layers=1, width=8, inner=8, heads=("pooler",), tokenizer=wordpiece())
    with pytest.raises(UnsupportedError, match="this bert has no head that fills blanks"):
        generate(headless, "a", method="mask-predict")
    with pytest.raises(UnsupportedError, match=r"model is in training mode.* call model.eval"):
        generate(masked().train(), "a", method="mask-predict")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"beams": 2}, "beams follows a row as it grows, and mask-predict writes it all at once"),
        ({"stop": "x"}, "stop follows"),
        ({"repetition_penalty": 1.1}, "repetition_penalty follows"),
        ({"no_repeat_ngram": 2}, "no_repeat_ngram follows"),
        ({"samples": 2}, "2 samples at temperature 0 would be the same; give a temperature"),
        ({"rounds": 0}, "rounds=0 must be a whole number, 1 or more"),
    ],
)
def test_what_does_not_go_with_it(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        generate(masked(), "the cat", method="mask-predict", **settings)


def test_log_probabilities_are_the_models_own() -> None:
    """Over the whole vocabulary: what special tokens would have had is not shared out among words."""
    model = masked()
    ids = torch.tensor([[*PROMPT, BLANK, END], [*PROMPT, 9, END]])
    places = torch.tensor([3, 1])
    got = masked_log_probs(model, ids, places)
    assert got.shape == (2, 2, len(wordpiece()))
    for row in (0, 1):
        for number, place in enumerate(places.tolist()):
            own = words_only(plain_log_probs(model, ids[row].tolist(), place), wordpiece())
            assert got[row, number].tolist() == pytest.approx(own.tolist(), abs=1e-5)
