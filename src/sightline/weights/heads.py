"""Heads that several layouts spell alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from sightline.core.mask import Mask
from sightline.networks.embedding import token_embedding
from sightline.networks.heads import LMHead, Pooler, SequenceHead, TokenHead, Transform
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


def by_head(bare: str, **classes: str) -> Callable[[frozenset[str], Mask], str]:
    """The class of transformers for the first of these heads that a model has, in the order given; else the bare one.

    >>> from sightline.core.mask import Causal
    >>> by_head("GPT2Model", classifier="GPT2ForSequenceClassification")(frozenset({"classifier"}), Causal())
    'GPT2ForSequenceClassification'
    """

    def architecture(heads: frozenset[str], mask: Mask) -> str:
        return next((name for head, name in classes.items() if head in heads), bare)

    return architecture


def scored(architecture: str) -> HeadLayout:
    """A classifier of rows by their last token, without a bias."""

    def build(config: Any, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
        return SequenceHead(config.width, labels, pooler=None, bias=False)

    return HeadLayout(
        name="classifier",
        names=lambda config: (Name("score.weight", ("heads.classifier.output.weight",)),),
        markers=("score.weight",),
        architectures=(architecture,),
        build=build,
    )


def tagger(architecture: str, *, dropped: bool = True) -> HeadLayout:
    """A classifier of every token; `dropped`: whether dropout comes before it in training."""

    def build(config: Any, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
        return TokenHead(config.width, labels, config.classifier_dropout if dropped else 0.0)

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


def plain_lm(theirs: str, architectures: tuple[str, ...], *, bias: bool) -> HeadLayout:
    """An LM head that is a matrix, the embedding's where they are tied, and perhaps a bias."""

    def names(config: Any) -> tuple[Name, ...]:
        weight, its_bias = pair(theirs, "heads.lm")
        return (*(() if config.tied else (weight,)), *((its_bias,) if bias else ()))

    def build(config: Any, network: nn.Module, heads: Mapping[str, nn.Module], labels: int) -> nn.Module:
        tied = token_embedding(network) if config.tied else None
        return LMHead(config.width, config.vocabulary, tied=tied, transform=None, bias=bias)

    marker = f"{theirs}.{'bias' if bias else 'weight'}"
    return HeadLayout(name="lm", names=names, markers=(marker,), architectures=architectures, build=build)


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
