"""The layout of BERT checkpoints (`model_type: bert`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from sightline.core.mask import Bidirectional, Causal, Mask
from sightline.networks.bert import Bert, BertConfig
from sightline.networks.heads import SequenceHead
from sightline.weights.heads import masked_lm, pooler, span, tagger
from sightline.weights.layout import HeadLayout, Layout, Name, pair


def embedding_names(config: BertConfig) -> tuple[Name, ...]:
    """What RoBERTa shares."""
    types = Name("{base}embeddings.token_type_embeddings.weight", ("network.embeddings.token_types.weight",))
    return (
        Name("{base}embeddings.word_embeddings.weight", ("network.embeddings.tokens.weight",)),
        Name("{base}embeddings.position_embeddings.weight", ("network.embeddings.positions.table.weight",)),
        *((types,) if config.token_types else ()),
        *pair("{base}embeddings.LayerNorm", "network.embeddings.norm"),
    )


def layer_names(config: BertConfig) -> tuple[Name, ...]:
    """One layer's tensors; RoBERTa shares them."""
    theirs, ours = "{base}encoder.layer.{layer}.", "network.stack.blocks.{layer}."
    return (
        *pair(theirs + "attention.self.query", ours + "attention.query"),
        *pair(theirs + "attention.self.key", ours + "attention.key"),
        *pair(theirs + "attention.self.value", ours + "attention.value"),
        *pair(theirs + "attention.output.dense", ours + "attention.output"),
        *pair(theirs + "attention.output.LayerNorm", ours + "attention_residual.norm"),
        *pair(theirs + "intermediate.dense", ours + "feed_forward.inner"),
        *pair(theirs + "output.dense", ours + "feed_forward.output"),
        *pair(theirs + "output.LayerNorm", ours + "feed_forward_residual.norm"),
    )


def _on_pooler(config: BertConfig, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
    """A classifier of the whole row over the network's own pooler."""
    return SequenceHead(config.width, labels, pooler=heads["pooler"], dropout=config.classifier_dropout)  # type: ignore[arg-type]


def default_dropout(theirs: Mapping[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Where no dropout is given for classifiers, theirs is the hidden states' own."""
    ours.setdefault("classifier_dropout", ours.get("dropout", 0.1))
    return ours


def _architecture(heads: frozenset[str], mask: Mask) -> str:
    choices = (
        ({"classifier"}, "BertForSequenceClassification"),
        ({"tagger"}, "BertForTokenClassification"),
        ({"span"}, "BertForQuestionAnswering"),
        ({"lm", "next_sentence"}, "BertForPreTraining"),
        ({"next_sentence"}, "BertForNextSentencePrediction"),
        ({"lm"}, "BertLMHeadModel" if mask == Causal() else "BertForMaskedLM"),
    )
    return next((name for needed, name in choices if needed <= heads), "BertModel")


FIELDS = {
    "vocab_size": "vocabulary",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "attention_heads",
    "intermediate_size": "inner",
    "max_position_embeddings": "positions",
    "type_vocab_size": "token_types",
    "hidden_act": "activation",
    "layer_norm_eps": "norm_eps",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "classifier_dropout": "classifier_dropout",
    "tie_word_embeddings": "tied",
    "initializer_range": "init_std",
}
"""RoBERTa's too."""

REQUIRED = {
    "position_embedding_type": ("absolute", None),
    "add_cross_attention": (False, None),
    "is_encoder_decoder": (False, None),
    "pruned_heads": ({}, None),
}

BERT = Layout(
    model_type="bert",
    family="bert",
    base="bert.",
    network=Bert,
    config=BertConfig,
    mask=Bidirectional(),
    names=embedding_names,
    per_layer=layer_names,
    heads=(
        pooler("BertModel"),
        masked_lm(
            "cls.predictions.transform.dense",
            "cls.predictions.transform.LayerNorm",
            "cls.predictions.decoder",
            "cls.predictions.bias",
            ("BertForMaskedLM", "BertForPreTraining", "BertLMHeadModel"),
        ),
        HeadLayout(
            name="next_sentence",
            names=lambda config: pair("cls.seq_relationship", "heads.next_sentence.output"),
            markers=("cls.seq_relationship.weight", "{base}pooler.dense.weight"),
            architectures=("BertForNextSentencePrediction", "BertForPreTraining"),
            build=_on_pooler,
        ),
        HeadLayout(
            name="classifier",
            names=lambda config: pair("classifier", "heads.classifier.output"),
            markers=("classifier.weight", "{base}pooler.dense.weight"),
            architectures=("BertForSequenceClassification",),
            build=_on_pooler,
        ),
        tagger("BertForTokenClassification"),
        span("BertForQuestionAnswering"),
    ),
    architecture=_architecture,
    fields=FIELDS,
    required=REQUIRED,
    adapt_read=default_dropout,
    turns_causal=True,
    ignored=("embeddings.position_ids", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"),
)
