"""Kronecker factors of hidden layers: those of a loop, pooled and balanced."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from evenhand.errors import InputError
from evenhand.fisher.hooks import group_fisher
from evenhand.fisher.kronecker import kronecker_factors
from evenhand.fisher.lowrank import factorize_, merge_
from evenhand.fisher.sums import GroupFisher

N = 40


@pytest.fixture
def trained():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 3))
    x = torch.randn(N, 5, dtype=torch.float64)
    labels = torch.randint(0, 3, (N,))
    groups = [None if i % 10 == 0 else "ab"[i % 3 > 0] for i in range(N)]
    return model.double(), x, labels, groups


def by_loop(model, x, labels, layer, kind):
    """Each sample's x xᵀ and E g gᵀ at the outputs of ``layer``, by autograd one by one."""
    inputs, outputs = [], []

    def keep(_, args, out):
        inputs.append(args[0])
        outputs.append(out)

    hook = layer.register_forward_hook(keep)
    made = []
    for row, label in zip(x, labels, strict=True):
        inputs.clear()
        outputs.clear()
        logits = model(row[None])
        shares = torch.softmax(logits.detach(), 1)[0] if kind == "true" else None
        total = 0
        for j in [label] if kind == "empirical" else range(3):
            loss = nn.functional.cross_entropy(logits, torch.tensor([int(j)]))
            (g,) = torch.autograd.grad(loss, outputs[0], retain_graph=True)
            total = total + (1 if shares is None else shares[j]) * g.T @ g
        made.append(((inputs[0].T @ inputs[0]).detach().numpy(), total.detach().numpy()))
    hook.remove()
    return made


@pytest.mark.parametrize("kind", ["empirical", "true"])
@pytest.mark.parametrize("balance", ["pooled", "groups", "cells"])
def test_the_factors_are_those_of_a_loop(trained, kind, balance):
    model, x, labels, groups = trained
    batches = [(x[:17], labels[:17], groups[:17]), (x[17:], labels[17:], groups[17:])]
    fisher = group_fisher(model, batches, target_modules=["0", "2"], kind=kind, kronecker=True)
    found = kronecker_factors(fisher, balance)["2"]
    each = by_loop(model, x, labels, model[2], kind)
    if balance == "pooled":
        members = [range(N)]
    else:
        pairs = list(zip(groups, labels.tolist(), strict=True))
        keys = pairs if balance == "cells" else groups
        known = {key for key, g in zip(keys, groups, strict=True) if g is not None}
        members = [[i for i in range(N) if keys[i] == key] for key in known]
    for number, factor in enumerate((found.input_factor, found.output_factor)):
        means = [np.mean([each[i][number] for i in of], axis=0) for of in members]
        np.testing.assert_allclose(factor, np.mean(means, axis=0), atol=1e-12)


def test_positions_are_samples(trained):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Flatten(), nn.Linear(15, 2)).double()
    x = torch.randn(20, 3, 4, dtype=torch.float64)
    batch = (x, torch.randint(0, 2, (20,)), [0, 1] * 10)
    found = kronecker_factors(group_fisher(model, [batch], target_modules=["0"], kronecker=True))[
        "0"
    ]
    flat = x.flatten(0, 1).numpy()
    np.testing.assert_allclose(found.input_factor, flat.T @ flat / 60, atol=1e-12)
    assert found.samples == 60


def test_sums_merge_and_are_kept(trained, tmp_path):
    model, x, labels, groups = trained
    asked = {"target_modules": ["2"], "kronecker": True}
    whole = group_fisher(model, [(x, labels, groups)], **asked)["2"]
    parts = [
        group_fisher(model, [(x[s], labels[s], groups[s])], **asked)["2"]
        for s in (slice(0, 9), slice(9, N))
    ]
    (parts[0] + parts[1]).save(tmp_path / "sums.safetensors")
    again = GroupFisher.load(tmp_path / "sums.safetensors")
    assert set(again.kronecker_cells) == set(whole.kronecker_cells)
    for balance in ("pooled", "groups", "cells"):
        one, other = (kronecker_factors({"2": sums}, balance)["2"] for sums in (whole, again))
        np.testing.assert_allclose(one.input_factor, other.input_factor, atol=1e-12)
        np.testing.assert_allclose(one.output_factor, other.output_factor, atol=1e-12)


def test_a_layer_compressed_by_its_factors_loses_less_than_by_the_plain_svd(trained):
    model, x, labels, groups = trained
    fisher = group_fisher(model, [(x, labels, groups)], target_modules=["2"], kronecker=True)
    factors = kronecker_factors(fisher)
    whole, weight = model(x).detach(), model[2].weight.detach().clone()
    ends = {}
    for name, weights in (("svd", {"2": np.ones(7)}), ("kronecker", factors)):
        copy = deepcopy(model)
        factorize_(copy, weights, rank=2)
        merge_(copy)
        ends[name] = float((copy(x).detach() - whole).square().mean())
    assert ends["kronecker"] < ends["svd"]
    torch.testing.assert_close(model[2].weight.detach(), weight)


@pytest.mark.filterwarnings("ignore::evenhand.fisher.factorize.NoSavingWarning")
def test_full_rank_keeps_the_function(trained):
    model, x, labels, groups = trained
    fisher = group_fisher(model, [(x, labels, groups)], target_modules=["2"], kronecker=True)
    before = model(x).detach()
    factorize_(model, kronecker_factors(fisher, "cells"), rank=6)
    torch.testing.assert_close(model(x).detach(), before)


def test_bad_input_is_named(trained):
    model, x, labels, groups = trained
    plain = group_fisher(model, [(x, labels, groups)], target_modules=["2"])
    with pytest.raises(InputError, match=r"factors of '2' were not collected"):
        kronecker_factors(plain)
    with pytest.raises(InputError, match="no balance 'even': give one of pooled, groups, cells"):
        kronecker_factors(plain, "even")
    nobody = group_fisher(model, [(x, labels, [None] * N)], target_modules=["2"], kronecker=True)
    with pytest.raises(InputError, match="no sample of '2' is of a known group"):
        kronecker_factors(nobody, "groups")
