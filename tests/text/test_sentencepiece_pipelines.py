"""XLNet's, ALBERT's and T5's way with a sentencepiece model: transformers' ids for XLNet, the papers' tokens."""

import gzip
import json
import lzma
import unicodedata
from collections.abc import Callable
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from transformers import AutoTokenizer, XLNetTokenizer
from transformers.convert_slow_tokenizer import check_number_comma

from sentencepiece_models import reviews, train, written
from sightline.errors import CheckpointError, UnsupportedError
from sightline.text.sentencepiece_file import read_sentencepiece
from sightline.text.tokenizer_files import load_tokenizer, save_tokenizer
from sightline.text.windows import encode_rows

# As the published models were trained, says README.md of zihangdai/xlnet and of google-research/albert.
PUBLISHED: dict[str, dict[str, Any]] = {
    "xlnet": {
        "control_symbols": ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>"],
        "user_defined_symbols": ["<eop>", ".", "(", ")", '"', "-", "–", "£", "€"],
        "shuffle_input_sentence": True,
    },
    "albert": {
        "pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1,
        "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
        "user_defined_symbols": ["(", ")", '"', "-", ".", "–", "£", "€"],
    },
    "t5": {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
}  # fmt: skip
LINES = [
    "The ``quick'' fox, ''jumps''.",
    "It cost 1,000,000 or 9,000, not 12,5 and 3, 4,",
    "ZWÖLF Boxkämpfer – e\u0301té, naïve caf\u00e9 \N{GRINNING FACE}",
    "  odd\tspaces\u00a0and \u3000more  ",
    "a long row " * 9,
    "(brackets) - £5 \"said\" it's 3.14% of $42; don't...",
    "한국어 and 日本語",
    "x",
]


CONTROL = ["<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>"]


@cache
def model_file(family: str) -> bytes:
    return train(**PUBLISHED[family])


def model_with_commas() -> bytes:
    """An XLNet model in which numbers and their commas are pieces, as in the published one."""
    likely = ["▁in", "▁1985,", "5,", "▁1985", ",", "▁or", "▁12,", "▁12"]
    pieces = [(piece, -3.0 - place / 8, 1) for place, piece in enumerate(likely)]
    letters = [(letter, -9.0 - place / 8, 1) for place, letter in enumerate("▁0123456789inor")]
    return written([("<unk>", 0.0, 2), *((token, 0.0, 3) for token in CONTROL), *pieces, *letters])


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def write(content: bytes, **config: object) -> Path:
        where = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        where.mkdir()
        (where / "spiece.model").write_bytes(content)
        if config:
            (where / "tokenizer_config.json").write_text(json.dumps(config))
        return where

    return write


def theirs_of(content: bytes, path: Path, *, comma: bool, **settings: bool) -> XLNetTokenizer:
    """transformers' tokenizer of a model file, its pieces read by sentencepiece.

    transformers 5.23 has the rule for numbers with a comma only where it converts a tokenizer of version 4
    (`XLNetConverter.vocab`), and the published tokenizer.json was made so; reading spiece.model it forgets the rule.
    """
    pieces = sentencepiece.SentencePieceProcessor(model_proto=content)
    vocabulary = [(pieces.id_to_piece(id), pieces.get_score(id)) for id in range(pieces.get_piece_size())]
    if comma:
        vocabulary = [(piece, score - 100 * (not check_number_comma(piece))) for piece, score in vocabulary]
    charsmap = read_sentencepiece(path / "spiece.model").normalization.charsmap
    inputs = ["input_ids", "token_type_ids", "attention_mask"]  # 5.23 leaves the types out unless they are asked for
    return XLNetTokenizer(
        vocab=vocabulary, _spm_precompiled_charsmap=charsmap or None, model_input_names=inputs, **settings
    )


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("content", [model_file("xlnet"), model_with_commas()], ids=["trained", "with commas"])
def test_xlnet_is_transformers(
    folder: Callable[..., Path], assert_same: Callable[..., None], lowercase: bool, content: bytes
) -> None:
    where = folder(content, do_lower_case=lowercase)
    ours = load_tokenizer(where, model_type="xlnet")
    assert (ours.kind, ours.makes_types, ours.padding_side) == ("unigram", True, "left")
    theirs = theirs_of(content, where, comma=True, do_lower_case=lowercase)
    assert ours.special.names == {role: theirs.special_tokens_map[f"{role}_token"] for role in ours.special.names}
    assert_same(ours, theirs, [*LINES, "[MASK] a <mask> b <sep>", *reviews()[:60]])


def test_xlnet_as_saved_is_transformers(folder: Callable[..., Path], assert_same: Callable[..., None]) -> None:
    ours = load_tokenizer(folder(model_with_commas()), model_type="xlnet")
    where = folder(b"")
    save_tokenizer(ours, where)
    assert (where / "spiece.model").read_bytes() == model_with_commas()
    texts = [*LINES, *reviews()[:60]]
    again = load_tokenizer(where)  # no model type: the tokens say whose it is
    assert again.backend.to_str() == ours.backend.to_str() and again.special == ours.special
    assert (again.padding_side, again.padding_type) == ("left", 3)
    assert_same(again, AutoTokenizer.from_pretrained(where), texts)
    assert_same(again, XLNetTokenizer.from_pretrained(where), texts)


def test_xlnet_pads_on_the_left_with_a_type_of_its_own(folder: Callable[..., Path]) -> None:
    ours = load_tokenizer(folder(model_file("xlnet")), model_type="xlnet")
    save_tokenizer(ours, where := folder(b""))
    batch = ours(["the one", "a good deal longer than that"], ["text", "another"])
    theirs = XLNetTokenizer.from_pretrained(where)(
        ["the one", "a good deal longer than that"], ["text", "another"], padding=True, return_token_type_ids=True
    )
    assert AutoTokenizer.from_pretrained(where).padding_side == "left"
    # transformers means padding to have type 3 too (`_pad_token_type_id` of its class), but 5.23 sets it back to 0.
    assert theirs["token_type_ids"][0][0] == 0
    types = batch["token_type_ids"] * batch.attention_mask
    assert (types.tolist(), batch.input_ids.tolist()) == (theirs["token_type_ids"], theirs["input_ids"])
    assert batch.attention_mask.tolist() == theirs["attention_mask"]
    row, types = batch.input_ids[1].tolist(), batch["token_type_ids"][1].tolist()
    sep, cls = ours.special.sep_id, ours.special.cls_id
    assert row[-2:] == [sep, cls] and row.count(sep) == 2 and types[-1] == 2 and types[row.index(sep)] == 0
    assert batch["token_type_ids"][0, 0] == 3 and batch.input_ids[0, 0] == ours.special.pad_id
    assert ours(["a", "b c d"], padding_side="right").attention_mask[0, 0] == 1
    assert ours.prompt("the one") == ours.encode("the one", add_special_tokens=False)
    (made,) = encode_rows(ours, ["the one"])
    assert (made.front, made.back) == (0, 2)


def test_a_number_loses_its_comma_in_xlnet(folder: Callable[..., Path]) -> None:
    where, text = folder(content := model_with_commas()), "in 1985, or 12, 5,"
    ours = load_tokenizer(where, model_type="xlnet")
    tokens = [ours.token(id) for id in ours.encode(text, add_special_tokens=False)]
    # `encode_pieces` of XLNet's prepro_utils.py, written out.
    pieces = sentencepiece.SentencePieceProcessor(model_proto=content)
    want = []
    for piece in pieces.encode(text, out_type=str):
        if len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit():
            parts = pieces.encode(piece[:-1].replace("▁", ""), out_type=str)
            if piece[0] != "▁" and parts[0][0] == "▁":
                parts = parts[1:] if len(parts[0]) == 1 else [parts[0][1:], *parts[1:]]
            want += [*parts, ","]
        else:
            want.append(piece)
    assert tokens == want == ["▁in", "▁1985", ",", "▁or", "▁12", ",", "▁", "5", ","]
    assert theirs_of(content, where, comma=False).tokenize(text) == pieces.encode(text, out_type=str) != want


def test_published_letters(folder: Callable[..., Path]) -> None:
    """`preprocess_text` of XLNet's and ALBERT's repositories, written out, then sentencepiece."""
    for family, lowercase in (("albert", True), ("albert", False)):
        content = model_file(family)
        ours = load_tokenizer(folder(content, do_lower_case=lowercase), model_type=family)
        theirs = sentencepiece.SentencePieceProcessor(model_proto=content)
        for text in [*LINES, *reviews()]:
            plain = " ".join(text.strip().split()).replace("``", '"').replace("''", '"')
            plain = "".join(
                letter for letter in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(letter)
            )
            plain = plain.lower() if lowercase else plain
            assert ours.encode(text, add_special_tokens=False) == theirs.encode(plain), text


def test_albert_and_t5_put_their_tokens_around(folder: Callable[..., Path]) -> None:
    albert = load_tokenizer(folder(model_file("albert")), model_type="albert")
    cls, sep = albert.special.cls_id, albert.special.sep_id
    one, two = (albert.encode(text, add_special_tokens=False) for text in ("one text", "another"))
    batch = albert("one text", "another")
    assert batch.input_ids.tolist() == [[cls, *one, sep, *two, sep]]
    assert batch["token_type_ids"].tolist() == [[0] * (len(one) + 2) + [1] * (len(two) + 1)]
    t5 = load_tokenizer(folder(model_file("t5")), model_type="t5")
    one, two = (t5.encode(text, add_special_tokens=False) for text in ("one text", "another"))
    assert t5("one text", "another").input_ids.tolist() == [[*one, t5.special.eos_id, *two, t5.special.eos_id]]
    assert t5.model_inputs == ("input_ids", "attention_mask")
    assert len(t5) == 600 + 100 and t5.id("<extra_id_0>") == 699 and t5.id("<extra_id_99>") == 600
    for ours in (albert, t5):
        save_tokenizer(ours, where := folder(b""))
        again, theirs = load_tokenizer(where), AutoTokenizer.from_pretrained(where)
        texts = [*LINES, *reviews()[:100]]
        ids = [ours.encode(text) for text in texts]
        assert [again.encode(text) for text in texts] == ids
        assert [row == other for row, other in zip(theirs(texts)["input_ids"], ids, strict=True)].count(False) <= 1


def test_a_model_of_no_known_family_adds_nothing(folder: Callable[..., Path]) -> None:
    ours = load_tokenizer(folder(model_file("xlnet")))
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model_file("xlnet"))
    assert ours.encode("a text.") == theirs.encode("a text.")
    assert ours.special.names == {"bos": "<s>", "eos": "</s>", "unk": "<unk>"}
    assert ours.padding_side == "right" and not ours.makes_types


def test_a_family_whose_tokens_the_model_lacks_is_refused(folder: Callable[..., Path]) -> None:
    plain = train(bos_id=-1, eos_id=-1)
    for family, role, token in (("xlnet", "sep", "<sep>"), ("albert", "cls", r"\[CLS\]"), ("t5", "eos", "</s>")):
        with pytest.raises(CheckpointError, match=rf"spiece.model lacks the {role} piece '{token}' .* leave the model"):
            load_tokenizer(folder(plain), model_type=family)


def test_xlnet_on_real_lines(data_folder: Path, folder: Callable[..., Path]) -> None:
    with lzma.open(data_folder / "text/wikitext-2/valid.txt.xz", "rt", encoding="utf-8") as file:
        lines = [line for line in islice(file, 3000) if line.strip()]
    for language in ("en", "de", "fr"):
        with gzip.open(data_folder / f"translation/multi30k/val.{language}.gz", "rt", encoding="utf-8") as file:
            lines += [line.rstrip("\n") for line in file]
    content = train(lines, **{**PUBLISHED["xlnet"], "vocab_size": 4000})
    ours = load_tokenizer(where := folder(content), model_type="xlnet")
    theirs = theirs_of(content, where, comma=True)
    assert [row.ids for row in ours.encodings(lines)] == theirs(lines)["input_ids"]
    pairs = list(pairwise(lines))
    want = theirs([one for one, _ in pairs], [two for _, two in pairs], return_token_type_ids=True)
    got = ours.encodings(pairs)
    assert [row.ids for row in got] == want["input_ids"]
    assert [row.type_ids for row in got] == want["token_type_ids"]


def test_a_published_folder_is_read_by_its_tokenizer_json(
    folder: Callable[..., Path], assert_same: Callable[..., None]
) -> None:
    # As on the hub: tokenizer.json made by version 4, the model file beside it, and the name of the class.
    content = model_with_commas()
    theirs_of(content, where := folder(content), comma=True).backend_tokenizer.save(str(where / "tokenizer.json"))
    (where / "tokenizer_config.json").write_text('{"tokenizer_class": "XLNetTokenizer"}')
    ours = load_tokenizer(where, model_type="xlnet")
    assert (ours.padding_side, ours.special.mask, ours.sentencepiece.content) == ("left", "<mask>", content)
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    assert_same(ours, XLNetTokenizer.from_pretrained(where, model_input_names=inputs), LINES)


def test_an_xlnet_of_another_kind_is_refused(folder: Callable[..., Path]) -> None:
    content = train(model_type="bpe", control_symbols=["<sep>", "<cls>"])
    with pytest.raises(UnsupportedError, match="is a BPE model, and XLNet's are unigram; leave the model type out"):
        load_tokenizer(folder(content), model_type="xlnet")
    assert load_tokenizer(folder(content)).kind == "bpe"
