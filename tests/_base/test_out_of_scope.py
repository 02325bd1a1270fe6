"""Regression, ranking and generation are refused by name, with what to use instead."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import evenhand as eh
from evenhand._base.out_of_scope import NAMED, refuse_model, refuse_task
from evenhand.errors import InputError, ModelError
from evenhand.finetuning.task_file import parse_config

FRAME = pd.DataFrame(
    {"x": np.arange(200.0), "price": np.arange(200) + 0.5, "sex": np.tile(["F", "M"], 100)}
)


@pytest.mark.parametrize("name", NAMED)
def test_a_kind_of_task_is_refused_with_a_way_to_go(name):
    with pytest.raises(InputError, match=r"out of scope here: .*,? or "):
        refuse_task(name)
    with pytest.raises(InputError, match="out of scope here"):
        parse_config(f"task: {name}\n")


def test_tasks_that_are_done_are_let_pass():
    refuse_task("table")
    with pytest.raises(InputError, match="is not one of adult, table"):
        parse_config("task: tabel\n")


def test_a_label_of_numbers_is_refused_in_every_entry(tmp_path):
    from evenhand.integrations.sklearn import FairLinearHead

    FRAME.to_csv(tmp_path / "prices.csv", index=False)
    entries = {
        "finetune": lambda: eh.finetune(
            None, eh.tasks.table(tmp_path / "prices.csv", label="price", groups="sex")
        ),
        "audit": lambda: eh.audit(FRAME, label="price", prediction="x", groups="sex"),
        "FairLinearHead": lambda: FairLinearHead().fit(
            FRAME[["x"]], FRAME["price"], sensitive_features=FRAME["sex"]
        ),
    }
    for entry in entries.values():
        with pytest.raises(InputError, match=r"regression, which is out of scope here.*fairlearn"):
            entry()


class ForSequenceClassification:
    def __init__(self, generates=False, **config):
        self.config = SimpleNamespace(**config)
        self.can_generate = lambda: generates


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ForSequenceClassification(True), "generates: writing texts"),
        (ForSequenceClassification(problem_type="regression", num_labels=1), "type regression"),
        (ForSequenceClassification(num_labels=1), "num_labels=1: estimating a number"),
    ],
)
def test_models_that_do_something_else_are_refused(model, message):
    with pytest.raises(ModelError, match=message):
        refuse_model(model)


def test_classifiers_are_let_pass():
    refuse_model(ForSequenceClassification(num_labels=2, problem_type=None))
    refuse_model(object())


def test_a_trainer_of_a_model_that_generates_is_refused(tmp_path):
    transformers = pytest.importorskip("transformers")
    from evenhand.integrations.trainer import FairTrainer

    config = transformers.GPT2Config(
        n_layer=1, n_head=1, n_embd=4, vocab_size=8, bos_token_id=0, eos_token_id=0
    )
    model = transformers.GPT2LMHeadModel(config)
    arguments = transformers.TrainingArguments(str(tmp_path), report_to=[], use_cpu=True)
    with pytest.raises(ModelError, match="GPT2LMHeadModel generates"):
        FairTrainer(model=model, args=arguments)
    with pytest.raises(ModelError, match="GPT2LMHeadModel generates"):
        eh.finetune(model, FRAME, groups="sex")
