"""The audit: every family of ours passes it, it leaves models as they were, and it says what it cannot tell."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sightline as sl
from contract.families import FAMILIES, LOCAL_FIRST, tiny
from probing.mutants.mixers import Dropout
from probing.mutants.network import Answer, Parts, Past, Tiny, causal, random_size
from sightline.errors import ConfigError, InputError
from sightline.probing import causes
from sightline.probing.audit import audit
from sightline.probing.audit_page import render
from sightline.probing.checks.attention import ROWS
from sightline.probing.checks.battery import CHECKS
from sightline.probing.checks.kernels import KERNELS
from sightline.probing.checks.named import TYPES
from sightline.probing.checks.numbers import named_numbers, telling_lengths
from sightline.probing.checks.plan import Plan, View
from sightline.probing.checks.precision import HALF
from sightline.probing.checks.rounding import find_rounding
from sightline.probing.subject import Subject, subject

SHORT = (1, 2, 3, 8)
NAMES = [name for name, _ in CHECKS]


@pytest.mark.parametrize("mask", [None, "causal", "prefix(3) | causal"])
@pytest.mark.parametrize("family", FAMILIES)
def test_our_families_pass(family: str, mask: str | None) -> None:
    model = tiny(family, dtype=torch.float32, **LOCAL_FIRST.get(family, {}))
    model = model if mask is None else model.with_mask(sl.Mask.parse(mask))
    report = audit(model, lengths=(*SHORT, 17))
    assert report.ok and report.said_by == "model" and report.expect == str(model.mask), str(report)
    assert not [check for check in report.checks if check.status == "cannot tell"], str(report)
    assert [check.name for check in report.checks] == NAMES


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_a_mask_that_is_not_the_models_own_is_a_leak_or_is_missed(family: str) -> None:
    model = tiny(family)
    wrong = "causal" if family == "bert" else "bidirectional"
    report = audit(model, expect=wrong, lengths=SHORT)
    found = {check.name: check.cause for check in report.failed}
    if family == "bert":
        assert found["nobody sees what is hidden"] == causes.NO_MASK
    else:
        assert found == {"what should be seen is seen": causes.FUTURE_HIDDEN}


def model_of(**parts: object) -> Tiny:
    return Tiny(random_size(1), Parts(**parts), 1)  # type: ignore[arg-type]


def test_training_mode_is_named() -> None:
    report = audit(model_of(mixer=lambda width: Dropout(width, always=False)), expect="causal", lengths=SHORT)
    assert [check.cause for check in report.failed] == [causes.TRAINING_MODE]
    assert audit(model_of(), expect="causal", lengths=SHORT).ok  # in training mode too, but nothing drops


def test_the_model_is_left_as_it_was() -> None:
    model = model_of(mixer=lambda width: Dropout(width, always=False))
    model.layers[0].eval()
    model.tokens.weight.requires_grad_(False)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [each.training for each in model.modules()]
    drawn = torch.get_rng_state()
    audit(model, expect="causal", lengths=SHORT)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert [each.training for each in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not model.tokens.weight.requires_grad and not any(each._forward_hooks for each in model.modules())
    assert not any(weight.grad is not None for weight in model.parameters())


def test_the_model_is_left_as_it_was_where_it_fails() -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(9, 4)

        def forward(self, ids: Tensor) -> Tensor:
            if len(ids) > 5:
                raise RuntimeError("too many rows")
            return self.embedding(ids).cumsum(1)

    model = Failing()
    report = audit(model, expect="causal", lengths=SHORT)
    stopped = [check for check in report.checks if check.status == "cannot tell"]
    assert report.ok and all("too many rows" in check.detail for check in stopped) and stopped
    assert model.training


def test_a_length_that_is_refused_is_named() -> None:
    class Picky(Tiny):
        def forward(self, *given: Tensor, **named: Tensor) -> Answer:  # type: ignore[override]
            if given[0].shape[1] == 3:
                raise ZeroDivisionError("three")
            return super().forward(*given, **named)

    report = audit(Picky(random_size(1), Parts(), 1).eval(), expect="causal", lengths=SHORT)
    assert report.ok and report.lengths == (1, 2, 8)
    assert "note: it takes no text of 3 tokens: ZeroDivisionError: three" in str(report)


def test_whatever_a_model_raises_is_a_refusal() -> None:
    class Refusing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model_of()

        def forward(
            self,
            input_ids: Tensor,
            token_type_ids: Tensor | None = None,
            past_key_values: object = None,
            use_cache: bool = False,
            output_attentions: bool = False,
        ) -> Tensor:
            refused = {
                "types": token_type_ids is not None and bool(token_type_ids.any()),
                "cache": use_cache,
                "attentions": output_attentions,
                "bfloat16": next(self.parameters()).dtype == torch.bfloat16,
            }
            if any(refused.values()):
                raise KeyError(next(name for name, wanted in refused.items() if wanted))
            return self.inner(input_ids).logits

    def switch(kernel: str) -> Subject:
        raise LookupError(kernel)

    made = replace(subject(Refusing().eval()), kernels=("eager", "fast"), switch=switch)
    assert made.step is None
    report = audit(made, expect="causal", lengths=SHORT)
    details = {
        KERNELS: "eager refuses: LookupError: eager; fast refuses: LookupError: fast",
        HALF: "KeyError: 'bfloat16'",
        TYPES: "it has one token type only",
        ROWS: "it gives no attention weights",
    }
    for name, detail in details.items():
        check = report.check(name)
        assert check.status == "not applicable" and check.detail.endswith(detail), check


def test_numbers_that_are_none_are_found_at_every_length() -> None:
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(9, 4)

        def forward(self, ids: Tensor) -> Tensor:
            made = self.embedding(ids).cumsum(1)
            return made / (torch.arange(ids.shape[1]) != 9)[:, None] * 0 if ids.shape[1] > 9 else made

    report = audit(Late().eval(), expect="causal", lengths=(2, 8, 12))
    assert report.failed[0].cause == causes.NOT_A_NUMBER
    assert report.failed[0].detail == "on 12 tokens output 9 is not a number"
    assert report.check("nobody sees what is hidden").detail == "outputs are not numbers"


def test_logits_that_forbid_a_token_are_no_failure() -> None:
    class Forbidding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model_of()

        def forward(self, ids: Tensor) -> Tensor:
            logits = self.inner(ids).logits
            return logits.index_fill(2, torch.tensor([0]), -torch.inf)

    assert audit(Forbidding().eval(), expect="causal", lengths=SHORT).ok


def test_rows_that_change_each_other_are_not_said_to_lose_their_mask() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model_of()

        def forward(self, ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
            logits = self.inner(ids, attention_mask).logits
            return logits + 0.1 * logits.roll(1, 0)

    report = audit(Mixed().eval(), expect="causal", lengths=SHORT)
    assert {check.cause for check in report.failed} == {causes.BATCH_STATISTICS}


def test_a_function_is_audited() -> None:
    table = torch.randn(11, 5, dtype=torch.float64)
    report = audit(lambda ids: table[ids].cumsum(1), expect="causal", vocabulary=11)
    assert report.ok and report.check("nobody sees what is hidden").status == "passed"
    assert report.check("saved = loaded").status == "not applicable"
    leaking = audit(lambda ids: table[ids].flip(1).cumsum(1).flip(1), expect="causal", vocabulary=11)
    assert leaking.failed[0].cause == causes.INVERTED


def test_nothing_is_called_a_leak_where_nobody_said_who_should_see_whom() -> None:
    report = audit(model_of(), lengths=SHORT)
    check = report.check("nobody sees what is hidden")
    assert check.status == "not applicable" and "nobody sees what comes later" in check.detail
    assert report.expect is None and report.said_by == "measured"


def test_what_is_between_rounding_and_dependence_is_left_open() -> None:
    """A leak as small as rounding: nobody is accused and nobody acquitted."""

    class Whispering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model_of()

        def forward(self, ids: Tensor) -> Tensor:
            logits = self.inner(ids).logits
            return logits + 5e-14 * logits.sum(1, keepdim=True)

    report = audit(Whispering().double(), expect="causal", lengths=(8,))
    assert report.check("nobody sees what is hidden").status == "cannot tell"
    assert report.ok


def test_rounding_is_found_in_its_own_unit() -> None:
    model, ids = model_of().eval(), torch.tensor([[1, 2, 3]])
    fine, coarse = (find_rounding(subject(each), ids, {}) for each in (model.double(), model_of()))
    assert fine.nothing < 1e-11 < 1e-7 < coarse.nothing < 1e-3
    assert (fine.digits, coarse.digits) == (torch.float64, torch.float32)

    class Inside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model_of().double()

        def forward(self, ids: Tensor) -> Tensor:
            return self.inner(ids).logits.float().softmax(-1).double()

    assert find_rounding(subject(Inside()), ids, {}).digits == torch.float32
    assert fine.tell(fine.nothing) == "same" and fine.tell(fine.something) == "different"
    assert fine.tell(2 * fine.nothing) == "unclear" and fine.tell(float("inf")) == "different"


def test_lengths_stand_around_what_a_configuration_names() -> None:
    numbers = named_numbers(
        {"sliding_window": 9, "text": {"block_size": [4, 16], "hidden": 64}, "name": "x", "n": True}
    )
    assert numbers == {"sliding_window": 9, "text.block_size": 16, "text.hidden": 64}
    assert telling_lengths(numbers) == [8, 9, 10, 15, 16, 17]
    assert {127, 128, 129, 200} <= set(telling_lengths({"max_position_embeddings": 200}))
    windowed = tiny("modernbert", window=5, dtype=torch.float32)
    assert {4, 5, 6} <= set(audit(windowed).lengths)


def test_labels_that_follow_several_outputs_alike_accuse_nobody() -> None:
    class Hard(Tiny):
        def read(self, *given: Any) -> tuple[Tensor, Past]:
            logits, past = super().read(*given)
            return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype), past

    report = audit(Hard(random_size(0, 2), Parts(), 0).eval(), expect="causal", lengths=SHORT)
    check = report.check("a label meets the right output")
    assert check.status == "cannot tell" and "no single output" in check.detail


def test_a_window_reaches_as_far_as_the_layers_that_are_known() -> None:
    near = sl.Causal() & sl.SlidingWindow(4)
    model = tiny("gpt2", dtype=torch.float32).with_mask(near)
    layers = model.config.layers
    report = audit(model)
    assert report.ok and {1 + 3 * layers, 2 + 3 * layers} <= set(report.lengths)
    wide = audit(model, "causal & sliding_window(3)").failed
    assert wide[0].name == "nobody sees what is hidden" and wide[0].cause == causes.TOO_WIDE
    deeper = audit(model, "causal & sliding_window(3)", layers=2 * layers, lengths=(8, 16))
    assert deeper.check("nobody sees what is hidden").status == "passed"


def test_a_plan_closes_the_mask_over_any_number_of_layers() -> None:
    made = subject(model_of())
    view = View(subject=made, rounding=find_rounding(made, torch.tensor([[1, 2, 3]]), {}))
    plan = Plan(given=view, exact=view, expect=sl.Causal() & sl.SlidingWindow(2), lengths=(6,), numbers={})
    allowed = plan.allowed(6)
    assert allowed is not None and torch.equal(allowed, torch.ones(6, 6, dtype=torch.bool).tril())
    assert plan.looks_back() and not replace(plan, expect=sl.Bidirectional()).looks_back()


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"expect": "causl"}, ConfigError, "causal"),
        ({"expect": 3}, ConfigError, "is no mask"),
        ({"lengths": [0]}, ConfigError, "1 or more"),
        ({"lengths": [200]}, InputError, "takes no text"),
    ],
)
def test_wrong_use_is_said(arguments: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        audit(model_of(), **arguments)  # type: ignore[arg-type]


def test_a_report_can_be_printed_kept_and_looked_at() -> None:
    report = audit(model_of(sees=lambda query, key, layer: causal(query, key, layer) | True), "causal", lengths=SHORT)
    kept = json.loads(json.dumps(report.as_dict()))
    assert kept["ok"] is False and kept["checks"][0]["name"] == NAMES[0]
    assert f"likely: {causes.NO_MASK}" in str(report)
    page = render(report)
    assert causes.NO_MASK in page and page.count("<svg") >= 1
    with pytest.raises(KeyError, match="no check is called"):
        report.check("nothing")
