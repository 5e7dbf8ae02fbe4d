"""A head for the whole row on any model: classes, or a number."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from sightline.core.mask import Mask
from sightline.core.reach import Token, check_informed, informed
from sightline.errors import ConfigError, UnsupportedError
from sightline.model.initialize import WithoutDrawing, initialize
from sightline.networks.heads import POOLINGS, Pooling, SequenceHead
from sightline.weights.read import with_pooler

if TYPE_CHECKING:
    from sightline.model.model import Model

_TOKENS: dict[str, Token] = {"first": "first", "last": "last"}


def check_pooling(pooling: str, mask: Mask, positions: int) -> None:
    """Refuse what no head pools by (ConfigError), and what this mask makes meaningless (UnsupportedError)."""
    if pooling not in POOLINGS:
        raise ConfigError(f"pooling={pooling!r} is none; choose one of {', '.join(POOLINGS)}")
    check_informed(pooling, _TOKENS, mask, positions)


def usual_pooling(model: Model, own: Pooling) -> Pooling:
    """What suits the model's mask: its family's `own` where that is what the family is made for, else the last token
    where it sees the text, else the mean.

    A causal network that is seen from both sides pools by the mean: its last token has no longer any privilege. (The
    last token of a network that is made to see both sides, XLNet's, is there to be read.) A network that pools by the
    mean and now looks back only pools by its last token, which alone knows the whole text.
    """
    own_mask, positions = model.layout.mask_of(model.config), model.config.positions
    sees, made_for = (informed(mask, positions) for mask in (model.mask, own_mask))
    if own == "last" and sees["first"] and not made_for["first"]:
        return "mean"
    if own == "mean":
        return "last" if made_for["first"] and sees["last"] and not sees["first"] else "mean"
    if sees[own]:
        return own
    return "last" if sees["last"] else "mean"


def sequence_head(head: nn.Module) -> SequenceHead:
    """The same module; UnsupportedError for what is no head of the whole row."""
    if not isinstance(head, SequenceHead):
        raise UnsupportedError(f"a classifier of rows is a SequenceHead, not {type(head).__name__}")
    return head


def _own_seed(seed: int) -> int:
    """Another seed for the head than for the network: by the same, the weights of class 3 would be token 3's embedding,
    number for number, and its logit would follow that token from the start."""
    return int.from_bytes(hashlib.sha256(f"head {seed}".encode()).digest()[:7], "little")


def checked_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """The names of two classes or more; ConfigError for what is none."""
    names = tuple(labels)
    if isinstance(labels, str) or len(names) < 2:
        raise ConfigError(f"labels are {labels!r}; give the names of two classes or more, or None for a number")
    if len(set(names)) < len(names) or not all(names):
        raise ConfigError("labels must be names that differ; one is empty or comes twice")
    return names


def with_classifier(
    model: Model, labels: Sequence[str] | None, *, pooling: Pooling | None = None, seed: int = 0
) -> Model:
    """A view on the same network with a new head that sorts rows into classes, or gives each a number.

    labels   names of the classes; None: a number, which transformers calls the problem type "regression"
    pooling  which vector of a row the head reads: "first", "last" or "mean"; default: what the family and mask suit
    seed     the head's weights are drawn by it, as `build` draws, and are others than `build` draws by the same seed

    Heads that fine-tuning would make stale (LM, next sentence, tagger, span, an earlier classifier) are left out, as
    transformers leaves them out; BERT's pooler, which the head stands on, stays. The view shares the network's weights,
    so that teaching one teaches both: copy.deepcopy(model) first where the old one is still wanted.

    Raises ConfigError for labels or a pooling that cannot be, and UnsupportedError for a pooling that the mask makes
    meaningless ("first" under a causal mask).

        model = with_classifier(load("bert-base-uncased"), ("negative", "positive"))
    """
    labels = None if labels is None else checked_labels(labels)
    layout = model.layout
    layouts = [head for head in layout.heads if head.name == "classifier"]
    wanted = with_pooler(layouts)
    view = model.view()
    heads: dict[str, nn.Module] = {
        name: head for name, head in model.heads.items() if name in wanted and name != "classifier"
    }
    kept = set(heads)
    with torch.device("meta"), WithoutDrawing():
        for head in layout.heads:
            if head.name in wanted - kept:
                count = 1 if labels is None else len(labels)
                heads[head.name] = head.build(model.config, model.network, heads, count)
    view.heads = nn.ModuleDict(heads)
    classifier = sequence_head(heads["classifier"])
    classifier.pooling = usual_pooling(model, classifier.usual_pooling) if pooling is None else pooling
    check_pooling(classifier.pooling, model.mask, model.config.positions)
    new = tuple(name for name, parameter in view.named_parameters() if parameter.is_meta)
    kind, device = model.dtype, model.device
    for name in new:
        path, _, leaf = name.rpartition(".")
        old = view.get_parameter(name)
        view.get_submodule(path).register_parameter(leaf, nn.Parameter(old.to(kind)))
    initialize(view, new, model.config, _own_seed(seed), device)
    view.heads.train(model.training)
    view.labels, view.embedding, view.new_tensors = labels, None, new
    view.problem_type, view.long = "regression" if labels is None else None, "cut"
    return view
