"""Transformers models of a few numbers, written to folders as their library does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def tokenizer(words: Sequence[str]) -> Any:
    """One token a word."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    listed = ["[PAD]", "[UNK]", *words]
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(listed)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
    )


def text_classifier(words: Sequence[str], classes: int = 2, **sizes: int) -> Any:
    """A BERT that tells classes of texts apart, its weights random."""
    import transformers

    config = transformers.BertConfig(
        **{**SIZES, **sizes},
        vocab_size=len(words) + 2,
        max_position_embeddings=32,
        num_labels=classes,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.BertForSequenceClassification(config).eval()


def image_classifier(classes: int = 2) -> tuple[Any, Any]:
    """A ViT that tells classes of images apart, its weights random, and its processor."""
    import transformers

    config = transformers.ViTConfig(**SIZES, image_size=32, patch_size=16, num_labels=classes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.ViTForImageClassification(config).eval()
    return model, transformers.ViTImageProcessor(size={"height": 32, "width": 32})


def written(folder: Path, *parts: Any) -> Path:
    """A folder with a model and what prepares its inputs."""
    for part in parts:
        part.save_pretrained(folder)
    return folder
