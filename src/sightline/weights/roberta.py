"""The layout of RoBERTa checkpoints (`model_type: roberta`): BERT's network, positions that start at pad + 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from sightline.core.check import whole
from sightline.core.mask import Bidirectional, Causal, Mask
from sightline.networks.bert import Bert, BertConfig
from sightline.networks.heads import Pooler, SequenceHead
from sightline.weights.bert import FIELDS, REQUIRED, default_dropout, embedding_names, layer_names
from sightline.weights.heads import masked_lm, pooler, span, tagger
from sightline.weights.layout import HeadLayout, Layout, pair


def _classifier(config: BertConfig, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
    return SequenceHead(config.width, labels, pooler=Pooler(config.width), dropout=config.classifier_dropout)


def _architecture(heads: frozenset[str], mask: Mask) -> str:
    choices = (
        ({"classifier"}, "RobertaForSequenceClassification"),
        ({"tagger"}, "RobertaForTokenClassification"),
        ({"span"}, "RobertaForQuestionAnswering"),
        ({"lm"}, "RobertaForCausalLM" if mask == Causal() else "RobertaForMaskedLM"),
    )
    return next((name for needed, name in choices if needed <= heads), "RobertaModel")


def _read(theirs: Mapping[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Their position table counts the rows up to and with padding's, which no token reads."""
    ours = default_dropout(theirs, {"vocabulary": 50265, **ours})
    padding = 1 if theirs.get("pad_token_id") is None else theirs["pad_token_id"]
    whole("pad_token_id", padding, least=0)
    whole("max_position_embeddings", ours.get("positions", 512))
    return {**ours, "position_offset": padding + 1, "positions": ours.get("positions", 512) - padding - 1}


def _write(ours: BertConfig, theirs: dict[str, Any]) -> dict[str, Any]:
    rows = ours.positions + ours.position_offset
    return {**theirs, "max_position_embeddings": rows, "pad_token_id": ours.position_offset - 1}


ROBERTA = Layout(
    model_type="roberta",
    family="bert",
    base="roberta.",
    network=Bert,
    config=BertConfig,
    mask=Bidirectional(),
    names=embedding_names,
    per_layer=layer_names,
    heads=(
        pooler("RobertaModel"),
        masked_lm(
            "lm_head.dense",
            "lm_head.layer_norm",
            "lm_head.decoder",
            "lm_head.bias",
            ("RobertaForMaskedLM", "RobertaForCausalLM"),
            activation="gelu",  # whatever the layers have
        ),
        HeadLayout(
            name="classifier",
            names=lambda config: (
                *pair("classifier.dense", "heads.classifier.pooler.dense"),
                *pair("classifier.out_proj", "heads.classifier.output"),
            ),
            markers=("classifier.out_proj.weight",),
            architectures=("RobertaForSequenceClassification",),
            build=_classifier,
        ),
        tagger("RobertaForTokenClassification"),
        span("RobertaForQuestionAnswering"),
    ),
    architecture=_architecture,
    fields=FIELDS,
    required=REQUIRED,
    adapt_read=_read,
    adapt_write=_write,
    settings=lambda pad: {"position_offset": 2 if pad is None else pad + 1},
    turns_causal=True,
    ignored=("embeddings.position_ids", "lm_head.decoder.weight", "lm_head.decoder.bias"),
)
