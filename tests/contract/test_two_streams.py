"""XLNet's own modes against transformers on random weights: two streams, orders, segments, memory; and where it errs.

transformers computes one table of positions in float32 and multiplies it with float64 weights when there are targets,
which PyTorch refuses; so it is given a table of its own weights' type, the numbers being the same.

Shapes: B rows, T tokens, N targets, M remembered tokens, W width.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from contract.families import padded, random_ids, tiny
from contract.reference import reference, saved
from sightline.core.cache import Memory
from sightline.core.mask import Causal, SlidingWindow
from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.model.load import load
from sightline.model.model import Model

ROWS, TOKENS, TARGETS = 3, 9, 4
CLOSE = {torch.float32: 1e-4, torch.float64: 1e-9}
IDS = random_ids(ROWS, TOKENS)
TYPES = (torch.arange(TOKENS) > 4).long()[None].expand(ROWS, -1) + (torch.arange(TOKENS) == TOKENS - 1)


def both(folder: Path, dtype: torch.dtype = torch.float64, name: str = "XLNetLMHeadModel", **fields: Any) -> Any:
    theirs = reference(name, dtype=dtype, **fields)
    network = getattr(theirs, "transformer", theirs)
    table = network.relative_positional_encoding
    network.relative_positional_encoding = lambda *a, **k: table(*a, **k).to(dtype)
    return load(saved(theirs, folder)), theirs


def far(one: Tensor, other: Tensor, kept: Tensor | None = None) -> float:
    assert one.shape == other.shape
    apart = (one - other).detach().abs()
    return float((apart if kept is None else apart[kept.bool()]).max())


def order(seed: int = 0) -> Tensor:
    """perm_mask (B, T, T) of an order of each row: 1 hides a token from those that do not come after it."""
    die = torch.Generator().manual_seed(seed)
    rank = torch.stack([torch.randperm(TOKENS, generator=die) for _ in range(ROWS)])
    return (rank[:, :, None] <= rank[:, None]).double()


def mapping(places: Tensor) -> Tensor:
    """target_mapping (B, N, T) of places (B, N)."""
    return torch.nn.functional.one_hot(places, TOKENS).double()


PLACES = torch.stack(
    [torch.randperm(TOKENS, generator=torch.Generator().manual_seed(row))[:TARGETS] for row in range(ROWS)]
)


def sees_somebody(hides: Tensor, places: Tensor = PLACES) -> Tensor:
    """Which targets (B, N) see any token by perm_mask (B, T, T)."""
    return (hides == 0).any(-1).gather(1, places)


# One stream


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize("types", [None, TYPES], ids=["one segment", "segments"])
@pytest.mark.parametrize("hides", [None, order()], ids=["all seen", "an order"])
def test_content_stream(hides: Tensor | None, types: Tensor | None, dtype: torch.dtype, tmp_path: Path) -> None:
    ours, theirs = both(tmp_path, dtype)
    with torch.no_grad():
        output = ours(IDS, token_type_ids=types, perm_mask=hides, hidden_states=True)
        hides = None if hides is None else hides.to(dtype)
        expected = theirs(IDS, token_type_ids=types, perm_mask=hides, output_hidden_states=True)
    for one, other in zip(output.hidden_states, expected.hidden_states, strict=True):
        assert far(one, other) < CLOSE[dtype]
    assert far(ours.logits(output.last_hidden_state), expected.logits) < CLOSE[dtype]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", CLOSE, ids=str)
def test_padded_rows_and_segments(dtype: torch.dtype, side: str, tmp_path: Path) -> None:
    ours, theirs = both(tmp_path, dtype)
    ids, real = padded([random_ids(1, length, seed=length)[0] for length in (9, 4, 1)], side, filler=2)
    types = torch.where(real.bool(), TYPES, 3)
    with torch.no_grad():
        output = ours(ids, attention_mask=real, token_type_ids=types).last_hidden_state
        expected = theirs(ids, attention_mask=real.to(dtype), token_type_ids=types, output_hidden_states=True)
    assert far(output, expected.hidden_states[-1], real) < CLOSE[dtype]


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
def test_looking_back_alone(dtype: torch.dtype, tmp_path: Path) -> None:
    """attn_type "uni" is a mask here, and is written again for the causal view of any XLNet. (Its own attention masks
    break the reference for more than one row: it adds (Q, K, B) in place to (Q, K, 1).)"""
    ours, theirs = both(tmp_path / "theirs", dtype, attn_type="uni")
    assert ours.mask == ours.trained_mask == Causal()
    real = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1, 1]])
    with torch.no_grad():
        expected = theirs(IDS, output_hidden_states=True).hidden_states[-1]
        assert far(ours(IDS).last_hidden_state, expected) < CLOSE[dtype]
        padded_row = theirs(IDS[:1], attention_mask=real.to(dtype), output_hidden_states=True).hidden_states[-1]
        assert far(ours(IDS[:1], real).last_hidden_state, padded_row, real) < CLOSE[dtype]
        turned = load(ours.with_mask(ours.layout.mask).save(tmp_path / "both")).with_mask(Causal())
        again = load(turned.save(tmp_path / "back"))
        assert again.mask == Causal() and again.stored_config["attn_type"] == "uni"
        assert far(again(IDS).last_hidden_state, expected) < CLOSE[dtype]


def test_half_of_a_batch_read_backwards(tmp_path: Path) -> None:
    """bi_data: transformers negates positions in the second half of the rows; here that is what their positions say."""
    ours, theirs = both(tmp_path, bi_data=True)
    ids = random_ids(4, TOKENS)
    forwards = torch.arange(TOKENS).expand(2, -1)
    with torch.no_grad():
        expected = theirs(ids, output_hidden_states=True).hidden_states[-1]
        output = ours(ids, position_ids=torch.cat([forwards, forwards.flip(-1)])).last_hidden_state
    assert far(output, expected) < 1e-9


# Two streams


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize("types", [None, TYPES], ids=["one segment", "segments"])
@pytest.mark.parametrize("seed", [0, 1])
def test_both_streams(seed: int, types: Tensor | None, dtype: torch.dtype, tmp_path: Path) -> None:
    ours, theirs = both(tmp_path, dtype)
    hides = order(seed)
    kept = sees_somebody(hides)
    with torch.no_grad():
        output = ours(IDS, token_type_ids=types, perm_mask=hides, target_mapping=mapping(PLACES), hidden_states=True)
        expected = theirs(
            IDS,
            token_type_ids=types,
            perm_mask=hides.to(dtype),
            target_mapping=mapping(PLACES).to(dtype),
            output_hidden_states=True,
        )
    assert output.last_hidden_state.shape == (ROWS, TARGETS, 16)
    content, query = expected.hidden_states[0::2], expected.hidden_states[1::2]
    for one, told, asked in zip(output.hidden_states[:-1], content, query, strict=False):
        assert far(one[:, :TOKENS], told) < CLOSE[dtype]
        assert far(one[:, TOKENS:], asked, kept) < CLOSE[dtype]
    assert far(output.last_hidden_state, query[-1], kept) < CLOSE[dtype]
    assert far(ours.logits(output.last_hidden_state), expected.logits, kept) < CLOSE[dtype]


def test_attention_weights_of_both_streams(tmp_path: Path) -> None:
    """The tokens' rows come first, then the targets'; the reference gives a target's at the place that it asks for."""
    ours, theirs = both(tmp_path)
    hides, asked = order(4), mapping(PLACES)
    kept = sees_somebody(hides)
    with torch.no_grad():
        given = {"perm_mask": hides, "target_mapping": asked}
        found = ours(IDS, attentions=True, **given)
        expected = theirs(IDS, output_attentions=True, **given).attentions
        assert torch.equal(found.last_hidden_state, ours(IDS, hidden_states=True, **given).last_hidden_state)
        assert far(found.last_hidden_state, ours(IDS, **given).last_hidden_state) < 1e-12
    places = PLACES[:, None, :, None].expand(-1, 2, -1, TOKENS)
    for mine, (content, query) in zip(found.attentions, expected, strict=True):
        assert far(mine[:, :, :TOKENS], content) < 1e-9
        apart = (mine[:, :, TOKENS:] - query.gather(2, places)).abs().amax((1, 3))
        assert float(apart[kept].max()) < 1e-9
        assert not bool(mine[:, :, TOKENS:].transpose(1, 2)[~kept].any())  # who sees nobody takes nothing


@pytest.mark.parametrize("uni", [False, True], ids=["bi", "uni"])
def test_both_streams_of_padded_rows(uni: bool, tmp_path: Path) -> None:
    ours, theirs = both(tmp_path, attn_type="uni" if uni else "bi")
    ids, real = padded([random_ids(1, length, seed=length)[0] for length in (9, 6, 5)], "left", filler=2)
    places = torch.tensor([[8, 3, 6], [4, 8, 6], [8, 6, 5]])
    hides = order(2)
    sees = (hides == 0) & real.bool()[:, None]
    if uni:
        sees &= torch.ones(TOKENS, TOKENS).tril().bool()
    kept = sees.any(-1).gather(1, places)
    given = {"perm_mask": hides, "target_mapping": mapping(places)}
    assert int(kept.sum()) > 5
    with torch.no_grad():
        output = ours(ids, real, **given).last_hidden_state
        for row in range(ROWS):  # one by one, since attn_type "uni" breaks the reference for several
            own = {name: tensor[row : row + 1] for name, tensor in given.items()}
            result = theirs(
                ids[row][None], attention_mask=real[row][None].double(), output_hidden_states=True, **own
            ).hidden_states[-1]
            assert far(output[row], result[0], kept[row]) < 1e-9


def test_targets_that_see_everything_else(tmp_path: Path) -> None:
    """Without perm_mask the reference shows a target its own token; asked for nothing, ours are blind for it."""
    ours, theirs = both(tmp_path)
    nothing = torch.zeros(ROWS, TOKENS, TOKENS)
    with torch.no_grad():
        leaking = theirs(IDS, target_mapping=mapping(PLACES), output_hidden_states=True).hidden_states[-1]
        assert far(ours(IDS, perm_mask=nothing, target_mapping=mapping(PLACES)).last_hidden_state, leaking) < 1e-9
        blind = nothing + torch.eye(TOKENS)
        expected = theirs(
            IDS, perm_mask=blind.double(), target_mapping=mapping(PLACES), output_hidden_states=True
        ).hidden_states[-1]
        assert far(ours(IDS, target_mapping=mapping(PLACES)).last_hidden_state, expected) < 1e-9
        assert far(ours(IDS, targets=PLACES).last_hidden_state, expected) < 1e-9
    assert far(leaking, expected) > 1e-3


def test_gradients_of_both_streams(tmp_path: Path) -> None:
    ours, theirs = both(tmp_path)
    hides, asked = order(3), mapping(PLACES)
    kept = sees_somebody(hides)
    weights = torch.randn(ROWS, TARGETS, 16, dtype=torch.float64) * kept[..., None]
    output = ours(IDS, token_type_ids=TYPES, perm_mask=hides, target_mapping=asked).last_hidden_state
    (output * weights).sum().backward()
    result = theirs(IDS, token_type_ids=TYPES, perm_mask=hides, target_mapping=asked, output_hidden_states=True)
    (result.hidden_states[-1] * weights).sum().backward()
    others = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    mine = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    names = [one for one in ours.layout.all_names(ours.config, frozenset(ours.heads)) if set(one.ours) <= mine.keys()]
    found = {one.theirs.replace("{base}", "transformer."): one.join(mine) for one in names}
    assert found.keys() == others.keys()
    assert "transformer.mask_emb" in found and "transformer.layer.0.rel_attn.seg_embed" in found
    for name, gradient in others.items():
        assert far(found[name], gradient) < 1e-9 * max(1.0, float(gradient.abs().max())), name


def test_who_sees_nobody_learns_nothing_here_and_everything_there(tmp_path: Path) -> None:
    """The first of an order sees nobody. The reference adds −1e30 to all of its scores alike, which leaves a uniform
    softmax over all tokens, its own included: another token there is another answer. Here it gathers zeros."""
    ours, theirs = both(tmp_path)
    hides, first = torch.ones(1, TOKENS, TOKENS).double(), mapping(torch.tensor([[2]]))
    one, other = IDS[:1], IDS[:1].clone()
    other[0, 2] = 30
    given = {"perm_mask": hides, "target_mapping": first}
    with torch.no_grad():
        theirs_apart = far(theirs(one, **given).logits, theirs(other, **given).logits)
        ours_apart = far(ours(one, **given).last_hidden_state, ours(other, **given).last_hidden_state)
    assert theirs_apart > 1e-3
    assert ours_apart == 0


# Memory


MEMORIES = [
    {"mem_len": None},
    {"mem_len": 5},
    {"mem_len": 20},
    {"mem_len": 7, "reuse_len": 4},
    {"mem_len": None, "reuse_len": 3},
    {"mem_len": 12, "clamp_len": 3},
    {"mem_len": 12, "attn_type": "uni"},
]


def memory_of(model: Model) -> Any:
    return Memory(length=model.config.memory_length, reuse=model.config.reuse_length)


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize("fields", MEMORIES, ids=lambda fields: ",".join(f"{k}={v}" for k, v in fields.items()))
def test_memory_over_segments(fields: dict[str, Any], dtype: torch.dtype, tmp_path: Path) -> None:
    ours, theirs = both(tmp_path, dtype, **fields)
    memory, mems = memory_of(ours), None
    with torch.no_grad():
        for number in range(3):
            ids = random_ids(ROWS, TOKENS, seed=number)
            output = ours(ids, cache=memory).last_hidden_state
            expected = theirs(ids, mems=mems, use_mems=True, output_hidden_states=True)
            mems = expected.mems
            assert far(output, expected.hidden_states[-1]) < CLOSE[dtype]
            assert memory.length == mems[0].shape[0]


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
def test_memory_under_both_streams(dtype: torch.dtype, tmp_path: Path) -> None:
    ours, theirs = both(tmp_path, dtype, mem_len=6, reuse_len=5)
    memory, mems = memory_of(ours), None
    with torch.no_grad():
        for number in range(3):
            ids, hides = random_ids(ROWS, TOKENS, seed=number), order(number)
            kept = sees_somebody(hides) | (number > 0)
            types = None if number == 0 else TYPES
            asked = mapping(PLACES)
            output = ours(ids, token_type_ids=types, perm_mask=hides, target_mapping=asked, cache=memory)
            expected = theirs(
                ids,
                token_type_ids=types,
                perm_mask=hides.to(dtype),
                target_mapping=asked.to(dtype),
                mems=mems,
                use_mems=True,
                output_hidden_states=True,
            )
            mems = [layer.clone() for layer in expected.mems]
            assert far(output.last_hidden_state, expected.hidden_states[-1], kept) < CLOSE[dtype]
            if number == 0:
                continue
            # transformers takes whatever is remembered for segment 0; ours are of the segment that they were of.
            memory.coordinates = memory.coordinates.each(torch.clone)
            memory.coordinates.token_type.zero_()


def test_same_length_is_a_window_once_the_memory_is_full(tmp_path: Path) -> None:
    ours, theirs = both(tmp_path, attn_type="uni", same_length=True, mem_len=TOKENS)
    assert ours.mask == Causal() & SlidingWindow(TOKENS + 1)
    memory, mems = memory_of(ours), None
    with torch.no_grad():
        plain = load(saved(reference("XLNetLMHeadModel", attn_type="uni", mem_len=TOKENS), tmp_path / "plain"))
        first = reference("XLNetLMHeadModel", attn_type="uni", mem_len=TOKENS)(IDS, use_mems=True)
        output = ours(IDS, cache=memory).last_hidden_state
        assert far(output, plain(IDS).last_hidden_state) < 1e-9  # it sees all that there is
        mems = first.mems
        ids = random_ids(ROWS, TOKENS, seed=1)
        expected = theirs(ids, mems=mems, use_mems=True, output_hidden_states=True).hidden_states[-1]
        assert far(ours(ids, cache=memory).last_hidden_state, expected) < 1e-9


# What is refused


def test_other_networks_have_one_stream() -> None:
    for family in ("bert", "gpt2"):
        with pytest.raises(UnsupportedError, match="has one stream"):
            tiny(family)(IDS, targets=PLACES)


def test_only_and_targets_exclude_each_other() -> None:
    model = tiny("xlnet", heads=())
    with pytest.raises(ConfigError, match="pass one of them"):
        model(IDS, targets=PLACES, only="last")
    whole, last = (model(IDS, perm_mask=order(), only=only).last_hidden_state for only in (None, "last"))
    assert far(last[:, 0], whole[:, -1]) < 1e-12


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "other tokens": ({"perm_mask": torch.zeros(ROWS, TOKENS, TOKENS + 1)}, "perm_mask has shape"),
    "shades": ({"perm_mask": torch.full((ROWS, TOKENS, TOKENS), 0.5)}, "other than 0 and 1"),
    "no single place": ({"target_mapping": torch.ones(ROWS, 2, TOKENS)}, "a single 1"),
    "targets for other tokens": ({"target_mapping": torch.ones(ROWS, 2, TOKENS + 1)}, "target_mapping has shape"),
    "both ways": ({"targets": PLACES, "target_mapping": mapping(PLACES)}, "not both"),
    "masks of both polarities": (
        {"perm_mask": order(), "allowed": torch.ones(1, TOKENS, TOKENS).bool(), "targets": PLACES},
        "not both",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_asked(what: str) -> None:
    inputs, says = WRONG[what]
    with pytest.raises(InputError, match=says):
        tiny("xlnet", heads=())(IDS, **inputs)


def test_rows_keep_their_places_among_others() -> None:
    """Targets of padded rows, in a batch, get what they get alone."""
    model = tiny("xlnet", heads=())
    texts = [random_ids(1, length, seed=length)[0] for length in (7, 3, 5)]
    asked = torch.tensor([[0, 6, 7], [2, 1, 3], [4, 0, 5]])  # the last of each is what comes next
    with torch.no_grad():
        alone = [model(text[None], targets=asked[row : row + 1]).last_hidden_state for row, text in enumerate(texts)]
        for side in ("left", "right"):
            ids, real = padded(texts, side, filler=0)
            for kernel in ("auto", "reference", "sdpa"):
                batch = model(ids, real, targets=asked, kernel=kernel)
                assert far(batch.last_hidden_state, torch.cat(alone)) < 1e-12
                assert torch.equal(batch.coordinates.position, asked)
