"""What turns raw inputs into a transformers model's own: its tokenizer or image processor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evenhand.errors import InputError
from evenhand.models.transformers_folder import reason, safe_options, without_bars

SMALLEST_SHARE = 0.5
"""A tokenizer with less than this share of the model's vocabulary is another model's."""

MOST_OF = {
    "num_labels": 1_000_000,
    "hidden_size": 1_000_000,
    "intermediate_size": 10_000_000,
    "num_hidden_layers": 10_000,
    "num_attention_heads": 100_000,
}
"""No model has more of these."""


def read_tokenizer(auto: Any, where: str, config: Any) -> Any:
    """The tokenizer of a folder or hub name, checked against the model's vocabulary.

    transformers makes one of a few special tokens where a folder has no tokenizer's files: every
    text would read alike.

    Raises:
        InputError: there is none, it is damaged, or it is not the model's.
    """
    advice = "copy the tokenizer from the base model into the folder"
    try:
        with without_bars():
            tokenizer = auto.from_pretrained(where, **safe_options(where))
        known = len(tokenizer)
    except Exception as error:  # a damaged file may raise anything in the library
        raise InputError(
            f"{where} has no tokenizer that can be read ({reason(error)}): {advice}"
        ) from error
    files = {str(name) for name in tokenizer.vocab_files_names.values()} | {"tokenizer.json"}
    reads_files = bool(tokenizer.vocab_files_names)
    if Path(where).is_dir() and reads_files and not _any_file(Path(where), files):
        raise InputError(f"{where} has no tokenizer's files ({', '.join(sorted(files))}): {advice}")
    vocabulary = getattr(config, "vocab_size", None)
    if not isinstance(vocabulary, int):
        return tokenizer
    if known < SMALLEST_SHARE * vocabulary:
        raise InputError(
            f"the tokenizer of {where} knows {known:,} tokens, the model {vocabulary:,}: it is "
            f"another model's, and most texts would read alike; {advice}"
        )
    highest = max(tokenizer.get_vocab().values(), default=0)
    if highest >= vocabulary:
        raise InputError(
            f"the tokenizer of {where} gives tokens up to {highest:,}, the model has embeddings "
            f"for {vocabulary:,}: it is another model's; {advice}"
        )
    return tokenizer


def read_processor(auto: Any, where: str) -> Any:
    """The image processor of a folder or hub name.

    Raises:
        InputError: there is none, or it is damaged.
    """
    try:
        return auto.from_pretrained(where, **safe_options(where))
    except Exception as error:  # a damaged file may raise anything in the library
        raise InputError(
            f"{where} has no image processor that can be read ({reason(error)}): copy "
            "preprocessor_config.json from the base model into the folder"
        ) from error


def require_plausible_sizes(folder: Path) -> None:
    """Refuse a folder whose config.json asks for more than its weights can hold.

    The library allocates what a configuration says, before it looks at the weights.

    Raises:
        InputError: the message names the setting; or the weights are pickled.
    """
    stated = folder / "config.json"
    try:
        settings = json.loads(stated.read_text(encoding="utf-8"))
        held = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    except (OSError, ValueError, RecursionError):
        return  # not a local folder, or damaged: the library says what is wrong
    if not isinstance(settings, dict):
        raise InputError(f"{stated} is damaged: it holds no settings by name")
    pickled = sorted(file.name for file in folder.glob("pytorch_model*.bin"))
    if not held and pickled:
        raise InputError(
            f"{folder} holds {pickled[0]} and no safetensors: pickled weights are not read; save "
            "the model again with safe_serialization=True (save_pretrained)"
        )
    width = settings.get("hidden_size")
    width = width if isinstance(width, int) and width > 0 else 1
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int):
            continue
        highest = MOST_OF.get(name, 2**63 - 1)
        if name in ("vocab_size", "max_position_embeddings", "type_vocab_size"):
            highest = max(8 * held // width, 1)
        if abs(value) > highest:
            shown = f"{value:,}" if abs(value) < 10**30 else "a number of more than 30 digits"
            raise InputError(
                f"{stated} is damaged: it says {name} {shown}, more than weights of {held:,} bytes "
                f"can hold ({highest:,} at most)"
            )


def _any_file(folder: Path, names: set[str]) -> bool:
    return any((folder / name).is_file() for name in names)
