"""A trained checkpoint of the GPT-2 kind: minGPT's gpt-nano, which sorts six letters, and its makers' activations."""

import base64
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sightline.core.cache import KeyValueCache
from sightline.core.taps import record
from sightline.model.load import load
from sightline.model.model import Model

LETTERS = 6


def tensor(entry: dict[str, Any]) -> Tensor:
    """A tensor of the file: shape, and base64 of little-endian float32."""
    data = bytearray(base64.b64decode(entry["data"]))
    return torch.frombuffer(data, dtype=torch.float32).reshape(entry["shape"])


@pytest.fixture(scope="module")
def stored(data_folder: Path) -> Path:
    folder = data_folder / "checkpoints" / "gpt-nano-sort"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture(scope="module")
def model(stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The checkpoint in transformers' layout, where dense weights lie (in, out), and minGPT's lie (out, in)."""
    entries = json.loads((stored / "gpt-nano-sort-model.json").read_text())
    sizes = entries.pop("config")
    dense = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    tensors = {
        name: (tensor(entry).t() if name.endswith(dense) else tensor(entry)).contiguous()
        for name, entry in entries.items()
    }
    folder = tmp_path_factory.mktemp("gpt-nano-sort")
    save_file(tensors, folder / "model.safetensors")
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "tie_word_embeddings": False}
    config |= {name: sizes[name] for name in ("n_layer", "n_head", "n_embd", "vocab_size")}
    (folder / "config.json").write_text(json.dumps({**config, "n_positions": sizes["block_size"]}))
    return load(folder)


def test_every_activation_that_its_makers_published(model: Model, stored: Path) -> None:
    entries = json.loads((stored / "gpt-nano-sort-t0-partials.json").read_text())
    expected = {name: tensor(entry) for name, entry in entries.items() if name != "config"}
    with torch.no_grad(), record(model.network, "stack.blocks.0.attention.*") as seen:
        output = model(expected["idx"].long(), hidden_states=True)
        logits = model.logits(output.last_hidden_state)
    first = {name.rpartition(".")[2]: value for name, value in seen.items()}
    ours = {
        "x": output.hidden_states[0],
        "q": first["query"],
        "k": first["key"],
        "v": first["value"],
        "attSm": first["weights"],
        "y": first["context"].transpose(1, 2).flatten(2),
        "block0": output.hidden_states[1],
        "block1": output.hidden_states[2],
        "ln_f": output.last_hidden_state,
        "lm_head": logits,
        "probs": logits.softmax(-1),
    }
    for name, value in ours.items():
        assert value.shape == expected[name].shape, name
        assert float((value - expected[name]).abs().max()) < 1e-5, name


def test_it_sorts(model: Model) -> None:
    """Greedily, with a cache: every row of six letters there is, and what follows is the same letters in order."""
    rows = torch.tensor(list(itertools.product(range(3), repeat=LETTERS)))
    cache, given, sorted_so_far = KeyValueCache(capacity=2 * LETTERS), rows, []
    with torch.no_grad():
        for _ in range(LETTERS):
            hidden = model(given, cache=cache).last_hidden_state
            given = model.logits(hidden[:, -1:]).argmax(-1)
            sorted_so_far.append(given)
    right = (torch.cat(sorted_so_far, 1) == rows.sort(-1).values).all(-1)
    assert float(right.float().mean()) == 1.0
