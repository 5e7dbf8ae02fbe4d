"""Vocabularies in clusters: log-probabilities that sum to one, by whichever way, and PyTorch's own adaptive softmax.

Shapes: N positions, W model width, V vocabulary.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sightline.core.linear import Linear
from sightline.errors import ConfigError
from sightline.networks.adaptive import AdaptiveEmbedding, AdaptiveSoftmax, Clusters

VOCABULARY, WIDTH = 23, 8
CUTS: dict[str, dict[str, Any]] = {
    "one cluster": {"width": 8},
    "one width": {"width": 8, "cutoffs": (5, 11)},
    "one width, projected": {"width": 6, "cutoffs": (5, 11)},
    "divided": {"width": 8, "cutoffs": (5, 11), "divisor": 2},
    "divided by four": {"width": 12, "cutoffs": (1,), "divisor": 4},
    "every word alone": {"width": 8, "cutoffs": tuple(range(1, VOCABULARY))},
}


def clusters(cut: str) -> Clusters:
    return Clusters(vocabulary=VOCABULARY, **CUTS[cut])


def drawn(module: nn.Module) -> Any:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return module.double()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("cut", CUTS)
def test_probabilities_sum_to_one_and_a_target_has_its_own(cut: str, tied: bool) -> None:
    parts = clusters(cut)
    embedding = drawn(AdaptiveEmbedding(parts, WIDTH))
    projections: list[Any] = list(embedding.projections) * (1 if len(embedding.tables) > 1 else len(parts.sizes))
    head = drawn(
        AdaptiveSoftmax(
            parts,
            WIDTH,
            tied=list(embedding.tables) if tied else None,
            tied_projections=projections if tied and projections else None,
        )
    )
    hidden = torch.randn(2, VOCABULARY, WIDTH, dtype=torch.float64)
    targets = torch.stack([torch.randperm(VOCABULARY), torch.arange(VOCABULARY)])
    logits = head(hidden)
    assert logits.shape == (2, VOCABULARY, VOCABULARY)
    assert torch.allclose(logits.exp().sum(-1), torch.ones(2, VOCABULARY, dtype=torch.float64))
    assert torch.allclose(head.log_prob(hidden, targets), logits.gather(-1, targets[..., None])[..., 0], atol=1e-12)
    own = sum(parameter.numel() for name, parameter in head.named_parameters() if name.endswith("weight"))
    assert own == (0 if not parts.cutoffs else len(parts.cutoffs) * parts.width) or not tied


@pytest.mark.parametrize("cut", CUTS)
def test_both_ways_give_the_same_gradients(cut: str) -> None:
    head = drawn(AdaptiveSoftmax(clusters(cut), WIDTH))
    hidden = torch.randn(VOCABULARY, WIDTH, dtype=torch.float64, requires_grad=True)
    targets = torch.randperm(VOCABULARY)
    asked = [hidden, *head.parameters()]
    by_target = torch.autograd.grad(head.log_prob(hidden, targets).sum(), asked)
    by_all = torch.autograd.grad(head(hidden).gather(-1, targets[:, None]).sum(), asked)
    assert all(torch.allclose(one, other, atol=1e-10) for one, other in zip(by_target, by_all, strict=True))


def test_a_rare_cluster_that_is_not_asked_costs_nothing() -> None:
    """Only positions whose target is one of its words meet its matrix."""
    head, seen = drawn(AdaptiveSoftmax(clusters("divided"), WIDTH)), []
    narrow = head._narrow
    head._narrow = lambda hidden, index: seen.append((index, len(hidden))) or narrow(hidden, index)
    head.log_prob(torch.randn(4, WIDTH, dtype=torch.float64), torch.tensor([0, 4, 5, 3]))
    assert seen == [(0, 4), (1, 1), (2, 0)]


def test_it_is_pytorchs_where_both_express_the_same() -> None:
    """Theirs projects tails only, by a matrix narrowed once more, and has no biases there."""
    theirs = nn.AdaptiveLogSoftmaxWithLoss(WIDTH, VOCABULARY, [5, 11], div_value=2.0).double()
    head = drawn(AdaptiveSoftmax(Clusters(vocabulary=VOCABULARY, cutoffs=(5, 11), width=WIDTH, divisor=2), WIDTH))
    with torch.no_grad():
        head.projections["0"].weight.copy_(torch.eye(WIDTH))
        head.tables[0].weight.copy_(theirs.head.weight[:5])
        head.cluster.weight.copy_(theirs.head.weight[5:])
        for bias in (head.cluster.bias, *(table.bias for table in head.tables)):
            bias.zero_()
        for index, (project, words) in enumerate(theirs.tail, start=1):
            head.projections[str(index)].weight.copy_(project.weight.T)
            head.tables[index].weight.copy_(words.weight)
    hidden, targets = torch.randn(50, WIDTH, dtype=torch.float64), torch.randint(VOCABULARY, (50,))
    assert torch.allclose(head(hidden), theirs.log_prob(hidden), atol=1e-12)
    output = theirs(hidden, targets)
    assert torch.allclose(head.log_prob(hidden, targets), output.output, atol=1e-12)


def by_word(embedding: AdaptiveEmbedding, id: int) -> Tensor:
    """One word's vector, written out."""
    for index, (begin, end) in enumerate(embedding.clusters.bounds):
        if begin <= id < end:
            one = len(embedding.tables) == 1
            table, row = (0, id) if one else (index, id - begin)
            vector = embedding.tables[table].weight[row]  # type: ignore[union-attr,index]
            if len(embedding.projections):
                vector = embedding.projections[table].weight @ vector  # type: ignore[union-attr,operator]
            return vector * WIDTH**0.5
    raise AssertionError(id)


@pytest.mark.parametrize("cut", CUTS)
def test_every_word_has_its_vector(cut: str) -> None:
    embedding = drawn(AdaptiveEmbedding(clusters(cut), WIDTH))
    ids = torch.stack([torch.randperm(VOCABULARY), torch.arange(VOCABULARY)])
    vectors = embedding(ids)
    expected = torch.stack([torch.stack([by_word(embedding, int(id)) for id in row]) for row in ids])
    assert torch.allclose(vectors, expected, atol=1e-12)
    assert torch.equal(embedding(vectors), vectors)
    vectors.sum().backward()
    assert all(bool(parameter.grad.any()) for parameter in embedding.parameters())


def test_one_cluster_that_is_asked_alone() -> None:
    embedding = drawn(AdaptiveEmbedding(clusters("divided"), WIDTH))
    ids = torch.full((1, 3), 20)
    assert torch.allclose(embedding(ids)[0, 0], by_word(embedding, 20), atol=1e-12)


@pytest.mark.parametrize("packed", [True, False], ids=["without gradients", "with gradients"])
def test_short_number_types(packed: bool) -> None:
    """Log-probabilities are float32 at least."""
    head = AdaptiveSoftmax(clusters("divided"), WIDTH)
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    head = head.bfloat16()
    with torch.set_grad_enabled(not packed):
        logits = head(torch.randn(3, WIDTH, dtype=torch.bfloat16))
    assert logits.dtype == torch.float32
    assert torch.allclose(logits.exp().sum(-1), torch.ones(3), atol=1e-2)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "cutoffs that descend": ({"cutoffs": (11, 5)}, r"cutoffs=\(11, 5\) must ascend and stay below vocabulary=23"),
    "a cutoff twice": ({"cutoffs": (5, 5)}, "must ascend"),
    "a cutoff at the end": ({"cutoffs": (5, 23)}, "must ascend and stay below"),
    "no word before the first": ({"cutoffs": (0, 5)}, "cutoffs=0 must be a whole number, 1 or more"),
    "half a cutoff": ({"cutoffs": (2.5,)}, "cutoffs=2.5 must be a whole number"),
    "a list": ({"cutoffs": [5, 11]}, "must be a tuple"),
    "nothing left": ({"cutoffs": (5, 11), "divisor": 4}, "leaves the last of 3 clusters no width of 8"),
    "no division": ({"divisor": 0}, "divisor=0 must be a whole number"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_cut(what: str) -> None:
    settings, says = WRONG[what]
    with pytest.raises(ConfigError, match=says):
        Clusters(**{"vocabulary": VOCABULARY, "width": WIDTH, **settings})


def test_projections_are_linear_layers() -> None:
    """So that precision and packing treat them as every other dense layer."""
    assert all(isinstance(one, Linear) for one in AdaptiveEmbedding(clusters("divided"), WIDTH).projections)


@pytest.mark.parametrize("cut", CUTS)
def test_what_blocks_add_to_stays_as_wide_as_the_weights_under_autocast(cut: str) -> None:
    embedding = AdaptiveEmbedding(clusters(cut), WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        assert embedding(torch.arange(VOCABULARY)[None]).dtype == torch.float32
    assert embedding.bfloat16()(torch.arange(VOCABULARY)[None]).dtype == torch.bfloat16
