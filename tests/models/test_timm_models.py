"""timm's models: prepared by their own configuration, saved, and made again without a download."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from evenhand import load as load_run
from evenhand.errors import ArtefactError, InputError, MissingExtraError, ModelError
from evenhand.finetuning.export.export import export
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.stage import task_stage
from evenhand.groups import Groups
from evenhand.models import load
from evenhand.models.from_timm import PrepareTimm
from evenhand.tasks.task import Examples, Task

timm = pytest.importorskip("timm")

NAME = "test_resnet.r160_in1k"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(NAME, pretrained=False)
    file = tmp_path_factory.mktemp("timm") / "weights.safetensors"
    save_file(model.state_dict(), file)
    return file


def photo(seed=0, shape=(70, 50)):
    pixels = np.random.default_rng(seed).integers(0, 255, (*shape, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_a_model_is_prepared_as_its_own_configuration_says(weights):
    backbone = load(f"timm:{NAME}", weights=weights)
    model = timm.create_model(NAME, pretrained=False)
    config = timm.data.resolve_model_data_config(model)
    expected = timm.data.create_transform(**config, is_training=False)(photo())
    assert torch.equal(backbone.prepare([photo()])[0], expected)
    assert backbone.prepare.size == (3, 160, 160)
    assert torch.equal(backbone.prepare([np.asarray(photo())])[0], expected)
    logits = backbone.apply_head(backbone.features([photo()]))
    model.load_state_dict(backbone.model.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(logits, model.eval()(expected[None]), atol=1e-5, rtol=1e-5)
    assert load(f"timm:{NAME}", weights=weights, size=64).prepare.size == (3, 64, 64)


@pytest.mark.whole
def test_a_run_is_loaded_and_exported_without_a_download(weights, tmp_path, monkeypatch):
    backbone = load(f"timm:{NAME}", weights=weights, size=32)
    pixels = [photo(seed) for seed in range(60)]
    labels, groups = np.arange(60) // 2 % 2, Groups(np.arange(60) % 2, ("a", "b"), "group")
    edges = {"train": slice(0, 30), "valid": slice(30, 40), "test": slice(40, 60)}
    parts = {n: Examples(pixels[s], labels[s], groups[s]) for n, s in edges.items()}
    task = Task(name="made up", classes=("x", "y"), label="label", fingerprint="", **parts)
    stage = task_stage(task, backbone, use_cache=False)
    result = finetune_stage(stage, FinetuneRequest(strength=0.3))
    folder = result.save(tmp_path / "run")
    real = timm.create_model

    def offline(name, pretrained=False, **options):
        assert not pretrained
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    again = load_run(folder)
    assert isinstance(again.backbone.prepare, PrepareTimm)
    assert again.backbone.prepare == backbone.prepare
    expected = result.fair_model.predict_proba(pixels[40:])
    np.testing.assert_allclose(again.predict_proba(pixels[40:]), expected, atol=1e-6)
    pytest.importorskip("onnxruntime")
    assert export(again, pixels[:4], "onnx", tmp_path / "model.onnx").difference < 1e-5


def test_what_cannot_be_made_is_named(weights, monkeypatch):
    with pytest.raises(InputError, match=r"timm could not make 'test_resnot'.* --weights FILE"):
        load("timm:test_resnot", weights=weights)
    with pytest.raises(ArtefactError):
        load("timm:test_vit", weights=weights)
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"evenhand\[timm\]"):
        load("timm:anything")


@pytest.mark.parametrize(
    "name", ["deit_tiny_distilled_patch16_224", "repvit_m0_9", "pit_ti_distilled_224"]
)
def test_a_head_beside_another_is_refused_at_the_first_batch(tmp_path, name):
    """Two heads whose mean decides: what one of them says is not what is shipped."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(name, pretrained=False)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    backbone = load(f"timm:{name}", weights=tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match=r"outputs of .* are not those of"):
        backbone.features([photo()])
