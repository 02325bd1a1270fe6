"""Groups, decisions and labels in several tables, joined on a key: files, frames, databases."""

import json

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_databases import same
from typer.testing import CliRunner

from evenhand._base.asked import read_asked
from evenhand.auditing import audit
from evenhand.cli.main import app
from evenhand.errors import InputError

ASKED = {"label": "y", "score": "s", "prediction": "p", "groups": ["sex", "region"]}


@pytest.fixture(scope="module")
def tables():
    draw, n = np.random.default_rng(0), 400
    people = pd.DataFrame(
        {
            "id": np.arange(n),
            "sex": draw.choice(["F", "M"], n),
            "region": draw.choice(list("NS"), n),
        }
    )
    decided = pd.DataFrame({"id": draw.permutation(n)[:300]})
    decided["p"] = draw.integers(0, 2, 300)
    decided["s"] = draw.random(300).round(2)
    labels = pd.DataFrame({"id": np.arange(n), "y": draw.integers(0, 2, n)}).sample(frac=1)
    return decided, people, labels


@pytest.fixture(scope="module")
def whole(tables):
    decided, people, labels = tables
    return audit(decided.merge(people, on="id").merge(labels, on="id"), **ASKED)


def test_files_of_any_kind_joined_on_a_key(tables, whole, tmp_path):
    decided, people, labels = tables
    decided.astype({"id": float}).to_csv(tmp_path / "d.csv", index=False)
    people.astype({"id": "int32"}).to_parquet(tmp_path / "people.parquet", index=False)
    labels.to_csv(tmp_path / "labels.csv.gz", index=False)
    others = [tmp_path / "people.parquet", tmp_path / "labels.csv.gz"]
    found = audit(tmp_path / "d.csv", join=others, on="id", **ASKED)
    same(found, whole)
    assert found.provenance["files"] == 3
    flags = [f"--{k}={v}" for k, v in ASKED.items() if k != "groups"]
    flags += ["--group", "sex", "--group", "region", "--on", "id", "--json"]
    joined = [word for other in others for word in ("--join", str(other))]
    done = CliRunner().invoke(app, ["audit", str(tmp_path / "d.csv"), *flags, *joined])
    assert done.exit_code == 0, done.output
    counts = json.loads(done.stdout)["before"]["counts"]
    assert counts["table"] == whole.counts["sex"].table.tolist()


def test_frames_joined_on_a_key(tables, whole):
    decided, people, labels = tables
    found = audit(decided, join=[people, labels], on="id", **ASKED)
    same(found, whole)
    assert found.request.to_config()["join"] == ["a table in memory"] * 2


def test_tables_of_duckdb_joined_on_a_key(tables, whole, tmp_path):
    path = tmp_path / "kept.db"
    with duckdb.connect(str(path)) as connection:
        for name, table in zip(("decided", "people", "labels"), tables, strict=True):
            connection.register("frame", table)
            connection.execute(f"create table {name} as select * from frame")
    same(audit(path, table="decided", join=["people", "labels"], on="id", **ASKED), whole)
    query = "select * from decided;"
    found = audit(path, query=query, join=["people", "labels"], on="id", **ASKED)
    same(found, whole)
    assert found.provenance["join"] == ["people", "labels"]


def _fill(cursor, schema, tables):
    """Insert the rows of the three tables into those of a schema."""
    for name, table in zip(("decided", "people", "labels"), tables, strict=True):
        columns, marks = ", ".join(table.columns), ", ".join(["%s"] * table.shape[1])
        values = table.astype(object).values.tolist()
        cursor.executemany(f"insert into {schema}.{name} ({columns}) values ({marks})", values)


def test_tables_of_postgresql_joined_on_a_key(postgres, tables, whole, tmp_path):
    import psycopg

    with psycopg.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("create schema j")
        cursor.execute("create table j.decided (id int, p int, s double precision)")
        cursor.execute('create table j.people ("id" bigint, sex text, region text)')
        cursor.execute("create table j.labels (id int, y int)")
        _fill(cursor, "j", tables)
    others = {"join": ["j.people", "j.labels"], "on": "id"}
    same(audit(postgres, table="j.decided", **others, **ASKED), whole)
    found = audit(postgres, query="select * from j.decided;", **others, **ASKED)
    same(found, whole)
    found.write(tmp_path)
    assert read_asked(tmp_path)["join"] == ["j.people", "j.labels"]
    with psycopg.connect(postgres) as connection:
        connection.execute("insert into j.labels values (3, 1)")
    with pytest.raises(InputError, match=r"j\.labels has several rows with id 3: give one row"):
        audit(postgres, table="j.decided", **others, **ASKED)


@pytest.fixture(scope="module")
def in_postgres(postgres, tables):
    """The three tables in a schema of their own."""
    import psycopg

    with psycopg.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("create schema s")
        cursor.execute("create table s.decided (id numeric, p int, s double precision)")
        cursor.execute("create table s.people (id bigint, sex text, region text)")
        cursor.execute("create table s.labels (id text, y smallint, more int[])")
        _fill(cursor, "s", [table.astype({"id": str}) for table in tables])
    return postgres


def test_decisions_of_a_database_joined_with_files_and_frames(
    in_postgres, tables, whole, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    _, people, labels = tables
    people.astype({"id": float}).to_csv("people.csv", index=False)
    found = audit(in_postgres, table="s.decided", join=["people.csv", labels], on="id", **ASKED)
    same(found, whole)
    query = "select * from s.decided where id >= 0;"
    others = ["people.csv", "s.labels"]
    found = audit(in_postgres, query=query, join=others, on="id", **ASKED)
    same(found, whole)
    assert found.provenance["database"].startswith("postgresql://owner@")
    assert found.provenance["files"] == 1
    found.write(tmp_path / "out")
    assert not any("secret" in path.read_text() for path in (tmp_path / "out").iterdir())


def test_decisions_of_a_file_joined_with_tables_of_databases(
    in_postgres, tables, whole, tmp_path, monkeypatch
):
    from evenhand.auditing.tables import asking

    monkeypatch.setattr(asking, "BATCH_ROWS", 7)
    decided, _, labels = tables
    decided.to_parquet(tmp_path / "d.parquet")
    with duckdb.connect(str(tmp_path / "kept.db")) as connection:
        connection.register("frame", labels)
        connection.execute("create table labels as select * from frame")
    others = [f"{in_postgres}#s.people", f"{tmp_path}/kept.db#labels"]
    words = [word for other in others for word in ("--join", other)]
    flags = [f"--{k}={v}" for k, v in ASKED.items() if k != "groups"]
    flags += ["--group", "sex", "--group", "region", "--on", "id", "--json"]
    done = CliRunner().invoke(app, ["audit", str(tmp_path / "d.parquet"), *flags, *words])
    assert done.exit_code == 0, done.output
    assert "secret" not in done.stdout
    document = json.loads(done.stdout)
    assert document["before"]["counts"]["table"] == whole.counts["sex"].table.tolist()
    assert document["config"]["join"][0].endswith("#s.people")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("{url}", r"is a database: name the table that is joined, as postgresql://owner@.*#TABLE"),
        ("{url}#s.nobody", r"postgresql://owner@.*nobody"),
        ("{url}#s.decided", r"s\.decided of postgresql:.* has no column 'y'; it has 5"),
        ("postgresql://me:secret@127.0.0.1:1/x#t", r"postgresql://me@127\.0\.0\.1:1/x cannot"),
    ],
)
def test_what_cannot_be_joined_of_a_database_is_named(in_postgres, tables, other, message):
    with pytest.raises(InputError, match=message) as said:
        audit(tables[0], join=[other.format(url=in_postgres)], on="id", **ASKED)
    assert "secret" not in str(said.value)


def test_decisions_without_a_partner_are_counted_and_told(tables):
    decided, people, labels = tables
    few = people[people["id"] < 350]
    found = audit(decided, join=[few, labels], on="id", **ASKED)
    gone = int((decided["id"] >= 350).sum())
    assert f"{gone} rows have no partner in the table by id." in found.warnings()
    assert found.missing == {"sex": gone, "region": gone}
    assert found.rows == len(decided)


@pytest.mark.parametrize(
    ("others", "on", "message"),
    [
        (
            lambda people: [pd.concat([people, people])],
            "id",
            "several rows with id 0: give one row",
        ),
        (lambda people: [people.assign(id="x" + people["id"].astype(str))], "id", "written alike"),
        (lambda people: [people.assign(p=1)], "id", "all have a column 'p': rename or drop"),
        (lambda people: [people.drop(columns="sex")], "id", "no column 'sex'"),
        (lambda people: [people], "key", "no column 'key'"),
        (lambda people: [people], None, r"--join\) and the key \(--on\)"),
        (lambda people: [], "id", r"--join\) and the key \(--on\)"),
        (lambda people: [people.head(0)], "id", "has no rows"),
    ],
)
def test_what_cannot_be_joined_is_named(tables, others, on, message):
    decided, people, _ = tables
    with pytest.raises(InputError, match=message):
        audit(decided, prediction="p", groups="sex", join=others(people), on=on)


KEYS = st.sampled_from(["a", "A", " b", "1", "1.0", "", None, "é"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(KEYS, st.sampled_from("01")), min_size=1, max_size=12), st.data())
def test_a_join_counts_every_decision_once(rows, data):
    keys = data.draw(st.lists(st.sampled_from(["a", "A", "b", "1", "é", "z"]), unique=True))
    people = {key: data.draw(st.sampled_from("FM")) for key in keys}
    expected = {}
    for key, decision in rows:
        name = {"1.0": "1", " b": "b"}.get(key, key)
        group = people.get(name)
        expected[group, decision] = expected.get((group, decision), 0) + 1
    left = pd.DataFrame(rows, columns=["k", "p"])
    right = pd.DataFrame({"k": list(people), "g": list(people.values())}, dtype=str)
    if not any(group for group, _ in expected):
        with pytest.raises(InputError, match=r"written alike|has no rows"):
            audit(left, prediction="p", groups="g", positive="1", join=[right], on="k")
        return
    found = audit(left, prediction="p", groups="g", positive="1", join=[right], on="k")
    counts = found.counts["g"]
    for at, name in enumerate(counts.group_names):
        for p in "01":
            held = (
                counts.table[at, :, counts.class_names.index(p)].sum()
                if p in counts.class_names
                else 0
            )
            assert held == expected.get((name, p), 0)
    assert counts.table.sum() + counts.unknown.sum() == len(rows)
