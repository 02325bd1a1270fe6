"""A folder of a PEFT adapter, with its base: the whole model's decisions."""

import json
import shutil

import pytest
import torch
from small_runs import WORDS
from tiny_models import text_classifier, tokenizer, written

from evenhand.errors import InputError
from evenhand.models import load

peft = pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
)


@pytest.fixture
def adapter(tmp_path):
    base = written(tmp_path / "base", text_classifier(WORDS, 3), tokenizer(WORDS))
    model = text_classifier(WORDS, 3)
    model.load_state_dict(text_classifier(WORDS, 3).state_dict())
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    with torch.random.fork_rng():
        torch.manual_seed(1)
        joined = peft.get_peft_model(model, config)
        for name, value in joined.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                torch.nn.init.normal_(value)
    joined.peft_config["default"].base_model_name_or_path = str(base)
    joined.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", joined.eval()


def test_the_adapter_is_merged_into_its_base(adapter):
    folder, joined = adapter
    backbone = load(folder)
    texts = ["brave calm", "idle harsh glad"]
    batch = backbone.prepare(texts)
    with torch.inference_mode():
        expected = joined(**batch).logits
        plain = load(folder.parent / "base").model(**batch).logits
    found = backbone.apply_head(backbone.features(texts))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, plain, atol=1e-2)
    assert backbone.pretrained_head
    assert type(backbone.model).__name__ == "BertForSequenceClassification"
    assert not [name for name, _ in backbone.model.named_modules() if "lora" in name]


def test_a_base_beside_the_adapter_is_found_and_one_that_is_missing_named(adapter, tmp_path):
    folder, _ = adapter
    path = folder / "adapter_config.json"
    stated = json.loads(path.read_text())
    path.write_text(json.dumps(stated | {"base_model_name_or_path": "base"}))
    assert load(folder).out_features == 3
    path.write_text(json.dumps(stated | {"base_model_name_or_path": None}))
    with pytest.raises(InputError, match="names no base model"):
        load(folder)
    path.write_text("{")
    with pytest.raises(InputError, match=r"adapter_config\.json is damaged"):
        load(folder)
    path.write_text(json.dumps(stated | {"base_model_name_or_path": str(tmp_path / "none")}))
    with pytest.raises(InputError, match="none"):
        load(folder)


def test_pickled_or_foreign_adapters_are_refused(adapter, tmp_path):
    folder, _ = adapter
    other = shutil.copytree(folder, tmp_path / "other")
    (other / "adapter_model.safetensors").rename(other / "adapter_model.bin")
    with pytest.raises(InputError, match="pickled weights are not read"):
        load(other)
    written(tmp_path / "base", text_classifier(WORDS, 2))
    with pytest.raises(InputError, match="does not go onto"):
        load(folder)
