"""A file is said to be what it is."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.errors import InputError
from evenhand.tasks.file_kinds import UNREADABLE, Kind, kind_of
from evenhand.tasks.open_table import open_table


@pytest.mark.parametrize(("start", "what", "advice"), UNREADABLE)
def test_what_is_no_table_is_named_with_what_to_do(start, what, advice):
    with pytest.raises(InputError) as found:
        open_table(start + b"\x00" * 64, label="people")
    assert str(found.value) == f"people is {what}: {advice}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x80\x04\x95abc.", "Python pickle, which is never opened"),
        (b"<!DOCTYPE html><table>", "web page"),
        (b"<?xml version='1.0'?>", "XML"),
        (b'[{"y": 1}]', "JSON array"),
        (b"", "empty"),
    ],
)
def test_other_files_are_named(content, said):
    with pytest.raises(InputError, match=said):
        open_table(content)


def packed(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.csv": "x\n1\n", "b.csv": "x\n1\n"}, r"zip of 2 files \(a.csv, b.csv\)"),
        ({}, r"zip of 0 files \(none\)"),
        ({"word/document.xml": ""}, "Word document"),
        ({"xl/workbook.bin": ""}, "binary Excel workbook"),
        ({"a.csv": b"0" * (300 << 20)}, "unpacks to 314,572,800 bytes"),
        ({"a.csv": ""}, "a.csv in t.zip is empty"),
    ],
)
def test_a_zip_that_holds_no_single_table_is_named(files, said):
    with pytest.raises(InputError, match=said):
        open_table(packed(files), label="t.zip")


@given(st.binary(max_size=64))
def test_any_bytes_have_a_kind_or_a_name(content):
    try:
        kind, said = kind_of(content, "t"), "t is "
    except InputError as error:
        kind, said = Kind.CSV, str(error)
    assert kind in Kind
    assert said.startswith("t is ")
