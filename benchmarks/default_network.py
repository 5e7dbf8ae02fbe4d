"""Which network `compare` should call encoder and decoder: GPT-2's and ModernBERT's of one size on the demo rows.

python benchmarks/default_network.py --seeds 0 1 --rates 1e-3

Everything else is as in `compare`: the tokenizer is learned from the training rows, encoder and decoder begin alike,
and what is best on dev is asked on test. One thread; the seconds are processor time.
"""

import argparse
import time
from pathlib import Path

import torch

from sightline.comparison.rows import Rows, read_rows
from sightline.core.mask import Bidirectional, Causal, Mask
from sightline.model.build import build
from sightline.model.heads import with_classifier
from sightline.networks.heads import Pooling
from sightline.tasks.classify import ModelClassifier
from sightline.tasks.finetune import Finetuning
from sightline.tasks.finetune_config import FinetuneConfig
from sightline.tasks.fresh import learned_tokenizer, positions_for, token_counts
from sightline.tasks.metrics import scores
from sightline.text.tokenizer import Tokenizer

REVIEWS = Path(__file__).resolve().parent.parent / "src/sightline/data/reviews.csv"
DROPS = dict.fromkeys(("dropout", "attention_dropout", "embedding_dropout"), 0.1)
NETWORKS: dict[str, tuple[str, dict[str, float]]] = {
    "GPT-2": ("gpt2", {}),
    "ModernBERT": ("modernbert", {}),
    "ModernBERT, dropout 0.1": ("modernbert", DROPS),
}
ROLES: dict[str, tuple[Mask, Pooling]] = {"encoder": (Bidirectional(), "mean"), "decoder": (Causal(), "last")}


def learn(network: str, role: str, rate: float, seed: int, passes: int, rows: Rows, tokenizer: Tokenizer) -> tuple:
    """Accuracy on dev, then accuracy and log-loss on test, parameters, and seconds of processor time."""
    (family, settings), (mask, pooling) = NETWORKS[network], ROLES[role]
    positions = positions_for(token_counts(tokenizer, rows.train))
    bare = build(family, "mini", tokenizer=tokenizer, heads=(), positions=positions, seed=seed, **settings)
    model = with_classifier(bare.with_mask(mask), rows.labels, pooling=pooling, seed=seed)
    started = time.process_time()
    config = FinetuneConfig(passes=passes, batch_rows=32, learning_rate=rate, seed=seed)
    training = Finetuning(model, rows.train, rows.dev, config)
    for _ in training.run():
        pass
    seconds = time.process_time() - started
    test = scores(rows.test.targets, ModelClassifier(model).predict(rows.test.texts))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    dev = training.best.scores["accuracy"] if training.best else 0.0
    return dev, test["accuracy"], test["log_loss"], parameters, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passes", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--rates", type=float, nargs="*", default=[3e-4, 1e-3], help="the best on dev is asked on test")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = read_rows(REVIEWS)
    tokenizer = learned_tokenizer("wordpiece", rows.train)
    print("| network | role | seed | learning rate | dev | test | log-loss | parameters | seconds |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for seed in options.seeds:
        for network in NETWORKS:
            for role in ROLES:
                tries = [
                    (learn(network, role, rate, seed, options.passes, rows, tokenizer), rate) for rate in options.rates
                ]
                (dev, test, loss, parameters, _), rate = max(tries)
                seconds = sum(found[-1] for found, _ in tries) / len(tries)
                print(
                    f"| {network} | {role} | {seed} | {rate:g} | {dev:.3f} | {test:.3f} | {loss:.2f} | {parameters:,} |"
                    f" {seconds:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
