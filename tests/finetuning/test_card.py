"""The card of a run: its code runs as it stands, and gives the run's own decisions."""

import re
import shutil
import subprocess
import sys

import pytest
from huggingface_hub import ModelCard
from small_runs import NETWORKS, image_run, table_run, text_run

import evenhand as eh
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.task_file_checks import card as checked_card

MAKE = {"table": lambda folder: table_run(folder), "images": image_run, "text": text_run}
DOES = {
    "table": ("tabular-classification", "evenhand"),
    "images": ("image-classification", "evenhand"),
    "text": ("text-classification", "sentence-transformers"),
}


@pytest.mark.parametrize("kind", ["table", *NETWORKS])
def test_the_code_of_a_card_runs_and_decides_as_the_run(kind, tmp_path):
    result, _ = MAKE[kind](tmp_path)
    folder = result.save(tmp_path / "run") / "model"
    if kind == "images":
        shutil.copy(tmp_path / "0.png", folder / "photo.jpg")
    text = (folder / "README.md").read_text(encoding="utf-8")
    data = ModelCard(text).data
    assert (data.pipeline_tag, data.library_name) == DOES[kind]
    assert data.datasets == [result.stage.task]
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == (2 if kind == "text" else 1)
    for code in blocks:
        done = subprocess.run(
            [sys.executable, "-c", f"{code}\nprint(list(map(str, decisions)))"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        rows = {}
        exec(
            re.search(r"^rows = .*?^(?=decisions|logits)", code, re.DOTALL | re.MULTILINE)[0], rows
        )
        if kind == "images":
            rows["rows"] = [folder / "photo.jpg"]
        expected = list(map(str, eh.load(tmp_path / "run").predict(rows["rows"])))
        assert done.stdout.splitlines()[-1] == str(expected)
    if kind == "text":
        assert data.license == "apache-2.0"
        assert data.base_model == "sentence-transformers/all-MiniLM-L6-v2"


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        ({"equalized_odds": 0.5}, "Promised: ΔEO at most 0.5 between the groups of sex"),
        ({"equalized_odds": 0.01}, "Not promised: ΔEO at most 0.01 between"),
        (None, "Nothing is promised: no bound was asked for."),
    ],
)
def test_the_promise_is_told_in_words(adult, tmp_path, bound, said):
    asked = FinetuneRequest(strength=0.3, bound=bound, card={"license": "mit", "language": ["en"]})
    result = finetune_stage(adult, asked)
    text = (result.save(tmp_path) / "model" / "README.md").read_text(encoding="utf-8")
    assert said in text
    upper = result.fair_model.promise.gaps["equalized_odds"]["upper"]
    assert f"at most {upper:.3f} with 90 % confidence" in text
    assert "On new rows drawn as the 17,287 it was fitted and chosen on" in text
    assert ModelCard(text).data.license == "mit"
    assert ModelCard(text).data.language == ["en"]


def test_what_a_card_is_asked_to_say_is_checked():
    assert checked_card(["license=mit", "language=en,de"]) == {
        "license": "mit",
        "language": ["en", "de"],
    }
    with pytest.raises(ValueError, match="did you mean 'license'"):
        checked_card({"licence": "mit"})
    with pytest.raises(ValueError, match="expected license=mit"):
        checked_card("mit")
