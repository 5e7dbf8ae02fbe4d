"""The texts that a caller hands over, checked: a wrong row is named, counted from 1, before anything is made of it."""

from collections.abc import Iterable, Sequence

from sightline.errors import InputError


def check_texts(texts: Sequence[object], where: str = "row") -> None:
    """`InputError` for the first row that is not a str."""
    for row, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise InputError(f"{where} {row} is {type(text).__name__} {text!r:.40}, not text; give each row as a str")


def no_unicode(where: str, error: UnicodeEncodeError) -> InputError:
    """The error for a str that holds half a surrogate pair, the one kind that is not text."""
    return InputError(
        f"{where} is not valid Unicode at character {error.start + 1} ({error.reason}); decode the file with its right"
        " encoding, or with errors='replace'"
    )


def check_unicode(rows: Iterable[str | tuple[str, str]]) -> None:
    """`InputError` for the first row that is not valid Unicode."""
    for row, text in enumerate(rows, start=1):
        try:
            "".join(text).encode()
        except UnicodeEncodeError as error:
            raise no_unicode(f"row {row}", error) from None


def _as_list(texts: str | Iterable[str], name: str) -> list[str]:
    if isinstance(texts, str):
        return [texts]
    if not isinstance(texts, Iterable):
        raise InputError(f"{name} is {type(texts).__name__} {texts!r:.40}; give a text or a list of texts")
    return list(texts)


def as_rows(texts: str | Sequence[str], pairs: str | Sequence[str] | None) -> list[str] | list[tuple[str, str]]:
    """The arguments of a call as a list of texts or of pairs; a str is a list of one."""
    first = _as_list(texts, "texts")
    if not first:
        raise InputError("no texts: the list is empty; give at least one text")
    check_texts(first)
    if pairs is None:
        return first
    second = _as_list(pairs, "pairs")
    if len(first) != len(second):
        raise InputError(f"{len(first)} texts but {len(second)} pairs; give one second text for each first")
    check_texts(second, "the second text of row")
    return list(zip(first, second, strict=True))
