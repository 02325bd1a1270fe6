"""The documents for machines are as the schemas in docs/reference say."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from test_page import decisions
from typer.testing import CliRunner

from evenhand.auditing import audit
from evenhand.cli.main import app
from evenhand.report.files import to_json

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference"
ASKED = {"label": "y", "prediction": "p", "groups": "g"}


def valid(document, name):
    schemas = pytest.importorskip("jsonschema")
    schema = json.loads((DOCS / f"{name}.schema.json").read_text())
    schemas.Draft202012Validator.check_schema(schema)
    schemas.validate(document, schema)


@pytest.fixture(scope="module")
def table():
    table = decisions({"F": (0.8, 0.1), "M": (0.91, 0.1)}, 150)
    few = table[table["y"] == 0].assign(g="N").head(30)
    return pd.concat([table, few], ignore_index=True)


def test_an_audit(table):
    for more in ({}, {"against": table}, {"score": "s"}):
        found = audit(table.assign(s=0.5), **ASKED, **more)
        document = json.loads(to_json(found.to_run()))
        valid(document, "result")
        made = datetime.fromisoformat(document["time"])
        assert abs((datetime.now(UTC) - made).total_seconds()) < 60
        interval = document["before"]["intervals"]["equalized_odds"]
        assert interval["at_least"] == pytest.approx(0.4)  # of 30 without the label half
        assert any("fewer than 100 rows" in warning for warning in document["warnings"])
    bare = audit(table.drop(columns="y"), prediction="p", groups="g")
    valid(json.loads(to_json(bare.to_run())), "result")


def test_a_watch(table, tmp_path):
    audit(table, **ASKED).write(tmp_path / "run")
    path = tmp_path / "new.csv"
    table.to_csv(path, index=False)
    options = ("--bound", "eo=0.1", "--prediction", "p", "--json")
    done = CliRunner().invoke(app, ["watch", str(tmp_path / "run"), str(path), *options])
    assert done.exit_code == 0, done.output
    valid(json.loads(done.stdout), "watch")
    (line,) = (tmp_path / "run" / "watch.jsonl").read_text().splitlines()
    valid(json.loads(line), "watch")
