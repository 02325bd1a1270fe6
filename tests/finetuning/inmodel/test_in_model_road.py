"""The whole road: several layers' Fisher, low-rank layers, any loop with the gap loss, merged."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import evenhand as eh
from evenhand.finetuning.inmodel.adapt import adapt
from evenhand.finetuning.inmodel.frozen import fed, find_cut
from evenhand.heads.gap_loss import soft_gap_loss
from evenhand.metrics.counts import Counts
from evenhand.metrics.rates import gap


def rows(n=1200, seed=0):
    draw = np.random.default_rng(seed)
    group, y = draw.integers(0, 2, n), draw.integers(0, 2, n)
    x = draw.normal(size=(n, 8)).astype(np.float32)
    x[:, 0] += 1.2 * y + 1.2 * group
    x[:, 1] += 0.8 * y
    return torch.as_tensor(x), torch.as_tensor(y), torch.as_tensor(group)


def delta_eo(model, data):
    x, y, group = data
    with torch.no_grad():
        decisions = model(x).argmax(dim=1).numpy()
    names = eh.Groups(group.numpy(), ("a", "b"))
    return float(gap(Counts.of(y.numpy(), decisions, names, ("n", "y")).table, "eo"))


def test_several_layers_by_any_loop():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2)
        )
    train, test = rows(), rows(3000, 1)
    targets = ["0", "2", "4"]
    fisher = eh.group_fisher(model, [train], target_modules=targets)
    assert list(fisher) == targets
    found = {}
    for strength in (0.0, 3.0):
        low = copy.deepcopy(model)
        eh.factorize_(low, eh.neutralize(fisher), rank={"0": 4, "2": 4, "4": 1})
        optimizer = torch.optim.Adam(low.parameters(), 1e-2)
        for _ in range(120):
            optimizer.zero_grad()
            z = low(train[0])
            loss = nn.functional.cross_entropy(z, train[1])
            (loss + strength * soft_gap_loss(z, *train[1:])).backward()
            optimizer.step()
        before = low(test[0])
        eh.merge_(low)
        assert [type(layer) for layer in low] == [type(layer) for layer in model]
        torch.testing.assert_close(low(test[0]), before, atol=1e-5, rtol=1e-5)
        found[strength] = delta_eo(low, test)
    assert found[3.0] < 0.7 * found[0.0]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("bert.encoder.layer.1.output.dense", "bert.encoder.layer.1"),
        ("bert.pooler.dense", "bert.pooler"),
    ],
)
def test_transformers_models_are_cut_too(target, path):
    model, tokens = bert()
    inputs = {"input_ids": torch.as_tensor(tokens[:8])}
    cut = find_cut(model, [target], inputs)
    assert cut.path == path
    with fed(model, cut), pytest.raises(eh.errors.ModelError, match="feed is empty"):
        model(**inputs)
    assert all("forward" not in module.__dict__ for module in model.modules())


def test_an_adapter_in_a_transformers_model():
    pytest.importorskip("peft")
    model, tokens = bert()
    _, y, group = rows(len(tokens))
    batches = [
        {
            "input_ids": torch.as_tensor(tokens[start : start + 50]),
            "labels": y[start : start + 50],
            "group": ["ab"[g] for g in group[start : start + 50]],
        }
        for start in range(0, len(tokens), 50)
    ]
    kwargs = {"target_modules": ["layer.1.output.dense"], "head": "classifier"}
    tuned = adapt(model, batches, epochs=1, ridge=1e-2, **kwargs)
    assert type(tuned) is type(model)
    assert not hasattr(tuned, "peft_config")
    moved = {
        name
        for name, value in tuned.state_dict().items()
        if not torch.equal(value, model.state_dict()[name])
    }
    prefix = "bert.encoder.layer.1.output.dense.weight"
    assert moved == {prefix, "classifier.weight", "classifier.bias"}


def bert():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.BertForSequenceClassification(config).eval()
    return model, np.random.default_rng(0).integers(0, 20, (200, 7))
