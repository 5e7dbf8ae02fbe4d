"""The layout of GPT-2 checkpoints (`model_type: gpt2`): dense weights stored (in, out), query, key and value in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.core.mask import Causal
from sightline.networks.gpt2 import Gpt2, Gpt2Config
from sightline.weights.heads import by_head, plain_lm, scored, span, tagger
from sightline.weights.layout import Layout, Name, pair


def _names(config: Gpt2Config) -> tuple[Name, ...]:
    return (
        Name("{base}wte.weight", ("network.embeddings.tokens.weight",)),
        Name("{base}wpe.weight", ("network.embeddings.positions.table.weight",)),
        *pair("{base}ln_f", "network.norm"),
    )


def _layer_names(config: Gpt2Config) -> tuple[Name, ...]:
    theirs, ours = "{base}h.{layer}.", "network.stack.blocks.{layer}."
    fused = [ours + "attention." + part for part in ("query", "key", "value")]
    return (
        *pair(theirs + "ln_1", ours + "attention_residual.norm"),
        Name(theirs + "attn.c_attn.weight", tuple(f"{part}.weight" for part in fused), transposed=True),
        Name(theirs + "attn.c_attn.bias", tuple(f"{part}.bias" for part in fused)),
        *pair(theirs + "attn.c_proj", ours + "attention.output", transposed=True),
        *pair(theirs + "ln_2", ours + "feed_forward_residual.norm"),
        *pair(theirs + "mlp.c_fc", ours + "feed_forward.inner", transposed=True),
        *pair(theirs + "mlp.c_proj", ours + "feed_forward.output", transposed=True),
    )


def _implied(config: Gpt2Config, heads: frozenset[str]) -> frozenset[str]:
    """A tied LM head is the embedding; it is there unless the checkpoint was made for something else."""
    return frozenset({"lm"}) if config.tied and not heads else frozenset()


def _read(theirs: Mapping[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    width = ours.get("width", 768)
    if isinstance(width, int):  # a width that is none is the configuration's own to refuse
        ours.setdefault("inner", 4 * width)
    return ours


GPT2 = Layout(
    model_type="gpt2",
    family="gpt2",
    base="transformer.",
    network=Gpt2,
    config=Gpt2Config,
    mask=Causal(),
    names=_names,
    per_layer=_layer_names,
    heads=(
        plain_lm("lm_head", ("GPT2LMHeadModel", "GPT2DoubleHeadsModel"), bias=False),
        scored("GPT2ForSequenceClassification"),
        tagger("GPT2ForTokenClassification"),
        span("GPT2ForQuestionAnswering"),
    ),
    implied=_implied,
    architecture=by_head(
        "GPT2Model",
        classifier="GPT2ForSequenceClassification",
        tagger="GPT2ForTokenClassification",
        span="GPT2ForQuestionAnswering",
        lm="GPT2LMHeadModel",
    ),
    fields={
        "vocab_size": "vocabulary",
        "n_embd": "width",
        "n_layer": "layers",
        "n_head": "attention_heads",
        "n_inner": "inner",
        "n_positions": "positions",
        "activation_function": "activation",
        "layer_norm_epsilon": "norm_eps",
        "resid_pdrop": "dropout",
        "embd_pdrop": "embedding_dropout",
        "attn_pdrop": "attention_dropout",
        "classifier_dropout": "classifier_dropout",
        "scale_attn_weights": "scaled",
        "scale_attn_by_inverse_layer_idx": "scaled_by_layer",
        "tie_word_embeddings": "tied",
        "initializer_range": "init_std",
    },
    required={"add_cross_attention": (False, None), "is_encoder_decoder": (False, None), "pruned_heads": ({}, None)},
    inert=frozenset(
        "n_ctx reorder_and_upcast_attn summary_type summary_use_proj summary_activation summary_proj_to_labels"
        " summary_first_dropout".split()
    ),
    adapt_read=_read,
    ignored=(".attn.bias", ".attn.masked_bias", "lm_head.weight"),
)
