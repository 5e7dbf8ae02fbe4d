"""Which kind of model serves these rows? The same as `sightline compare`, from Python, and what comes after it.

Compares on the reviews that ship with Sightline. Prints the verdict, each contender's accuracy with its interval, three
reviews on which they disagree, and what the winner makes of two new ones. `--passes 8 --seeds 3` is slower and surer.
"""

import argparse
import json
from importlib.resources import files
from pathlib import Path

import sightline as sl


def main(out: Path, passes: int, seeds: int, size: str) -> None:
    reviews = str(files("sightline").joinpath("data", "reviews.csv"))
    comparison = sl.compare(reviews, passes=passes, seeds=seeds, size=size, out=out)
    for event in comparison:
        if event.what in ("assumed", "planned", "judged"):
            print(event.text)
    results = comparison.results()
    print(f"\n{results['verdict']}\n")

    for one in results["contenders"]:
        low, high = one["accuracy_low"], one["accuracy_high"]
        print(f"{one['name']:10} {one['accuracy']:.1%} ({low:.1%} to {high:.1%}), {one['ms_per_row']:.1f} ms a row")

    print("\nRows on which they disagree:")
    for row in results["disagreements"][:3]:
        says = ", ".join(f"{name}: {label}" for name, label in row["predictions"].items())
        print(f"  {row['text']}\n    in truth {row['truth']}; {says}")

    new = ["The soup was cold and so was the waiter.", "I would walk there twice for that bread."]
    winner = sl.open_classifier(out / results["model"])
    for text, chances in zip(new, winner.predict(new), strict=True):
        print(json.dumps({"text": text, **dict(zip(winner.labels or (), chances.round(3).tolist(), strict=True))}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("examples-output/choose"), help="where results and winner go")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--size", default="tiny")
    given = parser.parse_args()
    main(given.out, given.passes, given.seeds, given.size)
