"""What is frozen does not learn, has no gradient and no moments, and does not drop."""

import pytest
import torch

from sightline.errors import ConfigError
from sightline.objectives.classify import Classify
from sightline.training.config import TrainingConfig
from sightline.training.fit import Training, fit
from training.small import labelled, same, small, weights

FAMILIES = ["bert", "gpt2", "roberta", "distilbert", "modernbert"]


def trained(family: str, frozen: object) -> tuple[Training, set[str]]:
    """After two steps, and the names of what has changed."""
    model = small(family)
    before = weights(model)
    training = Training(model, Classify(), TrainingConfig(learning_rate=0.01, warmup=0, frozen_layers=frozen))
    for _ in fit(training, labelled(8, passes=2)):
        pass
    return training, {name for name, parameter in model.named_parameters() if not torch.equal(before[name], parameter)}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("frozen", [0, 1, 2, "all"])
def test_exactly_what_is_not_frozen_learns(family: str, frozen: object) -> None:
    training, changed = trained(family, frozen)
    still = set()
    for name, _ in training.model.named_parameters():
        lower = name.startswith(("network.embeddings", "network.stack.blocks.0."))
        if (frozen == 1 and lower) or (frozen in (2, "all") and name.startswith("network.")):
            still.add(name)
    assert changed == {name for name, _ in training.model.named_parameters()} - still
    assert set(training.parameters) == changed
    assert len(training.optimizers[0].state) == len(changed)
    assert all(p.grad is None and p.requires_grad == (n in changed) for n, p in training.model.named_parameters())


def test_frozen_parts_do_not_drop() -> None:
    """Twice the same rows, other random numbers: what the frozen network says of them stays the same."""
    model = small("bert", dropout=0.5, attention_dropout=0.5, classifier_dropout=0.0)
    training = Training(model, Classify(), TrainingConfig(learning_rate=0.01, frozen_layers=1, seed=3))
    heard = []
    block = model.network.stack.blocks
    hooks = [part.register_forward_hook(lambda *call: heard.append(call[-1].detach())) for part in block]
    steps = labelled(8, passes=1)
    for _ in fit(training, [steps[0], steps[0]]):
        pass
    for hook in hooks:
        hook.remove()
    frozen_first, first, frozen_second, second = heard
    assert torch.equal(frozen_first, frozen_second)
    assert not torch.equal(first, second)


def test_a_later_training_thaws() -> None:
    training, _ = trained("bert", "all")
    assert len(Training(training.model, Classify(), TrainingConfig(learning_rate=0.1)).parameters) == len(
        list(training.model.parameters())
    )


def test_more_blocks_than_there_are() -> None:
    with pytest.raises(ConfigError, match=r"frozen_layers=3 is too many: .* 2 blocks"):
        Training(small(), Classify(), TrainingConfig(learning_rate=0.1, frozen_layers=3))


def test_nothing_left_to_learn() -> None:
    from contract.families import tiny

    with pytest.raises(ConfigError, match="frozen"):
        Training(tiny("bert", heads=()), Classify(), TrainingConfig(learning_rate=0.1, frozen_layers="all"))


def test_the_same_weights_either_way() -> None:
    """All blocks by number are all by name."""
    by_number, by_name = (weights(trained("gpt2", frozen)[0].model) for frozen in (2, "all"))
    assert same(by_number, by_name)
