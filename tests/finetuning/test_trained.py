"""A model trained below its head: families whose counts are of rows it was not trained on."""

import numpy as np
import pytest
import torch
from torch import nn
from trained_job import split

import evenhand as eh
from evenhand.errors import InputError, ModelError
from evenhand.finetuning import train_folds as below
from evenhand.finetuning.fitting import TRAINED, family_of
from evenhand.finetuning.given import stage_given
from evenhand.finetuning.inmodel.moving import moving, moving_of
from evenhand.finetuning.trained import epochs_needed, with_trained
from evenhand.heads.selection.crossfit import crossfit, crossfit_seen
from evenhand.heads.selection.rule import Rule
from evenhand.heads.selection.views import Views
from evenhand.heads.spec import HeadSpec
from evenhand.metrics.rates import f1_error
from evenhand.models.find_taps import last_block
from evenhand.tasks.inputs import Joined, View


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.Tanh())

    def forward(self, rows):
        return rows + self.inner(rows)


class Net(nn.Module):
    """Two blocks and a head, its weights never trained."""

    def __init__(self, inputs=6, width=12):
        super().__init__()
        self.first = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList([Block(width) for _ in range(2)])
        self.head = nn.Linear(width, 2)

    def forward(self, rows):
        hidden = torch.tanh(self.first(rows))
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(hidden)


@pytest.fixture(scope="module")
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net()


@pytest.fixture(scope="module")
def splits():
    return split(2500, 0), split(500, 1), split(1500, 2)


@pytest.fixture(scope="module")
def results(net, splits):
    """Everything trained, and the last layer, whose model keeps its class."""
    asked = {"fresh_head": True, "bound": {"eo": 0.4}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(below, "RATE", 1e-2)  # never trained, it has far to go in few steps
        return {
            "all": eh.finetune(net, *splits, trained="all", **asked),
            "last-layer": eh.finetune(net, *splits, trained="last-layer", plain=True, **asked),
        }


def test_what_held_out_rows_say_is_chosen(results):
    every = results["all"]
    assert family_of(every.fair_head).startswith(TRAINED)
    assert every.promised is True
    errors = [float(f1_error(one.counts.total)) for one in (every.run.after, every.run.before)]
    assert errors[0] < errors[1] - 2
    assert "a head on the model trained below it" in every.run.decided


@pytest.mark.parametrize("which", ["all", "last-layer"])
def test_what_is_shipped_decides_as_reported(results, splits, which, tmp_path):
    result = results[which]
    inputs, labels, _ = splits[2]
    eh.save(result.fair_model, tmp_path / "model")
    for model in (result.model, eh.load(tmp_path / "model", Net()).backbone.model):
        with torch.inference_mode():
            decided = model(torch.as_tensor(inputs)).argmax(dim=1).numpy()
        assert (decided == labels).sum() == np.trace(result.run.after.counts.total)


def test_only_what_was_asked_is_trained(net, results):
    backbone = eh.models.wrap(net, "head")
    assert last_block(backbone) == "blocks.1"
    stage = results["last-layer"].stage  # where the choice fell on the head alone, of the model
    own = (stage.trained or stage).backbone.model
    assert type(own) is Net
    moved = {
        name
        for name, value in net.named_parameters()
        if not torch.equal(value, own.get_parameter(name))
    }
    block = {"blocks.1.inner.0.weight", "blocks.1.inner.0.bias"}
    assert moved == block | {"head.weight", "head.bias"}
    every = results["all"].model.model
    assert not any(
        torch.equal(value, every.get_parameter(name))
        for name, value in net.named_parameters()
        if not name.startswith("head")
    )


def test_folds_are_judged_by_models_that_never_saw_them(results):
    """A family of trained heads looks better on the rows it was trained on."""
    fair = results["all"].fair_head
    family = next(one for one in fair.families if one.family.startswith(TRAINED))
    held_out = family.totals[0, family.offsets.index(0.0)]
    assert float(f1_error(held_out)) > 25


def test_a_model_without_blocks_has_no_last_layer(splits):
    plain = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(ModelError, match="no blocks"):
        eh.finetune(plain, *splits, fresh_head=True, trained="last-layer")


def test_rows_of_weights_and_tables_train_a_head_only(net, splits):
    weights = [np.full(len(part[1]), 2.0) for part in splits]
    with pytest.raises(InputError, match="leave out --train or --weight"):
        eh.finetune(net, *splits, fresh_head=True, trained="all", sample_weight=weights)
    with pytest.raises(InputError, match="give --model"):
        eh.finetune(None, *splits, trained="all")


def test_only_what_is_named_asks_for_a_gradient(net):
    flags = [parameter.requires_grad for parameter in net.parameters()]
    own = eh.models.wrap(net, "head")
    targets = moving_of(own, ["blocks.1"])
    with moving(net, targets):
        asking = {name for name, p in net.named_parameters() if p.requires_grad}
        assert asking == {"blocks.1.inner.0.weight", "blocks.1.inner.0.bias"}
    assert [parameter.requires_grad for parameter in net.parameters()] == flags
    with pytest.raises(InputError, match="leave 'head' out"):
        moving_of(own, "head")
    with pytest.raises(ModelError, match="is called 'nothing'"):
        moving_of(own, "nothing")


def test_views_that_are_alike_are_cross_fitted_as_one(make_rows):
    rows = make_rows(400)
    numbers = np.arange(len(rows)) % 2
    spec = HeadSpec(ridge=1e-2)
    grid = eh.heads.CandidateGrid(strengths=(0.0, 1.0), offsets=(0.0, 0.2))
    found = crossfit_seen(Views(rows, numbers, [rows] * 2), spec, "equalized_odds", grid=grid)
    for fold in range(2):
        kept, judged = rows[numbers != fold], rows[numbers == fold]
        alone = crossfit(kept, spec, "equalized_odds", grid=grid).fits[1].head
        decided = np.asarray(found.decisions.at((1, 0)))[numbers == fold]
        assert (alone.predict(judged.features) == decided).all()
    whole = crossfit(rows, spec, "equalized_odds", grid=grid)
    assert np.allclose(whole.fits[1].head.weight, found.fits[1].head.weight)


def test_rows_joined_are_read_by_their_place():
    joined = Joined(["a", "b"], [], ["c"])
    assert len(joined) == 3
    assert list(joined) == ["a", "b", "c"]
    assert joined[-1] == "c"
    assert list(View(joined, [2, 0])) == ["c", "a"]
    with pytest.raises(IndexError):
        joined[3]


@pytest.mark.parametrize("plain", [True, False])
def test_models_that_share_what_lies_below_are_those_trained_alone(net, plain, monkeypatch):
    asked = {"trained": "last-layer", "plain": plain, "fresh_head": True}
    parts = (split(600, 3), split(200, 4), split(200, 5))
    stage, request = stage_given(net, parts, asked, groups="group")
    folds = np.arange(800) % 2
    monkeypatch.setattr(below, "RATE", 1e-2)
    shared = list(below.models_of_folds(stage, request, Rule(), folds))
    monkeypatch.setattr(below, "_above_a_cut", lambda *_: None)
    alone = list(below.models_of_folds(stage, request, Rule(), folds))
    assert len(shared) == len(alone) == 3
    own = net.head.in_features
    halves = np.abs(shared[0].development - shared[1].development)[:, :own].max()
    for one, other in list(zip(shared, alone, strict=True))[:2]:  # the last have other batches
        found = np.abs(one.development - other.development)[:, :own].max()
        assert found < 0.1 * halves  # alone it is remembered in half precision
    read = shared[-1].backbone
    inputs = read.prepare(list(parts[2][0]))
    with torch.inference_mode():
        assert np.allclose(read.read(inputs).numpy(), shared[-1].test, atol=1e-4)


def test_every_epoch_is_told_and_counted_before(net):
    asked = {"trained": "last-layer", "plain": True, "fresh_head": True}
    parts = (split(200, 3), split(100, 4), split(100, 5))
    stage, request = stage_given(net, parts, asked, groups="group")
    told = []
    with_trained(stage, request, Rule(), lambda: told.append(1))
    assert len(told) == epochs_needed(request) == 2 * (below.FOLDS + 1)
