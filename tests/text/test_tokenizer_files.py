"""transformers reads what we write, we read what it writes, and nothing changes on the way."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertTokenizerFast

from sightline.errors import CheckpointError
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer, save_tokenizer


@pytest.mark.parametrize("name", ["wordpiece", "cased", "bytelevel"])
@pytest.mark.parametrize("with_config", [True, False])
def test_what_we_save_is_read_as_it_was(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    assert_same: Callable[..., None],
    lines: list[str],
    name: str,
    with_config: bool,
) -> None:
    ours = request.getfixturevalue(name)
    (tmp_path / "added_tokens.json").write_text('{"left over": 5}')
    save_tokenizer(ours, tmp_path)
    if with_config:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert" if ours.makes_types else "gpt2"}))
    again = load_tokenizer(tmp_path)
    assert again.backend.to_str() == ours.backend.to_str()
    assert (again.special, again.makes_types, again.max_length) == (ours.special, ours.makes_types, ours.max_length)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert {f"{role}_token": token for role, token in ours.special.names.items()} == theirs.special_tokens_map
    assert_same(ours, theirs, lines)
    names = {"added_tokens.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"}
    assert {file.name for file in tmp_path.iterdir()} <= names, "no temporary file stays behind"


def test_a_failed_save_leaves_the_old_file(
    wordpiece: Tokenizer, bytelevel: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tokenizer(wordpiece, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(CheckpointError, match=r"cannot write .*tokenizer.json: disk full"):
        save_tokenizer(bytelevel, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["wordpiece", "bytelevel"])
def test_what_transformers_saves_is_read_as_it_is(
    request: pytest.FixtureRequest, tmp_path: Path, assert_same: Callable[..., None], lines: list[str], name: str
) -> None:
    save_tokenizer(request.getfixturevalue(name), tmp_path / "ours")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "ours")
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_tokenizer(tmp_path / "theirs")
    assert_same(ours, theirs, lines)
    assert ours.special.names == request.getfixturevalue(name).special.names


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, wordpiece: Tokenizer) -> BertTokenizerFast:
    folder = tmp_path_factory.mktemp("theirs")
    save_tokenizer(wordpiece, folder)
    return BertTokenizerFast.from_pretrained(folder)


@given(st.text(), st.text())
def test_any_text_gives_the_same_ids(wordpiece: Tokenizer, theirs: BertTokenizerFast, text: str, pair: str) -> None:
    assert wordpiece.encode(text) == theirs.encode(text)
    assert wordpiece(text, pair).input_ids.tolist() == theirs([text], [pair])["input_ids"]
    assert wordpiece.decode(wordpiece.encode(text)) == theirs.decode(theirs.encode(text))
