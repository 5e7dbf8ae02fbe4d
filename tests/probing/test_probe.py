"""What probing measures is what is there: against models of transformers, our families under their masks, and small
modules whose dependence is known.

Shapes: B rows, O outputs, T inputs.
"""

import json
from typing import Any

import pytest
import tokenizers
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contract.families import FAMILIES, LOCAL_FIRST, random_ids, tiny
from contract.test_visibility import SCENES
from probing import subjects
from sightline.core.mask import Bidirectional, Causal, Mask, Permuted, Prefix, SlidingWindow
from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.probing.dependence import Dependence
from sightline.probing.probe import probe
from sightline.probing.subject import subject

TOKENS = 9
IDS = random_ids(1, TOKENS, seed=3)
CAUSAL = torch.ones(TOKENS, TOKENS).tril().bool()


def measure(model: Any, ids: Tensor = IDS, **settings: Any) -> Dependence:
    return probe(model, ids, **settings)


# transformers


def test_gpt2_is_causal_and_bert_is_not() -> None:
    found = measure(subjects.gpt2(), expect="causal")
    assert torch.equal(found.visible, CAUSAL) and found.ok and found.deterministic
    assert found.gap.nothing == 0 and found.gap.something > 1e-3
    assert all(torch.equal(each > 0, CAUSAL) for each in found.strength.values())
    both = measure(subjects.bert(), expect="bidirectional")
    assert bool(both.visible.all()) and both.ok


def test_a_bert_under_a_causal_expectation_leaks_and_says_where() -> None:
    found = measure(subjects.bert(), expect=Causal())
    assert len(found.leaks) == TOKENS * (TOKENS - 1) // 2 and not found.missing and not found.ok
    strongest = found.leaks[0]
    assert strongest.input > strongest.output and strongest.strength == max(pair.strength for pair in found.leaks)
    assert str(int(IDS[0, strongest.input])) in strongest.input_text
    assert str(strongest) in str(found)


def test_a_gpt2_under_a_bidirectional_expectation_lacks_what_is_not_there() -> None:
    found = measure(subjects.gpt2(), expect="bidirectional")
    assert len(found.missing) == TOKENS * (TOKENS - 1) // 2 and not found.leaks
    assert found.gap.refined == len(found.missing), "what should be there is looked for in float64 too"


def test_a_bert_made_decoder_after_it_was_built_stays_bidirectional_under_sdpa() -> None:
    model = subjects.bert()
    model.config.is_decoder = True
    made = subject(model)
    assert measure(made.with_kernel("eager"), expect="causal").ok
    assert measure(made.with_kernel("sdpa"), expect="causal").leaks


def test_packed_rows_of_gpt2_are_apart_where_transformers_is_told_so() -> None:
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2]])
    position = torch.tensor([[0, 1, 2, 0, 1, 2, 3, 0, 1]])
    model = subjects.gpt2(use_cache=False)
    apart = CAUSAL & (documents[0, :, None] == documents[0, None])
    found = measure(model, inputs={"position_ids": position}, expect=apart)
    assert found.ok
    whole = {"position_ids": position, "attention_mask": torch.ones(1, TOKENS)}  # which switches that off
    assert measure(model, inputs=whole, expect=apart).leaks
    model.config.use_cache = True  # its default, which switches that off too
    assert measure(model, inputs={"position_ids": position}, expect=apart).leaks


def test_padding_of_gpt2_is_seen_by_nobody() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1, 1]])
    inputs = {"attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    found = measure(subjects.gpt2(), inputs=inputs, expect="causal")
    assert found.outputs == tuple(range(2, TOKENS)) and found.ok and not bool(found.visible[:, :2].any())


def test_a_cache_of_gpt2_knows_the_past() -> None:
    found = measure(subjects.gpt2(), past=4, expect="causal")
    assert torch.equal(found.visible, CAUSAL[4:]) and found.ok


# Ours


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("family", ["modernbert", "xlnet"])
def test_what_our_models_declare_is_what_they_do(family: str, name: str) -> None:
    scene = SCENES[name]
    model = tiny(family, dtype=torch.float32, **LOCAL_FIRST.get(family, {})).with_mask(scene.mask)
    found = probe(model, random_ids(1, 8), inputs=scene.inputs, substitutes=2, projections=1)
    assert found.ok, str(found)
    assert torch.equal(found.visible, found.expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_as_it_is(family: str) -> None:
    found = probe(tiny(family, dtype=torch.float32, **LOCAL_FIRST.get(family, {})), random_ids(1, 7))
    assert found.ok and torch.equal(found.visible, found.expected), str(found)


@pytest.mark.parametrize(("family", "state"), [("gpt2", "cache"), ("transfo-xl", "memory"), ("xlnet", "memory")])
def test_an_earlier_segment_is_known_as_far_as_is_remembered(family: str, state: Any) -> None:
    found = measure(tiny(family, dtype=torch.float32), past=5, state=state)
    assert found.ok and found.outputs == tuple(range(5, TOKENS))
    assert bool(found.visible[:, :5].all())


def test_a_short_memory_forgets_what_is_far() -> None:
    model = tiny("transfo-xl", dtype=torch.float32, memory_length=2, layers=1)
    found = measure(model, past=5, state="memory")
    assert found.ok and not bool(found.visible[:, :3].any()) and bool(found.visible[:, 3:5].all())


def test_the_query_stream_of_xlnet_is_blind_for_its_own_place() -> None:
    ranks = torch.tensor([[2, 0, 5, 1, 3, 8, 4, 7, 6]])
    targets = torch.tensor([[5, 2, 7]])
    model = tiny("xlnet", dtype=torch.float32).with_mask(Permuted())
    found = measure(model, inputs={"ranks": ranks, "targets": targets})
    assert found.ok and found.outputs == (5, 2, 7)
    assert not any(bool(found.visible[row, place]) for row, place in enumerate(found.outputs))
    assert torch.equal(found.visible, ranks[0][None] < ranks[0][list(found.outputs)][:, None])


def test_layers_count_where_the_mask_is_a_window() -> None:
    model = tiny("gpt2", dtype=torch.float32).with_mask(Causal() & SlidingWindow(2))
    ours = measure(model)
    mask = "causal & sliding_window(2)"
    theirs = measure(lambda ids: model(ids).last_hidden_state, vocabulary=31, expect=mask, layers=3)
    assert torch.equal(ours.expected, theirs.expected) and theirs.ok
    open_ended = measure(model, expect=mask)
    assert torch.equal(open_ended.expected, CAUSAL) and open_ended.ok, "through any number of layers all may be reached"
    assert measure(model, expect=mask, layers=1).leaks and measure(model, expect=mask, layers=4).missing


# Modules whose dependence is known


class Detached(nn.Module):
    """What a token takes from the one before it has no gradient, as with argmax and routing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens = nn.Embedding(subjects.VOCABULARY, 6)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids)
        return x + F.pad(x.detach(), (0, 0, 1, 0))[:, :-1]


class Saturated(nn.Module):
    """What a token takes from the one before it shows only in a sum of which float32 keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens = nn.Embedding(subjects.VOCABULARY, 6)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids)
        before = F.pad(x, (0, 0, 1, 0))[:, :-1]
        return x + 1e-9 * before


BEFORE = CAUSAL & ~torch.ones(TOKENS, TOKENS).tril(-2).bool()


def test_substitution_sees_what_gradients_miss() -> None:
    assert torch.equal(measure(Detached()).visible, BEFORE)
    alone = measure(Detached(), method="gradient")
    assert torch.equal(alone.visible, torch.eye(TOKENS).bool())


def test_what_float32_loses_is_found_in_float64() -> None:
    found = measure(Saturated(), expect=BEFORE)
    assert found.ok and found.gap.refined > 0 and 1e-10 < found.gap.something < 1e-7
    assert torch.equal(found.visible, BEFORE)


class Rounds(subjects.Averaging):
    """A sum over all tokens is added and taken away again: their last digits stay."""

    def forward(self, ids: Tensor) -> Tensor:
        x = super().forward(ids)
        mixed = x.sum(1, keepdim=True) * 7
        return (x + mixed) - mixed


def test_rounding_is_no_dependence() -> None:
    found = measure(Rounds(), expect="causal")
    assert found.ok and 0 < found.gap.nothing < 1e-12 < found.gap.something and found.gap.refined > 10
    assert f"{found.gap.refined} cells were decided in float64" in str(found)


def test_without_float64_a_gap_decides_and_without_a_gap_nobody_is_accused() -> None:
    model = Rounds()
    by_company = measure(lambda ids: model(ids), vocabulary=subjects.VOCABULARY, expect="causal")
    assert by_company.ok and 0 < by_company.gap.nothing < 1e-4 < by_company.gap.something

    plain = subjects.Averaging()

    def faint(ids: Tensor) -> Tensor:
        x = plain(ids).detach()
        x[:, 2] += 1e-6 * plain.tokens(ids[:, 6]).detach()
        return x

    alone = measure(faint, vocabulary=subjects.VOCABULARY, expect="causal")
    assert alone.status == "cannot tell" and not alone.leaks and not alone.missing and not alone.ok
    assert alone.unsure.nonzero().tolist() == [[2, 6]]
    assert "cannot tell" in alone.verdict() and alone.matrix().count("unsure") == 1


def test_a_faint_leak_is_a_leak_where_float64_can_tell() -> None:
    class Faint(subjects.Averaging):
        def forward(self, ids: Tensor) -> Tensor:
            x = super().forward(ids)
            later = F.pad(self.tokens(ids)[:, 6:7], (0, 0, 2, ids.shape[1] - 3))  # of the seventh token, at the third
            return x + 1e-6 * later if ids.shape[1] > 6 else x

    found = measure(Faint(), expect="causal")
    assert [(pair.output, pair.input) for pair in found.leaks] == [(2, 6)] and found.status == "clear"


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_copy_in_float64_does_not_speak_for_another_path_in_half_precision(kind: torch.dtype) -> None:
    class Leaking(subjects.Averaging):
        def forward(self, ids: Tensor) -> Tensor:
            made = super().forward(ids)
            return made + made.mean(1, keepdim=True) if made.dtype == kind else made

    found = probe(Leaking().to(kind), [5, 6, 7, 8], expect="causal")
    assert found.status == "cannot tell" and not found.ok
    assert "rounding, or dependence?" in found.verdict()
    assert probe(subjects.Averaging().to(kind), [5, 6, 7, 8], expect="causal").ok


def test_half_precision_is_judged_in_float64() -> None:
    found = measure(tiny("gpt2", dtype=torch.bfloat16))
    assert found.ok and torch.equal(found.visible, CAUSAL) and found.gap.refined > 0


def test_outputs_that_are_no_numbers_are_left_open() -> None:
    class Breaks(subjects.Averaging):
        def forward(self, ids: Tensor) -> Tensor:
            x = super().forward(ids)
            return torch.cat([x[:, :4], x[:, 4:5] * torch.nan, x[:, 5:]], 1)

    found = measure(Breaks(), expect="causal")
    assert found.status == "cannot tell" and bool(found.unsure[4].all()) and int(found.unsure.sum()) == TOKENS
    assert any("no number" in note for note in found.notes) and not found.leaks and not found.missing


def test_more_tokens_than_the_model_takes_are_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="fails on these 70 tokens"):
        probe(subjects.gpt2(), random_ids(1, 70))


def test_rounding_that_differs_from_place_to_place_in_a_batch_is_known_by_that() -> None:
    class Transformed(subjects.Averaging):
        def forward(self, ids: Tensor) -> Tensor:
            x = super().forward(ids)
            wobble = 1e-7 * torch.arange(len(ids))[:, None, None] + 1e-8 * x.sum((0, 1))  # as kernels over all rows do
            return x + wobble

    model = Transformed()
    found = measure(lambda ids: model(ids), vocabulary=subjects.VOCABULARY, expect="causal")
    assert found.ok and 0 < found.gap.nothing < 1e-5


def test_dropout_is_named_and_seen_through() -> None:
    model = subjects.Averaging(dropout=0.3).train()
    found = measure(model, expect="causal")
    assert not found.deterministic and "training mode" in found.cause and "(drawn in dropout)" in found.cause
    assert found.cause in found.verdict() and torch.equal(found.visible, CAUSAL) and model.training


def test_noise_that_no_seed_stops_leaves_it_open() -> None:
    noise = torch.Generator().manual_seed(0)
    model = subjects.Averaging()
    noisy = measure(
        lambda ids: model(ids) + 1e-3 * torch.randn(6, generator=noise), vocabulary=subjects.VOCABULARY, expect="causal"
    )
    assert noisy.status == "cannot tell" and not noisy.leaks and not noisy.missing and not noisy.deterministic
    assert bool(noisy.visible[3, 2])


def test_rows_that_change_each_other_are_run_alone() -> None:
    class Batch(subjects.Averaging):
        def forward(self, ids: Tensor) -> Tensor:
            x = super().forward(ids)
            return x - x.mean(0, keepdim=True) * 0.5

    found = measure(Batch(), expect="causal")
    assert found.ok and found.mates > 0.01 and any("rows of a batch change each other" in note for note in found.notes)


def test_a_backward_pass_that_fails_is_a_note() -> None:
    class Kernel(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]  # theirs takes any number of gradients
            raise KeyError("kernel")

    class Closed(subjects.Averaging):
        def forward(self, ids: Tensor) -> Tensor:
            return Kernel.apply(super().forward(ids))

    found = measure(Closed(), expect="causal")
    assert found.ok and "by substitution alone: a kernel of it has no backward pass: KeyError: 'kernel'" in found.notes


def test_a_function_is_measured_by_substitution_alone() -> None:
    model = subjects.gpt2()
    found = measure(lambda ids: model(ids).logits, vocabulary=subjects.VOCABULARY, expect="causal")
    assert found.ok and set(found.strength) == {"substitution"}
    assert any("by substitution alone" in note for note in found.notes)
    with pytest.raises(UnsupportedError, match="no embedding"):
        measure(lambda ids: model(ids).logits, vocabulary=subjects.VOCABULARY, method="gradient")


def test_what_a_model_changes_in_place_accuses_nobody() -> None:
    class InPlace(subjects.Averaging):
        def forward(self, ids: Tensor) -> Tensor:
            x = self.tokens(ids)
            x *= 3
            made = x + torch.tanh(self.mix(x.cumsum(1)))
            ids.fill_(0)
            return made

    ids = IDS.clone()
    found = measure(InPlace(), ids, expect="causal")
    assert found.ok and set(found.strength) == {"substitution", "gradient"} and torch.equal(ids, IDS)


def test_a_leak_of_one_token_at_one_place_is_found() -> None:
    class Leaks(subjects.Averaging):
        def forward(self, ids: Tensor) -> Tensor:
            x = super().forward(ids)
            leak = torch.zeros_like(x)
            leak[:, 2] = 1e-3 * self.tokens(ids)[:, 6]
            return x + leak

    found = measure(Leaks(), expect="causal")
    assert [(pair.output, pair.input) for pair in found.leaks] == [(2, 6)]


def test_a_long_text_is_sampled_and_says_so() -> None:
    model = subjects.Averaging()
    found = probe(model, random_ids(1, 300), expect="causal", positions=24)
    assert found.ok and any("of 300 inputs 24 were replaced" in note for note in found.notes)
    assert found.visible.shape == (300, 300) and not bool(found.measured.all())
    assert bool(found.measured[299].all()) and bool(found.measured[:, [0, 31, 32, 299]].all())
    assert not bool((found.visible & ~found.measured).any())


# What is given and what comes out


def test_nothing_of_the_model_stays_changed() -> None:
    model = subjects.gpt2().train()
    model.transformer.wpe.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    measure(model)
    assert model.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [name for name, each in model.named_parameters() if not each.requires_grad] == ["transformer.wpe.weight"]
    assert all(each.grad is None for each in model.parameters())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())


def test_gradients_are_there_wherever_it_is_called() -> None:
    model = subjects.gpt2()
    for off in (torch.no_grad, torch.inference_mode):
        with off():
            found = measure(model, IDS.clone(), inputs={"attention_mask": torch.ones(1, TOKENS)})
        assert set(found.strength) == {"substitution", "gradient"} and torch.equal(found.visible, CAUSAL)


def test_the_same_seed_measures_the_same() -> None:
    one, two = measure(subjects.gpt2(), seed=4), measure(subjects.gpt2(), seed=4)
    assert all(torch.equal(one.strength[name], two.strength[name]) for name in one.strength)
    assert one.as_dict() == two.as_dict()


def test_json_and_text() -> None:
    found = measure(subjects.bert(), expect="causal")
    read = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert read["visible"][0] == [1] * TOKENS and read["ok"] is False and len(read["leaks"]) == len(found.leaks)
    assert str(found).count("✕") == len(found.leaks) and "expected   causal" in str(found)
    matrix = found.matrix()
    assert matrix.count("leak") == len(found.leaks)


def test_a_text_is_read_by_whatever_tokenizer_is_given() -> None:
    import transformers

    words = {word: number for number, word in enumerate(["[UNK]", "the", "soup", "was", "hot"])}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    found = probe(subjects.gpt2(), "the soup was hot", tokenizer=theirs, expect="causal")
    assert found.tokens == ("the", "soup", "was", "hot") and found.ids == (1, 2, 3, 4) and found.ok
    ids = probe(subjects.gpt2(), "ab", tokenizer=lambda text: [ord(sign) - 90 for sign in text])
    assert ids.ids == (7, 8) and bool(ids.visible[1, 0])


@pytest.mark.parametrize("mask", [Bidirectional(), Prefix(3) | Causal(), SlidingWindow(2)])
def test_expectations_of_any_mask(mask: Mask) -> None:
    model = tiny("bert", dtype=torch.float32).with_mask(mask)
    function = subject(lambda ids: model(ids).last_hidden_state, vocabulary=31)
    assert measure(function, expect=str(mask), layers=3).ok
    assert not measure(function, expect=~mask, layers=3).ok


@pytest.mark.parametrize(
    ("text", "settings", "error", "says"),
    [
        (IDS, {"method": "guess"}, ConfigError, "method='guess'"),
        (IDS, {"substitutes": 0}, ConfigError, "substitutes=0"),
        (IDS, {"expect": "casual"}, ConfigError, "did you mean causal"),
        (IDS, {"expect": torch.ones(2, 2).bool()}, InputError, r"\(2, 2\)"),
        (IDS, {"layers": 2}, ConfigError, "layers=2 says"),
        (IDS, {"expect": "causal", "layers": 0}, ConfigError, "layers=0 says"),
        (IDS, {"past": TOKENS}, InputError, f"past={TOKENS}"),
        (IDS, {"past": 2, "state": "memory"}, UnsupportedError, "no memory"),
        (IDS, {"inputs": {"documents": IDS}}, InputError, "takes no 'documents'"),
        (IDS, {"inputs": {"attention_mask": torch.zeros(1, TOKENS)}}, InputError, "every output is padding"),
        (IDS.repeat(2, 1), {}, InputError, "one text"),
        ([], {}, InputError, "one token or more"),
        ([99], {}, InputError, "token id 99"),
        ("a text", {}, UnsupportedError, "tokenizer"),
    ],
)
def test_what_means_nothing_is_refused(text: Any, settings: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        probe(subjects.gpt2(), text, **settings)
