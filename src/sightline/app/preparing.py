"""What `sightline prepare` does: bars on stderr while it works, and what came of it on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from sightline.app import talk
from sightline.app.stopping import INTERRUPTED, stoppable
from sightline.tasks.prepare import Preparation
from sightline.tasks.prepare_config import PrepareConfig
from sightline.text.corpus import PARTS

MEBIBYTE = 2**20
_STAGES = {"sampling": "Reading, MiB", "learning": "Learning a tokenizer", "encoding": "Encoding, MiB"}


def _run(preparation: Preparation) -> None:
    """To the end, or to Ctrl-C: then what is done is saved, and how to go on is said."""
    steps = preparation.run()
    with stoppable() as stop:
        for stage, some in groupby(steps, lambda progress: progress.stage):
            with talk.progress(_STAGES[stage]) as advance_to:
                for progress in some:
                    advance_to(progress.read // MEBIBYTE, progress.size // MEBIBYTE)
                    if stop.asked:
                        break
            if stop.asked:
                steps.close()  # which saves
                talk.say(f"Saved in {preparation.out}. To go on, give the same command again.")
                raise typer.Exit(INTERRUPTED)


def _dropped(manifest: Mapping[str, Any]) -> str:
    counts = manifest["documents"]
    said = {"duplicates": "duplicates", "empty": "empty", "bad": "not readable"}
    dropped = [f"{counts[name]:,} {word}" for name, word in said.items() if counts[name]]
    return f"{counts['read']:,} documents read; {', '.join(dropped)} left out" if dropped else ""


def prepare_corpus(files: Sequence[str], out: Path, asked: Mapping[str, Any], *, json: bool) -> None:
    """Prepare a corpus, from beginning to end, or from where it was stopped."""
    preparation = Preparation(files, out, PrepareConfig(**asked))
    for sentence in preparation.assumed:
        talk.say(sentence)
    if preparation.begun:
        talk.say(f"Going on with the corpus that was begun in {out}.")
    _run(preparation)
    manifest = preparation.manifest
    for why in manifest["bad"]:
        talk.say(f"left out: {why}")
    if said := _dropped(manifest):
        talk.say(said)
    parts = {
        part: {name: manifest["parts"][part][name] for name in ("documents", "tokens", "words", "text_bytes")}
        for part in PARTS
    }
    vocabulary = manifest["tokenizer"]["vocabulary"]
    if json:
        talk.answer_json({"out": str(out), "vocabulary": vocabulary, "documents": manifest["documents"], **parts})
        return
    for part, found in parts.items():
        many = f"{found['documents']:,} documents, {found['tokens']:,} tokens, {found['text_bytes']:,} bytes of text"
        talk.answer(f"{part}   {many}")
    talk.answer(f"corpus  {out}, with a vocabulary of {vocabulary:,} tokens")
