"""Options that are not given by their own flag: --set key=value, and EVENHAND_KEY."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from evenhand.errors import InputError

PREFIX = "EVENHAND_"


def settled(
    flags: Mapping[str, Any],
    settings: Sequence[str],
    environment: Mapping[str, str],
    checked: Any,
) -> dict[str, Any]:
    """What is given: by a flag, else by ``--set``, else by the environment; None by none of them.

    Values are read as a task file reads them.

    Args:
        flags: option to what its flag says; None where it was not given.
        settings: ``key=value`` each.
        environment: of the process; ``EVENHAND_CONFIDENCE`` is the option confidence.
        checked: from an option and a value to the value, or an InputError.

    Raises:
        InputError: no such option, one that is set twice, or a value that cannot be.
    """
    given = dict(flags)
    told: dict[str, str] = {}
    for setting in settings:
        key, value = named(setting, "--set", flags)
        if key in told:
            raise InputError(f"--set {key} is given twice; give it once")
        told[key] = f"--set {setting}"
        if given[key] is None or given[key] == []:
            given[key] = _read(value, f"--set {key}", key, checked)
    for key in flags:
        text = environment.get(PREFIX + key.upper(), "")
        if text and key not in told and given[key] in (None, []):
            given[key] = _read(text, PREFIX + key.upper(), key, checked)
    return given


def named(setting: str, flag: str, known: Mapping[str, Any] | Sequence[str]) -> tuple[str, str]:
    """``"key=value"`` as both.

    Raises:
        InputError: it is written otherwise, or there is no such option.
    """
    key, separator, value = setting.partition("=")
    key = key.strip().replace("-", "_")
    if not separator or not value.strip():
        raise InputError(f"{flag} is written key=value, as {flag} confidence=.95, not {setting!r}")
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"
        raise InputError(f"{flag} {key}: no such option{hint}")
    return key, value


def values_over(over: Sequence[str]) -> dict[str, list[Any]]:
    """``--over key=a,b`` as options with their values.

    Raises:
        InputError: one is written otherwise, names no option, or comes twice.
    """
    from evenhand.finetuning.request import OPTIONS

    found: dict[str, list[Any]] = {}
    for setting in over:
        key, text = named(setting, "--over", list(OPTIONS))
        if key in found:
            raise InputError(f"--over {key} is given twice; give all its values at once")
        value = as_written(text, f"--over {key}")
        listed = value if isinstance(value, list) else text.split(",")
        found[key] = [
            as_written(one, f"--over {key}") if isinstance(one, str) else one for one in listed
        ]
    return found


def as_written(text: str, where: str) -> Any:
    """A value as a task file reads it.

    Raises:
        InputError: it is no YAML.
    """
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: {text!r} cannot be read as a task file's value") from error


def _read(text: str, where: str, key: str, checked: Any) -> Any:
    value = as_written(text, where)
    try:
        checked(key, value)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return value
