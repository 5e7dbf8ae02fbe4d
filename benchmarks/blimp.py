"""How long the whole of BLiMP takes: 67,000 pairs, of which a share is measured and the rest reckoned.

    python benchmarks/blimp.py --data blimp.tar.xz --text train.txt.xz

The model is random and of about 7 million parameters (6 layers, 256 wide, 8,192 tokens), its vocabulary learned from
`--text`. Seconds of the processor are given beside those of the clock: on a shared machine only they mean something.
"""

import argparse
import itertools
import resource
import time
from dataclasses import replace

import torch

from sightline.model.build import build
from sightline.model.model import Model
from sightline.tasks.blimp import SUFFIXES, Paradigm, judge, paradigms
from sightline.tasks.reading import readings
from sightline.tasks.scorer import Scorer, scorer
from sightline.text.learn import learn_tokenizer
from sightline.text.packed_files import packed_files

SHAPE = {"layers": 6, "width": 256, "attention_heads": 4, "inner": 1024, "positions": 128}
LINES = 40_000  # that the vocabulary is learned from


def make(family: str, text: str, dtype: torch.dtype) -> Model:
    (file,) = packed_files(text, (".txt",))
    lines = [str(row["text"]) for row in itertools.islice(file.rows(), LINES)]
    kind = "wordpiece" if family == "bert" else "bytelevel-bpe"
    tokenizer = learn_tokenizer([line for line in lines if line.strip()], kind=kind, vocabulary=8192)
    return build(family, "tiny", tokenizer=tokenizer, dtype=dtype, **SHAPE)


def measured(by: Scorer, some: list[Paradigm]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    for paradigm in some:
        judge(by, paradigm, lambda share: None)
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, processor


def tokens(by: Scorer, some: list[Paradigm]) -> int:
    """How many tokens a masked model reads, were no two rows alike: of n tokens, n rows of n and what stands around."""
    read = [each for paradigm in some for pair in paradigm.pairs for each in readings(by.tokenizer, pair)]
    return sum(by.asker.cost(view) for each in read for view in by.windows.views(each, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="BLiMP's files")
    parser.add_argument("--text", required=True, help="what the vocabulary is learned from")
    parser.add_argument("--pairs", type=int, default=1000, help="of each paradigm")
    parser.add_argument("--every", type=int, default=16, help="one of so many paradigms is measured")
    parser.add_argument("--family", default="bert", choices=["bert", "gpt2"])
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch-tokens", type=int, default=None)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = make(options.family, options.text, getattr(torch, options.dtype))
    by = scorer(model, batch_tokens=options.batch_tokens)
    every = paradigms(packed_files(options.data, SUFFIXES))
    some = [replace(each, pairs=each.pairs[: options.pairs]) for each in every[:: options.every]]
    measured(by, [replace(some[0], pairs=some[0].pairs[:4])])  # packs weights
    wall, processor = measured(by, some)
    share, pairs = tokens(by, some) / tokens(by, every), sum(len(each.pairs) for each in some)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{options.family}, {parameters / 1e6:.1f} M parameters, {options.dtype}, {options.threads} threads; {by.how}"
    )
    print(f"{pairs:,} pairs of {len(some)} paradigms: {wall:.1f} s, {processor:.1f} s of the processor")
    print(
        f"that is {share:.2%} of all tokens; all of BLiMP at this rate: {wall / share / 60:.1f} minutes,"
        f" {processor / share / 60:.1f} minutes of the processor"
    )


if __name__ == "__main__":
    main()
