"""Make a backbone of a name, a folder or a module."""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from evenhand.errors import InputError, ModelError
from evenhand.models.backbone import Backbone, Prepare
from evenhand.models.find_head import find_head
from evenhand.models.prepare import PrepareArrays

LONGEST_PATH = 1024
"""How many bytes the name of a model or the path of a file may have."""


def wrap(
    module: nn.Module,
    head: str | None = None,
    *,
    prepare: Prepare | None = None,
    processor: Any = None,
    name: str | None = None,
    classes: tuple[str, ...] | None = None,
) -> Backbone:
    """Any module as a backbone.

    Args:
        module: returns logits (B, k), a tuple that starts with them, or an object with ``.logits``.
        head: the path of its last linear layer, such as ``"classifier"``; found if None, and then
            checked against the module's own outputs on the first batch.
        prepare: collates raw inputs into what the module takes; None: rows of numbers to the
            module's own type, and integers as they are where it has an embedding.
        processor: the tokenizer or image processor of a transformers model, in place of
            ``prepare``.
        name: what artefacts call it.
        classes: the names of the head's classes, where known.

    Raises:
        ModelError: there is no head, or several layers may be it.
        InputError: a processor that is none, or is not the model's.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> backbone = eh.models.wrap(model)
        >>> backbone.head, backbone.in_features
        ('2', 8)
    """  # noqa: DOC502
    require_numbers(module)
    label = name or type(module).__name__
    if processor is not None:
        from evenhand.models.from_transformers import wrap_transformers

        if prepare is not None:
            raise InputError("give prepare or processor, not both")
        return wrap_transformers(module, processor, head, label, classes)
    path = find_head(module, head)
    own = prepare or arrays_for(module)
    return Backbone(module, path, own, label, classes, guessed=head is None)


def require_numbers(module: Any) -> None:
    """Refuse what is no module, or has parameters without numbers.

    Raises:
        ModelError: the message names the first such parameter.
    """
    if not isinstance(module, nn.Module):
        raise ModelError(f"a model is a torch.nn.Module, found a {type(module).__name__}")
    for name, parameter in module.named_parameters():
        if is_lazy(parameter):
            raise ModelError(f"parameter {name!r} has no shape yet: run the model on a batch first")
        if parameter.is_meta:
            raise ModelError(f"parameter {name!r} is on the meta device: load its weights first")


def arrays_for(module: nn.Module) -> PrepareArrays:
    """How rows of numbers are handed to ``module``: as token ids where it has an embedding."""
    looks_up = any(isinstance(m, (nn.Embedding, nn.EmbeddingBag)) for m in module.modules())
    return PrepareArrays(token_ids=looks_up)


def load(
    name: str | Path,
    *,
    weights: str | Path | None = None,
    head: str | None = None,
    size: int | None = None,
    max_length: int | None = None,
) -> Backbone:
    """A pre-trained model by name.

    Args:
        name: torchvision's (``resnet18``, ``vit_b_16``, …), ``efficientnet-lite0``,
            ``all-MiniLM-L6-v2``, ``timm:NAME`` or ``hf-hub:OWNER/NAME`` (timm's), a folder or hub
            name of transformers, a folder of a PEFT adapter, or ``package.module:function``, a
            function of the user's own that returns an ``nn.Module``.
        weights: a file (safetensors, or a state dict read weights-only), or the name of
            torchvision's weights; None: the model's own pre-trained weights.
        head: the path of the head; found if None.
        size: side of images in pixels.
        max_length: tokens kept of a text.

    Raises:
        InputError: no such model or file.
        ModelError: no head, or an ambiguous one.
        ArtefactError: weights of another model.
        MissingExtraError: a library or a package of weights is not installed.

    Example:
        >>> backbone = eh.models.load("my_nets:build")  # of a file my_nets.py
        >>> backbone.head, backbone.in_features
        ('classifier', 16)
    """  # noqa: DOC502
    from evenhand.models import from_peft as peft
    from evenhand.models import from_timm as timm
    from evenhand.models import from_torchvision as vision
    from evenhand.models import from_transformers as text

    label = str(name)
    _require_path(label, "model")
    if weights is not None:
        if not isinstance(weights, (str, Path)):
            raise InputError(f"weights must be a file or a name, found a {type(weights).__name__}")
        _require_path(str(weights), "weights")
    if max_length is not None and not (type(max_length) is int and 0 < max_length < 2**31):
        raise InputError(f"max_length must be a whole number above 0, found {str(max_length)[:40]}")
    if timm.is_timm(label):
        return timm.load_timm(label, weights=weights, head=head, size=size)
    if ":" in label and not Path(label).exists():
        return _own(label, weights, head, size)
    if label.lower().replace("_", "-") == vision.LITE0:
        return vision.load_lite0(weights=weights, head=head, size=size)
    if vision.is_torchvision(label):
        return vision.load_torchvision(label, weights=weights, head=head, size=size)
    if peft.is_adapter(Path(label)):
        return peft.load_adapter(Path(label), head=head, max_length=max_length)
    folder = text.packaged_folder(label)
    if folder is not None:
        return text.load_transformers(folder, head=head, max_length=max_length, name=text.MINILM)
    if Path(label).is_dir() or label.count("/") == 1:
        if weights is not None:
            raise InputError(
                f"weights: a transformers model brings its own; put them into the folder {label}"
            )
        return text.load_transformers(label, head=head, max_length=max_length)
    known = [vision.LITE0, text.MINILM, *vision.torchvision_names()]
    near = difflib.get_close_matches(label, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise InputError(
        f"unknown model {label!r}: give a torchvision name (pip install 'evenhand[vision]'), "
        f"{vision.LITE0}, {text.MINILM}, timm:NAME, a transformers folder or hub name "
        f"(owner/name), or package.module:function.{hint}"
    )


def _require_path(text: str, what: str) -> None:
    """Refuse what no file or model can be called."""
    if not text or "\0" in text or len(text.encode("utf-8", "surrogatepass")) > LONGEST_PATH:
        shown = text[:40].encode("unicode_escape").decode()
        raise InputError(
            f"{what}: {shown!r} of {len(text):,} characters is no name: give one of 1 to "
            f"{LONGEST_PATH} bytes, without NUL"
        )


def _own(label: str, weights: str | Path | None, head: str | None, size: int | None) -> Backbone:
    """The module that a function of the user's own returns, with weights from a file."""
    from evenhand.models.adopt_weights import adopt
    from evenhand.models.prepare import PrepareImages
    from evenhand.models.weights import read_weights

    module_name, _, function = label.partition(":")
    try:
        build: Any = getattr(import_module(module_name), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"model {label!r}: {error}") from error
    model = build()
    if not isinstance(model, nn.Module):
        raise ModelError(f"model {label!r} returned a {type(model).__name__}, not an nn.Module")
    path, brought = find_head(model, head), True
    if weights is not None:
        brought = adopt(model, read_weights(weights)[0], path, str(weights))
    prepare = PrepareImages(size) if size is not None else arrays_for(model)
    return Backbone(
        model.eval(), path, prepare, function, pretrained_head=brought, guessed=head is None
    )
