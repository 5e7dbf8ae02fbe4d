"""8. Wrong input raises the documented error, which says what was wrong and what to do, in one line.

Files that cannot be right are tested in tests/model.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from contract.families import HEADS, VOCABULARY, families, random_ids, tiny
from sightline.core.cache import KeyValueCache, Memory
from sightline.core.mask import Bidirectional, Causal, Permuted, SlidingWindow
from sightline.core.position import ENDLESS
from sightline.errors import ConfigError, InputError, SightlineError, UnsupportedError
from sightline.model.build import build
from sightline.model.model import Model

IDS = random_ids(2, 5)
ONES = torch.ones(2, 5, dtype=torch.long)


def refused(call: Callable[[], object], kind: type[SightlineError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught:
        call()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "pass input_ids"),
    "both": ({"input_ids": IDS, "inputs_embeds": torch.zeros(2, 5, 16)}, "pass input_ids"),
    "a list": ({"input_ids": [[1, 2]]}, "input_ids must be a tensor, not list"),
    "one row without its batch": ({"input_ids": IDS[0]}, r"\(batch, tokens\), not torch.int64 of shape \(5,\)"),
    "numbers that are not whole": ({"input_ids": IDS.float()}, "not torch.float32"),
    "truth values": ({"input_ids": IDS.bool()}, "not torch.bool"),
    "no token": ({"input_ids": IDS[:, :0]}, "hold no token"),
    "no row": ({"input_ids": IDS[:0]}, "hold no token"),
    "an id too large": ({"input_ids": IDS.clone().fill_(VOCABULARY)}, f"token id {VOCABULARY} is outside"),
    "an id below 0": ({"input_ids": -IDS}, r"token id -\d+ is outside the vocabulary of 31"),
    "embeddings of another width": ({"inputs_embeds": torch.zeros(2, 5, 15)}, r"must be .* \(batch, tokens, 16\)"),
    "embeddings without batch": ({"inputs_embeds": torch.zeros(5, 16)}, r"\(5, 16\)"),
    "embeddings of whole numbers": ({"inputs_embeds": torch.zeros(2, 5, 16).long()}, "floating-point"),
    "no embedding": ({"inputs_embeds": torch.zeros(2, 0, 16)}, "at least one token"),
    "a mask for other rows": ({"input_ids": IDS, "attention_mask": ONES[:1]}, "they must agree"),
    "a mask for other tokens": ({"input_ids": IDS, "attention_mask": ONES[:, 1:]}, "they must agree"),
    "a mask of who sees whom": ({"input_ids": IDS, "attention_mask": torch.ones(2, 5, 5)}, "is allowed=, bool"),
    "an additive mask": ({"input_ids": IDS, "attention_mask": torch.full((2, 5), -1e9)}, "other than 0 and 1"),
    "a mask that numbers texts": ({"input_ids": IDS, "attention_mask": 2 * ONES}, "pass documents"),
    "a mask that is a list": ({"input_ids": IDS, "attention_mask": [[1] * 5] * 2}, "attention_mask must be a tensor"),
    "positions out of the table": ({"input_ids": IDS, "position_ids": ONES * 24}, "positions reach 24"),
    "positions below 0": ({"input_ids": IDS, "position_ids": -ONES}, "positions reach -1"),
    "positions for other tokens": ({"input_ids": IDS, "position_ids": ONES[:, 1:]}, r"position_ids has shape \(2, 4\)"),
    "positions between": ({"input_ids": IDS, "position_ids": ONES / 2}, "must be whole numbers"),
    "more tokens than positions": (
        {"input_ids": random_ids(1, 25)},
        "25 tokens are more than this model's 24 positions",
    ),
    "documents for other rows": ({"input_ids": IDS, "documents": torch.zeros(3, 5).long()}, "documents has shape"),
    "ranks for other tokens": ({"input_ids": IDS, "ranks": torch.zeros(2, 4).long()}, "ranks has shape"),
    "additive scores as `allowed`": ({"input_ids": IDS, "allowed": torch.zeros(1, 5, 5)}, "pass booleans"),
    "`allowed` for other rows": ({"input_ids": IDS, "allowed": torch.ones(3, 5, 5).bool()}, "3 rows, the tokens 2"),
    "`allowed` without rows": ({"input_ids": IDS, "allowed": torch.ones(5, 5).bool()}, r"shape \(5, 5\)"),
    "`allowed` for other keys": ({"input_ids": IDS, "allowed": torch.ones(1, 5, 6).bool()}, r"shape \(1, 5, 6\)"),
}


BEYOND = {"positions out of the table", "more tokens than positions"}  # where there is a last one


def is_endless(family: str) -> bool:
    """Whether positions count only relative to each other, so that none is the last."""
    return tiny(family, heads=()).config.positions == ENDLESS


@pytest.mark.parametrize("what", CALLS)
@families("errors")
def test_what_no_model_takes(family: str, what: str) -> None:
    if what in BEYOND and is_endless(family):
        pytest.skip("its positions have no end")
    inputs, says = CALLS[what]
    refused(lambda: tiny(family, heads=())(**inputs), InputError, says)


@families("errors")
def test_token_types(family: str) -> None:
    model = tiny(family, heads=())
    if types := getattr(model.config, "token_types", 0):
        says = f"token_type_ids reach {types}, and this model has {types}"
        refused(lambda: model(IDS, token_type_ids=types * ONES), InputError, says)
        refused(lambda: model(IDS, token_type_ids=-ONES), InputError, "token_type_ids reach -1")
    else:
        refused(lambda: model(IDS, token_type_ids=ONES), UnsupportedError, "has no token types")


@pytest.mark.parametrize("padded", [False, True])
@families("errors")
def test_a_cache_that_does_not_fit(family: str, padded: bool) -> None:
    model, cache = tiny(family, heads=()).with_mask(Causal()), KeyValueCache()
    holes = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]])
    with torch.no_grad():
        model(IDS, attention_mask=holes if padded else None, cache=cache)
        refused(lambda: model(IDS[:1], cache=cache), InputError, "the cache holds 2 rows and 1 came")
        refused(lambda: model(IDS.repeat(2, 1), cache=cache), InputError, "the cache holds 2 rows and 4 came")
        refused(lambda: model(IDS, attention_mask=holes, cache=cache), InputError, "padding among tokens that follow")
        if not is_endless(family):
            refused(lambda: model(random_ids(2, 21), cache=cache), InputError, "24")
        hides = torch.cat([0 * ONES, ONES], 1)
        refused(lambda: model(IDS, attention_mask=hides, cache=cache), InputError, "that the cache holds as real")
    refused(lambda: model(IDS, cache=KeyValueCache()), UnsupportedError, r"under torch\.no_grad\(\)")


@families("errors")
def test_a_pass_that_broke_off_leaves_no_cache_to_go_on_with(family: str) -> None:
    """Half of it would be remembered under the wrong positions."""
    model = tiny(family, heads=()).with_mask(Causal())
    for started in (False, True):
        cache = KeyValueCache()
        with torch.no_grad():
            if started:
                model(IDS[:, :2], cache=cache)
        refused(lambda cache=cache: model(IDS, cache=cache), UnsupportedError, r"under torch\.no_grad\(\)")
        with torch.no_grad():
            refused(lambda cache=cache: model(IDS, cache=cache), InputError, "broke off .* make a new cache")


@families("errors")
def test_a_cache_of_another_model(family: str) -> None:
    """As large or not: its states mean nothing here."""
    model, says = tiny(family, heads=()).with_mask(Causal()), "remembers what another model read; make a new one"
    others = [tiny(family, heads=(), **{"mask": Causal(), **change}) for change in ({"seed": 1}, {"layers": 2})]
    with torch.no_grad():
        for cache in (KeyValueCache(), Memory(length=8)):
            model(IDS, cache=cache)
            for other in others:
                refused(partial(other, IDS, cache=cache), InputError, says)
                refused(partial(other, IDS, cache=cache.fork()), InputError, says)
            model.with_mask(Causal())(IDS, cache=cache)  # a view is the same model


@families("errors")
def test_a_cache_that_was_filled_through_another_mask(family: str) -> None:
    """Its keys would be others under this one; a memory keeps what there was, whatever the mask is now."""
    model = tiny(family, heads=())
    looks_back, window = model.with_mask(Causal()), model.with_mask(Causal() & SlidingWindow(2))
    cache, memory = KeyValueCache(), Memory(length=8)
    with torch.no_grad():
        for each in (cache, memory):
            window(IDS[:, :3], cache=each)
        for again in (cache, cache.fork()):
            says = r"read through the mask causal & sliding_window\(2\), and causal is another"
            refused(partial(looks_back, IDS[:, 3:], cache=again), InputError, says)
        went_on = window(IDS[:, 3:], cache=cache).last_hidden_state
        assert torch.allclose(went_on, window(IDS).last_hidden_state[:, 3:])
        looks_back(IDS[:, 3:], cache=memory)


@families("errors")
def test_a_refused_call_leaves_the_cache_as_it_was(family: str) -> None:
    model, cache = tiny(family, heads=()).with_mask(Causal()), KeyValueCache()
    with torch.no_grad():
        model(IDS[:, :3], cache=cache)
        refused(lambda: model(IDS[:1], cache=cache), InputError, "the cache holds 2 rows and 1 came")
        went_on = model(IDS[:, 3:], cache=cache).last_hidden_state
        assert torch.allclose(went_on, model(IDS).last_hidden_state[:, 3:])


@families("errors")
def test_positions_that_go_back_would_show_a_causal_mask_the_future(family: str) -> None:
    model, says = tiny(family, heads=()).with_mask(Causal()), "would see later ones; .* pass documents"
    again = torch.tensor([[0, 1, 2, 0, 1]])
    refused(lambda: model(IDS, position_ids=again), InputError, says)
    refused(lambda: model(IDS, position_ids=torch.zeros(1, 5).long()), InputError, says)
    cache = KeyValueCache()
    with torch.no_grad():
        model(IDS, cache=cache)
        refused(lambda: model(IDS, position_ids=torch.arange(5), cache=cache), InputError, says)
        model(IDS, position_ids=torch.arange(7, 12), cache=cache)
        model(IDS, position_ids=again, documents=torch.tensor([[0, 0, 0, 1, 1]]))
        model(IDS, position_ids=again, allowed=torch.ones(1, 5, 5).bool())
        model.with_mask(Bidirectional())(IDS, position_ids=again)
        real = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 0]])
        model(IDS, real, position_ids=torch.tensor([[1, 1, 0, 1, 2], [0, 1, 2, 3, 1]]))


@families("errors")
def test_masks_and_kernels_that_there_are_not(family: str) -> None:
    model = tiny(family, heads=())
    refused(lambda: model.with_mask("causal"), ConfigError, "'causal' is no mask")  # type: ignore[arg-type]
    refused(lambda: model.with_mask(Permuted())(IDS), InputError, "pass ranks")
    refused(lambda: model(IDS, kernel="flash"), ConfigError, "choose one of auto, reference, sdpa, flex")
    allowed = torch.ones(1, 5, 5).bool()
    refused(lambda: model(IDS, allowed=allowed, kernel="flex"), UnsupportedError, 'use "sdpa"')


@families("errors")
def test_heads_that_there_are_not(family: str) -> None:
    model = tiny(family, heads=HEADS[family][-1:])
    heads = f"its heads: {HEADS[family][-1]}"
    refused(lambda: model.logits(model(IDS).last_hidden_state), UnsupportedError, f"no head 'lm'; {heads}")
    refused(lambda: model.head("pooler"), UnsupportedError, f"this {family} has no head 'pooler'")
    refused(lambda: tiny(family, heads=()).head("lm"), UnsupportedError, "its heads: none")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a head of another layout": ({"heads": ("crf",)}, "has no head 'crf'; choose from"),
    "a setting that there is not": ({"wdith": 8}, "no such setting as 'wdith': did you mean 'width'?"),
    "a setting like no other": ({"rope": 8}, "Config lists those that there are"),
    "no layer": ({"layers": 0}, "layers=0 must be a whole number, 1 or more"),
    "layers without end": ({"layers": 10**9}, "layers=1000000000 is more than any network has"),
    "half a layer": ({"layers": 1.5}, "layers=1.5 must be a whole number"),
    "a width that heads do not divide": ({"width": 15}, "heads=2 does not divide width=15"),
    "no word": ({"vocabulary": 0}, "vocabulary=0"),
    "no position": ({"positions": 0}, "positions=0"),
    "everything dropped": ({"dropout": 1.0}, "dropout=1.0 must be a number from 0"),
    "an activation that there is not": ({"activation": "gleu"}, "activation='gleu' is not known; choose one of"),
    "an activation that is no name": ({"activation": 3}, "activation=3 must be a name"),
    "a norm that divides by nothing": ({"norm_eps": -1e-5}, "norm_eps=-1e-05 must be a number above 0"),
    "tied, perhaps": ({"tied": "yes"}, "tied='yes' must be true or false"),
}


@pytest.mark.parametrize("what", WRONG)
@families("errors")
def test_what_cannot_be_built(family: str, what: str) -> None:
    settings, says = WRONG[what]
    if "positions" in settings and is_endless(family):
        says = "no such setting as 'positions': its positions are relative and have no end"
    refused(lambda: build(family, "tiny", **settings), ConfigError, says)


def test_families_and_sizes_that_there_are_not() -> None:
    refused(lambda: build("brt", "tiny"), ConfigError, "did you mean 'bert'")
    refused(lambda: build("llama", "tiny"), ConfigError, "Sightline has bert, roberta, distilbert, gpt2")
    refused(lambda: build("bert", "huge"), ConfigError, "no size 'huge' of 'bert'; choose one of tiny, mini")


@families("errors")
def test_what_is_right_is_not_refused(family: str) -> None:
    """The edges: one token, the last id, the last position, every whole-number type."""
    model: Model = tiny(family, heads=HEADS[family])
    with torch.no_grad():
        model(torch.tensor([[0]]))
        model(torch.full((1, 24), VOCABULARY - 1))
        model(IDS, position_ids=torch.arange(19, 24))
        expected = model(IDS).last_hidden_state
        for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
            assert torch.equal(model(IDS.to(dtype)).last_hidden_state, expected)
        model(inputs_embeds=torch.zeros(1, 2, 16))
        model(IDS, allowed=torch.ones(1, 5, 5).bool())
