"""What is encoded in pieces, many at once, has the tokens that it has alone and in one piece."""

import lzma
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.tasks import corpus_encoder
from sightline.tasks.corpus_encoder import Encoder
from sightline.text.clean import clean
from sightline.text.learn import learn_tokenizer
from sightline.text.pipelines import GPT2_TOKENS, gpt2_pipeline
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer
from text.conftest import TEXTS

LINES = st.lists(
    st.sampled_from(["The fox", "it's", "3.14", "\N{FAMILY}", "\u4e2d\u6587", "", "  in", "<mask>", "x\u00a0", "'s"])
)


@pytest.fixture(scope="module", params=["wordpiece", "bytelevel-bpe", "roberta-bpe"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return Encoder(learn_tokenizer(TEXTS, kind=request.param, vocabulary=360))


@given(st.lists((LINES | st.lists(st.text(max_size=8), max_size=5)).map("\n".join).map(clean), max_size=4))
def test_pieces_have_the_tokens_of_the_whole(encoder: Encoder, texts: list[str]) -> None:
    assert encoder._parts_at_lines
    whole = [[*encoder.opening, *encoder._ids([text]), *encoder.closing] for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_encoder, "PIECE", 3)
        assert ["".join(encoder.pieces(text)) for text in texts] == texts
        ids, lengths = encoder.encode(texts)
    assert ids.tolist() == [id for row in whole for id in row]
    assert lengths.tolist() == [len(row) for row in whole]
    assert (ids.dtype, lengths.dtype) == (numpy.uint32, numpy.int64)


def test_a_tokenizer_with_tokens_across_lines_takes_texts_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that puts a space in front of every text would put one in front of every piece."""
    model = learn_tokenizer(TEXTS, kind="bytelevel-bpe", vocabulary=360).backend.model
    backend = gpt2_pipeline(model, GPT2_TOKENS, add_prefix_space=True)
    encoder = Encoder(Tokenizer(backend, names=GPT2_TOKENS, makes_types=False))
    monkeypatch.setattr(corpus_encoder, "PIECE", 3)
    assert encoder.pieces("one\ntwo\nthree") == ["one\ntwo\nthree"]


def test_a_text_without_a_seam_stays_whole(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_encoder, "PIECE", 3)
    assert encoder.pieces("one two three") == ["one two three"]
    assert encoder.pieces("one\n\ntwo\n three") == ["one\n\ntwo\n three"]
    assert encoder.pieces("one\n\ntwo\nthree") == ["one\n\ntwo\n", "three"]


def test_special_tokens_in_a_text_are_text(encoder: Encoder) -> None:
    names = encoder.tokenizer.special.names.values()
    ids = encoder._ids([f"a {name} b" for name in names])
    unknown = {encoder.tokenizer.special.unk_id}
    assert not set(ids) & (encoder.tokenizer.special.ids - unknown)


@pytest.mark.parametrize("name", ["gpt2", "bert-base-uncased", "bert-base-cased"])
def test_published_tokenizers_on_real_text(name: str, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(load_tokenizer(data_folder / "tokenizers" / name, model_type=name.split("-")[0]))
    with lzma.open(data_folder / "text/openstax/psychology.txt.xz", "rt", encoding="utf-8") as file:
        text = clean(file.read(200_000))
    whole = encoder._ids([text])
    monkeypatch.setattr(corpus_encoder, "PIECE", 100)
    assert len(encoder.pieces(text)) > 300
    assert encoder._ids(encoder.pieces(text)) == whole
