"""Words as tokens: Transformer-XL's vocabulary from its pickles and its text file, and text that is cut to fit it."""

import pickle
from collections import Counter, OrderedDict
from pathlib import Path

import pytest
import torch

from sightline.errors import CheckpointError
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer, save_tokenizer

WORDS = (
    "<eos> the , . <unk> \" dog 's 5 @,@ 000 @-@ known well 1 @.@ 8 U.S. ( ) don 't is was Él end ends ; : ?"
).split()
IDS = {word: id for id, word in enumerate(WORDS)}


def pickled(lower_case: bool = False) -> dict[str, object]:
    """What TransfoXLTokenizer's makers pickled."""
    return {
        "counter": Counter(WORDS),
        "special": ["<eos>"],
        "min_freq": 0,
        "max_size": None,
        "lower_case": lower_case,
        "delimiter": None,
        "vocab_file": None,
        "never_split": ["<unk>", "<eos>", "<formula>"],
        "idx2sym": WORDS,
        "sym2idx": OrderedDict(IDS),
        "eos_idx": 0,
        "unk_idx": IDS["<unk>"],
    }


def opened(folder: Path, file: str = "vocab.pkl", lower_case: bool = False) -> Tokenizer:
    if file == "vocab.txt":
        (folder / file).write_text("".join(f"{word} 7\n" for word in WORDS), encoding="utf-8")
    elif file == "vocab.bin":
        torch.save(pickled(lower_case), folder / file)
    else:
        (folder / file).write_bytes(pickle.dumps(pickled(lower_case), 2))
    return load_tokenizer(folder, model_type="transfo-xl")


@pytest.mark.parametrize("file", ["vocab.pkl", "vocab.bin", "vocab.txt"])
def test_every_word_has_its_id(file: str, tmp_path: Path) -> None:
    tokenizer = opened(tmp_path, file)
    assert (len(tokenizer), tokenizer.kind) == (len(WORDS), "wordlevel")
    assert [tokenizer.id(word) for word in WORDS] == list(range(len(WORDS)))
    assert [tokenizer.token(id) for id in range(len(WORDS))] == WORDS
    assert tokenizer.special.names == {"eos": "<eos>", "unk": "<unk>"}


def test_text_that_is_cut_already_goes_through_unchanged(tmp_path: Path) -> None:
    """As WikiText is; whatever stands between spaces is a word, or none."""
    tokenizer = opened(tmp_path)
    text = "the dog 's 5 @,@ 000 @-@ known U.S. <unk> ( 1 @.@ 8 ) . \" the don 't Él <eos>"
    assert tokenizer.encode(text) == [IDS[word] for word in text.split()]
    assert tokenizer.decode(tokenizer.encode(text)) == text


CUT = {
    "The dog, the end.": "<unk> dog , the end .",
    'the "dog" ends.': 'the " dog " ends .',
    "(the dog's end)": "( the dog 's end )",
    "is 5,000 well-known?": "is 5 @,@ 000 well @-@ known ?",
    "was 1.8.": "was 1 @.@ 8 .",
    "don't; the U.S.": "don 't ; the U.S.",
    "the dog:": "the dog :",
    'the dog (is)."': 'the dog ( is ) . "',
    "dog--": "<unk>",
    "was Élis.": "was <unk> .",
    "dog.Él": "<unk>",
}


@pytest.mark.parametrize("text", CUT)
def test_other_text_is_cut_as_its_makers_cut_it(text: str, tmp_path: Path) -> None:
    tokenizer = opened(tmp_path)
    assert [tokenizer.token(id) for id in tokenizer.encode(text)] == CUT[text].split()


def test_joiners_are_made_only_where_the_vocabulary_has_them(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("<unk>\nwell-known\n5,000\n", encoding="utf-8")
    tokenizer = load_tokenizer(tmp_path, model_type="transfo-xl")
    assert tokenizer.encode("well-known 5,000") == [1, 2]


def test_lower_case_is_the_files_word(tmp_path: Path) -> None:
    tokenizer = opened(tmp_path, lower_case=True)
    assert tokenizer.encode("THE Dog") == [IDS["the"], IDS["dog"]]
    (tmp_path / "tokenizer_config.json").write_text('{"lower_case": false}')
    assert load_tokenizer(tmp_path, model_type="transfo-xl").encode("THE") == [IDS["<unk>"]]


def test_saved_and_opened_again(tmp_path: Path) -> None:
    tokenizer = opened(tmp_path, lower_case=True)
    folder = tmp_path / "saved"
    save_tokenizer(tokenizer, folder)
    again = load_tokenizer(folder, model_type="transfo-xl")
    text = "The dog's 5,000 well-known ends, <unk> and more <eos>."
    assert again.encode(text) == tokenizer.encode(text)
    assert again.special == tokenizer.special


def test_prompts_and_streams(tmp_path: Path) -> None:
    tokenizer = opened(tmp_path)
    ids = tokenizer.prompt("the dog")
    assert ids == [IDS["the"], IDS["dog"]]
    stream = tokenizer.decode_stream(after=ids)
    assert "".join(stream.add(IDS[word]) for word in ("is", "well", ".")) + stream.finish() == " is well ."


WRONG = {
    "no vocabulary": ({"idx2sym": WORDS}, "holds no vocabulary"),
    "no dict": (WORDS, "holds no vocabulary"),
    "an empty one": ({"sym2idx": {}}, "holds no vocabulary"),
    "ids that are none": ({"sym2idx": {"the": 1.5, "<unk>": 0}}, "'the' has the id 1.5"),
    "ids below zero": ({"sym2idx": {"the": -1}}, "'the' has the id -1"),
    "truth values": ({"sym2idx": {"the": True}}, "'the' has the id True"),
    "an id that cannot be written out": ({"sym2idx": {"the": 10**5000}}, "'the' has the id of type int"),
    "one id for two": ({"sym2idx": {"the": 1, "a": 1, "<unk>": 0}}, "two words the same id"),
    "words that are none": ({"sym2idx": {7: 1}}, "7 has the id 1"),
    "nothing for what it lacks": ({"sym2idx": {"the": 0}}, "lacks the unk token '<UNK>'"),
    "half a character": ({"sym2idx": {"\ud800": 0, "<unk>": 1}}, "has a word that is no text"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_vocabulary(what: str, tmp_path: Path) -> None:
    value, says = WRONG[what]
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps(value, 2))
    with pytest.raises(CheckpointError, match=says) as caught:
        load_tokenizer(tmp_path, model_type="transfo-xl")
    assert "vocab.pkl" in str(caught.value) and "\n" not in str(caught.value)


def test_an_id_that_would_fill_all_memory_if_it_were_written_out(tmp_path: Path) -> None:
    nested: list[object] = []
    for _ in range(60):
        nested = [nested, nested]
    (tmp_path / "vocab.pkl").write_bytes(pickle.dumps({"sym2idx": {"the": nested}}, 2))
    with pytest.raises(CheckpointError, match="'the' has the id of type list"):
        load_tokenizer(tmp_path, model_type="transfo-xl")


def test_a_word_for_what_it_lacks_in_capitals(tmp_path: Path) -> None:
    """The one-billion-word benchmark's vocabulary spells it <UNK>."""
    (tmp_path / "vocab.txt").write_text("<S>\nthe\n<UNK>\n", encoding="utf-8")
    assert load_tokenizer(tmp_path, model_type="transfo-xl").encode("the dog") == [1, 2]


def test_berts_vocab_txt_stays_berts(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\n", encoding="utf-8")
    assert load_tokenizer(tmp_path, model_type="bert").kind == "wordpiece"
