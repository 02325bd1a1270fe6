"""The adapters beside the heads: the arithmetic of the page, and one small run end to end."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from evenhand.experiments.studies import last_block as study
from evenhand.finetuning.recipe import recipe


def frame(shift=0.0, seeds=3):
    """Heads on a straight line from (30 %, .6) to (34 %, .2); adapters ``shift`` points off it."""
    rows = []
    for seed in range(seeds):
        for strength, gap in ((0.0, 0.6), (1.0, 0.4), (3.0, 0.2)):
            error = 30 + 10 * (0.6 - gap) + seed
            rows.append(("head", strength, seed, error, gap))
        rows.append(("adapter", 1.0, seed, 30 + 10 * (0.6 - 0.3) + seed + shift, 0.3))
    return pd.DataFrame(rows, columns=["part", "strength", "seed", "error", "delta_eo"])


@pytest.mark.parametrize("shift", [-0.7, 0.0, 0.4])
def test_the_difference_is_taken_at_the_same_gap(shift):
    found = study.at_equal_gap(frame(shift)).iloc[0]
    assert found["difference"] == pytest.approx(shift)
    assert found["half_width"] == pytest.approx(0, abs=1e-9)
    assert (found["seeds"], found["strength"]) == (3, 1.0)
    assert f"{shift:+.2f}" in study.page(frame(shift), "command", "machine")


@pytest.mark.whole
def test_a_run_on_small_images(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "STRENGTHS", (1.0,))
    monkeypatch.setattr(study, "EPOCHS", 1)
    image = pytest.importorskip("PIL.Image")
    torchvision = pytest.importorskip("torchvision")
    pytest.importorskip("peft")
    from safetensors.torch import save_file

    draw = np.random.default_rng(0)
    number = 400
    marks = draw.choice([-1, 1], (number, 2))
    lines = [f"{i:06d}.jpg " + " ".join(map(str, row)) for i, row in enumerate(marks)]
    data = tmp_path / "celeba.zip"
    with zipfile.ZipFile(data, "w") as archive:
        text = "\n".join([str(number), "Male Wavy_Hair", *lines]) + "\n"
        archive.writestr("celeba/list_attr_celeba.txt", text)
        for i, (male, wavy) in enumerate(marks):
            pixels = np.full((16, 16, 3), 100 + 40 * male, dtype=np.uint8)
            pixels[:8] += np.uint8(25 * (wavy + 1))
            pixels += draw.integers(0, 30, pixels.shape, dtype=np.uint8)
            buffer = io.BytesIO()
            image.fromarray(pixels).save(buffer, "JPEG")
            archive.writestr(f"celeba/img_align_celeba/{i:06d}.jpg", buffer.getvalue())
    weights = tmp_path / "weights.safetensors"
    save_file(torchvision.models.resnet18(num_classes=3).state_dict(), weights)
    made = recipe(
        "celeba",
        data=data,
        model="resnet18",
        weights=str(weights),
        image_size=32,
        cache=tmp_path / "cache",
    )
    rows = study.last_block(made, [0])
    assert (rows["part"] == "adapter").sum() == 1
    assert rows["error"].between(0, 100).all()
    assert np.isfinite(rows["delta_eo"]).all()
