"""One table in every kind of file, encoding and library: the same counts, or a refusal."""

import codecs
import csv
import gzip
import io
import json
import unicodedata
import zipfile
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars
import pyarrow as arrow
import pyarrow.feather
import pytest
from fuzzing import amounts, fuzz
from hypothesis import strategies as st
from pyarrow import feather, ipc, parquet

from evenhand.auditing import audit
from evenhand.errors import InputError
from evenhand.tasks.missing import MISSING
from evenhand.tasks.table_task import table

ASKED = {"label": "y", "prediction": "p", "groups": "g"}
CLASSES = [("0", "1"), ("no", "yes"), ("<=50K", ">50K"), ("bad, very", 'good "x"'), ("né", "où")]
WORDS = st.text(
    st.characters(codec="cp1252", exclude_categories=("Cc", "Cf", "Z", "Cs")), min_size=1
)


@st.composite
def tables(draw):
    """A frame of texts whose counts are known, and a seed."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    names = draw(st.lists(WORDS.filter(_plain), min_size=2, max_size=4, unique=True))
    rows = draw(st.integers(8, 40))
    classes = np.array(draw(st.sampled_from(CLASSES)), dtype=object)
    frame = pd.DataFrame(
        {
            "y": classes[rng.integers(0, 2, rows)],
            "p": classes[rng.integers(0, 2, rows)],
            "g": np.array(names, dtype=object)[rng.integers(0, len(names), rows)],
            "x": rng.normal(size=rows).round(3),
        }
    )
    return frame.astype({"y": str, "p": str, "g": str}), int(rng.integers(1 << 30))


def _plain(word):
    """No word that means missing, and no number: 1 and 1.0 are one name."""
    word = unicodedata.normalize("NFC", word)
    number = word.replace(".", "").replace("+", "").replace("-", "").isdigit()
    return word not in MISSING and not number and word.lower() not in ("inf", "infinity")


def counted(frame):
    """(g, y, p) to rows, as the table says."""
    keys = frame[["g", "y", "p"]].map(lambda text: unicodedata.normalize("NFC", text).strip())
    return keys.value_counts().to_dict()


def told(found):
    """(g, y, p) to rows, as the audit says."""
    counts = found.parts[0].counts
    at = zip(*np.nonzero(counts.table), strict=True)
    return {
        (counts.group_names[g], counts.class_names[y], counts.class_names[p]): counts.table[g, y, p]
        for g, y, p in at
    }


def as_csv(frame, choose):
    """A CSV as users have it, and how it must be asked for."""
    mark = choose([",", ";", "\t", "|"])
    end = choose(["\n", "\r\n", "\r"])
    encoding = choose(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
    text = io.StringIO()
    quoting = choose([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
    writer = csv.writer(text, delimiter=mark, lineterminator=end, quoting=quoting)
    writer.writerows([list(frame.columns), *frame.to_numpy().tolist()])
    lead = choose(["", "", f"sep={mark}{end}", end])
    data = (lead + text.getvalue()).encode(encoding)
    if encoding in ("utf-16-le", "utf-16-be") and choose([True, False]):
        data = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}[encoding] + data
    asked = {"encoding": encoding} if encoding == "cp1252" or choose([0, 0, 0, 1]) else {}
    return data, asked if encoding not in ("utf-16", "utf-16-le", "utf-16-be") else {}


def as_json_lines(frame, choose):
    rows = frame.to_dict(orient="records")
    end = choose(["\n", "\r\n", "\n\n"])
    lines = [json.dumps(row, ensure_ascii=choose([True, False])) for row in rows]
    return (choose(["", "\ufeff"]) + end.join(lines) + choose(["", end])).encode()


def as_parquet(frame, choose):
    buffer = io.BytesIO()
    made = arrow.Table.from_pandas(frame, preserve_index=choose([True, False]))
    parquet.write_table(
        made,
        buffer,
        compression=choose(["snappy", "gzip", "zstd", "lz4", "none"]),
        use_dictionary=choose([True, False]),
        row_group_size=choose([3, 1000]),
        version=choose(["1.0", "2.6"]),
        data_page_version=choose(["1.0", "2.0"]),
    )
    return buffer.getvalue()


def as_feather(frame, choose):
    buffer = io.BytesIO()
    made = arrow.Table.from_pandas(frame)
    compression = choose(["lz4", "zstd", "uncompressed"])
    feather.write_feather(made, buffer, compression=compression, chunksize=choose([3, 99]))
    return buffer.getvalue()


def as_stream(frame, choose):
    buffer = io.BytesIO()
    made = arrow.Table.from_pandas(frame)
    with ipc.new_stream(buffer, made.schema) as writer:
        writer.write_table(made, max_chunksize=choose([3, 99]))
    return buffer.getvalue()


def as_xlsx(frame, choose):
    buffer = io.BytesIO()
    with pd.ExcelWriter(buffer, engine="openpyxl") as book:
        frame.to_excel(book, index=False, sheet_name="first", startrow=choose([0, 2]))
        if choose([True, False]):
            pd.DataFrame({"other": [1]}).to_excel(book, index=False, sheet_name="second")
    return buffer.getvalue()


def packed(data, choose):
    how = choose(["", "", "gzip", "zip"])
    if how == "gzip":
        return gzip.compress(data)
    if how == "zip":
        buffer = io.BytesIO()
        method = choose([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2])
        with zipfile.ZipFile(buffer, "w", method) as archive:
            archive.writestr("a/table", data)
            if choose([True, False]):
                archive.writestr("__MACOSX/._table", b"junk")
        return buffer.getvalue()
    return data


FILES = {
    "JSON lines": as_json_lines,
    "Parquet": as_parquet,
    "Feather": as_feather,
    "Arrow stream": as_stream,
}
if find_spec("openpyxl"):
    FILES["Excel"] = as_xlsx
LIBRARIES = {
    "pandas": lambda frame, choose: frame.set_axis(np.zeros(len(frame)), axis=0),
    "pandas category": lambda frame, choose: frame.astype({"g": "category", "y": "category"}),
    "pandas pyarrow": lambda frame, choose: frame.convert_dtypes(dtype_backend="pyarrow"),
    "pandas object": lambda frame, choose: frame.astype(object),
    "polars": lambda frame, choose: polars.from_pandas(frame),
    "polars category": lambda frame, choose: polars.from_pandas(frame).cast(
        {"g": polars.Categorical}
    ),
    "Arrow": lambda frame, choose: arrow.Table.from_pandas(frame),
    "Arrow views": lambda frame, choose: arrow.table(
        {c: arrow.array(frame[c], arrow.string_view()) for c in "ypg"}
    ),
    "Arrow runs": lambda frame, choose: arrow.table(
        {
            c: arrow.RunEndEncodedArray.from_arrays(range(1, len(frame) + 1), frame[c].tolist())
            for c in "ypg"
        }
    ),
    "DuckDB": lambda frame, choose: duckdb.from_arrow(arrow.Table.from_pandas(frame)),
}


def same(made):
    """The audit counts what the table says, from a file or memory; a task has all its rows."""
    frame, seed = made
    rng = np.random.default_rng(seed)

    def choose(options):
        return options[rng.integers(len(options))]

    kind = choose(["CSV", "CSV", "CSV", *FILES, *LIBRARIES])
    wanted, more = counted(frame), {}
    if kind == "Excel" and frame["g"].str.startswith("=").any():
        kind = "CSV"  # openpyxl writes such a text as a formula, which has no value until computed
    if kind in LIBRARIES:
        source = LIBRARIES[kind](frame, choose)
    else:
        if kind == "CSV":
            data, more = as_csv(frame, choose)
        else:
            data = FILES[kind](frame, choose)
        source = Path("any.file")
        source.write_bytes(packed(data, choose))
    found = audit(source, **ASKED, min_count=1, **more)
    assert told(found) == wanted, (kind, more)
    assert found.used == len(frame)
    if kind in LIBRARIES or frame["y"].nunique() < 2 or frame["g"].nunique() < 2:
        return
    parts = {"train": 0.5, "valid": 0.25, "test": 0.25}
    prepared = table(source, label="y", groups="g", split=parts, features=["x"], **more)
    rows = sum(len(part.labels) for part in (prepared.train, prepared.valid, prepared.test))
    assert rows == len(frame)


@amounts(60, 1_500)
def test_a_table_is_the_same_in_every_file_and_library(monkeypatch, tmp_path, examples):
    monkeypatch.chdir(tmp_path)
    fuzz("tables in 12 formats and encodings, and of 10 libraries' types", examples, tables(), same)


def broken(made):
    """A damaged file of any kind is read or refused; never a traceback."""
    frame, seed = made
    rng = np.random.default_rng(seed)

    def choose(options):
        return options[rng.integers(len(options))]

    kind = choose(["CSV", *FILES])
    data = as_csv(frame, choose)[0] if kind == "CSV" else FILES[kind](frame, choose)
    data = bytearray(packed(data, choose))
    for _ in range(choose([1, 1, 2, 8])):
        data[rng.integers(len(data))] = rng.integers(256)
    data = data[: rng.integers(len(data))] if choose([0, 0, 1]) else data
    path = Path("damaged.file")
    path.write_bytes(data)
    refused = 0
    for read in (
        lambda: audit(path, **ASKED),
        lambda: table(path, label="y", groups="g"),
    ):
        try:
            read()
        except InputError:
            refused += 1
    return refused < 2


@amounts(30, 800)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_of_any_kind_is_read_or_refused(monkeypatch, tmp_path, examples):
    monkeypatch.chdir(tmp_path)
    fuzz("damaged files in 6 formats, packed or not", examples, tables(), broken)


WHOLE = st.integers(-(2**31), 2**31 - 1)
TYPES = {
    "int8": (arrow.int8(), st.integers(-128, 127), str),
    "int64": (arrow.int64(), st.integers(-(2**63), 2**63 - 1), str),
    "uint64": (arrow.uint64(), st.integers(0, 2**64 - 1), str),
    "float16": (arrow.float16(), st.integers(-2048, 2048).map(np.float16), lambda v: str(int(v))),
    "float32": (arrow.float32(), st.integers(-(2**24), 2**24).map(float), lambda v: str(int(v))),
    "float64": (arrow.float64(), WHOLE.map(float), lambda v: str(int(v))),
    "decimal": (arrow.decimal128(12, 2), WHOLE.map(lambda v: Decimal(v // 100)), str),
    "bool": (arrow.bool_(), st.booleans(), str),
    "string": (arrow.string(), WORDS.filter(_plain), None),
    "large string": (arrow.large_string(), WORDS.filter(_plain), None),
    "string view": (arrow.string_view(), WORDS.filter(_plain), None),
    "binary": (arrow.binary(), WORDS.filter(_plain), None),
    "date32": (arrow.date32(), st.dates(), lambda v: v.isoformat()),
    "date64": (arrow.date64(), st.dates(), lambda v: v.isoformat()),
    **{
        f"timestamp {unit}": (
            arrow.timestamp(unit),
            st.datetimes(
                min_value=pd.Timestamp("1700-01-01").to_pydatetime(),
                max_value=pd.Timestamp("2200-01-01").to_pydatetime(),
            ).map(lambda v: v.replace(hour=0, minute=0, second=0, microsecond=0)),
            lambda v: v.date().isoformat(),
        )
        for unit in ("s", "ms", "us", "ns")
    },
}


@st.composite
def columns(draw):
    """A column of any Arrow type, some of it missing, and the names of its values."""
    name = draw(st.sampled_from(sorted(TYPES)))
    kind, values, named = TYPES[name]
    few = draw(st.lists(values, min_size=1, max_size=4, unique=True))
    held = draw(st.lists(st.sampled_from([*few, None]), min_size=4, max_size=30))
    form = draw(st.sampled_from(["Arrow", "dictionary", "Parquet", "pandas", "polars", "object"]))

    def name_of(value):
        if named is not None:
            return named(value)
        return unicodedata.normalize("NFC", value).strip()

    raw = [v.encode() if kind == arrow.binary() and v is not None else v for v in held]
    return name, form, arrow.array(raw, kind), [None if v is None else name_of(v) for v in held]


def named_alike(made):
    """Groups of any type have the names of their values, and missing ones are counted."""
    name, form, column, wanted = made
    rows = len(column)
    if form == "dictionary" and name != "float16":
        column = column.dictionary_encode()
    whole = arrow.table({"g": column, "y": [0, 1] * (rows // 2) + [0] * (rows % 2)})
    whole = whole.append_column("p", whole["y"])
    source = whole
    if form == "Parquet":
        source = Path("typed.parquet")
        parquet.write_table(whole, source)
    elif form == "pandas":
        source = whole.to_pandas()
    elif form == "object":
        source = whole.to_pandas().astype(object)
    elif form == "polars" and name != "float16":
        source = polars.from_arrow(whole)
    found = audit(source, **ASKED)
    counts = found.parts[0].counts
    sizes = dict(zip(counts.group_names, counts.sizes.tolist(), strict=True))
    present = pd.Series([one for one in wanted if one is not None], dtype=object)
    assert sizes == present.value_counts().to_dict(), (name, form)
    assert found.missing.get("g", 0) == wanted.count(None)


@amounts(60, 1_200)
def test_groups_of_every_type_have_the_names_of_their_values(monkeypatch, tmp_path, examples):
    monkeypatch.chdir(tmp_path)
    fuzz("columns of every Arrow, pandas and polars type", examples, columns(), named_alike)
