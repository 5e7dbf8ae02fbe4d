"""Ids and texts are sentencepiece's own: every kind of model, any text, 10,000 real lines."""

import copy
import gzip
import lzma
import pickle
import shutil
from collections.abc import Callable
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import assume, example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Library

from sentencepiece_models import reviews, train, written
from sightline.errors import UnsupportedError
from sightline.text.sentencepiece_backend import merges_of, sentencepiece_backend
from sightline.text.sentencepiece_file import read_sentencepiece
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer, save_tokenizer

MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bytes": {"byte_fallback": True},
    "no dummy prefix": {"add_dummy_prefix": False},
    "all spaces": {"remove_extra_whitespaces": False},
    "as it is": {
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": False,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
    },
    "lower case and symbols": {
        "normalization_rule_name": "nmt_nfkc_cf",
        "user_defined_symbols": ["<SEP>", "the", "–", "@-@", "ﬁ"],
    },
    "symbols and control": {
        "normalization_rule_name": "identity",
        "user_defined_symbols": ["<X>", "(", ")", ".", ","],
        "control_symbols": ["<cls>", "<mask>"],
        "pad_id": 3,
    },
    "across words": {"split_by_whitespace": False, "normalization_rule_name": "nfkc_cf", "byte_fallback": True},
    "digits, few letters": {
        "normalization_rule_name": "nfkc",
        "split_digits": True,
        "character_coverage": 0.98,
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
    },
}
ODD = [
    "", " ", "  a  b ", "\ufb01ne \uff21\uff22\uff23\u3000x", "e\u0301 E\u0301 X\u0301 \u00ea\u0301", "▁a ▁",
    "a\tb\r\nc\r\n", "\u4e2d\u6587 \u65e5\u672c\u8a9e \u4e2d", "\uff76\uff9e \uff8a\uff9f", "\u0001x\u0002",
    "<0x0A> <0x41> 0x",
    "<SEP>a<sep> the<SEP>northeast", "\N{GRINNING FACE}\N{THUMBS UP SIGN}\U0001f3fd \u2764\ufe0f",
    "\u1112\u1161\u11ab \ud55c\uad6d\uc5b4", "aaaaaaaa 0000000 ------ eeeee", "\u00bd \u00b2 \u2163",
    "\u0130stanbul \u00df \u0149",
    "\u00a8 \u00a8x", "\u200bx\u200by", "\u00a0 x\u00a0", "a\u0327\u0301\u0323", "\ufdfa", "x<X>(a)(b).,",
    "\uff1cunk\uff1e \uff1cs\uff1e",
]  # fmt: skip
LETTERS = st.sampled_from(
    "  ▁aeE0–<>.\r\n\u0001\u00a8\ufb01\uff21\u0301\u0302\u0327\u200b\u200d\ufe0f\uff76\uff9e\u1112\u1161\u11ab"
)
# The letters that the normalizer uses for itself, unassigned and private, are left out.
TEXTS = st.text(LETTERS | st.characters(exclude_categories=["Cs", "Co"], exclude_characters="\ufff0"), max_size=24)


@cache
def model_file(algorithm: str, name: str) -> bytes:
    return train(model_type=algorithm, **MODELS[name])


class Both:
    """A model file, read here and by sentencepiece."""

    def __init__(self, content: bytes, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "spiece.model").write_bytes(content)
        self.ours: Tokenizer = load_tokenizer(folder)
        self.theirs = sentencepiece.SentencePieceProcessor(model_proto=content)

    def check(self, texts: list[str]) -> None:
        want = self.theirs.encode(texts)
        got = [row.ids for row in self.ours.encodings(texts)]
        wrong = [text for text, one, other in zip(texts, want, got, strict=True) if one != other]
        assert not wrong, f"{len(wrong)} of {len(texts)} texts, first {wrong[0]!r}"
        for text, ids in zip(texts, want, strict=True):
            if self.ours.special.unk_id not in ids:
                assert self.ours.decode(ids) == self.theirs.decode(ids), text


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Both]:
    @cache
    def read(algorithm: str, name: str) -> Both:
        return Both(model_file(algorithm, name), tmp_path_factory.mktemp("model"))

    return read


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_ids_and_texts_are_sentencepieces(both: Callable[[str, str], Both], algorithm: str, name: str) -> None:
    one = both(algorithm, name)
    special = {*one.ours.special.names.values(), "<cls>", "<mask>"}
    one.check([text for text in [*ODD, *reviews()[:300]] if not any(token in text for token in special)])


@pytest.mark.parametrize("name", ["plain", "as it is", "lower case and symbols"])
@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
@given(text=TEXTS)
@example(text="000 0000 00000")
@example(text="e\u0302\u0301 \u00ea\u0301 a\u0301\u0323")
def test_any_text_has_the_same_ids(both: Callable[[str, str], Both], algorithm: str, name: str, text: str) -> None:
    one = both(algorithm, name)
    assume(not any(token in text for token in one.ours.special.names.values()))  # to us these are tokens
    one.check([text, text * 3])


def test_equal_cuts_are_decided_by_rounding_as_in_sentencepiece(tmp_path: Path) -> None:
    # 0 00 and 00 0 have the same sum: which one wins depends on all that stands before.
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), ("▁", -2.31, 1), ("0", -3.7, 1), ("00", -5.3, 1)]
    both = Both(written([*pieces, ("a", -7.77, 1)]), tmp_path)
    texts = ["a" * length + " 000 00000" * 3 for length in range(200)]
    both.check(texts)
    library = [row.ids for row in both.ours.backend.encode_batch_fast(texts)]
    assert library != both.theirs.encode(texts), "the library alone would do: the exact search is not needed"
    assert all(both.ours.sentencepiece.exact.needs(text, ids) for text, ids in zip(texts, library, strict=True))


def test_few_texts_are_encoded_twice(both: Callable[[str, str], Both]) -> None:
    exact, backend = both("unigram", "plain").ours.sentencepiece.exact, both("unigram", "plain").ours.backend
    texts = list(reviews())
    twice = sum(exact.needs(text, row.ids) for text, row in zip(texts, backend.encode_batch_fast(texts), strict=True))
    assert twice < len(texts) / 20


def test_offsets_point_into_the_text(both: Callable[[str, str], Both]) -> None:
    for text in ("the  00000 caf\u00e9s", "caf\u0065\u0301s were fine 00000"):
        for algorithm in ("unigram", "bpe"):
            ours = both(algorithm, "plain").ours
            encoding = ours([text, "a pair"], ["fine", text], add_special_tokens=True)
            row = encoding.input_ids[0, : encoding.real[0]].tolist()
            spans = encoding.offsets[0][: len(row)]
            pieces = [ours.token(id).strip("▁") for id in row]
            for piece, (start, end), text_of in zip(pieces, spans, encoding.sequence_ids[0], strict=False):
                if piece.isascii() and piece and text_of == 0 and piece in text:
                    assert text[start:end].strip() == piece


def test_added_tokens_and_special_ones_stand_for_themselves(tmp_path: Path) -> None:
    one = Both(model_file("unigram", "plain"), tmp_path)
    assert one.ours.encode("</s>") == [2] and one.theirs.encode("</s>") != [2]
    text = "e\u0301 fine 000000"
    before = one.ours.encode(text)
    assert one.ours.add_tokens(["<new>"]) == 1
    assert one.ours.encode(text) == before == one.theirs.encode(text)
    assert one.ours.encode(f"{text}<new>{text}") == [*before, len(one.ours) - 1, *before]


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_literal_is_sentencepieces(both: Callable[[str, str], Both], algorithm: str) -> None:
    """To sentencepiece what looks like a special token is text, also in texts whose cuts or letters need care."""
    one = both(algorithm, "plain")
    marks = one.ours.special.names.values()
    texts = [f"{text}{mark} {text}" for mark in marks for text in ("the fox ", "fine", "e\u0301 fine ", "0" * 70)]
    special = [row.ids for row in one.ours.encodings(texts)]
    assert [row.ids for row in one.ours.literal(texts)] == one.theirs.encode(texts) != special
    assert [row.ids for row in one.ours.encodings(texts)] == special


def test_it_travels_to_other_processes_and_is_copied(both: Callable[[str, str], Both]) -> None:
    ours, texts = both("unigram", "plain").ours, [*ODD, *reviews()[:50]]
    want = [row.ids for row in ours.encodings(texts)]
    for other in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert [row.ids for row in other.encodings(texts)] == want


def test_long_texts_and_long_words(both: Callable[[str, str], Both]) -> None:
    text = " ".join(reviews()[:200])
    both("unigram", "plain").check([text, text.replace(" ", "")[:3000], "0" * 1000, "e\u0301" * 500])


def test_spaces_that_are_not_escaped(tmp_path: Path) -> None:
    letters = [(letter, -3.0 - place, 1) for place, letter in enumerate(" ▁ab")]
    pieces = [("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3), *letters, (" a", -2.0, 1), ("b ", -2.5, 1)]
    for prefix in (0, 1):
        for spaces in (0, 1):
            content = written(pieces, normalizer=((3, prefix), (4, spaces), (5, 0)))
            both = Both(content, tmp_path / f"{prefix}{spaces}")
            both.check(["", " ", "a", " a", "a b", "  a  b  ", "▁a ▁", "a ▁", "abc"])


@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_saved_and_read_again_it_is_the_same(algorithm: str, tmp_path: Path) -> None:
    one = Both(model_file(algorithm, "plain"), tmp_path)
    one.ours.add_tokens(["<new>"])
    save_tokenizer(one.ours, tmp_path / "saved")
    assert (tmp_path / "saved/spiece.model").read_bytes() == model_file(algorithm, "plain")
    again = load_tokenizer(tmp_path / "saved")
    assert again.special == one.ours.special
    assert again.backend.to_str() == one.ours.backend.to_str()
    texts = [*ODD, *reviews()[:50], "a<new>b"]
    assert [row.ids for row in again.encodings(texts)] == [row.ids for row in one.ours.encodings(texts)]


def test_another_tokenizer_in_the_folder_takes_its_place(
    both: Callable[[str, str], Both], wordpiece: Tokenizer, tmp_path: Path
) -> None:
    save_tokenizer(both("unigram", "plain").ours, tmp_path)
    save_tokenizer(wordpiece, tmp_path)
    assert not (tmp_path / "spiece.model").exists() and load_tokenizer(tmp_path).sentencepiece is None


def test_what_the_library_cannot_do_is_refused(tmp_path: Path) -> None:
    unknown, letter = ("<unk>", 0.0, 2), ("a", -1.0, 1)

    def read(content: bytes) -> Library:
        (tmp_path / "spiece.model").write_bytes(content)
        return sentencepiece_backend(read_sentencepiece(tmp_path / "spiece.model"))

    bpe = ((3, 2),)
    with pytest.raises(UnsupportedError, match=r"piece 'ab' has the letter 'b', which is no piece itself"):
        read(written([unknown, letter, ("ab", -2.0, 1)], trainer=bpe))
    letters = [(letter, -9.0, 1) for letter in "abcd"]
    order = [("bc", -1.0, 1), ("ab", -2.0, 1), ("cd", -4.0, 1)]
    assert read(written([unknown, *letters, *order], trainer=bpe, normalizer=((3, 0),))).encode("abcd").tokens == [
        "a",
        "bc",
        "d",
    ]
    with pytest.raises(UnsupportedError, match=r"merging never makes the BPE piece 'abcd'"):
        read(written([unknown, ("<x>", 0.0, 4), *letters, *order, ("abcd", -5.0, 1)], trainer=bpe))


def test_pieces_are_joined_in_the_order_of_their_scores(tmp_path: Path) -> None:
    pieces = [("<unk>", 0.0, 2), ("ab", -2.0, 1), ("b", -9.0, 1), ("aba", -1.0, 1), ("a", -9.0, 1)]
    (tmp_path / "m").write_bytes(written(pieces, trainer=((3, 2),)))
    assert merges_of(read_sentencepiece(tmp_path / "m")) == [("ab", "a"), ("a", "b")]


def real_lines(folder: Path) -> list[str]:
    """10,000 lines: Wikipedia in English, captions in English, German and French."""
    with lzma.open(folder / "text/wikitext-2/train.txt.xz", "rt", encoding="utf-8") as file:
        # sentencepiece reads <unk> as five letters, we as the token.
        lines = list(islice((line.rstrip("\n").replace("<unk>", "unk") for line in file if line.strip()), 4000))
    for language in ("en", "de", "fr"):
        with gzip.open(folder / f"translation/multi30k/train.{language}.gz", "rt", encoding="utf-8") as file:
            lines += [line.rstrip("\n") for line in islice(file, 2000)]
    return lines


@pytest.mark.parametrize("name", ["t5-base/spiece.model", "german-unigram-30k/30k-clean.model"])
def test_published_models_on_real_lines(data_folder: Path, tmp_path: Path, name: str) -> None:
    content = (data_folder / "tokenizers" / name).read_bytes()
    lines = real_lines(data_folder)
    assert len(lines) == 10_000
    Both(content, tmp_path).check(lines)


QUICK = ["bytes", "lower case and symbols"]
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in MODELS if name not in QUICK]


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
@pytest.mark.parametrize("algorithm", ["unigram", "bpe"])
def test_trained_models_on_real_lines(data_folder: Path, tmp_path: Path, algorithm: str, name: str) -> None:
    lines = real_lines(data_folder)
    content = train(lines[::8], model_type=algorithm, **{**MODELS[name], "vocab_size": 2000})
    Both(content, tmp_path).check(lines)


def test_a_folder_that_transformers_opens(data_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    shutil.copyfile(data_folder / "tokenizers/t5-base/spiece.model", tmp_path / "spiece.model")
    ours = load_tokenizer(tmp_path, model_type="t5")
    save_tokenizer(ours, tmp_path / "saved")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "saved")
    lines = real_lines(data_folder)[::10]
    assert theirs(lines)["input_ids"] == [row.ids for row in ours.encodings(lines)]
