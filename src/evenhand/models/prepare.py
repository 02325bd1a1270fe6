"""Preparing raw inputs for a model: arrays, images and texts to what ``model(...)`` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from evenhand._base.transfers import pinned, sent
from evenhand.errors import InputError, MissingExtraError

IMAGENET_MEAN = (0.485, 0.456, 0.406)


IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PrepareArrays:
    """Rows of numbers to one float32 tensor (B, …).

    Attributes:
        token_ids: rows of integers stay integers, for models that look them up in an embedding.
    """

    token_ids: bool = False

    def __call__(self, inputs: Sequence[Any]) -> torch.Tensor:
        """Stack ``inputs``.

        Raises:
            InputError: rows of different lengths, values that are no numbers, or numbers that are
                not finite in float32: a ReLU would hide minus infinity.
        """  # noqa: DOC501 - the TypeError is caught at once
        try:
            found = np.asarray(inputs)
            if self.token_ids and found.dtype.kind in "iu":
                return torch.as_tensor(found.astype(np.int64))
            if found.dtype.kind in "cmM":
                raise TypeError("complex numbers, dates or spans of time")
            with np.errstate(over="ignore"):
                stacked = found.astype(np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(
                "inputs cannot be stacked as rows of numbers: they differ in length or hold "
                "something that is no number"
            ) from error
        bad: Any = ~np.isfinite(stacked).reshape(len(stacked), -1).all(axis=1)
        if bad.any():
            raise InputError(
                f"{int(bad.sum())} of {len(bad)} inputs of a batch hold NaN, infinity or numbers "
                "beyond float32's 3.4e38; impute or scale them"
            )
        return torch.as_tensor(stacked)


@dataclass(frozen=True)
class PrepareImages:
    """PIL images (or (H, W, 3) uint8 arrays) to one normalised tensor (B, 3, size, size).

    The shorter side is resized to ``size`` (bilinear, antialiased), then the centre is cropped;
    nothing is random.

    Attributes:
        size: side in pixels.
        mean, std: of each channel, on the scale [0, 1].
    """

    size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __call__(self, inputs: Sequence[Any]) -> torch.Tensor:
        """Resize, crop and normalise each image."""
        return self.together([self.each(image) for image in inputs])

    def together(self, squares: Sequence[Any]) -> torch.Tensor:
        """What :meth:`each` gave for some images, as one normalised tensor."""
        return self.finish(self.stack(squares))

    def stack(self, squares: Sequence[Any]) -> torch.Tensor:
        """(B, size, size, 3) uint8 of what :meth:`each` gave: a quarter of what it becomes."""
        return torch.from_numpy(np.stack(squares))

    def finish(self, batch: torch.Tensor) -> torch.Tensor:
        """What :meth:`stack` gave, normalised, on whatever device it is."""
        number, high, wide, channels = batch.shape
        # Line by line, each channel's figure beside every pixel: three at a time is four times as
        # slow.
        lines = batch.view(number * high, wide * channels).float().div_(255)
        device = batch.device
        mean, std = sent(pinned(tuple(map(torch.tensor, (self.mean, self.std))), device), device)
        lines.sub_(mean.repeat(wide)).div_(std.repeat(wide))
        return lines.view(number, high, wide, channels).permute(0, 3, 1, 2)

    def each(self, image: Any) -> Any:
        """(size, size, 3) uint8, all that is needed of one image: a batch holds no whole photo.

        Raises:
            MissingExtraError: pillow is not installed.
        """
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingExtraError("pillow", "vision", "reading images") from error
        if isinstance(image, np.ndarray):
            if image.dtype == np.uint8 and image.shape == (self.size, self.size, 3):
                return image
            image = Image.fromarray(image)
        if image.mode != "RGB":
            image = image.convert("RGB")
        width, height = image.size
        scale = self.size / min(width, height)
        wide, high = max(self.size, round(width * scale)), max(self.size, round(height * scale))
        left, top = (wide - self.size) // 2, (high - self.size) // 2
        resized = image.resize((wide, high), Image.Resampling.BILINEAR)
        return np.array(resized.crop((left, top, left + self.size, top + self.size)))


@dataclass(frozen=True, eq=False)
class PrepareTexts:
    """Texts to a tokenizer's tensors, truncated to ``max_length`` tokens, padded to the longest.

    An empty text keeps the tokenizer's special tokens, or gets one pad token with attention where
    the tokenizer adds none, so that no row is empty.

    Attributes:
        tokenizer: a ``transformers`` tokenizer.
        max_length: tokens kept of a text; what is beyond is cut.
        name: of the tokenizer, for fingerprints.
    """

    tokenizer: Any = field(repr=False)
    max_length: int = 256
    name: str = ""

    def __call__(self, inputs: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Tokenize ``inputs``.

        Raises:
            InputError: one of them is no text.
        """
        for text in inputs:
            if not isinstance(text, str):
                raise InputError(f"a text must be a str, found {type(text).__name__}")
        encoded = self.tokenizer(
            list(inputs),
            truncation=True,
            max_length=self.max_length,
            padding=True,
            return_tensors="pt",
        )
        batch = {str(name): tensor for name, tensor in encoded.items()}
        tokens, mask = batch["input_ids"], batch["attention_mask"]
        if tokens.shape[1] == 0:
            pad = self.tokenizer.pad_token_id or 0
            batch["input_ids"] = torch.full((len(inputs), 1), pad, dtype=torch.long)
            batch["attention_mask"] = torch.ones((len(inputs), 1), dtype=torch.long)
            batch.pop("token_type_ids", None)
        else:
            empty = mask.sum(dim=1) == 0
            mask[empty, -1 if self.tokenizer.padding_side == "left" else 0] = 1
        return batch

    def lengths(self, inputs: Sequence[str]) -> list[int]:
        """How many tokens each text has; texts of like length make batches with little padding."""
        encoded = self.tokenizer(list(inputs), truncation=True, max_length=self.max_length)
        return [len(tokens) for tokens in encoded["input_ids"]]


@dataclass(frozen=True, eq=False)
class PreparePixelValues:
    """Images through a ``transformers`` image processor.

    Attributes:
        processor: an image processor.
    """

    processor: Any

    def __call__(self, inputs: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Resize and normalise as the processor's own configuration says."""
        return self.together([self.each(image) for image in inputs])

    def each(self, image: Any) -> torch.Tensor:
        """(channels, height, width) of one image: a batch holds no whole photo."""
        whole = image if isinstance(image, np.ndarray) else image.convert("RGB")
        pixels: torch.Tensor = self.processor([whole], return_tensors="pt")["pixel_values"][0]
        return pixels

    def together(self, pixels: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """What :meth:`each` gave for some images, as one batch."""
        return {"pixel_values": torch.stack(list(pixels))}
