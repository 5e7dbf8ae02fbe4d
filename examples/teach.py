"""Teach a model to sort reviews, stop in the middle, go on, and use it: what `sightline tune` does, from Python.

MODEL may be a folder or a hub id (bert-base-uncased); without one, a new network learns from nothing. Checkpoints let a
training that was stopped go on as if it had never stopped, bit for bit. Prints the loss of the first steps, the scores
on dev after each pass, how many of the test rows the saved model sorts right, and three of its answers.
"""

import argparse
from importlib.resources import files
from itertools import islice
from pathlib import Path

import sightline as sl


def start(name: str | None, train: sl.Examples) -> sl.Model:
    if name is not None:
        return sl.with_classifier(sl.load(name), train.labels, seed=0)
    tokenizer = sl.learn_tokenizer(train.texts, vocabulary=8000)
    network = sl.build("bert", "tiny", tokenizer=tokenizer, heads=(), positions=128, seed=0)
    return sl.with_classifier(network, train.labels, seed=0)


def main(name: str | None, out: Path, passes: int) -> None:
    table = sl.read_examples(str(files("sightline").joinpath("data", "reviews.csv")))
    train, dev, test = (table.examples.take(part) for part in sl.split(table.examples, (0.7, 0.1, 0.2), seed=0))
    config = sl.FinetuneConfig(passes=passes, learning_rate=5e-5 if name else 5e-4, seed=0)

    stopped = sl.finetune(start(name, train), train, dev, config, folder=out / "checkpoints")
    for step in islice(stopped, 5):
        print(f"step {step.step} of {step.steps}: loss {step.loss:.3f}")
    stopped.close()  # the loop is left: a checkpoint is written

    model = start(name, train)
    for step in sl.finetune(model, train, dev, config, folder=out / "checkpoints", resume=True):
        if step.evaluation:
            scores = ", ".join(f"{name} {value:.3f}" for name, value in step.evaluation.scores.items())
            print(f"after step {step.step}: {scores}")

    model.save(out / "model")
    again = sl.load(out / "model")
    right = sl.classify(again, test.texts).probabilities.argmax(1) == test.targets
    print(f"{right.mean():.1%} of {len(test)} test rows right; the model is in {out / 'model'}")
    for text, label in zip(test.texts[:3], sl.classify(again, test.texts[:3]).best, strict=True):
        print(f"  {label}: {text}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="a folder or a hub id; default: a new tiny BERT")
    parser.add_argument("--out", type=Path, default=Path("examples-output/teach"))
    parser.add_argument("--passes", type=int, default=6)
    given = parser.parse_args()
    main(given.model, given.out, given.passes)
