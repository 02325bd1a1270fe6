"""What ``-v`` and ``--log-json`` show of long work: one line an event, nothing overwritten."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import typer


class AsText(logging.Formatter):
    """A time and what happened, without letters that act on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        from evenhand._base.text import visible

        return f"{self.formatTime(record, '%H:%M:%S')} {visible(record.getMessage())}"


class AsJson(logging.Formatter):
    """One object a line: the time, the work, what happened, and its values."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON; what is no number is null."""
        from evenhand.report.files import plain

        event = getattr(record, "event", None)
        told: dict[str, Any] = {"time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z")}
        if event is None:
            told |= {"level": record.levelname, "message": record.getMessage()}
        else:
            told |= {"work": event.work, "event": event.name, "values": plain(event.values)}
        return json.dumps(told, default=str)


def follow(context: typer.Context, *, verbose: bool, log_json: Path | None) -> None:
    """Send the library's log to standard error, to a file of JSON lines, or both.

    Raises:
        InputError: the file cannot be written.
    """
    from evenhand.errors import InputError

    handlers: list[logging.Handler] = []
    if verbose:
        shown: logging.Handler = logging.StreamHandler()
        shown.setFormatter(AsText())
        handlers.append(shown)
    if log_json is not None:
        try:
            kept = logging.FileHandler(log_json, encoding="utf-8")
        except OSError as error:
            raise InputError(f"--log-json {log_json}: {error.strerror}") from error
        kept.setFormatter(AsJson())
        handlers.append(kept)
    logger = logging.getLogger("evenhand")
    for handler in handlers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        context.call_on_close(lambda handler=handler: _end(logger, handler))


def _end(logger: logging.Logger, handler: logging.Handler) -> None:
    logger.removeHandler(handler)
    handler.close()
