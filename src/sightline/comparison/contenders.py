"""Contenders: what a name on the command line stands for.

majority           the commonest class, whatever the text
tfidf              TF-IDF and logistic regression
encoder, decoder   one new network, ModernBERT's, under two masks: bidirectional and causal
bert, gpt2         the classical networks, new
new:xlnet          a new network of any family: new:modernbert, new:transformer-xl, …
FOLDER or HUB ID   a checkpoint
ettin-17m … 1b     the two checkpoints of that pair, an encoder and a decoder that were made alike
NAME@MASK          a checkpoint or such a new network, seen through another mask: bert-base-uncased@causal
NAME#frozen        its embeddings as they are, and logistic regression
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sightline.core.mask import Bidirectional, Causal, Mask
from sightline.errors import ConfigError
from sightline.model.families import LAYOUTS, layout_of
from sightline.networks.heads import Pooling
from sightline.tasks.fresh import tokens_of
from sightline.text.learn import Kind as Tokens
from sightline.weights.hub import PAIRS

Kind = Literal["baseline", "network", "frozen"]

BASELINES = ("majority", "tfidf")
DEFAULT = ("majority", "tfidf", "encoder", "decoder")


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """A network that begins from random weights.

    family  which network
    tokens  how its tokenizer splits texts; it is learned from the training rows
    dropout wherever the network may drop; None: as is usual in the family
    """

    family: str
    tokens: Tokens
    dropout: float | None = None


NEW = "new:"
MODERN = Fresh(family="modernbert", tokens="wordpiece", dropout=0.1)
FRESH: dict[str, tuple[Fresh, Mask | None, Pooling | None]] = {
    "encoder": (MODERN, Bidirectional(), "mean"),
    "decoder": (MODERN, Causal(), "last"),
    "bert": (Fresh(family="bert", tokens=tokens_of("bert")), None, None),
    "gpt2": (Fresh(family="gpt2", tokens=tokens_of("gpt2")), None, None),
    **{
        f"{NEW}{family}": (Fresh(family=family, tokens=tokens_of(family)), None, None)
        for family in LAYOUTS
        if family not in ("bert", "gpt2")
    },
}
"""By name: the network, and the mask that it is seen through and its pooling where those are not the family's own."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One of those that are compared.

    name    what people call it; no two have the same
    source  a baseline's name, a new network, or the folder or hub id of a checkpoint
    mask    the mask asked for; None: the network's own
    pooling which vector of a row its classifier reads; None: what suits family and mask
    """

    name: str
    kind: Kind
    source: str | Fresh
    mask: Mask | None = None
    pooling: Pooling | None = None

    @property
    def random(self) -> bool | None:
        """Whether it begins from random weights; None for what has no network."""
        return None if self.kind == "baseline" else isinstance(self.source, Fresh)

    def content(self) -> str | None:
        """What the name stands for, so that something else under the same name is another contender.

        Of a new network its kind, of a checkpoint folder a hash of its files; None where the name says it all.
        """
        if isinstance(self.source, Fresh):
            return f"{self.source.family}, {self.source.tokens}"
        folder = Path(self.source)
        if not folder.is_dir():
            return None
        digest = hashlib.sha256()
        for path in sorted(
            path for path in folder.iterdir() if path.suffix in (".json", ".safetensors", ".bin", ".txt")
        ):
            digest.update(path.name.encode() + b"\0")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def _name_of(source: str) -> str:
    """A folder's own name; a hub id as it stands."""
    path = Path(source)
    return path.absolute().name if path.is_dir() and path.name else source


def _check_source(source: str, asked: str) -> None:
    """A name without a slash that is no folder may be a hub's, or a known name misspelt."""
    if not source:
        raise ConfigError(f"contender {asked!r} names nothing before its sign; write NAME@MASK or NAME#frozen")
    if Path(source).exists():
        return
    near = [f"{NEW}{source}"] if f"{NEW}{source}" in FRESH else []
    near = near or difflib.get_close_matches(source, [*BASELINES, *FRESH], n=1, cutoff=0.75)
    if near:
        raise ConfigError(f"there is no contender {asked!r}; did you mean {near[0]!r}?")


def parse(asked: str) -> Contender:
    """The contender that a name stands for; ConfigError where it can be none.

    >>> parse("bert@causal").mask
    Causal()
    """
    text = asked.strip()
    rest, sign, frozen = text.partition("#")
    if sign and frozen != "frozen":
        raise ConfigError(f"contender {asked!r} ends in #{frozen}; what may follow # is 'frozen'")
    source, at, mask_text = rest.rpartition("@")
    if not at or Path(rest).exists():  # a folder may have an @ in its name
        source, mask_text = rest, ""
    mask = Mask.parse(mask_text) if mask_text else None
    if source.startswith(NEW):
        family = layout_of(source.removeprefix(NEW)).model_type
        source = family if family in FRESH else f"{NEW}{family}"
    if source in BASELINES:
        if sign or mask is not None:
            raise ConfigError(f"contender {asked!r}: {source} has no network, so no mask and nothing to freeze")
        return Contender(name=source, kind="baseline", source=source)
    if source in FRESH:
        fresh, own, pooling = FRESH[source]
        if sign:
            raise ConfigError(f"contender {asked!r}: {source} begins from random weights; train it, or freeze another")
        if mask is not None and own is not None:
            twins = [name for name in ("encoder", "decoder") if FRESH[name][1] == mask]
            use = twins[0] if twins else f"new:modernbert@{mask_text}"
            raise ConfigError(f"contender {asked!r}: {source} is named for its mask, {own}; use {use}")
        name = source + (f"@{mask_text}" if mask_text else "")
        return Contender(name=name, kind="network", source=fresh, mask=mask or own, pooling=pooling)
    _check_source(source, asked)
    name = _name_of(source) + (f"@{mask_text}" if mask_text else "") + (f"#{frozen}" if sign else "")
    return Contender(name=name, kind="frozen" if sign else "network", source=source, mask=mask)


def _each(asked: str) -> list[str]:
    """The name of a pair of checkpoints stands for both, each with what follows the name."""
    name = re.split("[@#]", asked.strip(), maxsplit=1)[0]
    if name not in PAIRS or Path(name).exists():
        return [asked]
    return [model + asked.strip().removeprefix(name) for model in PAIRS[name]]


def parse_all(asked: Sequence[str]) -> list[Contender]:
    """Contenders in the order asked for, each under a name of its own.

    >>> [one.name for one in parse_all(["ettin-17m#frozen"])]
    ['jhu-clsp/ettin-encoder-17m#frozen', 'jhu-clsp/ettin-decoder-17m#frozen']
    """
    found = [parse(one) for each in asked for one in _each(each)]
    if not found:
        raise ConfigError(f"no contenders; name some, such as {','.join(DEFAULT)}")
    for index, one in enumerate(found):
        if one in found[:index]:
            raise ConfigError(f"contender {one.name!r} is named twice; leave one out")
        if one.name in (before.name for before in found[:index]):
            raise ConfigError(
                f"two contenders are called {one.name!r}; rename one's folder, so that both can be told apart"
            )
    return found
