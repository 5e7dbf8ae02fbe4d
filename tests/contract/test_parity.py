"""5. Parity with transformers on random weights: hidden states, logits, and loss and gradients of one training step.

Both sides are given the same explicit positions where rows are padded, since the reference does not derive them; and
ours without any is the row alone. Losses in float64 are taken on the reference's logits, which it rounds to float32.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor
from transformers.activations import ACT2FN

from contract.families import all_logits, families, padded, random_ids
from contract.reference import ARCHITECTURES, LM, head_results, reference, run, saved
from sightline.core.activation import ACTIVATIONS
from sightline.core.coordinates import Coordinates
from sightline.model.build import build
from sightline.model.load import load
from sightline.model.model import Model
from sightline.weights.layout import Name

CLOSE = {torch.float32: 1e-4, torch.float64: 1e-9}
ROWS, TOKENS = 3, 9
IDS = random_ids(ROWS, TOKENS)
POSITIONS = torch.arange(TOKENS).expand(ROWS, -1)

ROPE = {"full_attention": {"rope_theta": 50.0, "rope_type": "default"}, "sliding_attention": {"rope_theta": 3.0}}
MODERN: list[dict[str, Any]] = [
    {"hidden_activation": "relu"},
    {"intermediate_size": 7},
    {"norm_eps": 0.03},
    {"num_attention_heads": 8},
    {"num_hidden_layers": 1},
    {"local_attention": 6},
    {"local_attention": 5},
    {"global_attn_every_n_layers": 2},
    {"layer_types": ["sliding_attention", "sliding_attention", "full_attention"]},
    {"global_rope_theta": 40.0, "local_rope_theta": 7.0},
    {"rope_parameters": ROPE},
    {"attention_bias": True},
    {"mlp_bias": True},
    {"norm_bias": True},
    {"decoder_bias": False},
    {"classifier_bias": True},
    {"classifier_activation": "tanh"},
    {"tie_word_embeddings": False},
    {"max_position_embeddings": TOKENS},
]
# Every field of a configuration that changes a number, under each layout's own name for it.
FIELDS: dict[str, list[dict[str, Any]]] = {
    "bert": [
        {"hidden_act": "relu"},
        {"intermediate_size": 7},
        {"layer_norm_eps": 0.03},
        {"num_attention_heads": 8},
        {"num_hidden_layers": 1},
        {"type_vocab_size": 1},
        {"type_vocab_size": 3},
        {"tie_word_embeddings": False},
        {"max_position_embeddings": TOKENS},
    ],
    "roberta": [
        {"hidden_act": "gelu_new"},
        {"layer_norm_eps": 0.03},
        {"type_vocab_size": 3},
        {"tie_word_embeddings": False},
        {"max_position_embeddings": TOKENS + 2},
        {"pad_token_id": 4, "max_position_embeddings": 33},
    ],
    "distilbert": [
        {"activation": "relu"},
        {"hidden_dim": 7},
        {"n_heads": 1},
        {"n_layers": 1},
        {"sinusoidal_pos_embds": True},
        {"tie_word_embeddings": False},
    ],
    "gpt2": [
        {"activation_function": "gelu"},
        {"n_inner": None},
        {"n_inner": 7},
        {"n_head": 1},
        {"layer_norm_epsilon": 0.03},
        {"scale_attn_weights": False},
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True},
        {"tie_word_embeddings": False},
    ],
    "modernbert": [
        *MODERN,
        {"attention_bias": True, "mlp_bias": True, "norm_bias": True, "classifier_bias": True},
        {"sparse_prediction": True},
    ],
    "modernbert-decoder": MODERN,
    "xlnet": [
        {"ff_activation": "relu"},
        {"ff_activation": "gelu_new"},
        {"d_inner": 7},
        {"layer_norm_eps": 0.03},
        {"n_head": 4},
        {"n_layer": 1},
        {"clamp_len": 3},
        {"attn_type": "uni"},
        {"same_length": True},
        {"mem_len": 2},
        {"untie_r": False},
        {"tie_word_embeddings": False},
    ],
}
VARIANTS = [(family, {}) for family in FIELDS] + [(family, fields) for family in FIELDS for fields in FIELDS[family]]


def name_of(part: Any) -> str:
    return part if isinstance(part, str) else ",".join(f"{key}={value}" for key, value in part.items()) or "plain"


def both(name: str, folder: Path, dtype: torch.dtype, **fields: Any) -> tuple[Model, Any]:
    """The reference, and the same weights read by us from what it saved."""
    theirs = reference(name, dtype=dtype, **fields)
    ours = load(saved(theirs, folder))
    assert ours.dtype == dtype
    return ours, theirs


def distance(one: Tensor, other: Tensor, real: Tensor | None = None) -> float:
    assert one.shape == other.shape
    apart = (one - other).abs()
    return float((apart if real is None else apart[real.bool()]).detach().max())


# Hidden states and logits


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize(("family", "fields"), VARIANTS, ids=name_of)
def test_every_field_of_the_configuration(
    family: str, fields: dict[str, Any], dtype: torch.dtype, tmp_path: Path
) -> None:
    ours, theirs = both(LM[family], tmp_path, dtype, **fields)
    with torch.no_grad():
        output, expected = ours(IDS, hidden_states=True), run(theirs, IDS, position_ids=POSITIONS)
        logits = ours.logits(output.last_hidden_state)
    for one, other in zip(output.hidden_states, expected.hidden_states, strict=True):
        assert distance(one, other) < CLOSE[dtype]
    assert distance(logits, expected.logits) < CLOSE[dtype]


@pytest.mark.parametrize("types", [1, 2, 3])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_token_types(family: str, types: int, tmp_path: Path) -> None:
    ours, theirs = both(LM[family], tmp_path, torch.float64, type_vocab_size=types)
    token_types = IDS % types
    with torch.no_grad():
        output = ours(IDS, token_type_ids=token_types).last_hidden_state
        expected = run(theirs, IDS, position_ids=POSITIONS, token_type_ids=token_types).hidden_states[-1]
    assert distance(output, expected) < 1e-9


@families("parity")
def test_both_kernels_of_the_reference_and_its_embeddings(family: str, tmp_path: Path) -> None:
    ours, theirs = both(LM[family], tmp_path, torch.float64)
    fused = reference(LM[family], attention="sdpa")
    embeds = torch.randn(ROWS, TOKENS, 16, dtype=torch.float64)
    with torch.no_grad():
        output = ours(IDS).last_hidden_state
        assert distance(output, run(fused, IDS, position_ids=POSITIONS).hidden_states[-1]) < 1e-9
        output = ours(inputs_embeds=embeds).last_hidden_state
        expected = theirs(inputs_embeds=embeds, output_hidden_states=True).hidden_states[-1]
    assert distance(output, expected) < 1e-9


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize("side", ["left", "right"])
@families("parity")
def test_padded_rows(family: str, side: str, dtype: torch.dtype, tmp_path: Path) -> None:
    ours, theirs = both(LM[family], tmp_path, dtype)
    texts = [random_ids(1, length, seed=length)[0] for length in (9, 4, 1)]
    ids, real = padded(texts, side, filler=theirs.config.pad_token_id)
    positions = Coordinates.padded(real.bool()).position
    if family == "distilbert":  # takes no positions: counts from the first column, padded or not
        positions = torch.arange(ids.shape[1]).expand_as(ids)
    with torch.no_grad():
        output = ours(ids, attention_mask=real, position_ids=positions)
        expected = run(theirs, ids, attention_mask=real, position_ids=positions)
        assert distance(output.last_hidden_state, expected.hidden_states[-1], real) < CLOSE[dtype]
        assert distance(ours.logits(output.last_hidden_state), expected.logits, real) < CLOSE[dtype]
        derived = ours(ids, attention_mask=real).last_hidden_state
        for row, text in enumerate(texts):
            alone = run(theirs, text[None], position_ids=torch.arange(len(text))[None]).hidden_states[-1][0]
            assert distance(derived[row][real[row].bool()], alone) < CLOSE[dtype]


def test_reordering_changes_nothing_here(tmp_path: Path) -> None:
    """GPT-2's guard against overflow in float16 is another order of the same sum; the reference has it in float32."""
    ours, theirs = both("GPT2LMHeadModel", tmp_path, torch.float32, reorder_and_upcast_attn=True)
    with torch.no_grad():
        expected = run(theirs, IDS, position_ids=POSITIONS).hidden_states[-1]
        assert distance(ours(IDS).last_hidden_state, expected) < 1e-4


# The loss and the gradients of one training step


def labels_for(name: str) -> Tensor:
    """Targets of each kind of model; -100 is left out of the loss."""
    if name.endswith("TokenClassification"):
        return torch.where(IDS % 3 == 0, -100, IDS % 3)
    if name.endswith("SequenceClassification"):
        return torch.tensor([0, 2, 1])
    if name.endswith("NextSentencePrediction"):
        return torch.tensor([0, 1, 1])
    return torch.where(IDS % 2 == 0, IDS, -100)


def cross_entropy(name: str, logits: Tensor, labels: Tensor) -> Tensor:
    """The objective, written out: a token's target is itself, or under a causal model what follows it."""
    if name in ("GPT2LMHeadModel", "BertLMHeadModel", "RobertaForCausalLM", "ModernBertDecoderForCausalLM"):
        logits, labels = logits[:, :-1], labels[:, 1:]
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten())


def gradients(ours: Model) -> dict[str, Tensor]:
    """By the reference's names, its layout of ours."""
    heads = frozenset(ours.heads)
    base = ours.layout.base if heads - {"pooler"} else ""
    mine = {name: p.grad for name, p in ours.named_parameters() if p.grad is not None}
    names: list[Name] = ours.layout.all_names(ours.config, heads)
    return {name.theirs.replace("{base}", base): name.join(mine) for name in names if set(name.ours) <= mine.keys()}


TRAINED = [name for name, (_, heads) in ARCHITECTURES.items() if len(heads) == 1 and "pooler" not in heads]


@pytest.mark.parametrize("dtype", CLOSE, ids=str)
@pytest.mark.parametrize("name", [name for name in TRAINED if "QuestionAnswering" not in name])
def test_one_training_step(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    ours, theirs = both(name, tmp_path, dtype)
    (head,), labels = ARCHITECTURES[name][1], labels_for(name)
    output = ours(IDS)
    loss = cross_entropy(name, all_logits(ours, output.last_hidden_state, output.coordinates)[head], labels)
    result = run(theirs, IDS, position_ids=POSITIONS, labels=labels)
    expected = cross_entropy(name, result.logits, labels)
    assert distance(loss, expected) < CLOSE[dtype]
    assert distance(loss, result.loss) < 1e-4  # the reference's own, in float32 whatever the model is
    loss.backward()
    expected.backward()
    check_gradients(ours, theirs, CLOSE[dtype])


@pytest.mark.parametrize("family", ["Bert", "Roberta", "DistilBert", "GPT2", "ModernBert", "XLNet"])
def test_one_training_step_on_spans(family: str, tmp_path: Path) -> None:
    name = f"{family}ForQuestionAnswering{'Simple' if family == 'XLNet' else ''}"
    ours, theirs = both(name, tmp_path, torch.float64)
    start, end = torch.tensor([0, 3, 8]), torch.tensor([2, 3, 8])
    output = ours(IDS)
    first, last = ours.head("span")(output.last_hidden_state).unbind(-1)
    loss = (F.cross_entropy(first, start) + F.cross_entropy(last, end)) / 2
    expected = run(theirs, IDS, position_ids=POSITIONS, start_positions=start, end_positions=end).loss
    assert distance(loss, expected) < 1e-4
    loss.backward()
    expected.backward()
    check_gradients(ours, theirs, 1e-9)


def test_one_training_step_of_pretraining(tmp_path: Path) -> None:
    ours, theirs = both("BertForPreTraining", tmp_path, torch.float64)
    labels, follows = labels_for("BertForPreTraining"), torch.tensor([0, 1, 1])
    output = ours(IDS, token_type_ids=IDS % 2)
    heads = all_logits(ours, output.last_hidden_state, output.coordinates)
    result = run(theirs, IDS, position_ids=POSITIONS, token_type_ids=IDS % 2)
    expected = head_results("BertForPreTraining", result)
    totals = [
        F.cross_entropy(of["lm"].flatten(0, 1), labels.flatten()) + F.cross_entropy(of["next_sentence"], follows)
        for of in (heads, expected)
    ]
    assert distance(*totals) < 1e-9
    for total in totals:
        total.backward()
    check_gradients(ours, theirs, 1e-9)


def check_gradients(ours: Model, theirs: Any, close: float) -> None:
    mine = gradients(ours)
    others = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    assert mine.keys() == others.keys()
    for name, gradient in others.items():
        assert distance(mine[name], gradient) < close * max(1.0, float(gradient.abs().max())), name


# Activations


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    x = torch.cat([torch.linspace(-12, 12, 2001), torch.tensor([0.0, -1e-9, 1e9, -1e9])]).double()
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    result, expected = ACTIVATIONS[name](mine), ACT2FN[name](other)
    # Both write the root of 2/π with ten digits, 0.7978845608, which moves a result by up to 5e-12 of its input.
    close = 1e-10 if name in ("gelu_fast", "gelu_accurate") else 1e-12
    assert torch.allclose(result, expected, rtol=close, atol=close)
    slope, reference_slope = (torch.autograd.grad(y.sum(), of)[0] for y, of in ((result, mine), (expected, other)))
    inside = x.abs() < 20
    assert torch.allclose(slope[inside], reference_slope[inside], rtol=1e-9, atol=1e-9)


def test_every_activation_of_transformers_is_here_but_those_with_weights_of_their_own() -> None:
    assert set(ACT2FN) - set(ACTIVATIONS) == {"prelu", "xielu"}


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_in_a_network(name: str, tmp_path: Path) -> None:
    ours, theirs = both("GPT2LMHeadModel", tmp_path, torch.float64, activation_function=name)
    with torch.no_grad():
        output, expected = ours(IDS).last_hidden_state, run(theirs, IDS, position_ids=POSITIONS).hidden_states[-1]
    assert bool(expected.isfinite().all())
    assert distance(output, expected) < 1e-9


# Full size


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_full_size(family: str, tmp_path: Path) -> None:
    """bert-base and gpt2: hidden states and logits in both types, the loss in float64, and its gradients in the first
    layer, where they have come through all others."""
    ours = build(family, "base")
    with torch.no_grad():
        for parameter in ours.parameters():
            if parameter.dim() == 1:  # norms and biases are drawn as ones and zeros, which would hide a mistake
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    theirs = getattr(transformers, LM[family]).from_pretrained(ours.save(tmp_path)).eval()
    (tmp_path / "model.safetensors").unlink()
    for model, first in ((ours, "stack.blocks.0."), (theirs, ".h.0." if family == "gpt2" else "layer.0.")):
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(first in name)
    ids = torch.randint(3, 30000, (2, 6))
    for dtype, close in CLOSE.items():
        ours, theirs = ours.to(dtype), theirs.to(dtype)
        with torch.set_grad_enabled(dtype == torch.float64):
            output, expected = ours(ids, hidden_states=True), theirs(ids, output_hidden_states=True)
            logits = ours.logits(output.last_hidden_state)
        for one, other in zip(output.hidden_states, expected.hidden_states, strict=True):
            assert distance(one, other) < close
        assert distance(logits, expected.logits) < close
    losses = [cross_entropy(LM[family], of, ids) for of in (logits, expected.logits)]
    assert distance(*losses) < 1e-9
    for loss in losses:
        loss.backward()
    check_gradients(ours, theirs, 1e-9)
