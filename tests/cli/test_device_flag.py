"""``--device`` and ``--precision`` from the command line, on a GPU."""

import numpy as np
import pandas as pd
import pytest
from small_runs import WORDS
from tiny_models import text_classifier, tokenizer, written

from evenhand.cli.main import main


def called(capsys, *arguments):
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    found = capsys.readouterr()
    assert not done.value.code, found.err
    return found.out


def test_a_run_and_its_decisions_on_a_gpu(gpu, tmp_path, capsys):
    pytest.importorskip("transformers")
    model = written(tmp_path / "model", text_classifier(WORDS), tokenizer(WORDS))
    draw = np.random.default_rng(0)
    chosen = draw.integers(0, len(WORDS), (400, 3))
    texts = [" ".join(WORDS[place] for place in row) for row in chosen]
    kinds = np.where((chosen < 4).sum(1) + draw.normal(size=400) > 1.5, "good", "bad")
    frame = pd.DataFrame({"says": texts, "sex": draw.choice(["F", "M"], 400), "kind": kinds})
    data = tmp_path / "says.csv"
    frame.to_csv(data, index=False)
    how = ("--label", "kind", "--group", "sex", "--text", "says", "--model", model)
    how = ("finetune", "text", "--data", data, *how, "--cache", tmp_path / "cache")
    how = (*how, "--strength", "1")
    scored = {}
    for name, more in {"cpu": ("--device", "cpu"), "gpu": ("--device", gpu)}.items():
        run, out = tmp_path / name, tmp_path / f"{name}.csv"
        told = called(capsys, *how, *more, "-o", run)
        assert ("in bfloat16" in told) is (name == "gpu")
        called(capsys, "predict", run, data, "-o", out, *more)
        scored[name] = pd.read_csv(out)["decision"]
    assert scored["cpu"].nunique() == 2
    assert (scored["cpu"] == scored["gpu"]).mean() >= 0.95
