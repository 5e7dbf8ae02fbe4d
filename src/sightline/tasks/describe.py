"""What a model is: its sizes, its mask drawn, what its weights were trained for and what it can do.

print(describe(load("bert-base-uncased")))
describe(model).as_dict()["parameters"]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from sightline.core.block import Block
from sightline.core.position import ENDLESS
from sightline.tasks.abilities import Ability, abilities, count_labels
from sightline.tasks.drawing import Drawing, draw
from sightline.tasks.purpose import in_words, objective, trained

if TYPE_CHECKING:
    from sightline.model.model import Model
    from sightline.text.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Description:
    """A model in words and numbers; `str` gives the text for a terminal.

    name, family, layout   as users call it; the network; how its checkpoint is spelled
    width … positions      sizes: numbers a token, attention heads, numbers between the feed-forward's two layers; None
                           where there is no last position
    parameters             all of them, tied ones counted once; embedding_parameters are those in tables of embeddings
    tied                   whether the LM head uses the token embedding; None without such a head
    megabytes              of the weights, 10⁶ bytes each
    norm, positions_are, scores, activation, token_types   how the network computes
    local_layers           how many of the layers are limited, and by what; None where all see as far as the mask lets
    heads                  what can be asked of it, by the names that `model.head` takes
    labels                 of the classifier or tagger, their numbers where they have no names
    trained                False where the weights are as drawn at random
    new_tensors            those that no checkpoint filled
    objective              "masked LM", "causal LM", "classifier", …; trained_for says it in a sentence
    pooling                how its makers turn a text into a vector, None where they do not say
    tokenizer … max_length     None where it came without one
    """

    name: str
    family: str
    layout: str
    layers: int
    width: int
    attention_heads: int
    inner: int
    positions: int | None
    vocabulary: int
    parameters: int
    embedding_parameters: int
    tied: bool | None
    dtype: str
    megabytes: float
    norm: str
    norm_eps: float
    positions_are: str
    scores: str
    activation: str
    token_types: int
    local_layers: str | None
    mask: str
    trained_masks: tuple[str, ...]
    drawing: Drawing
    heads: tuple[str, ...]
    labels: tuple[str, ...] | None
    trained: bool
    new_tensors: tuple[str, ...]
    objective: str
    trained_for: str
    pooling: str | None
    abilities: dict[str, Ability]
    tokenizer: str | None
    tokens: int | None
    max_length: int | None
    special_tokens: dict[str, str] | None

    @property
    def places(self) -> str:
        """How many positions, and of which kind."""
        return f"{'no last one' if self.positions is None else format(self.positions, ',')}, {self.positions_are}"

    def as_dict(self) -> dict[str, Any]:
        """Every field as plain values that JSON can write."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(_page(self))


# What a configuration does not say in a field of its own, family by family

POST_NORM = "post-norm: after each sum, and after the embeddings"
PRE_NORM = "pre-norm: before each layer, and at the end"
BETWEEN_NORMS = "pre-norm: after the embeddings, before each layer but the first, and at the end"
SUMS_NORM = "post-norm: after each sum"
LAYERS_NORM = "pre-norm: before each layer"
ROOT = "divided by the root of a head's width"


@dataclass(frozen=True, kw_only=True)
class _Facts:
    norm: Callable[[Any], str]
    positions_are: Callable[[Any], str]
    scores: Callable[[Any], str]
    token_types: Callable[[Any], int]


def _after_offset(config: Any) -> str:
    offset = config.position_offset
    return "learned" + (f", after {offset} rows that no token reads" if offset else "")


def _two_bases(config: Any) -> str:
    return f"rotary, base {config.global_base:,g} (in local layers {config.local_base:,g})"


def _relative(clamp: int | None) -> str:
    return "relative: by distance alone" + (f", {clamp:,} at most" if clamp else "")


def _gpt2_scores(config: Any) -> str:
    parts = [ROOT] * config.scaled + ["divided by the layer's number"] * config.scaled_by_layer
    return " and ".join(parts) or "as they are"


FACTS = {
    "bert": _Facts(
        norm=lambda config: POST_NORM,
        positions_are=_after_offset,
        scores=lambda config: ROOT,
        token_types=lambda config: int(config.token_types),
    ),
    "gpt2": _Facts(
        norm=lambda config: PRE_NORM,
        positions_are=lambda config: "learned",
        scores=_gpt2_scores,
        token_types=lambda config: 0,
    ),
    "xlnet": _Facts(
        norm=lambda config: SUMS_NORM,
        positions_are=lambda config: _relative(config.clamp_length),
        scores=lambda config: f"{ROOT}; of content, of distance and of being in one segment",
        token_types=lambda config: int(config.token_types),
    ),
    "modernbert": _Facts(
        norm=lambda config: BETWEEN_NORMS,
        positions_are=_two_bases,
        scores=lambda config: ROOT,
        token_types=lambda config: 0,
    ),
    "transformer-xl": _Facts(
        norm=lambda config: SUMS_NORM if config.norm == "post" else LAYERS_NORM,
        positions_are=lambda config: _relative(config.clamp_length),
        scores=lambda config: f"{ROOT}; of content and of distance",
        token_types=lambda config: 0,
    ),
}
"""By family."""

NAMES = {
    "bert": "BERT",
    "roberta": "RoBERTa",
    "distilbert": "DistilBERT",
    "gpt2": "GPT-2",
    "xlnet": "XLNet",
    "transfo-xl": "Transformer-XL",
    "modernbert": "ModernBERT",
    "modernbert-decoder": "ModernBERT decoder",
}
"""By layout, as their papers spell them."""

TOKENIZERS = {
    "wordpiece": "WordPiece",
    "bytelevel-bpe": "byte-level BPE",
    "bpe": "BPE",
    "unigram": "unigram",
    "wordlevel": "whole words",
}


def _tokenizer(tokenizer: Tokenizer) -> str:
    normalizer = tokenizer.backend.normalizer
    lower = normalizer is not None and normalizer.normalize_str("A").strip("▁") == "a"
    return TOKENIZERS[tokenizer.kind] + (", lower-cased" if lower else "")


def _local_layers(model: Model) -> str | None:
    blocks = [block for block in model.network.modules() if isinstance(block, Block)]
    limits = [str(block.limit) for block in blocks if block.limit is not None]
    return f"{len(limits)} of {len(blocks)}: {', '.join(sorted(set(limits)))}" if limits else None


def _labels(model: Model) -> tuple[str, ...] | None:
    count = count_labels(model)
    return None if count is None else model.labels or tuple(str(label) for label in range(count))


def describe(model: Model, name: str | None = None) -> Description:
    """Everything worth knowing of a model before it is used; `name` is what its user calls it.

    >>> describe(model).objective  # doctest: +SKIP
    'masked LM'
    """
    config, facts, tokenizer = model.config, FACTS[model.family], model.tokenizer
    tensors = list(model.parameters())
    tables = {id(table.weight): table.weight for table in model.modules() if isinstance(table, nn.Embedding)}
    aim, purpose = objective(model)
    made = model.embedding
    return Description(
        name=name or NAMES[model.layout.model_type],
        family=model.family,
        layout=model.layout.model_type,
        layers=config.layers,
        width=config.width,
        attention_heads=config.attention_heads,
        inner=config.inner,
        positions=None if config.positions == ENDLESS else config.positions,
        vocabulary=config.vocabulary,
        parameters=sum(tensor.numel() for tensor in tensors),
        embedding_parameters=sum(table.numel() for table in tables.values()),
        tied=config.tied if "lm" in model.heads else None,
        dtype=", ".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors})),
        megabytes=round(sum(tensor.nbytes for tensor in tensors) / 1e6, 1),
        norm=facts.norm(config),
        norm_eps=config.norm_eps,
        positions_are=facts.positions_are(config),
        scores=facts.scores(config),
        activation=config.activation,
        token_types=facts.token_types(config),
        local_layers=_local_layers(model),
        mask=str(model.mask),
        trained_masks=tuple(str(mask) for mask in model.trained_masks),
        drawing=draw(model.mask),
        heads=tuple(model.heads),
        labels=_labels(model),
        trained=trained(model),
        new_tensors=model.new_tensors,
        objective=aim,
        trained_for=in_words(model, purpose),
        pooling=None if made is None else made.pooling + (", length 1" if made.normalize else ""),
        abilities=abilities(model),
        tokenizer=None if tokenizer is None else _tokenizer(tokenizer),
        tokens=None if tokenizer is None else len(tokenizer),
        max_length=None if tokenizer is None else tokenizer.max_length,
        special_tokens=None if tokenizer is None else tokenizer.special.names,
    )


# The text for a terminal


def _line(what: str, said: str) -> str:
    return f"{what:<13} {said}"


def _verbs(title: str, it: Description, can: bool) -> list[str]:
    """A line a verb; verbs with one and the same reason share a line."""
    hows: dict[str, list[str]] = {}
    for verb, ability in it.abilities.items():
        if ability.can == can:
            hows.setdefault(ability.how, []).append(verb)
    titles = [title, *[""] * len(hows)]
    return [_line(head, f"{', '.join(verbs)}: {how}") for head, (how, verbs) in zip(titles, hows.items(), strict=False)]


def _page(it: Description) -> list[str]:
    """Line by line: what it is, how it computes, who sees whom, what it can do."""
    family = NAMES.get(it.family, NAMES[it.layout])  # a family whose only layout is spelled otherwise
    kind = NAMES[it.layout] + (f" (the network of {family})" if family != NAMES[it.layout] else "")
    tied = {True: "; the LM head uses the token embedding", False: "; the LM head has a matrix of its own", None: ""}
    special = " ".join(f"{role}={token}" for role, token in (it.special_tokens or {}).items())
    tokenizer = "no tokenizer" if it.tokenizer is None else f"{it.tokenizer}, {it.tokens:,} tokens"
    size = f"{it.layers} layers, {it.width:,} wide, {it.attention_heads} attention heads, {it.inner:,} inner"
    masks = " and ".join(it.trained_masks)
    now = it.mask if it.trained_masks == (it.mask,) else f"{it.mask}; the weights were trained under {masks}"
    lines = [
        kind if it.name == NAMES[it.layout] else f"{it.name}: {kind}",
        "",
        _line("size", size),
        _line("parameters", f"{it.parameters:,}, {it.embedding_parameters:,} of them in embeddings{tied[it.tied]}"),
        _line("weights", f"{it.dtype}, {it.megabytes:,.1f} MB"),
        _line("positions", it.places),
        _line("norm", it.norm),
        _line("activation", it.activation),
        _line("scores", it.scores),
        *([_line("token types", str(it.token_types))] if it.token_types else []),
        _line("vocabulary", f"{it.vocabulary:,}; {tokenizer}"),
        *([_line("", special)] if special else []),
        _line("heads", ", ".join(it.heads) or "none"),
        _line("trained", it.trained_for),
        _line("mask", now),
        *([_line("local layers", it.local_layers)] if it.local_layers else []),
        "",
        *(f"  {line}" for line in str(it.drawing).splitlines()),
        "  ■ may attend, · may not" + (f"; {it.drawing.example}" if it.drawing.example else ""),
        "",
    ]
    return lines + _verbs("can", it, True) + _verbs("cannot", it, False)
