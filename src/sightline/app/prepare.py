"""The verb prepare: a corpus to pretrain on, from raw text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from sightline.app.options import Json

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILES",
        help="Text, JSONL, CSV, Parquet, also in .xz .gz .bz2 .zip .tar; folders; hf://datasets/OWNER/NAME.",
    ),
]


def prepare(
    files: Files,
    out: Annotated[Path, Option(help="Folder for the corpus; a new one, or one that this was stopped in.")],
    tokenizer: Annotated[
        str | None, Option(help="Whose to use: a folder, or a model on the hub. Default: one is learned from the text.")
    ] = None,
    kind: Annotated[str, Option(help="What is learned: roberta-bpe, bytelevel-bpe, wordpiece.")] = "roberta-bpe",
    vocabulary: Annotated[int, Option(help="How many tokens are learned.")] = 8192,
    lowercase: Annotated[
        bool | None, Option("--lowercase/--no-lowercase", help="Default: as BERT's wordpiece, else not.")
    ] = None,
    sample_mib: Annotated[int, Option(help="At most so much text is learned from, drawn evenly.")] = 64,
    documents: Annotated[
        str, Option(help="What a document of a text file is: files, blank-lines, lines, endoftext. auto: as obvious.")
    ] = "auto",
    column: Annotated[str | None, Option(help="The column of texts. Default: text, or the only one.")] = None,
    subset: Annotated[str | None, Option(help="Of a data set on the hub.")] = None,
    split: Annotated[str, Option(help="Of a data set on the hub.")] = "train",
    valid: Annotated[float, Option(help="Share of the documents that is kept to judge by.")] = 0.02,
    licences: Annotated[
        list[str] | None, Option("--licence", help="Of the text: once, or once for each of FILES.")
    ] = None,
    skip_bad: Annotated[bool, Option("--skip-bad", help="Leave out what cannot be read, and count it.")] = False,
    seed: Annotated[int, Option(help="Of the choice of documents to judge by.")] = 0,
    json: Json = False,
) -> None:
    """Make a corpus to pretrain on: clean, learn a tokenizer, drop duplicates, encode, split.

    **sightline prepare novels.tar.xz wiki.jsonl.gz --out corpus --licence "CC BY 4.0"**

    **sightline prepare books/ --documents blank-lines --kind wordpiece --vocabulary 16384 --out corpus**

    **sightline prepare hf://datasets/HuggingFaceFW/fineweb-edu --subset sample-10BT --tokenizer gpt2 --out corpus**

    Ctrl-C saves; the same command goes on there, also after a crash.
    """
    asked = {name: value for name, value in locals().items() if name not in ("files", "out", "licences", "json")}
    from sightline.app.preparing import prepare_corpus

    prepare_corpus(files, out, {**asked, "licences": tuple(licences or ())}, json=json)
