"""Layouts: the tables of names and fields agree with transformers' own, both ways."""

import json
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from contract.families import FAMILIES, HEADS, WITHOUT_REFERENCE, tiny
from contract.reference import ARCHITECTURES, CONFIGS, reference
from sightline.core.mask import Bidirectional, Causal, Mask, Prefix
from sightline.errors import CheckpointError, SightlineError
from sightline.model.build import build
from sightline.model.families import LAYOUTS, SIZES, sized
from sightline.weights.layout import Name


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Fields of config.json


def theirs_of(family: str, written: dict[str, Any]) -> dict[str, Any]:
    """A config.json as transformers' own class of configurations reads and writes it; where there is none, as JSON."""
    if family in WITHOUT_REFERENCE:
        return json.loads(json.dumps(written))
    return getattr(transformers, CONFIGS[family][0])(**written).to_dict()


def test_what_is_left_out_means_what_transformers_means(family: str) -> None:
    theirs = theirs_of(family, {})
    config, mask, unknown = LAYOUTS[family].read_config(theirs)
    assert (config, mask, []) == LAYOUTS[family].read_config({})
    assert unknown == []  # transformers writes no field that nobody here knows


CHANGES: dict[str, Any] = {
    "vocabulary": 77,
    "width": 24,
    "layers": 5,
    "attention_heads": 3,
    "inner": 10,
    "positions": 40,
    "token_types": 3,
    "activation": "relu",
    "norm_eps": 0.01,
    "dropout": 0.2,
    "attention_dropout": 0.3,
    "classifier_dropout": 0.4,
    "embedding_dropout": 0.6,
    "tied": False,
    "init_std": 0.5,
    "scaled": False,
    "scaled_by_layer": True,
    "window": 6,
    "global_layers": (1, 2),
    "global_base": 90.0,
    "local_base": 80.0,
    "attention_bias": True,
    "inner_bias": True,
    "norm_bias": True,
    "output_bias": False,
    "classifier_bias": True,
    "classifier_activation": "tanh",
    "classifier_pooling": "mean",
    "head_width": 5,
    "memory_length": 9,
    "same_length": False,
    "clamp_length": 3,
    "untied_biases": False,
    "norm": "pre",
    "cutoffs": (20, 40, 60),
    "divisor": 2,
    "reuse_length": 7,
    "summary": "mean",
    "summary_dense": False,
    "summary_activation": "relu",
    "embedding_width": 256,
    "tied_projections": (True, False, True, True),
}
OTHER = {
    "transfo-xl": {"activation": "gelu", "vocabulary": 300_000, "width": 512, "attention_heads": 8},
    "xlnet": {"width": 512, "attention_heads": 8},
}
"""Changes for a layout whose defaults do not go with those above, field by field."""
# transformers has no field for these.
FIXED = {"distilbert": {"token_types", "norm_eps"}, "modernbert-decoder": {"classifier_pooling"}}


@pytest.mark.parametrize("mask", [Bidirectional(), Causal(), Prefix(3) | Causal()], ids=str)
def test_every_field_goes_both_ways(family: str, mask: Mask) -> None:
    """Ours to theirs, through transformers' own class of configurations, and back."""
    layout = LAYOUTS[family]
    names = {field.name for field in fields(layout.config)} - FIXED.get(family, set())
    assert names <= {*CHANGES, "position_offset", "token_types"}
    plain, _, _ = layout.read_config({})
    changes = {**CHANGES, **OTHER.get(family, {})}
    config = replace(plain, **{name: changes[name] for name in names if name in changes})
    written = layout.write_config(config, mask, frozenset({"lm"}))
    assert layout.read_config(theirs_of(family, written)) == (config, mask, [])
    for name in names & changes.keys():
        single = layout.write_config(replace(plain, **{name: changes[name]}), mask, frozenset({"lm"}))
        assert single != layout.write_config(plain, mask, frozenset({"lm"})), name


def test_no_field_is_read_twice_or_is_both_read_and_inert(family: str) -> None:
    layout = LAYOUTS[family]
    assert len(set(layout.fields.values())) == len(layout.fields)
    assert set(layout.fields.values()) <= {field.name for field in fields(layout.config)}
    assert not (layout.fields.keys() | layout.adapted) & (layout.required.keys() | layout.inert)
    assert not layout.fields.keys() & layout.adapted


def test_inert_fields_change_nothing(family: str) -> None:
    layout = LAYOUTS[family]
    plain = layout.read_config({})
    for name in layout.inert:
        assert layout.read_config({name: 1}) == plain


def test_required_fields_have_the_values_that_are_computed(family: str) -> None:
    layout = LAYOUTS[family]
    theirs = theirs_of(family, {})
    for name, allowed in layout.required.items():
        assert theirs.get(name) in allowed or family in WITHOUT_REFERENCE
        with pytest.raises(CheckpointError, match=f"{name}='something else'"):
            layout.read_config({name: "something else"})


NO_VALUES: tuple[Any, ...] = (None, -1, 0, 1.5, "x", True, [], {}, 2**70, float("nan"), [1], {"a": 1})


def test_a_field_that_holds_another_kind_of_value_is_refused_in_words(family: str) -> None:
    """Nothing but SightlineError, whatever stands in the file; and sizes that it lets pass are no cause of a crash."""
    layout, model = LAYOUTS[family], tiny(family)
    written = layout.write_config(model.config, model.mask, frozenset(model.heads))
    for name in (*written, *layout.fields, *layout.adapted, *layout.required):
        for value in NO_VALUES:
            with suppress(SightlineError):
                config, _, _ = layout.read_config({**written, name: value})
                with torch.device("meta"):
                    layout.network(config)


# Names of tensors


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_names_are_those_of_transformers(architecture: str) -> None:
    """Of each class: every weight of its state has a name here, of that shape, and no other has."""
    family, heads = ARCHITECTURES[architecture]
    theirs = reference(architecture)
    layout = LAYOUTS[family]
    config, _, _ = layout.read_config(theirs.config.to_dict())
    asked = frozenset(heads) | (
        {"pooler"} if {"next_sentence", "classifier"} & heads.keys() and family == "bert" else set()
    )
    base = layout.base if asked - {"pooler"} else ""
    ours = {
        copy.replace("{base}", base) for name in layout.all_names(config, asked) for copy in (name.theirs, *name.copies)
    }
    state = {name for name, _ in theirs.named_parameters()}
    assert ours == state


def test_ours_are_the_parameters_of_the_model(family: str) -> None:
    model = tiny(family)
    listed = [ours for name in model.layout.all_names(model.config, frozenset(HEADS[family])) for ours in name.ours]
    assert len(listed) == len(set(listed))
    assert set(listed) == {name for name, _ in model.named_parameters(remove_duplicate=False)} - SHARED[family]


# A pooler that a head stands on is the network's own, under two paths.
SHARED = {family: set[str]() for family in FAMILIES}
SHARED["bert"] = {
    f"heads.{head}.pooler.dense.{leaf}" for head in ("next_sentence", "classifier") for leaf in ("weight", "bias")
}


@given(parts=st.integers(1, 3), rows=st.integers(1, 4), columns=st.integers(1, 4), transposed=st.booleans())
def test_split_and_join(parts: int, rows: int, columns: int, transposed: bool) -> None:
    name = Name("theirs", tuple(f"ours.{part}" for part in range(parts)), transposed)
    shape = (columns, parts * rows) if transposed else (parts * rows, columns)
    weight, bias = torch.randn(shape), torch.randn(parts * rows)
    assert torch.equal(name.join(dict(name.split(weight))), weight)
    assert torch.equal(name.join(dict(name.split(bias))), bias)
    assert all(part.shape == (rows, columns) for _, part in name.split(weight))


@pytest.mark.parametrize("transposed", [False, True])
def test_a_tensor_of_more_sizes_has_all_but_the_first_side_by_side_in_ours(transposed: bool) -> None:
    name = Name("theirs.{layer}", ("ours.{layer}",), transposed, shape=(3, 2, 5)).for_layer(1)
    theirs = torch.randn(3, 2, 5)
    ours = dict(name.split(theirs))
    flat = theirs.reshape(3, 10)
    assert torch.equal(ours["ours.1"], flat.T if transposed else flat)
    assert torch.equal(name.join(ours), theirs)


# Sizes by name


@pytest.mark.parametrize(("family", "size"), [(family, size) for family in SIZES for size in SIZES[family]])
def test_sizes(family: str, size: str) -> None:
    config = sized(family, size)
    assert config.width % config.attention_heads == 0
    assert config.width // config.attention_heads == 64


@pytest.mark.parametrize("size", ["tiny", "mini", "small", "medium", "base", "large"])
def test_a_gated_feed_forward_is_as_large_as_another(size: str) -> None:
    """Three matrices of two thirds of the width, in steps of 32; ModernBERT's own sizes are its makers'."""
    config = sized("modernbert", size)
    made = {"base": 1152, "large": 2624}
    assert config.inner == made[size] if size in made else abs(3 * config.inner / (8 * config.width) - 1) < 0.04
    assert all(sized(family, "mini").inner == 4 * sized(family, "mini").width for family in ("bert", "gpt2"))


def test_the_published_sizes() -> None:
    """bert-base-uncased has 110M parameters, bert-large-uncased 340M, gpt2 124M, gpt2-xl 1.6B, ModernBERT-large 395M
    and the smallest Ettin 17M: counted, not built."""
    for name, family, size in (
        ("BertModel", "bert", "base"),
        ("BertModel", "bert", "large"),
        ("GPT2Model", "gpt2", "base"),
        ("GPT2Model", "gpt2", "xl"),
        ("ModernBertModel", "modernbert", "large"),
        ("ModernBertDecoderModel", "modernbert-decoder", "17m"),
    ):
        layout, config = LAYOUTS[family], sized(family, size)
        with torch.device("meta"):
            ours = layout.network(config)
            kind = getattr(transformers, CONFIGS[family][0])
            theirs = getattr(transformers, name)(kind(**layout.write_config(config, layout.mask, frozenset())))
        pooler = sum(p.numel() for part, p in theirs.named_parameters() if part.startswith("pooler"))
        assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters()) - pooler


def test_random_weights_are_drawn_as_the_papers_draw_them(family: str, tmp_path: Path) -> None:
    model = build(family, "tiny", vocabulary=300, heads=("lm", HEADS[family][-1]))
    small = 0.02 / (2 * model.config.layers) ** 0.5
    for name, parameter in model.named_parameters():
        values = parameter.detach()
        if values.dim() == 1:
            assert torch.equal(values, torch.full_like(values, float(".norm." in name and name.endswith("weight")))), (
                name
            )
        else:
            pre_norm = family in ("gpt2", "modernbert", "modernbert-decoder")
            into_residual = pre_norm and name.endswith(("attention.output.weight", "feed_forward.output.weight"))
            spread = small if into_residual else 0.02
            assert abs(float(values.mean())) < spread / 5, name
            assert abs(float(values.std()) / spread - 1) < 0.15, name
    same, other = build(family, "tiny", vocabulary=300), build(family, "tiny", vocabulary=300, seed=1)
    weight = next(name for name, _ in model.network.named_parameters() if name.startswith("embeddings.tokens"))
    assert torch.equal(same.network.get_parameter(weight), model.network.get_parameter(weight))
    assert not torch.equal(same.network.get_parameter(weight), other.network.get_parameter(weight))
