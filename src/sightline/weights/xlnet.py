"""The layout of XLNet checkpoints (`model_type: xlnet`): projections stored (width, heads, head width)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from sightline.core.mask import Bidirectional, Causal, Mask, SlidingWindow
from sightline.errors import CheckpointError
from sightline.networks.heads import POOLINGS, Pooler, SequenceHead
from sightline.networks.xlnet import Xlnet, XlnetConfig
from sightline.weights.heads import by_head, plain_lm, span, tagger
from sightline.weights.layout import HeadLayout, Layout, Name, pair


def _names(config: XlnetConfig) -> tuple[Name, ...]:
    return (
        Name("{base}word_embedding.weight", ("network.embeddings.tokens.weight",)),
        Name("{base}mask_emb", ("network.embeddings.blank",), shape=(1, 1, config.width)),
    )


def _layer_names(config: XlnetConfig) -> tuple[Name, ...]:
    theirs, ours = "{base}layer.{layer}.", "network.stack.blocks.{layer}."
    stored = (config.width, config.attention_heads, config.width // config.attention_heads)
    into_heads = {"q": "query", "k": "key", "v": "value", "r": "scores.positions.project"}
    of_scores = {
        "r_w_bias": "content_bias",
        "r_r_bias": "position_bias",
        "r_s_bias": "segment_bias",
        "seg_embed": "segments",
    }
    attention = ours + "attention."
    return (
        *(
            Name(f"{theirs}rel_attn.{name}", (f"{attention}{mine}.weight",), transposed=True, shape=stored)
            for name, mine in into_heads.items()
        ),
        Name(theirs + "rel_attn.o", (attention + "output.weight",), shape=stored),
        *(Name(f"{theirs}rel_attn.{name}", (f"{attention}scores.{mine}",)) for name, mine in of_scores.items()),
        *pair(theirs + "rel_attn.layer_norm", ours + "attention_residual.norm"),
        *pair(theirs + "ff.layer_1", ours + "feed_forward.inner"),
        *pair(theirs + "ff.layer_2", ours + "feed_forward.output"),
        *pair(theirs + "ff.layer_norm", ours + "feed_forward_residual.norm"),
    )


def _classifier_names(config: XlnetConfig) -> tuple[Name, ...]:
    dense = pair("sequence_summary.summary", "heads.classifier.pooler.dense") if config.summary_dense else ()
    return (*dense, *pair("logits_proj", "heads.classifier.output"))


def _classifier(config: XlnetConfig, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
    pooler = Pooler(config.width, config.summary_activation, dense=config.summary_dense)
    return SequenceHead(
        config.width, labels, pooler=pooler, usual_pooling=config.summary, dropout=config.classifier_dropout
    )


def _read(theirs: Mapping[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Their ways of saying things: no clamp is −1 or 0, a memory that forgets nothing 0, and one of 512 is left out."""
    width, heads, head_width = ours.get("width", 1024), ours.get("attention_heads", 16), theirs.get("d_head")
    split = type(width) is type(heads) is int and width > 0 and heads > 0 and width % heads == 0  # else refused below
    if split and head_width not in (None, width // heads):
        raise CheckpointError(
            f"d_head={head_width!r} is another than d_model / n_head, {width} / {heads}, and XLNet's heads are as wide"
            " as that; correct config.json"
        )
    lengths = ("clamp_length", "memory_length", "reuse_length")
    ours = {name: value for name, value in ours.items() if name not in lengths or value not in (-1, 0)}
    if "mem_len" not in theirs:
        ours["memory_length"] = 512
    if ours.get("summary") == "cls_index":  # where no index is given, and none is, that is the last token
        ours["summary"] = "last"
    if ours.get("summary", "last") not in POOLINGS:
        raise CheckpointError(
            f"config.json says summary_type={ours['summary']!r}, which Sightline does not compute for 'xlnet' (only"
            f" {' or '.join(map(repr, POOLINGS))})"
        )
    if "summary_activation" in theirs and not theirs["summary_activation"]:
        ours["summary_activation"] = "linear"
    return ours


def _write(ours: XlnetConfig, theirs: dict[str, Any]) -> dict[str, Any]:
    return {**theirs, "d_head": ours.width // ours.attention_heads, "clamp_len": ours.clamp_length or -1}


def _read_mask(theirs: Mapping[str, Any], ours: XlnetConfig) -> Mask | None:
    """attn_type "uni" looks back; under same_length no further than the memory is long, when it is full."""
    kind = theirs.get("attn_type", "bi")
    if kind not in ("bi", "uni"):
        raise CheckpointError(f"config.json says attn_type={kind!r}, which is neither 'bi' nor 'uni'; correct it")
    if kind == "bi":
        return None
    if not theirs.get("same_length"):
        return Causal()
    if ours.memory_length is None:
        raise CheckpointError("config.json says attn_type='uni' and same_length=True, but no mem_len; give it one")
    return Causal() & SlidingWindow(ours.memory_length + 1)


XLNET = Layout(
    model_type="xlnet",
    family="xlnet",
    base="transformer.",
    network=Xlnet,
    config=XlnetConfig,
    mask=Bidirectional(),
    names=_names,
    per_layer=_layer_names,
    heads=(
        plain_lm("lm_loss", ("XLNetLMHeadModel",), bias=True),
        HeadLayout(
            name="classifier",
            names=_classifier_names,
            markers=("logits_proj.weight",),
            architectures=("XLNetForSequenceClassification",),
            build=_classifier,
        ),
        tagger("XLNetForTokenClassification", dropped=False),
        span("XLNetForQuestionAnsweringSimple"),
    ),
    architecture=by_head(
        "XLNetModel",
        classifier="XLNetForSequenceClassification",
        tagger="XLNetForTokenClassification",
        span="XLNetForQuestionAnsweringSimple",
        lm="XLNetLMHeadModel",
    ),
    refused=("XLNetForMultipleChoice", "XLNetForQuestionAnswering"),
    fields={
        "vocab_size": "vocabulary",
        "d_model": "width",
        "n_layer": "layers",
        "n_head": "attention_heads",
        "d_inner": "inner",
        "ff_activation": "activation",
        "layer_norm_eps": "norm_eps",
        "clamp_len": "clamp_length",
        "mem_len": "memory_length",
        "reuse_len": "reuse_length",
        "dropout": "dropout",
        "summary_type": "summary",
        "summary_use_proj": "summary_dense",
        "summary_activation": "summary_activation",
        "summary_last_dropout": "classifier_dropout",
        "tie_word_embeddings": "tied",
        "initializer_range": "init_std",
    },
    required={
        "summary_proj_to_labels": (False, None),
        "summary_first_dropout": (0, 0.0, None),
        "is_encoder_decoder": (False, None),
        "pruned_heads": ({}, None),
    },
    # untie_r: every layer has its own biases in the file, equal ones where they were tied. bi_data: how batches of
    # pretraining were made, half of them read backwards; here a row's direction is its position_ids. use_mems…: whether
    # there is a memory is said by passing one. The others belong to a head that is refused.
    inert=frozenset("untie_r bi_data use_mems_eval use_mems_train use_mems start_n_top end_n_top".split()),
    adapted=frozenset({"d_head", "attn_type", "same_length"}),
    adapt_read=_read,
    adapt_write=_write,
    read_mask=_read_mask,
    mask_fields=lambda mask: {"attn_type": "uni" if mask == Causal() else "bi", "same_length": False},
    turns_causal=True,
    two_streams=True,
    ignored=("lm_loss.weight",),
)
