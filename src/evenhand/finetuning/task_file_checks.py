"""What each key of a task file may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evenhand._base.option_checks import SHORT, number, one_of, text, texts, words
from evenhand._base.out_of_scope import refuse_task
from evenhand._base.text import visible
from evenhand.criteria import Criterion
from evenhand.errors import InputError

ERRORS = ("f1", "accuracy", "balanced", "log_loss")


PARTS = ("pretrain", "train", "valid", "test")


NEEDS_DATA = ("table", "images", "text", "celeba", "lfwa")


NEEDS_LABEL = ("table", "images", "text")


TASKS = ("adult", *NEEDS_DATA)


def kind(value: Any) -> str:
    """A kind of task that is done here."""
    refuse_task(value)
    return one_of(TASKS)(value)


def labels(value: Any) -> str | tuple[str, ...]:
    """The label's column, or several: a list of two or more, each once."""
    listed = [text(one) for one in (value if isinstance(value, list | tuple) else [value])]
    twice = [one for one in listed if listed.count(one) > 1]
    if twice:
        raise InputError(f"{SHORT.repr(twice[0])} is given {listed.count(twice[0])} times")
    if not listed:
        raise InputError("expected a column's name or a list of them, found none")
    return listed[0] if len(listed) == 1 else tuple(listed)


def folder_name(value: Any) -> str:
    """A name that can be that of a folder: results are kept under it."""
    name = text(value)
    if name != name.strip(" .") or not name or len(name) > 100:
        raise InputError(f"expected 1 to 100 letters, no dot at an end, found {SHORT.repr(name)}")
    if any(c in '/\\:*?"<>|' for c in name) or visible(name) != name:
        raise InputError(
            f'a folder is called by it, so that it may hold no / \\ : * ? " < > | and nothing '
            f"that has no shape, found {SHORT.repr(name)}"
        )
    return name


def merged(value: Any) -> dict[str, tuple[str, ...]]:
    """New group to those it is made of: a mapping, or a list of ``new=A,B``."""
    if isinstance(value, Mapping):
        return {text(new): texts(old) for new, old in value.items()}
    made = {}
    for one in words(value):
        new, separator, old = one.partition("=")
        if not separator or not new.strip() or not texts(old):
            raise InputError(f"expected other=A,B, found {SHORT.repr(one)}")
        made[new.strip()] = texts(old)
    return made


CARD = ("license", "language", "datasets", "base_model", "intended")
SEVERAL = ("language", "datasets")


def card(value: Any) -> dict[str, str | list[str]]:
    """What a model card says: a mapping, or a list of ``license=mit``."""
    if not isinstance(value, Mapping):
        pairs = [one.partition("=") for one in words(value)]
        wrong = next((name for name, separator, _ in pairs if not separator), None)
        if wrong is not None:
            raise InputError(f"expected license=mit, found {SHORT.repr(wrong)}")
        value = {name.strip(): said.strip() for name, _, said in pairs}
    named = {one_of(CARD)(name): said for name, said in value.items()}
    return {
        name: list(texts(said)) if name in SEVERAL else text(said) for name, said in named.items()
    }


def about(value: Any) -> dict[str, Any]:
    """What a run's report tells of itself: the path of about.yaml, or what that would hold."""
    from evenhand.report.about import About, read_about

    return (About.of(value) if isinstance(value, Mapping) else read_about(text(value))).told


def numbers(value: Any) -> tuple[float, ...]:
    """Ascending numbers: a list, or a text with commas."""
    listed = texts(value if isinstance(value, str | list | tuple) else [value])
    try:
        found = tuple(float(part) for one in listed for part in one.split(","))
    except ValueError:
        raise InputError(
            f"expected numbers such as [25, 45, 65], found {SHORT.repr(value)}"
        ) from None
    if list(found) != sorted(set(found)) or not all(abs(one) < 1e300 for one in found):
        raise InputError(f"expected ascending numbers, found {SHORT.repr(value)}")
    return found


def split(value: Any) -> str | dict[str, float]:
    """A column's name, or fractions by part; as a text they are ``train=.6,valid=.4``."""
    if isinstance(value, str) and "=" in value:
        try:
            pairs = [part.split("=") for part in value.split(",")]
            value = {name.strip(): float(share) for name, share in pairs}
        except ValueError:
            raise InputError(
                f"expected train=.6,valid=.15,test=.25, found {SHORT.repr(value)}"
            ) from None
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        raise InputError(
            f"expected a column's name or fractions such as {{train: .6, valid: .15, test: .25}}, "
            f"found {SHORT.repr(value)}"
        )
    shares = {str(part): number(0, 1)(share) for part, share in value.items()}
    unknown = [part for part in shares if part not in PARTS]
    if unknown:
        raise InputError(f"unknown part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise InputError(f"the fractions must sum to 1, found {sum(shares.values()):g}")
    return shares


def positive(value: Any) -> Any:
    """A value of the label, or several; one alone is itself."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, (list, str, int, float)):
        return value
    raise InputError(f"expected a value of the label or a list of them, found {SHORT.repr(value)}")


def rank(value: Any) -> int | str:
    """A whole number from 1, or ``"auto"``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if value == "auto":
        return "auto"
    if isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    raise InputError(f"a rank is a whole number or auto, found {SHORT.repr(value)}")


def criterion(value: Any) -> Criterion:
    """A criterion, or the name of one; of one's own ``package.module:name``, which is imported."""
    return value if isinstance(value, Criterion) else Criterion.load(text(value))


def limits(value: Any) -> float | dict[str, float]:
    """A limit, or limits by criterion: a mapping, or a list of ``criterion=limit``."""
    from evenhand.heads.selection.rule import Bound, parse_bounds

    if isinstance(value, Mapping):
        return {criterion(name): number(0, 2)(limit) for name, limit in value.items()}
    listed = value if isinstance(value, list | tuple) else [value]
    if all(isinstance(one, str) for one in listed):
        bounds = parse_bounds([Bound.parse(one) for one in listed])
        return {bound.criterion: bound.limit for bound in bounds}
    return number(0, 2)(value)


def depth(value: Any) -> int | str:
    """``"auto"``, 0, 1 or 2; a number may come as a text."""
    found = str(value)
    if isinstance(value, bool) or found not in ("auto", "0", "1", "2"):
        raise InputError(f"a depth is auto, 0, 1 or 2, found {SHORT.repr(value)}")
    return found if found == "auto" else int(found)
