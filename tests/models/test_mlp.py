import numpy as np
import pytest
import torch

from evenhand.errors import ModelError
from evenhand.finetuning.mlp_adapter import hidden_inputs, last_hidden, with_parts
from evenhand.fisher.lowrank import trainable_parameters
from evenhand.groups import Groups
from evenhand.head import Head
from evenhand.heads.adapter import Adapter
from evenhand.models.mlp import MLP, Budget, mlp_features, mlp_head, pretrain_mlp, train_mlp
from evenhand.tasks.task import Examples


def examples(n=300, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    labels = (x[:, 0] * x[:, 1] + 0.3 * rng.normal(size=n) > 0).astype(int)
    return Examples(x, labels, Groups(rng.integers(0, 2, n), ("a", "b")))


def test_the_papers_sizes():
    assert trainable_parameters(MLP(71, 2)) == 742
    assert [trainable_parameters(MLP(71, 2, layers=k)) for k in (3, 4, 5)] == [852, 962, 1072]
    assert MLP(71, 2, layers=5)(torch.zeros(3, 71)).shape == (3, 2)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_features_and_head_are_the_model(layers):
    torch.manual_seed(0)
    model = MLP(6, 3, layers=layers, hidden=4)
    x = examples().inputs
    expected = model(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(mlp_head(model).logits(mlp_features(model, x)), expected, atol=1e-5)


def test_parts_are_put_into_a_copy():
    torch.manual_seed(0)
    model, x = MLP(6, 2, layers=3, hidden=4), examples().inputs
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=(4, 2)), rng.normal(size=2))
    adapter = Adapter(last_hidden(model), rng.normal(size=(4, 1)), rng.normal(size=(1, 4)))
    changed = with_parts(model, head, adapter)
    expected = head.logits(adapter(hidden_inputs(model, x)))
    np.testing.assert_allclose(changed(torch.tensor(x)).detach().numpy(), expected, atol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with pytest.raises(ModelError, match="no hidden layer to adapt"):
        last_hidden(MLP(6, 2, layers=1))


def test_pretraining_follows_its_seed_and_leaves_the_global_one_alone():
    state = torch.get_rng_state()
    one, same = (pretrain_mlp(examples(), examples(77), 2, seed=3, hidden=5) for _ in range(2))
    other = pretrain_mlp(examples(), examples(77), 2, seed=4, hidden=5)
    assert torch.equal(state, torch.get_rng_state())
    x = torch.tensor(examples(seed=1).inputs)
    assert torch.equal(one(x), same(x))
    assert not torch.equal(one(x), other(x))
    assert not one.training


def test_training_learns_stops_and_keeps_the_best_epoch():
    torch.manual_seed(0)
    model, told = MLP(6, 2, hidden=16), []
    train, valid = examples(2000), examples(500, seed=1)
    for parameter in model.features.parameters():
        parameter.requires_grad_(False)
    frozen = {n: v.clone() for n, v in model.features.state_dict().items()}
    train_mlp(model, train, valid, seed=0, budget=Budget(epochs=3), on_epoch=told.append)
    assert told == [0, 1, 2]
    assert all(torch.equal(frozen[n], v) for n, v in model.features.state_dict().items())
    model.requires_grad_(True)
    told.clear()
    train_mlp(
        model,
        train,
        valid,
        seed=0,
        budget=Budget(learning_rate=0.02, patience=2),
        on_epoch=told.append,
    )
    right = model(torch.tensor(valid.inputs)).argmax(dim=1).numpy() == valid.labels
    assert right.mean() > 0.8
    assert len(told) <= 60


def test_a_penalty_is_in_training_and_in_the_stopping_rule():
    torch.manual_seed(0)
    seen = []

    def penalty(logits, labels, codes):
        seen.append((len(logits), len(labels), len(codes)))
        return (logits**2).mean()

    model = MLP(6, 2)
    train_mlp(model, examples(300), examples(77), seed=0, penalty=penalty, budget=Budget(epochs=1))
    assert (77, 77, 77) in seen
    assert (256, 256, 256) in seen
