"""2. A row alone = the same row in a batch; padding, on either side and whatever it holds, changes nothing."""

import pytest
import torch
from torch import Tensor

from contract.families import VOCABULARY, all_logits, families, padded, random_ids, tiny
from sightline.core.mask import Bidirectional, Causal, Mask, Prefix, SlidingWindow
from sightline.model.model import Model

MASKS: dict[str, Mask | None] = {
    "own": None,
    "bidirectional": Bidirectional(),
    "causal": Causal(),
    "window": Causal() & SlidingWindow(3),
    "prefix": Prefix(2) | Causal(),
}
LENGTHS = (7, 1, 4, 6)
TEXTS = [random_ids(1, length, seed=length)[0] for length in LENGTHS]


def results(model: Model, ids: Tensor, mask: Tensor | None = None) -> list[dict[str, Tensor]]:
    """For each row, what it gets: hidden states of its real tokens, and each head's logits."""
    output = model(ids, attention_mask=mask)
    heads = all_logits(model, output.last_hidden_state, output.coordinates)
    real = torch.ones_like(ids).bool() if mask is None else mask.bool()
    rows = []
    for row, kept in enumerate(real):
        of_row = {"hidden": output.last_hidden_state[row][kept]}
        for name, logits in heads.items():
            of_row[name] = logits[row][kept] if logits.dim() == 3 else logits[row]
        rows.append(of_row)
    return rows


def differ(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("side", ["left", "right", "both"])
@families("padding")
def test_a_row_alone_is_the_row_in_a_batch(family: str, side: str, mask: str) -> None:
    model = tiny(family, mask=MASKS[mask])
    ids, real = padded(TEXTS, side, filler=0, extra=2)
    with torch.no_grad():
        batch = results(model, ids, real)
        alone = [results(model, text[None])[0] for text in TEXTS]
    assert max(differ(a, b) for a, b in zip(batch, alone, strict=True)) < 1e-12


@pytest.mark.parametrize("side", ["left", "right", "both"])
@families("padding")
def test_what_padding_holds_does_not_matter(family: str, side: str) -> None:
    model = tiny(family)
    ids, real = padded(TEXTS, side, filler=0, extra=2)
    noise = torch.where(real.bool(), ids, random_ids(*ids.shape, seed=9) % VOCABULARY)
    with torch.no_grad():
        assert (
            max(differ(*pair) for pair in zip(results(model, ids, real), results(model, noise, real), strict=True)) == 0
        )


@pytest.mark.parametrize("side", ["left", "right"])
@families("padding")
def test_padding_gives_no_gradient_and_gets_none(family: str, side: str) -> None:
    model = tiny(family)
    ids, real = padded(TEXTS, side, filler=0)
    embeds = torch.randn(*ids.shape, model.config.width, dtype=model.dtype, requires_grad=True)
    output = model(inputs_embeds=embeds, attention_mask=real)
    heads = all_logits(model, output.last_hidden_state, output.coordinates)
    loss = output.last_hidden_state[real.bool()].square().sum()
    loss = loss + sum(
        (logits[real.bool()] if logits.dim() == 3 else logits).square().sum() for logits in heads.values()
    )
    (gradient,) = torch.autograd.grad(loss, embeds)
    assert bool((gradient.abs().sum(-1) > 0).eq(real.bool()).all())


@families("padding")
def test_a_row_of_nothing_but_padding_stays_finite(family: str) -> None:
    model = tiny(family)
    ids, real = padded(TEXTS, "left", filler=0)
    real[1] = 0
    for kernel in ("auto", "reference"):
        output = model(ids, attention_mask=real, kernel=kernel)
        assert bool(output.last_hidden_state.isfinite().all())
        assert all(
            bool(logits.isfinite().all())
            for logits in all_logits(model, output.last_hidden_state, output.coordinates).values()
        )


@families("padding")
def test_no_mask_is_a_mask_of_ones(family: str) -> None:
    model = tiny(family)
    ids = random_ids(3, 6)
    for mask in (torch.ones(3, 6), torch.ones(3, 6, dtype=torch.bool), torch.ones(3, 6, dtype=torch.long)):
        assert torch.equal(model(ids).last_hidden_state, model(ids, attention_mask=mask).last_hidden_state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@families("padding")
def test_padding_is_as_inert_in_short_number_types(family: str, dtype: torch.dtype) -> None:
    """Padding may move sums around, never add to them: the distance to the row alone stays at the type's rounding."""
    model = tiny(family, dtype=dtype)
    with torch.no_grad():
        alone = [results(model, text[None])[0]["hidden"] for text in TEXTS]
        for side in ("left", "right"):
            ids, real = padded(TEXTS, side, filler=0)
            for row, text in zip(results(model, ids, real), alone, strict=True):
                assert torch.allclose(row["hidden"], text, atol=40 * torch.finfo(dtype).eps, rtol=0)


@families("padding")
def test_packed_texts_are_as_if_alone(family: str) -> None:
    model = tiny(family)
    documents = torch.cat([torch.full((length,), index) for index, length in enumerate(LENGTHS)])[None]
    positions = torch.cat([torch.arange(length) for length in LENGTHS])[None]
    with torch.no_grad():
        packed = model(torch.cat(TEXTS)[None], documents=documents, position_ids=positions).last_hidden_state[0]
        alone = torch.cat([model(text[None]).last_hidden_state[0] for text in TEXTS])
    assert float((packed - alone).abs().max()) < 1e-12


@families("padding")
def test_positions_given_by_hand_hold_in_padded_rows_too(family: str) -> None:
    """Gaps reach farther than the tokens are many, which networks that read distances must not cut."""
    model, apart = tiny(family), 3
    ids, real = padded(TEXTS, "right", filler=0)
    positions = torch.arange(ids.shape[1])[None] * apart
    with torch.no_grad():
        output = model(ids, attention_mask=real, position_ids=positions).last_hidden_state
        for row, text in zip(output, TEXTS, strict=True):
            alone = model(text[None], position_ids=positions[:, : len(text)]).last_hidden_state[0]
            assert float((row[: len(text)] - alone).abs().max()) < 1e-12
