"""Transformer-XL's mechanism: four terms of a score, memory, same_length, and text that grows out of a memory.

Shapes: B rows, T tokens, H heads, D head width, W width, M remembered tokens.
"""

import copy
import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from contract.families import randomize
from sightline.core.cache import Cache, KeyValueCache, Memory
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Causal, Mask, SlidingWindow
from sightline.core.relative import sinusoids
from sightline.decoding.generate import generate
from sightline.decoding.sampling import Sampling, choose
from sightline.errors import ConfigError
from sightline.model.build import build
from sightline.model.model import Model
from sightline.networks.transformer_xl import RelativeScores, TransformerXL, TransformerXLConfig
from sightline.weights.transformer_xl import TRANSFORMER_XL

VOCABULARY, WIDTH, HEADS, LAYERS = 29, 12, 2, 2
IDS = torch.randint(VOCABULARY, (2, 20), generator=torch.Generator().manual_seed(0))
CLOSE = 1e-11


def xl(mask: Mask | None = None, **settings: object) -> Model:
    """A random Transformer-XL in float64 and eval mode."""
    sizes = {"vocabulary": VOCABULARY, "width": WIDTH, "attention_heads": HEADS, "layers": LAYERS, "inner": 16}
    cut = {"cutoffs": (5, 13), "divisor": 2, "memory_length": 6}
    model = build("transformer-xl", "tiny", dtype=torch.float64, **{**sizes, **cut, **settings})
    randomize(model)
    return model if mask is None else model.with_mask(mask)


def hidden(model: Model, ids: Tensor, cache: Cache | None = None, segment: int = 20) -> Tensor:
    """States (B, T, W) of a text that is read in segments."""
    with torch.no_grad():
        return torch.cat([model(part, cache=cache).last_hidden_state for part in ids.split(segment, 1)], 1)


def apart(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).detach().abs().max())


# Scores


def four_terms(model: Model, x: Tensor) -> Tensor:
    """The first layer's scores of states x (T, W), pair by pair, as section 3.3 writes them: (H, T, T)."""
    attention = model.network.stack.blocks[0].attention  # type: ignore[union-attr,index]
    scores: RelativeScores = attention.scores  # type: ignore[assignment]
    per_head = (HEADS, WIDTH // HEADS)
    query, key = (layer(x).view(-1, *per_head) for layer in (attention.query, attention.key))  # type: ignore[operator]
    u, v = scores.biases.content, scores.biases.position
    found = x.new_empty(HEADS, len(x), len(x))
    for i in range(len(x)):
        for j in range(len(x)):
            distance = scores.positions.project(sinusoids(torch.tensor([i - j]), WIDTH).to(x)).view(per_head)
            content = (query[i] * key[j]).sum(-1) + (u * key[j]).sum(-1)
            position = (query[i] * distance).sum(-1) + (v * distance).sum(-1)
            found[:, i, j] = (content + position) / math.sqrt(WIDTH // HEADS)
    return found


@pytest.mark.parametrize("untied", [True, False])
def test_attention_weights_are_the_softmax_of_four_terms(untied: bool) -> None:
    model = xl(untied_biases=untied)
    output = model(IDS[:1, :7], hidden_states=True, attentions=True)
    scores = four_terms(model, output.hidden_states[0][0])
    past = torch.ones(7, 7).tril().bool()
    expected = torch.where(past, scores, -torch.inf).softmax(-1)
    assert apart(output.attentions[0][0], expected) < CLOSE


def test_only_distance_counts() -> None:
    """The same text later in its row gets the same states."""
    model = xl()
    later = model(IDS, position_ids=torch.arange(500, 520)).last_hidden_state
    assert apart(later, model(IDS).last_hidden_state) < CLOSE


def test_shared_biases_are_one_pair_for_all_layers() -> None:
    model = xl(untied_biases=False)
    names = [name for name, _ in model.network.named_parameters() if "biases" in name or ".own." in name]
    assert names == ["biases.content", "biases.position"]
    model(IDS).last_hidden_state.square().sum().backward()
    assert all(bool(p.grad.any()) for p in model.network.biases.parameters())  # type: ignore[union-attr]
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin.network.biases.content.zero_()  # type: ignore[union-attr,operator]
    assert apart(twin(IDS).last_hidden_state, model(IDS).last_hidden_state) > 1e-3
    own = [name for name, _ in xl().network.named_parameters() if ".own." in name]
    assert len(own) == 2 * LAYERS


def test_clamped_distances_count_as_the_clamp() -> None:
    near, far = xl(clamp_length=100), xl(clamp_length=3)
    assert apart(hidden(near, IDS[:, :4]), hidden(far, IDS[:, :4])) < CLOSE
    assert apart(hidden(near, IDS), hidden(far, IDS)) > 1e-3


# The mask


def published_mask(asking: int, remembered: int, length: int) -> Tensor:
    """Whom the published code hides, (asking, remembered + asking): with triu and tril, and three cases."""
    keys = remembered + asking
    ones = torch.ones(asking, keys, dtype=torch.uint8)
    beyond = keys - length
    shift = asking - beyond if beyond > 0 else asking
    return (torch.triu(ones, 1 + remembered) + torch.tril(ones, -shift)).bool()


@given(asking=st.integers(1, 12), remembered=st.integers(0, 12), length=st.integers(1, 15))
def test_same_length_is_nothing_but_a_mask(asking: int, remembered: int, length: int) -> None:
    remembered = min(remembered, length)  # a memory is never longer than its length
    mask = TransformerXLConfig(memory_length=length, same_length=True).mask
    assert mask == Causal() & SlidingWindow(length)
    keys = Coordinates.consecutive(remembered + asking)
    table = mask.table(keys.slice(remembered, remembered + asking), keys)[0]
    assert torch.equal(~table, published_mask(asking, remembered, length))


def test_a_model_looks_through_the_mask_of_its_configuration() -> None:
    assert xl().mask == Causal()
    assert xl(same_length=True).mask == xl(same_length=True).trained_mask == Causal() & SlidingWindow(6)


# Memory


@pytest.mark.parametrize("settings", [{}, {"norm": "pre"}, {"clamp_length": 4}, {"untied_biases": False}], ids=str)
def test_two_segments_with_memory_are_one_long_segment(settings: dict[str, object]) -> None:
    model = xl(**settings)
    whole = hidden(model, IDS)
    for first in (1, 7, 10, 19):
        memory = Memory(length=first)
        parts = [hidden(model, part, memory) for part in (IDS[:, :first], IDS[:, first:])]
        assert apart(torch.cat(parts, 1), whole) < CLOSE
    assert apart(hidden(model, IDS, segment=10), whole) > 1e-3  # without


@pytest.mark.parametrize("segment", [1, 3, 7])
def test_under_same_length_a_memory_of_that_length_is_all_that_counts(segment: int) -> None:
    model = xl(same_length=True)
    whole = hidden(model, IDS)
    assert apart(hidden(model, IDS, Memory(length=6), segment), whole) < CLOSE
    assert apart(hidden(model, IDS, KeyValueCache(window=6), segment), whole) < CLOSE
    assert apart(hidden(model, IDS, Memory(length=3), segment), whole) > 1e-3


def test_a_longer_memory_than_in_training() -> None:
    """More of the past, by no other weights: as long as the text it is the whole text, and each length is another."""
    model = xl(memory_length=2)
    states = {length: hidden(model, IDS, Memory(length=length), segment=4) for length in (2, 8, 16)}
    assert apart(states[16], hidden(model, IDS)) < CLOSE
    assert apart(states[2], states[8]) > 1e-3 and apart(states[8], states[16]) > 1e-3
    assert apart(states[2][:, :4], states[16][:, :4]) < CLOSE  # nothing to remember yet


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_no_gradient_into_the_memory_but_into_its_projections(norm: str) -> None:
    """What was read before stays as it is; how it is asked and answered is still learned from it."""
    model, memory = xl(norm=norm), Memory(length=6)
    before = model.network.embeddings.tokens(IDS[:, :6]).detach().requires_grad_()  # type: ignore[union-attr,operator]
    model(inputs_embeds=before, cache=memory)
    fresh = copy.deepcopy(model)
    model(IDS[:, 6:7], cache=memory.fork()).last_hidden_state.square().sum().backward()
    fresh(IDS[:, 6:7]).last_hidden_state.square().sum().backward()
    assert before.grad is None
    for block, alone in zip(model.network.stack.blocks, fresh.network.stack.blocks, strict=True):  # type: ignore[union-attr]
        for layer in ("query", "key", "value", "scores.positions.project"):
            weight = f"attention.{layer}.weight"
            here, without = block.get_parameter(weight).grad, alone.get_parameter(weight).grad
            assert apart(here, without) > 1e-6, weight


def test_memory_holds_what_each_layer_was_given() -> None:
    for norm in ("post", "pre"):
        model, memory = xl(norm=norm), Memory(length=6)
        with torch.no_grad():
            states = model(IDS, cache=memory, hidden_states=True).hidden_states
        for layer in range(LAYERS):
            assert torch.equal(memory.stores[layer].kept()[0], states[layer][:, -6:]), norm


# A memory that starts with zeros


@pytest.mark.parametrize("side", ["left", "right"])
def test_zeros_come_before_each_row(side: str) -> None:
    """A row of a padded batch gets what it gets alone."""
    model = xl()
    ids = IDS[:, :5].clone()
    real = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1] if side == "left" else [1, 1, 1, 0, 0]])
    with torch.no_grad():
        batch = model(ids, attention_mask=real, cache=Memory(length=4, start="zeros")).last_hidden_state
        for row, text in enumerate((ids[0], ids[1][real[1].bool()])):
            memory = Memory(length=4, start="zeros")
            alone = model(text[None], cache=memory).last_hidden_state[0]
            assert apart(batch[row][real[row].bool()], alone) < CLOSE
            assert memory.length == 4
        empty = model(ids, attention_mask=real, cache=Memory(length=4)).last_hidden_state
    assert apart(batch[0], empty[0]) > 1e-3


def test_zeros_are_remembered_until_text_has_taken_their_place() -> None:
    model, memory = xl(), Memory(length=4, start="zeros")
    hidden(model, IDS[:, :3], memory)
    (kept,) = memory.stores[0].kept()
    assert kept.shape == (2, 4, WIDTH)
    assert not bool(kept[:, :1].any()) and bool(kept[:, 1:].any(-1).all())
    assert memory.coordinates.position.tolist() == [[-1, 0, 1, 2]]
    twin = memory.fork()
    assert apart(hidden(model, IDS[:, 3:6], memory), hidden(model, IDS[:, 3:6], twin)) == 0
    assert memory.coordinates.position.tolist() == [[2, 3, 4, 5]]


@torch.no_grad()
def test_zeros_belong_to_the_document_that_comes_first() -> None:
    """However documents are numbered, and before padding too."""
    model, ids = xl(), IDS[:, :5]
    numbered = [torch.tensor([[first] * 3 + [first + 1] * 2]) for first in (0, 1, 7)]
    expected, *others = (
        model(ids, documents=each, cache=Memory(length=4, start="zeros")).last_hidden_state for each in numbered
    )
    assert apart(expected, model(ids, documents=numbered[0]).last_hidden_state) > 1e-3
    assert all(apart(other, expected) == 0 for other in others)
    real = torch.tensor([[0, 0, 1, 1, 1]]).expand(2, -1)
    padded = model(ids, real, documents=real * 3, cache=Memory(length=4, start="zeros")).last_hidden_state
    alone = model(ids[:, 2:], cache=Memory(length=4, start="zeros")).last_hidden_state
    assert apart(padded[:, 2:], alone) < CLOSE


def test_starts_that_there_are_not() -> None:
    with pytest.raises(ConfigError, match=r'start=\'ones\' is neither "empty" nor "zeros"'):
        Memory(length=4, start="ones")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="give it a length"):
        Memory(length=None, start="zeros")


# Text that grows


def grown(model: Model, prompt: list[int], steps: int, sampling: Sampling, memory: Cache | None) -> Iterator[int]:
    """Tokens one after another: with a memory the new token alone is read, without one the whole text again."""
    tokens, dice = list(prompt), torch.Generator().manual_seed(sampling.seed)
    for step in range(steps):
        read = tokens if memory is None or step == 0 else tokens[-1:]
        with torch.no_grad():
            logits = model.logits(model(torch.tensor([read]), cache=memory).last_hidden_state)[:, -1]
        token = int(choose(logits.float(), [tokens], sampling, [dice]))
        tokens.append(token)
        yield token


@pytest.mark.parametrize("same_length", [False, True])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_memory_is_an_exact_cache(temperature: float, same_length: bool) -> None:
    """Drawn and greedy alike: by memory, by keys and values, and computed anew, the same text."""
    model = xl(same_length=same_length, memory_length=6)
    prompt, steps, how = IDS[0, :5].tolist(), 14, Sampling(temperature=temperature, seed=3)
    anew = list(grown(model, prompt, steps, how, None))
    length = 6 if same_length else 40
    assert list(grown(model, prompt, steps, how, Memory(length=length))) == anew
    model.stored_config = {}
    written = generate(model, [prompt], max_new_tokens=steps, temperature=temperature, seed=3)
    assert written.ids()[0] == anew
    assert len(set(anew)) > 3


@pytest.mark.parametrize("how", [{}, {"beams": 3}, {"temperature": 1.0, "samples": 2}], ids=str)
def test_unequal_prompts_get_what_they_get_alone(how: dict[str, object]) -> None:
    model, prompts = xl(), [IDS[0, :5].tolist(), IDS[1, :9].tolist(), [4]]
    together = generate(model, prompts, max_new_tokens=8, **how).ids()
    alone = [row for prompt in prompts for row in generate(model, [prompt], max_new_tokens=8, **how).ids()]
    assert together == alone


# Configurations


def test_the_defaults_are_the_published_ones() -> None:
    config = TransformerXLConfig()
    assert config.mask == Causal() & SlidingWindow(1600)
    assert config.clusters.widths == (1024, 256, 64, 16)
    with torch.device("meta"):
        network = TransformerXL(config)
        head = TRANSFORMER_XL.heads[0].build(config, network, {}, 0)
    numbers = [sum(p.numel() for p in part.parameters()) for part in (network, head)]
    assert numbers == [283_885_936, 285_205_322 - 283_885_936]  # as transformers 4.35.2 counts them


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "an odd width": ({"width": 15, "attention_heads": 3}, "width=15 must be even"),
    "no head width": ({"head_width": 0}, "head_width=0 must be a whole number"),
    "a clamp of nothing": ({"clamp_length": 0}, "clamp_length=0 must be a whole number"),
    "nothing to count by": ({"memory_length": 0, "same_length": True}, "same_length=True counts by memory_length"),
    "a norm between": ({"norm": "sandwich"}, "norm='sandwich' is neither"),
    "ties for other clusters": ({"tied_projections": (True,)}, "must say yes or no for each of 3 clusters"),
    "a cut beyond the words": ({"cutoffs": (5, 29)}, "must ascend and stay below vocabulary=29"),
    "perhaps": ({"untied_biases": "yes"}, "untied_biases='yes' must be true or false"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be(what: str) -> None:
    settings, says = WRONG[what]
    with pytest.raises(ConfigError, match=says):
        xl(**settings)


def test_heads_of_a_width_of_their_own() -> None:
    model = xl(head_width=5)
    assert model.network.get_parameter("stack.blocks.0.attention.query.weight").shape == (10, WIDTH)
    assert hidden(model, IDS).shape == (2, 20, WIDTH)
