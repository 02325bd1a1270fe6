"""The command line: verbs of a few lines over the library."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from evenhand.cli.once import OnceCommand
from evenhand.cli.terminal import say
from evenhand.errors import EvenhandError

COMMANDS = (
    *("finetune", "predict", "export", "compare", "sweep", "plan"),
    *("audit", "watch", "init", "paper", "rerun"),
)
GROUPS = ("cache", "study")
"""Commands that have commands of their own."""
BAD_INPUT, INTERRUPTED = 2, 130
INTERRUPTION = "interrupted; what was finished is kept, and the same command goes on from there"


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"evenhand {version('evenhand')}")
        raise typer.Exit


def _root(
    context: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell on standard error what happens.")
    ] = False,
    log_json: Annotated[
        Path | None, typer.Option("--log-json", help="Tell it in a file, a line of JSON each.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if verbose or log_json is not None:
        from evenhand.cli.logs import follow

        follow(context, verbose=verbose, log_json=log_json)


def app_of(names: Iterable[str]) -> typer.Typer:
    """The command line of some commands; only their modules are loaded."""
    made = typer.Typer(
        help="Fine-tune a pre-trained model so that its decisions fall evenly on groups.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.callback()(_root)
    for name in names:
        home = import_module(f"evenhand.cli.{name}")
        if name in GROUPS:
            made.add_typer(home.app, name=name)
        else:
            made.command(cls=OnceCommand)(getattr(home, name))
    return made


def __getattr__(name: str) -> typer.Typer:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return app_of((*COMMANDS, *GROUPS))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; no traceback reaches a user for bad input.

    Exit codes: 0 done, 1 a check that was asked for failed, 2 bad usage or input, 130 interrupted.
    """
    given = sys.argv[1:] if arguments is None else arguments
    every = (*COMMANDS, *GROUPS)
    asked = given[:1] if given and given[0] in every else every
    command: Any = typer.main.get_command(app_of(asked))
    try:
        sys.exit(command.main(args=arguments, prog_name="evenhand", standalone_mode=True))
    except SystemExit as done:  # typer turns ctrl-C into this code, without a word
        if done.code == INTERRUPTED:
            typer.echo(INTERRUPTION, err=True)
        raise
    except EvenhandError as error:
        say(f"error: {error}", err=True)
        sys.exit(BAD_INPUT)
    except ModuleNotFoundError as error:  # audit, watch and init work where torch was taken away
        if error.name != "torch":
            raise
        say(
            "error: this command fits or runs a model, and torch is missing: pip install torch",
            err=True,
        )
        sys.exit(BAD_INPUT)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        say(f"error: {error.strerror or error}{where}", err=True)
        sys.exit(BAD_INPUT)
    except KeyboardInterrupt:
        typer.echo(INTERRUPTION, err=True)
        sys.exit(INTERRUPTED)
