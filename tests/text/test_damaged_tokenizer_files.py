"""A missing or damaged file is named in one line, with what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.errors import CheckpointError
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer, save_tokenizer

Write = Callable[..., Path]
Files = Callable[[Tokenizer], dict[str, object]]
BROKEN = {
    "tokenizer.json": [b"", b"{", b"[]", b"\xff\xfe", b'{"model": {"type": "BPE"}}', b'{"version": "9"}'],
    "tokenizer_config.json": [
        b"", b"[]", b"\xff", b'{"mask_token": 5}', b'{"mask_token": {"lstrip": true}}', b'{"do_lower_case": "yes"}',
        b'{"added_tokens_decoder": []}', b'{"added_tokens_decoder": {"x": "y"}}', b'{"additional_special_tokens": 3}',
        b'{"added_tokens_decoder": {"9999": {"content": "far away"}}}', b"[" * 100_000,
    ],
    "special_tokens_map.json": [b"{", b'"text"', b'{"pad_token": []}'],
    "added_tokens.json": [b"{", b'{"new": "id"}', b'{"new": -1}', b'{"new": 9999}'],
    "vocab.txt": [b"", b"a\nb\n", b"[UNK]\n[CLS]\n", b"\xff\xfe\n"],
    "vocab.json": [b"", b"{}x", b'{"a": -1}', b'["a"]', b"\xff"],
    "merges.txt": [b"#version: 0.2\nnot in_vocabulary\n", b"one\n", b"\xff\xfe"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), [(name, content) for name, all in BROKEN.items() for content in all])
def test_a_damaged_file_is_named(
    wordpiece: Tokenizer,
    bytelevel: Tokenizer,
    vocab_txt: Callable[[Tokenizer], str],
    bpe_files: Files,
    write_folder: Write,
    name: str,
    content: bytes,
) -> None:
    files = bpe_files(bytelevel) if name in ("vocab.json", "merges.txt") else {"vocab_txt": vocab_txt(wordpiece)}
    folder = write_folder(**files)
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        load_tokenizer(folder)
    message = str(caught.value)
    assert str(folder / name) in message and "\n" not in message
    assert any(remedy in message for remedy in ("download", "write", "ids are", "belong to")), message


def test_missing_halves_and_unreadable_files(
    bytelevel: Tokenizer, bpe_files: Files, write_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(**bpe_files(bytelevel))
    (folder / "merges.txt").unlink()
    with pytest.raises(CheckpointError, match=r"merges.txt is missing"):
        load_tokenizer(folder)
    (folder / "merges.txt").mkdir()
    with pytest.raises(CheckpointError, match=r"merges.txt cannot be read"):
        load_tokenizer(folder)
    folder = write_folder(tokenizer_json=bytelevel.backend.to_str())
    monkeypatch.setattr("sightline.text.tokenizer_settings.LARGEST_FILE", 1000)
    with pytest.raises(CheckpointError, match="too many for a tokenizer"):
        load_tokenizer(folder)


def test_cut_short_anywhere_it_is_damaged(wordpiece: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(wordpiece, tmp_path / "whole")
    text = (tmp_path / "whole" / "tokenizer.json").read_bytes()
    for part in range(0, len(text), len(text) // 40):
        folder = shutil.copytree(tmp_path / "whole", tmp_path / str(part))
        (folder / "tokenizer.json").write_bytes(text[:part])
        with pytest.raises(CheckpointError, match=r"tokenizer.json is"):
            load_tokenizer(folder)


def test_damage_that_shows_at_the_first_text(wordpiece: Tokenizer, write_folder: Write) -> None:
    backend = json.loads(wordpiece.backend.to_str())
    tokens = backend["post_processor"]["special_tokens"]
    backend["post_processor"]["special_tokens"] = {}  # the library does not raise here, it panics
    with pytest.raises(CheckpointError, match=r"tokenizer.json is damaged"):
        load_tokenizer(write_folder(tokenizer_json=backend))
    backend["post_processor"]["special_tokens"] = tokens
    del backend["model"]["vocab"]["[UNK]"]
    backend["added_tokens"] = []
    with pytest.raises(CheckpointError, match=r"tokenizer.json is damaged .*\[UNK\]"):
        load_tokenizer(write_folder(tokenizer_json=backend))
