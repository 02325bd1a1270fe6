import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

import evenhand as eh
from evenhand.errors import InputError, ModelError
from evenhand.finetuning.inmodel.adapt import adapt
from evenhand.finetuning.inmodel.evened import evened_head
from evenhand.finetuning.inmodel.frozen import find_cut
from evenhand.groups import Groups
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import f1_error, gap
from evenhand.models.load import wrap
from evenhand.rows import Rows


class Block(nn.Module):
    """A residual block: its input is read twice, so that it can only be cut as a whole."""

    def __init__(self, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, stride=stride)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.down = nn.Conv2d(width, width, 1, stride=stride)

    def forward(self, x):
        out = self.conv2(self.relu(self.bn(self.conv1(x))))
        out += self.down(x)
        return self.relu(out)


class Net(nn.Module):
    """A small residual network."""

    def __init__(self, classes=2):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.blocks = nn.Sequential(Block(8, 2), Block(8, 2))
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc(self.drop(self.blocks(self.stem(x)).mean(dim=(2, 3))))


def net(classes=2, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net(classes)


@functools.cache
def images(n=900, seed=0):
    """8 × 8 images whose mean tells the label and, too strongly, the group."""
    draw = np.random.default_rng(seed)
    group = draw.integers(0, 2, n)
    y = draw.integers(0, 2, n)
    x = draw.normal(size=(n, 1, 8, 8)).astype(np.float32)
    x += (0.5 * y + 0.5 * group - 0.5)[:, None, None, None].astype(np.float32)
    x[:, :, 0] += (y - 0.5)[:, None, None].astype(np.float32)
    return x, y, np.array(["F", "M"], dtype=object)[group]


def scores(model, data):
    x, y, group = data
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        decisions = model(torch.as_tensor(x)).argmax(dim=1).numpy()
    counts = Counts.of(y, decisions, Groups.from_values(group), ("n", "y"))
    return float(f1_error(counts.total)), float(gap(counts.table, "eo"))


def test_adapters_even_out_and_are_merged():
    pytest.importorskip("peft")
    model, train, test = net(), images(), images(2000, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    epochs = []
    kwargs = {"target_modules": ["blocks.1.conv2"], "epochs": 6, "ridge": 1e-3}
    plain = adapt(model, train, strength=0.0, **kwargs)
    fair = adapt(model, train, strength=3.0, on_epoch=epochs.append, **kwargs)
    assert type(fair) is Net
    assert set(fair.state_dict()) == set(before)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    moved = {
        name for name, value in fair.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {"blocks.1.conv2.weight", "fc.weight", "fc.bias"}
    change = (fair.blocks[1].conv2.weight - model.blocks[1].conv2.weight).flatten(1)
    assert torch.linalg.matrix_rank(change, rtol=1e-3) <= 1
    assert model.training
    assert fair.training
    assert not hasattr(fair, "peft_config")
    assert all(p.requires_grad for p in fair.parameters())
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4, 5, 6]
    assert epochs[-1].of == 6
    (plain_error, plain_gap), (error, fair_gap) = scores(plain, test), scores(fair, test)
    assert fair_gap < 0.7 * plain_gap
    assert error < plain_error + 10


def test_the_head_is_left_as_training_did_where_it_is_not_to_be_fitted_last():
    how = {"target_modules": ["blocks.1"], "rank": None, "epochs": 1, "ridge": 1e-2}
    data = images(300)
    fitted, left = (adapt(net(), data, refit=refit, **how) for refit in (True, False))
    for name, value in fitted.state_dict().items():
        assert torch.equal(value, left.state_dict()[name]) is not name.startswith("fc.")
    rows = Rows(
        wrap(left).features(data[0]).numpy(), data[1], Groups.from_values(data[2]), ("0", "1")
    )
    start = wrap(left).linear_head()
    last = evened_head(rows, "equalized_odds", 1.0, ridge=1e-2, start=start)
    found = wrap(fitted).linear_head().weight
    np.testing.assert_allclose(found, last.weight, atol=1e-3)
    assert np.abs(found - start.weight).max() > 0.01


def test_the_same_seed_gives_the_same_model_and_leaves_the_callers_alone():
    pytest.importorskip("peft")
    kwargs = {"target_modules": ["conv2"], "epochs": 2, "ridge": 1e-2, "rank": 2}
    state = torch.get_rng_state()
    first = adapt(net(), images(), **kwargs)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    second = adapt(net(), images(), **kwargs)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_remembering_changes_nothing_but_the_time():
    pytest.importorskip("peft")
    kwargs = {"target_modules": ["blocks.1.conv1"], "epochs": 2, "ridge": 1e-2}
    with_cache = adapt(net(), images(), **kwargs)
    without = adapt(net(), images(), cache=False, **kwargs)
    x = torch.as_tensor(images()[0][:50])
    torch.testing.assert_close(with_cache.eval()(x), without.eval()(x), atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("blocks.1.conv1", "blocks.1.conv1"),
        ("blocks.1.conv2", "blocks.1"),
        ("blocks.0.conv2", "blocks.0"),
        ("stem", None),
    ],
)
def test_the_cut_is_the_latest_that_gives_the_same_outputs(target, path):
    model = net().eval()
    cut = find_cut(model, [target, "fc"], torch.as_tensor(images()[0][:8]))
    assert (cut.path if cut else None) == path
    assert isinstance(model.stem, nn.Conv2d)


def test_several_layers_with_ranks_of_their_own_and_a_new_label_space():
    pytest.importorskip("peft")
    x, _, group = images()
    draw = np.random.default_rng(0)
    y = np.digitize(x[:, :, 0].mean(axis=(1, 2)) + 0.1 * draw.normal(size=len(x)), [-0.3, 0.3])
    group = group.copy()
    group[:5] = None
    model = adapt(
        net(),
        {"inputs": x, "labels": y, "sex": group},
        groups="sex",
        target_modules=r".*\.(conv1|conv2)",
        rank=1,
        rank_pattern={"conv2": 3},
        criterion="demographic_parity",
        epochs=1,
        ridge=1e-2,
    )
    assert model.fc.out_features == 3
    change = (model.blocks[0].conv2.weight - net().blocks[0].conv2.weight).detach().flatten(1)
    assert torch.linalg.matrix_rank(change, rtol=1e-3) == 3


def test_batches_may_come_from_a_loader():
    pytest.importorskip("peft")
    x, y, group = images()
    code = torch.tensor([0 if name == "F" else 1 for name in group])
    data = torch.utils.data.TensorDataset(torch.as_tensor(x), torch.as_tensor(y), code)
    loader = torch.utils.data.DataLoader(
        data, batch_size=100, shuffle=True, generator=torch.Generator().manual_seed(0)
    )
    model = adapt(
        net(), loader, target_modules=["conv2"], epochs=2, ridge=1e-2, strength=3.0, cache=False
    )
    head = adapt(net(), loader, target_modules=["conv2"], epochs=1, ridge=1e-2, strength=0.0)
    assert scores(model, images(2000, 1))[1] < scores(head, images(2000, 1))[1]


def test_a_backbone_brings_its_preparation():
    pytest.importorskip("peft")
    x, y, group = images()
    backbone = wrap(net(), "fc", prepare=lambda rows: torch.as_tensor(np.stack(rows)))
    model = adapt(backbone, (list(x), y, group), target_modules=["conv2"], epochs=1, ridge=1e-2)
    assert type(model) is Net


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"target_modules": ["fc"]}, InputError, "trains whole"),
        ({"target_modules": ["conv9"]}, ModelError, "conv9"),
        ({"target_modules": "conv("}, InputError, r"'conv\(' is no regular expression: missing"),
        ({"strength": np.nan}, InputError, "strength at least 0, found 0.003 and nan"),
        ({"lr": 0.1}, InputError, r"no option 'lr'\. It has"),
        ({"train": (np.ma.array(images()[0], mask=True), *images()[1:])}, InputError, "masked in"),
        ({"epochs": 0}, InputError, "epochs"),
        ({"strength": -1.0}, InputError, "strength"),
        ({"train": iter([])}, InputError, "many times"),
        ({"train": []}, InputError, "0 rows"),
        ({"train": {"inputs": 1}}, InputError, "no 'labels'"),
        ({"train": (*images()[:2], ["F"] * 900)}, InputError, "one group only"),
        ({"train": tuple(part[:40] for part in images())}, InputError, "nothing to even out"),
        ({"learning_rate": 1e30}, InputError, "lower the learning rate"),
    ],
)
def test_what_cannot_be_used_is_named(change, error, words):
    pytest.importorskip("peft")
    kwargs = {"train": images(), "target_modules": ["conv2"], "epochs": 1, "ridge": 1e-2} | change
    model = net()
    with pytest.raises(error, match=words):
        adapt(model, kwargs.pop("train"), **kwargs)


def test_without_peft_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(eh.errors.MissingExtraError, match=r"evenhand\[peft\]"):
        adapt(net(), images(), target_modules=["conv2"])


def test_mixed_precision_trains_the_same_way_and_gives_a_model_of_the_same_type():
    pytest.importorskip("peft")
    train, test = images(), images(2000, 1)
    options = {"target_modules": ["conv2"], "rank": 1, "strength": 1.0, "epochs": 3, "seed": 0}
    plain = adapt(net(), train, **options)
    mixed = adapt(net(), train, precision="bfloat16", device="cpu", **options)
    assert {p.dtype for p in mixed.parameters()} == {torch.float32}
    for one, other in zip(scores(plain, test), scores(mixed, test), strict=True):
        assert one == pytest.approx(other, abs=2.0)
    with pytest.raises(InputError, match="no precision 'half'"):
        adapt(net(), train, precision="half", **options)
    with pytest.raises(InputError, match="no device 'gpu'"):
        adapt(net(), train, device="gpu", **options)
