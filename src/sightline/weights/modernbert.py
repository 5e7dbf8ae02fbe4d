"""The layouts of ModernBERT checkpoints and of its decoder twin (`model_type: modernbert` and `modernbert-decoder`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from sightline.core.mask import Bidirectional, Causal
from sightline.errors import CheckpointError
from sightline.networks.embedding import token_embedding
from sightline.networks.heads import LMHead, Pooler, SequenceHead, TokenHead, Transform
from sightline.networks.modernbert import EVERY, ModernBert, ModernBertConfig
from sightline.weights.heads import by_head
from sightline.weights.layout import HeadLayout, Layout, Name, pair

BASES = {"full_attention": ("global_rope_theta", 160_000.0), "sliding_attention": ("local_rope_theta", 10_000.0)}
"""Kinds of layers: the field that older files have for their rotary base, and what it is where nothing says so."""

POOLINGS: dict[str, str] = {"first": "cls", "mean": "mean"}
"""What the encoder's classifier may read of a row, and how theirs spells it."""

SPECIAL = ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
"""Left out, they would be ids of ModernBERT's own vocabulary, and transformers would not open a smaller one."""


def _part(theirs: str, ours: str, bias: bool) -> tuple[Name, ...]:
    """The weight of one layer, and the bias where there is one."""
    return pair(theirs, ours)[: 1 + bias]


def _names(config: ModernBertConfig) -> tuple[Name, ...]:
    blocks = range(1, config.layers)  # the first attention has no norm
    norms = (("{base}" + f"layers.{i}.attn_norm", f"network.stack.blocks.{i}.attention_residual.norm") for i in blocks)
    return (
        Name("{base}embeddings.tok_embeddings.weight", ("network.embeddings.tokens.weight",)),
        *_part("{base}embeddings.norm", "network.embeddings.norm", config.norm_bias),
        *_part("{base}final_norm", "network.norm", config.norm_bias),
        *(name for theirs, ours in norms for name in _part(theirs, ours, config.norm_bias)),
    )


def _shared_layer_names(config: ModernBertConfig) -> tuple[Name, ...]:
    theirs, ours = "{base}layers.{layer}.", "network.stack.blocks.{layer}."
    return (
        *_part(theirs + "attn.Wo", ours + "attention.output", config.attention_bias),
        *_part(theirs + "mlp_norm", ours + "feed_forward_residual.norm", config.norm_bias),
        *_part(theirs + "mlp.Wi", ours + "feed_forward.inner", config.inner_bias),
        *_part(theirs + "mlp.Wo", ours + "feed_forward.output", config.inner_bias),
    )


def _layer_names(config: ModernBertConfig) -> tuple[Name, ...]:
    """The encoder's: query, key and value in one tensor."""
    fused = ["network.stack.blocks.{layer}.attention." + part for part in ("query", "key", "value")]
    kinds = ("weight", "bias")[: 1 + config.attention_bias]
    one = (Name("{base}layers.{layer}.attn.Wqkv." + kind, tuple(f"{part}.{kind}" for part in fused)) for kind in kinds)
    return (*one, *_shared_layer_names(config))


def _decoder_layer_names(config: ModernBertConfig) -> tuple[Name, ...]:
    """The decoder's: three tensors."""
    theirs, ours = "{base}layers.{layer}.attn.", "network.stack.blocks.{layer}.attention."
    parts = (("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value"))
    apart = (name for their, our in parts for name in _part(theirs + their, ours + our, config.attention_bias))
    return (*apart, *_shared_layer_names(config))


# Heads: each a dense layer, a nonlinearity and a norm, then a matrix


def _transform_names(theirs: str, ours: str, config: ModernBertConfig) -> tuple[Name, ...]:
    dense = _part(f"{theirs}.dense", f"{ours}.dense", config.classifier_bias)
    return (*dense, *_part(f"{theirs}.norm", f"{ours}.norm", config.norm_bias))


def _transform(config: ModernBertConfig) -> Transform:
    return Transform(
        config.width,
        config.classifier_activation,
        config.norm_eps,
        bias=config.classifier_bias,
        norm_bias=config.norm_bias,
    )


def _lm(theirs: str, architecture: str, unless: tuple[str, ...] = ()) -> HeadLayout:
    def names(config: ModernBertConfig) -> tuple[Name, ...]:
        matrix = () if config.tied else (Name("decoder.weight", ("heads.lm.weight",)),)
        bias = (Name("decoder.bias", ("heads.lm.bias",)),) if config.output_bias else ()
        return (*_transform_names(theirs, "heads.lm.transform", config), *matrix, *bias)

    def build(config: ModernBertConfig, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
        tied = token_embedding(network) if config.tied else None
        bias = config.output_bias
        return LMHead(config.width, config.vocabulary, tied=tied, transform=_transform(config), bias=bias)

    markers = (f"{theirs}.dense.weight",)
    return HeadLayout(
        name="lm", names=names, markers=markers, unless=unless, architectures=(architecture,), build=build
    )


def _classifier(architecture: str, *, always_biased: bool) -> HeadLayout:
    def names(config: ModernBertConfig) -> tuple[Name, ...]:
        output = _part("classifier", "heads.classifier.output", always_biased or config.classifier_bias)
        return (*_transform_names("head", "heads.classifier.pooler", config), *output)

    def build(config: ModernBertConfig, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
        return SequenceHead(
            config.width,
            labels,
            pooler=Pooler(
                config.width,
                config.classifier_activation,
                bias=config.classifier_bias,
                norm=nn.LayerNorm(config.width, config.norm_eps, bias=config.norm_bias),
            ),
            usual_pooling=config.classifier_pooling,
            dropout=config.classifier_dropout,
            bias=always_biased or config.classifier_bias,
        )

    markers = ("classifier.weight", "head.dense.weight")
    return HeadLayout(name="classifier", names=names, markers=markers, architectures=(architecture,), build=build)


def _of_tokens(name: str, architecture: str) -> HeadLayout:
    def names(config: ModernBertConfig) -> tuple[Name, ...]:
        transform = _transform_names("head", f"heads.{name}.transform", config)
        return (*transform, *pair("classifier", f"heads.{name}.output"))

    def build(config: ModernBertConfig, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
        return TokenHead(config.width, labels, config.classifier_dropout, transform=_transform(config))

    markers = ("classifier.weight", "head.dense.weight")
    return HeadLayout(name=name, names=names, markers=markers, architectures=(architecture,), build=build)


# Configuration


def _global_layers(theirs: Mapping[str, Any], layers: int) -> tuple[int, ...] | None:
    """Which layers are global; None: as is usual."""
    kinds, every = theirs.get("layer_types"), theirs.get("global_attn_every_n_layers", EVERY)
    if kinds is None:
        kinds = ["sliding_attention" if layer % every else "full_attention" for layer in range(layers)]
    if not isinstance(kinds, list) or len(kinds) != layers or not set(kinds) <= set(BASES):
        raise CheckpointError(
            f"config.json says layer_types={kinds!r}; it must name each of the {layers} layers {' or '.join(BASES)}"
        )
    found = tuple(layer for layer, kind in enumerate(kinds) if kind == "full_attention")
    return None if found == tuple(range(0, layers, EVERY)) else found


def _base(theirs: Mapping[str, Any], kind: str) -> Any:
    """The rotary base of layers of this kind. Raises CheckpointError for positions that are scaled."""
    old, usual = BASES[kind]
    every = theirs.get("rope_parameters") or {}
    stated = every.get(kind) or {} if isinstance(every, dict) else every
    if (
        not isinstance(stated, dict)
        or stated.get("rope_type", "default") != "default"
        or set(stated) - {"rope_type", "rope_theta"}
    ):
        raise CheckpointError(
            f"config.json says rope_parameters={stated!r} for {kind}, and Sightline computes plain rotary positions"
            ' only: {"rope_type": "default", "rope_theta": …}'
        )
    base = stated.get("rope_theta", theirs.get(old))
    return usual if base is None else base


def _read(theirs: Mapping[str, Any], ours: dict[str, Any], more: int) -> dict[str, Any]:
    """A local layer sees what is nearer than half of local_attention, and `more`."""
    layers, local = ours.get("layers", ModernBertConfig.layers), theirs.get("local_attention", 128)
    if isinstance(local, bool) or not isinstance(local, int):
        raise CheckpointError(f"config.json says local_attention={local!r}; it must be a whole number of positions")
    pooling = next((pick for pick, name in POOLINGS.items() if name == theirs.get("classifier_pooling", "cls")), None)
    if pooling is None:
        named = theirs["classifier_pooling"]
        known = " or ".join(POOLINGS.values())
        raise CheckpointError(f"config.json says classifier_pooling={named!r}; it must be {known}")
    read: dict[str, Any] = {
        "window": local // 2 + more,
        "global_base": _base(theirs, "full_attention"),
        "local_base": _base(theirs, "sliding_attention"),
        "classifier_pooling": pooling,
        **ours,
    }
    return {**read, "global_layers": _global_layers(theirs, layers)} if isinstance(layers, int) else read


def _write(ours: ModernBertConfig, theirs: dict[str, Any], more: int) -> dict[str, Any]:
    kinds = ["full_attention" if ours.is_global(layer) else "sliding_attention" for layer in range(ours.layers)]
    bases = {"full_attention": ours.global_base, "sliding_attention": ours.local_base}
    rope = {kind: {"rope_theta": base, "rope_type": "default"} for kind, base in bases.items()}
    return {**theirs, "local_attention": 2 * (ours.window - more), "layer_types": kinds, "rope_parameters": rope}


def _read_encoder(theirs: Mapping[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """A window of 8 is 4 positions on each side, so all that is nearer than 5."""
    return _read(theirs, ours, more=1)


def _write_encoder(ours: ModernBertConfig, theirs: dict[str, Any]) -> dict[str, Any]:
    pooling = {"classifier_pooling": POOLINGS[ours.classifier_pooling]} if ours.classifier_pooling in POOLINGS else {}
    return _write(ours, {**theirs, **pooling}, more=1)


def _read_decoder(theirs: Mapping[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """A window of 8 is a token and the 3 before it, so all that is nearer than 4."""
    return _read(theirs, {**ours, "classifier_pooling": "last"}, more=0)


def _write_decoder(ours: ModernBertConfig, theirs: dict[str, Any]) -> dict[str, Any]:
    return _write(ours, theirs, more=0)


FIELDS = {
    "vocab_size": "vocabulary",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "attention_heads",
    "intermediate_size": "inner",
    "max_position_embeddings": "positions",
    "hidden_activation": "activation",
    "norm_eps": "norm_eps",
    "norm_bias": "norm_bias",
    "attention_bias": "attention_bias",
    "attention_dropout": "attention_dropout",
    "embedding_dropout": "embedding_dropout",
    "mlp_bias": "inner_bias",
    "mlp_dropout": "dropout",
    "decoder_bias": "output_bias",
    "classifier_bias": "classifier_bias",
    "classifier_dropout": "classifier_dropout",
    "classifier_activation": "classifier_activation",
    "tie_word_embeddings": "tied",
    "initializer_range": "init_std",
}
"""The decoder twin's too."""

MODERNBERT = Layout(
    model_type="modernbert",
    family="modernbert",
    base="model.",
    network=ModernBert,
    config=ModernBertConfig,
    mask=Bidirectional(),
    names=_names,
    per_layer=_layer_names,
    heads=(
        _lm("head", "ModernBertForMaskedLM", unless=("classifier.weight",)),
        _classifier("ModernBertForSequenceClassification", always_biased=True),
        _of_tokens("tagger", "ModernBertForTokenClassification"),
        _of_tokens("span", "ModernBertForQuestionAnswering"),
    ),
    architecture=by_head(
        "ModernBertModel",
        classifier="ModernBertForSequenceClassification",
        tagger="ModernBertForTokenClassification",
        span="ModernBertForQuestionAnswering",
        lm="ModernBertForMaskedLM",
    ),
    refused=("ModernBertForMultipleChoice",),
    fields=FIELDS,
    adapted=frozenset(
        "local_attention layer_types global_attn_every_n_layers rope_parameters global_rope_theta local_rope_theta"
        " classifier_pooling".split()
    ),
    required={"rope_scaling": (None,), "is_encoder_decoder": (False, None)},
    inert=frozenset(
        "sparse_prediction sparse_pred_ignore_index deterministic_flash_attn reference_compile repad_logits_with_grad"
        " initializer_cutoff_factor position_embedding_type layer_norm_eps".split()
    ),
    adapt_read=_read_encoder,
    adapt_write=_write_encoder,
    unsaid=dict.fromkeys(SPECIAL),
    settings=lambda pad: {"classifier_pooling": "mean"},  # the first token learns nothing from a language objective
    poolings=POOLINGS,
    ignored=("decoder.weight",),
)

MODERNBERT_DECODER = replace(
    MODERNBERT,
    model_type="modernbert-decoder",
    mask=Causal(),
    per_layer=_decoder_layer_names,
    heads=(
        _lm("lm_head", "ModernBertDecoderForCausalLM"),
        _classifier("ModernBertDecoderForSequenceClassification", always_biased=False),
    ),
    architecture=by_head(
        "ModernBertDecoderModel",
        classifier="ModernBertDecoderForSequenceClassification",
        lm="ModernBertDecoderForCausalLM",
    ),
    inert=MODERNBERT.inert | {"sliding_window"},
    adapt_read=_read_decoder,
    adapt_write=_write_decoder,
    unsaid={**dict.fromkeys(SPECIAL, -1), "eos_token_id": None},  # theirs must be numbers: no token has this one
    settings=lambda pad: {"window": 64, "classifier_pooling": "last"},
    poolings={},
)
