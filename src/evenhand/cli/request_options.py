"""The options of a request as flags of a command."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

import typer

from evenhand._base.requests import Options
from evenhand.cli.settings import settled

SHORT = {"output": ("--output", "-o")}


def takes(
    *names: str, request: type | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator: the command has a flag for each option of ``request`` called ``names``.

    What the flags say is given to it as ``given``; of a fine-tuning's options, what ``--set`` and
    the environment say as well.
    """
    settable, request = request is None, request or _finetune_request()

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True)
        own = [
            parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(command).parameters.values()
            if parameter.name != "given"
        ]
        flags = [_flag(name, request) for name in names]
        flags += [_SET] if settable else []
        required = [one for one in own if one.default is one.empty]
        parameters = [*required, *flags, *(one for one in own if one.default is not one.empty)]

        @wraps(command)
        def with_flags(**values: Any) -> None:
            given = {name: values.pop(name) for name in names}
            if settable:
                settings, checked = values.pop(_SET.name) or [], Options(request).checked
                given = settled(given, settings, os.environ, checked)
            command(**values, given=given)

        with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_flags.__annotations__ = {one.name: one.annotation for one in parameters}
        return with_flags

    return decorate


_SET = inspect.Parameter(
    "settings",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any of these options as key=value, as a task file writes it; repeatable. "
            "EVENHAND_KEY in the environment does the same.",
        ),
    ],
)


def _flag(name: str, request: type) -> inspect.Parameter:
    options = Options(request)
    told = options[name].metadata
    kind: Any = taken(name, request)
    if told["many"]:
        kind = list[kind]
    option = typer.Option(*SHORT.get(name, (options.flags[name],)), help=told["help"])
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


def _finetune_request() -> type:
    from evenhand.finetuning.request import FinetuneRequest

    return FinetuneRequest


def taken(name: str, request: type | None = None) -> type:
    """What a flag takes: the option's own type where that is one typer reads, else a text."""
    hint = _hints(request or _finetune_request())[name]
    kinds = {kind for kind in get_args(hint) or (hint,) if kind is not NoneType}
    return kinds.pop() if len(kinds) == 1 and kinds <= {bool, int, float, Path} else str


@cache
def _hints(request: type) -> dict[str, Any]:
    return get_type_hints(request)
