"""about.yaml: what a report is of, and the words that its readers would use."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from evenhand._base.text import visible
from evenhand.errors import InputError

LARGEST = 100_000
LONGEST = 2000


@dataclass(frozen=True)
class About:
    """What an owner tells of an audit or a run. It is shown as it is given; nothing is asked for.

    Attributes:
        title, author, purpose, period, model, date, version: texts.
        decided: what a positive decision is, after a number of people: "were approved".
        positive, negative: the people with, and without, the positive label: "who repaid", "who
            did not repay".
        groups: the name of a group to what its people are called: ``{F: women, M: men}``.
    """

    title: str | None = None
    author: str | None = None
    purpose: str | None = None
    period: str | None = None
    model: str | None = None
    date: str | None = None
    version: str | None = None
    decided: str | None = None
    positive: str | None = None
    negative: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What there is to list, as (name, text)."""
        names = ("author", "purpose", "period", "model", "date", "version")
        return [(name, text) for name in names if (text := getattr(self, name)) is not None]

    @property
    def told(self) -> dict[str, Any]:
        """All that is told, as plain values; :meth:`of` reads them back."""
        held = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in held.items() if value not in (None, {})}

    @classmethod
    def of(cls, found: Mapping[Any, Any], where: str = "about") -> Self:
        """What a mapping tells.

        Args:
            found: keys and values, as about.yaml holds them.
            where: what errors call it.

        Raises:
            InputError: a key or value that cannot be; it is named.
        """
        known = [one.name for one in fields(cls)]
        for key in found:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else "."
                raise InputError(
                    f"{where}: no key {visible(key)!r}{hint} The keys are {', '.join(known)}"
                )
        groups = found.get("groups") or {}
        if not isinstance(groups, Mapping):
            raise InputError(f"{where}, groups: expected names such as F: women")
        texts = {
            key: _text(where, key, value)
            for key, value in found.items()
            if key != "groups" and value is not None
        }
        named = {str(key): _text(where, "groups", value) for key, value in groups.items()}
        return cls(**texts, groups=named)


def read_about(path: str | Path | None) -> About:
    """What about.yaml says; nothing where there is none.

    Raises:
        InputError: no such file, not YAML, or a key or value that cannot be; it is named.
    """
    if path is None:
        return About()
    import yaml

    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} has {path.stat().st_size:,} bytes: about.yaml is small")
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{visible(path)} cannot be read as a text") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{visible(path)} is no YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(found, dict):
        raise InputError(f"{visible(path)} must hold names with values, such as title: Loans 2025")
    return About.of(found, visible(path))


def _text(where: str, key: str, value: Any) -> str:
    if isinstance(value, dict | list) or len(str(value)) > LONGEST:
        raise InputError(f"{where}, {key}: expected a text of at most {LONGEST} letters")
    return str(value)
