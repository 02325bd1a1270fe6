"""What is known of a model that another is fine-tuned from: its name, licence and languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CARD = "README.md"


def known_of(source: str | Path) -> dict[str, str]:
    """What a transformers folder or hub name says of itself, for the card of what is made from it.

    Args:
        source: the folder, or the name on the hub.

    Returns:
        ``base_model``, ``license`` and ``language`` (with commas), those that are known.
    """
    folder = Path(source)
    if not folder.is_dir():
        return {"base_model": str(source)}
    stated = _metadata(folder / CARD)
    found = {key: _text(stated.get(key)) for key in ("base_model", "license", "language")}
    return {key: value for key, value in found.items() if value}


def _metadata(card: Path) -> dict[str, Any]:
    """The metadata of a card; {} where there are none that can be read: nothing depends on them."""
    from huggingface_hub import ModelCard

    if not card.is_file():
        return {}
    try:
        found: dict[str, Any] = ModelCard.load(card, ignore_metadata_errors=True).data.to_dict()
    except Exception:  # a damaged card of another's may raise anything in the library
        return {}
    return found


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value or "")
