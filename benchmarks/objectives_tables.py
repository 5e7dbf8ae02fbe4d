"""The sections of docs/results.md that benchmarks/objectives.py measures, from the files in docs/results/.

Which directions that were published of larger models appear at this size is said of each in one line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from document import DOCS, write

KEPT = DOCS / "results"
NOISE = 3.0  # points of BLiMP between two models that seeds and pairs may make: twice √2 times a deviation of about 1


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What was published of larger models: that `a` is ahead of `b`, in a number, by at least so many points."""

    said: str
    source: str
    a: str
    b: str
    number: str  # "news", or a mask: BLiMP through it; "best": BLiMP through the better one
    least: float = 0.0


CLAIMS = (
    Claim(
        said="causal is ahead of masked on BLiMP in the first passes (GPT-2 against BERT)",
        source="BabyLM",
        a="gpt2-causal",
        b="bert-masked",
        number="best",
    ),
    Claim(
        said="the same on one network",
        source="Gisserot-Boukhlef et al. 2025",
        a="modernbert-causal",
        b="modernbert-masked",
        number="best",
    ),
    Claim(
        said="masked is ahead of causal when fine-tuned to classify (one network)",
        source="Ettin; Gisserot-Boukhlef et al. 2025",
        a="modernbert-masked",
        b="modernbert-causal",
        number="news",
    ),
    Claim(
        said="a hybrid looks back nearly as well as what looks back alone (within 1 point of BLiMP)",
        source="Charpentier and Samuel 2024",
        a="modernbert-hybrid",
        b="modernbert-causal",
        number="causal",
        least=-1.0,
    ),
    Claim(
        said="a hybrid looks around as well as what looks around alone (within 1 point of BLiMP)",
        source="Charpentier and Samuel 2024",
        a="modernbert-hybrid",
        b="modernbert-masked",
        number="bidirectional",
        least=-1.0,
    ),
    Claim(
        said="next-sentence prediction does not help to classify",
        source="Liu et al. 2019",
        a="bert-masked",
        b="bert-next_sentence",
        number="news",
    ),
    Claim(
        said="orders teach more than hidden tokens (XLNet against BERT, fine-tuned)",
        source="Yang et al. 2019",
        a="xlnet-permutation",
        b="bert-masked",
        number="news",
    ),
    Claim(
        said="pretraining helps at 1,000 rows (the same network and tokenizer, from random weights)",
        source="all of them",
        a="modernbert-masked",
        b="modernbert-untaught",
        number="news",
    ),
)


def _asked(one: dict[str, Any], number: str) -> float | None:
    """BLiMP through a mask, in percent; through a family's only mask where it has another."""
    found = {mask: 100 * each["accuracy"] for mask, each in one["blimp"].items()}
    return max(found.values()) if number == "best" else found.get(number)


def _news(compared: dict[str, Any], name: str) -> dict[str, Any] | None:
    """A contender on AG News: under the better of its masks, by the dev rows, where it came under several."""
    own = [one for one in compared["contenders"] if one["name"].split("@")[0] == name and one["status"] == "ok"]
    return max(own, key=lambda one: one["dev"]["accuracy"]) if own else None


def _judged(claim: Claim, runs: dict[str, dict[str, Any]], compared: dict[str, Any]) -> str:
    """A row of the table of claims."""
    head = f"| {claim.said} | {claim.source} |"
    if claim.number == "news":
        a, b = _news(compared, claim.a), _news(compared, claim.b)
        if a is None or b is None:
            return f"{head} | not measured |"
        pair = next(each for each in compared["comparisons"] if {each["a"], each["b"]} == {a["name"], b["name"]})
        gap = 100 * (a["accuracy"] - b["accuracy"])
        sure = ("yes" if gap > claim.least else "no, the reverse") if pair["different"] else "not to be told apart"
    else:
        one, other = (_asked(runs[name], claim.number) if name in runs else None for name in (claim.a, claim.b))
        if one is None or other is None:
            return f"{head} | not measured |"
        gap = one - other
        sure = "not to be told apart" if abs(gap - claim.least) < NOISE else "yes" if gap > claim.least else "no"
    return f"{head} {gap:+.1f} | {sure} |"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _small_table(whole: dict[str, Any], compared: dict[str, Any]) -> Iterator[str]:
    yield (
        "| family | objective | parameters | seconds | bits per byte | BLiMP, looking back | BLiMP, looking around |"
        " AG News, 1,000 rows | 95 % interval |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in whole["runs"]:
        bits = one["looks"][-1].get("bits_per_byte")
        back = _asked(one, "causal" if "causal" in one["blimp"] else "permuted")
        news = _news(compared, one["name"])
        shown = (
            "– | –"
            if news is None
            else f"{news['accuracy']:.1%} | {news['accuracy_low']:.1%} to {news['accuracy_high']:.1%}"
        )
        objective = one["objective"].replace("_", " ")
        yield (
            f"| {one['family']} | {objective} | {one['parameters']:,} | {one['seconds']:,.0f} |"
            f" {'–' if bits is None else f'{bits:.3f}'} | {_percent(back)} | {_percent(_asked(one, 'bidirectional'))} |"
            f" {shown} |"
        )
    for name in ("modernbert-untaught", "tfidf", "majority"):
        news = _news(compared, name)
        if news is not None:
            method = news["method"].replace("|", "/")
            interval = f"{news['accuracy_low']:.1%} to {news['accuracy_high']:.1%}"
            yield f"| {name} | {method} | {news['parameters']:,} | | | | | {news['accuracy']:.1%} | {interval} |"


def _small(whole: dict[str, Any], compared: dict[str, Any]) -> list[str]:
    first = whole["runs"][0]
    runs = {one["name"]: one for one in whole["runs"]}
    return [
        "## Objectives and families, at one small size",
        "",
        f"Each network has 4 layers of width 256, the same corpus, tokenizer (8,192 tokens) and rows in the same order;"
        f" {first['steps']} updates, {first['tokens'] / 1e6:.1f} million tokens, one seed. Bits per byte: of the"
        " validation part, where an objective gives a text a likelihood. BLiMP: the first"
        f" {whole['pairs']} pairs of each of the 67 paradigms, by log-likelihood looking back, by pseudo-log-likelihood"
        " looking around. AG News: fine-tuned on 1,000 rows by `sightline compare`, 3 seeds, equal tuning,"
        f" {compared['data']['rows']['test']:,} test rows; of a hybrid's masks that were compared the better on dev."
        f" Machine: {whole['protocol']['machine']}, which did other work meanwhile, more for some than for others: the"
        " seconds say how long it was, and not who is faster. A dash: not defined, or not measured.",
        "",
        *_small_table(whole, compared),
        "",
        f"**{compared['verdict']}**",
        "",
        "Which published directions appear at this size (points of accuracy; BLiMP within"
        f" {NOISE} points is not told apart, because one seed was taught):",
        "",
        "| claim | of | points | here |",
        "|---|---|---|---|",
        *(_judged(claim, runs, compared) for claim in CLAIMS),
        "",
        "```sh",
        "python benchmarks/objectives.py run --data DATA --work FOLDER",
        compared["command"],
        "```",
    ]


def _long(whole: dict[str, Any]) -> list[str]:
    lines = [
        "## A hybrid and a decoder of 7 million parameters",
        "",
        "6 layers of width 256, the same corpus, tokens and updates; BLiMP whole, 67,000 pairs."
        f" Machine: {whole['protocol']['machine']}.",
        "",
        "| model | parameters | updates | million tokens | hours | bits per byte | BLiMP, looking back | around |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in whole["runs"]:
        lines.append(
            f"| {one['name']} | {one['parameters']:,} | {one['steps']:,} | {one['tokens'] / 1e6:.1f} |"
            f" {one['seconds'] / 3600:.1f} | {one['looks'][-1]['bits_per_byte']:.3f} |"
            f" {_percent(_asked(one, 'causal'))} | {_percent(_asked(one, 'bidirectional'))} |"
        )
    told = [name for one in whole["runs"][:1] for each in one["blimp"].values() for name in each["fields"]]
    fields = sorted(set(told))
    lines += ["", f"| BLiMP by field | {' | '.join(fields)} |", "|---" * (len(fields) + 1) + "|"]
    for one in whole["runs"]:
        for mask, each in one["blimp"].items():
            shown = " | ".join(f"{100 * each['fields'][name]:.1f}" for name in fields)
            lines.append(f"| {one['name']}, {mask} | {shown} |")
    picture = "![Bits per byte of the validation part over the tokens read](pictures/pretraining.svg)"
    steps = whole["runs"][0]["steps"]
    command = f"python benchmarks/objectives.py long --data DATA --work FOLDER --steps {steps}"
    return [*lines, "", picture, "", "```sh", command, "```"]


def _curves(whole: dict[str, Any]) -> None:
    """The picture of the long runs: bits per byte over tokens."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "sightline"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.6), layout="constrained")
    for one, style in zip(whole["runs"], ("o-", "s--"), strict=False):
        read = one["tokens"] / one["steps"] / 1e6
        axes.plot(
            [look["step"] * read for look in one["looks"]],
            [look["bits_per_byte"] for look in one["looks"]],
            style,
            label=one["name"],
        )
    axes.set(xlabel="tokens read, millions", ylabel="bits per byte, validation")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(DOCS / "pictures" / "pretraining.svg", metadata={"Date": None, "Creator": None})


def tables() -> None:
    """Write the sections of docs/results.md from what is in docs/results."""
    small, compared, larger = (KEPT / f"{name}.json" for name in ("objectives", "agnews-1000", "long"))
    if small.is_file() and compared.is_file():
        found = [json.loads(each.read_text(encoding="utf-8")) for each in (small, compared)]
        write("results.md", "objectives", _small(*found))
    if larger.is_file():
        whole = json.loads(larger.read_text(encoding="utf-8"))
        _curves(whole)
        write("results.md", "pretraining", _long(whole))
