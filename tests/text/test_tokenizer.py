"""The tokenizer's contract, on small tokenizers learned on the spot."""

import copy
import pickle
from pathlib import Path

import pytest
import tokenizers
import torch
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import InputError
from sightline.tasks.corpus_encoder import Encoder
from sightline.text.learn import learn_tokenizer
from sightline.text.special import SpecialTokens
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer


def fresh(tokenizer: Tokenizer) -> Tokenizer:
    """One that a test may add tokens to."""
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    return Tokenizer(backend, names=tokenizer.special.names, makes_types=tokenizer.makes_types)


def test_a_text_is_a_batch_of_one(wordpiece: Tokenizer) -> None:
    one, listed = wordpiece("the fox"), wordpiece(["the fox"])
    assert one.input_ids.shape == (1, one.real[0])
    assert torch.equal(one.input_ids, listed.input_ids)
    assert one.input_ids[0].tolist() == wordpiece.encode("the fox")
    pair = wordpiece("the fox", "the dog")
    assert torch.equal(pair.input_ids, wordpiece(["the fox"], ["the dog"]).input_ids)
    assert pair["token_type_ids"][0].tolist() == [0] * one.real[0] + [1] * (pair.real[0] - one.real[0])


def test_types_only_where_a_model_takes_them(wordpiece: Tokenizer, bytelevel: Tokenizer) -> None:
    assert set(wordpiece("a", "b")) == {"input_ids", "token_type_ids", "attention_mask"}
    assert set(bytelevel("a", "b")) == {"input_ids", "attention_mask"}


def test_without_a_pad_token_padding_is_id_0_and_unseen(bytelevel: Tokenizer) -> None:
    assert bytelevel.special.pad_id is None
    before = len(bytelevel)
    encoding = bytelevel(["a much longer row than", "this"])
    short = encoding.real[1]
    assert encoding.input_ids[1, short:].unique().tolist() == [0]
    assert encoding.attention_mask[1].tolist() == [1] * short + [0] * (encoding.real[0] - short)
    assert len(bytelevel) == before


def test_a_row_is_the_same_alone_and_in_any_batch(wordpiece: Tokenizer) -> None:
    texts = ["fox", "", "The dog sleeps on.", "\N{FAMILY} 42"]
    batch = wordpiece(texts)
    for row, text in enumerate(texts):
        assert batch.input_ids[row, : batch.real[row]].tolist() == wordpiece.encode(text)


@pytest.mark.parametrize(
    ("texts", "pairs", "settings", "message"),
    [
        ([], None, {}, "at least one text"),
        (7, None, {}, "texts is int 7"),
        (["a", None], None, {}, "row 2 is NoneType None"),
        (["a", ["b"]], None, {}, "row 2 is list"),
        (b"bytes", None, {}, "row 1 is int"),
        (["a", "b"], ["c"], {}, "2 texts but 1 pairs"),
        (["a"], [3], {}, "second text of row 1 is int 3"),
        (["a", "b\ud83d"], None, {}, "row 2 is not valid Unicode at character 2"),
        (["a"], ["\ud83d"], {}, "row 1 is not valid Unicode"),
        (["a", "a b c d e"], None, {"max_length": 5}, "row 2 has 7 tokens, more than max_length 5; pass truncation"),
        (["a b c"], None, {"max_length": 2, "truncation": True}, "no room for text beside 2 special"),
        (["a"], None, {"max_length": 0}, "max_length=0 counts tokens"),
        (["a"], None, {"truncation": True}, "pass max_length"),
        (["a"], None, {"padding_side": "both"}, "choose 'left' or 'right'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    wordpiece: Tokenizer, texts: object, pairs: object, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        wordpiece(texts, pairs, **settings)


def test_an_empty_text_needs_some_token(wordpiece: Tokenizer, bytelevel: Tokenizer) -> None:
    assert wordpiece("").real == (2,)
    with pytest.raises(InputError, match=r"row 2 .* gives no tokens"):
        bytelevel(["a", ""])
    with pytest.raises(InputError, match=r"row 1 .* gives no tokens"):
        wordpiece(" ", add_special_tokens=False)


def test_max_length_is_the_tokenizers_own_where_none_is_given(wordpiece: Tokenizer) -> None:
    own = fresh(wordpiece)
    own.max_length = 6
    text = "The quick brown fox jumps over"
    assert own(text, truncation=True).real == (6,)
    assert own(text, truncation=True, max_length=4).real == (4,)
    assert own(text).real == (len(wordpiece.encode(text)),), "nothing is cut unless it is asked for"


def test_settings_of_the_backend_never_cut_or_pad(wordpiece: Tokenizer) -> None:
    backend = tokenizers.Tokenizer.from_str(wordpiece.backend.to_str())
    backend.enable_truncation(4)
    backend.enable_padding(length=64)
    tokenizer = Tokenizer(backend, names=wordpiece.special.names, makes_types=True)
    text = "The quick brown fox jumps over the lazy dog"
    assert tokenizer.encode(text) == wordpiece.encode(text)
    assert tokenizer(text).real == wordpiece(text).real


def test_a_prompt_begins_as_the_model_expects_and_is_never_closed(wordpiece: Tokenizer, bytelevel: Tokenizer) -> None:
    special = wordpiece.special
    assert wordpiece.prompt("the fox") == wordpiece.encode("the fox")[:-1]
    assert wordpiece.prompt("the fox")[0] == special.cls_id
    assert wordpiece.prompt("") == [special.cls_id]
    assert wordpiece.prompt("fox [SEP]")[-1] == special.sep_id, "what the user wrote stays"
    assert bytelevel.prompt("the fox") == bytelevel.encode("the fox")
    assert bytelevel.prompt("") == [bytelevel.special.bos_id]
    assert bytelevel.prompt("<|endoftext|>") == [bytelevel.special.bos_id]
    nothing = Tokenizer(bytelevel.backend, names={}, makes_types=False)
    with pytest.raises(InputError, match="no token to begin with"):
        nothing.prompt("")


@given(st.text())
def test_bytelevel_decodes_to_what_was_encoded(bytelevel: Tokenizer, text: str) -> None:
    assert bytelevel.decode(bytelevel.encode(text)) == text


def test_decode(wordpiece: Tokenizer) -> None:
    ids = wordpiece.encode("the fox, played")
    assert wordpiece.decode(ids) == "[CLS] the fox, played [SEP]"
    assert wordpiece.decode(torch.tensor(ids), skip_special_tokens=True) == "the fox, played"
    assert wordpiece.decode([]) == ""
    with pytest.raises(InputError, match="row by row"):
        wordpiece.decode(torch.tensor([ids]))
    for wrong in (-100, len(wordpiece), 2**40):
        with pytest.raises(InputError, match=f"no token has id {wrong}"):
            wordpiece.decode([5, wrong])


def test_tokens_and_ids_are_inverse(wordpiece: Tokenizer) -> None:
    assert [wordpiece.id(wordpiece.token(id)) for id in range(len(wordpiece))] == list(range(len(wordpiece)))
    assert "[MASK]" in wordpiece and "no such token" not in wordpiece
    with pytest.raises(InputError, match="'no such token' is not a token"):
        wordpiece.id("no such token")


def test_special_tokens(wordpiece: Tokenizer, bytelevel: Tokenizer) -> None:
    special = wordpiece.special
    assert (special.pad_id, special.unk_id, special.cls_id, special.sep_id, special.mask_id) == (0, 1, 2, 3, 4)
    assert (special.mask, special.bos, special.bos_id) == ("[MASK]", None, None)
    assert special.ids == {0, 1, 2, 3, 4}
    assert bytelevel.special.names == {"bos": "<|endoftext|>", "eos": "<|endoftext|>"}
    assert (wordpiece.kind, bytelevel.kind) == ("wordpiece", "bytelevel-bpe")
    assert "[MASK]" in repr(wordpiece) and f"{len(wordpiece)} tokens" in repr(wordpiece)


def test_added_tokens_are_kept_whole(wordpiece: Tokenizer, bytelevel: Tokenizer) -> None:
    for known in (wordpiece, bytelevel):
        tokenizer, before = fresh(known), len(known)
        text = "say <greeting> and zzyzx, zzyzxy"
        assert tokenizer.add_tokens(["zzyzx", "zzyzx"]) == 1
        assert tokenizer.add_tokens("<greeting>", special=True) == 1
        assert tokenizer.add_tokens(["zzyzx", tokenizer.token(9)]) == 0, "known tokens need no new id"
        assert len(tokenizer) == before + 2
        assert tokenizer.encode(text).count(before) == 2 and tokenizer.encode(text).count(before + 1) == 1
        assert before + 1 in tokenizer.special.ids and before not in tokenizer.special.ids
        shown = tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True)
        assert "zzyzx" in shown and "<greeting>" not in shown
        assert tokenizer.special.names == known.special.names
        with pytest.raises(InputError, match="empty"):
            tokenizer.add_tokens([""])


@pytest.mark.parametrize("kind", ["wordpiece", "bytelevel-bpe", "roberta-bpe"])
def test_literal_reads_as_a_corpus_is_read(kind: str) -> None:
    """What looks like a special token is none, and the tokenizer stays as it was."""
    tokenizer = learn_tokenizer(["The fox [runs] over <a> hen | and a dog / sleeps"] * 3, kind=kind, vocabulary=300)
    marks = ["[MASK]", "[SEP]", "[UNK]", "<mask>", "</s>", "<unk>", "<pad>", "<|endoftext|>"]
    texts = ["The fox", "", *(f"The {mark} fox{mark}" for mark in marks), "日本"]
    before = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    found = [row.ids for row in tokenizer.literal(texts)]
    assert [row.ids for row in tokenizer.literal(texts, offsets=True)] == found
    assert [tokenizer.encode(text, add_special_tokens=False) for text in texts] == before != found
    ids, lengths = Encoder(copy.deepcopy(tokenizer)).encode(texts)
    outer = len(tokenizer.special.document_start), len(tokenizer.special.document_end)
    ends = lengths.cumsum()
    assert found == [
        ids[end - length + outer[0] : end - outer[1]].tolist() for end, length in zip(ends, lengths, strict=True)
    ]


def test_literal_leaves_whole_words_as_they_are() -> None:
    """Their `<unk>` and `<eos>` stand in the texts that they were made of."""
    words = {"<unk>": 0, "<eos>": 1, "fox": 2}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    backend.add_special_tokens(["<unk>", "<eos>"])
    tokenizer = Tokenizer(backend, names={"unk": "<unk>", "eos": "<eos>"}, makes_types=False)
    assert tokenizer.literal(["fox <unk> hen <eos>"])[0].ids == [2, 0, 0, 1]


def test_a_tokenizer_travels_to_other_processes(wordpiece: Tokenizer) -> None:
    for other in (pickle.loads(pickle.dumps(wordpiece)), copy.deepcopy(wordpiece)):
        assert other.encode("played") == wordpiece.encode("played")
        assert other.special == wordpiece.special


def test_a_token_that_a_vocabulary_file_names_twice_takes_no_id_from_the_last(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "the", "sat"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = load_tokenizer(tmp_path, model_type="bert")
    assert len(tokenizer) == len(words)
    assert tokenizer.decode(tokenizer.encode("the cat sat", add_special_tokens=False)) == "the cat sat"


@pytest.mark.parametrize(
    ("ids", "start", "end"),
    [
        ({"cls_id": 2, "sep_id": 4}, (2,), (4,)),
        ({"bos_id": 0, "eos_id": 0}, (0,), (0,)),
        ({"bos_id": 1, "cls_id": 2, "eos_id": 3, "sep_id": 4}, (1,), (3,)),  # XLNet's, where all four differ
        ({}, (), ()),
    ],
)
def test_what_a_document_stands_between(ids: dict[str, int], start: tuple[int, ...], end: tuple[int, ...]) -> None:
    special = SpecialTokens(**ids)
    assert (special.document_start, special.document_end) == (start, end)
