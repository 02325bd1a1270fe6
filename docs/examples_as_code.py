"""A docstring's ``Example:`` is shown as code: griffe knows ``Examples:`` alone."""

from __future__ import annotations

from typing import Any

import griffe


class ExamplesAsCode(griffe.Extension):
    """Rename the section while the code is read."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Called for each object with its documentation."""
        if obj.docstring is not None:
            obj.docstring.value = obj.docstring.value.replace("\nExample:\n", "\nExamples:\n")
