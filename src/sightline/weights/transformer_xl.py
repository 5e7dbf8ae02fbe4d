"""The layout of Transformer-XL checkpoints (`model_type: transfo-xl`), as transformers wrote it up to 4.57.

Query, key and value lie in one tensor, and nothing in the attention has a bias. Where the head shares the embedding's
tensors, older files hold them twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from sightline.core.linear import Linear
from sightline.core.mask import Causal
from sightline.errors import CheckpointError
from sightline.networks.adaptive import AdaptiveEmbedding, AdaptiveSoftmax
from sightline.networks.embedding import TokenEmbedding
from sightline.networks.transformer_xl import TransformerXL, TransformerXLConfig
from sightline.weights.heads import by_head, scored
from sightline.weights.layout import HeadLayout, Layout, Name, pair

MOST_CLUSTERS = 16  # more than any vocabulary is cut into
_TOKENS = "network.embeddings.tokens."


def _names(config: TransformerXLConfig) -> tuple[Name, ...]:
    clusters = config.clusters
    tables = range(len(clusters.tables))
    projected = tables if clusters.projected(config.width) else ()
    shared = () if config.untied_biases else _biases("{base}", "network.biases.")
    return (
        *(Name(f"{{base}}word_emb.emb_layers.{i}.weight", (f"{_TOKENS}tables.{i}.weight",)) for i in tables),
        *(Name(f"{{base}}word_emb.emb_projs.{i}", (f"{_TOKENS}projections.{i}.weight",)) for i in projected),
        *shared,
    )


def _biases(theirs: str, ours: str) -> tuple[Name, Name]:
    return Name(theirs + "r_w_bias", (ours + "content",)), Name(theirs + "r_r_bias", (ours + "position",))


def _layer_names(config: TransformerXLConfig) -> tuple[Name, ...]:
    theirs, ours = "{base}layers.{layer}.", "network.stack.blocks.{layer}."
    attention = ours + "attention."
    fused = tuple(f"{attention}{part}.weight" for part in ("query", "key", "value"))
    own = _biases(theirs + "dec_attn.", attention + "scores.own.") if config.untied_biases else ()
    return (
        Name(theirs + "dec_attn.qkv_net.weight", fused),
        Name(theirs + "dec_attn.o_net.weight", (attention + "output.weight",)),
        Name(theirs + "dec_attn.r_net.weight", (attention + "scores.positions.project.weight",)),
        *own,
        *pair(theirs + "dec_attn.layer_norm", ours + "attention_residual.norm"),
        *pair(theirs + "pos_ff.CoreNet.0", ours + "feed_forward.inner"),
        *pair(theirs + "pos_ff.CoreNet.3", ours + "feed_forward.output"),
        *pair(theirs + "pos_ff.layer_norm", ours + "feed_forward_residual.norm"),
    )


def _ties(config: TransformerXLConfig) -> tuple[bool, ...]:
    """Of each cluster, whether the head uses the embedding's projection."""
    return config.tied_projections or _usual_ties(config.cutoffs)


def _usual_ties(cutoffs: tuple[int, ...]) -> tuple[bool, ...]:
    return (False, *(True for _ in cutoffs))


def _lm_names(config: TransformerXLConfig) -> tuple[Name, ...]:
    clusters = config.clusters
    tables = range(len(clusters.tables))
    own = [i for i, tied in enumerate(_ties(config)) if not tied and clusters.projected(config.width)]
    return (
        *(Name(f"crit.out_layers.{i}.bias", (f"heads.lm.tables.{i}.bias",)) for i in tables),
        *(Name(f"crit.out_layers.{i}.weight", (f"heads.lm.tables.{i}.weight",)) for i in tables if not config.tied),
        *(Name(f"crit.out_projs.{i}", (f"heads.lm.projections.{i}.weight",)) for i in own),
        *(Name(f"crit.cluster_{part}", (f"heads.lm.cluster.{part}",)) for part in ("weight", "bias") if config.cutoffs),
    )


def _lm(config: TransformerXLConfig, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
    embedding = network.get_submodule("embeddings.tokens")
    if not isinstance(embedding, AdaptiveEmbedding):
        raise TypeError(
            f"a Transformer-XL's embeddings.tokens must be an AdaptiveEmbedding, not {type(embedding).__name__}"
        )
    tables = [table for table in embedding.tables if isinstance(table, TokenEmbedding)]
    projections = [projection for projection in embedding.projections if isinstance(projection, Linear)]
    if len(projections) == 1:  # one table, and so one projection, for all clusters
        projections = projections * len(embedding.clusters.sizes)
    ties = _ties(config) if projections else ()
    return AdaptiveSoftmax(
        config.clusters,
        config.width,
        tied=tables if config.tied else None,
        tied_projections=[one if tied else None for one, tied in zip(projections, ties, strict=True)] or None,
    )


def _read(theirs: Mapping[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Their numbers that mean none, or the usual, are None here."""
    defaults = TransformerXLConfig()
    for name in ("cutoffs", "tied_projections"):
        if name in ours:
            ours[name] = _listed(name, ours[name])
    width, heads = ours.get("width", defaults.width), ours.get("attention_heads", defaults.attention_heads)
    cutoffs = ours.get("cutoffs", defaults.cutoffs)
    split = type(width) is type(heads) is int and heads > 0  # else refused below
    own = {"head_width": width // heads if split else None, "embedding_width": width}
    ours |= {name: None for name, usual in own.items() if ours.get(name, usual) == usual}
    clamp = ours.get("clamp_length", defaults.clamp_length)
    ours["clamp_length"] = clamp if not isinstance(clamp, int) or clamp > 0 else None
    if ours.get("tied_projections") == _usual_ties(cutoffs):
        ours["tied_projections"] = None
    if "tie_word_embeddings" not in theirs and isinstance(theirs.get("tie_weight"), bool):
        ours["tied"] = theirs["tie_weight"]
    ours["norm"] = "pre" if theirs.get("pre_lnorm") else "post"
    return ours


def _listed(name: str, value: object) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise CheckpointError(f"config.json says {name}={value!r}, which must be a list")
    return tuple(value)


def _write(ours: TransformerXLConfig, theirs: dict[str, Any]) -> dict[str, Any]:
    return {
        **theirs,
        "d_head": ours.each_head,
        "d_embed": ours.clusters.width,
        "clamp_len": ours.clamp_length or -1,
        "cutoffs": list(ours.cutoffs),
        "tie_projs": list(_ties(ours)),
        "tie_weight": ours.tied,
        "pre_lnorm": ours.norm == "pre",
    }


TRANSFORMER_XL = Layout(
    model_type="transfo-xl",
    family="transformer-xl",
    base="transformer.",
    network=TransformerXL,
    config=TransformerXLConfig,
    mask=Causal(),
    read_mask=lambda theirs, config: config.mask,
    names=_names,
    per_layer=_layer_names,
    heads=(
        HeadLayout(
            name="lm",
            names=_lm_names,
            markers=("crit.out_layers.0.bias",),
            architectures=("TransfoXLLMHeadModel",),
            build=_lm,
        ),
        scored("TransfoXLForSequenceClassification"),
    ),
    architecture=by_head("TransfoXLModel", classifier="TransfoXLForSequenceClassification", lm="TransfoXLLMHeadModel"),
    fields={
        "vocab_size": "vocabulary",
        "d_model": "width",
        "n_layer": "layers",
        "n_head": "attention_heads",
        "d_head": "head_width",
        "d_inner": "inner",
        "mem_len": "memory_length",
        "same_length": "same_length",
        "clamp_len": "clamp_length",
        "untie_r": "untied_biases",
        "activation_function": "activation",  # theirs is always ReLU, and says nothing
        "layer_norm_epsilon": "norm_eps",
        "cutoffs": "cutoffs",
        "div_val": "divisor",
        "d_embed": "embedding_width",
        "dropout": "dropout",
        "dropatt": "attention_dropout",
        "tie_word_embeddings": "tied",
        "tie_projs": "tied_projections",
        "init_std": "init_std",
    },
    required={
        "attn_type": (0,),
        "sample_softmax": (-1, 0, None),
        "is_encoder_decoder": (False, None),
        "pruned_heads": ({}, None),
    },
    # n_token: another spelling of vocab_size. tgt_len and ext_len: how its makers cut text in training.
    inert=frozenset(
        "adaptive init init_range proj_init_std proj_share_all_but_first trainer_compatible"
        " n_token tgt_len ext_len".split()
    ),
    adapted=frozenset({"pre_lnorm", "tie_weight"}),
    adapt_read=_read,
    adapt_write=_write,
    ignored=(
        "pos_emb.inv_freq",
        *(f"crit.out_layers.{i}.weight" for i in range(MOST_CLUSTERS)),
        *(f"crit.out_projs.{i}" for i in range(MOST_CLUSTERS)),
        "dec_attn.r_w_bias",  # copies of the shared ones
        "dec_attn.r_r_bias",
    ),
)
