"""prepare: a corpus from raw text: cleaned, without duplicates, encoded, split, in memory-mapped shards.

    for progress in prepare(["novels.tar.xz", "wiki.jsonl"], "corpus", PrepareConfig(vocabulary=8192)):
        print(progress.stage, progress.documents)
    corpus = open_corpus("corpus")

Memory does not grow with the text: a few chunks of it are held at a time, and what was seen lies on the disk, 16 bytes
a document. A run that was stopped, or killed, goes on where it was when it is started again, and the files are the
same, byte for byte, as if it had never stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from sightline.core.files import write_error
from sightline.errors import CheckpointError, ConfigError, InputError
from sightline.tasks.corpus_encoder import Encoder
from sightline.tasks.prepare_config import PrepareConfig
from sightline.tasks.prepare_journal import JOURNAL, Journal, remove_journal
from sightline.tasks.prepare_sources import StreamSource, given_tokenizer, open_sources, settled_parting
from sightline.tasks.prepare_work import Encoding, PrepareProgress, Work, sampling
from sightline.text.clean import CHANGES
from sightline.text.corpus import FORMAT, MANIFEST, PARTS, read_manifest, tokenizer_sha256
from sightline.text.learn import learn_tokenizer
from sightline.text.tokenizer import Tokenizer
from sightline.text.tokenizer_files import contents, load_tokenizer, save_tokenizer
from sightline.weights.alone import LOCK, alone
from sightline.weights.files import write_json

_LARGE = (
    "each document is larger than what a tokenizer is to be learned from; raise sample_mib=…, or part"
    " the text into more documents with documents=…"
)
LEARNED = ("kind", "vocabulary", "lowercase", "sample_mib")  # settings of a tokenizer that is learned


class Preparation:
    """A corpus under way.

    sources   what it is made of
    assumed   a sentence on what was decided and not asked for
    begun     whether an earlier run is taken up
    manifest  what manifest.json says, once it is there

    Raises NotFoundError for a source that is not there, InputError for one that cannot be read.
    """

    def __init__(self, files: Sequence[str | Path], out: str | Path, config: PrepareConfig | None = None) -> None:
        self.out, self.config = Path(out), config or PrepareConfig()
        self.sources = open_sources(files, self.out, self.config)
        self.parting, self.assumed = settled_parting(self.sources, self.config)
        self._tokenizer, self._model_type = given_tokenizer(self.config.tokenizer)
        self.begun = (self.out / JOURNAL).exists()
        self.manifest: dict[str, Any] = {}

    def run(self) -> Generator[PrepareProgress, None, None]:
        """Prepare it, from where it stands to the end; yields after every few MiB. A corpus that is there already is
        left as it is.

        Raises CheckpointError where the folder cannot be written or holds another corpus, ConfigError where it holds
        other files or another process is at work in it, InputError for what cannot be read.
        """
        self._enter()
        with alone(self.out, "preparing a corpus"):
            if (self.out / MANIFEST).exists():
                self._check_finished()
            else:
                yield from self._work()
        remove_journal(self.out)

    def _enter(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            held = {path.name for path in self.out.iterdir()} - {LOCK}
        except OSError as error:
            raise write_error(self.out, error) from error
        if held and not held & {MANIFEST, JOURNAL}:
            raise ConfigError(f"{self.out} holds {sorted(held)[0]!r} and no corpus; name a new folder with out=…")

    def settings(self) -> dict[str, Any]:
        """What decides, beside the sources, what comes out."""
        config = self.config
        learned = {name: getattr(config, name) if config.tokenizer is None else None for name in LEARNED}
        given = None if self._tokenizer is None else _sha256_as_saved(self._tokenizer)
        return {
            "tokenizer": given,
            **learned,
            "documents": self.parting,
            **{name: getattr(config, name) for name in ("column", "subset", "split", "valid", "seed")},
            "licences": list(config.licences),
        }

    def _check_same(self, before: dict[str, Any], names: Sequence[str]) -> None:
        """CheckpointError where the folder was begun otherwise."""
        now = self.settings()
        other = next((name for name, value in now.items() if before.get(name) != value), None)
        if other is not None:
            was, there = f"{other}={before.get(other)!r}", f"{now[other]!r}"
        elif list(names) != [source.name for source in self.sources]:
            was, there = f"the sources {_listed(names)}", _listed([source.name for source in self.sources])
        else:
            return
        raise CheckpointError(
            f"the corpus in {self.out} was begun with {was}, and now it is {there}; give the same, or name another"
            " folder with out=…"
        )

    def _check_finished(self) -> None:
        manifest = read_manifest(self.out)
        sources = manifest.get("sources", [])
        self._check_same(manifest.get("settings", {}), [str(source["name"]) for source in sources])
        for source, before in zip(self.sources, sources, strict=True):
            if any(before.get(name) != value for name, value in source.facts().items()):
                raise CheckpointError(
                    f"{source.name} has changed since the corpus in {self.out} was made of it; name another folder with"
                    " out=…"
                )
        self.manifest = manifest

    def _work(self) -> Generator[PrepareProgress, None, None]:
        journal = Journal(self.out)
        try:
            self._take_up(journal)
            work = Work(out=self.out, config=self.config, sources=self.sources, parting=self.parting, journal=journal)
            if journal.get("learned_from") is None:
                yield from self._settle_tokenizer(work)
            tokenizer = load_tokenizer(self.out, model_type=self._model_type)
            encoding = Encoding(work, Encoder(tokenizer), "uint16" if len(tokenizer) <= 2**16 else "uint32")
            try:
                yield from encoding.run()
                self._finish(encoding, tokenizer)
            finally:
                encoding.close()
        finally:
            journal.close()

    def _take_up(self, journal: Journal) -> None:
        """Look whether what was begun is the same; before anything is encoded, something else may begin instead."""
        before, names = journal.get("settings"), [source.name for source in self.sources]
        if before is not None and journal.get("learned_from") is not None:
            self._check_same(before, journal.get("names"))
        elif before != self.settings() or journal.get("names") != names:
            journal.forget()
            journal.put("settings", self.settings())
            journal.put("names", names)
            for number, source in enumerate(self.sources):
                if isinstance(source, StreamSource):  # whose commit holds from now on, whatever the data set becomes
                    journal.put_source(number, source.facts())
            journal.commit()

    def _settle_tokenizer(self, work: Work) -> Generator[PrepareProgress, None, None]:
        """Put the tokenizer into the folder: the one that was given, or a new one."""
        tokenizer, journal = self._tokenizer, work.journal
        learned_from: dict[str, int] = {}
        if tokenizer is None:
            kept, bad = yield from sampling(work)
            if not journal.sampled()[0]:
                dropped = journal.get("sample_limit") is not None
                self._clear()
                raise InputError(_LARGE if dropped else self._too_few(0, kept, bad))
            yield work.progress("learning", len(self.sources))
            config = self.config
            tokenizer = learn_tokenizer(
                journal.samples(), kind=config.kind, vocabulary=config.vocabulary, lowercase=config.lowercase
            )
            learned_from = dict(zip(("documents", "text_bytes"), journal.sampled(), strict=True))
        save_tokenizer(tokenizer, self.out)
        journal.put("learned_from", learned_from)
        journal.put("place", (0, 0))
        journal.clear_samples()
        journal.commit()

    def _finish(self, encoding: Encoding, tokenizer: Tokenizer) -> None:
        """Write the manifest, after which the corpus is there."""
        counts, parts, journal = encoding.counts, encoding.finish(), encoding.work.journal
        if not parts["train"]["documents"] or (self.config.valid and not parts["valid"]["documents"]):
            self._clear(tokenizer)
            train, valid = (parts[part]["documents"] for part in PARTS)
            raise InputError(self._too_few(train, valid, encoding.bad))
        licences = self.config.licences * (len(self.sources) if len(self.config.licences) == 1 else 1)
        sources = [
            {"documents": 0, **journal.source(number), "licence": licences[number] if licences else None}
            for number in range(len(self.sources))
        ]
        encoder = encoding.encoder
        manifest = {
            "format": FORMAT,
            "tokenizer": {
                "sha256": tokenizer_sha256(self.out),
                "vocabulary": len(tokenizer),
                "kind": tokenizer.kind,
                "model_type": self._model_type,
                "opening": encoder.opening,
                "closing": encoder.closing,
                "learned_from": journal.get("learned_from") or None,
            },
            "token_type": encoding.token_type,
            "settings": self.settings(),
            "sources": sources,
            "documents": {name: counts[name] for name in ("read", "bad", "empty", "duplicates")},
            "cleaned": {name: counts[name] for name in CHANGES},
            "bad": encoding.bad,
            "parts": parts,
        }
        write_json(self.out / MANIFEST, manifest)
        self.manifest = manifest

    def _too_few(self, train: int, valid: int, bad: Sequence[str]) -> str:
        if not (count := train + valid):
            why = f"what cannot be read was left out: {bad[0]}" if bad else "all of it is empty"
            return f"there is no document in {_listed([source.name for source in self.sources])}: {why}"
        which = "to judge by" if train else "to train on"
        return (
            f"of all documents ({count}) none is there {which}, with valid={self.config.valid:g}; give"
            " another share, or part the text into more documents with documents=…"
        )

    def _clear(self, tokenizer: Tokenizer | None = None) -> None:
        """Leave nothing that would stand in the way of another attempt."""
        written = [path for part in PARTS for path in self.out.glob(f"{part}-?????.*")]
        written += [] if tokenizer is None else [self.out / name for name in contents(tokenizer)]
        for path in written:
            path.unlink(missing_ok=True)
        remove_journal(self.out)


def _sha256_as_saved(tokenizer: Tokenizer) -> str:
    return hashlib.sha256(contents(tokenizer)["tokenizer.json"]).hexdigest()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def prepare(
    files: Sequence[str | Path], out: str | Path, config: PrepareConfig | None = None
) -> Generator[PrepareProgress, None, None]:
    """Prepare a corpus in the folder `out`, to be opened with `open_corpus`; yields after every few MiB of text.

    files  text, JSONL, CSV or Parquet, packed or in archives; folders; hf:// addresses of files or whole data sets

    Left early, it saves how far it is; the same call goes on there. Raises what `Preparation` does.

        for progress in prepare(["novels.tar.xz"], "corpus", PrepareConfig(licences=("CC BY 4.0",))):
            print(progress.stage, progress.read, progress.size)
    """
    yield from Preparation(files, out, config).run()
