"""Small tokenizers learned on the spot, their files in every layout, the comparison with transformers, and a hub."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from hub_server import HubServer
from sightline.text.learn import learn_tokenizer
from sightline.text.tokenizer import Tokenizer

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    "A tokenizer splits words into pieces: play, plays, played, playing, player, players.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Voix ambiguë d'un cœur qui, au zéphyr, préfère les jattes de kiwis.",
    "Don't you think it's 3.14, or $42 (forty-two)? \N{GRINNING FACE} \N{FAMILY}",
    "\u4e2d\u6587 and \u65e5\u672c\u8a9e, then İstanbul and Ελλάδα.",
] * 3


@pytest.fixture(scope="session")
def lines() -> list[str]:
    """Texts to stumble over: case, accents, special tokens written out, odd spaces, one that is long."""
    return [
        "The quick brown fox, playing!",
        "ZWÖLF Boxkämpfer – e\u0301té, naïve \N{GRINNING FACE}",
        "[MASK] is [SEP] inside\ttext\u00a0and \u4e2d\u6587",
        "a long row " * 9,
        " <|endoftext|> <s> x</s>",
        "it's 3.14% of $42; don't...",
        "x",
    ]


@pytest.fixture(scope="session")
def wordpiece() -> Tokenizer:
    return learn_tokenizer(TEXTS, kind="wordpiece", vocabulary=260)


@pytest.fixture(scope="session")
def cased() -> Tokenizer:
    return learn_tokenizer(TEXTS, kind="wordpiece", vocabulary=260, lowercase=False)


@pytest.fixture(scope="session")
def bytelevel() -> Tokenizer:
    return learn_tokenizer(TEXTS, kind="bytelevel-bpe", vocabulary=360)


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[..., Path]:
    """`write_folder(vocab_txt=…, config_json={…})` writes these files, a dict or list as JSON, and gives the folder."""

    def write(**files: object) -> Path:
        folder = tmp_path / f"folder-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name, content in files.items():
            stem, suffix = name.rsplit("_", 1)
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / f"{stem}.{suffix}").write_text(text, encoding="utf-8")
        return folder

    return write


@pytest.fixture(scope="session")
def vocab_txt() -> Callable[[Tokenizer], str]:
    """A WordPiece vocabulary as BERT's file: one piece a line, in the order of the ids."""

    def text(tokenizer: Tokenizer) -> str:
        return "".join(tokenizer.token(id) + "\n" for id in range(len(tokenizer)))

    return text


@pytest.fixture(scope="session")
def bpe_files() -> Callable[[Tokenizer], dict[str, object]]:
    """A byte-level vocabulary as GPT-2's two files."""

    def files(tokenizer: Tokenizer) -> dict[str, object]:
        model = json.loads(tokenizer.backend.to_str())["model"]
        merges = "".join(" ".join(pair) + "\n" for pair in model["merges"])
        return {"vocab_json": model["vocab"], "merges_txt": f"#version: 0.2\n{merges}"}

    return files


@pytest.fixture(scope="session")
def roberta_files(bpe_files: Callable[[Tokenizer], dict[str, object]]) -> Callable[[Tokenizer], dict[str, object]]:
    """The same, renumbered as RoBERTa's: its own special tokens first, the mask last."""

    def files(tokenizer: Tokenizer) -> dict[str, object]:
        both = bpe_files(tokenizer)
        pieces = [token for token in both["vocab_json"] if token != "<|endoftext|>"]
        tokens = ["<s>", "<pad>", "</s>", "<unk>", *pieces, "<mask>"]
        return both | {"vocab_json": {token: id for id, token in enumerate(tokens)}}

    return files


@pytest.fixture(scope="session")
def assert_same() -> Callable[..., None]:
    """`assert_same(ours, theirs, texts)`: transformers makes the same of these texts, alone and in pairs."""

    def check(ours: Tokenizer, theirs: object, texts: list[str]) -> None:
        pairs = texts[1:] + texts[:1]
        cut = {"truncation": True, "max_length": 13}  # of few rows: transformers also makes rows of all that is cut off
        for first, second, settings in ((texts, None, {}), (texts, pairs, {}), (texts[:100], pairs[:100], cut)):
            got = ours(first, second, **settings)
            want = theirs(first, second, return_offsets_mapping=True, return_special_tokens_mask=True, **settings)
            tensors = {name: rows for name, rows in want.items() if name in ours.model_inputs}
            assert set(got) == set(tensors) == set(theirs.model_input_names)
            for row, real in enumerate(got.real):
                kept = slice(real) if got.padding_side == "right" else slice(-real, None)
                for name, rows in tensors.items():
                    assert got[name][row, kept].tolist() == rows[row], first[row]
                assert got.offsets[row][kept] == [tuple(span) for span in want["offset_mapping"][row]]
                assert got.word_ids[row][kept] == want.word_ids(row)
                assert got.sequence_ids[row][kept] == want.sequence_ids(row)
                assert got.special[row, kept].tolist() == [flag == 1 for flag in want["special_tokens_mask"][row]]
                assert ours.decode(rows_ids := want["input_ids"][row]) == theirs.decode(rows_ids)
        for text in texts[:20]:
            assert ours.encode(text, add_special_tokens=False) == theirs.encode(text, add_special_tokens=False)

    return check


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub that this process uses, with an empty cache."""
    with HubServer() as server:
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        huggingface_hub.close_session()
        yield server
        huggingface_hub.close_session()
