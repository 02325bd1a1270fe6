"""One reading of every table: by the embedded engine, by batches, and by a task."""

import csv
import io
from collections import Counter
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.auditing import AuditRequest, audit
from evenhand.auditing.counting import MISSING, count, count_scores
from evenhand.auditing.tables.by_batches import in_batches
from evenhand.auditing.tables.by_engine import engine_reads
from evenhand.auditing.tables.opened import counted
from evenhand.auditing.tables.parts import Part
from evenhand.errors import InputError
from evenhand.tasks.missing import Missing
from evenhand.tasks.open_table import open_table
from evenhand.tasks.read_table import read_frame

ODD = ["", " ", "F", " F ", "f", "?", "None", "n/a", "none", "1", "1.0", "é", "e\u0301", "NaN"]
CELLS = st.sampled_from(ODD) | st.text("aF,;\t\"'\n\r \\#0", max_size=4)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=8)


def shown(cells):
    """Rows by the names of their values, None where one is missing."""
    found = Counter()
    for at, rows in enumerate(cells.rows):
        key = tuple(
            None if code[at] == MISSING else [*cells.names.get(column, "01")][code[at]]
            for column, code in cells.codes.items()
        )
        found[(*key, bool(cells.unscored[at]))] += int(rows)
    return found


def both(path, asked):
    """The cells as the engine reads the file, None where it does not; and by batches."""
    wanted, score = list(asked.columns), asked.score
    by_engine = None
    table = engine_reads([Part(open_table(path))], wanted, score)
    if table is not None:
        try:
            by_engine = count(table, asked)
        except (table.error, InputError):
            by_engine = None
        table.close()
    table = in_batches([Part(open_table(path))], wanted, score, Missing(asked.missing))
    by_batches = count(table, asked)
    table.close()
    return by_engine, by_batches


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("tables") / "t"


@settings(deadline=None, max_examples=150)
@given(
    ROWS,
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, "raw"]),
    st.sampled_from(["", "\ufeff", "sep={}\n", "\n\n"]),
)
def test_the_texts_of_a_csv_are_named_as_a_task_names_them(path, rows, mark, ends, quoting, start):
    asked = AuditRequest.of(label="y", prediction="p", groups="g")
    table = [("g", "y", "p"), *rows]
    if quoting == "raw":
        text = ends.join(mark.join(row) for row in table) + ends
    else:
        written = io.StringIO()
        csv.writer(written, delimiter=mark, quoting=quoting, lineterminator=ends).writerows(table)
        text = written.getvalue()
    path.write_bytes((start.format(mark) + text).encode())
    try:
        frame, _, _ = read_frame(path.read_bytes(), name="t", names=("g", "y", "p"))
    except InputError:  # nobody reads it
        with pytest.raises(InputError):
            both(path, asked)
        return
    by_engine, by_batches = both(path, asked)
    assert by_engine is None
    named = frame[["g", "y", "p"]].itertuples(index=False)
    assert shown(by_batches) == Counter((*row, False) for row in named)


COLUMNS = [
    pa.array(["a", " a", None, "?", "é"]),
    pa.array(["a", "b", None, "?", "a"]).dictionary_encode(),
    pa.array(["a", "b", None, "", "a"], pa.large_string()),
    pa.array(["a", "b", None, "", "a"], pa.string_view()),
    pa.array([True, False, None, True, True]),
    pa.array([1, -1, None, 0, 7], pa.int8()),
    pa.array([1, 2**63, None, 0, 7], pa.uint64()),
    pa.array([1.0, float("nan"), None, -0.0, 0.25]),
    pa.array([0.1, float("nan"), None, 1.0, 0.25], pa.float32()),
    pa.array(np.array([0.1, np.nan, 1, 1, 0.25], np.float16)),
    pa.array([date(2024, 1, 1), date(2024, 1, 2), None, date(1, 1, 1), date(2024, 1, 1)]),
    pa.array([1, 2, None, 3, 1], pa.timestamp("ms")),
    pa.array([b"a", b"b", None, b"\xc3\xa9", b"a"]),
    pa.array([None] * 5, pa.string()),
]


@settings(deadline=None, max_examples=80)
@given(st.lists(st.integers(0, len(COLUMNS) - 1), min_size=3, max_size=3), st.booleans())
def test_a_parquet_file_is_the_same_to_the_engine_and_to_everybody_else(path, places, more):
    table = pa.table(dict(zip("gyp", (COLUMNS[at] for at in places), strict=True)))
    try:
        pq.write_table(table, path)
    except pa.ArrowNotImplementedError:  # an older pyarrow writes no string_view
        return
    options = {"missing": ["0", "a"]} if more else {}
    by_engine, by_batches = both(
        path, AuditRequest.of(label="y", prediction="p", groups="g", **options)
    )
    if by_engine is not None:
        assert shown(by_engine) == shown(by_batches)
    plain = {0, 1, 2, 4, 5, 6, 7, 8, 10, 13}
    assert (by_engine is not None) == (set(places) <= plain)


SCORES = [0.7, 0.3, 0.1, 0.0, -1.0, float("nan"), None, 1e300, 2.0]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(SCORES), min_size=1, max_size=9),
    st.sampled_from(["csv", "float16", "float32", "float64"]),
    st.sampled_from([0.7, 0.3, 0.1, -1.0]),
    st.sampled_from([[], ["-1"], ["0.7", "none"]]),
)
def test_scores_are_compared_alike_and_missing_words_reach_them(path, scores, kind, limit, words):
    frame = pd.DataFrame({"s": scores, "g": "a", "y": 1}).astype({"s": "float64"})
    if kind == "csv":
        frame.to_csv(path, index=False, na_rep="?")
    else:
        with np.errstate(over="ignore"):
            values = frame["s"].to_numpy().astype(kind)
        pq.write_table(pa.table({"s": pa.array(values), "g": ["a"] * len(values)}), path)
    asked = AuditRequest.of(score="s", groups="g", threshold=limit, missing=words)
    by_engine, by_batches = both(path, asked)
    assert (by_engine is None) == (kind in ("csv", "float16"))
    assert by_engine is None or shown(by_engine) == shown(by_batches)
    with np.errstate(over="ignore"):
        kept = frame["s"].to_numpy().astype("float64" if kind == "csv" else kind)
    numbers = np.array([float(word) for word in words if word != "none"])
    absent = np.isnan(kept) | np.isin(kept.astype("float64"), numbers)
    expected = Counter()
    for value, gone in zip(kept, absent, strict=True):
        chosen = value >= kept.dtype.type(limit)
        expected[("a", None if gone else "01"[int(chosen)], bool(gone))] += 1
    assert shown(by_batches) == expected


@pytest.mark.parametrize("text", ["1_000", "0,5", "high", "1 2", "0x1F", "--1"])
def test_a_text_that_is_no_number_is_no_score(path, text):
    path.write_text(
        f"y,s;g\n1,0.5;a\n0,{text};b\n".replace(";", ",")
        if "," not in text
        else f"y;s;g\n1;0.5;a\n0;{text};b\n"
    )
    with pytest.raises(InputError, match=r"score column 's' of .* holds .*, which is not a number"):
        audit(path, label="y", score="s", groups="g")


@pytest.mark.parametrize("score", ["text", "float"])
def test_scores_come_in_order_whatever_reads_them(tmp_path, score):
    draw = np.random.default_rng(0)
    values = draw.normal(size=300).round(2)
    frame = pd.DataFrame({"y": draw.integers(0, 2, 300), "s": values, "g": "a"})
    path = tmp_path / "t"
    frame.to_csv(path, index=False) if score == "text" else frame.to_parquet(path)
    asked = AuditRequest.of(file=str(path), label="y", score="s", groups="g")
    table, cells = counted(asked)
    found = count_scores(table, asked, cells)
    table.close()
    assert np.array_equal(np.repeat(found.key, found.rows), np.sort(values))
    assert found.exact


def test_a_folded_name_of_a_column_is_not_taken_for_another(path):
    pq.write_table(pa.table({"Sex": ["a", "b"], "sex": ["c", "d"], "y": [0, 1], "p": [0, 1]}), path)
    assert audit(path, label="y", prediction="p", groups="sex").counts["sex"].group_names == (
        "c",
        "d",
    )


def test_a_path_that_looks_like_a_pattern_is_that_file(tmp_path):
    for name, group in (("a[1].csv", "right"), ("a1.csv", "wrong")):
        (tmp_path / name).write_text(f"y,p,g\n0,0,{group}\n1,1,{group}\n")
    found = audit(tmp_path / "a[1].csv", label="y", prediction="p", groups="g")
    assert found.counts["g"].group_names == ("right",)


def test_the_same_groups_and_missing_rows_in_a_task_and_an_audit(tmp_path):
    from evenhand.tasks import load

    draw = np.random.default_rng(0)
    words = ["?", "None", "n/a", "none", " F ", "F", "M", "1.0", "1", ""]
    rows = 600
    frame = pd.DataFrame(
        {
            "x": draw.normal(size=rows).round(3),
            "y": np.array(["yes", "no", " yes", "?"], dtype=object)[draw.integers(0, 4, rows)],
            "g": np.array(words, dtype=object)[draw.integers(0, len(words), rows)],
        }
    )
    path = tmp_path / "t.csv"
    frame.assign(p=frame["y"]).to_csv(path, index=False)
    for missing in ([], ["none"]):
        task = load("table", data=path, label="y", groups=("g",), drop=("p",), missing=missing)
        every = [task.train, task.valid, task.test]
        groups = Counter()
        for split in every:
            names = np.array([*split.groups.names, None], dtype=object)
            groups.update(names[split.groups.codes].tolist())
        found = audit(path, label="y", prediction="p", groups="g", missing=missing)
        counts = found.counts["g"]
        assert dict(zip(counts.group_names, counts.sizes.tolist(), strict=True)) == {
            name: rows for name, rows in groups.items() if name is not None
        }
        assert int(counts.unknown.sum()) == groups[None]
        assert found.used == sum(groups.values())
        assert tuple(sorted(counts.class_names)) == tuple(sorted(task.classes))
