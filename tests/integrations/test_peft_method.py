import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

import evenhand as eh
from evenhand.errors import InputError, ModelError
from evenhand.fisher.factorize import NoSavingWarning

peft = pytest.importorskip("peft")

from evenhand.integrations.peft import FisherSVDConfig, FisherSVDLinear, save_merged  # noqa: E402
from evenhand.models.saving import load  # noqa: E402


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 12)
        self.second = nn.Linear(12, 12, bias=False)
        self.classifier = nn.Linear(12, 4)

    def forward(self, x):
        return self.classifier(torch.relu(self.second(torch.relu(self.first(x)))))


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net().eval()


@pytest.fixture
def x():
    return torch.randn(40, 6, generator=torch.Generator().manual_seed(1))


def batches(x):
    draw = np.random.default_rng(0)
    labels, groups = draw.integers(0, 4, len(x)), draw.integers(0, 2, len(x))
    return [(x[:25], labels[:25], groups[:25]), (x[25:], labels[25:], groups[25:])]


def test_it_is_factorize_in_place_by_another_door(net, x):
    data = batches(x)
    names = ["classifier", "second"]
    config = FisherSVDConfig.from_batches(net, data, target_modules=names, r=2)
    ours = copy.deepcopy(net)
    fisher = eh.group_fisher(ours, data, target_modules=names)
    eh.factorize_(ours, eh.neutralize(fisher), rank=2)
    model = peft.get_peft_model(copy.deepcopy(net), config)
    torch.testing.assert_close(model(x), ours(x))
    assert isinstance(model.base_model.model.classifier, FisherSVDLinear)
    trains = {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(trains) == 5
    assert all("fisher_svd_" in name for name in trains)
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert count == 2 * (12 + 4) + 4 + 2 * (12 + 12)


def test_a_full_rank_changes_nothing(net, x):
    with pytest.warns(NoSavingWarning):
        model = peft.get_peft_model(
            copy.deepcopy(net), FisherSVDConfig(r=4, target_modules=["classifier"])
        )
    torch.testing.assert_close(model(x), net(x), atol=1e-5, rtol=1e-5)


def test_training_merging_and_unmerging(net, x):
    config = FisherSVDConfig(r=1, target_modules=["classifier", "first"], rank_pattern={"first": 3})
    model = peft.get_peft_model(copy.deepcopy(net), config)
    assert model.base_model.model.first.r == {"default": 3}
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), 0.1)
    for _ in range(5):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), torch.arange(40) % 4).backward()
        optimizer.step()
    trained = model(x).detach()
    model.merge_adapter()
    torch.testing.assert_close(model(x), trained, atol=1e-5, rtol=1e-5)
    model.unmerge_adapter()
    torch.testing.assert_close(model(x), trained)
    with model.disable_adapter():
        torch.testing.assert_close(model(x), net(x))
    model.merge_adapter()
    with model.disable_adapter():
        torch.testing.assert_close(model(x), net(x))
    dense = model.merge_and_unload(safe_merge=True)
    assert type(dense) is Net
    assert type(dense.classifier) is nn.Linear
    torch.testing.assert_close(dense(x), trained, atol=1e-5, rtol=1e-5)
    assert torch.linalg.matrix_rank(dense.classifier.weight) == 1


def test_the_adapter_is_saved_and_loaded(net, x, tmp_path):
    config = FisherSVDConfig.from_batches(net, batches(x), target_modules=["classifier"], r=2)
    model = peft.get_peft_model(copy.deepcopy(net), config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "fisher_svd_" in name:
                p += 0.1
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["peft_type"] == "FISHER_SVD"
    again = peft.PeftModel.from_pretrained(copy.deepcopy(net), tmp_path)
    torch.testing.assert_close(again(x), model(x))
    assert not any(p.requires_grad for p in again.parameters())
    resumed = peft.PeftModel.from_pretrained(copy.deepcopy(net), tmp_path, is_trainable=True)
    assert sum(p.requires_grad for p in resumed.parameters()) == 3


def test_two_adapters_are_switched_between_and_added_up(net, x):
    one = FisherSVDConfig(r=1, target_modules=["classifier"])
    model = peft.get_peft_model(copy.deepcopy(net), one, adapter_name="one")
    first = model(x).detach()
    model.add_adapter("two", FisherSVDConfig(r=2, target_modules=["classifier", "second"]))
    torch.testing.assert_close(model(x), first)
    model.set_adapter("two")
    second = model(x).detach()
    assert not torch.allclose(first, second)
    model.base_model.set_adapter(["one", "two"])
    both = model(x).detach()
    model.merge_adapter()
    torch.testing.assert_close(model(x), both, atol=1e-5, rtol=1e-5)
    model.unmerge_adapter()
    model.delete_adapter("two")
    model.set_adapter("one")
    torch.testing.assert_close(model(x), first)


def test_injecting_without_a_wrapper(net, x):
    plain = copy.deepcopy(net)
    peft.inject_adapter_in_model(FisherSVDConfig(r=1, target_modules=["classifier"]), plain)
    assert type(plain) is Net
    assert isinstance(plain.classifier, FisherSVDLinear)


def test_a_merged_model_is_saved_for_its_own_library(net, x, tmp_path):
    config = FisherSVDConfig(r=1, target_modules=["classifier"])
    model = peft.get_peft_model(copy.deepcopy(net), config)
    save_merged(model, tmp_path)
    torch.testing.assert_close(load(tmp_path, into=Net())(x), model(x), atol=1e-5, rtol=1e-5)
    assert isinstance(model.base_model.model.classifier, FisherSVDLinear)


def test_registering_twice_is_registering_once():
    from evenhand.integrations.peft import NAME, _register_type

    assert _register_type() is peft.PeftType.FISHER_SVD
    assert list(peft.PeftType).count(NAME) == 1
    assert copy.deepcopy(peft.PeftType(NAME)) is peft.PeftType.FISHER_SVD


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"r": 0}, InputError, "at least 1"),
        ({"r": 9}, InputError, "rank must lie in"),
        ({"importance": {"first": [1.0] * 6}}, InputError, "no weights for 'classifier'"),
        ({"importance": {"classifier": [1.0] * 3}}, InputError, r"shape \(12,\)"),
        ({"task_type": "SEQ_CLS"}, InputError, "give no task_type"),
        ({"target_modules": r"$"}, ValueError, "not found"),
    ],
)
def test_what_cannot_be_used_is_named(net, settings, error, words):
    with pytest.raises(error, match=words):
        peft.get_peft_model(net, FisherSVDConfig(**({"target_modules": ["classifier"]} | settings)))


def test_other_layers_are_refused():
    model = nn.Sequential(nn.Conv1d(2, 2, 1), nn.Linear(2, 2))
    with pytest.raises(ModelError, match="Conv1d"):
        peft.get_peft_model(model, FisherSVDConfig(target_modules=["0"]))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true:UserWarning")
@pytest.mark.filterwarnings("ignore:Could not find a config file in:UserWarning")
def test_transformers_and_its_trainer(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from evenhand.integrations.trainer import FairTrainer

    config = transformers.BertConfig(
        vocab_size=16,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        base = transformers.BertForSequenceClassification(config).eval()
    draw = np.random.default_rng(0)
    tokens = draw.integers(0, 16, (200, 5))
    data = [
        {"input_ids": row.tolist(), "labels": int(row[0] > 7), "group": int(row[1] > 7)}
        for row in tokens
    ]
    batch = {name: torch.tensor([row[name] for row in data]) for name in data[0]}
    names = ["classifier", "query"]
    settings = FisherSVDConfig.from_batches(base, [batch], target_modules=names, r=1)
    model = peft.get_peft_model(copy.deepcopy(base), settings)
    trainer = FairTrainer(
        model,
        transformers.TrainingArguments(
            str(tmp_path),
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            max_steps=3,
            learning_rate=1e-2,
            save_strategy="no",
            logging_strategy="no",
        ),
        train_dataset=data,
        eval_dataset=data,
    )
    before = model.base_model.model.classifier.fisher_svd_up["default"].detach().clone()
    trainer.train()
    assert not torch.equal(model.base_model.model.classifier.fisher_svd_up["default"], before)
    assert "eval_delta_eo" in trainer.evaluate()
    trainer.save_model(str(tmp_path / "adapter"))
    again = peft.PeftModel.from_pretrained(copy.deepcopy(base), tmp_path / "adapter")
    inputs = {"input_ids": torch.as_tensor(tokens)}
    model.eval()
    expected = model(**inputs).logits.detach()
    torch.testing.assert_close(again(**inputs).logits, expected)
    save_merged(model, tmp_path / "dense")
    dense = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "dense").eval()
    torch.testing.assert_close(dense(**inputs).logits, expected, atol=1e-5, rtol=1e-5)
