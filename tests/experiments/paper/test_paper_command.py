import json

import pytest
from typer.testing import CliRunner

from evenhand._base.seals import sealed
from evenhand.cli.main import app
from evenhand.experiments.paper.page import Page, Section, as_html, as_markdown


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("paper")


def run(*arguments):
    return CliRunner().invoke(app, ["paper", *map(str, arguments)])


def test_a_figure_is_run_once_and_written_the_same_twice(folder, adult):
    arguments = ("fig5", "--seeds", 1, "--output", folder, "--jobs", 1)
    first = run(*arguments)
    assert first.exit_code == 0, first.output
    assert "Images gain more than tables" in first.output
    names = ("paper.html", "paper.md", "fig5.csv", "fig5.svg", "verdicts.csv", "results.csv")
    before = {name: (folder / name).read_bytes() for name in names}
    cells = {path: path.stat().st_mtime_ns for path in folder.glob("cells/*/seed*")}
    assert cells
    assert run(*arguments, "--quiet").output == ""
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert {path: path.stat().st_mtime_ns for path in folder.glob("cells/*/seed*")} == cells


def test_json_holds_the_verdicts(folder, adult):
    told = run("fig5", "--seeds", 1, "--output", folder, "--jobs", 1, "--json")
    verdicts = json.loads(told.stdout)["verdicts"]
    assert {row["verdict"] for row in verdicts} == {"not run"}  # one seed gives no interval


def test_cells_of_another_model_are_refused(folder, adult):
    assert run("fig5", "--seeds", 1, "--output", folder, "--jobs", 1).exit_code == 0
    mark = folder / "cells" / "adult-mlp2" / "made-from.json"
    kept = mark.read_text(encoding="utf-8")
    mark.write_text(sealed({"evenhand": "0.0.1", "task": "another"}), encoding="utf-8")
    told = run("fig5", "--seeds", 1, "--output", folder, "--jobs", 1)
    mark.write_text(kept, encoding="utf-8")
    assert told.exit_code != 0
    said = str(told.exception)
    assert "holds results made from something else: evenhand was 0.0.1, is " in said
    assert "task was another, is adult; layers was not given, is 2" in said


def test_the_page_escapes_what_it_shows(tmp_path):
    import pandas as pd

    table = pd.DataFrame({"row": ["<script>|"], "verdict": ["equivalent"]})
    page = Page(("<b>",), (Section("s", "S", (), (("c", table),)),), "end")
    assert "<script>" not in as_html(page)
    assert "&lt;script&gt;" in as_html(page)
    assert "<script>\\|" in as_markdown(page)
