"""Folders of transformers that lack something, or hold something damaged: said by name."""

import json
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

transformers = pytest.importorskip("transformers")

from test_transformers_models import SMALL, TEXTS, WORDS, save, tokenizer  # noqa: E402

from evenhand.errors import EvenhandError, InputError  # noqa: E402
from evenhand.models import load  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL))
    return save(tmp_path_factory.mktemp("m") / "bert", model, tokenizer())


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "bert")


def test_without_the_tokenizers_files(copied):
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (copied / name).unlink(missing_ok=True)
    with pytest.raises(InputError, match="copy the tokenizer from the base model"):
        load(copied)


def test_a_tokenizer_far_smaller_than_the_vocabulary(tmp_path):
    config = transformers.BertConfig(**SMALL | {"vocab_size": 1000})
    model = transformers.BertForSequenceClassification(config)
    save(tmp_path, model, tokenizer())
    with pytest.raises(InputError, match=f"knows {len(WORDS)} tokens, the model 1,000: .* copy"):
        load(tmp_path)


def test_a_tokenizer_larger_than_the_vocabulary(tmp_path):
    config = transformers.BertConfig(**SMALL | {"vocab_size": 30})
    save(tmp_path, transformers.BertForSequenceClassification(config), tokenizer())
    with pytest.raises(InputError, match="gives tokens up to 43, the model has embeddings for 30"):
        load(tmp_path)


def test_a_vocabulary_padded_a_little_is_right(tmp_path):
    config = transformers.BertConfig(**SMALL | {"vocab_size": 64})
    save(tmp_path, transformers.BertForSequenceClassification(config), tokenizer())
    assert load(tmp_path).features(TEXTS).shape == (5, 16)


@pytest.mark.parametrize("base", ["bert-base-uncased", None])
def test_a_folder_of_peft_adapters_says_how_to_merge(tmp_path, base):
    stated = {"peft_type": "LORA"} | ({"base_model_name_or_path": base} if base else {})
    (tmp_path / "adapter_config.json").write_text(json.dumps(stated))
    with pytest.raises(InputError, match=r"PEFT adapter of .*merge_and_unload") as refused:
        load(tmp_path)
    assert (base or "does not name") in str(refused.value)


def test_an_image_model_without_its_processor(tmp_path):
    config = transformers.ViTConfig(
        image_size=16, patch_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8,
    )  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"copy preprocessor_config\.json from the base model"):
        load(tmp_path)


def test_one_logit_of_transformers_is_kept(tmp_path):
    config = transformers.BertConfig(**SMALL | {"num_labels": 1})
    save(tmp_path / "a", transformers.BertForSequenceClassification(config), tokenizer())
    backbone = load(tmp_path / "a")
    assert (backbone.out_features, backbone.number_of_classes) == (1, 2)
    shipped = backbone.with_head(backbone.linear_head(), ["no", "yes"])
    assert shipped.config.id2label == {0: "yes"}
    shipped.save_pretrained(tmp_path / "b")
    again = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "b")
    batch = backbone.prepare(TEXTS)
    with torch.inference_mode():
        assert torch.allclose(again.eval()(**batch).logits, backbone.model(**batch).logits)


def test_weights_without_a_head_or_a_part_of_the_body(tmp_path):
    config = transformers.BertConfig(**SMALL)
    whole = transformers.BertForSequenceClassification(config)
    whole.bert.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(
        json.dumps(config.to_dict() | {"architectures": ["BertForSequenceClassification"]})
    )
    assert not load(tmp_path).pretrained_head
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(tmp_path)
    assert load(tmp_path).features(TEXTS).shape == (5, 16)
    (tmp_path / "config.json").write_text(
        json.dumps(config.to_dict() | {"architectures": ["BertForSequenceClassification"]})
    )
    with pytest.raises(InputError, match=r"lack 2 tensors, such as 'bert\.pooler\.dense\.bias'"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_labels", 10**12), ("vocab_size", 10**9), ("max_position_embeddings", 10**12),
     ("num_hidden_layers", 10**9), ("hidden_size", 10**9), ("bos_token_id", 10**400)],
)  # fmt: skip
def test_sizes_that_the_weights_cannot_hold_are_refused_before_allocating(copied, name, value):
    path = copied / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(InputError, match=f"damaged: it says {name} .* more than weights of"):
        load(copied)


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-3, 10**20), st.integers(-3, 50), st.floats(),
        st.text(max_size=4),
        st.just(10**400),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)  # fmt: skip
FILES = ("config.json", "tokenizer_config.json", "tokenizer.json", "sentence_bert_config.json")
KEYS = {
    "config.json": [
        "model_type", "architectures", "id2label", "vocab_size", "hidden_act", "num_labels",
        "max_position_embeddings", "pad_token_id", "layer_norm_eps", "problem_type", "dtype",
    ],
    "tokenizer_config.json": ["tokenizer_class", "model_max_length", "pad_token"],
    "tokenizer.json": ["model", "added_tokens", "normalizer", "version"],
    "sentence_bert_config.json": ["max_seq_length"],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "examples", [25, pytest.param(1000, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_a_damaged_configuration_is_no_traceback(folder, tmp_path_factory, examples):
    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.sampled_from(FILES), st.data())
    def tried(name, data):
        own = shutil.copytree(folder, tmp_path_factory.mktemp("d") / "m")
        path = own / name
        settings_ = json.loads(path.read_text()) if path.is_file() else {}
        if data.draw(st.booleans()):
            settings_[data.draw(st.sampled_from(KEYS[name]))] = data.draw(JSON)
            path.write_text(json.dumps(settings_))
        else:
            text = json.dumps(settings_)
            cut = data.draw(st.integers(0, len(text)))
            path.write_text(text[:cut] + data.draw(st.text(max_size=3)), encoding="utf-8")
        said = ""
        try:
            load(own)
        except EvenhandError as error:
            said = str(error)
        assert "\x1b" not in said
        assert len(said) < 2000
        shutil.rmtree(own)

    tried()


def test_pickled_weights_alone_are_refused_with_how_to_save_them(copied):
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pytorch_model\.bin and no safetensors: pickled weights"):
        load(copied)


def test_another_number_of_labels_than_the_weights_is_named(copied):
    path = copied / "config.json"
    stated = json.loads(path.read_text()) | {"id2label": {"0": "a"}, "label2id": {"a": 0}}
    path.write_text(json.dumps(stated))
    with pytest.raises(InputError, match=r"other shapes than its config\.json says.*id2label"):
        load(copied)
