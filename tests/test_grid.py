"""The README's grid of families and verbs is written by running every cell, on tiny models of random weights.

A verb that cannot be is refused; the page names the reason in the words of the refusal, and `abilities` knew it.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import sightline as sl
from comparison.compared import texts, write
from reading_models import make
from sightline.comparison import measure
from sightline.model.families import LAYOUTS
from sightline.model.model import Model
from sightline.tasks.abilities import abilities
from sightline.tasks.describe import NAMES
from tasks.labelled_rows import classes

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")


LABELS = ("bad", "good")
YES, MARKS = "yes", "¹²³⁴⁵⁶⁷⁸⁹"


class No(str):
    """Why a verb cannot be, in the words of the refusal, without what to do instead."""


def refused(error: sl.SightlineError) -> No:
    return No(re.sub(r"^(under .*? )?this [\w-]+ ", r"\1", str(error)).partition(";")[0])


def classifier(model: Model) -> Model:
    return sl.with_classifier(model, LABELS)


# One function a verb: what the cell says, or SightlineError


def fill(model: Model) -> str:
    blank = (model.tokenizer.special.mask if model.tokenizer else None) or "[MASK]"
    sl.fill(model, f"the cat sat on the {blank}")
    return YES


def generate(model: Model) -> str:
    try:
        sl.generate(model, "the cat", max_new_tokens=2).texts()
        return "word by word"
    except sl.UnsupportedError:
        sl.generate(model, "the cat", max_new_tokens=2, method="mask-predict").texts()
        return "all at once"


def embed(model: Model) -> str:
    sl.embed(model, ["the cat", "a dog on a mat"])
    return YES


def score(model: Model) -> str:
    return sl.score(model, "the cat").kind.replace("log-", "")


def classify(model: Model) -> str:
    sl.classify(classifier(model), ["the cat", "a dog on a mat"])
    return YES


def tune(model: Model) -> str:
    rows = classes(16)
    learner = sl.with_classifier(model.float(), rows.labels)
    for _ in sl.finetune(learner, rows, config=sl.FinetuneConfig(passes=1, precision="float32")):
        pass
    return YES


def show(model: Model) -> str:
    assert str(sl.describe(model)).startswith(NAMES[model.layout.model_type])
    return YES


VERBS: dict[str, Callable[[Model], str]] = {
    "fill": fill,
    "generate": generate,
    "embed": embed,
    "score": score,
    "classify": classify,
    "tune": tune,
    "show": show,
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The cells of `compare`: all families in one comparison, each from a folder."""
    folder = tmp_path_factory.mktemp("grid")
    for family in LAYOUTS:
        make(family).float().save(folder / family)
    rows = write(folder / "rows.csv", texts(40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "LEAST_SECONDS", 0.01)
        patch.setattr(measure, "ALONE", 1)
        names = [str(folder / family) for family in LAYOUTS]
        found = sl.compare(rows, contenders=names, passes=1, seeds=1, budget=None, out=folder / "out").results()
    yield {each["name"]: YES if each["status"] == "ok" else No(each["error"]) for each in found["contenders"]}


def cell(verb: str, family: str) -> str:
    try:
        return VERBS[verb](make(family))
    except sl.SightlineError as error:
        return refused(error)


def grid(compared: dict[str, str]) -> str:
    """The table, and below it the reasons."""
    verbs = [*VERBS, "compare"]
    lines = ["| | " + " | ".join(f"`{verb}`" for verb in verbs) + " |", "|---|" + "---|" * len(verbs)]
    reasons: dict[str, str] = {}
    for family in LAYOUTS:
        cells = [compared[family] if verb == "compare" else cell(verb, family) for verb in verbs]
        for reason in (each for each in cells if isinstance(each, No)):
            reasons.setdefault(reason, MARKS[len(reasons)])
        shown = [f"no{reasons[each]}" if isinstance(each, No) else each for each in cells]
        lines.append(f"| {NAMES[family]} | " + " | ".join(shown) + " |")
    notes = [f"{mark} It {reason}." for reason, mark in reasons.items()]
    return "\n".join([*lines, "", *notes])


def test_the_grid_of_the_readme_is_what_runs(compared: dict[str, str]) -> None:
    written = grid(compared)
    assert written in PAGE, f"the README should have this grid:\n\n{written}\n"


@pytest.mark.parametrize("family", LAYOUTS)
@pytest.mark.parametrize("verb", ["fill", "generate", "embed", "score", "classify"])
def test_abilities_know_what_runs(family: str, verb: str) -> None:
    model = make(family)
    says = abilities(classifier(model) if verb == "classify" else model)[verb]
    found = cell(verb, family)
    assert says.can != isinstance(found, No)
    if verb == "generate" and says.can:
        assert ("mask-predict" in says.how) == (found == "all at once")
