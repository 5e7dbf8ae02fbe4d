"""A subject is called the same way whatever is behind it, and leaves it as it was.

Shapes: B batch, T tokens.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from contract.families import FAMILIES, VOCABULARY, random_ids, tiny
from probing import subjects
from sightline.core.mask import Causal
from sightline.errors import ConfigError, InputError, UnsupportedError
from sightline.probing.subject import Subject, subject
from sightline.probing.untouched import untouched


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_ours(family: str) -> None:
    model = tiny(family)
    made, ids = subject(model), random_ids(2, 5)
    hidden = model(ids).last_hidden_state
    assert torch.equal(made.call(ids, {}), model.logits(hidden) if "lm" in model.heads else hidden)
    assert torch.equal(subject(model, output="last_hidden_state").call(ids, {}), hidden)
    assert torch.allclose(made.call(made.vectors(ids), {}), made.call(ids, {}))
    assert (made.declared, made.vocabulary, len(made.limits)) == (model.mask, VOCABULARY, 3)
    for kernel in made.kernels:
        if kernel != "flex":  # which compiles
            assert torch.allclose(made.with_kernel(kernel).call(ids, {}), made.call(ids, {}))


@pytest.mark.parametrize("family", FAMILIES)
def test_ours_goes_on_from_what_it_remembers(family: str) -> None:
    made, ids = subject(tiny(family).with_mask(Causal())), random_ids(2, 7)
    for step in (made.step, made.memory):
        with torch.no_grad():
            first, state = step(ids[:, :4], None, {})
            rest, _ = step(ids[:, 4:], state, {})
            assert torch.allclose(torch.cat([first, rest], 1), made.call(ids, {}))


def test_a_model_of_transformers() -> None:
    model = subjects.gpt2()
    made, ids = subject(model), random_ids(2, 6)
    assert (made.name, made.vocabulary) == ("GPT2LMHeadModel", subjects.VOCABULARY)
    assert made.embedding is model.transformer.wte
    assert {"attention_mask", "position_ids", "token_type_ids"} <= made.accepts
    logits = model(ids).logits
    assert torch.equal(made.call(ids, {}), logits)
    assert torch.equal(made.call(made.vectors(ids), {}), logits)
    assert torch.allclose(made.call(ids, {"attention_mask": torch.ones(1, 6)}), logits, atol=1e-5)
    first, state = made.step(ids[:, :4], None, {})
    rest, _ = made.step(ids[:, 4:], state, {"attention_mask": torch.ones(1, 6)})
    assert torch.allclose(torch.cat([first, rest], 1), logits, atol=1e-5)


def test_an_encoder_of_transformers_has_no_step() -> None:
    model = subjects.bert()
    made, ids = subject(model), random_ids(2, 6)
    assert torch.equal(made.call(ids, {}), model(ids).last_hidden_state)
    assert made.step is None and made.embedding is model.embeddings.word_embeddings


def test_a_kernel_is_chosen_for_the_call_alone() -> None:
    model = subjects.gpt2()
    made, ids = subject(model), random_ids(2, 6)
    assert made.kernels[:2] == ("eager", "sdpa")
    before = model.config._attn_implementation
    eager = made.with_kernel("eager")
    assert torch.allclose(eager.call(ids, {}), made.with_kernel("sdpa").call(ids, {}), atol=1e-5)
    assert model.config._attn_implementation == before == "sdpa"
    with pytest.raises(ConfigError, match="'fastest'"):
        made.with_kernel("fastest")


def test_any_module_and_any_function() -> None:
    model, ids = subjects.Averaging(), random_ids(2, 6)
    made = subject(model)
    assert (made.vocabulary, made.embedding) == (subjects.VOCABULARY, model.tokens)
    assert torch.equal(made.call(made.vectors(ids), {}), model(ids))
    function = subject(lambda ids: (None, {"more": model(ids)}), vocabulary=subjects.VOCABULARY)
    assert torch.equal(function.call(ids, {}), model(ids)) and function.vectors is None
    assert subject(made) is not None and subject(made).call is made.call


def test_vectors_stand_for_ids_where_the_network_puts_time_first_and_reads_them_twice() -> None:
    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.places = nn.Embedding(9, 3), nn.Embedding(9, 2), nn.Embedding(9, 5)

        def forward(self, ids: Tensor) -> Tensor:
            places = self.places(torch.arange(ids.shape[1]))
            return torch.cat([self.one(ids.T).transpose(0, 1), self.two(ids)], -1) + places

    model, ids = TimeFirst(), torch.tensor([[0, 1, 2, 3], [4, 4, 4, 4]])
    made = subject(model)
    assert made.vectors(ids).shape == (2, 4, 5)
    assert torch.equal(made.call(made.vectors(ids), {}), model(ids))
    assert torch.equal(made.call(made.vectors(ids), {"input_ids": ids}), model(ids))


class Places(nn.Embedding):
    """Vectors of positions, which is given the ids for their shape."""

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(torch.arange(ids.shape[1]).expand(ids.shape))


def test_an_embedding_of_positions_is_none_of_ids_whatever_it_is_given() -> None:
    class Placed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places, self.tokens = Places(80, 3), nn.Embedding(9, 3)

        def forward(self, ids: Tensor) -> Tensor:
            return self.places(ids) + self.tokens(ids)

    model = Placed()
    made, ids = subject(model), torch.tensor([[0, 1, 2, 3]])
    assert made.embedding is model.tokens and made.vocabulary == 9
    assert torch.equal(made.call(made.vectors(ids), {}), model(ids))


def test_a_copy_in_another_type() -> None:
    for model in (subjects.gpt2(), subjects.Averaging(), tiny("bert", dtype=torch.float32)):
        made, ids = subject(model), random_ids(2, 6)
        twin = made.copy(torch.float64)
        assert twin.call(ids, {}).dtype == torch.float64
        assert torch.allclose(twin.call(ids, {}).float(), made.call(ids, {}), atol=1e-4)
        assert made.dtype == torch.float32 and torch.get_default_dtype() == torch.float32
    with pytest.raises(UnsupportedError, match="no copy"):
        subject(lambda ids: ids.float(), vocabulary=9).copy(torch.float64)


class Counting(nn.Module):
    """What a forward pass changes: a buffer in place, another buffer's tensor, and random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(9, 4)
        self.norm = nn.BatchNorm1d(4)
        self.register_buffer("calls", torch.zeros(()))
        self.dropout = nn.Dropout(0.5)

    def forward(self, ids: Tensor) -> Tensor:
        self.calls = self.calls + 1
        return self.dropout(self.norm(self.tokens(ids).transpose(1, 2)).transpose(1, 2))


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays_changed(fails: bool) -> None:
    model = Counting().train()
    model.dropout.eval()
    model.norm.weight.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    try:
        with untouched(model, seed=1):
            model.eval()
            model(torch.zeros(1, 3, dtype=torch.long))
            model.train()
            model(torch.zeros(1, 3, dtype=torch.long))
            model.requires_grad_(True)
            torch.set_default_dtype(torch.float64)
            torch.rand(5)
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert model.training and model.norm.training and not model.dropout.training
    assert not model.norm.weight.requires_grad and model.norm.bias.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.get_default_dtype() == torch.float32 and torch.equal(torch.rand(2), drawn)


def test_finding_out_leaves_a_module_as_it_was() -> None:
    model = Counting().train()
    state = torch.get_rng_state()
    subject(model)
    assert model.training and int(model.calls) == 0 and int(model.norm.num_batches_tracked) == 0
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())


def test_inputs_of_one_row_serve_all() -> None:
    made, ids = subject(tiny("bert")), random_ids(3, 4)
    mask = torch.tensor([[1, 1, 1, 0]])
    one, all = made.call(ids, {"attention_mask": mask}), made.call(ids, {"attention_mask": mask.expand(3, -1)})
    assert torch.equal(one, all)


@pytest.mark.parametrize(
    ("model", "settings", "says"),
    [
        (3, {}, "cannot be called"),
        (lambda ids: ids.float(), {}, "pass vocabulary="),
        (subjects.Averaging(), {"vocabulary": 0}, "vocabulary=0"),
        (tiny("gpt2"), {"vocabulary": 9999}, "vocabulary=9999 is more than the"),
        (nn.Linear(3, 3), {}, "fails on ids"),
        (nn.Embedding(7, 3), {"output": "scores"}, "output='scores'"),
    ],
)
def test_what_cannot_be_probed_says_why(model: Any, settings: dict[str, Any], says: str) -> None:
    with pytest.raises((ConfigError, InputError), match=says):
        subject(model, **settings)


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (lambda ids: ids, r"a tensor \(2, 3\) of torch.int64"),
        (lambda ids: ids.float().sum(1), "must give floats"),
        (lambda ids: {"note": "none"}, "no tensor at all"),
    ],
)
def test_results_of_the_wrong_kind_are_named(result: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        subject(result, vocabulary=9).call(torch.zeros(2, 3, dtype=torch.long), {})


def test_ids_and_inputs_are_checked() -> None:
    made = subject(subjects.gpt2())
    for ids, inputs, says in (
        (torch.tensor([[0, 41]]), {}, "token id 41"),
        (torch.tensor([1, 2]), {}, "shape"),
        (torch.tensor([[1, 2]]), {"ranks": torch.tensor([[0, 1]])}, "takes no 'ranks'"),
    ):
        with pytest.raises(InputError, match=says):
            made.check(ids, inputs)
    drawn = made.draw(4, 200)
    assert drawn.shape == (4, 200) and not set(drawn.unique().tolist()) & made.forbidden
    assert int(drawn.max()) < made.vocabulary


def test_an_encoder_decoder_is_probed_by_its_decoder() -> None:
    import transformers

    config = transformers.T5Config(
        vocab_size=41, d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    made = subject(transformers.T5ForConditionalGeneration(config).eval())
    assert isinstance(made, Subject)
    assert made.call(random_ids(2, 5), {}).shape == (2, 5, 41)
