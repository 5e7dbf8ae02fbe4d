"""The verb compare: which kind of model serves these rows best."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from sightline.app import talk
from sightline.app.folders import say_note
from sightline.app.options import Device, Json

if TYPE_CHECKING:
    from sightline.comparison.running import Comparison

Text = Annotated[str | None, Option("--text", help="The column of texts; two for pairs: premise,hypothesis.")]
Label = Annotated[str | None, Option("--label", help="The column of classes or numbers.")]

BULKY = ("confusion", "calibration", "scatter", "tries", "seeds")  # of a contender: results.json has them


def _names(contenders: str) -> list[str]:
    """Parted by commas, those within brackets left alone: "tfidf,bert@prefix(4)"."""
    return [name for name in re.split(r",(?![^(]*\))", contenders) if name.strip()]


def _short(results: dict[str, Any]) -> dict[str, Any]:
    """What --json prints."""
    contenders = [{key: value for key, value in each.items() if key not in BULKY} for each in results["contenders"]]
    return {
        "winner": results["winner"],
        "verdict": results["verdict"],
        "contenders": contenders,
        "folder": results["folder"],
    }


def _answer(results: dict[str, Any], folder: Path, *, json: bool) -> None:
    """The scores, the verdict, and where report and model are; a model may have been removed since."""
    from sightline.comparison.summary import table

    model = None if results["model"] is None else folder / results["model"]
    there = model is not None and model.is_dir()
    if json:
        talk.answer_json(_short(results))
    else:
        talk.answer(f"\n{table(results)}\n\n{talk.wrapped(results['verdict'])}\n")
        talk.answer(f"report  {folder / 'report.html'}")
        if there:
            best = results["best"] if results["best"] == results["winner"] else f"{results['best']}, best on dev"
            talk.answer(f"model   {model} ({best})")
    if model is not None and there:
        say_note(model)
    elif model is not None:
        talk.say(f"note: the model {model} is gone; remove {folder}, and the same command makes it anew")


def _run(comparison: Comparison, *, json: bool) -> None:
    """Show the comparison as it goes, then its answer."""
    from sightline.app.board import board

    try:
        with board(comparison) as show:
            for event in comparison:
                show(event)
    except KeyboardInterrupt:
        talk.say(comparison.kept())
        raise
    results = comparison.results()
    _answer(results, comparison.folder, json=json)
    if results["best"] is None:
        talk.say(f"sightline: no contender finished; what is done is kept in {comparison.folder}")
        raise typer.Exit(1)


def compare(
    file: Annotated[str, typer.Argument(metavar="ROWS", help="Texts and labels: CSV, TSV, JSONL, Parquet, hf://….")],
    text: Text = None,
    label: Label = None,
    dev: Annotated[str | None, Option(help="Rows to choose settings on. Default: a part of ROWS.")] = None,
    test: Annotated[str | None, Option(help="Rows to judge on. Default: a part of ROWS.")] = None,
    contenders: Annotated[
        str,
        Option(
            help="majority, tfidf, encoder, decoder, bert, gpt2, new:xlnet, …, a folder or hub id, NAME@causal,"
            " NAME#frozen."
        ),
    ] = "majority,tfidf,encoder,decoder",
    budget: Annotated[float, Option(help="Minutes for everything; 0: no limit.")] = 10.0,
    passes: Annotated[
        int | None, Option(help="Epochs: how often networks read the rows, in place of a budget in minutes.")
    ] = None,
    seeds: Annotated[int, Option(help="How many seeds the chosen settings are trained with.")] = 3,
    size: Annotated[
        str, Option(help="Size of new networks: tiny, mini (4 layers, 256 wide), small, medium, base.")
    ] = "mini",
    rows: Annotated[int, Option(help="How many rows at most; more are sampled.")] = 100_000,
    kind: Annotated[str, Option(help="What labels are: classes, numbers, or auto.")] = "auto",
    header: Annotated[bool, Option(help="Whether the first line of a CSV or TSV names the columns.")] = True,
    seed: Annotated[int, Option(help="The same seed divides and trains alike.")] = 0,
    device: Device = None,
    out: Annotated[Path | None, Option(help="Folder for results, report and winner. Default: ROWS-compare.")] = None,
    json: Json = False,
) -> None:
    """Find out which kind of model serves your rows best, by how much, how surely and at what cost.

    **sightline compare reviews.csv**

    **sightline compare reviews.csv --text review --label stars --budget 30 --contenders tfidf,encoder,roberta-base**

    **sightline compare pairs.tsv --text premise,hypothesis --test held.tsv --contenders tfidf,my-bert,my-bert#frozen**

    A comparison that was stopped goes on where it was when the same command is given again; a finished one takes
    further contenders.
    """
    from sightline.comparison.compare import compare as start

    comparison = start(
        file,
        text=None if text is None else text.split(","),
        label=label,
        kind=kind,  # type: ignore[arg-type]  # checked where it is read
        header=header,
        dev=dev,
        test=test,
        contenders=_names(contenders),
        budget=budget or None,
        passes=passes,
        seeds=seeds,
        size=size,
        rows=rows,
        seed=seed,
        device=device,
        out=out,
        command="sightline " + shlex.join(sys.argv[1:]),
    )
    _run(comparison, json=json)
