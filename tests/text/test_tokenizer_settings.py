"""What the files beside a vocabulary say, in the layouts of transformers 4 and 5, is understood as it does."""

from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer, save_tokenizer

Write = Callable[..., Path]
Files = Callable[[Tokenizer], dict[str, object]]
FLAGS = {"lstrip": True, "rstrip": False, "normalized": False, "single_word": False}
LAYOUTS = {
    "4, two files": {
        "added_tokens_json": {"[PAD]": 360, "<x y>": 361},
        "special_tokens_map_json": {"pad_token": "[PAD]", "mask_token": "<x y>", "bos_token": "<|endoftext|>"},
    },
    "4, one file": {
        "tokenizer_config_json": {
            "added_tokens_decoder": {
                "361": {"content": "play", **FLAGS, "normalized": True, "special": False},
                "360": {"content": "[PAD]", **FLAGS, "special": True},
            },
            "pad_token": "[PAD]",
            "tokenizer_class": "GPT2Tokenizer",
        }
    },
    "4, flags of a role": {
        "special_tokens_map_json": {"cls_token": "<cls>", "mask_token": {"content": "[PAD]", **FLAGS}}
    },
    "4, more special tokens": {"special_tokens_map_json": {"additional_special_tokens": ["<u1>", "<x y>"]}},
    "5": {
        "tokenizer_config_json": {
            "pad_token": "[PAD]",
            "extra_special_tokens": ["<u1>", "<x y>"],
            "backend": "tokenizers",
        }
    },
    "5, named": {"tokenizer_config_json": {"extra_special_tokens": {"image_token": "<u1>"}, "sep_token": "<x y>"}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tokens_beside_the_vocabulary(
    bytelevel: Tokenizer, bpe_files: Files, write_folder: Write, assert_same: Callable[..., None], layout: str
) -> None:
    folder = write_folder(**bpe_files(bytelevel), **LAYOUTS[layout], config_json={"model_type": "gpt2"})
    texts = ["a [PAD] b[PAD] play player", "<x y>x <u1> [PAD]", "<cls> the <u1>fox", "x"]
    ours, theirs = load_tokenizer(folder, model_type="gpt2"), AutoTokenizer.from_pretrained(folder)
    assert len(ours) == len(theirs)
    assert_same(ours, theirs, texts)
    for role, token in ours.special.names.items():
        assert getattr(theirs, f"{role}_token") == token
    again = folder / "again"
    save_tokenizer(ours, again)
    assert load_tokenizer(again).special == ours.special
    assert_same(load_tokenizer(again), theirs, texts)
    assert_same(ours, AutoTokenizer.from_pretrained(again), texts)


@pytest.mark.parametrize("length", [10**30, 1e30, -1, 0, None, True, "512"])
def test_an_unbelievable_max_length_is_none(wordpiece: Tokenizer, write_folder: Write, length: object) -> None:
    folder = write_folder(tokenizer_json=wordpiece.backend.to_str(), tokenizer_config_json={"model_max_length": length})
    assert load_tokenizer(folder).max_length is None
