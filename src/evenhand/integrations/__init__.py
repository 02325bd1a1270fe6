"""evenhand inside other libraries; nothing in evenhand imports this room.

``evenhand.integrations.sklearn``, ``.trainer`` (transformers) and ``.peft``, each imported when
first used, so that only the library it serves is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand._base.lazy import lazy_names

if TYPE_CHECKING:
    from evenhand.integrations import peft, sklearn, trainer

_HOMES = {
    "peft": "evenhand.integrations.peft",
    "sklearn": "evenhand.integrations.sklearn",
    "trainer": "evenhand.integrations.trainer",
}

__all__ = ["peft", "sklearn", "trainer"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
