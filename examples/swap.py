"""Swap the network by one word: the same classifier over every family.

    python examples/swap.py                # every family in turn
    python examples/swap.py bert gpt2      # these two

The word is all that changes; rows, size, seed and steps are the same, and what else must follow the network (tokenizer,
pooling) follows from it. Prints for each family the mask it looks through, the token that its classifier reads, how
many of the test reviews it sorts right, and the seconds it took to learn; raises where one learned nothing.
"""

import argparse
import time
from importlib.resources import files

import sightline as sl
from sightline.model.families import LAYOUTS
from sightline.tasks.fresh import fresh_model


def classifier(word: str, train: sl.Examples, size: str) -> sl.Model:
    """A new network of this family with a head for these rows: the only place that knows the word."""
    return sl.with_classifier(fresh_model(word, size, train, seed=0), train.labels, seed=0)


def main(words: list[str], size: str, passes: int) -> None:
    table = sl.read_examples(str(files("sightline").joinpath("data", "reviews.csv")))
    train, dev, test = (table.examples.take(part) for part in sl.split(table.examples, (0.7, 0.1, 0.2), seed=0))
    commonest = max((test.targets == label).mean() for label in set(test.targets.tolist()))
    print(f"{'family':18} {'mask':14} {'reads':6} {'right of ' + str(len(test)):>14} {'learned in':>11}")
    for word in words:
        model = classifier(word, train, size)
        started = time.perf_counter()
        for _ in sl.finetune(model, train, dev, sl.FinetuneConfig(passes=passes, learning_rate=5e-4, seed=0)):
            pass
        seconds = time.perf_counter() - started
        right = (sl.classify(model, test.texts).probabilities.argmax(1) == test.targets).mean()
        pooling = model.head("classifier").pooling
        print(f"{word:18} {model.mask!s:14} {pooling:6} {right:14.1%} {seconds:9.1f} s", flush=True)
        if passes > 2 and right <= commonest:
            raise SystemExit(f"{word} learned nothing: always naming the commonest class is right as often")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", default=list(LAYOUTS), help=f"of {', '.join(LAYOUTS)}; default: all")
    parser.add_argument("--size", default="tiny")
    parser.add_argument("--passes", type=int, default=4)
    given = parser.parse_args()
    main(given.families, given.size, given.passes)
