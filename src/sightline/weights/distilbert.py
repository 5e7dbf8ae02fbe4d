"""The layout of DistilBERT checkpoints (`model_type: distilbert`): BERT's network without token types and pooler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from sightline.core.mask import Bidirectional
from sightline.networks.bert import Bert, BertConfig
from sightline.networks.heads import Pooler, SequenceHead
from sightline.weights.heads import by_head, masked_lm, span, tagger
from sightline.weights.layout import HeadLayout, Layout, Name, pair


def _embedding_names(config: BertConfig) -> tuple[Name, ...]:
    return (
        Name("{base}embeddings.word_embeddings.weight", ("network.embeddings.tokens.weight",)),
        Name("{base}embeddings.position_embeddings.weight", ("network.embeddings.positions.table.weight",)),
        *pair("{base}embeddings.LayerNorm", "network.embeddings.norm"),
    )


def _layer_names(config: BertConfig) -> tuple[Name, ...]:
    theirs, ours = "{base}transformer.layer.{layer}.", "network.stack.blocks.{layer}."
    return (
        *pair(theirs + "attention.q_lin", ours + "attention.query"),
        *pair(theirs + "attention.k_lin", ours + "attention.key"),
        *pair(theirs + "attention.v_lin", ours + "attention.value"),
        *pair(theirs + "attention.out_lin", ours + "attention.output"),
        *pair(theirs + "sa_layer_norm", ours + "attention_residual.norm"),
        *pair(theirs + "ffn.lin1", ours + "feed_forward.inner"),
        *pair(theirs + "ffn.lin2", ours + "feed_forward.output"),
        *pair(theirs + "output_layer_norm", ours + "feed_forward_residual.norm"),
    )


def _classifier(config: BertConfig, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
    pooler = Pooler(config.width, "relu")
    return SequenceHead(config.width, labels, pooler=pooler, dropout=config.classifier_dropout)


def _read(theirs: Mapping[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    defaults = {"layers": 6, "classifier_dropout": 0.2}
    return {**defaults, **ours, "token_types": 0}


DISTILBERT = Layout(
    model_type="distilbert",
    family="bert",
    base="distilbert.",
    network=Bert,
    config=BertConfig,
    mask=Bidirectional(),
    names=_embedding_names,
    per_layer=_layer_names,
    heads=(
        masked_lm(
            "vocab_transform",
            "vocab_layer_norm",
            "vocab_projector",
            "vocab_projector.bias",
            ("DistilBertForMaskedLM",),
        ),
        HeadLayout(
            name="classifier",
            names=lambda config: (
                *pair("pre_classifier", "heads.classifier.pooler.dense"),
                *pair("classifier", "heads.classifier.output"),
            ),
            markers=("classifier.weight", "pre_classifier.weight"),
            architectures=("DistilBertForSequenceClassification",),
            build=_classifier,
        ),
        tagger("DistilBertForTokenClassification"),
        span("DistilBertForQuestionAnswering"),
    ),
    architecture=by_head(
        "DistilBertModel",
        classifier="DistilBertForSequenceClassification",
        tagger="DistilBertForTokenClassification",
        span="DistilBertForQuestionAnswering",
        lm="DistilBertForMaskedLM",
    ),
    fields={
        "vocab_size": "vocabulary",
        "dim": "width",
        "n_layers": "layers",
        "n_heads": "attention_heads",
        "hidden_dim": "inner",
        "max_position_embeddings": "positions",
        "activation": "activation",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "seq_classif_dropout": "classifier_dropout",
        "tie_word_embeddings": "tied",
        "initializer_range": "init_std",
    },
    required={"is_encoder_decoder": (False, None), "pruned_heads": ({}, None)},
    inert=frozenset({"sinusoidal_pos_embds", "tie_weights_", "qa_dropout"}),
    adapt_read=_read,
    settings=lambda pad: {"token_types": 0},
    ignored=("embeddings.position_ids", "vocab_projector.weight"),
)
