"""Caches: whatever is remembered, and however it came in, the result is that of computing everything anew.

Shapes: B rows, T tokens, W width.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from sightline.core.attention import Attention, AttentionConfig
from sightline.core.block import Block, BlockConfig, Source, Stack
from sightline.core.cache import Cache, KeyValueCache, Memory
from sightline.core.cache_protocol import FORGETFUL, OnceProjected
from sightline.core.coordinates import Coordinates
from sightline.core.mask import Bidirectional, Causal, Mask, Prefix, SlidingWindow
from sightline.core.position import LearnedPositions
from sightline.core.sight import Sight
from sightline.errors import ConfigError, InputError, UnsupportedError
from strategies import padding

WIDTH, WORDS = 8, 11
EXACT = {"rtol": 0.0, "atol": 1e-11}  # float64: two orders of adding up


def network(layers: int = 2, limit: Mask | None = None) -> tuple[nn.Embedding, LearnedPositions, Stack]:
    """A small decoder without its head, in float64."""
    torch.manual_seed(1)
    attention = AttentionConfig(width=WIDTH, heads=2)
    block = BlockConfig(attention=attention, inner=16, activation="gelu", norm="pre", limit=limit)
    stack = Stack([Block(block) for _ in range(layers)])
    return nn.Embedding(WORDS, WIDTH).double(), LearnedPositions(64, WIDTH).double(), stack.double()


NETWORK = network()


def run(words: Tensor, at: Coordinates, mask: Mask, cache: Cache | None = None) -> Tensor:
    """Hidden states (B, T, W) of `words` (B, T), after whatever the cache remembers."""
    embedding, positions, stack = NETWORK
    keys = at if cache is None else cache.announce(at)
    return stack(embedding(words) + positions(at), Sight(mask, at, keys), FORGETFUL if cache is None else cache)


def answered(layer: Attention, x: Tensor, mask: Mask, at: Coordinates, memory: Cache) -> Tensor:
    """One layer with a memory, as a block calls both."""
    sight, own = Sight(mask, at, memory.announce(at)), memory.layer(0)
    return layer(x, sight, keys=own.recall(x), cache=own)


def chunks(tokens: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Cuts of `tokens` into pieces, as (begin, end)."""
    cuts = st.sets(st.integers(1, tokens - 1)) if tokens > 1 else st.just(set())
    return cuts.map(lambda inside: list(zip([0, *sorted(inside)], [*sorted(inside), tokens], strict=True)))


@st.composite
def rows_of_words(draw: st.DrawFn, tokens: int) -> tuple[Tensor, Coordinates]:
    """Up to three rows of words, unpadded (known to the host) or padded on either side."""
    rows = draw(st.integers(1, 3))
    words = torch.randint(WORDS, (rows, tokens), generator=torch.Generator().manual_seed(draw(st.integers(0, 9))))
    return words, draw(
        st.one_of(st.just(Coordinates.consecutive(tokens)), padding(rows, tokens).map(Coordinates.padded))
    )


def real(at: Coordinates, rows: int) -> Tensor:
    shown = torch.ones_like(at.position, dtype=torch.bool) if at.real is None else at.real
    return shown.expand(rows, -1)


# Cached = uncached


@torch.no_grad()
@given(st.data(), st.integers(1, 12), st.sampled_from([Causal(), Causal() & SlidingWindow(3)]), st.integers(1, 20))
def test_any_chunking_gives_the_result_of_one_pass(data: st.DataObject, tokens: int, mask: Mask, capacity: int) -> None:
    words, at = data.draw(rows_of_words(tokens))
    cache = KeyValueCache(capacity=capacity)  # small ones grow
    parts = [run(words[:, begin:end], at.slice(begin, end), mask, cache) for begin, end in data.draw(chunks(tokens))]
    shown = real(at, len(words))
    torch.testing.assert_close(torch.cat(parts, 1)[shown], run(words, at, mask)[shown], **EXACT)
    assert cache.length == tokens
    assert cache.coordinates is not None
    assert torch.equal(cache.coordinates.position, at.position)


@torch.no_grad()
@given(st.data(), st.integers(1, 16), st.integers(1, 4), st.integers(0, 2), st.integers(1, 20))
def test_eviction_changes_nothing_where_nobody_looks_back_further(
    data: st.DataObject, tokens: int, size: int, spare: int, capacity: int
) -> None:
    """Prefills longer than the window, and padding on either side, included."""
    words, at = data.draw(rows_of_words(tokens))
    window, mask = max(1, size - 1 + spare), Causal() & SlidingWindow(size)
    cache = KeyValueCache(capacity=capacity, window=window)
    parts = []
    for begin, end in data.draw(chunks(tokens)):
        parts.append(run(words[:, begin:end], at.slice(begin, end), mask, cache))
        assert cache.length <= window or at.real is not None
    shown = real(at, len(words))
    torch.testing.assert_close(torch.cat(parts, 1)[shown], run(words, at, mask)[shown], **EXACT)
    if at.real is None:
        assert cache.length == min(window, tokens)


@torch.no_grad()
@pytest.mark.parametrize("window", [None, 3])
def test_unequal_prompts_continue_as_each_would_alone(window: int | None) -> None:
    """Prompts padded on the right: the tokens that follow stand after the padding, at the next position."""
    mask = Causal() & SlidingWindow(3)
    prompts = [[1, 2, 3, 4, 5, 6], [7], [8, 9]]
    shown = torch.tensor([[index < len(prompt) for index in range(6)] for prompt in prompts])
    words = torch.tensor([prompt + [0] * (6 - len(prompt)) for prompt in prompts])
    at = Coordinates.padded(shown)
    cache = KeyValueCache(capacity=4, window=window)
    run(words, at, mask, cache)
    later, steps = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 1], [2, 2, 2, 2, 2]]), []
    for step in range(5):
        at = at.following(1)
        steps.append(run(later[:, step : step + 1], at, mask, cache))
    for row, prompt in enumerate(prompts):
        alone = run(torch.tensor([prompt + later[row].tolist()]), Coordinates.consecutive(len(prompt) + 5), mask)
        torch.testing.assert_close(torch.cat(steps, 1)[row], alone[0, len(prompt) :], **EXACT)
    if window is not None:
        assert cache.length == window


@torch.no_grad()
def test_a_cache_remembers_a_prefix_that_sees_both_ways() -> None:
    words, mask = torch.randint(WORDS, (2, 9)), Causal() | Prefix(4)
    whole, cache = run(words, Coordinates.consecutive(9), mask), KeyValueCache(capacity=4)
    first = run(words[:, :4], Coordinates.consecutive(4), mask, cache)
    rest = run(words[:, 4:], Coordinates.consecutive(5, start=4), mask, cache)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole, **EXACT)


@torch.no_grad()
def test_room_is_made_once_and_a_sliding_window_needs_no_more() -> None:
    def buffers(cache: Cache) -> list[int]:
        return [buffer.data_ptr() for store in cache.stores.values() for buffer in store.buffers]

    for window, capacity in [(None, 20), (4, 1)]:
        cache, at = KeyValueCache(capacity=capacity, window=window), Coordinates.consecutive(1)
        run(torch.tensor([[1]]), at, Causal(), cache)
        held = buffers(cache)
        for _ in range(19):
            at = at.following(1)
            run(torch.tensor([[1]]), at, Causal(), cache)
        assert buffers(cache) == held


@torch.no_grad()
def test_room_that_must_grow_grows_by_doubling() -> None:
    cache, at, seen = KeyValueCache(capacity=1), Coordinates.consecutive(0), []
    for _ in range(64):
        at = Coordinates.consecutive(1, start=at.end)
        run(torch.tensor([[1]]), at, Causal(), cache)
        buffer = cache.stores[0].buffers[0]
        seen += [buffer] if not seen or buffer is not seen[-1] else []
    assert len(seen) <= 7


@torch.no_grad()
def test_padding_before_a_text_takes_no_room_in_a_window() -> None:
    shown = torch.tensor([[False] * 7 + [True], [False] * 3 + [True] * 5, [False] * 8])
    cache, at = KeyValueCache(window=3), Coordinates.padded(shown)
    run(torch.ones(3, 8, dtype=torch.long), at, Causal(), cache)
    assert cache.length == 3


# Operations


@dataclass
class Told:
    """A cache beside the whole story that it should amount to."""

    cache: Cache
    words: Tensor
    at: Coordinates | None

    def hear(self, words: Tensor, mask: Mask, shown: Tensor | None) -> None:
        """Tell `words` (B, T) to the cache and check the answer against hearing the whole story at once."""
        if self.at is not None and self.at.tokens:
            new = self.at.following(words.shape[1])
            whole = self.at.then(new)
        else:
            new = whole = Coordinates.consecutive(words.shape[1]) if shown is None else Coordinates.padded(shown)
        self.words, self.at = torch.cat([self.words, words], 1), whole
        told = run(words, new, mask, self.cache)
        seen = real(whole, len(self.words))
        wanted = run(self.words, whole, mask)[:, -words.shape[1] :]
        torch.testing.assert_close(told[seen[:, -words.shape[1] :]], wanted[seen[:, -words.shape[1] :]], **EXACT)
        assert self.cache.length == whole.tokens or self.cache.window is not None

    def reorder(self, rows: Tensor) -> None:
        self.cache.reorder(rows)
        self.words, self.at = self.words[rows], None if self.at is None else self.at.rows(rows)

    def expand(self, times: int) -> None:
        self.cache.expand(times)
        self.words = self.words.repeat_interleave(times, 0)
        self.at = None if self.at is None else self.at.repeated(times)

    def crop(self, length: int) -> None:
        self.cache.crop(length)
        self.words, self.at = self.words[:, :length], None if self.at is None else self.at.slice(0, length)

    def fork(self) -> "Told":
        return Told(self.cache.fork(), self.words, self.at)


@torch.no_grad()
@given(st.data(), st.sampled_from([None, 3]), st.integers(1, 12))
def test_operations_are_recomputation_with_the_rows_and_tokens_so_changed(
    data: st.DataObject, window: int | None, capacity: int
) -> None:
    """Any sequence of hearing more, reordering, expanding, cropping and forking; both branches of a fork go on."""
    mask = Causal() if window is None else Causal() & SlidingWindow(window + 1)
    cache = KeyValueCache(capacity=capacity, window=window)
    told = [Told(cache, torch.zeros(data.draw(st.integers(1, 2)), 0, dtype=torch.long), None)]
    # what was evicted before a crop is gone, so a window is not cropped here
    moves = ["hear", "hear", "reorder", "expand", "fork"] + (["crop"] if window is None else [])
    for _ in range(data.draw(st.integers(1, 7))):
        one = told[data.draw(st.integers(0, len(told) - 1))]
        rows, tokens = one.words.shape
        match data.draw(st.sampled_from(moves)):
            case "hear":
                more = torch.randint(WORDS, (rows, data.draw(st.integers(1, 4))))
                pad = tokens == 0 and data.draw(st.booleans())
                one.hear(more, mask, data.draw(padding(*more.shape)) if pad else None)
            case "reorder":
                one.reorder(torch.tensor(data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=4))))
            case "expand":
                one.expand(data.draw(st.integers(1, 2)))
            case "crop":
                one.crop(data.draw(st.integers(0, tokens + 2)))
            case "fork":
                told.append(one.fork())
    for one in told:
        one.hear(torch.randint(WORDS, (len(one.words), 2)), mask, None)


@torch.no_grad()
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.reorder(torch.tensor([2, 0, 0, 1])),
        lambda told: told.reorder(torch.tensor([1])),
        lambda told: told.expand(3),
        lambda told: told.crop(4) if told.cache.window is None else None,
        lambda told: told.fork().reorder(torch.tensor([2, 1, 0])),
    ],
    ids=["reorder", "one row", "expand", "crop", "fork"],
)
def test_operations_on_padded_rows(change: Callable[["Told"], object], window: int | None) -> None:
    mask = Causal() if window is None else Causal() & SlidingWindow(window + 1)
    words = torch.randint(WORDS, (3, 6))
    told = Told(KeyValueCache(window=window), words[:, :0], None)
    shown = torch.tensor([[True] * 6, [False] * 3 + [True] * 3, [True] + [False] * 5])
    told.hear(words, mask, shown)
    change(told)
    for count in (1, 2):
        told.hear(torch.randint(WORDS, (len(told.words), count)), mask, None)


@torch.no_grad()
def test_what_is_cropped_from_a_window_are_the_latest_that_it_kept() -> None:
    embedding, positions, stack = network(layers=1)
    words, cache = torch.randint(WORDS, (2, 9)), KeyValueCache(window=4)

    def states(begin: int, end: int) -> tuple[Tensor, Coordinates]:
        at = Coordinates.consecutive(end - begin, start=begin)
        return embedding(words[:, begin:end]) + positions(at), at

    for index in range(7):
        x, at = states(index, index + 1)
        stack(x, Sight(Causal(), at, cache.announce(at)), cache)
    cache.crop(2)
    assert cache.coordinates is not None
    assert cache.coordinates.position.tolist() == [[3, 4]]
    x, at = states(5, 6)
    output = stack(x, Sight(Causal(), at, cache.announce(at)), cache)
    x, at = states(3, 6)
    torch.testing.assert_close(output, stack(x, Sight(Causal(), at))[:, 2:], **EXACT)


@torch.no_grad()
def test_a_fork_shares_nothing_that_is_written_to() -> None:
    words = torch.randint(WORDS, (2, 4))
    cache = KeyValueCache(capacity=16)
    run(words, Coordinates.consecutive(4), Causal(), cache)
    twin = cache.fork()
    own, others = (
        {id(b.untyped_storage()): b.clone() for s in c.stores.values() for b in s.buffers} for c in (cache, twin)
    )
    assert not own.keys() & others.keys()
    after = Coordinates.consecutive(1, start=4)
    one = run(words[:, :1], after, Causal(), twin)
    cache.crop(0)
    assert (cache.length, twin.length) == (0, 5)
    wanted = run(torch.cat([words, words[:, :1]], 1), Coordinates.consecutive(5), Causal())[:, 4:]
    torch.testing.assert_close(one, wanted, **EXACT)


@torch.no_grad()
def test_an_empty_cache_can_be_reordered_expanded_cropped_and_forked() -> None:
    cache = KeyValueCache(capacity=4).fork()
    cache.reorder(torch.tensor([0, 0]))
    cache.expand(3)
    cache.crop(2)
    assert cache.length == 0
    assert cache.coordinates is None


# Errors


def test_a_key_value_cache_is_for_inference() -> None:
    with pytest.raises(UnsupportedError, match=r"torch.no_grad\(\)"):
        run(torch.tensor([[1, 2]]), Coordinates.consecutive(2), Causal(), KeyValueCache())


@torch.no_grad()
def test_rows_that_do_not_fit_are_refused() -> None:
    cache = KeyValueCache(capacity=8)
    run(torch.tensor([[1], [2]]), Coordinates.consecutive(1), Causal(), cache)
    with pytest.raises(InputError, match="the cache holds 2 rows and 1 came; expand or reorder it first"):
        run(torch.tensor([[1]]), Coordinates.consecutive(1, start=1), Causal(), cache)


@torch.no_grad()
@pytest.mark.parametrize("make", [KeyValueCache, lambda: Memory(length=4)])
def test_another_type_is_refused(make: Callable[[], Cache]) -> None:
    """A model that was cast meanwhile would else be answered by rounded states, or by an error about matrices."""
    cache, tokens = make(), torch.randn(1, 1, 4)
    for dtype, start in ((torch.float64, 0), (torch.float32, 1)):
        cache.announce(Coordinates.consecutive(1, start=start))
        layer, new = cache.layer(0), tokens.to(dtype)
        if start == 0:
            layer.extend(partial(tuple, (layer.recall(new)[:, None], new[:, None])))
            continue
        with pytest.raises(InputError, match=r"torch\.float64 on cpu and torch\.float32 on cpu came; make a new one"):
            layer.extend(partial(tuple, (layer.recall(new)[:, None], new[:, None])))


def test_sizes_that_cannot_be_are_refused() -> None:
    for make in (
        lambda: KeyValueCache(capacity=0),
        lambda: KeyValueCache(window=0),
        lambda: Memory(length=0),
        lambda: Memory(length=4, reuse=0),
    ):
        with pytest.raises(ConfigError, match="must be 1 or more"):
            make()
    with pytest.raises(InputError, match="cannot crop a cache to -1 tokens"):
        KeyValueCache().crop(-1)


# Cross-attention


@torch.no_grad()
def test_a_source_is_projected_once() -> None:
    attention = AttentionConfig(width=WIDTH, heads=2)
    config = BlockConfig(attention=attention, cross_attention=attention, inner=16, activation="gelu", norm="post")
    block = Block(config).double()
    assert block.cross_attention is not None
    projected = []
    block.cross_attention.key.register_forward_hook(lambda *call: projected.append("key"))
    block.cross_attention.value.register_forward_hook(lambda *call: projected.append("value"))
    x, hidden = torch.randn(2, 3, WIDTH).double(), torch.randn(2, 4, WIDTH).double()
    at, once = Coordinates.consecutive(3), OnceProjected()
    source = Source(hidden, Sight(Bidirectional(), at, Coordinates.consecutive(4)))
    first = block(x, Sight(Causal(), at), source=source, source_cache=once)
    again = block(x, Sight(Causal(), at), source=replace(source, hidden=torch.zeros_like(hidden)), source_cache=once)
    assert projected == ["key", "value"]
    assert torch.equal(again, first)
    torch.testing.assert_close(first, block(x, Sight(Causal(), at), source=source), **EXACT)
    once.reorder(torch.tensor([1, 1, 0]))
    turned = block(x[[1, 1, 0]], Sight(Causal(), at), source=source, source_cache=once)
    torch.testing.assert_close(turned, first[[1, 1, 0]], **EXACT)


# Memory


@given(st.data(), st.integers(1, 10))
def test_under_a_causal_mask_segments_are_one_long_text(data: st.DataObject, tokens: int) -> None:
    words, at = data.draw(rows_of_words(tokens))
    memory = Memory(length=tokens)
    parts = [
        run(words[:, begin:end], at.slice(begin, end), Causal(), memory) for begin, end in data.draw(chunks(tokens))
    ]
    shown = real(at, len(words))
    torch.testing.assert_close(torch.cat(parts, 1)[shown], run(words, at, Causal())[shown], **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("length", [1, 3, 9])
@pytest.mark.parametrize("mask", [Causal(), Bidirectional()], ids=str)
def test_a_layer_sees_the_last_states_of_the_layer_below_and_no_more(length: int, mask: Mask) -> None:
    embedding, positions, stack = NETWORK
    words, memory = torch.randint(WORDS, (2, 10)), Memory(length=length)
    kept: list[Tensor] = [torch.zeros(2, 0, WIDTH, dtype=torch.float64) for _ in stack.blocks]
    for begin in (0, 4, 5):
        at = Coordinates.consecutive(5, start=begin).slice(0, 4 if begin == 0 else 1 if begin == 4 else 5)
        x = embedding(words[:, begin : begin + at.tokens]) + positions(at)
        remembered = kept[0].shape[1]
        keys = Coordinates.consecutive(remembered + at.tokens, start=begin - remembered)
        output = run(words[:, begin : begin + at.tokens], at, mask, memory)
        for layer, block in enumerate(stack.blocks):
            joined = torch.cat([kept[layer], x], 1)
            kept[layer] = joined[:, -length:]
            normed = block.attention_residual.norm(joined)
            x = x + block.attention(block.attention_residual.norm(x), Sight(mask, at, keys), keys=normed)
            x = block.feed_forward_residual(x, block.feed_forward)
        torch.testing.assert_close(output, x, **EXACT)
        assert memory.length == min(length, begin + at.tokens)


@torch.no_grad()
@given(st.data(), st.integers(1, 4))
def test_memory_of_padded_rows_is_each_rows_own(data: st.DataObject, length: int) -> None:
    """What a row remembers in a batch is what it remembers alone: its last `length` tokens, whatever padding stands."""
    layer = Attention(AttentionConfig(width=WIDTH, heads=2)).double()
    memory, alone = Memory(length=length), [Memory(length=length) for _ in range(2)]
    start = torch.zeros(2, 1, dtype=torch.long)
    for _ in range(data.draw(st.integers(1, 4))):
        count = data.draw(st.integers(1, 4))
        shown = data.draw(padding(2, count))
        position = start + (shown.cumsum(-1) - 1).clamp(min=0)
        start = start + shown.sum(-1, keepdim=True)
        at = Coordinates(position=position, real=shown)
        x = torch.randn(2, count, WIDTH, dtype=torch.float64)
        output = answered(layer, x, Bidirectional(), at, memory)
        for row in range(2):
            own = x[row : row + 1, shown[row]]
            if own.shape[1]:
                at = Coordinates(position=position[row : row + 1, shown[row]])
                wanted = answered(layer, own, Bidirectional(), at, alone[row])
                torch.testing.assert_close(output[row : row + 1, shown[row]], wanted, **EXACT)


@torch.no_grad()
@given(st.data(), st.integers(1, 5), st.integers(1, 4))
def test_what_is_reused_of_a_segment_are_its_first_tokens(data: st.DataObject, length: int, reuse: int) -> None:
    """Under a causal mask they do not know what came after them: as if that had never been fed. Rows may be padded."""
    reusing, told = Memory(length=length, reuse=reuse), [Memory(length=length) for _ in range(2)]
    for number in range(3):
        tokens = data.draw(st.integers(1, 6))
        words = torch.randint(WORDS, (2, tokens), generator=torch.Generator().manual_seed(number))
        at = Coordinates.padded(data.draw(padding(2, tokens)))
        got = run(words, at, Causal(), reusing)
        for row, memory in enumerate(told):
            shown = real(at, 2)[row]
            if not bool(shown.any()):
                continue
            own, stands = words[row : row + 1, shown], Coordinates(position=at.position[row : row + 1, shown])
            alone = run(own, stands, Causal(), memory.fork())
            torch.testing.assert_close(got[row][shown], alone[0], **EXACT)
            run(own[:, :reuse], stands.slice(0, reuse), Causal(), memory)


def test_no_gradient_reaches_the_past_but_its_projections_learn() -> None:
    layer = Attention(AttentionConfig(width=WIDTH, heads=2)).double()
    past, now = (torch.randn(1, 3, WIDTH, dtype=torch.float64, requires_grad=True) for _ in range(2))
    first, second = Coordinates.consecutive(3), Coordinates.consecutive(3, start=3)

    def gradients(output: Callable[[], Tensor]) -> list[Tensor | None]:
        layer.zero_grad()
        past.grad = now.grad = None
        output().square().sum().backward()
        return [past.grad, now.grad, *(parameter.grad for parameter in layer.parameters())]

    def remembering() -> Tensor:
        memory = Memory(length=2)
        answered(layer, past, Causal(), first, memory)
        return answered(layer, now, Causal(), second, memory)

    def by_hand() -> Tensor:
        keys = torch.cat([past.detach()[:, 1:], now], 1)
        return layer(now, Sight(Causal(), second, Coordinates.consecutive(5, start=1)), keys=keys)

    found, wanted = gradients(remembering), gradients(by_hand)
    assert found[0] is None
    for ours, theirs in zip(found[1:], wanted[1:], strict=True):
        assert ours is not None and theirs is not None
        torch.testing.assert_close(ours, theirs, **EXACT)
    stopped = gradients(lambda: layer(now, Sight(Causal(), second, second)))
    key = 2 + [name for name, _ in layer.named_parameters()].index("key.weight")
    assert not torch.allclose(found[key], stopped[key])  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [0, -1])
def test_a_memory_of_nothing_is_refused_by_its_own_name(length: int) -> None:
    with pytest.raises(ConfigError, match=f"^length={length} must be 1 or more, or None to keep all"):
        Memory(length=length)
