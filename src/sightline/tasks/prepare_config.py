"""PrepareConfig: how a corpus is prepared, in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sightline.core.check import probability, whole
from sightline.errors import ConfigError
from sightline.text.learn import Kind
from sightline.text.raw import Parting

MEBIBYTE = 2**20


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How a corpus is prepared.

    tokenizer   whose to use: a folder, or a model on the hub; None: one is learned from the training part
    kind        of a tokenizer that is learned: "roberta-bpe" (byte-level, with a mask: it serves every objective),
                "bytelevel-bpe" (GPT-2's, without) or "wordpiece" (BERT's)
    vocabulary  how many tokens are learned
    lowercase   whether a learned tokenizer lower-cases; None: as its kind does
    sample_mib  it is learned from at most so much of the text, drawn evenly from all of it
    documents   what a document of a text file is: "files", "blank-lines", "lines", "endoftext" (what lines of
                <|endoftext|> part), or "auto": a file, where there are several or an archive; a single file's
                <|endoftext|>, else its blank lines, else its lines
    column      of a table; None: the only one of texts, or the one that is called "text"
    subset      of a data set on the hub, where it has several
    split       of a data set on the hub: which of its rows
    valid       share of the documents to judge by. Which these are depends on their texts and the seed alone: more
                files move none
    seed        see valid
    licences    of the sources: one for all, or one for each
    skip_bad    leave out what cannot be read, and count it, where otherwise that ends all
    """

    tokenizer: str | Path | None = None
    kind: Kind = "roberta-bpe"
    vocabulary: int = 8192
    lowercase: bool | None = None
    sample_mib: int = 64
    documents: Parting | Literal["auto"] = "auto"
    column: str | None = None
    subset: str | None = None
    split: str = "train"
    valid: float = 0.02
    seed: int = 0
    licences: tuple[str, ...] = ()
    skip_bad: bool = False

    def __post_init__(self) -> None:
        whole("vocabulary", self.vocabulary)
        whole("sample_mib", self.sample_mib)
        whole("seed", self.seed, least=0)
        probability("valid", self.valid)
        for name, choices in (("kind", get_args(Kind)), ("documents", (*get_args(Parting), "auto"))):
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name}={getattr(self, name)!r} must be one of {', '.join(choices)}")
