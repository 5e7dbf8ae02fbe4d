"""Heads that several layouts spell alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from sightline.networks.embedding import token_embedding
from sightline.networks.heads import LMHead, Pooler, TokenHead, Transform
from sightline.weights.layout import HeadLayout, Name, pair


def pooler(architecture: str) -> HeadLayout:
    """The first token through a dense layer and tanh, a part of the network itself in theirs."""

    def build(config: Any, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
        return Pooler(config.width)

    return HeadLayout(
        name="pooler",
        names=lambda config: pair("{base}pooler.dense", "heads.pooler.dense"),
        markers=("{base}pooler.dense.weight",),
        architectures=(architecture,),
        build=build,
    )


def tagger(architecture: str) -> HeadLayout:
    """A classifier of every token."""

    def build(config: Any, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
        return TokenHead(config.width, labels, config.classifier_dropout)

    return HeadLayout(
        name="tagger",
        names=lambda config: pair("classifier", "heads.tagger.output"),
        markers=("classifier.weight",),
        architectures=(architecture,),
        build=build,
    )


def span(architecture: str) -> HeadLayout:
    """Start and end of an answer (Devlin et al. 2019, "BERT", section 4.2)."""

    def build(config: Any, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
        return TokenHead(config.width, labels)

    return HeadLayout(
        name="span",
        names=lambda config: pair("qa_outputs", "heads.span.output"),
        markers=("qa_outputs.weight",),
        architectures=(architecture,),
        build=build,
    )


def masked_lm(
    dense: str, norm: str, decoder: str, bias: str, architectures: tuple[str, ...], activation: str | None = None
) -> HeadLayout:
    """A masked-LM head with a transform (Devlin et al. 2019, section 3.1, task 1).

    bias        where the bias stands when the matrix is tied
    activation  of the transform; None: that of the layers
    """

    def names(config: Any) -> tuple[Name, ...]:
        transform = (*pair(dense, "heads.lm.transform.dense"), *pair(norm, "heads.lm.transform.norm"))
        if config.tied:
            return (*transform, Name(bias, ("heads.lm.bias",)))
        copies = (bias,) if bias != f"{decoder}.bias" else ()
        own = Name(f"{decoder}.bias", ("heads.lm.bias",), copies=copies)
        return (*transform, Name(f"{decoder}.weight", ("heads.lm.weight",)), own)

    def build(config: Any, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
        transform = Transform(config.width, activation or config.activation, config.norm_eps)
        tied = token_embedding(network) if config.tied else None
        return LMHead(config.width, config.vocabulary, tied=tied, transform=transform, bias=True)

    return HeadLayout(name="lm", names=names, markers=(f"{dense}.weight",), architectures=architectures, build=build)
