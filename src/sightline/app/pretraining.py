"""What `sightline pretrain` does: a recipe and a corpus in, a model folder out, and every way to be interrupted."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.app import talk
from sightline.app.folders import say_note
from sightline.app.pretrain_board import board
from sightline.app.result_folder import CHECKPOINTS, TRAINING, check_out, entered, telling_how_to_go_on, train
from sightline.errors import ConfigError
from sightline.weights.alone import alone

if TYPE_CHECKING:
    from sightline.tasks.pretrain import Pretraining
    from sightline.text.corpus import Corpus
    from sightline.training.recipe import Recipe

MADE = "sightline-pretraining.json"
CORPUS = "corpus"
BESIDE = frozenset({"log.jsonl", "tensorboard", CORPUS})


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for on the command line."""

    recipe: Path
    out: Path
    corpus: str | None = None
    changes: tuple[str, ...] = ()
    device: str | None = None
    resume: bool = False

    def again(self) -> str:
        """The command that goes on with this training."""
        words = ["sightline", "pretrain", str(self.recipe), "--out", str(self.out)]
        words += [] if self.corpus is None else ["--corpus", self.corpus]
        words += [] if self.device is None else ["--device", self.device]
        for change in self.changes:
            words += ["--set", change]
        return shlex.join([*words, "--resume"])


def _files(table: Mapping[str, Any], beside: Path) -> list[str]:
    """The files of a recipe's corpus, named from where the recipe is; "demo": the reviews that come with Sightline."""
    files = table.get("files")
    if not isinstance(files, list) or not files or not all(isinstance(name, str) for name in files):
        raise ConfigError(f'corpus.files is {files!r:.80}; list the files of text, or ["demo"]')
    demo = str(resources.files("sightline").joinpath("data", "reviews.csv"))
    return [demo if name == "demo" else name if "://" in name else str(beside / name) for name in files]


def _folder(request: Request, recipe: Recipe) -> Path | None:
    """The folder of the corpus, where one is named: on the command line, or in the recipe and from there."""
    if request.corpus is not None:
        return Path(request.corpus)
    return request.recipe.parent / recipe.corpus if isinstance(recipe.corpus, str) else None


def _corpus(request: Request, recipe: Recipe, enter: Callable[[], None]) -> Corpus:
    """The corpus of a folder, or of the files that the recipe names, which are prepared first, in a folder that is
    entered for that."""
    from sightline.tasks.prepare import Preparation
    from sightline.tasks.prepare_config import PrepareConfig
    from sightline.text.corpus import open_corpus
    from sightline.training.toml_tables import from_table

    folder, table = _folder(request, recipe), recipe.corpus
    if folder is not None:
        return open_corpus(folder)
    if not isinstance(table, Mapping):
        raise ConfigError("there is no corpus: --corpus names a folder that sightline prepare made")
    config = from_table(PrepareConfig, {name: table[name] for name in table if name != "files"}, "corpus")
    files = _files(table, request.recipe.parent)
    enter()
    with talk.busy("Preparing the corpus"):
        for _ in Preparation(files, request.out / CORPUS, config).run():
            pass
    return open_corpus(request.out / CORPUS)


def _say_plan(request: Request, under_way: Pretraining) -> None:
    recipe, model, plan = under_way.recipe, under_way.model, under_way.plan
    count = sum(parameter.numel() for parameter in model.parameters())
    talk.say(
        f"A new {recipe.model.family} of {model.config.layers} layers, {model.config.width} wide, {count:,} weights;"
        f" objective {recipe.kind}."
    )
    tokens = under_way.corpus.train.tokens
    length = (
        f"{recipe.run.minutes:g} minutes"
        if recipe.run.minutes is not None
        else f"{plan.steps:,} steps, {plan.tokens(plan.steps):,} tokens ({plan.tokens(plan.steps) / tokens:.3g} passes)"
    )
    talk.say(f"The corpus has {tokens:,} tokens; {length}, {under_way.training.precision}.")
    if not len(under_way.corpus.valid):
        talk.say("The corpus has no part to judge by, so nothing is measured on the way.")
    if under_way.resumed is not None:
        talk.say(f"Going on after step {under_way.resumed:,} of {plan.steps:,}.")
    elif request.resume:
        talk.say(f"There is no checkpoint in {request.out} yet; beginning with the first step.")


def _train(request: Request, under_way: Pretraining) -> None:
    from sightline.tasks.pretrain import PretrainProgress
    from sightline.tasks.pretrain_log import log

    with ExitStack() as written_and_shown:
        with telling_how_to_go_on(request.out, request.again(), "What was saved before"):
            written = written_and_shown.enter_context(log(request.out, under_way.training.step))
        show = written_and_shown.enter_context(board(under_way))

        def take(progress: PretrainProgress) -> None:
            written.take(progress)
            show(progress)

        def reached() -> str:
            return f"step {under_way.training.step:,} of {under_way.plan.steps:,}"

        train(request.out, request.again(), under_way.run(), take, reached)


def _check_same(request: Request, made: Mapping[str, Any], recipe: Recipe) -> None:
    """ConfigError where the model in the folder was taught by another recipe, or on another corpus."""
    from sightline.text.corpus import open_corpus
    from sightline.training.recipe import first_change

    now, then = recipe.tables(), {**made, "corpus": made["corpus"].get("table")}
    folder = _folder(request, recipe)
    if folder is None and isinstance(recipe.corpus, Mapping):
        now["corpus"] = dict(recipe.corpus)
    if changed := first_change(now, then):
        name, value, before = changed
        raise ConfigError(
            f"the model in {request.out} was taught with {name}={before!r}, and now it is {value!r}; name another"
            " folder with --out"
        )
    if (
        folder is not None
        and folder.is_dir()
        and open_corpus(folder, verify=False).fingerprint != made["corpus"]["fingerprint"]
    ):
        raise ConfigError(f"the model in {request.out} was taught on another corpus; name another folder with --out")


def _record(request: Request, under_way: Pretraining) -> dict[str, Any]:
    """How the model was made."""
    import sightline

    recipe, plan = under_way.recipe, under_way.plan
    return {
        "sightline": sightline.__version__,
        "recipe": request.recipe.name,
        "changes": list(request.changes),
        **recipe.tables(),
        "stages": [asdict(stage) for stage in plan.stages],
        "corpus": {
            "fingerprint": under_way.corpus.fingerprint,
            "tokens": under_way.corpus.train.tokens,
            "table": recipe.corpus if _folder(request, recipe) is None else None,
        },
        "steps": plan.steps,
        "tokens": plan.tokens(plan.steps),
        "averaged_steps": under_way.averaging.steps,
        "seconds": under_way.elapsed,
        "history": [asdict(look) for look in under_way.history],
    }


def _finish(request: Request, under_way: Pretraining) -> dict[str, Any]:
    from sightline.weights.files import write_json

    record = _record(request, under_way)
    under_way.model.save(request.out)
    write_json(request.out / MADE, record)  # last: it says that all is there
    for left in (CHECKPOINTS, CORPUS):
        shutil.rmtree(request.out / left, ignore_errors=True)
    return record


def _answer(request: Request, record: dict[str, Any], *, as_json: bool) -> None:
    say_note(request.out)
    last = record["history"][-1]["scores"] if record["history"] else {}
    if as_json:
        told = {name: record[name] for name in ("steps", "tokens", "seconds")}
        talk.answer_json({"out": str(request.out), **told, "valid": last})
        return
    if last:
        talk.answer(f"valid  {', '.join(f'{name} {value:.4f}' for name, value in last.items())}")
    talk.answer(f"read   {record['tokens']:,} tokens in {record['steps']:,} steps, {record['seconds']:,.0f} s")
    talk.answer(f"model  {request.out}")


def pretrain_model(request: Request, *, as_json: bool = False) -> None:
    """Teach a new model as a recipe says, from beginning to end."""
    from sightline.weights.files import read_json

    out, checkpoints = request.out, request.out / CHECKPOINTS

    def finished() -> bool:
        return check_out(out, made=MADE, resume=request.resume, also=BESIDE)

    with ExitStack() as process:
        done, begun = finished(), checkpoints.is_dir()
        if begun and not done:
            process.enter_context(alone(out, TRAINING))
            done = finished()  # what is there now that nobody else is

        def enter() -> None:
            nonlocal begun
            if not begun:
                process.enter_context(entered(out, MADE))
            begun = True

        from sightline.tasks.pretrain import Pretraining
        from sightline.training.recipe import read_recipe

        recipe = read_recipe(request.recipe, request.changes)
        if done:
            made = read_json(out / MADE)
            _check_same(request, made, recipe)
            talk.say("This training was finished before.")
            return _answer(request, made, as_json=as_json)
        corpus = _corpus(request, recipe, enter)

        with talk.busy("Making the model"):
            under_way = Pretraining(recipe, corpus, folder=out, resume=request.resume, device=request.device)
        _say_plan(request, under_way)
        enter()
        _train(request, under_way)
        with telling_how_to_go_on(request.out, request.again(), "All steps are done; their checkpoint"):
            record = _finish(request, under_way)
    _answer(request, record, as_json=as_json)
