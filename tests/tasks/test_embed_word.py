"""A word's vector: against transformers' hidden states, against minicons, and by the pieces it is made of."""

import warnings
from copy import deepcopy
from pathlib import Path

import numpy
import pytest
import torch

from sightline.errors import InputError, UnsupportedError
from sightline.model.model import Model
from sightline.tasks.embed_word import embed_word

BANK = "She sat on the bank of the river; the banker walked to the bank."


def saved(model: Model, folder: Path) -> Path:
    """The model as a folder that transformers opens, in float32."""
    return deepcopy(model).float().save(folder)


@pytest.mark.parametrize("layer", [0, 1, 3, -1, -2])
def test_it_is_the_mean_of_transformers_states_of_its_pieces(model: Model, layer: int, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = saved(model, tmp_path)
    peer, tokenizer = AutoModel.from_pretrained(folder).double().eval(), AutoTokenizer.from_pretrained(folder)
    encoding = tokenizer(BANK, return_tensors="pt")
    with torch.no_grad():
        states = peer(**encoding, output_hidden_states=True).hidden_states[layer][0]
    for word, starts in {"bank": [15, 59], "banker": [38], "She": [0], "river": [27]}.items():
        for occurrence, start in enumerate(starts, start=1):
            assert BANK[start:].startswith(word)
            pieces = sorted({encoding.char_to_token(place) for place in range(start, start + len(word))})
            got = embed_word(model, BANK, word, occurrence=occurrence, layer=layer)
            # float32 on the way through the file is what is left between the two
            numpy.testing.assert_allclose(got, states[pieces].mean(0).numpy(), rtol=0, atol=2e-5)


def test_it_is_what_minicons_extracts(bert: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        from minicons.cwe import CWE

        peer = CWE(str(saved(bert, tmp_path)))
    for word in ("river", "banker", "walked"):
        for layer in (0, 2, 3):
            want = peer.extract_representation([(BANK, word)], layer=layer)[0].numpy()
            numpy.testing.assert_allclose(embed_word(bert, BANK, word, layer=layer), want, rtol=0, atol=1e-5)


def test_the_vector_depends_on_the_sentence(model: Model) -> None:
    first, second = (embed_word(model, BANK, "bank", occurrence=which) for which in (1, 2))
    assert numpy.abs(first - second).max() > 1e-3
    assert first.shape == (model.config.width,)


SPANS = [
    ("She sat on the bank.", "bank", 1, ["bank"]),
    ("bank, bank; banks", "bank", 2, ["bank"]),
    ("Zwölf große Boxkämpfer", "große", 1, ["große"]),
    ("Zwo\u0308lf Boxka\u0308mpfer", "Zwölf", 1, ["Zwo\u0308lf"]),
    ("a \N{GRINNING FACE} fox", "fox", 1, ["fox"]),
    ("a \N{GRINNING FACE} fox", "\N{GRINNING FACE}", 1, ["\N{GRINNING FACE}"]),
    ("the lazy dog sleeps", " lazy dog ", 1, ["lazy", "dog"]),
]


@pytest.mark.parametrize(("sentence", "word", "occurrence", "parts"), SPANS)
def test_its_pieces_are_those_over_its_characters(
    model: Model, sentence: str, word: str, occurrence: int, parts: list[str]
) -> None:
    """The pieces that overlap it, found here by walking over the offsets of the library itself."""
    place = -1
    for _ in range(occurrence):
        place = sentence.index(parts[0], place + 1)
    end = sentence.index(parts[-1], place) + len(parts[-1])
    encoding = model.tokenizer.backend.encode(sentence)
    pieces = [index for index, (a, b) in enumerate(encoding.offsets) if set(range(a, b)) & set(range(place, end))]
    assert pieces
    with torch.no_grad():
        states = model(torch.tensor([encoding.ids])).last_hidden_state[0]
    got = embed_word(model, sentence, word, occurrence=occurrence)
    numpy.testing.assert_allclose(got, states[pieces].mean(0).numpy(), rtol=0, atol=1e-12)


def test_the_space_in_a_piece_brings_in_no_neighbour(gpt2: Model) -> None:
    """Byte-level pieces begin with the space before a word; the word before it does not end there."""
    encoding = gpt2.tokenizer.backend.encode("the the")
    assert encoding.offsets == [(0, 1), (1, 3), (3, 7)]
    with torch.no_grad():
        states = gpt2(torch.tensor([encoding.ids])).last_hidden_state[0]
    for occurrence, pieces in enumerate([[0, 1], [2]], start=1):
        got = embed_word(gpt2, "the the", "the", occurrence=occurrence)
        numpy.testing.assert_allclose(got, states[pieces].mean(0).numpy(), rtol=0, atol=1e-12)


WRONG = [
    ({"word": "banks"}, "no word 'banks' in 'She sat on the bank .*…': did you mean 'bank' or 'banker'"),
    ({"word": "Bank"}, "no word 'Bank' .*did you mean 'bank'"),
    ({"word": "ban"}, "no word 'ban' "),
    ({"word": "xylophone"}, "its words are 'She', 'sat', 'on', 'the', 'bank', 'of', 'river', 'banker' and 2 more"),
    ({"word": "bank", "occurrence": 3}, "occurrence 3 of 'bank': it is there 2 times; count from 1"),
    ({"word": "river", "occurrence": 0}, "occurrence 0 of 'river': it is there once"),
    ({"word": "bank", "layer": 4}, r"layer=4 is none; this model has 0 \(before the first block\) to 3, or -1"),
    ({"word": "bank", "layer": -5}, "layer=-5"),
    ({"word": " "}, "word is ' '; give some text"),
    ({"word": 3}, "word is 3; give some text"),
    ({"word": "a", "sentence": ""}, "sentence is ''; give some text"),
    ({"word": "fox", "sentence": "fox " * 400}, "tokens are more than this model's 300 positions"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[str(call)[:40] for call, _ in WRONG])
def test_wrong_use_is_named(model: Model, call: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        embed_word(model, **{"sentence": BANK, **call})  # type: ignore[arg-type]


def test_a_word_that_the_tokenizer_drops_is_named(bert: Model) -> None:
    with pytest.raises(InputError, match="the tokenizer makes nothing of"):
        embed_word(bert, "a \u200b b", "\u200b")


def test_a_model_that_cannot_read_is_refused(bert: Model) -> None:
    view = bert.with_mask(bert.mask)
    view.tokenizer = None
    with pytest.raises(UnsupportedError, match="without a tokenizer"):
        embed_word(view, BANK, "bank")
