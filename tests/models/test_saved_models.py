"""What a run saves loads in the model's own library, and decides as it did here to 1e-5."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from evenhand import load, models
from evenhand.criteria import Criterion
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.stage import task_stage
from evenhand.groups import Groups
from evenhand.heads.selection.rule import Rule
from evenhand.tasks.inputs import Texts, View
from evenhand.tasks.task import Examples, Task

ROWS = 240
CLASSES = ("calm", "angry")
RULE = Rule(criterion=Criterion.EQUALIZED_ODDS)


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def task_of(inputs, classes=CLASSES):
    """Inputs, each a label and a group that its number gives, in three parts."""
    numbers = np.arange(ROWS)
    labels = (numbers // 2) % len(classes)
    groups = Groups(numbers % 2, ("a", "b"), "group")
    edges = {"train": slice(0, 120), "valid": slice(120, 160), "test": slice(160, ROWS)}
    parts = {name: Examples(inputs(numbers[s]), labels[s], groups[s]) for name, s in edges.items()}
    return Task(name="made up", classes=classes, label="label", fingerprint="", **parts)


def saved(backbone, task, folder):
    stage = task_stage(task, backbone, use_cache=False)
    result = finetune_stage(stage, FinetuneRequest(strength=0.3), rule=RULE)
    result.save(folder)
    expected = stage.backbone.features(list(task.test.inputs)[:8]).double().numpy()
    return result, result.fair_head.head.logits(expected)


def test_a_module_of_the_users_own(tmp_path):
    draws = np.random.default_rng(0).normal(size=(ROWS, 5)).astype(np.float32)
    build = lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2))  # noqa: E731
    task = task_of(lambda rows: draws[rows])
    _, expected = saved(models.wrap(build()), task, tmp_path)
    again = load(tmp_path, into=build()).module
    with torch.inference_mode():
        logits = again(torch.as_tensor(task.test.inputs[:8]))
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)
    assert json.loads((tmp_path / "model/evenhand.json").read_text())["classes"] == list(CLASSES)


@pytest.mark.whole
def test_torchvision(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    from safetensors.torch import load_file, save_file

    first = tmp_path / "pretrained.safetensors"
    save_file(torchvision.models.mobilenet_v3_small(num_classes=4).state_dict(), first)
    backbone = models.load("mobilenet_v3_small", weights=first, size=32)
    pixels = np.random.default_rng(0).integers(0, 255, (ROWS, 32, 32, 3), dtype=np.uint8)
    task = task_of(lambda rows: pixels[rows], ("x", "y", "z"))
    _, expected = saved(backbone, task, tmp_path / "run")
    again = torchvision.models.mobilenet_v3_small(num_classes=3).eval()
    again.load_state_dict(load_file(tmp_path / "run/model/model.safetensors"))
    with torch.inference_mode():
        logits = again(backbone.prepare(list(task.test.inputs)[:8]))
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["Bert", "Llama"])
def test_a_transformers_classifier_with_its_tokenizer(tmp_path, capsys, kind):
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers import models as token_models

    words = ["[PAD]", "[UNK]", *[f"w{i}" for i in range(30)]]
    backend = Tokenizer(
        token_models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", model_max_length=32
    )
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
        num_labels=5,
        pad_token_id=0,
    )
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config).eval()
    model.save_pretrained(tmp_path / "pretrained")
    tokens.save_pretrained(tmp_path / "pretrained")
    draw = np.random.default_rng(0)
    texts = Texts([" ".join(f"w{i}" for i in draw.integers(0, 30, 6)) for _ in range(ROWS)])
    task = task_of(lambda rows: View(texts, rows))
    capsys.readouterr()
    result, expected = saved(models.load(tmp_path / "pretrained"), task, tmp_path / "run")
    assert "shards" not in capsys.readouterr().err

    folder = tmp_path / "run/model"
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    again = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert again.config.id2label == dict(enumerate(CLASSES))
    assert result.model.num_labels == again.num_labels == 2
    batch = reader(list(task.test.inputs)[:8], padding=True, return_tensors="pt")
    batch.pop("token_type_ids", None)
    with torch.inference_mode():
        logits = again(**batch).logits
        ours = load(folder).module(**batch).logits
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)
    assert torch.equal(logits, ours)


def test_an_image_classifier_with_its_processor(tmp_path):
    transformers = pytest.importorskip("transformers")

    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
        num_labels=3,
    )
    transformers.ViTForImageClassification(config).eval().save_pretrained(tmp_path / "pretrained")
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path / "pretrained")
    pixels = np.random.default_rng(0).integers(0, 255, (ROWS, 32, 32, 3), dtype=np.uint8)
    task = task_of(lambda rows: pixels[rows])
    _, expected = saved(models.load(tmp_path / "pretrained"), task, tmp_path / "run")

    folder = tmp_path / "run/model"
    again = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    reader = transformers.AutoImageProcessor.from_pretrained(folder)
    assert again.config.id2label == dict(enumerate(CLASSES))
    with torch.inference_mode():
        logits = again(**reader(list(task.test.inputs)[:8], return_tensors="pt")).logits
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)
