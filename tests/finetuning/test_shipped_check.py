"""What is shipped decides as reported, whatever follows the head; else it is refused by name."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from evenhand.errors import InputError, ModelError
from evenhand.finetuning.finetune import finetune
from evenhand.finetuning.problem import fitted_head
from evenhand.finetuning.shipped_check import require_same_decisions
from evenhand.finetuning.stage import task_stage
from evenhand.models import wrap
from evenhand.tasks.from_arrays import task_of

N, D = 240, 4


def split(seed):
    rng = np.random.default_rng(seed)
    y, g = rng.integers(0, 2, N), rng.integers(0, 2, N)
    x = (
        rng.normal(size=(N, D))
        + 1.2 * y[:, None] * [1, 0, 0.3, 0]
        + 0.8 * g[:, None] * [0, 1, 0, 0]
    )
    return x.astype(np.float32), y, np.array(["a", "b"])[g]


SPLITS = {"train": split(0), "valid": split(1), "test": split(2)}


class Ends(nn.Module):
    """A body, a head, and something after it."""

    def __init__(self, after, outputs=2):
        super().__init__()
        self.body, self.fc, self.after = nn.Linear(D, 8), nn.Linear(8, outputs), after

    def forward(self, x):
        return self.after(self.fc(torch.tanh(self.body(x))))


class TwoHeads(nn.Module):
    """As DeiT-distilled and LeViT: the mean of two heads on the same features."""

    def __init__(self, outputs=2):
        super().__init__()
        self.body = nn.Linear(D, 8)
        self.fc, self.fc_dist = nn.Linear(8, outputs), nn.Linear(8, outputs)

    def forward(self, x):
        features = torch.tanh(self.body(x))
        return (self.fc(features) + self.fc_dist(features)) / 2


class Middle(nn.Module):
    """A layer in the middle of the model has as many outputs as there are classes."""

    def __init__(self):
        super().__init__()
        self.fc, self.last = nn.Linear(D, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.last(torch.relu(self.fc(x)))


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


WRONG = {
    "two heads": (TwoHeads, "decides otherwise than its head"),
    "two heads of another number": (lambda: TwoHeads(5), "cannot run with a head of 2 classes"),
    "offset": (lambda: Ends(lambda z: z + torch.tensor([0.0, 0.5])), "decides otherwise"),
    "small offset": (lambda: Ends(lambda z: z + torch.tensor([0.0, 0.1])), "decides otherwise"),
    "sign": (lambda: Ends(lambda z: -z), "decides otherwise"),
    "prior": (lambda: Ends(lambda z: z.softmax(1) * torch.tensor([0.2, 0.8])), "decides otherwise"),
    "middle": (Middle, "decides otherwise"),
    "sign of one logit": (lambda: Ends(lambda z: -z, 1), "decides otherwise"),
    "prior of one logit": (lambda: Ends(lambda z: (z - 1).sigmoid(), 1), "decides otherwise"),
    "more outputs": (lambda: Ends(lambda z: torch.cat([z, z], 1)), "decides otherwise"),
}


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "float32") for name in WRONG), ("small offset", "bfloat16"), ("sign", "bfloat16")],
)
def test_what_changes_the_decision_is_refused_by_name(name, precision):
    make, words = WRONG[name]
    with pytest.raises(ModelError, match=words) as refused:
        finetune(make(), **SPLITS, head="fc", precision=precision)
    assert "'fc'" in str(refused.value)


@pytest.mark.parametrize("size", [0.0, 4.0])
def test_rounding_of_features_refuses_no_model(size):
    """However large what is rounded is beside the logits that are left of it."""
    model = Ends(lambda z: z.softmax(1))
    with torch.no_grad():
        model.body.bias += size
    found = finetune(model, **SPLITS, head="fc", precision="bfloat16", fresh_head=True)
    assert any("computed in bfloat16" in note for note in found.run.warnings)


MONOTONE = {
    "logits": lambda z: z,
    "softmax": lambda z: z.softmax(1),
    "log softmax": lambda z: z.log_softmax(1),
    "temperature": lambda z: 3 * z,
    "a shift of both": lambda z: z + 1,
    "tuple": lambda z: (z, "more"),
    "mapping": lambda z: {"logits": z},
}


@pytest.mark.parametrize("name", MONOTONE)
def test_what_keeps_the_order_stays(name):
    found = finetune(Ends(MONOTONE[name]), **SPLITS, head="fc")
    output = found.model(torch.as_tensor(SPLITS["test"][0]))
    logits = output[0] if name == "tuple" else output["logits"] if name == "mapping" else output
    shipped = logits.argmax(1).numpy()
    counts = found.run.after.counts.total
    y = SPLITS["test"][1]
    assert counts[1, 1] == int(((shipped == 1) & (y == 1)).sum())
    assert counts[0, 1] == int(((shipped == 1) & (y == 0)).sum())


@pytest.mark.parametrize(
    "after",
    [lambda z: z, lambda z: z.squeeze(1), lambda z: z.sigmoid(), lambda z: z[:, 0].sigmoid()],
    ids=["(B, 1)", "(B,)", "probabilities (B, 1)", "probabilities (B,)"],
)
def test_a_model_of_one_logit_keeps_it(after):
    model = Ends(after, 1)
    found = finetune(model, **SPLITS)
    x = torch.as_tensor(SPLITS["test"][0])
    with torch.inference_mode():
        output, before = found.model(x), model(x)
    assert output.shape == before.shape
    assert found.model.fc.weight.shape == (1, 8)
    cut = 0.5 if float(output.min()) >= 0 and float(output.max()) <= 1 else 0.0
    shipped = (output.reshape(-1) > cut).numpy()
    y = SPLITS["test"][1].astype(bool)
    assert found.run.after.counts.total[1, 1] == int((shipped & y).sum())
    assert found.run.after.counts.total[0, 1] == int((shipped & ~y).sum())
    own = next(record for record in found.run.records if record.method == "pretrained")
    assert own.counts.total[:, 1].sum() == int((before.reshape(-1) > cut).sum())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_modules_of_every_precision(dtype):
    model = Ends(lambda z: z).to(dtype)
    found = finetune(model, **SPLITS)
    assert found.model.fc.weight.dtype == dtype
    shipped = found.model(torch.as_tensor(SPLITS["test"][0]).to(dtype)).argmax(1).numpy()
    reported = int(found.run.after.counts.total[:, 1].sum())
    assert abs(int(shipped.sum()) - reported) <= (12 if dtype.itemsize == 2 else 0)


def test_token_ids_stay_integers():
    class Bag(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.fc = nn.EmbeddingBag(20, 6), nn.Linear(6, 2)

        def forward(self, ids):
            return self.fc(self.words(ids))

    rng = np.random.default_rng(0)
    parts = {
        name: (rng.integers(0, 10, (N, 5)) + 10 * (rng.random((N, 5)) < y[:, None] * 0.5), y, g)
        for name, (_, y, g) in SPLITS.items()
    }
    found = finetune(Bag(), **parts)
    assert found.run.after.error < 40


@settings(max_examples=15, deadline=None)
@given(st.floats(0.3, 3), st.sampled_from([-1.0, 1.0]), st.booleans())
def test_an_offset_of_any_size_is_found_and_a_scale_is_none(offset, sign, scale):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        moved = torch.tensor([0.0, sign * offset])
        model = Ends((lambda z: z * offset) if scale else (lambda z: z + moved))
        task = task_of(*SPLITS.values(), "group", None, "t")
        stage = task_stage(task, wrap(model, "fc"), use_cache=False)
        fitted = fitted_head(stage.problem.dense.head)
        shipped = stage.backbone.with_head(stage.problem.dense.head)
        if scale:
            assert require_same_decisions(stage, shipped, fitted) == ()
        else:
            with pytest.raises(ModelError, match="decides otherwise"):
                require_same_decisions(stage, shipped, fitted)


def test_inputs_that_are_gone_are_said():
    class Gone:
        def __len__(self):
            return N

        def __getitem__(self, row):
            raise InputError("gone")

    model = Ends(lambda z: z)
    task = task_of(*SPLITS.values(), "group", None, "t")
    stage = task_stage(task, wrap(model), use_cache=False)
    stage = dataclasses.replace(stage, inputs={"test": Gone()})
    notes = require_same_decisions(stage, model, fitted_head(stage.backbone.linear_head()))
    (note,) = notes
    assert note.startswith("test: its inputs cannot be read any more")
