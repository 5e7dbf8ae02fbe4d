"""Sentencepiece models on real lines: how many get other ids than sentencepiece's, and processor time.

SIGHTLINE_DATA=folder python benchmarks/sentencepieces.py

The library alone is what transformers reads of a folder that Sightline saved.
"""

import gzip
import lzma
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import sentencepiece
from transformers import T5Tokenizer

from sightline.text.sentencepiece_file import read_sentencepiece
from sightline.text.tokenizer_files import load_tokenizer

MODELS = ("t5-base/spiece.model", "german-unigram-30k/30k-clean.model")
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def real_lines(folder: Path) -> list[str]:
    """10,000 lines: Wikipedia in English, captions in English, German and French."""
    with lzma.open(folder / "text/wikitext-2/train.txt.xz", "rt", encoding="utf-8") as file:
        lines = list(islice((line.rstrip("\n").replace("<unk>", "unk") for line in file if line.strip()), 4000))
    for language in ("en", "de", "fr"):
        with gzip.open(folder / f"translation/multi30k/train.{language}.gz", "rt", encoding="utf-8") as file:
            lines += [line.rstrip("\n") for line in islice(file, 2000)]
    return lines


def timed(encode: Callable[[], list[list[int]]]) -> tuple[list[list[int]], float]:
    """The ids, and the processor seconds that they took."""
    start = time.process_time()
    return encode(), time.process_time() - start


def main() -> None:
    data = Path(os.environ["SIGHTLINE_DATA"])
    lines = real_lines(data)
    print("| model | encoded by | of 10,000 lines other ids | seconds |")
    print("|---|---|---|---|")
    for name in MODELS:
        path = data / "tokenizers" / name
        with tempfile.TemporaryDirectory() as folder:
            shutil.copyfile(path, Path(folder, "spiece.model"))
            ours = load_tokenizer(Path(folder))
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        vocabulary = [(pieces.id_to_piece(id), pieces.get_score(id)) for id in range(pieces.get_piece_size())]
        charsmap = read_sentencepiece(path).normalization.charsmap
        theirs = T5Tokenizer(vocab=vocabulary, _spm_precompiled_charsmap=charsmap, extra_ids=0)
        want, seconds = timed(lambda pieces=pieces: pieces.encode(lines))
        print(f"| {name} | sentencepiece | 0 | {seconds:.1f} |")
        ways = {
            "Sightline": lambda ours=ours: [row.ids for row in ours.encodings(lines)],
            "Sightline again": lambda ours=ours: [row.ids for row in ours.encodings(lines)],
            "the library alone": lambda ours=ours: [row.ids for row in ours.backend.encode_batch_fast(lines)],
        }
        if name.startswith("t5"):
            ways["transformers' T5Tokenizer"] = lambda theirs=theirs: theirs(lines, add_special_tokens=False)[
                "input_ids"
            ]
        for way, encode in ways.items():
            got, seconds = timed(encode)
            other = sum(one != two for one, two in zip(want, got, strict=True))
            print(f"| {name} | {way} | {other} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
