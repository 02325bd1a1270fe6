"""A text encoder whose token states are averaged into one row a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.utils import skip_init

from evenhand._base.files import write_atomically
from evenhand.errors import ArtefactError
from evenhand.models.transformers_folder import (
    ENCODER,
    encoder_folder,
    from_folder,
    require_whole,
    without_pooler,
)
from evenhand.models.weights import read_weights

MAX_TOKENS = 256
HEAD_FILE = "2_Dense/model.safetensors"


class PooledEncoder(nn.Module):
    """A base encoder, the mean over its unmasked positions, and a linear head.

    It is saved as sentence-transformers saves such a model (encoder, mean pooling, dense layer):
    sentence-transformers reads the whole, its outputs are the logits. transformers reads the
    encoder in ``0_Transformer``; it has no class for the whole, and refuses the folder, where it
    would invent a head if the encoder lay at the top.

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
        encoder.save_pretrained(folder / ENCODER)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder / ENCODER)
        inputs, classes = self.classifier.in_features, self.classifier.out_features
        kinds = ("Transformer", "Pooling", "Dense")
        steps = [
            {
                "idx": index,
                "name": str(index),
                "path": f"{index}_{kind}",
                "type": f"sentence_transformers.models.{kind}",
            }
            for index, kind in enumerate(kinds)
        ]
        settings: dict[str, Any] = {
            "modules.json": steps,
            f"{ENCODER}/sentence_bert_config.json": {"max_seq_length": self.max_length},
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
        encoder, missing = from_folder(
            AutoModel, str(encoder_folder(folder)), {"use_safetensors": True}
        )
        require_whole(str(folder), without_pooler(missing))
        stated = encoder_folder(folder) / "sentence_bert_config.json"
        length = json.loads(stated.read_text(encoding="utf-8")).get("max_seq_length", MAX_TOKENS)
        model = cls(encoder, features, classes, max_length=int(length))
        model.classifier.load_state_dict(
            {name.removeprefix("linear."): tensor for name, tensor in state.items()}
        )
        return model.eval()
