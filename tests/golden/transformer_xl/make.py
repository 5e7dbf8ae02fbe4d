"""Makes the golden values of this folder with the last transformers that still ran Transformer-XL.

    python -m venv old && old/bin/pip install "transformers==4.35.2" "torch~=2.13.0" "numpy<2" sacremoses
    old/bin/python tests/golden/transformer_xl/make.py

Each case is a folder: a tiny random model as transformers saved it, and `expected.safetensors`, what it gives for two
segments of a text, the second read with the memory of the first. The versions stand in its metadata.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor

HERE = Path(__file__).parent
ROWS, FIRST, SECOND = 2, 7, 5
SIZES: dict[str, Any] = {
    "vocab_size": 23,
    "cutoffs": [5, 11],
    "div_val": 2,
    "d_model": 8,
    "d_embed": 8,
    "n_head": 2,
    "d_head": 4,
    "d_inner": 12,
    "n_layer": 2,
    "mem_len": 6,
    "clamp_len": -1,
    "same_length": False,
}
PUBLISHED = {"d_model": 16, "d_embed": 16, "d_head": 8, "div_val": 4, "clamp_len": 4, "same_length": True}
CASES: dict[str, dict[str, Any]] = {
    "divided": {},
    "published": PUBLISHED,
    "one-cluster": {"cutoffs": [], "div_val": 1},
    "one-width": {"div_val": 1},
    "one-width-projected": {"div_val": 1, "d_embed": 6},
    "divided-projected": {"d_embed": 12},
    "own-matrices": {"tie_word_embeddings": False, "proj_share_all_but_first": False},
    "own-matrices-projected": {"div_val": 1, "d_embed": 6, "tie_word_embeddings": False},
    "clamped": {"clamp_len": 3},
    "same-length": {"same_length": True, "mem_len": 4},
    "long-memory": {"same_length": True, "mem_len": 20},
    "no-memory": {"mem_len": 0},
    "shared-biases": {"untie_r": False},
    "pre-norm": {"pre_lnorm": True},
    "narrow-heads": {"d_head": 3, "layer_norm_epsilon": 0.03},
    "classifier": {"num_labels": 3, "pad_token_id": 22},
}


def randomize(model: torch.nn.Module) -> None:
    """Weights large enough that every one of them shows in the result."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=generator) * 0.3
            is_norm = name.endswith("layer_norm.weight")
            parameter.copy_(drawn + 1 if is_norm else drawn)


def stacked(tensors: Any) -> Tensor:
    """Memories (M, B, W), one a layer, as (layers, B, M, W)."""
    return torch.stack([tensor.transpose(0, 1) for tensor in tensors])


def expected(model: Any) -> dict[str, Tensor]:
    """What the model gives for both segments."""
    ids = torch.randint(0, 22, (ROWS, FIRST + SECOND), generator=torch.Generator().manual_seed(1))
    found: dict[str, Tensor] = {"ids": ids}
    mems = None
    for name, segment in (("first", ids[:, :FIRST]), ("second", ids[:, FIRST:])):
        output = model(segment, mems=mems, output_hidden_states=True, output_attentions=True)
        found[f"{name}.logits"] = output.logits
        found[f"{name}.hidden"] = torch.stack(output.hidden_states)
        found[f"{name}.attentions"] = torch.stack(output.attentions)
        if not model.__class__.__name__.endswith("Classification"):
            found[f"{name}.loss"] = model(segment, mems=mems, labels=segment.clone()).loss
        mems = output.mems
        if mems is not None:
            found[f"{name}.memory"] = stacked(mems)
    return {name: tensor.detach().contiguous() for name, tensor in found.items()}


def main() -> None:
    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    for name, changes in CASES.items():
        config = transformers.TransfoXLConfig(**{**SIZES, **changes})
        kind = "TransfoXLForSequenceClassification" if name == "classifier" else "TransfoXLLMHeadModel"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = getattr(transformers, kind)(config).eval()
        randomize(model)
        model.save_pretrained(HERE / name, safe_serialization=True)
        (HERE / name / "generation_config.json").unlink(missing_ok=True)
        with torch.no_grad():
            save_file(expected(model), HERE / name / "expected.safetensors", metadata=versions)


if __name__ == "__main__":
    main()
