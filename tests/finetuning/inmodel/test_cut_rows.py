"""What a cut reads of each row, caught in the pass that extracts the features."""

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from tiny_models import text_classifier, tokenizer, written

import evenhand as eh
from evenhand.finetuning.inmodel.cut_rows import CutRows, caught_anew
from evenhand.finetuning.inmodel.frozen import fed
from evenhand.finetuning.inmodel.passes import copied
from evenhand.finetuning.inmodel.remembered import Remembered
from evenhand.finetuning.stage import task_stage
from evenhand.finetuning.train_folds import LAST_LAYER
from evenhand.head import Head
from evenhand.models.find_taps import last_block
from evenhand.tasks.from_arrays import task_of
from evenhand.tasks.inputs import Joined, View

WORDS = ["red", "blue", "green", "grey"]
LAST = "bert.encoder.layer.2"


def texts(n, seed):
    """Of 1 to 12 words."""
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, draw.integers(1, 13))) for _ in range(n)]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model = text_classifier(WORDS, num_hidden_layers=3)
    return eh.models.load(str(written(folder, model, tokenizer(WORDS))))


def part(n, seed):
    draw = np.random.default_rng(seed)
    return texts(n, seed), draw.integers(0, 2, n), draw.choice(["F", "M"], n)


@pytest.fixture
def task():
    return task_of(part(150, 0), part(40, 1), part(60, 2), "sex", None, "texts")


def staged(task, backbone, tmp_path, depth=0):
    return task_stage(task, backbone, cache=tmp_path, depth=depth, trained=LAST_LAYER)


@pytest.mark.parametrize("depth", [0, 2])
def test_the_pass_that_extracts_features_leaves_what_the_last_block_reads(
    task, backbone, tmp_path, depth
):
    assert last_block(backbone) == LAST
    stage = staged(task, backbone, tmp_path, depth)
    caught = stage.caught
    assert caught.cut.path == LAST
    inputs = View(Joined(stage.inputs["train"], stage.inputs["valid"]), [189, 3, 150, 77])
    assert caught.holds(inputs)
    batch, read = caught.batch(inputs)
    seen = []
    handle = backbone.model.get_submodule(LAST).register_forward_pre_hook(
        lambda _, args: seen.append(args[0])
    )
    try:
        expected = backbone.features(list(inputs))
    finally:
        handle.remove()
    mask = backbone.prepare(list(inputs))["attention_mask"].bool()
    assert batch["attention_mask"].equal(mask.long())  # no longer than its longest text
    assert torch.allclose(read[mask], seen[0][mask], atol=1e-6)
    with torch.no_grad(), fed(backbone.model, caught.cut) as feed:
        feed.current = read
        assert torch.allclose(backbone.read(batch), expected, atol=1e-6)


def test_a_pass_of_its_own_catches_the_very_same(task, backbone, tmp_path):
    first = staged(task, backbone, tmp_path)
    again = staged(task, backbone, tmp_path)  # from the cache
    inputs = View(again.inputs["train"], np.arange(20))
    assert not again.caught.holds(inputs)
    wanted = [View(one, np.arange(len(one))) for one in again.inputs.values()]
    caught = caught_anew(backbone, [LAST], wanted, batch_size=None, device=torch.device("cpu"))
    batch, read = caught.batch(inputs)
    same, expected = first.caught.batch(View(first.inputs["train"], np.arange(20)))
    assert torch.equal(read, expected)
    assert all(torch.equal(batch[key], same[key]) for key in same)


def test_a_new_head_is_zero_and_hides_no_cut_that_is_wrong(task, backbone, tmp_path):
    zero = Head(np.zeros((16, 2)), np.zeros(2))
    new = replace(backbone, model=backbone.with_head(zero))
    assert staged(task, new, tmp_path).caught.cut.path == LAST


def test_rows_that_take_too_much_are_not_kept(backbone):
    caught = CutRows(backbone, [LAST], most=1000)
    some = texts(8, 0)
    with caught.watch(some, np.arange(8), backbone.prepare(some)), torch.inference_mode():
        backbone.read(backbone.prepare(some))
    assert caught.refused
    assert not caught.holds(some)


def test_what_is_not_the_model_is_not_trained_on(task, backbone, tmp_path):
    """Rows put together anew, as by padding on the wrong side, must give what the model gives."""
    stage = staged(task, backbone, tmp_path)
    own = copied(backbone, stage.problem.head, torch.device("cpu"))
    test = stage.inputs["test"]
    blocks = [(View(test, np.arange(len(test))), stage.test)]
    assert Remembered.of(own, stage.caught, blocks, size=16, seed=0) is not None
    batches = stage.caught._batches
    batches[:] = [(inputs, read.roll(1, dims=1)) for inputs, read in batches]
    assert Remembered.of(own, stage.caught, blocks, size=16, seed=0) is None


def test_mixed_precision_is_for_features_alone(task, backbone, tmp_path):
    how = {"trained": LAST_LAYER, "precision": "bfloat16"}
    assert task_stage(task, backbone, cache=tmp_path, **how).caught is None


def test_the_last_layer_trains_without_a_pass_of_its_own(backbone, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("the rows went through the model once more")

    monkeypatch.setattr("evenhand.finetuning.inmodel.cut_rows.caught_anew", never)
    monkeypatch.setenv("EVENHAND_CACHE", str(tmp_path))
    parts = part(400, 0), part(100, 1), part(100, 2)
    result = eh.finetune(backbone, *parts, groups="sex", trained=LAST_LAYER, fresh_head=True)
    trained = result.fair_head.families[-1]
    assert any(one.family.startswith("trained head") for one in result.fair_head.families)
    assert not any(one.family.startswith("trained deep") for one in result.fair_head.families)
    assert len(trained.decisions.labels) == 500
