"""The caller's look at a model in training, after each epoch."""

import numpy as np
import pytest
import torch
from torch import nn

import evenhand as eh
from evenhand.errors import InputError
from evenhand.finetuning.inmodel.frozen import fed, find_cut
from evenhand.finetuning.inmodel.validating import validated


class Net(nn.Module):
    """Two layers below the head; what is below the second is remembered."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 8)
        self.drop, self.fc = nn.Dropout(0.5), nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(self.drop(torch.relu(self.second(self.first(x)))))


def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net()


def rows(n=300, seed=0):
    draw = np.random.default_rng(seed)
    inputs, groups = draw.normal(size=(n, 4)).astype(np.float32), draw.choice(["F", "M"], n)
    return inputs, (inputs[:, 0] + (groups == "M") > 0.3).astype(int), groups


HOW = {"target_modules": ["second"], "epochs": 3, "ridge": 1e-2, "learning_rate": 1e-2}


@pytest.mark.parametrize("rank", [None, 2])
def test_it_sees_the_whole_model_in_eval_mode_on_rows_of_its_own(rank):
    pytest.importorskip("peft")
    new = torch.as_tensor(rows(50, 1)[0])
    seen, told, epochs = [], [], []

    def look(model, epoch):
        assert not model.training
        assert not torch.is_grad_enabled()
        logits = model(new)  # other rows, and another number of them, than the feed holds
        assert not logits.requires_grad
        again = model(new)
        torch.testing.assert_close(logits, again, rtol=0, atol=0)  # no dropout
        expected = model.fc(
            torch.relu(
                model.second(nn.functional.linear(new, model.first.weight, model.first.bias))
            )
        )
        torch.testing.assert_close(logits, expected)
        model.train()
        seen.append(epoch)
        return {"positive": logits.argmax(dim=1).float().mean(), "rows": len(new)}

    how = HOW | {"rank": rank}
    watched = eh.adapt(
        net(), rows(), validate=look, on_epoch=epochs.append, on_event=told.append, **how
    )
    assert seen == [1, 2, 3]
    assert [set(epoch.valid) for epoch in epochs] == [{"positive", "rows"}] * 3
    assert epochs[0].valid["rows"] == 50.0
    found = [event.values["valid"] for event in told if event.name == "epoch"]
    assert found == [epoch.valid for epoch in epochs]
    alone = eh.adapt(net(), rows(), **how)
    for name, value in alone.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name


def test_a_gap_on_held_out_rows_is_that_of_the_model_that_comes_back():
    inputs = rows(200, 1)[0]
    seen = []

    def look(model, epoch):
        decided = model(torch.as_tensor(inputs)).argmax(dim=1).numpy()
        seen.append(decided)

    left = eh.adapt(net(), rows(), rank=None, refit=False, validate=look, **HOW)
    last = left.eval()(torch.as_tensor(inputs)).argmax(dim=1).numpy()
    np.testing.assert_array_equal(seen[-1], last)


@pytest.mark.parametrize("found", [3, "x", {"gap": "small"}, {"gap": [1, 2]}, {"right": True}])
def test_what_is_no_number_by_name_is_refused(found):
    with pytest.raises(InputError, match="validate gives numbers by name, such as"):
        eh.adapt(net(), rows(), rank=None, validate=lambda *_: found, **HOW)


def test_an_error_of_its_own_is_its_own_and_the_feed_is_given_back():
    model = net().eval()
    batch = torch.as_tensor(rows()[0][:8])
    cut = find_cut(model, ["second"], batch)
    with fed(model, cut) as feed:
        feed.current = torch.zeros(8, 8)
        with pytest.raises(ZeroDivisionError):
            validated(lambda *_: 1 / 0, model, feed, 1)
        assert not feed.whole
        torch.testing.assert_close(
            model(batch), model.fc(torch.relu(model.second(torch.zeros(8, 8))))
        )
