import dataclasses

import pytest
import yaml
from simulated_run import make_run

from evenhand.errors import ArtefactError
from evenhand.report import model_card as card
from evenhand.report.card_metadata import CardFacts

HOSTILE = ("<script>alert(1)</script>", "a|b", "*bold* [x](y)", "عربي 👩🏽‍💻")


def metadata(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_a_new_card_has_metadata_the_hub_reads(run):
    hub = pytest.importorskip("huggingface_hub")
    text = card.render(run, name="adult-even")
    read = hub.ModelCard(text)
    (result, *_) = read.data.eval_results
    assert result.dataset_name == "adult"
    types = {r.metric_type: r.metric_value for r in read.data.eval_results}
    assert types["equalized_odds"] == pytest.approx(run.after.gap("eo"), abs=1e-5)
    assert {"evenhand", "fairness"} <= set(read.data.tags)


def test_the_card_holds_the_group_table_the_use_and_the_limits(run):
    text = card.render(run, name="m", facts=CardFacts(intended="Ranking letters."))
    for heading in ("# m", "### Groups", "### Intended use", "### Limits", "### How it was made"):
        assert f"\n{heading}" in text
    assert "Ranking letters" in text
    assert "| Female | 1,971 |" in text


EXISTING = """---
license: apache-2.0
tags:
- text-classification
model-index:
- name: m
  results:
  - task: {type: text-classification}
    dataset: {name: glue, type: glue}
    metrics: [{type: accuracy, value: 0.9}]
---

# My model

Written by hand, with --- dashes and `code`.
"""


def test_an_existing_card_is_updated_and_its_own_parts_are_kept(run):
    once = card.render(run, EXISTING, name="m")
    assert "Written by hand, with --- dashes" in once
    assert once.count("# My model") == 1
    data = metadata(once)
    assert data["license"] == "apache-2.0"
    assert data["tags"] == ["text-classification", "evenhand", "fairness"]
    (entry,) = data["model-index"]
    assert [r["dataset"]["name"] for r in entry["results"]] == ["glue", "adult"]


def test_updating_twice_changes_nothing_more(run):
    once = card.render(run, EXISTING, name="m")
    assert card.render(run, once, name="m") == once
    fresh = card.render(run, name="m")
    assert card.render(run, fresh, name="m") == fresh


def test_text_after_the_block_is_kept_and_the_block_is_replaced(run):
    once = card.render(run, EXISTING, name="m") + "\nA last word.\n"
    other = dataclasses.replace(run, decided="Nothing was changed at all.")
    twice = card.render(other, once, name="m")
    assert "A last word." in twice
    assert "Nothing was changed at all" in twice
    assert "strength" not in twice.split("### Groups")[0]


def test_hostile_names_cannot_act_or_break_the_table():
    run = make_run(groups=HOSTILE, asked="<img src=x onerror=alert(1)> <!-- evenhand:end -->")
    text = card.render(run, name="<b>")
    assert "<script>" not in text
    assert "<img" not in text
    assert "\\*bold\\*" in text
    section = text.split("### Groups")[1].split("###")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(HOSTILE)
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert card.render(run, text, name="<b>") == text


@pytest.mark.parametrize(
    ("existing", "message"),
    [
        ("---\n: [\n---\n", "not YAML"),
        ("---\n- a\n---\n", "not a mapping"),
        ("text <!-- evenhand:begin --> and no end", "one pair"),
    ],
)
def test_a_damaged_card_is_refused_and_not_lost(run, tmp_path, existing, message):
    (tmp_path / "README.md").write_text(existing)
    with pytest.raises(ArtefactError, match=message):
        card.write(run, tmp_path)
    assert (tmp_path / "README.md").read_text() == existing


def test_the_card_is_written_beside_the_model(run, tmp_path):
    path = card.write(run, tmp_path / "adult-even")
    assert path.name == "README.md"
    assert metadata(path.read_text(encoding="utf-8"))["model-index"][0]["name"] == "adult-even"


def test_what_is_known_of_the_model_stands_in_the_metadata_and_the_text(run):
    hub = pytest.importorskip("huggingface_hub")
    facts = CardFacts(
        license="apache-2.0",
        language=("en", "de"),
        base_model="owner/base",
        datasets=("letters",),
        pipeline_tag="text-classification",
        library_name="transformers",
        decides="Decides kind: good or bad, from a text.",
        usage=(("Rows are texts.", "print('`````')\n"),),
        promise=("Promised: ΔEO at most 0.1.",),
    )
    text = card.render(run, name="m", facts=facts)
    data = hub.ModelCard(text).data
    assert (data.license, data.language, data.base_model) == (
        "apache-2.0",
        ["en", "de"],
        "owner/base",
    )
    assert (data.datasets, data.library_name) == (["letters"], "transformers")
    assert data.pipeline_tag == data.eval_results[0].task_type == "text-classification"
    assert "\n``````python\nprint('`````')\n``````\n" in text
    for said in (
        "## How to use",
        "## What is promised\n\nPromised: ΔEO at most 0.1.",
        facts.decides,
    ):
        assert said in text
    owners = card.render(run, "---\nlicense: mit\n---\n", name="m", facts=facts)
    assert metadata(owners)["license"] == "mit"


def test_the_source_can_be_read(run):
    text = card.render(run, name="MLP-2-adult")
    assert "# MLP-2-adult" in text
    body = text.split("---\n", 2)[2]
    assert "\\-" not in body
    assert "\\." not in body


def test_a_model_index_that_the_hub_cannot_read_is_named(run):
    with pytest.raises(ArtefactError, match="not what the hub reads"):
        card.render(run, "---\nmodel-index:\n- name: m\n  results:\n  - task: 3\n---\n", name="m")
