"""Tables as no user should have them: counts that add up, or one sentence of what is wrong."""

import io
import string
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fuzzing import amounts, command, fuzz
from hypothesis import strategies as st

from evenhand.auditing import audit
from evenhand.criteria import Criterion
from evenhand.tasks.table_task import table

CELLS = ("0", "1", "", "NA", "a", "b", "1.0", "0.5", "nan", "inf", "-1", "1e400", "True", "é", '"',
         "'", "a,b", "\x00", "=1+1", " ", "yes", "no", "x" * 500, "\ufeff", "1_0", "٣")  # fmt: skip
cells = st.one_of(st.sampled_from(CELLS), st.text(string.printable, max_size=4))
HEADS = ("y", "p", "g", "h", "s", "a", "a", "", "y ", "Y", "x y", "id")


@st.composite
def csv_bytes(draw):
    """A CSV, mostly sound: some cells, delimiters, line ends or bytes are not."""
    mark, end = draw(st.sampled_from(",,,;\t|")), draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    heads = ["y", "p", "g", "s", *draw(st.lists(st.sampled_from(HEADS), max_size=2))]
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    rows = draw(st.integers(0, 30))
    plain = [rng.integers(0, 2, rows), rng.integers(0, 2, rows), rng.choice(list("uvw"), rows)]
    plain += [rng.random(rows).round(3) for _ in heads[3:]]
    grid = [list(map(str, row)) for row in zip(*plain, strict=True)]
    for _ in range(draw(st.integers(0, 4))):
        if grid:
            row = grid[draw(st.integers(0, len(grid) - 1))]
            if row:
                row[draw(st.integers(0, len(row) - 1))] = draw(cells)
            if draw(st.integers(0, 9)) == 0:
                row.append(draw(cells))
    text = end.join(mark.join(row) for row in [heads, *grid])
    data = bytearray(text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-16", "cp1252"])),
                                 errors="replace"))  # fmt: skip
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.sampled_from([None, None, None, 3, 40]))])


def parquet(data):
    """The same table as Parquet, a byte of it flipped now and then."""
    frame = pd.DataFrame({"y": [0, 1, 1, 0], "p": [1, 1, 0, 0], "g": list("uvuv"), "s": 0.5})
    buffer = io.BytesIO()
    frame.iloc[: len(data) % 5].to_parquet(buffer)
    made = bytearray(buffer.getvalue())
    for place, byte in enumerate(data[:3]):
        made[(byte * 7919 + place) % len(made)] ^= byte
    return bytes(made)


def checked(found):
    """The figures of an audit are in range, and its counts add up."""
    dropped = found.rows - found.used
    assert 0 <= dropped <= sum(found.missing.values())
    for part in found.parts:
        assert part.counts.total.sum() == found.used
        for values in part.values.values():
            assert not np.isinf(values).any()
    for gaps in found.gaps().values():
        for criterion, gap in gaps.items():
            limit = 2 if criterion is Criterion.EQUALIZED_ODDS else 1
            assert np.isnan(gap.estimate) or 0 <= gap.estimate <= limit
            assert np.isnan(gap.low) or gap.low <= gap.estimate <= gap.high


def audited(data):
    path = Path("fuzzed.csv" if len(data) % 4 else "fuzzed.parquet")
    path.write_bytes(data if path.suffix == ".csv" else parquet(data))
    scored = {} if len(data) % 3 else {"score": "s"}
    found = audit(path, label="y", prediction="p", groups="g", min_count=1, **scored)
    checked(found)
    if path.suffix == ".csv" and b'"' not in data and data.count(b"\n\n") == 0:
        again(found, path, data, scored)
    argv = ["audit", str(path), "--label", "y", "--prediction", "p", "--group", "g"]
    code, out, _ = command([*argv, *(["--json"] if len(data) % 2 else [])])
    assert code == 0
    assert "NaN" not in out


def again(found, path, data, scored):
    """Rows in another order, or given twice, have the same rates."""
    head, *lines = data.split(b"\n")
    lines = [line for line in lines if line.strip()]
    for other, times in ((lines[::-1], 1), (lines + lines, 2)):
        path.write_bytes(b"\n".join([head, *other]) + b"\n")
        moved = audit(path, label="y", prediction="p", groups="g", **scored)
        for one, two in zip(found.parts, moved.parts, strict=True):
            assert np.array_equal(one.counts.table * times, two.counts.table)


@amounts(80, 3_000)
def test_any_file_to_an_audit(monkeypatch, tmp_path, examples):
    monkeypatch.chdir(tmp_path)
    fuzz("CSV and Parquet files to an audit", examples, csv_bytes(), audited)


def prepared(data):
    path = Path("fuzzed.csv" if len(data) % 4 else "fuzzed.parquet")
    path.write_bytes(data if path.suffix == ".csv" else parquet(data))
    made = table(path, label="y", groups="g", seed=len(data))
    parts = [made.train, made.valid, made.test]
    for part in parts:
        assert np.isfinite(part.inputs).all()
        assert part.inputs.shape == (len(part.labels), len(made.feature_names))
        assert 0 <= part.labels.min() <= part.labels.max() < len(made.classes)


@amounts(60, 2_000)
def test_any_file_to_a_task(monkeypatch, tmp_path, examples):
    monkeypatch.chdir(tmp_path)
    fuzz("CSV and Parquet files to a task", examples, csv_bytes(), prepared)


@st.composite
def sound_tables(draw):
    """Tables that can be learned from, with awkward columns: constant, missing, wide, text."""
    seed, rows = draw(st.integers(0, 10_000)), draw(st.sampled_from([60, 200]))
    rng = np.random.default_rng(seed)
    group = rng.choice(["u", "v"], rows)
    x = rng.normal(size=rows) + (group == "u")
    columns = {"x": x, "g": group, "y": np.where(x + rng.normal(size=rows) > 0, "yes", "no")}
    awkward = {
        "constant": np.ones(rows), "twice": x, "text": rng.choice(["é", "=1+1", "<b>"], rows),
        "missing": np.full(rows, np.nan), "huge": x * 1e30, "tiny": x * 1e-30,
        "label": columns["y"], "some": np.where(rng.random(rows) < 0.5, np.nan, x),
    }  # fmt: skip
    for name in draw(st.lists(st.sampled_from(sorted(awkward)), max_size=3, unique=True)):
        columns[name] = awkward[name]
    return pd.DataFrame(columns), seed


def trained(made):
    frame, seed = made
    frame.to_csv("sound.csv", index=False)
    Path("task.yaml").write_text("task: table\ndata: sound.csv\nlabel: y\ngroups: g\n")
    extra = [[], ["--strength", "1"], ["--bound", "dp=0.3"], ["--criterion", "dp"]][seed % 4]
    argv = ["finetune", "task.yaml", "-o", "run", "--seed", str(seed), "--quiet", *extra]
    code, _, err = command(argv)
    if code == 2:
        assert err.startswith("error: ")
        return False
    results = pd.read_csv("run/results.csv")
    assert results["error"].between(0, 100).all()
    assert results["delta_dp"].dropna().between(0, 1).all()
    assert results["delta_eo"].dropna().between(0, 2).all()
    assert results["accuracy"].between(0, 100).all()
    return True


@amounts(1, 25)
@pytest.mark.filterwarnings("default")
def test_sound_tables_are_fine_tuned(monkeypatch, tmp_path, examples):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_CACHE", str(tmp_path / "cache"))
    fuzz("tables to a fine-tuned model", examples, sound_tables(), trained)
