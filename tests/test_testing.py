"""The asserts for test suites: each holds for healthy models, and says of a broken one where, how much and why."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from contract.families import tiny
from probing.mutants.catalogue import MUTANTS, Mutant
from probing.mutants.mixers import Dropout
from probing.mutants.network import Parts, Tiny, random_size
from probing.subjects import VOCABULARY, Averaging, bert, gpt2
from probing.test_mutants import as_subject
from sightline import testing
from sightline.errors import ConfigError
from sightline.probing import causes
from sightline.probing.suite import RECORD, Checked
from sightline.probing.suite_page import render, verdict

SHORT = (1, 2, 3, 8)
LONGER = (*SHORT, 35)  # causes are told apart by what becomes of a leak in a long text
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
SEES = [
    "mask off by one",
    "inverted polarity",
    "no mask",
    "sees only itself",
    "one token at one layer",
    "when a row-mate is padded",
    "on one kernel",
    "convolution padded on both sides",
    "normalised over time",
    "experts choose",
    "dropout left on",
]
REMEMBERS = ["top left with a cache", "with a cache", "positions begin again", "segments reversed"]


def subject_of(mutant: Mutant, *, healthy: bool) -> object:
    return as_subject(mutant.build(0, healthy=healthy), mutant.steps)


@pytest.mark.parametrize("name", SEES)
def test_a_model_that_is_not_causal_is_said_to_be_so(name: str) -> None:
    mutant = BY_NAME[name]
    with pytest.raises(AssertionError) as raised:
        testing.assert_causal(subject_of(mutant, healthy=False), lengths=LONGER)
    said = str(raised.value)
    assert said.startswith("Tiny: assert_causal fails: ") and f"likely: {mutant.cause}" in said, said


def test_the_message_names_places_tokens_and_strengths() -> None:
    with pytest.raises(AssertionError) as raised:
        testing.assert_causal(subject_of(BY_NAME["mask off by one"], healthy=False), lengths=SHORT)
    said = str(raised.value)
    assert re.search(r"output \d '#\d+' depends on input \d '#\d+' \(strength [\d.e-]+\)", said), said
    assert re.search(r"at 2 tokens output 0 depends on token 1, which causal hides: it changes by", said), said


@pytest.mark.parametrize("name", ["mask off by one", "convolution padded on both sides"])
def test_short_texts_do_not_tell_a_mask_from_a_convolution(name: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(causes.NEXT_SEEN)):
        testing.assert_causal(subject_of(BY_NAME[name], healthy=False), lengths=SHORT)


@pytest.mark.parametrize("name", ["mask off by one", "convolution padded on both sides", "dropout left on"])
def test_a_causal_model_passes(name: str) -> None:
    testing.assert_causal(subject_of(BY_NAME[name], healthy=True), lengths=SHORT)


def test_a_model_that_sees_all_and_one_that_does_not() -> None:
    testing.assert_bidirectional(bert(), lengths=SHORT)
    with pytest.raises(AssertionError, match=re.escape(causes.FUTURE_HIDDEN)) as raised:
        testing.assert_bidirectional(gpt2(), lengths=SHORT)
    assert re.search(r"output 0 '#\d+' does not depend on input 1 '#\d+'", str(raised.value))


def test_half_blind_is_not_bidirectional() -> None:
    """That some outputs depend on later tokens is not enough."""

    class Ahead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(VOCABULARY, 6)

        def forward(self, ids: Tensor) -> Tensor:
            x = self.table(ids)
            return x + x.roll(-1, 1) + 0.5 * x.roll(1, 1)

    with pytest.raises(AssertionError, match="should depend and do not"):
        testing.assert_bidirectional(Ahead(), lengths=SHORT)


def test_a_mask_is_asserted_as_it_is_written() -> None:
    mutant = BY_NAME["prefix hidden"]
    testing.assert_mask(mutant.build(0, healthy=True), "prefix(4) | causal", lengths=SHORT)
    with pytest.raises(AssertionError, match="assert_mask fails") as raised:
        testing.assert_mask(mutant.build(0), "prefix(4) | causal", lengths=SHORT)
    assert causes.FUTURE_HIDDEN in str(raised.value)
    with pytest.raises(ConfigError, match="causal"):
        testing.assert_mask(mutant.build(0), "causl")


@pytest.mark.parametrize("name", ["padding attended", "positions count padding"])
def test_padding_that_is_not_inert(name: str) -> None:
    mutant = BY_NAME[name]
    testing.assert_padding_inert(mutant.build(0, healthy=True), lengths=SHORT)
    with pytest.raises(AssertionError, match=re.escape(mutant.cause)) as raised:
        testing.assert_padding_inert(mutant.build(0), lengths=SHORT)
    assert re.search(r"assert_padding_inert fails: .* of padding on the \w+.* output", str(raised.value))


@pytest.mark.parametrize("name", REMEMBERS)
def test_a_cache_that_is_wrong(name: str) -> None:
    mutant = BY_NAME[name]
    broken = mutant.build(0)
    with pytest.raises(AssertionError, match=re.escape(mutant.cause)) as raised:
        testing.assert_cache_exact(broken, step=broken.step, lengths=(8, 24))
    assert "the first that differs, the furthest by" in str(raised.value)


def test_caches_that_are_right() -> None:
    testing.assert_cache_exact(gpt2(), lengths=(8, 24))
    testing.assert_cache_exact(tiny("gpt2", dtype=torch.float32), lengths=(8, 24))


def test_rows_that_know_of_each_other() -> None:
    mutant = BY_NAME["batch statistics"]
    testing.assert_batch_independent(mutant.build(0, healthy=True), lengths=SHORT)
    with pytest.raises(AssertionError, match=re.escape(causes.BATCH_STATISTICS)) as raised:
        testing.assert_batch_independent(mutant.build(0), lengths=SHORT)
    assert re.search(r"row \d, output \d is .* off", str(raised.value))


NOTHING: list[tuple[Callable[..., None], str]] = [
    (testing.assert_padding_inert, "takes no attention_mask"),
    (testing.assert_cache_exact, "cannot go on from a state"),
]


@pytest.mark.parametrize(("claim", "said"), NOTHING)
def test_what_has_nothing_to_check_is_no_success(claim: Callable[..., None], said: str) -> None:
    with pytest.raises(AssertionError, match=f"has nothing to check: .*{said}"):
        claim(Averaging(), lengths=SHORT)


def test_a_model_may_come_in_training_mode_and_is_left_in_it() -> None:
    model = Tiny(random_size(1), Parts(mixer=lambda width: Dropout(width, always=False)), 1)
    assert model.training
    testing.assert_causal(model, lengths=SHORT)
    assert all(each.training for each in model.modules())
    with pytest.raises(AssertionError, match=re.escape(causes.DROPOUT)):
        testing.assert_causal(Tiny(random_size(1), Parts(mixer=lambda width: Dropout(width, always=True)), 1))


def test_functions_are_asserted_of_too() -> None:
    table = torch.randn(11, 5, dtype=torch.float64)
    testing.assert_causal(lambda ids: table[ids].cumsum(1), vocabulary=11, lengths=SHORT)
    with pytest.raises(AssertionError, match="the function: assert_causal fails"):
        testing.assert_causal(lambda ids: table[ids].mean(1, keepdim=True) + table[ids], vocabulary=11, lengths=SHORT)


def test_what_was_checked_is_kept_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RECORD, "on", True)
    monkeypatch.setattr(RECORD, "kept", [])
    testing.assert_causal(Averaging(), lengths=SHORT)
    with pytest.raises(AssertionError):
        testing.assert_causal(Averaging(causal=False), lengths=SHORT)
    good, bad = RECORD.kept
    assert good.ok and not bad.ok and bad.said and good.where.endswith("test_what_was_checked_is_kept_for_a_report")
    assert [Checked.from_dict(json.loads(json.dumps(each.as_dict()))) for each in RECORD.kept] == [good, bad]
    page = render(RECORD.kept)
    assert page.index("assert_causal: fails") < page.index("assert_causal: holds") and page.count("<svg") >= 2
    assert verdict(RECORD.kept) == "1 of 2 asserts fails." and "https://" not in page
    assert verdict([good]) == "The one assert holds." and verdict([]) == "No test asserted anything of a model."
    assert verdict([bad, replace(bad)]) == "2 of 2 asserts fail."


class Window(nn.Module):
    """In each layer a token sees itself and the one before."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.table, self.layers = nn.Embedding(VOCABULARY, 6), layers

    def forward(self, ids: Tensor) -> Tensor:
        x = self.table(ids)
        for _ in range(self.layers):
            x = x + 0.5 * torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)
        return x


@pytest.mark.parametrize("layers", [1, 3])
def test_a_window_is_told_from_more_where_the_layers_are_known(layers: int) -> None:
    see = "causal & sliding_window(2)"
    testing.assert_mask(Window(layers), see, layers=layers, lengths=SHORT)
    testing.assert_mask(Window(layers), see, lengths=SHORT)
    with pytest.raises(AssertionError, match=causes.TOO_WIDE) as raised:
        testing.assert_mask(Window(layers + 1), see, layers=layers, lengths=SHORT)
    assert "depends on input 0" in str(raised.value)
    with pytest.raises(AssertionError, match="should depend and do not"):
        testing.assert_mask(Window(layers), see, layers=layers + 1, lengths=SHORT)
    with pytest.raises(AssertionError, match=causes.TOO_WIDE):
        testing.assert_mask(Averaging(), see, layers=layers, lengths=SHORT)


class Wide(Window):
    """Late tokens also see the one that stands seven before them."""

    def forward(self, ids: Tensor) -> Tensor:
        x = super().forward(ids)
        late = torch.arange(x.shape[1])[:, None] >= testing.WINDOWED
        return x + 0.5 * late * x.roll(7, 1)


def test_a_window_is_looked_at_in_long_texts_too() -> None:
    see, long = "causal & sliding_window(2)", (*SHORT, 20, 40)
    testing.assert_mask(Window(1), see, layers=1, lengths=long)
    with pytest.raises(AssertionError, match=f"leaks at 40 tokens, none at 2, 3, 8, 20.*\n.*{causes.TOO_WIDE}"):
        testing.assert_mask(Wide(1), see, layers=1, lengths=long)


WRONG: list[tuple[dict[str, object], str]] = [
    ({"see": None}, "None is no mask"),
    ({"layers": 0}, "layers=0"),
    ({"lengths": ()}, "no numbers of tokens"),
    ({"lengths": 3}, "no numbers of tokens"),
    ({"lengths": "ab"}, "no numbers of tokens"),
    ({"lengths": (0,)}, "lengths=0"),
    ({"lengths": (1,)}, "a token alone has nobody to see"),
    ({"seed": "x"}, "seed='x'"),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=str)
def test_options_that_mean_nothing_are_no_success(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        testing.assert_mask(Averaging(), **{"see": "causal", **given})  # type: ignore[arg-type]
