"""Transformer-XL as transformers 4.35.2 computed it: golden values, made by golden/transformer_xl/make.py.

Shapes: B rows, T tokens, M remembered tokens, W width.
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sightline.core.cache import Cache, Memory
from sightline.core.mask import Causal, SlidingWindow
from sightline.errors import CheckpointError
from sightline.model.load import load
from sightline.model.model import Model
from sightline.model.output import Output

GOLDEN = Path(__file__).parents[1] / "golden" / "transformer_xl"
CASES = sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())
LANGUAGE = [case for case in CASES if case != "classifier"]
CLOSE = 1e-5
FIRST = 7  # tokens of the first segment


def distance(one: Tensor, other: Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).detach().abs().max())


def in_two_segments(model: Model, ids: Tensor) -> tuple[list[Output], list[Tensor]]:
    """What the model gives for both, the second with the memory of the first; and the memories (layers, B, M, W)."""
    length = model.config.memory_length
    memory = Memory(length=length, start="zeros") if length else None
    outputs, memories = [], []
    for segment in (ids[:, :FIRST], ids[:, FIRST:]):
        with torch.no_grad():
            outputs.append(model(segment, cache=memory, hidden_states=True, attentions=True))
        if memory is not None:
            memories.append(states(memory))
    return outputs, memories


def states(memory: Cache) -> Tensor:
    """What each layer remembers: (layers, B, M, W)."""
    return torch.stack([store.kept()[0].clone() for store in memory.stores.values()])


@pytest.mark.parametrize("case", LANGUAGE)
def test_logits_loss_and_memory_are_theirs(case: str) -> None:
    expected, model = load_file(GOLDEN / case / "expected.safetensors"), load(GOLDEN / case)
    ids = expected["ids"]
    outputs, memories = in_two_segments(model, ids)
    for name, output, segment in zip(("first", "second"), outputs, (ids[:, :FIRST], ids[:, FIRST:]), strict=True):
        logits = model.logits(output.last_hidden_state)
        assert distance(logits, expected[f"{name}.logits"]) < CLOSE
        assert distance(torch.stack(output.hidden_states), expected[f"{name}.hidden"]) < CLOSE
        assert distance(torch.stack(output.attentions), expected[f"{name}.attentions"]) < CLOSE
        found = model.head("lm").log_prob(output.last_hidden_state[:, :-1], segment[:, 1:])
        assert distance(-found.mean(), expected[f"{name}.loss"]) < CLOSE
    for name, remembered in zip(("first", "second"), memories, strict=False):
        assert distance(remembered, expected[f"{name}.memory"]) < CLOSE
    assert bool(memories) == (f"{name}.memory" in expected)


def test_classifier() -> None:
    """It reads the last token of each row."""
    expected, model = load_file(GOLDEN / "classifier" / "expected.safetensors"), load(GOLDEN / "classifier")
    outputs, _ = in_two_segments(model, expected["ids"])
    for name, output in zip(("first", "second"), outputs, strict=True):
        logits = model.head("classifier")(output.last_hidden_state, output.coordinates)
        assert distance(logits, expected[f"{name}.logits"]) < CLOSE


def test_an_empty_start_is_another_and_the_papers() -> None:
    """The reference attends to zeros before the text: their values are nothing, but their scores are not."""
    expected, model = load_file(GOLDEN / "published" / "expected.safetensors"), load(GOLDEN / "published")
    with torch.no_grad():
        alone = model(expected["ids"][:, :FIRST]).last_hidden_state
        empty = model(expected["ids"][:, :FIRST], cache=Memory(length=6)).last_hidden_state
    assert distance(alone, empty) < CLOSE
    assert distance(alone, expected["first.hidden"][-1]) > 1e-2


@pytest.mark.parametrize("case", CASES)
def test_saved_is_loaded(case: str, tmp_path: Path) -> None:
    model = load(GOLDEN / case)
    again = load(model.save(tmp_path / "again"))
    assert (model.config, model.mask, set(model.heads)) == (again.config, again.mask, set(again.heads))
    mine, other = dict(model.named_parameters()), dict(again.named_parameters())
    assert mine.keys() == other.keys()
    assert all(torch.equal(parameter, other[name]) for name, parameter in mine.items())
    theirs, ours = (json.loads((folder / "config.json").read_text()) for folder in (GOLDEN / case, tmp_path / "again"))
    stale = {"torch_dtype"}
    assert {name: value for name, value in theirs.items() if ours.get(name) != value}.keys() <= stale
    theirs, ours = (load_file(folder / "model.safetensors") for folder in (GOLDEN / case, tmp_path / "again"))
    assert theirs.keys() - ours.keys() <= {"transformer.pos_emb.inv_freq"}
    assert ours.keys() <= theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_the_mask_is_read_off_the_configuration(tmp_path: Path) -> None:
    assert load(GOLDEN / "divided").mask == Causal()
    model = load(GOLDEN / "same-length")
    assert model.mask == model.trained_mask == Causal() & SlidingWindow(4)
    again = load(model.with_mask(Causal()).save(tmp_path))
    assert (again.mask, again.trained_mask) == (Causal(), Causal() & SlidingWindow(4))


def edited(case: str, folder: Path, **fields: object) -> Path:
    """A copy of a case with other fields in its config.json; None takes one out."""
    config = {**json.loads((GOLDEN / case / "config.json").read_text()), **fields}
    (folder / "config.json").write_text(
        json.dumps({name: value for name, value in config.items() if value is not None})
    )
    (folder / "model.safetensors").write_bytes((GOLDEN / case / "model.safetensors").read_bytes())
    return folder


def test_older_files_hold_shared_tensors_twice(tmp_path: Path) -> None:
    """So did transfo-xl-wt103: the copies are passed over, as its own library does, which ties them anew."""
    folder = edited("shared-biases", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    for i in range(3):
        tensors[f"crit.out_layers.{i}.weight"] = tensors[f"transformer.word_emb.emb_layers.{i}.weight"].clone()
        tensors.setdefault(f"crit.out_projs.{i}", tensors[f"transformer.word_emb.emb_projs.{i}"].clone())
    for layer in range(2):
        for bias in ("r_w_bias", "r_r_bias"):
            tensors[f"transformer.layers.{layer}.dec_attn.{bias}"] = tensors[f"transformer.{bias}"].clone()
    save_file(tensors, folder / "model.safetensors")
    again, model = load(folder), load(GOLDEN / "shared-biases")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_older_spellings_of_the_configuration(tmp_path: Path) -> None:
    """tie_weight came before tie_word_embeddings; n_token, tgt_len and ext_len change nothing."""
    fields = {"tie_weight": True, "n_token": 23, "tgt_len": 128, "ext_len": 0, "tie_projs": [False, True, True]}
    assert load(edited("divided", tmp_path, **fields)).config == load(GOLDEN / "divided").config
    fields = {"tie_weight": False, "tie_word_embeddings": None}
    assert load(edited("own-matrices", tmp_path, **fields)).config == load(GOLDEN / "own-matrices").config


def test_what_the_published_configuration_becomes(tmp_path: Path) -> None:
    """What its config.json leaves out is what it was published with."""
    from sightline.model.families import layout_of, sized

    config, mask, unknown = layout_of("transfo-xl").read_config({"model_type": "transfo-xl"})
    assert (config, unknown) == (sized("transformer-xl", "wt103"), [])
    assert config.clusters.sizes == (20000, 20000, 160000, 67735)
    assert config.clusters.widths == (1024, 256, 64, 16)
    assert mask == Causal() & SlidingWindow(1600)


WRONG = {
    "another attention": ({"attn_type": 2}, "attn_type=2, which Sightline does not compute"),
    "a sampled softmax": ({"sample_softmax": 100}, "sample_softmax=100"),
    "cutoffs that are none": ({"cutoffs": 5}, "cutoffs=5, which must be a list"),
    "cutoffs beyond the words": ({"cutoffs": [5, 40]}, r"cutoffs=\(5, 40\) must ascend"),
    "too few ties": ({"tie_projs": [True]}, "must say yes or no for each of 3 clusters"),
    "nothing to count by": ({"same_length": True, "mem_len": 0}, "same_length=True counts by memory_length"),
    "another width": ({"d_inner": 13}, "by config.json it should have"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_refused(what: str, tmp_path: Path) -> None:
    fields, says = WRONG[what]
    with pytest.raises(CheckpointError, match=says):
        load(edited("divided", tmp_path, **fields))


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    folder = edited("divided", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["crit.cluster_weight"], tensors["transformer.layers.1.dec_attn.r_net.weight"]
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"lacks 2 tensors .*layers\.1\.dec_attn\.r_net\.weight, crit\.cluster_weight"
    ):
        load(folder)
