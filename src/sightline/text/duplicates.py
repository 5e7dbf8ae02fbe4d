"""When two texts are the same: alike but for case, spaces and the ways Unicode has of writing one character."""

import hashlib
import unicodedata
from collections.abc import Sequence


def normalized(text: str) -> str:
    """The text in NFKC, case-folded, its runs of white space one space each (Unicode Standard, section 3.13, D146)."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(text.casefold().split())


def digest(*texts: str) -> bytes:
    """16 bytes that stand for these texts, normalized, in this order."""
    return hashlib.blake2b("\0".join(map(normalized, texts)).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def digests(texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[bytes]:
    """16 bytes for each text, or for each pair: a pair and the same two texts the other way round are the same."""
    if pairs is None:
        return [digest(text) for text in texts]
    return [digest(*sorted((normalized(a), normalized(b)))) for a, b in zip(texts, pairs, strict=True)]
