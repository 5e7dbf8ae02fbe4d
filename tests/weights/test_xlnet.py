"""XLNet's layout: every field of its configuration is honoured, inert or refused, and its summary is transformers'."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from contract.families import padded, random_ids
from contract.reference import reference, saved
from sightline.core.mask import Bidirectional, Causal, SlidingWindow
from sightline.errors import CheckpointError
from sightline.model.build import build
from sightline.model.load import load
from sightline.model.model import Model
from sightline.networks.xlnet import XlnetConfig
from sightline.weights.files import read_json
from sightline.weights.xlnet import XLNET

IDS = random_ids(3, 7)
PUBLISHED: dict[str, Any] = {
    "architectures": ["XLNetLMHeadModel"],
    "attn_type": "bi",
    "bi_data": False,
    "bos_token_id": 1,
    "clamp_len": -1,
    "d_head": 64,
    "d_inner": 3072,
    "d_model": 768,
    "dropout": 0.1,
    "end_n_top": 5,
    "eos_token_id": 2,
    "ff_activation": "gelu",
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "mem_len": None,
    "model_type": "xlnet",
    "n_head": 12,
    "n_layer": 12,
    "pad_token_id": 5,
    "reuse_len": None,
    "same_length": False,
    "start_n_top": 5,
    "summary_activation": "tanh",
    "summary_last_dropout": 0.1,
    "summary_type": "last",
    "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 250}},
    "untie_r": True,
    "vocab_size": 32000,
}
"""config.json of xlnet-base-cased."""


def far(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).detach().abs().max())


def test_the_published_configuration_is_read_and_nothing_in_it_is_unknown() -> None:
    config, mask, unknown = XLNET.read_config(PUBLISHED)
    assert config == XlnetConfig(width=768, layers=12, attention_heads=12, inner=3072)
    assert (mask, unknown) == (Bidirectional(), [])
    written = XLNET.write_config(config, mask, frozenset({"lm"}))
    assert {name: value for name, value in written.items() if PUBLISHED.get(name, value) != value} == {}
    assert build("xlnet", "base", vocabulary=32000, layers=1).config.width == 768


@pytest.mark.parametrize(
    ("fields", "ours"),
    [
        ({"clamp_len": 0}, {"clamp_length": None}),
        ({"clamp_len": 9}, {"clamp_length": 9}),
        ({"mem_len": 0}, {"memory_length": None}),
        ({"mem_len": 512, "reuse_len": 256}, {"memory_length": 512, "reuse_length": 256}),
        ({"summary_type": "cls_index"}, {"summary": "last"}),
        ({"summary_activation": None}, {"summary_activation": "linear"}),
        ({"summary_activation": ""}, {"summary_activation": "linear"}),
        ({"summary_use_proj": False}, {"summary_dense": False}),
        ({"summary_last_dropout": 0.3}, {"classifier_dropout": 0.3}),
        ({"ff_activation": "relu"}, {"activation": "relu"}),
        ({"dropout": 0.0}, {"dropout": 0.0}),
        ({"bi_data": True, "use_mems_eval": False, "untie_r": False, "same_length": True}, {}),
    ],
    ids=str,
)
def test_what_a_field_says(fields: dict[str, Any], ours: dict[str, Any]) -> None:
    plain, _, _ = XLNET.read_config(PUBLISHED)
    config, mask, unknown = XLNET.read_config({**PUBLISHED, **fields})
    changed = {name: value for name, value in vars(config).items() if getattr(plain, name) != value}
    assert changed == {name: value for name, value in ours.items() if getattr(plain, name) != value}
    assert all(getattr(config, name) == value for name, value in ours.items())
    assert (mask, unknown) == (Bidirectional(), [])


def test_what_attn_type_says() -> None:
    assert XLNET.read_config({**PUBLISHED, "attn_type": "uni"})[1] == Causal()
    bounded = {**PUBLISHED, "attn_type": "uni", "same_length": True, "mem_len": 5}
    assert XLNET.read_config(bounded)[1] == Causal() & SlidingWindow(6)
    assert XLNET.read_config({**PUBLISHED, "is_decoder": True})[1] == Bidirectional()  # means nothing to an XLNet


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"attn_type": "both"}, "attn_type='both', which is neither 'bi' nor 'uni'"),
        ({"attn_type": "uni", "same_length": True}, "no mem_len"),
        ({"d_head": 32}, "d_head=32 is another than d_model / n_head, 768 / 12"),
        ({"summary_type": "attn"}, "summary_type='attn'"),
        ({"summary_proj_to_labels": True}, "summary_proj_to_labels=True"),
        ({"architectures": ["XLNetForMultipleChoice"]}, "the architecture XLNetForMultipleChoice, whose head"),
        ({"architectures": ["XLNetForQuestionAnswering"]}, "the architecture XLNetForQuestionAnswering, whose head"),
    ],
)
def test_what_is_refused_by_name(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        XLNET.read_config({**PUBLISHED, **fields})


def test_the_network_of_a_refused_head_can_be_had(tmp_path: Path) -> None:
    theirs = reference("XLNetModel")
    folder = saved(theirs, tmp_path)
    config = read_json(folder / "config.json")
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["XLNetForMultipleChoice"]}))
    with pytest.raises(CheckpointError, match="take it out of architectures"):
        load(folder)
    (folder / "config.json").write_text(json.dumps({**config, "architectures": []}))
    assert set(load(folder).heads) == set()


# The classifier reads a summary of the row

SUMMARIES: list[dict[str, Any]] = [
    {},
    {"summary_type": "first"},
    {"summary_type": "mean"},
    {"summary_type": "cls_index"},
    {"summary_use_proj": False},
    {"summary_activation": ""},
    {"summary_activation": "relu"},
    {"summary_use_proj": False, "summary_activation": ""},
]


def both(folder: Path, **fields: Any) -> tuple[Model, Any]:
    theirs = reference("XLNetForSequenceClassification", **fields)
    return load(saved(theirs, folder)), theirs


def logits(model: Model, ids: Tensor, real: Tensor | None = None) -> Tensor:
    out = model(ids, real)
    return model.head("classifier")(out.last_hidden_state, out.coordinates)


@pytest.mark.parametrize("fields", SUMMARIES, ids=str)
def test_the_summary_of_a_row(fields: dict[str, Any], tmp_path: Path) -> None:
    ours, theirs = both(tmp_path / "theirs", **fields)
    labels = torch.tensor([0, 2, 1])
    expected = theirs(IDS, labels=labels)
    assert far(logits(ours, IDS), expected.logits) < 1e-9
    torch.nn.functional.cross_entropy(logits(ours, IDS), labels).backward()
    torch.nn.functional.cross_entropy(expected.logits, labels).backward()
    assert far(ours.network.embeddings.tokens.weight.grad, theirs.transformer.word_embedding.weight.grad) < 1e-9
    again = load(ours.save(tmp_path / "ours"))
    assert torch.equal(logits(again, IDS), logits(ours, IDS))
    assert "sightline" not in read_json(tmp_path / "ours" / "config.json")  # transformers reads the same token


def test_the_last_token_is_the_row_s_own_last(tmp_path: Path) -> None:
    """On the left, where XLNet pads, both read it; on the right the reference reads padding."""
    ours, theirs = both(tmp_path)
    texts = [random_ids(1, length, seed=length)[0] for length in (7, 3, 5)]
    left, right = (padded(texts, side, filler=2) for side in ("left", "right"))
    with torch.no_grad():
        alone = torch.cat([theirs(text[None]).logits for text in texts])
        assert far(theirs(left[0], attention_mask=left[1].double()).logits, alone) < 1e-9
        assert far(theirs(right[0], attention_mask=right[1].double()).logits, alone) > 1e-3
        for ids, real in (left, right):
            assert far(logits(ours, ids, real), alone) < 1e-9
