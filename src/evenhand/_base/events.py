"""What happens during long work, told to whoever listens: trackers, logs, progress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LOGGER = logging.getLogger("evenhand")
LOGGER.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        name: ``"started"``, ``"measured"`` (a method on the test rows), ``"chosen"``,
            ``"progress"`` (cells of a comparison), ``"epoch"`` (of training inside the model) or
            ``"finished"``.
        work: ``"finetune"``, ``"compare"`` or ``"adapt"``.
        values: plain values by name: numbers, texts, None, lists and mappings of such.
    """

    name: str
    work: str
    values: Mapping[str, Any] = field(default_factory=dict)


OnEvent = Callable[[Event], None]
"""Called with each event, in order, by the process that does the work."""


@dataclass(frozen=True)
class Telling:
    """Tells what happens in one piece of work, to the log and to a listener.

    Attributes:
        work: what it is.
        on_event: the listener; None where there is none.
    """

    work: str
    on_event: OnEvent | None = None

    def __call__(self, name: str, /, **values: Any) -> None:
        """Tell that ``name`` happened, with its values."""
        event = Event(name, self.work, values)
        if LOGGER.isEnabledFor(logging.INFO):
            told = " ".join(f"{key}={value}" for key, value in values.items())
            LOGGER.info("%s %s: %s", self.work, name, told, extra={"event": event})
        if self.on_event is not None:
            self.on_event(event)


def together(*listeners: OnEvent) -> OnEvent:
    """One listener that tells several.

    Args:
        listeners: called in this order.
    """

    def tell(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return tell
