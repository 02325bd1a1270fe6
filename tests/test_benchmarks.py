"""The benchmarks' own arithmetic, and one of them run; nothing here looks at the time."""

import ast
import csv
import importlib
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import BENCHMARKS, cost_page, mutation  # noqa: E402
from benchmarks.__main__ import main  # noqa: E402
from benchmarks.measure import Options, in_turns, ratio, require  # noqa: E402
from benchmarks.rows import TIMES, Row, as_csv, as_page, faster, from_csv, times  # noqa: E402


@pytest.mark.whole
def test_a_quick_run_writes_its_rows_and_its_page(tmp_path, capsys):
    main(["narrow", "--quick", "--repeats", "2", "--output", str(tmp_path / "out")])
    with (tmp_path / "out" / "benchmarks.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["benchmark"] for row in rows} == {"narrow"}
    for row in rows:
        assert float(row["low"]) <= float(row["ratio"]) <= float(row["high"])
        assert (row["bar"], row["met"]) == ("", "")
    page = (tmp_path / "out" / "benchmarks.md").read_text(encoding="utf-8")
    assert "`python -m benchmarks narrow --repeats 2 --quick`" in page
    assert all(row["what"] in page for row in rows)
    assert "cores" in page
    assert "one read of the features" in capsys.readouterr().out


def test_an_unknown_benchmark_is_refused_by_name(capsys):
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert f"there are {', '.join(BENCHMARKS)}" in capsys.readouterr().err


def test_ways_take_turns():
    order = []
    seconds = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 4
    assert [len(found) for found in seconds.values()] == [3, 3]


def test_ratios_are_of_one_turn_each_and_bars_of_their_median():
    found = ratio([2.0, 9.0, 8.0], [1.0, 3.0, 2.0])
    assert (found.median, found.low, found.high) == (3, 2, 4)
    ahead = faster("svd", "ours", "theirs", [1.0, 1.0], [10.0, 30.0], bar=">= 20")
    assert (ahead.ratio, ahead.met) == (20, True)
    behind = times("svd", "ours", "theirs", [3.0], [2.0], bar="<= 1.4")
    assert (behind.ratio, behind.unit, behind.met) == (1.5, TIMES, False)
    assert Row("svd", "ours", "theirs", 1.0).met is None
    page = as_page([ahead, behind], "A machine.", "command")
    assert "1 of 2 bars were met" in page
    assert "**no**" in page
    assert [row["met"] for row in csv.DictReader(as_csv([ahead, behind]).splitlines())] == [
        "yes",
        "no",
    ]


def test_a_rival_that_is_not_installed_is_skipped_by_name(monkeypatch):
    from benchmarks import fisher

    def missing(case):
        require("no_such_module", "no-such-package")

    monkeypatch.setattr(fisher, "RIVALS", {"nobody": missing})
    monkeypatch.setattr(fisher, "SMALL", (60, 12, 5))
    monkeypatch.setattr("benchmarks.measure.gc.collect", lambda: 0)
    rows = fisher.run(Options(repeats=1, quick=True))
    skipped = [row for row in rows if row.against == "nobody"]
    assert [row.note for row in skipped] == ["skipped: pip install --no-deps no-such-package"]
    assert "skipped: pip install" in as_page(rows, "A machine.", "command")


def test_every_way_to_the_fisher_that_is_installed_gives_the_same_sums():
    from benchmarks import fisher
    from benchmarks.fisher_case import make
    from benchmarks.fisher_rivals import RIVALS

    case = make(60, 12, 5)
    exact = fisher.diagonal(case)
    np.testing.assert_allclose(fisher.hooked_diagonal(case), exact, rtol=1e-3, atol=1e-4)
    for name in ("per-sample loop", "torch.func"):
        np.testing.assert_allclose(RIVALS[name](case), exact, rtol=1e-3, atol=1e-4)


def test_figures_go_between_the_marks_of_the_page(tmp_path):
    path = tmp_path / "cost.md"
    cost_page.put(path, "figures")
    assert not path.exists()
    path.write_text("before\n<!-- cost:begin -->\nold\n<!-- cost:end -->\nafter\n", "utf-8")
    for _ in range(2):
        cost_page.put(path, "new\n")
    text = path.read_text("utf-8")
    assert text == "before\n<!-- cost:begin -->\nnew\n<!-- cost:end -->\nafter\n"
    path.write_text("no marks", "utf-8")
    with pytest.raises(SystemExit, match="has no <!-- cost:begin -->"):
        cost_page.put(path, "new")


def test_the_page_on_costs_has_the_marks_its_figures_go_between():
    page = (ROOT / "docs" / "explanation" / "cost.md").read_text(encoding="utf-8")
    assert "<!-- cost:begin -->\n" in page
    assert "<!-- cost:end -->" in page


def test_memory_is_that_of_the_call():
    from benchmarks.memory import peak_megabytes

    here = "benchmarks.memory"
    found = peak_megabytes(f"{here}:megabytes", f"{here}:fill", (100,), (1,))
    assert 95 < found < 140


@pytest.mark.parametrize("module", mutation.TESTS)
def test_a_mutated_module_and_its_tests_are_there(module):
    assert (ROOT / "src" / "evenhand" / f"{module}.py").is_file()
    files = [argument for argument in mutation.TESTS[module] if argument.startswith("tests/")]
    assert files
    assert all((ROOT / file).is_file() for file in files)


def test_every_judged_mutant_is_still_made():
    made = {
        f"{module}: {what}"
        for module in {key.split(":")[0] for key in mutation.JUDGED}
        for *_, what in mutation.words(
            (ROOT / "src" / "evenhand" / f"{module}.py").read_text("utf-8")
        )
    }
    assert set(mutation.JUDGED) <= made


def test_the_killing_server_finds_what_it_changes():
    from benchmarks import reliability

    assert reliability.store.ROWS_PER_SHARD > reliability.SHARD
    assert "ROWS_PER_SHARD" in (ROOT / reliability.store.__file__).read_text("utf-8")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_finds_what_it_names(name):
    """One that does not stops the whole run, an hour into it."""
    try:
        importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("evenhand", "benchmarks"):
            raise
        pytest.skip(str(error))


def test_a_run_goes_on_where_it_was_stopped(tmp_path, capsys):
    row = Row("narrow", "rows", "one read", 5.5, 5.25, 6.0, "× the time", 0.077, 0.0148, memory=7.0)
    (tmp_path / "benchmarks.csv").write_text(as_csv([row]), encoding="utf-8")
    main(["narrow", "--quick", "--resume", "--output", str(tmp_path)])
    assert "narrow:" not in capsys.readouterr().out
    assert from_csv((tmp_path / "benchmarks.csv").read_text(encoding="utf-8")) == [row]


def test_no_benchmark_imports_in_a_circle():
    folder = ROOT / "benchmarks"
    imports = {
        file.stem: {
            part
            for node in ast.walk(ast.parse(file.read_text("utf-8")))
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmarks.")
            for part in [node.module.split(".")[1]]
        }
        for file in folder.glob("*.py")
    }
    TopologicalSorter(imports).prepare()  # CycleError names the circle


def test_heads_on_a_gpu_are_timed_and_compared_or_said_to_be_not(monkeypatch):
    import torch

    from benchmarks import gpu_heads
    from benchmarks.gpu_heads import rows_of_heads

    seconds, outside, ahead, apart = rows_of_heads(Options(1, quick=True))
    assert "on cpu" in seconds.what  # by the device's engine, in the GPU's place
    assert (seconds.unit, seconds.bar) == ("s", "<= 10")
    assert "in the GPU's place" in seconds.note
    assert ahead.ours == seconds.ours
    assert 0 < outside.ratio < seconds.ratio
    assert 0 < apart.ratio <= 1e-5
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu_heads, "FULL", (70_000, 64, 2))
    monkeypatch.setattr(gpu_heads, "SHARE", 1)
    absent, outside = rows_of_heads(Options(1))
    assert (absent.ratio, absent.met) == (None, None)
    assert outside.ratio > 0
    assert (outside.bar, outside.note) == ("", "measured on the processor")
    assert absent.note == "skipped: no CUDA device"


def test_a_gpu_s_share_is_measured_and_its_absence_is_said_and_no_pass(monkeypatch):
    import torch

    from benchmarks.gpu_adapt import rows_of_training
    from benchmarks.gpu_extraction import rows_of_extraction

    for name in ("torchvision", "transformers"):
        pytest.importorskip(name)
    for rows_of, bar in ((rows_of_extraction, ">= 80"), (rows_of_training, ">= 70")):
        (found,) = rows_of(Options(1, quick=True))
        assert found.ratio == pytest.approx(100 * found.theirs / found.ours)
        assert "only that it works" in found.note
        with monkeypatch.context() as patch:
            patch.setattr(torch.cuda, "is_available", lambda: False)
            (absent,) = rows_of(Options(1))
        assert (absent.bar, absent.ratio, absent.met) == (bar, None, None)
        assert absent.note == "skipped: no CUDA device"


def test_a_share_is_of_each_turn():
    from benchmarks.gpu_device import share

    found = share("ours", "theirs", [2.0, 4.0, 1.0], [1.0, 3.0, 1.0], ">= 80", Options())
    assert (found.ratio, found.low, found.high, found.met) == (75, 50, 100, False)
    assert found.note == ""


def test_the_page_names_a_gpu_where_there_is_one(monkeypatch):
    import torch

    from benchmarks.machine import describe

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    without = describe()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    assert describe() == without.replace("GiB, ", "GiB, A GPU, ", 1)
