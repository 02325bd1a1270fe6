"""Requests: written and read back the same, each option once."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evenhand.cli.request_options import taken
from evenhand.errors import InputError
from evenhand.experiments.compare.request import CompareRequest
from evenhand.experiments.methods.registry import METHODS
from evenhand.finetuning.request import FLAGS, OPTIONS, FinetuneRequest
from evenhand.heads.selection.rule import Bound, make_rule

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1).filter(
    lambda text: "," not in text and "=" not in text
)
SOME = st.lists(WORDS, min_size=1, max_size=3, unique=True).map(tuple)
LIMITS = st.dictionaries(
    st.sampled_from(["equalized_odds", "demographic_parity", "equal_opportunity"]),
    st.floats(0.01, 0.9),
    min_size=1,
)
TABLES = st.fixed_dictionaries(
    {"data": WORDS.map(Path), "label": WORDS, "groups": SOME},
    optional={
        "positive": WORDS,
        "features": SOME,
        "drop": SOME,
        "missing": SOME,
        "split": st.just({"train": 0.6, "valid": 0.15, "test": 0.25}),
        "seed": st.integers(0, 2**32 - 1),
        "criterion": st.sampled_from(["equalized_odds", "demographic_parity"]),
        "bound": LIMITS,
        "confidence": st.floats(0.51, 0.99),
        "max_cost": st.floats(0, 5),
        "error": st.sampled_from(["f1", "accuracy", "balanced", "log_loss"]),
        "strength": st.floats(0, 100),
        "rank": st.integers(1, 5) | st.just("auto"),
        "alpha": st.floats(0.5, 1),
        "adapter": st.integers(0, 3),
        "name": st.from_regex(r"[a-z][a-z ]{0,9}[a-z]", fullmatch=True),
        "at_any_cost": st.booleans(),
        "allow_unpromised": st.booleans(),
        "fresh_head": st.booleans(),
        "min_rows": st.integers(1, 500),
        "bins": st.lists(st.integers(-9, 99), min_size=1, unique=True).map(sorted),
        "merge_groups": st.dictionaries(WORDS, SOME, min_size=1, max_size=2),
        "exclude_groups": SOME,
        "card": st.fixed_dictionaries(
            {"license": WORDS}, optional={"language": SOME.map(list), "intended": WORDS}
        ),
        "about": st.fixed_dictionaries(
            {"title": WORDS}, optional={"period": WORDS, "groups": st.dictionaries(WORDS, WORDS)}
        ),
        "rare": st.sampled_from(["other", "exclude", "error"]),
        "device": st.sampled_from(["auto", "cpu", "cuda:1"]),
        "precision": st.sampled_from(["auto", "float32", "bfloat16"]),
        "batch_size": st.integers(1, 4096),
    },
)


@given(TABLES)
def test_a_request_is_read_back_as_it_was_written(options):
    asked = FinetuneRequest("table").changed(options)
    kept = yaml.safe_load(yaml.safe_dump(asked.to_config(), allow_unicode=True, sort_keys=False))
    again = FinetuneRequest.from_config(kept)
    assert again.to_config() == asked.to_config()
    assert again.rule() == asked.rule()
    assert again.options() == asked.options()


@given(
    st.lists(LIMITS, max_size=2),
    st.lists(st.integers(0, 9), min_size=1, unique=True),
    st.none() | st.lists(st.sampled_from(sorted(METHODS)), min_size=1, unique=True),
)
def test_a_comparison_is_read_back_as_it_was_written(limits, seeds, methods):
    rules = [
        make_rule([Bound(c, v) for c, v in each.items()], next(iter(each)), 0.9, 0.5, "f1")
        for each in limits
    ]
    asked = CompareRequest(
        FinetuneRequest("adult", layers=3),
        tuple(seeds),
        None if methods is None else tuple(name for name in METHODS if name in methods),
        tuple(rules),
    )
    kept = yaml.safe_load(yaml.safe_dump(asked.to_config(), sort_keys=False))
    assert CompareRequest.from_config(kept) == asked


def test_what_a_task_does_not_know_is_refused_by_its_flag():
    adult = FinetuneRequest("adult")
    for given_options, message in (
        ({"data": Path("x.csv")}, "--data: is for task table or .*, not adult"),
        ({"weights": "w.safetensors"}, "--weights: is for task .*, not adult"),
        ({"split": "part"}, "--split: adult has the paper's split"),
        ({"max_length": 3}, "--max-length: is for task text, not adult"),
        ({"confidence": 3.0}, "--confidence: expected a number from 0.5"),
        ({"groop": "sex"}, "no option 'groop'"),
    ):
        with pytest.raises(InputError, match=message):
            adult.changed(given_options)
    with pytest.raises(InputError, match="--weights: are those of a model"):
        FinetuneRequest("table").changed({"weights": "w.safetensors"})


def test_a_seed_of_the_file_is_obeyed_unless_a_flag_says_otherwise(tmp_path):
    from evenhand.finetuning.recipe import recipe

    path = tmp_path / "task.yaml"
    path.write_text("task: adult\nseed: 7\nstrength: 2\nmax_cost: 1\nbound: {eo: 0.1, dp: 0.2}\n")
    asked = recipe(str(path), seed=None).config
    assert (asked.seed, asked.strength, asked.max_cost) == (7, 2.0, 1.0)
    assert asked.bounds == (Bound("eo", 0.1), Bound("dp", 0.2))
    assert recipe(str(path), seed=3, bound=["eo=0.3"]).config.bounds == (Bound("eo", 0.3),)
    assert recipe(str(path), seed=0).config.seed == 0


def test_every_option_has_one_flag_and_words_of_help():
    assert len(set(FLAGS.values())) == len(OPTIONS)
    assert all(option.metadata["help"] for option in OPTIONS.values())


def test_a_flag_takes_what_its_option_is():
    texts = {name: str for name in OPTIONS}
    numbers = {
        **dict.fromkeys(
            ("seed", "image_size", "max_length", "layers", "adapter", "min_rows", "batch_size"), int
        ),
        **dict.fromkeys(("confidence", "max_cost", "strength", "alpha"), float),
        **dict.fromkeys(("data", "from_run", "output"), Path),
        **dict.fromkeys(("at_any_cost", "allow_unpromised", "fresh_head", "plain"), bool),
    }
    assert {name: taken(name) for name in OPTIONS} == texts | numbers
