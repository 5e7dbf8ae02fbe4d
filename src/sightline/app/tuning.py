"""What `sightline tune` does: rows and a model in, a model folder out, and every way to be interrupted in between."""

from __future__ import annotations

import shlex
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.app import talk
from sightline.app.folders import say_note
from sightline.app.options import open_model
from sightline.app.result_folder import CHECKPOINTS, TRAINING, check_out, entered, telling_how_to_go_on, train
from sightline.app.tune_board import board
from sightline.app.tune_request import MADE, NEW, Request, check_same
from sightline.errors import ConfigError
from sightline.model.model import tokenizer_of
from sightline.weights.alone import alone

if TYPE_CHECKING:
    from sightline.comparison.rows import Rows
    from sightline.model.model import Model
    from sightline.tasks.finetune import Finetuning
    from sightline.tasks.finetune_config import FinetuneConfig

IMBALANCE = 3.0  # times as many rows of the commonest class as of the rarest: worth a word


def _read(request: Request) -> Rows:
    from sightline.comparison.rows import read_rows

    with talk.busy(f"Reading {request.rows}"):
        rows = read_rows(
            request.rows,
            text=None if request.text is None else request.text.split(","),
            label=request.label,
            kind=request.kind,  # type: ignore[arg-type]  # checked where it is read
            dev=request.dev,
            test=request.test,
            header=request.header,
            seed=request.seed,
        )
    for sentence in rows.assumed:
        talk.say(sentence)
    _say_classes(rows, request)
    return rows


def _say_classes(rows: Rows, request: Request) -> None:
    """What is learned; and where one class has far more rows than another, that it has."""
    if rows.labels is None:
        targets = rows.train.targets
        talk.say(f"To learn: a number, {targets.min():g} to {targets.max():g}, {targets.mean():.4g} on average.")
        return
    counts = Counter(rows.train.targets.tolist())
    named = [(counts[place], label) for place, label in enumerate(rows.labels)]
    shown = ", ".join(f"{label} {count:,}" for count, label in named[:12]) + (", …" if len(named) > 12 else "")
    talk.say(f"To learn: {len(named)} classes ({shown} training rows).")
    (few, rarest), (many, commonest) = min(named), max(named)
    if many > IMBALANCE * max(few, 1) and request.class_weights is None:
        talk.say(
            f"note: {commonest!r} has {many / max(few, 1):.1f} times as many rows as {rarest!r};"
            " --class-weights balanced lets all classes weigh the same"
        )


def _check_start(request: Request) -> None:
    """Raise, before rows are read, where a mask, a device, a family or a size is none."""
    from sightline.core.mask import Mask
    from sightline.model.families import LAYOUTS, sized
    from sightline.model.parts import place_of

    if request.mask is not None:
        Mask.parse(request.mask)
    place_of(request.device)
    if request.new_size is not None:
        sized(request.model.removeprefix(NEW), request.new_size)
    elif request.model in LAYOUTS and request.model != "gpt2" and not Path(request.model).exists():
        raise ConfigError(
            f"{request.model!r} is a family and no checkpoint: {NEW}{request.model} is a new network of it; a folder or"
            " a hub id is fine-tuned"
        )


def _has_head(model: Model, labels: tuple[str, ...] | None) -> bool:
    """Whether the model sorts rows into these classes already, one of them each."""
    one_each = model.problem_type in (None, "single_label_classification")
    return "classifier" in model.heads and one_each and labels is not None and model.labels == labels


def _start(request: Request, rows: Rows) -> Model:
    """The model to teach, with a head for these rows."""
    from sightline.core.mask import Mask
    from sightline.model.heads import with_classifier
    from sightline.tasks.encode import longest
    from sightline.tasks.fresh import fresh_model, part_pairs

    mask = None if request.mask is None else Mask.parse(request.mask)
    if (size := request.new_size) is not None:
        family = request.model.removeprefix(NEW)
        with talk.busy("Learning a tokenizer from the training rows"):
            model = fresh_model(
                family, size, rows.train, positions=request.max_length, seed=request.seed, device=request.device
            )
        count = sum(parameter.numel() for parameter in model.parameters())
        talk.say(
            f"A new {family} of {model.config.layers} layers, {model.config.width} wide, {count:,} random weights, that"
            f" reads {longest(model, None)} tokens; its tokenizer of {model.config.vocabulary:,} was learned from the"
            " training rows."
        )
        model = model if mask is None else model.with_mask(mask)
    else:
        model = open_model(request.model, device=request.device, mask=request.mask)
        if rows.train.pairs is not None and model.tokenizer is not None and part_pairs(model.tokenizer):
            talk.say("The tokenizer puts nothing between the texts of a pair; its end-of-text token parts them now.")
    if _has_head(model, rows.labels) and request.pooling is None:
        talk.say("The model knows these classes, in this order: it goes on with the head that it has.")
        return model
    model = with_classifier(model, rows.labels, pooling=request.pooling, seed=request.seed)  # type: ignore[arg-type]
    return model


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _say_plan(request: Request, under_way: Finetuning) -> None:
    config, model = under_way.config, under_way.model
    pooling = model.head("classifier").pooling
    talk.say(
        f"Mask {model.mask}, pooling {pooling}; {_count(config.passes, 'pass', 'passes')},"
        f" {_count(len(under_way.steps), 'step')} of {config.batch_rows} rows,"
        f" learning rate {config.learning_rate:g}, {under_way.training.precision}."
    )
    rows = len(set(under_way.steps.numbers))
    if under_way.cut:
        have, are, them = ("has", "is", "it") if under_way.cut == 1 else ("have", "are", "them")
        talk.say(
            f"note: {under_way.cut:,} of {rows:,} training rows {have} more than {under_way.limit} tokens and {are} cut"
            + ("" if under_way.paired else f"; --long windows reads {them} whole")
        )
    if under_way.windowed:
        have, are = ("has", "is") if under_way.windowed == 1 else ("have", "are")
        rows_ = _count(under_way.windowed, "training row")
        talk.say(f"{rows_} {have} more than {under_way.limit} tokens and {are} read in windows.")
    if under_way.resumed is not None:
        talk.say(f"Going on after step {under_way.resumed:,} of {len(under_way.steps):,}.")
    elif request.resume:
        talk.say(f"There is no checkpoint in {request.out} yet; beginning with the first step.")


def _train(request: Request, under_way: Finetuning) -> None:
    def reached() -> str:
        return f"step {under_way.training.step:,} of {len(under_way.steps):,}"

    with board(under_way) as show:
        train(request.out, request.again(), under_way.run(), show, reached)


def _finish(request: Request, rows: Rows, under_way: Finetuning, seconds: float) -> dict[str, Any]:
    """Judge the model on test, save it, say how it was made; the checkpoints are then no longer needed."""
    from sightline.tasks.answers import answers
    from sightline.tasks.encode import encode
    from sightline.tasks.made import made
    from sightline.tasks.metrics import scores
    from sightline.weights.files import write_json

    model, test = under_way.model, rows.test
    with talk.busy("Judging on test"):
        encoded = encode(
            tokenizer_of(model), test.texts, test.pairs, limit=under_way.limit, long=model.long, numbers=test.rows
        )
        found = answers(model, encoded)
        judged = scores(test.targets, found)
    record = made(
        under_way,
        base=request.base,
        size=request.new_size,
        examples={"train": rows.train, "dev": rows.dev, "test": test},
        files={"train": request.rows, "dev": request.dev or request.rows, "test": request.test or request.rows},
        columns=(rows.table.text_columns, rows.table.label_column),
        assumed=rows.assumed,
        test=judged,
        seconds=seconds,
    )
    model.save(request.out)
    write_json(request.out / MADE, record)  # last: it says that all is there
    return record


def _tidy(out: Path) -> None:
    """Remove what a finished training no longer needs, and half files of a run that was killed."""
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    for left in out.glob(".*.part"):
        left.unlink(missing_ok=True)


def _answer(request: Request, record: Mapping[str, Any], *, json: bool) -> None:
    from sightline.tasks.metrics import in_words

    say_note(request.out)
    if json:
        told = {name: record[name] for name in ("task", "labels", "rows", "best", "dev", "test", "seconds")}
        talk.answer_json({"out": str(request.out), **told})
        return
    best = record["best"]
    talk.answer(f"dev    {in_words(record['dev'])}; best after pass {best['passes']:g} of {record['config']['passes']}")
    talk.answer(f"test   {in_words(record['test'])}")
    talk.answer(f"model  {request.out}")
    talk.say(f"To use it: sightline classify {shlex.quote(str(request.out))} more-rows.csv")


def _answer_again(request: Request, config: FinetuneConfig, *, json: bool) -> None:
    """The answer of a training that is finished already."""
    from sightline.weights.files import read_json

    record = read_json(request.out / MADE)
    check_same(request, config, record)
    _tidy(request.out)
    talk.say("This training was finished before.")
    _answer(request, record, json=json)


def _check(request: Request) -> bool:
    return check_out(request.out, made=MADE, resume=request.resume)


def tune_rows(request: Request, *, json: bool = False) -> None:
    """Teach a model from labelled rows, from beginning to end."""
    done, config, checkpoints = _check(request), request.config(), request.out / CHECKPOINTS
    with ExitStack() as process:
        begun = not done and checkpoints.is_dir()
        if begun:
            process.enter_context(alone(request.out, TRAINING))
            done = _check(request)  # what is there now that nobody else is
        if done:
            return _answer_again(request, config, json=json)
        _check_start(request)
        rows = _read(request)
        model = _start(request, rows)
        from sightline.tasks.finetune import Finetuning

        under_way = Finetuning(model, rows.train, rows.dev, config, folder=checkpoints, resume=request.resume)
        _say_plan(request, under_way)
        if not begun:
            process.enter_context(entered(request.out, MADE))
        started = time.perf_counter()
        _train(request, under_way)
        with telling_how_to_go_on(request.out, request.again(), "All steps are done; their checkpoint"):
            record = _finish(request, rows, under_way, time.perf_counter() - started)
        _tidy(request.out)
        return _answer(request, record, json=json)
