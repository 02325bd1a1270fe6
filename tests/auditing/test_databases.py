"""The same counts wherever the decisions live: databases, folders, patterns, frames, workbooks."""

import json
import subprocess
import sys

import duckdb
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from evenhand._base.asked import read_asked
from evenhand.auditing import AuditRequest, audit, audit_of
from evenhand.cli.main import app
from evenhand.errors import InputError

ASKED = {"label": "y", "prediction": "p", "groups": ["sex", "race"]}
FLAGS = ("--label", "y", "--prediction", "p", "--group", "sex", "--group", "race")


@pytest.fixture(scope="module")
def table():
    draw, n = np.random.default_rng(0), 900
    sexes, races = np.array(["F", " F ", "M", None, "?"], dtype=object), np.array(list("ABC"))
    y = draw.integers(0, 2, n)
    return pd.DataFrame(
        {
            "y": y,
            "p": np.where(draw.random(n) < 0.8, y, 1 - y),
            "s": np.round(draw.random(n) * 0.5 + y * 0.4, 2),
            "sex": sexes[draw.integers(0, 5, n)],
            "race": races[draw.integers(0, 3, n)],
        }
    )


def same(found, expected):
    assert found.missing == expected.missing
    for name, counts in expected.counts.items():
        assert found.counts[name].group_names == counts.group_names
        np.testing.assert_array_equal(found.counts[name].table, counts.table)
        np.testing.assert_array_equal(found.counts[name].unknown, counts.unknown)
    pd.testing.assert_frame_equal(found.group_frame(), expected.group_frame())


@pytest.fixture(scope="module")
def expected(table):
    return audit(table, **ASKED, score="s")


@pytest.fixture(scope="module")
def in_postgres(postgres, table):
    import psycopg

    with psycopg.connect(postgres) as connection:
        connection.execute("create schema lending")
        connection.execute(
            "create table lending.decisions"
            '(y smallint, p numeric, s double precision, sex text, "race" char(3), "Sex" text)'
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into lending.decisions values (%s, %s, %s, %s, %s, 'wrong')",
                table.where(table.notna(), None).values.tolist(),
            )
        connection.execute("create table people as select 1 as id, 'F' as sex")
        connection.execute(
            "create table loans as "
            "select 1 as id, 1 as y, 0 as p, 'nan'::float as s, '{1}'::int[] as a"
        )
    return postgres


def test_a_table_of_postgresql(in_postgres, expected):
    same(audit(in_postgres, table="lending.decisions", **ASKED, score="s"), expected)


def test_a_query_to_postgresql_from_the_command_line(in_postgres, expected, tmp_path):
    query = "select * from lending.decisions where s > 0.4 or s <= 0.4;"
    options = (*FLAGS, "--query", query, "-o", str(tmp_path / "out"), "--json")
    done = CliRunner().invoke(app, ["audit", in_postgres, *options])
    assert done.exit_code == 0, done.output
    counts = json.loads(done.stdout)["before"]["counts"]
    assert counts["table"] == expected.counts["sex"].table.tolist()
    asked = read_asked(tmp_path / "out")
    assert asked["query"] == query
    for path in (tmp_path / "out").iterdir():
        assert "secret" not in path.read_text()
    again = AuditRequest.from_config(asked)
    same(audit_of(again), audit(in_postgres, query=query, **ASKED))


def test_tables_joined_by_a_query(in_postgres):
    query = "select * from loans join people using (id)"
    found = audit(in_postgres, query=query, label="y", prediction="p", groups="sex")
    assert found.counts["sex"].table.tolist() == [[[0, 0], [1, 0]]]
    with pytest.raises(InputError, match="no row has all of"):  # its score is NaN
        audit(in_postgres, query=query, label="y", score="s", groups="sex")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name a table .* its tables are loans, people"),
        ({"table": "nothing"}, "nothing"),
        ({"table": "loans", "query": "select 1"}, "not both"),
        ({"query": "drop table loans"}, "must be one SELECT"),
        ({"query": "select 1; drop table loans"}, "must be one SELECT"),
        ({"query": "selec 1"}, "--query is no query of postgres"),
        ({"table": "loans"}, r"no column 'sex'.*it has 5: id, y, p, s, a"),
    ],
)
def test_what_is_wrong_with_a_database_is_named(in_postgres, options, message):
    with pytest.raises(InputError, match=message) as said:
        audit(in_postgres, label="y", prediction="p", groups="sex", **options)
    assert "secret" not in str(said.value)


def test_nested_values_of_a_database_are_refused_by_name(in_postgres):
    with pytest.raises(InputError, match=r"column 'a' of .* holds nested values"):
        audit(in_postgres, table="loans", prediction="p", groups="a")


def test_a_database_that_cannot_be_reached(postgres):
    with pytest.raises(InputError, match=r"postgresql://me@127\.0\.0\.1:1/x cannot be reached"):
        audit("postgresql://me:secret@127.0.0.1:1/x", table="t", **ASKED)


def test_a_text_is_no_score_in_a_database(in_postgres):
    with pytest.raises(InputError, match=r"'race' of .* holds text, not numbers: cast it"):
        audit(in_postgres, table="lending.decisions", score="race", groups="sex")


def test_a_file_of_duckdb(table, expected, tmp_path):
    path = tmp_path / "kept.db"
    with duckdb.connect(str(path)) as connection:
        connection.register("frame", table)
        connection.execute("create table decisions as select * from frame")
    same(audit(path, table="decisions", **ASKED, score="s"), expected)
    same(audit(path, query="select * from decisions", **ASKED, score="s"), expected)
    with pytest.raises(InputError, match=r"name a table .* its tables are decisions"):
        audit(path, **ASKED)
    with pytest.raises(InputError, match="one SELECT"):
        audit(path, query="create table x as select 1", **ASKED)
    with pytest.raises(InputError, match="nothing"):
        audit(path, table="nothing", **ASKED)


WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "xlsx": lambda frame, path: frame.to_excel(path, index=False),
    "csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "feather": lambda frame, path: frame.to_feather(path),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_a_pattern_and_partitions_of_any_format(table, expected, tmp_path, kind):
    if kind == "xlsx":
        pytest.importorskip("openpyxl")
    WRITERS[kind](table, tmp_path / f"whole.{kind}")
    same(audit(tmp_path / f"whole.{kind}", **ASKED, score="s"), expected)
    for at, part in enumerate(("parts", "folders")):
        for race, frame in table.groupby("race"):
            folder = tmp_path / part / (f"race={race}" if at else f"x{race}")
            folder.mkdir(parents=True)
            (folder / "_SUCCESS").write_text("")
            WRITERS[kind](
                (frame.drop(columns="race") if at else frame).reset_index(drop=True),
                folder / f"p.{kind}",
            )
    for source in (tmp_path / "parts", f"{tmp_path}/parts/*/p.*", tmp_path / "folders"):
        found = audit(source, **ASKED, score="s")
        same(found, expected)
        assert found.provenance["files"] == 3
    with pytest.raises(InputError, match="no file at"):
        audit(f"{tmp_path}/parts/*/q.*", **ASKED)


def test_files_of_one_table_that_write_the_scores_in_two_ways_are_refused(table, tmp_path):
    table.to_parquet(tmp_path / "a.parquet")
    table.astype({"s": "float32"}).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(InputError, match="keep 's' as float64 and as float32"):
        audit(tmp_path, **ASKED, score="s")
    same(
        audit(tmp_path, **ASKED),
        audit(pd.concat([table, table], ignore_index=True), **ASKED),
    )


def test_frames_of_any_library(table, expected):
    polars, arrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    same(audit(polars.from_pandas(table), **ASKED, score="s"), expected)
    same(audit(arrow.Table.from_pandas(table), **ASKED, score="s"), expected)
    shuffled = table.set_index(pd.Index(range(len(table) - 1, -1, -1)))
    same(audit(shuffled, **ASKED, score="s"), expected)


def test_standard_input(table, expected):
    command = [sys.executable, "-m", "evenhand", "audit", "-", *FLAGS, "--json"]
    done = subprocess.run(
        command, input=table.to_csv(index=False).encode(), capture_output=True, check=True
    )
    counts = json.loads(done.stdout)["before"]["counts"]
    assert counts["table"] == expected.counts["sex"].table.tolist()
