"""ModernBERT and its decoder twin: how far local layers see, and what their configurations say in old and new words.

Shapes: B rows, T tokens.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from contract.families import padded, random_ids, tiny
from contract.reference import reference, saved
from sightline.core.mask import Bidirectional, Causal, SlidingWindow
from sightline.decoding.generate import generate
from sightline.errors import CheckpointError
from sightline.model.build import build
from sightline.model.heads import with_classifier
from sightline.model.load import load
from sightline.weights.files import read_json
from sightline.weights.modernbert import MODERNBERT, MODERNBERT_DECODER

TOKENS = 14
LOCAL = {"layer_types": ["sliding_attention"], "num_hidden_layers": 1, "local_attention": 8}

# What ModernBERT-base and Ettin's decoders say on the hub, in the words of the transformers that they were made with.
OLD: dict[str, Any] = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "classifier_activation": "gelu",
    "classifier_pooling": "mean",
    "decoder_bias": True,
    "deterministic_flash_attn": False,
    "embedding_dropout": 0.0,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "hidden_activation": "gelu",
    "hidden_size": 768,
    "initializer_cutoff_factor": 2.0,
    "intermediate_size": 1152,
    "layer_norm_eps": 1e-05,
    "local_attention": 128,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 8192,
    "model_type": "modernbert",
    "norm_eps": 1e-05,
    "num_attention_heads": 12,
    "num_hidden_layers": 22,
    "position_embedding_type": "absolute",
    "sparse_pred_ignore_index": -100,
    "sparse_prediction": False,
    "vocab_size": 50368,
}


# Windows


def seen_by(embeddings: Tensor, states: Tensor) -> list[tuple[int, int]]:
    """For each token, how far back and how far ahead it sees, by the gradient of its state (1, T, W)."""
    found = []
    for token in range(TOKENS):
        (slope,) = torch.autograd.grad(states[0, token].square().sum(), embeddings, retain_graph=True)
        places = slope[0].abs().sum(-1).nonzero().flatten() - token
        found.append((int(places.min()), int(places.max())))
    return found


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    ("architecture", "back", "ahead"), [("ModernBertModel", 4, 4), ("ModernBertDecoderModel", 3, 0)]
)
def test_a_window_of_8_is_measured_on_both_sides(
    architecture: str, back: int, ahead: int, attention: str, tmp_path: Path
) -> None:
    """The encoder sees −4 … +4, its decoder twin −3 … 0: in transformers, and in what is read from its folder."""
    theirs = reference(architecture, attention=attention, **LOCAL)
    ours = load(saved(theirs, tmp_path))
    embeddings = torch.randn(1, TOKENS, 16, dtype=torch.float64, requires_grad=True)
    last = TOKENS - 1
    wanted = [(-min(back, token), min(ahead, last - token)) for token in range(TOKENS)]
    assert seen_by(embeddings, theirs(inputs_embeds=embeddings).last_hidden_state) == wanted
    assert seen_by(embeddings, ours(inputs_embeds=embeddings).last_hidden_state) == wanted


def test_an_encoder_seen_causally_looks_back_one_farther_than_the_decoder_of_that_window() -> None:
    encoder, decoder = (layout.read_config({"local_attention": 8})[0] for layout in (MODERNBERT, MODERNBERT_DECODER))
    assert [one.block(1).limit for one in (encoder, decoder)] == [SlidingWindow(5), SlidingWindow(4)]
    assert [one.block(3).limit for one in (encoder, decoder)] == [None, None]


@pytest.mark.parametrize("family", ["modernbert", "modernbert-decoder"])
def test_the_smallest_pair_past_its_windows(family: str, tmp_path: Path) -> None:
    """Ettin's shape of 17M on rows longer than its windows, one of them padded, in float32 and in float64."""
    ours = build(family, "17m", vocabulary=500, heads=(), dtype=torch.float64)
    with torch.no_grad():
        for parameter in ours.parameters():
            if parameter.dim() == 1:  # norms are drawn as ones, which would hide a mistake
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    theirs = transformers.AutoModel.from_pretrained(ours.save(tmp_path)).eval()
    ids, real = padded([torch.randint(3, 500, (length,)) for length in (200, 90)], "right", filler=0)
    for dtype, close in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        ours, theirs = ours.to(dtype), theirs.to(dtype)
        with torch.no_grad():
            apart = ours(ids, real).last_hidden_state - theirs(ids, attention_mask=real).last_hidden_state
        assert float(apart[real.bool()].abs().max()) < close


# Generation


@pytest.mark.parametrize("seed", [0, 1])
def test_the_decoder_continues_as_transformers_does(seed: int, tmp_path: Path) -> None:
    """Greedily, with caches on both sides, past the window of its local layers, rows padded on the left."""
    theirs = reference("ModernBertDecoderForCausalLM", seed=seed, eos_token_id=None)
    with torch.no_grad():
        theirs.model.final_norm.weight.mul_(3)  # so that it is sure of its words
    ours = load(saved(theirs, tmp_path))
    prompts = [[5, 6, 7, 8, 9, 10, 11], [12, 13], [14], [3, 4, 3, 4, 3]]
    ids, real = padded([torch.tensor(prompt) for prompt in prompts], "left", filler=2)
    with torch.no_grad():
        rows = theirs.generate(ids, attention_mask=real, max_new_tokens=12, do_sample=False, eos_token_id=None)
    expected = rows[:, ids.shape[1] :].tolist()
    assert generate(ours, prompts, max_new_tokens=12).ids() == expected
    assert len({token for row in expected for token in row}) > 4, "they say more than one thing"


# Configurations


def test_the_words_of_older_files() -> None:
    config, mask, unknown = MODERNBERT.read_config(OLD)
    assert (mask, unknown) == (Bidirectional(), [])
    assert config == MODERNBERT.read_config({"classifier_pooling": "mean"})[0]
    other = {**OLD, "model_type": "modernbert-decoder", "local_rope_theta": 160000.0, "global_attn_every_n_layers": 2}
    config, mask, unknown = MODERNBERT_DECODER.read_config(other)
    assert (mask, unknown, config.window, config.classifier_pooling) == (Causal(), [], 64, "last")
    assert config.global_layers == tuple(range(0, 22, 2)) and config.local_base == 160000.0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"layer_types": ["full_attention"] * 3}, "must name each of the 22 layers"),
        ({"num_hidden_layers": 1, "layer_types": ["chunked_attention"]}, "full_attention or sliding_attention"),
        ({"local_attention": None}, "local_attention=None; it must be a whole number"),
        ({"local_attention": -4}, "window=-1 must be a whole number"),
        ({"classifier_pooling": "max"}, "classifier_pooling='max'; it must be cls or mean"),
        ({"rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 4.0}}}, "plain rotary positions only"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling="),
        ({"global_rope_theta": 0.0}, "base of 0.0 turns nothing"),
        ({"hidden_size": 36, "num_attention_heads": 12}, "a head is 3 numbers wide; make that even"),
        ({"architectures": ["ModernBertForMultipleChoice"]}, "ModernBertForMultipleChoice"),
        ({"classifier_activation": "gleu"}, "'gleu' is not known"),
    ],
)
def test_what_a_configuration_cannot_ask(fields: dict[str, Any], says: str, tmp_path: Path) -> None:
    folder = tiny("modernbert", heads=("lm",)).save(tmp_path)
    (folder / "config.json").write_text(json.dumps({**OLD, **fields}))
    with pytest.raises(CheckpointError, match=says) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_each_rate_of_dropout_stands_where_transformers_has_it() -> None:
    """Its own modules say where: of attention's weights and of what attention adds, of the feed-forward's inner states
    and of nothing that it adds, and of the embeddings."""
    rates = {"attention_dropout": 0.1, "embedding_dropout": 0.2, "classifier_dropout": 0.3}
    theirs = reference("ModernBertForSequenceClassification", mlp_dropout=0.4, **rates)
    ours = tiny("modernbert", heads=("classifier",), dropout=0.4, **rates)
    layer, block = theirs.model.layers[0], ours.network.stack.blocks[0]  # type: ignore[union-attr,index]
    assert layer.attn.attention_dropout == block.attention.kernel.dropout
    assert layer.attn.out_drop.p == block.attention_residual.dropout.probability
    assert layer.mlp.drop.p == block.feed_forward.dropout.probability
    assert block.feed_forward_residual.dropout.probability == 0
    assert theirs.model.embeddings.drop.p == ours.network.embeddings.dropout.probability  # type: ignore[union-attr]
    assert theirs.drop.p == ours.head("classifier").dropout.probability


# Classifiers


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_classifiers_pool_as_their_configuration_says(pooling: str, tmp_path: Path) -> None:
    theirs = reference("ModernBertForSequenceClassification", classifier_pooling=pooling)
    ours = load(saved(theirs, tmp_path / "theirs"))
    ids, real = padded([random_ids(1, length, seed=length)[0] for length in (9, 4, 6)], "right", filler=2)
    with torch.no_grad():
        output = ours(ids, attention_mask=real)
        logits = ours.head("classifier")(output.last_hidden_state, output.coordinates)
        assert float((logits - theirs(ids, attention_mask=real).logits).abs().max()) < 1e-9
    written = read_json(ours.save(tmp_path / "ours") / "config.json")
    assert written["classifier_pooling"] == pooling


def test_a_new_classifiers_pooling_is_written_in_words_that_transformers_reads(tmp_path: Path) -> None:
    model = with_classifier(tiny("modernbert", heads=("lm",)), ("a", "b"), pooling="mean")
    written = read_json(model.save(tmp_path / "mean") / "config.json")
    assert written["classifier_pooling"] == "mean" and "sightline" not in written
    assert load(tmp_path / "mean").head("classifier").pooling == "mean"
    causal = with_classifier(tiny("modernbert", heads=("lm",)).with_mask(Causal()), ("a", "b"))
    written = read_json(causal.save(tmp_path / "last") / "config.json")
    assert written["sightline"]["pooling"] == "last" and "gives other numbers" in written["sightline"]["note"]
    assert load(tmp_path / "last").head("classifier").pooling == "last"
