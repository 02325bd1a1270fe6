"""The errors evenhand raises: each names the thing, the shape or count found, and what to do."""

from __future__ import annotations


class EvenhandError(Exception):
    """Base of every error raised on purpose by evenhand."""


class InputError(EvenhandError, ValueError):
    """Data, a setting or an argument cannot be used as it is."""


class ModelError(EvenhandError, ValueError):
    """A model, or a module inside it, is not what the operation needs."""


class ArtefactError(EvenhandError, RuntimeError):
    """A file is damaged, or does not belong to what it is used with."""


class UnpromisedWarning(UserWarning):
    """A bound was asked for that cannot be promised on these rows."""


class MissingExtraError(EvenhandError, ImportError):
    """An optional dependency is not installed.

    Attributes:
        package: its name.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package = package
        self._asked = (package, extra, purpose)
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'evenhand[{extra}]'"
        )

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str]]:
        """As :mod:`pickle` takes it from one process to another."""
        return type(self), self._asked
