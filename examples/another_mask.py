"""What if a mask changes after training? Measured: one network, the same weights at the start, two masks.

A new BERT learns the reviews that ship with Sightline twice, once as it is and once through a causal mask. Then each is
asked through the other's mask. Prints dev accuracy pass by pass, and a table: what a network learned under one mask
serves it less under another.
"""

import argparse
from importlib.resources import files

import sightline as sl


def accuracy(model: sl.Model, rows: sl.Examples) -> float:
    found = sl.classify(model, rows.texts)
    return float((found.probabilities.argmax(1) == rows.targets).mean())


def main(passes: int, size: str) -> None:
    table = sl.read_examples(str(files("sightline").joinpath("data", "reviews.csv")))
    train, dev, test = (table.examples.take(part) for part in sl.split(table.examples, (0.7, 0.1, 0.2), seed=0))
    tokenizer = sl.learn_tokenizer(train.texts, vocabulary=8000)
    config = sl.FinetuneConfig(passes=passes, learning_rate=3e-4, seed=0)

    models = {}
    for name, mask in {"bidirectional": sl.Bidirectional(), "causal": sl.Causal()}.items():
        network = sl.build("bert", size, tokenizer=tokenizer, heads=(), positions=128, seed=0).with_mask(mask)
        models[name] = sl.with_classifier(network, train.labels, pooling="mean", seed=0)
        for step in sl.finetune(models[name], train, dev, config):
            if step.evaluation:
                print(f"{name}: pass {step.evaluation.passes:.0f}, dev {step.evaluation.scores['accuracy']:.1%}")

    print(f"\n{'trained under':>15}  {'seen through':>15}  accuracy on {len(test)} test rows")
    for name, model in models.items():
        for other in (sl.Bidirectional(), sl.Causal()):
            print(f"{name:>15}  {other!s:>15}  {accuracy(model.with_mask(other), test):.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passes", type=int, default=6)
    parser.add_argument("--size", default="tiny")
    given = parser.parse_args()
    main(given.passes, given.size)
