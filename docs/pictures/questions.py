"""Draws the pictures of docs/questions.md: who sees whom, each cell measured by `probe`.

    python docs/pictures/questions.py              # a minute; needs transformers

It teaches two tiny models the sentences that ship inside, as the page does, and writes its pictures beside this file.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import matplotlib.image
import numpy as np
import torch
import transformers

import sightline as sl
from sightline.probing.draw import Matrix
from sightline.probing.draw_png import png

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "examples"))

from two_masks import learn  # noqa: E402  # an example, which is no package

TEXT = "The soup was hot"
STEPS, TOKENS = 160, 4
TINY = {"positions": 64, "dropout": 0.0, "attention_dropout": 0.0, "seed": 0}
Panel = tuple[str, Matrix]


def side_by_side(name: str, panels: Sequence[Panel]) -> None:
    """One picture of several matrices."""
    pictures = [matplotlib.image.imread(io.BytesIO(png(matrix, title)))[..., :3] for title, matrix in panels]
    height = max(picture.shape[0] for picture in pictures)
    padded = [
        np.pad(picture, ((0, height - picture.shape[0]), (0, 0), (0, 0)), constant_values=1) for picture in pictures
    ]
    drawn = io.BytesIO()
    matplotlib.image.imsave(drawn, np.concatenate(padded, 1), format="png", metadata={"Software": None})
    (HERE / name).write_bytes(drawn.getvalue())
    print(HERE / name)


def taught() -> tuple[sl.Model, sl.Model]:
    """The page's BERT and GPT-2."""
    sentences = files("sightline").joinpath("data", "demo.txt").read_text(encoding="utf-8").splitlines()
    models = []
    for family, kind, vocabulary in (("bert", "wordpiece", 400), ("gpt2", "bytelevel-bpe", 600)):
        torch.manual_seed(0)
        tokenizer = sl.learn_tokenizer(sentences, kind=kind, vocabulary=vocabulary)
        models.append(sl.build(family, "tiny", tokenizer=tokenizer, **TINY))
        learn(models[-1], sentences, STEPS)
    return models[0], models[1]


def one_block(gpt2: sl.Model) -> list[Panel]:
    masks = (
        ("causal", sl.Causal()),
        ("bidirectional", sl.Bidirectional()),
        ("prefix of 2", sl.Prefix(2) | sl.Causal()),
    )
    return [(f"GPT-2's weights, {name}", sl.probe(gpt2.with_mask(mask), TEXT).matrix()) for name, mask in masks]


def causal_bert(bert: sl.Model) -> list[Panel]:
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
    flipped = transformers.BertModel(transformers.BertConfig(**sizes, attn_implementation="sdpa")).eval()
    flipped.config.is_decoder = True
    ids = bert.tokenizer.encode(TEXT)
    theirs = sl.probe(flipped, ids, expect="causal", tokenizer=bert.tokenizer)
    return [
        ("BERT as it learned", sl.probe(bert, TEXT).matrix()),
        ("through a causal mask", sl.probe(bert.with_mask(sl.Causal()), TEXT).matrix()),
        ("transformers', is_decoder flipped", theirs.matrix()),
    ]


def what_is_kept(bert: sl.Model) -> list[Panel]:
    memory = sl.build("transformer-xl", "tiny", tokenizer=bert.tokenizer, seed=0)
    xlnet = sl.build("xlnet", "tiny", tokenizer=bert.tokenizer, seed=0).with_mask(sl.Permuted())
    ids = bert.tokenizer.encode("The soup was hot and full of pepper")[1:-1]
    order = torch.tensor([[3, 0, 4, 1, 5, 2]])
    return [
        ("Transformer-XL: the second segment", sl.probe(memory, ids[:8], past=TOKENS, state="memory").matrix()),
        ("XLNet: read in the order 2 4 6 1 3 5", sl.probe(xlnet, ids[:6], inputs={"ranks": order}).matrix()),
    ]


def main() -> None:
    bert, gpt2 = taught()
    side_by_side("same-weights.png", one_block(gpt2))
    side_by_side("causal-bert.png", causal_bert(bert))
    side_by_side("memory-and-order.png", what_is_kept(bert))


if __name__ == "__main__":
    main()
