"""Which columns of a table hold the texts and the labels: the ones asked for, else the obvious ones, else an error.

A column is obvious by its name, or, where no name is known, by what it holds: labels are few and repeat, texts are
long. Names are compared without case, spaces and signs: "Review_Text" is "reviewtext". A column of row numbers is never
one of labels. Every decision comes with a plain sentence.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sightline.errors import InputError
from sightline.phrases import and_more

# From the surest name to the least sure: one of a later group counts only where none of an earlier is there.
LABEL_NAMES = (
    ("label", "labels"),
    (
        "class",
        "classes",
        "category",
        "categories",
        "target",
        "targets",
        "intent",
        "sentiment",
        "gold",
        "goldlabel",
        "y",
    ),
    ("score", "rating", "stars", "similarity", "polarity", "topic", "emotion", "quality", "grade", "tag"),
)
TEXT_NAMES = (
    ("text", "texts", "sentence", "sentences"),
    ("review", "reviewtext", "reviewbody", "comment", "commenttext", "content", "tweet", "message", "body", "document"),
    ("utterance", "sms", "post", "passage", "article", "paragraph", "phrase", "query", "question", "input", "string"),
    ("title", "headline", "description", "summary"),
)
PAIR_NAMES = (
    *(("premise", "hypothesis"), ("question", "sentence"), ("question", "passage"), ("query", "document")),
    *(
        ("query", "passage"),
        ("context", "question"),
        ("text", "textpair"),
        ("texta", "textb"),
        ("sentencea", "sentenceb"),
    ),
    *(
        (f"{name}1", f"{name}2")
        for name in ("sentence", "text", "question", "s", "string", "sent", "query", "document")
    ),
    *(
        ("1string", "2string"),
        ("stringa", "stringb"),
        ("questiona", "questionb"),
        ("doc1", "doc2"),
        ("title1", "title2"),
    ),
)
NAME_LABEL = "name it with label=…"
NAME_TEXT = "name one, or two for pairs, with text=…"
_IDS = "id ids idx index uid uuid guid qid pid rowid userid tweetid postid reviewid commentid docid sentenceid".split()
_IDS_ALONE = ("", "row", "rownumber", "number", "nr", "no", "key")
_WORDS_IN_TEXT = 3  # on average, for a column without a known name to be one of texts
_WORDS_IN_NAME = 6  # of a column, at which it looks like a text
_MOST_CLASSES = 100  # in a column without a known name
_DISTINCT = 1000  # values of a column that are remembered
_CLEARLY = 3  # times as long as the second longest


def plain(name: str) -> str:
    """A column's name without case, spaces and signs."""
    return re.sub(r"[\W_]+", "", name.casefold())


def looks_like_an_id(name: str) -> bool:
    """Whether the name is one for row numbers and keys: "id", "user_id", "userId", "qid1", "#1 ID", "Unnamed: 0"."""
    words = [word.casefold() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    return plain(name) in _IDS_ALONE or (bool(words) and (words[-1] in _IDS or words[0] == "unnamed"))


def _by_name(names: Sequence[Sequence[str]], columns: Sequence[str]) -> list[str]:
    """The columns that have a name of the surest group of which any is there."""
    for group in names:
        found = [column for column in columns if plain(column) in group]
        if found:
            return found
    return []


@dataclass(kw_only=True)
class Column:
    """What the values of one column are like; empty ones do not count."""

    name: str
    rows: int = 0
    words: int = 0
    longest: int = 0
    numbers: bool = True
    distinct: set[int] = field(default_factory=set)  # hashes, at most _DISTINCT

    def add(self, value: object) -> None:
        text = "" if value is None else str(value)
        if not text.strip():
            return
        self.rows += 1
        self.words += text.count(" ") + 1  # near enough, and several times as fast as to split
        self.longest = max(self.longest, len(text))
        if self.numbers and (isinstance(value, bool) or not _is_number(text)):
            self.numbers = False
        if len(self.distinct) < _DISTINCT:
            self.distinct.add(hash(text))

    @property
    def mean_words(self) -> float:
        return self.words / max(self.rows, 1)

    @property
    def repeats(self) -> bool:
        """Whether its values are few and come again, as labels do."""
        return 2 <= len(self.distinct) <= min(_MOST_CLASSES, self.rows // 2) and self.longest <= 80


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_no_header(first: Sequence[object], name: str) -> None:
    """InputError for a first row that is one of names, where it was said to be data."""
    if _by_name(LABEL_NAMES, list(map(str, first))) and _by_name(TEXT_NAMES, list(map(str, first))):
        raise InputError(
            f"the first row of {name} has names of columns, {listed(list(map(str, first)))}; leave out header=False"
        )


def check_header(columns: Sequence[str], about: Mapping[str, Column], name: str) -> None:
    """InputError for names of columns that look like a row: one recurs among few values, or is as long as a text."""
    numbered = list(columns) == [str(number) for number in range(len(columns))]  # as pandas names what has no names
    for column in columns:
        recurs = about[column].repeats and hash(column) in about[column].distinct
        sentence = len(column.split()) >= _WORDS_IN_NAME and not column.rstrip().endswith("?")
        if (recurs and not numbered) or sentence:
            raise InputError(
                f"the first row of {name} looks like data, not like names of columns ({column!r:.60}): with"
                " header=False its columns are column1, column2, …; if these are names, say which with"
                " text=… and label=…"
            )


def describe(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> dict[str, Column]:
    """What each column is like, from all rows: so that their order does not matter."""
    found = [Column(name=name) for name in columns]
    for row in rows:
        for column, value in zip(found, row, strict=True):
            column.add(value)
    return {column.name: column for column in found}


def listed(columns: Sequence[str]) -> str:
    """The names of columns, in a message."""
    return and_more([*map(repr, columns)], most=12)


def check_column(asked: str, columns: Sequence[str], name: str, option: str) -> None:
    """InputError for a column that is not there, or is there twice; names the nearest, and lists them all."""
    if columns.count(asked) > 1:
        raise InputError(f"{name} has {columns.count(asked)} columns called {asked!r}; give each its own name")
    if asked in columns:
        return
    spelled = {plain(column): column for column in columns}
    near = difflib.get_close_matches(plain(asked), spelled, n=1)
    meant = f"did you mean {spelled[near[0]]!r}? " if near else ""
    raise InputError(f"{name} has no column {asked!r} (for {option}): {meant}its columns are {listed(columns)}")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The columns of texts, one or two, the one of labels, and a sentence on each that was not asked for."""

    text: tuple[str, ...]
    label: str
    assumed: tuple[str, ...]


def _several(found: Sequence[str]) -> str:
    return f"{listed(found)} may each hold them"


def _label_by_name(columns: Sequence[str], there: str) -> tuple[str, str] | None:
    found = _by_name(LABEL_NAMES, columns)
    if len(found) > 1:
        raise InputError(f"{there}: which one holds the labels? {_several(found)}; {NAME_LABEL}")
    return (found[0], f"The labels are in the column {found[0]!r}, by its name.") if found else None


def _label_by_values(columns: Sequence[str], about: Mapping[str, Column], there: str) -> tuple[str, str]:
    known = [column for column in columns if not looks_like_an_id(column) and about[column].rows]
    few = [column for column in known if about[column].repeats]
    if len(few) == 1:
        return few[0], f"The labels are in the column {few[0]!r}, the only one with few different values."
    if not few and len(known) == 1 and about[known[0]].numbers:
        return known[0], f"The labels are in the column {known[0]!r}, the only other one with numbers."
    why = _several(few) if few else "none is obvious"
    raise InputError(f"{there}: which one holds the labels? {why}; {NAME_LABEL}")


def _text_by_name(columns: Sequence[str], there: str) -> tuple[tuple[str, ...], str] | None:
    spelled = {plain(column): column for column in columns}
    pairs = [(spelled[a], spelled[b]) for a, b in PAIR_NAMES if a in spelled and b in spelled]
    if len(pairs) > 1:
        which = " and ".join(f"({listed(pair)})" for pair in pairs)
        raise InputError(f"{there}: which pair of them holds the texts? {which} may each hold them; {NAME_TEXT}")
    if pairs:
        a, b = pairs[0]
        return pairs[0], f"Each row is a pair of texts, in the columns {a!r} and {b!r}, by their names."
    found = _by_name(TEXT_NAMES, columns)
    if len(found) > 1:
        raise InputError(f"{there}: which one holds the texts? {_several(found)}; {NAME_TEXT}")
    return ((found[0],), f"The texts are in the column {found[0]!r}, by its name.") if found else None


def _text_by_values(columns: Sequence[str], about: Mapping[str, Column], there: str) -> tuple[tuple[str, ...], str]:
    words = [column for column in columns if about[column].rows and not about[column].numbers]
    long = sorted((c for c in words if about[c].mean_words >= _WORDS_IN_TEXT), key=lambda c: -about[c].mean_words)
    if long and (len(long) == 1 or about[long[0]].mean_words >= _CLEARLY * about[long[1]].mean_words):
        which = "the longest one" if len(long) > 1 else "the only one of running text"
        return (long[0],), f"The texts are in the column {long[0]!r}, {which}."
    named = [column for column in words if not looks_like_an_id(column)]
    if not long and len(named) == 1:
        return (named[0],), f"The texts are in the column {named[0]!r}, the only one left."
    why = _several([column for column in columns if column in long]) if long else "none is obvious"
    raise InputError(f"{there}: which one holds the texts? {why}; {NAME_TEXT}")


def _check_asked(text: Sequence[str] | None, label: str | None, columns: Sequence[str], name: str) -> None:
    if text is not None:
        if not 1 <= len(text) <= 2 or len(set(text)) != len(text):
            raise InputError(f"the texts are in one column, or in two for pairs; text=… names {list(text)}")
        for column in text:
            check_column(column, columns, name, "text=…")
    if label is not None:
        check_column(label, columns, name, "label=…")
        if text is not None and label in text:
            raise InputError(f"the column {label!r} of {name} cannot hold both texts and labels; name another")
    if len(columns) < 2:
        there = f"only the column {listed(columns)}" if columns else "no column"
        raise InputError(f"{name} has {there}; labelled rows need one column of texts and one of labels")


def _spelled(text: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """What was parted at commas, as the columns are called: a name may hold a comma, or spaces at its ends."""
    if all(column in columns for column in text):
        return tuple(text)
    whole = ",".join(text)
    return (whole,) if whole in columns else tuple(each if each in columns else each.strip() for each in text)


def choose_columns(
    columns: Sequence[str],
    *,
    text: Sequence[str] | None,
    label: str | None,
    name: str,
    values: Callable[[], Mapping[str, Column]],
) -> Chosen:
    """The columns of texts and labels of the table `name`.

    text, label  what was asked for, or None
    values       what the columns are like; called only where names do not decide

    Raises InputError that lists the columns and says which option to give: no such column, none or several that fit.
    """
    text = None if text is None else _spelled(text, columns)
    _check_asked(text, label, columns, name)
    there = f"{name} has the columns {listed(columns)}"
    free = [column for column in dict.fromkeys(columns) if column not in {*(text or ()), label}]
    labels = (label, "") if label is not None else _label_by_name(free, there)
    rest = [column for column in free if labels is None or column != labels[0]]
    texts = (tuple(text), "") if text is not None else _text_by_name(rest, there)
    if labels is None:
        labels = _label_by_values([c for c in rest if texts is None or c not in texts[0]], values(), there)
    if texts is None:
        texts = _text_by_values([column for column in rest if column != labels[0]], values(), there)
    for column in (*texts[0], labels[0]):
        check_column(column, columns, name, "text=… or label=…")
    assumed = tuple(sentence for sentence in (texts[1], labels[1]) if sentence)
    return Chosen(text=texts[0], label=labels[0], assumed=assumed)
