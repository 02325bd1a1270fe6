"""A deep readout is one linear layer on what the model's stages give, in one pass."""

import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn

import evenhand as eh
from evenhand.errors import ModelError
from evenhand.head import Head
from evenhand.models import deepened, wrap
from evenhand.models.deep_readout import DeepReadout, scaled
from evenhand.models.mlp import MLP
from evenhand.models.saving import load, save


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Stages(nn.Module):
    """Three stages of an image network, the pooled last of which the head reads."""

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
            for a, b in ((3, 4), (4, 6), (6, 8))
        )
        self.fc = nn.Linear(8, 3)

    def forward(self, images):
        for stage in self.stages:
            images = stage(images)
        return self.fc(images.mean((2, 3)))


def stacked(inputs):
    return torch.stack(list(inputs))


@pytest.fixture
def images():
    return torch.randn(5, 3, 32, 32, dtype=torch.float64)


@pytest.fixture
def deep(images):
    backbone = deepened(wrap(Stages().double().eval(), prepare=stacked), list(images))
    draw = np.random.default_rng(0)
    return scaled(backbone, draw.normal(size=18), draw.uniform(0.5, 2, 18))


def with_numbers(backbone, classes=2):
    draw = np.random.default_rng(1)
    head = Head(draw.normal(size=(backbone.in_features, classes)), draw.normal(size=classes))
    return backbone.with_head(head), head


def test_its_logits_are_the_hand_built_concatenation_s(deep, images):
    model, head = with_numbers(deep)
    assert isinstance(model, eh.DeepReadout)
    inner, blocks, rows = model.model, [], images
    with torch.no_grad():
        for stage in inner.stages:
            rows = stage(rows)
            blocks.append(rows.mean((2, 3)).numpy())
        joined = np.hstack([blocks[2], blocks[1], blocks[0]])
        joined = (joined - model.centre.numpy()) * model.scale.numpy()
        expected = joined @ head.weight + head.bias
        np.testing.assert_allclose(model(images).numpy(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(deep.features(list(images)).numpy(), joined, rtol=1e-12, atol=1e-12)


def test_a_padded_head_decides_as_the_old_one(deep, images):
    old = wrap(deep.model.model, prepare=stacked)
    model = deepened(old, list(images)).with_head(old.linear_head().padded(18))
    with torch.no_grad():
        np.testing.assert_allclose(model(images), old.model(images), atol=1e-12)
    with pytest.raises(eh.errors.InputError, match="a head of 8 features cannot read 7"):
        old.linear_head().padded(7)


def test_nothing_is_left_behind_in_the_model(deep, images):
    model, _ = with_numbers(deep)
    model(images)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    again = copy.deepcopy(model)
    nn.init.zeros_(model.readout.weight)
    with torch.no_grad():
        assert again(images).abs().max() > 0
        assert (model(images) == model.readout.bias).all()


def test_the_model_s_own_flags_stay(images):
    inner = Stages().double()
    inner.stages[0].eval()
    deepened(wrap(inner, prepare=stacked), list(images))
    assert inner.training
    assert not inner.stages[0].training
    assert inner.stages[1].training
    model, _ = with_numbers(deepened(wrap(inner, prepare=stacked), list(images)))
    assert not model.eval().model.stages[1].training
    assert model.train().model.stages[1].training


def test_it_trains_below_its_layer_too(deep, images):
    model, _ = with_numbers(deep)
    model(images).square().sum().backward()
    assert model.model.stages[0][0].weight.grad.abs().max() > 0
    assert model.readout.weight.grad.abs().max() > 0


def test_threads_do_not_read_each_other_s_rows(deep, images):
    model, _ = with_numbers(deep)
    with torch.no_grad():
        expected = [model(images[i : i + 1]) for i in range(5)]
    wrong = []

    def work(i):
        with torch.no_grad():
            for _ in range(40):
                if not torch.equal(model(images[i : i + 1]), expected[i]):
                    wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_tokens_are_averaged_under_the_mask(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    from evenhand.models.pooled_encoder import PooledEncoder

    def tokens(rows):
        length = max(map(len, rows))
        padded = [[*row, *[0] * (length - len(row))] for row in rows]
        ids = torch.tensor(padded)
        return {"input_ids": ids, "attention_mask": (ids > 0).long()}

    encoder = PooledEncoder(transformers.BertModel(config, add_pooling_layer=False), 8).eval()
    nn.init.normal_(encoder.classifier.weight)
    rows = [[3, 4, 5, 6], [7, 8], [9]]
    backbone = deepened(wrap(encoder, "classifier", prepare=tokens), rows)
    assert [tap.path for tap in backbone.model.taps] == [
        "encoder.encoder.layer.2",
        "encoder.encoder.layer.1",
    ]
    together = backbone.features(rows)
    for row, expected in zip(rows, together, strict=True):  # padding changes nothing
        torch.testing.assert_close(backbone.features([row])[0], expected)
    with torch.no_grad():
        hidden = encoder.encoder(**tokens(rows[:1]), output_hidden_states=True).hidden_states
    for place, layer in ((1, 3), (2, 2)):
        block = together[0, 8 * place : 8 * place + 8]
        torch.testing.assert_close(block, hidden[layer][0].mean(0))
    model, _ = with_numbers(backbone)
    saved = save(model, tmp_path / "model")
    again = load(saved)
    with torch.no_grad():
        torch.testing.assert_close(again(**tokens(rows)), model(**tokens(rows)))
    with pytest.raises((OSError, ValueError)):  # its own library does not take it for the whole
        transformers.AutoModel.from_pretrained(saved)


def test_it_is_saved_and_made_again(tmp_path):
    rows = torch.randn(20, 7)
    backbone = scaled(deepened(wrap(MLP(7, 2)), rows.numpy()), np.ones(17), np.full(17, 0.5))
    model, _ = with_numbers(backbone)
    again = load(save(model, tmp_path / "model"))
    assert isinstance(again, DeepReadout)
    assert again.taps == model.taps
    with torch.no_grad():
        assert torch.equal(again(rows), model(rows))


def test_one_of_a_user_s_own_is_loaded_into_a_module_of_its_class(tmp_path, deep, images):
    model, _ = with_numbers(deep)
    folder = save(model, tmp_path / "model")
    with pytest.raises(eh.errors.InputError, match="Stages: give a module of that class"):
        load(folder)
    for into in (Stages().double(), with_numbers(deep)[0]):
        again = load(folder, into)
        with torch.no_grad():
            assert torch.equal(again(images), model(images))


def test_torch_exports_it_for_any_number_of_rows(deep, images):
    model, _ = with_numbers(deep)
    rows = torch.export.Dim("rows")
    program = torch.export.export(
        model.eval(), (images[:3],), dynamic_shapes=(({0: rows},),), strict=False
    )
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images), model(images))


def test_what_cannot_be_read_is_named(deep, images):
    model, _ = with_numbers(deep)
    model.model.stages[0] = nn.Sequential(nn.Conv2d(3, 5, 3, 2), nn.Conv2d(5, 4, 1)).double()
    model.model.stages[0].register_forward_hook(lambda m, a, o: torch.cat([o, o], 1)[:, :4])
    model(images)
    model.taps = (model.taps[0], type(model.taps[1])("stages.0", "output", "mean over space", 9))
    with pytest.raises(ModelError, match="does not give 9 features a row: use depth 0"):
        model(images)
    assert deepened(deep, list(images)) is None
    with pytest.raises(ModelError, match="nothing to scale"):
        scaled(wrap(Stages()), np.zeros(8), np.ones(8))
