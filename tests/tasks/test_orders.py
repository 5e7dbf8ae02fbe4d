"""The likelihood of an order: the product of its steps, whatever the batch; and what is no order.

Shapes: B rows, T tokens.
"""

import pytest
import torch

from contract.families import padded, random_ids, tiny
from sightline.core.mask import Causal
from sightline.errors import InputError, UnsupportedError
from sightline.tasks.orders import order_log_probs

MODEL = tiny("xlnet")
IDS = random_ids(2, 6)


def test_from_left_to_right_it_is_what_a_causal_view_expects_next() -> None:
    causal = MODEL.with_mask(Causal())
    found = order_log_probs(MODEL, IDS)
    with torch.no_grad():
        for place in range(1, 6):
            asked = causal(IDS[:, :place], targets=torch.full((2, 1), place)).last_hidden_state[:, 0]
            expected = MODEL.logits(asked).log_softmax(-1).gather(-1, IDS[:, place : place + 1])[:, 0]
            assert torch.allclose(found[:, place], expected, rtol=0, atol=1e-9)


def test_each_order_is_a_likelihood_of_its_own_and_sums_over_all_texts_to_one() -> None:
    """Of all texts of two tokens, in either order."""
    model = tiny("xlnet", vocabulary=7)
    every = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    for ranks in ([[1, 2]], [[2, 1]]):
        likelihoods = order_log_probs(model, every, torch.tensor(ranks)).sum(-1).exp()
        assert float((likelihoods.sum() - 1).abs()) < 1e-12
    one, other = (order_log_probs(model, every, torch.tensor([ranks])).sum(-1) for ranks in ([1, 2], [2, 1]))
    assert float((one - other).abs().max()) > 1e-3


def test_what_is_given_is_not_asked_and_is_seen_by_all() -> None:
    ranks = torch.tensor([[0, 2, 0, 1, 0, 3]])
    found = order_log_probs(MODEL, IDS, ranks)
    assert torch.equal(found == 0, (ranks == 0).expand(2, -1))
    hides = torch.zeros(2, 6, 6)
    hides[:, :, [1, 3, 5]] = 1  # the first that is asked sees what is given, and nothing else
    mapping = torch.nn.functional.one_hot(torch.tensor([[3], [3]]), 6)
    with torch.no_grad():
        asked = MODEL(IDS, perm_mask=hides, target_mapping=mapping).last_hidden_state[:, 0]
        expected = MODEL.logits(asked).log_softmax(-1).gather(-1, IDS[:, 3:4])[:, 0]
    assert torch.allclose(found[:, 3], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_row_in_a_batch_is_the_row_alone(side: str) -> None:
    texts = [random_ids(1, length, seed=length)[0] for length in (6, 2, 4)]
    ids, real = padded(texts, side, filler=0)
    found = order_log_probs(MODEL, ids, attention_mask=real)
    for row, text in enumerate(texts):
        alone = order_log_probs(MODEL, text[None])[0]
        assert torch.allclose(found[row][real[row].bool()], alone, rtol=0, atol=1e-12)
    assert bool((found[~real.bool()] == 0).all())


def test_what_is_no_order() -> None:
    with pytest.raises(InputError, match="share a rank"):
        order_log_probs(MODEL, IDS, torch.tensor([[1, 2, 3, 3, 4, 5]]))
    with pytest.raises(InputError, match="count from 1"):
        order_log_probs(MODEL, IDS, torch.tensor([[-1, 2, 3, 4, 5, 6]]))
    with pytest.raises(UnsupportedError, match="needs two, as XLNet has"):
        order_log_probs(tiny("bert"), IDS)
