import math

import numpy as np
import pytest
import torch

import evenhand as eh
from evenhand.errors import InputError

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from evenhand.integrations.trainer import FairTrainer  # noqa: E402

# Named as they are, so that any other warning is still an error.
pytestmark = [
    pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true:UserWarning"),
    # transformers, where checkpoints follow one another faster than a disk's clock tells
    pytest.mark.filterwarnings("ignore:mtime may not be reliable:UserWarning"),
]


class Sentences(torch.utils.data.Dataset):
    """Token rows whose tokens tell the label, and the group too much."""

    def __init__(self, n=400, seed=0, group=True, labels=True):
        draw = np.random.default_rng(seed)
        self.code = draw.integers(0, 2, n)
        self.label = draw.integers(0, 2, n)
        level = 0.25 + 0.3 * self.label + 0.25 * self.code
        self.tokens = 5 + (draw.random((n, 12)) < level[:, None]).astype(np.int64)
        self.extra = {"group": self.code} if group else {}
        if labels:
            self.extra["labels"] = self.label

    def __len__(self):
        return len(self.tokens)

    def __getitem__(self, row):
        example = {
            "input_ids": torch.tensor(self.tokens[row]),
            "attention_mask": torch.ones(12, dtype=torch.long),
            "note": "not for the model",
        }
        return example | {name: int(values[row]) for name, values in self.extra.items()}


def bert(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = transformers.BertConfig(
            vocab_size=16,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=16,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        return transformers.BertForSequenceClassification(config)


def arguments(folder, **more):
    settings = {
        "per_device_train_batch_size": 64,
        "per_device_eval_batch_size": 128,
        "num_train_epochs": 4,
        "learning_rate": 1e-2,
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
        "logging_strategy": "no",
        "save_strategy": "no",
        "seed": 0,
    }
    return transformers.TrainingArguments(str(folder), **(settings | more))


def logits_of(model, data):
    model = model.eval()
    with torch.no_grad():
        return model(input_ids=torch.as_tensor(data.tokens)).logits


def test_the_gap_is_lower_with_the_penalty_and_reported_each_evaluation(tmp_path):
    found = {}
    for strength in (0.0, 5.0):
        trainer = FairTrainer(
            bert(),
            arguments(tmp_path, eval_strategy="epoch"),
            train_dataset=Sentences(),
            eval_dataset=Sentences(seed=1),
            group_names=("F", "M"),
            strength=strength,
        )
        trainer.train()
        logs = [log for log in trainer.state.log_history if "eval_delta_eo" in log]
        assert len(logs) == 4
        found[strength] = logs[-1]
    plain, fair = found[0.0], found[5.0]
    assert fair["eval_delta_eo"] < 0.7 * plain["eval_delta_eo"]
    assert fair["eval_rows_F"] + fair["eval_rows_M"] == 400
    apart = abs(fair["eval_tpr_F"] - fair["eval_tpr_M"]) + abs(
        fair["eval_fpr_F"] - fair["eval_fpr_M"]
    )
    assert apart == pytest.approx(fair["eval_delta_eo"])


def test_strength_0_is_transformers_own_trainer(tmp_path):
    losses = []
    for cls in (transformers.Trainer, FairTrainer):
        data = Sentences()
        data.extra = {"labels": data.label} if cls is transformers.Trainer else data.extra
        more = {"strength": 0.0} if cls is FairTrainer else {}
        trainer = cls(bert(), arguments(tmp_path), train_dataset=data, **more)
        losses.append(trainer.train().training_loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_gradient_accumulation_makes_the_same_steps(tmp_path, strength):
    found = []
    for size, steps in ((64, 1), (16, 4)):
        trainer = FairTrainer(
            bert(),
            arguments(
                tmp_path,
                per_device_train_batch_size=size,
                gradient_accumulation_steps=steps,
                max_steps=4,
                max_grad_norm=0.0,
                optim="sgd",
                learning_rate=0.1,
            ),
            train_dataset=Sentences(256),
            strength=strength,
        )
        trainer.train()
        found.append(logits_of(trainer.model, Sentences(seed=1)))
    start = logits_of(bert(), Sentences(seed=1))
    moved = (found[0] - start).abs().mean()
    apart = (found[0] - found[1]).abs().mean()
    assert apart < (1e-3 if strength == 0 else 0.1) * moved


def test_factorised_layers_are_saved_merged_and_resumed(tmp_path):
    model = bert()
    data = Sentences()
    eh.factorize_(model, rank=1, target_modules=["classifier"])
    eh.factorize_(model, rank=4, target_modules=["intermediate.dense"])
    settings = {"save_strategy": "epoch", "num_train_epochs": 2, "save_total_limit": 2}
    trainer = FairTrainer(model, arguments(tmp_path, **settings), train_dataset=data, strength=0)
    trainer.train()
    assert isinstance(trainer.model.classifier, eh.LowRankLinear)
    trainer.save_model(str(tmp_path / "out"))
    plain, report = transformers.BertForSequenceClassification.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert isinstance(plain.classifier, torch.nn.Linear)
    torch.testing.assert_close(
        logits_of(plain, data), logits_of(trainer.model, data), atol=1e-5, rtol=1e-5
    )
    again = eh.factorize_(bert(1), rank=1, target_modules=["classifier"])
    eh.factorize_(again, rank=4, target_modules=["intermediate.dense"])
    resumed = FairTrainer(again, arguments(tmp_path, **settings), train_dataset=data, strength=0)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-7"))
    torch.testing.assert_close(logits_of(resumed.model, data), logits_of(trainer.model, data))


def test_users_metrics_see_labels_without_groups(tmp_path):
    seen = []

    def own(found):
        seen.append(found)
        predictions, labels = found
        return {"own": float((predictions.argmax(1) == labels).mean())}

    trainer = FairTrainer(
        bert(), arguments(tmp_path), eval_dataset=Sentences(50), compute_metrics=own
    )
    metrics = trainer.evaluate()
    assert metrics["eval_own"] == pytest.approx(metrics["eval_accuracy"])
    assert seen[0].label_ids.shape == (50,)


def test_metrics_by_batch_are_those_of_the_whole(tmp_path):
    data = Sentences(300)
    data.code[:3] = -1
    whole = FairTrainer(bert(), arguments(tmp_path), eval_dataset=data).evaluate()
    settings = {"batch_eval_metrics": True, "per_device_eval_batch_size": 7}
    parts = FairTrainer(bert(), arguments(tmp_path, **settings), eval_dataset=data).evaluate()
    for name in ("eval_err", "eval_delta_eo", "eval_delta_dp", "eval_tpr_0", "eval_rows_1"):
        assert parts[name] == pytest.approx(whole[name], nan_ok=True)
    assert whole["eval_rows_unknown_group"] == 3


def test_rows_without_groups_or_labels_are_predicted(tmp_path):
    trainer = FairTrainer(bert(), arguments(tmp_path))
    with_groups = trainer.predict(Sentences(20))
    without = trainer.predict(Sentences(20, group=False))
    unlabelled = trainer.predict(Sentences(20, labels=False))
    np.testing.assert_allclose(without.predictions, with_groups.predictions, rtol=1e-6)
    np.testing.assert_allclose(unlabelled.predictions, with_groups.predictions, rtol=1e-6)
    assert "test_delta_eo" in with_groups.metrics
    assert "test_delta_eo" not in without.metrics


def test_an_undefined_rate_is_not_a_number(tmp_path):
    data = Sentences(60)
    data.label[data.code == 1] = 0
    metrics = FairTrainer(bert(), arguments(tmp_path), eval_dataset=data).evaluate()
    assert math.isnan(metrics["eval_tpr_1"])
    assert math.isnan(metrics["eval_delta_eo"])


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="no 'group'"):
        FairTrainer(bert(), arguments(tmp_path), train_dataset=Sentences(group=False)).train()
    with pytest.raises(InputError, match="nothing to even out"):
        FairTrainer(bert(), arguments(tmp_path), train_dataset=Sentences(50)).train()
    with pytest.raises(InputError, match="strength"):
        FairTrainer(bert(), arguments(tmp_path), strength=-1.0)
    data = Sentences()
    data.code = data.code + 0.5
    data.extra["group"] = data.code
    data.__class__ = type("Halves", (Sentences,), {"__getitem__": _halves})
    with pytest.raises(InputError, match="one integer"):
        FairTrainer(bert(), arguments(tmp_path), train_dataset=data).train()


def _halves(self, row):
    return {
        "input_ids": torch.tensor(self.tokens[row]),
        "labels": int(self.label[row]),
        "group": float(self.code[row]),
    }


class Named(Sentences):
    """The same rows with the groups' names."""

    NAMES = ("Female", "Male")

    def __getitem__(self, row):
        code = int(self.code[row])
        return super().__getitem__(row) | {"group": None if code < 0 else self.NAMES[code]}


class _Feature:
    def __init__(self, **more):
        self.__dict__.update(more)


class Columns(Sentences):
    """As ``datasets.Dataset``: features, and columns that are taken out and put in."""

    def __init__(self, feature, **more):
        super().__init__(**more)
        self.features, self.column_names = {"group": feature}, ["input_ids", "labels", "group"]
        self.taken = False

    def __getitem__(self, row):
        if isinstance(row, str):
            values = self.label if row == "labels" else self.code
            named = row == "group" and self.features["group"].dtype == "string"
            return [Named.NAMES[v] if named else int(v) for v in values]
        return super().__getitem__(row)

    def remove_columns(self, name):
        self.taken = name == "group"
        return self

    def add_column(self, name, values):
        assert self.taken
        np.testing.assert_array_equal(values, self.code)
        self.features = {"group": _Feature(dtype="int64")}
        return self


@pytest.mark.parametrize(
    "make",
    [
        Named,
        lambda: Columns(_Feature(dtype="string")),
        lambda: Columns(_Feature(dtype="int64", names=list(Named.NAMES))),
    ],
    ids=["examples", "a column of texts", "ClassLabel"],
)
def test_groups_by_name_are_those_by_code(tmp_path, make):
    codes = FairTrainer(
        bert(), arguments(tmp_path, num_train_epochs=1), train_dataset=Sentences(),
        eval_dataset=Sentences(seed=1), group_names=Named.NAMES,
    )  # fmt: skip
    names = FairTrainer(bert(), arguments(tmp_path, num_train_epochs=1), train_dataset=make())
    codes.train()
    names.train()
    assert names.group_names == Named.NAMES
    expected = codes.evaluate()
    for data in (Named(seed=1), {"one": Named(seed=1)}):
        found = names.evaluate(data)
        prefix = "eval_one_" if isinstance(data, dict) else "eval_"
        for name in ("err", "delta_eo", "tpr_Female", "rows_Male"):
            assert found[prefix + name] == pytest.approx(expected["eval_" + name])
    np.testing.assert_allclose(
        names.predict(Named(seed=1)).predictions, codes.predict(Sentences(seed=1)).predictions,
        rtol=1e-5,
    )  # fmt: skip


def test_unknown_names_and_names_that_turn_up_later(tmp_path):
    data = Named(60)
    data.code[:5] = -1
    trainer = FairTrainer(bert(), arguments(tmp_path))
    assert trainer.evaluate(data)["eval_rows_unknown_group"] == 5
    later = Named(60, seed=1)
    later.NAMES = ("Female", "Other")
    found = trainer.evaluate(later)
    assert trainer.group_names == ("Female", "Male", "Other")
    assert found["eval_rows_Other"] == (later.code == 1).sum()
    assert found["eval_rows_Male"] == 0
    given = FairTrainer(bert(), arguments(tmp_path), group_names=("Female", "Male"))
    with pytest.raises(InputError, match="'Other', which is not among the group names Female, M"):
        given.evaluate(later)


def test_codes_beyond_the_names_are_refused(tmp_path):
    data = Sentences(60)
    data.code[:] = data.code + 1
    trainer = FairTrainer(bert(), arguments(tmp_path), train_dataset=data, group_names=("F", "M"))
    with pytest.raises(InputError, match="'group' reaches 2, but there are 2 group names: F, M"):
        trainer.train()
    with pytest.raises(InputError, match="'group' reaches 2"):
        trainer.evaluate(data)
    data.code[0] = -2
    with pytest.raises(InputError, match="'group' holds -2"):
        trainer.evaluate(data)


@pytest.mark.parametrize("by_batch", [False, True])
def test_preprocessed_logits_leave_the_group_metrics_as_they_are(tmp_path, by_batch):
    data, seen = Sentences(100), []

    def shrink(logits, labels):
        assert labels.ndim == 1
        return logits.argmax(-1)

    def metrics(found, compute_result=True):
        seen.append(found.predictions.shape)
        return {"own": 1.0}

    settings = arguments(tmp_path, batch_eval_metrics=by_batch)
    plain = FairTrainer(bert(), arguments(tmp_path)).evaluate(data)
    trainer = FairTrainer(
        bert(), settings, compute_metrics=metrics, preprocess_logits_for_metrics=shrink
    )
    found = trainer.evaluate(data)
    for name in ("eval_err", "eval_delta_eo", "eval_tpr_1", "eval_rows_0"):
        assert found[name] == pytest.approx(plain[name])
    assert found["eval_own"] == 1.0
    assert all(len(shape) == 1 for shape in seen)
    if not by_batch:
        predicted = trainer.predict(data)
        assert predicted.predictions.shape == (100,)
        assert "test_delta_eo" in predicted.metrics


def test_the_gap_term_is_logged_and_its_means_go_on_from_a_checkpoint(tmp_path):
    def made(folder, **more):
        settings = {"logging_strategy": "steps", "logging_steps": 1, "save_strategy": "steps"}
        return FairTrainer(
            bert(),
            arguments(folder, **settings, save_steps=10, max_steps=20, **more),
            train_dataset=Sentences(),
            group_names=("F", "M"),
            strength=5.0,
        )

    whole = made(tmp_path / "a")
    whole.train()
    gaps = {log["step"]: log["gap"] for log in whole.state.log_history if "gap" in log}
    assert len(gaps) == 20
    assert all(gap >= 0 for gap in gaps.values())
    assert len(set(gaps.values())) > 10
    resumed = made(tmp_path / "b")
    resumed.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-10"))
    again = {log["step"]: log["gap"] for log in resumed.state.log_history if "gap" in log}
    later = range(11, 21)
    assert [again[s] for s in later] == pytest.approx([gaps[s] for s in later], rel=1e-4)
    (tmp_path / "a" / "checkpoint-10" / "evenhand_gap.safetensors").unlink()
    forgetful = made(tmp_path / "c")
    forgetful.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-10"))
    other = {log["step"]: log["gap"] for log in forgetful.state.log_history if "gap" in log}
    assert other[11] != pytest.approx(gaps[11], rel=1e-4)


@pytest.mark.parametrize("name", ["weight", "sample_weight"])
def test_weights_of_rows_are_refused_with_what_to_do_instead(tmp_path, name):
    with pytest.raises(InputError, match=rf"no weights of rows \({name}\).*WeightedRandomSampler"):
        FairTrainer(bert(), arguments(tmp_path), **{name: [1.0]})
