"""Span corruption: the published counts, and that source and target together hold the text.

Shapes: B rows, T tokens, S of the source, U of the target.
"""

from itertools import combinations
from types import SimpleNamespace

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from contract.families import VOCABULARY
from objectives.texts import batches_of, loss_of, only, plain_rows, toy_words
from sightline.errors import ConfigError, InputError
from sightline.networks.heads import LMHead
from sightline.objectives.denoise import Denoise, corrupt, noise_counts, noise_mask, text_length
from sightline.objectives.text import NOT_ASKED

END, TOP = 1, 999


def restored(source: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    """The text that source and target hold together."""
    assert source.pop() == target.pop() == END
    spans: dict[int, list[int]] = {}
    for id in target:
        if id in sentinels:
            assert id not in spans
            spans[id] = []
        else:
            spans[list(spans)[-1]].append(id)
    assert list(spans) == [id for id in source if id in sentinels]  # in the same order, each once
    assert all(spans.values())
    return [one for id in source for one in spans.get(id, [id])]


@given(
    seed=st.integers(0, 99), rows=st.integers(1, 4), tokens=st.integers(2, 80), density=st.floats(0.01, 0.99),
    mean_span=st.floats(1, 10),
)  # fmt: skip
def test_source_and_target_hold_the_text(seed: int, rows: int, tokens: int, density: float, mean_span: float) -> None:
    random = numpy.random.default_rng(seed)
    ids = random.integers(3, 900, (rows, tokens))
    noise, spans = noise_counts(tokens, density, mean_span)
    mask = noise_mask(rows, tokens, density, mean_span, random)
    begins = mask & ~numpy.pad(mask, ((0, 0), (1, 0)))[:, :-1]
    assert (mask.sum(1) == noise).all() and (begins.sum(1) == spans).all()
    assert not mask[:, 0].any() and mask[:, -1].all()
    assert 1 <= noise < tokens and 1 <= spans <= min(noise, tokens - noise)
    sentinels = list(range(TOP, TOP - spans, -1))
    source, target = corrupt(ids, mask, numpy.array(sentinels), END)
    assert source.shape == (rows, tokens - noise + spans + 1) and target.shape == (rows, noise + spans + 1)
    for row in range(rows):
        assert restored(source[row].tolist(), target[row].tolist(), sentinels) == ids[row].tolist()


def test_the_papers_example() -> None:
    """Figure 2: "Thank you for inviting me to your party last week ."."""
    text, (x, y) = "Thank you for inviting me to your party last week .".split(), (50, 51)
    noise = numpy.array([[word in ("for", "inviting", "last") for word in text]])
    source, target = corrupt(numpy.arange(11)[None], noise, numpy.array([x, y]), END)
    assert source.tolist() == [[0, 1, x, 4, 5, 6, 7, y, 9, 10, END]]
    assert target.tolist() == [[x, 2, 3, y, 8, END]]


@pytest.mark.parametrize(
    ("source", "density", "mean_span", "expected"),
    [(512, 0.15, 3.0, (568, 114)), (256, 0.15, 3.0, (284, 58)), (128, 0.15, 3.0, (141, 29))],
)
def test_published_lengths(source: int, density: float, mean_span: float, expected: tuple[int, int]) -> None:
    """What the published `random_spans_helper` gives, with one sentinel a span on either side."""
    assert text_length(source, density, mean_span) == expected
    batch = only(batches_of(Denoise(end=1, start=0, density=density, mean_span=mean_span),
                            plain_rows(torch.full((2, expected[0] + 1), 5)), words=toy_words(5000)))  # fmt: skip
    assert batch.inputs["input_ids"].shape[1] <= source and batch.targets.shape[1] == expected[1]


def test_all_ways_to_cut_are_as_likely() -> None:
    """Two spans of 4 tokens among 7: kept 3 in two pieces, cut 4 in two; 2 · 3 masks."""
    times = 6000
    assert noise_counts(7, 0.6, 2.0) == (4, 2)
    masks, counts = numpy.unique(
        noise_mask(times, 7, 0.6, 2.0, numpy.random.default_rng(0)), axis=0, return_counts=True
    )
    expected = len(list(combinations(range(2), 1))) * len(list(combinations(range(3), 1)))
    assert len(masks) == expected
    assert (numpy.abs(counts - times / expected) < 5 * (times / expected) ** 0.5).all()


class Echo(nn.Module):
    """Stands for an encoder–decoder: its states are of the decoder's tokens, and of the source's sum."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, 8, dtype=torch.float64)
        self.lm = LMHead(8, VOCABULARY, tied=None, transform=None, bias=False).double()
        nn.init.normal_(self.lm.weight)

    def forward(self, input_ids: Tensor, decoder_input_ids: Tensor, cache: None = None) -> SimpleNamespace:
        source = self.table(input_ids).mean(1, keepdim=True)
        return SimpleNamespace(last_hidden_state=self.table(decoder_input_ids) + source)

    def head(self, name: str) -> nn.Module:
        return getattr(self, name)


def test_a_batch_for_an_encoder_and_a_decoder() -> None:
    objective = Denoise(end=1, start=0)
    ids = torch.randint(3, 20, (3, 25), generator=torch.Generator().manual_seed(0))
    batch = only(batches_of(objective, plain_rows(ids)))
    read, targets = batch.inputs["decoder_input_ids"], batch.targets
    assert torch.equal(read[:, 1:], targets[:, :-1]) and (read[:, 0] == 0).all()
    noise, spans = noise_counts(24, 0.15, 3.0)
    assert objective.counts(batch) == {"loss": 3.0 * (noise + spans + 1)} and not (targets == NOT_ASKED).any()
    for row in range(3):
        sentinels = [VOCABULARY - 1 - span for span in range(spans)]  # from the top downwards
        found = restored(batch.inputs["input_ids"][row].tolist(), targets[row].tolist(), sentinels)
        assert found == ids[row, :-1].tolist()
    model = Echo()
    hidden = model(**batch.inputs).last_hidden_state
    expected = nn.functional.cross_entropy(model.lm(hidden).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(loss_of(objective, model, batch), expected)
    again = only(batches_of(objective, plain_rows(ids)))
    assert all(torch.equal(again.inputs[name], value) for name, value in batch.inputs.items())


def test_sentinels_that_are_given() -> None:
    rows = plain_rows(torch.full((1, 41), 5))
    batch = only(batches_of(Denoise(end=1, start=0, sentinels=(30, 22, 25)), rows))
    assert [id for id in batch.targets[0].tolist() if id > 5] == [30, 22]
    with pytest.raises(ConfigError, match="sentinels are 1 and a row has 2 spans"):
        batches_of(Denoise(end=1, start=0, sentinels=(30,)), rows)


@pytest.mark.parametrize(
    "wrong",
    [{"density": 0.0}, {"density": 1.0}, {"mean_span": 0.5}, {"end": -1}, {"start": -1}, {"sentinels": (5, 5)},
     {"z_loss": -1.0}],
)  # fmt: skip
def test_wrong_settings_are_named(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Denoise(**{"end": 1, "start": 0, **wrong})


def test_rows_too_short_for_a_span() -> None:
    with pytest.raises(InputError, match="rows of 1 token"):
        batches_of(Denoise(end=1, start=0), plain_rows(torch.tensor([[5, 6]])))
