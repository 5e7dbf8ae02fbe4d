"""Words as tokens: Transformer-XL's vocabulary, and the way from text to words that fits it.

Its makers cut text with Moses (Koehn et al. 2007), which parts punctuation from words, "'s" from what owns, and writes
"5 @,@ 000" and "well @-@ known"; text that is cut already, as WikiText is, goes through unchanged. What is done here is
the part of it that needs no language's list of abbreviations.
"""

from collections.abc import Mapping
from pathlib import Path

import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers

from sightline.errors import CheckpointError
from sightline.text.pickled import read_plain
from sightline.text.tokenizer_settings import AGAIN, read_text

PICKLES = ("vocab.pkl", "vocab.bin")
_JOINERS = {"@,@": r"(?<=\d),(?=\d)", "@.@": r"(?<=\d)\.(?=\d)", "@-@": r"(?<=\w)-(?=\w)"}
_REST = r"(?=[,;:!?.\")\]]*$)"  # nothing follows but what closes
_PARTED = (
    r"^[\"(\[]"  # what opens
    rf"|[,;:!?\")\]]{_REST}"  # what closes
    rf"|(?<=\p{{Ll}}{{2}}|\d|[\")\]])\.{_REST}"  # a full stop, and not the last letter of U.S.
    rf"|(?<=\w)'(?:s|t|re|ve|m|ll|d){_REST}"
)


def wordlevel_pipeline(words: Mapping[str, int], *, unknown: str, lowercase: bool = False) -> tokenizers.Tokenizer:
    """Words by their ids; what is no word of these is `unknown`, which must be one of them."""
    backend = tokenizers.Tokenizer(models.WordLevel(dict(words), unk_token=unknown))
    steps: list[normalizers.Normalizer] = [normalizers.Lowercase()] if lowercase else []
    steps += [normalizers.Replace(Regex(at), f" {joiner} ") for joiner, at in _JOINERS.items() if joiner in words]
    backend.normalizer = normalizers.Sequence(steps)
    parted = pre_tokenizers.Split(Regex(_PARTED), behavior="isolated")
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), parted])
    return backend


def _shown(value: object) -> str:
    """A value in few letters; what a file may hold can be too large to be written out."""
    small = isinstance(value, str | float | bool) or (isinstance(value, int) and abs(value) < 2**63)
    return f"{value!r:.40}" if small else f"of type {type(value).__name__}"


def _of_pickle(path: Path) -> tuple[dict[str, int], bool]:
    """The words of a pickled vocabulary, and whether text is lower-cased for it."""
    value = read_plain(path)
    words = value.get("sym2idx") if isinstance(value, dict) else None
    if not isinstance(words, dict) or not words:
        raise CheckpointError(f"{path} holds no vocabulary (a dict with 'sym2idx'); {AGAIN}")
    for word, id in words.items():
        if not isinstance(word, str) or type(id) is not int or not 0 <= id < 2**32:
            raise CheckpointError(
                f"{path}: {_shown(word)} has the id {_shown(id)}; words are texts, ids from 0; {AGAIN}"
            )
    if len(set(words.values())) < len(words):
        raise CheckpointError(f"{path} gives two words the same id; {AGAIN}")
    try:
        "".join(words).encode()
    except UnicodeEncodeError as error:
        raise CheckpointError(f"{path} has a word that is no text ({error.reason}); {AGAIN}") from None
    return words, value.get("lower_case") is True


def _of_lines(path: Path) -> dict[str, int]:
    """A word a line, in the order of their ids; what follows a space on a line is passed over."""
    words: dict[str, int] = {}
    for line in read_text(path).splitlines():
        for word in line.split()[:1]:
            words.setdefault(word, len(words))
    return words


def read_words(path: Path) -> tuple[Mapping[str, int], bool]:
    """The words of a vocab.pkl, vocab.bin or vocab.txt with their ids, and whether text is lower-cased for them."""
    return _of_pickle(path) if path.name in PICKLES else (_of_lines(path), False)
