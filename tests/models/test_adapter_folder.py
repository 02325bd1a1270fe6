"""A folder of a PEFT adapter, with its base: the whole model's decisions."""

import json
import shutil

import pytest
import torch
from small_runs import WORDS
from tiny_models import SIZES, text_classifier, tokenizer, written

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
    written(tmp_path / "base", text_classifier(WORDS, 3, hidden_size=32))
    with pytest.raises(InputError, match="does not go onto"):
        load(folder)


def saved(folder, config, model, base=None, kept=()):
    """An adapter of random numbers on ``model``, whose folder says that it is of ``base``."""
    written(folder / "base", base or model, tokenizer(WORDS))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        joined = peft.get_peft_model(model, config)
        for _, value in joined.named_parameters():
            if value.requires_grad:
                torch.nn.init.normal_(value, std=0.3)
    joined.peft_config["default"].base_model_name_or_path = str(folder / "base")
    joined.save_pretrained(folder / "adapter")
    for part in kept:
        part.save_pretrained(folder / "adapter")
    return folder / "adapter", joined.eval()


def llama(kind):
    import transformers

    config = transformers.LlamaConfig(
        **SIZES, vocab_size=len(WORDS) + 2, num_labels=3, pad_token_id=0
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return getattr(transformers, f"Llama{kind}")(config).eval()


def without_its_head(folder):
    model = text_classifier(WORDS, 3)
    return model, model.bert


def of_fewer_labels(folder):
    model, base = text_classifier(WORDS, 3), text_classifier(WORDS, 2)
    base.bert.load_state_dict(model.bert.state_dict())
    return model, base


def of_the_next_word(folder):
    model, base = llama("ForSequenceClassification"), llama("ForCausalLM")
    base.model.load_state_dict(model.model.state_dict())
    return model, base


@pytest.mark.parametrize("make", [without_its_head, of_fewer_labels, of_the_next_word])
def test_the_adapter_brings_the_head_that_its_base_lacks(tmp_path, make):
    model, base = make(tmp_path)
    layer = "q_proj" if make is of_the_next_word else "query"
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=[layer])
    folder, joined = saved(tmp_path, config, model, base)
    backbone = load(folder)
    texts = ["brave calm", "idle harsh glad"]
    with torch.inference_mode():
        expected = joined(**backbone.prepare(texts)).logits
    found = backbone.apply_head(backbone.features(texts))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (backbone.pretrained_head, backbone.out_features) == (True, 3)
    assert backbone.classes == ("LABEL_0", "LABEL_1", "LABEL_2")


@pytest.mark.parametrize(
    "config",
    [
        peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"], bias="all"),
        peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"], use_dora=True),
        peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules="all-linear", use_rslora=True),
        peft.LoraConfig(r=2, target_modules=["query", "classifier"]),
        peft.IA3Config(
            target_modules=["query", "output.dense"], feedforward_modules=["output.dense"]
        ),
        peft.LoHaConfig(task_type="SEQ_CLS", r=2, target_modules=["query"]),
    ],
    ids=["biases", "DoRA", "rank-stabilised", "the head too", "IA3", "LoHa"],
)
def test_other_kinds_of_adapters_are_merged(tmp_path, config):
    folder, joined = saved(tmp_path, config, text_classifier(WORDS, 3))
    backbone = load(folder)
    batch = backbone.prepare(["brave calm"])
    with torch.inference_mode():
        expected = joined(**batch).logits
    found = backbone.apply_head(backbone.features(["brave calm"]))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_an_adapter_of_prompts_cannot_be_merged(tmp_path):
    config = peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=2)
    folder, _ = saved(tmp_path, config, text_classifier(WORDS, 3))
    with pytest.raises(InputError, match=r"puts prompts before the input \(PROMPT_TUNING\)"):
        load(folder)


def test_a_part_of_the_base_that_nobody_brings_is_named(tmp_path):
    import transformers

    model = text_classifier(WORDS, 3)
    base = transformers.BertForMaskedLM(model.config)
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    folder, _ = saved(tmp_path, config, model, base)
    with pytest.raises(InputError, match=r"lack 2 tensors, such as 'bert.pooler.*random"):
        load(folder)


def test_the_tokenizer_beside_the_adapter_is_the_model_s(tmp_path):
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    turned = tokenizer(WORDS[::-1])
    folder, _ = saved(tmp_path, config, text_classifier(WORDS, 3), kept=[turned])
    ids = load(folder).prepare(["brave calm"])["input_ids"]
    assert ids.tolist() == turned(["brave calm"])["input_ids"]
    tokenizer((*WORDS, "zest")).save_pretrained(folder)
    with pytest.raises(InputError, match="gives tokens up to 10, the model has embeddings for 10"):
        load(folder)


def lose(which):
    def change(tensors, stated):
        return {name: v for name, v in tensors.items() if which not in name}, stated

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lose("lora_B"), "lacks tensors that .* asks for, such as '.*query.lora_B.weight'"),
        (lose("classifier"), "does not go onto .*'base_model.model.classifier.weight'"),
        (
            lambda tensors, stated: ({**tensors, "foo.lora_A.weight": torch.ones(2, 2)}, stated),
            "holds tensors that nothing in .* asks for, such as 'foo.lora_A.weight'",
        ),
        (
            lambda tensors, stated: (tensors, stated | {"target_modules": ["value"]}),
            "lacks tensors that .* asks for, such as '.*value.lora_A.weight'",
        ),
        (
            lambda tensors, stated: (tensors, stated | {"r": 4}),
            "does not go onto .*size mismatch for .*query.lora_A",
        ),
        (
            lambda tensors, stated: ({n: v * float("nan") for n, v in tensors.items()}, stated),
            "cannot be merged: NaNs",
        ),
        (
            lambda tensors, stated: (tensors, stated | {"peft_type": "MAGIC"}),
            r"'MAGIC' \(KeyError\)",
        ),
    ],
)
def test_tensors_that_are_not_the_configuration_s_are_named(adapter, change, why):
    from safetensors.torch import load_file, save_file

    folder, _ = adapter
    weights, config = folder / "adapter_model.safetensors", folder / "adapter_config.json"
    tensors, stated = change(load_file(weights), json.loads(config.read_text()))
    save_file(tensors, weights)
    config.write_text(json.dumps(stated))
    with pytest.raises(InputError, match=why):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"x" * 1000])
def test_a_damaged_file_of_weights_is_named(adapter, content):
    folder, _ = adapter
    (folder / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"adapter_model\.safetensors is damaged"):
        load(folder)
