"""Tiny random models of every family that read text, with tokenizers of the kinds that their checkpoints come with."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from contract.families import sizes, tiny
from decoding.models import bytelevel, roberta_tokenizer, wordpiece
from sentencepiece_models import train
from sightline.model.model import Model
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import load_tokenizer


@cache
def from_file(name: str, content: bytes, family: str) -> Tokenizer:
    """The tokenizer of a folder that holds nothing but this file."""
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        return load_tokenizer(Path(folder), model_type=family)


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "bert": wordpiece,
    "distilbert": wordpiece,
    "roberta": roberta_tokenizer,
    "gpt2": bytelevel,
    "modernbert": wordpiece,
    "modernbert-decoder": wordpiece,
    "xlnet": lambda: from_file(
        "spiece.model", train(vocab_size=200, control_symbols=["<cls>", "<sep>", "<pad>", "<mask>"]), "xlnet"
    ),
    "transfo-xl": lambda: from_file("vocab.txt", b"<eos> 9\n<unk> 9\nthe 9\ncat 5\n", "transfo-xl"),
}
"""By layout, the kind that its checkpoints come with, or one that has the same special tokens."""


def make(family: str) -> Model:
    """A model of this layout with a head over its tokenizer's vocabulary, in float64."""
    tokenizer = TOKENIZERS[family]()
    room = {"positions": 64} if "positions" in sizes(family) else {}
    plain = {"cutoffs": ()} if "cutoffs" in sizes(family) else {}
    return tiny(family, heads=("lm",), tokenizer=tokenizer, vocabulary=len(tokenizer), **room, **plain)
