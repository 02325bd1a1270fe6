"""The main job on real Adult rows, with the paper's MLP and with any module."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn

import evenhand
from evenhand.errors import InputError, ModelError
from evenhand.finetuning.finetune import finetune, finetune_stage
from evenhand.finetuning.request import FinetuneRequest
from evenhand.head import Head
from evenhand.heads.selection.frontier import MOST_POINTS
from evenhand.heads.selection.rule import Bound, Rule
from evenhand.metrics.counts import Counts
from evenhand.models.mlp import MLP
from evenhand.report.record import RESULT_COLUMNS
from evenhand.tasks.datasets.adult import adult as adult_task
from evenhand.tasks.task import Examples


@pytest.fixture(scope="module")
def result(adult):
    return finetune_stage(adult, rule=Rule((Bound("eo", 0.12),)))


def test_adult_end_to_end(result):
    methods = [record.method for record in result.run.records]
    assert methods == [
        "pretrained",
        "transfer",
        "transfer-tuned",
        "svd",
        "neutralized-svd",
        "evenhand",
    ]
    before, after = result.run.before, result.run.after
    assert result.promised is True
    assert after.gap("eo") < 0.12 < before.gap("eo")
    assert after.error < before.error + 1.5
    assert [r.trainable_parameters for r in result.run.records[:5]] == [0, 22, 22, 14, 14]
    others = [point for point in result.run.frontier if not point.chosen]
    assert 2 <= len(others) <= MOST_POINTS
    assert [p.upper for p in others] == sorted((p.upper for p in others), reverse=True)
    assert [p.error for p in others] == sorted(p.error for p in others)
    assert sum(point.chosen for point in result.run.frontier) == 1
    assert "promised for new rows" in result.run.decided
    shown = repr(result)
    assert shown.startswith(f"<Result of adult: {type(result.model).__name__}, promised: True>")
    assert result.run.asked in shown
    assert result.run.decided in shown
    assert "noise floor" in " ".join(result.run.warnings)
    assert result.run.provenance["rows"] == {"train": 12_287, "valid": 5_000, "test": 10_315}


def test_the_frontiers_chosen_point_is_the_choice_on_the_test_rows(result):
    (chosen,) = [point for point in result.run.frontier if point.chosen]
    np.testing.assert_array_equal(chosen.counts.table, result.run.after.counts.table)


def test_the_run_folder_holds_everything_and_the_model_needs_no_group(result, adult, tmp_path):
    folder = result.save(tmp_path / "run")
    assert {path.name for path in folder.iterdir()} >= {
        "config.yaml", "results.csv", "result.json", "report.html", "model"
    }  # fmt: skip
    frame = pd.read_csv(folder / "results.csv")
    assert tuple(frame.columns) == RESULT_COLUMNS
    assert len(frame) == 6
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config == {"format": 1, **result.run.config}
    document = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert document["after"]["delta_eo"] == pytest.approx(result.run.after.gap("eo"))
    assert "<svg" in (folder / "report.html").read_text(encoding="utf-8")
    model = evenhand.load(folder).module
    x = torch.as_tensor(adult.test_inputs)
    with torch.inference_mode():
        found, expected = model(x).softmax(1), result.model(x).softmax(1)
        decisions = model(x).argmax(dim=1).numpy()
    assert (found - expected).abs().max() < 1e-6
    test = adult.test
    counts = Counts.of(test.labels, decisions, test.groups, test.classes)
    assert np.abs(counts.table - result.run.after.counts.table).max() <= 2
    again = result.save(folder)
    assert again == folder


def test_a_strength_rank_and_alpha_asked_for(adult):
    found = finetune_stage(adult, FinetuneRequest(strength=1.0, rank=2, alpha=0.7))
    assert found.fair_head.setting == "1"
    assert found.promised is None
    by_method = {r.method: r for r in found.run.records}
    assert str(by_method["svd"].setting) == "rank 2"
    assert by_method["neutralized-svd"].trainable_parameters == 2 * 12 + 2
    for bad in (0, 3):
        with pytest.raises(InputError, match=rf"\[1, 2\] .* found {bad}"):
            finetune_stage(adult, FinetuneRequest(rank=bad))
    with pytest.raises(InputError, match=r"alpha must lie in \[0, 1\]"):
        finetune_stage(adult, FinetuneRequest(alpha=3.0))


def test_several_bounds_count_each_point_with_its_own_path(adult):
    import dataclasses

    problem = adult.problem
    small = dataclasses.replace(
        adult,
        problem=dataclasses.replace(
            problem, train=problem.train[:3000], valid=problem.valid[:1000], network=None
        ),
    )
    found = finetune_stage(small, FinetuneRequest(bound={"eo": 0.3, "dp": 0.3}))
    (chosen,) = [point for point in found.run.frontier if point.chosen]
    np.testing.assert_array_equal(chosen.counts.table, found.run.after.counts.table)
    assert len(found.run.frontier) > 2


class Odd(nn.Module):
    """Any module: its head is neither last registered nor called head."""

    def __init__(self, inputs, classes=2):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(inputs, 12), nn.Tanh(), nn.Dropout(0.3))
        self.out = nn.Linear(12, classes)

    def forward(self, x):
        return self.out(self.stem(x))


@pytest.fixture(scope="module")
def parts():
    task = adult_task(seed=0)
    return {
        "train": task.train[np.arange(2500)],
        "valid": task.valid[np.arange(1500)],
        "test": task.test[np.arange(2000)],
    }


def as_tuples(parts):
    named = {}
    for split, part in parts.items():
        names = np.array([*part.groups.names, None], dtype=object)[part.groups.codes]
        named[split] = (part.inputs, part.labels, names)
    return named


@pytest.mark.parametrize(
    ("module", "plain"), [("sequential", True), ("class", True), ("class", False)]
)
def test_any_module_on_real_rows(parts, module, plain, tmp_path):
    torch.manual_seed(0)
    if module == "class":
        model = Odd(71)
    else:
        model = nn.Sequential(nn.Linear(71, 16), nn.ReLU(), nn.Linear(16, 2))
    before = copy.deepcopy(model.state_dict())
    model.train()
    given = as_tuples(parts)
    asked = {"bound": Bound("eo", 0.3), "groups": "sex", "name": "mine", "plain": plain}
    found = finetune(model, **given, **asked)
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    if plain:
        assert type(found.model) is type(model)
    else:
        assert isinstance(found.model, evenhand.DeepReadout)
    assert found.run.records[-1].task == "mine"
    assert found.stage.test.groups.attribute == "sex"
    folder = found.save(tmp_path / "run")
    into = evenhand.load(folder, into=copy.deepcopy(model)).module
    x = torch.as_tensor(given["test"][0])
    with torch.inference_mode():
        expected = found.model.eval()(x)
        assert (into(x).softmax(1) - expected.softmax(1)).abs().max() < 1e-6
    decisions = expected.argmax(dim=1).numpy()
    test = found.stage.test
    counts = Counts.of(test.labels, decisions, test.groups, test.classes)
    assert np.abs(counts.table - found.run.after.counts.table).max() <= 2


def test_examples_mappings_and_tuples_are_the_same(parts):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(71, 4), nn.ReLU(), nn.Linear(4, 2))
    small = {name: part[np.arange(400)] for name, part in parts.items()}
    tuples = as_tuples(small)
    mappings = {n: {"inputs": x, "labels": list(y), "sex": g} for n, (x, y, g) in tuples.items()}
    weights = [
        finetune(model, **given, groups="sex").fair_head.head.weight
        for given in (small, tuples, mappings)
    ]
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])


def test_codes_with_unknown_rows_are_one_set_of_groups(parts):
    model = nn.Sequential(nn.Linear(71, 4), nn.ReLU(), nn.Linear(4, 2))
    given = {}
    for split, part in parts.items():
        part = part[np.arange(800)]
        codes = part.groups.codes.copy()
        if split != "test":
            codes[:50] = -1
        given[split] = (part.inputs, part.labels, codes)
    found = finetune(model, **given)
    assert found.stage.test.groups.names == ("0", "1")
    assert found.run.after.counts.unknown.sum() == 0
    assert any(w.startswith("100 rows have no known group") for w in found.run.warnings)
    given["train"] = (*given["train"][:2], [None if c < 0 else int(c) for c in given["train"][2]])
    assert finetune(model, **given).stage.test.groups.names == ("0", "1")


def test_the_same_seed_gives_the_same_model(parts):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(71, 4), nn.ReLU(), nn.Linear(4, 2))
    small = {name: part[np.arange(400)] for name, part in parts.items()}
    state = torch.get_rng_state()
    one, two = finetune(model, **small, seed=5), finetune(model, **small, seed=5)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(one.model[0].weight, two.model[0].weight)


def broken(parts, split, **change):
    given = as_tuples({name: part[np.arange(300)] for name, part in parts.items()})
    x, y, g = given[split]
    values = {"inputs": x, "labels": y, "groups": g} | {
        k: f(v) for k, f in change.items() for v in [{"inputs": x, "labels": y, "groups": g}[k]]
    }
    given[split] = (values["inputs"], values["labels"], values["groups"])
    return given


def put(value):
    def change(x):
        x = x.copy()
        x[7, 3] = value
        return x

    return change


BAD = {
    "one class": ({"labels": lambda y: np.zeros_like(y)}, "have the label '0'|one class"),
    "one group": ({"groups": lambda g: ["Male"] * len(g)}, "group 'Female' has 0 rows in train"),
    "no group": ({"groups": lambda g: [None] * len(g)}, "'Female' has 0 rows in train"),
    "NaN": ({"inputs": put(np.nan)}, "inputs of train hold NaN, infinity or .* in 1 of 300 rows"),
    "infinity": (
        {"inputs": put(np.inf)},
        "inputs of train hold NaN, infinity or .* in 1 of 300 rows",
    ),
    "beyond float32": ({"inputs": lambda x: put(1e39)(x.astype(np.float64))}, "beyond float32's"),
    "lengths": ({"labels": lambda y: y[:-1]}, "differ in length: .*'labels': 299"),
    "group lengths": ({"groups": lambda g: g[:-2]}, "differ in length: .*'groups': 298"),
    "float labels": (
        {"labels": lambda y: y + 0.5},
        "must be integers from 0 on .* found 0, 0.5, 1",
    ),
    "negative labels": (
        {"labels": lambda y: y - 1},
        "must be integers from 0 on .* found -1, 0, 1;",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_named(parts, name):
    change, message = BAD[name]
    model = nn.Sequential(nn.Linear(71, 2))
    with pytest.raises(InputError, match=message):
        finetune(model, **broken(parts, "train", **change))


def test_one_class_or_group_everywhere_is_named(parts):
    model = nn.Sequential(nn.Linear(71, 2))
    given = as_tuples({name: part[np.arange(300)] for name, part in parts.items()})
    one = {n: (x, np.zeros_like(y), g) for n, (x, y, g) in given.items()}
    with pytest.raises(InputError, match=r"label '0'|one class"):
        finetune(model, **one)
    with pytest.raises(InputError, match="one group only, 'x' of group"):
        finetune(model, **{n: (x, y, ["x"] * len(y)) for n, (x, y, _) in given.items()})


def test_other_bad_input_is_named(parts):
    model = nn.Sequential(nn.Linear(71, 4), nn.ReLU(), nn.Linear(4, 2))
    given = as_tuples({name: part[np.arange(100)] for name, part in parts.items()})
    with pytest.raises(InputError, match=r"train must be .inputs, labels, groups.*found list"):
        finetune(model, [1], given["valid"], given["test"])
    bad = {"inputs": given["valid"][0], "labels": given["valid"][1]}
    with pytest.raises(InputError, match="valid has no 'sex'; its keys are inputs, labels"):
        finetune(model, given["train"], bad, given["test"], groups="sex")
    with pytest.raises(ModelError, match=r"not an nn.Linear"):
        finetune(nn.Sequential(nn.ReLU(), nn.Linear(71, 2)), **given, head="0")
    with pytest.raises(ModelError, match=r"no nn.Linear"):
        finetune(nn.Sequential(nn.ReLU()), **given)
    with pytest.raises(InputError, match="unknown criterion"):
        finetune(model, **given, criterion="oe")
    with pytest.raises(InputError, match="--error: 'auc' is not one of f1"):
        finetune(model, **given, error="auc")
    with pytest.raises(InputError, match=r"--confidence: .* found 2"):
        finetune(model, **given, confidence=2.0)
    with pytest.raises(InputError, match="--max-cost"):
        finetune(model, **given, max_cost=-1.0)
    stage = finetune(model, **given).stage
    with pytest.raises(InputError, match="needs one of evenhand's MLPs"):
        finetune_stage(stage, FinetuneRequest(adapter=1))


def test_results_that_cannot_be_written_are_named(result, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"cannot write .*file/run"):
        result.save(tmp_path / "file" / "run")


def test_examples_refuse_labels_that_are_not_integers():
    from evenhand.groups import Groups

    groups = Groups(np.array([0, 1]), ("a", "b"))
    with pytest.raises(InputError, match=r"integers .* float64"):
        Examples(np.zeros((2, 1)), np.array([0.0, 1.0]), groups)
    assert Examples(np.zeros((2, 1)), np.array([False, True]), groups).labels.tolist() == [0, 1]


def test_the_result_is_a_plain_model(result):
    assert type(result.model) is MLP
    assert isinstance(result.fair_head.head, Head)
    assert "evenhand" in str(result.report)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"adapter": 11}, r"adapter's rank must lie in \[1, 10\], found 11"),
        ({"strength": np.nan}, "strength must be finite and at least 0, found nan"),
        ({"alpha": 1.5}, r"alpha must lie in \[0, 1\]"),
        ({"rank": 3}, r"rank must lie in \[1, 2\]"),
    ],
)
def test_settings_are_refused_before_anything_is_fitted(adult, monkeypatch, asked, message):
    def fitted(*given, **named):
        raise AssertionError("a fit was begun")

    monkeypatch.setattr("evenhand.finetuning.finetune.baselines", fitted)
    with pytest.raises(InputError, match=message):
        finetune_stage(adult, FinetuneRequest(**asked))


def test_frames_with_any_index_are_read_by_position(parts):
    model = nn.Sequential(nn.Linear(71, 2))
    given = as_tuples({name: part[np.arange(400)] for name, part in parts.items()})
    plain = finetune(model, **given)
    order = np.random.default_rng(0).permutation(400)
    words = np.array(["at most", "more"])
    series = {
        name: (
            pd.DataFrame(x, index=order),
            pd.Series(words[y], index=order),
            pd.DataFrame({"sex": g}, index=order),
        )
        for name, (x, y, g) in given.items()
    }
    found = finetune(model, **series)
    np.testing.assert_array_equal(found.run.after.counts.table, plain.run.after.counts.table)
    assert found.run.after.counts.class_names == ("at most", "more")
