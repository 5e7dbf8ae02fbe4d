"""The command line: `sightline VERB …`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from sightline.app import run, talk
from sightline.app.audit import audit
from sightline.app.classify import classify
from sightline.app.compare import compare
from sightline.app.evaluate import evaluate
from sightline.app.explain import explain
from sightline.app.look import look
from sightline.app.prepare import prepare
from sightline.app.pretrain import pretrain
from sightline.app.probe import probe
from sightline.app.score import score
from sightline.app.stopping import INTERRUPTED
from sightline.app.tune import tune
from sightline.errors import SightlineError

app = typer.Typer(
    name="sightline",
    help="One transformer block; who may attend to whom decides what it becomes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    run.fill,
    run.generate,
    run.embed,
    score,
    run.show,
    look,
    probe,
    audit,
    explain,
    tune,
    classify,
    compare,
    prepare,
    pretrain,
    evaluate,
):
    app.command()(verb)


def _version(wanted: bool) -> None:
    if wanted:
        from sightline import __version__

        talk.answer(f"sightline {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    verbs = cast(TyperGroup, context.command).commands
    talk.speak_for(verbs[cast(str, context.invoked_subcommand)])


def _leave_stdout() -> None:
    """What is still to be written goes nowhere, so that Python's own flush at exit is quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(args: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0, 1 for a check that failed, 2 for wrong use, 130 for Ctrl-C."""
    talk.print_what_can_be_printed()
    try:
        with talk.notes():
            result = app(args=None if args is None else list(args), standalone_mode=False, prog_name="sightline")
        if result == INTERRUPTED:  # typer turns Ctrl-C into its exit code
            talk.say("Stopped.")
        return result if isinstance(result, int) else 0
    except SightlineError as error:
        talk.say(f"sightline: {error}")
        return 2
    except TyperException as error:  # wrong options; without any, the help was printed and the message is empty
        if message := error.format_message():
            talk.say(f"sightline: {message}")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        talk.say("Stopped.")
        return INTERRUPTED
    except BrokenPipeError:
        _leave_stdout()
        return 1
    except OSError as error:  # stdout on a full disk, no memory to map a file into
        given = sys.argv[1:] if args is None else args
        own = error.filename is not None and any(Path(str(error.filename)).is_relative_to(each) for each in given)
        talk.say(f"sightline: the system refused{f' {error.filename}' if own else ''}: {error.strerror or error}")
        _leave_stdout()
        return 2
