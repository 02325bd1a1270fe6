"""SECURITY.md names, for every threat, tests that are there."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGE = TOP / "SECURITY.md"


@pytest.mark.skipif(not PAGE.is_file(), reason="the page is not part of a wheel")
def test_every_threat_names_its_tests():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "][1:]
    assert len(rows) > 10
    for row in rows:
        tests = re.findall(r"`(tests/[^`]*)`", row.rsplit("|", 2)[-2])
        assert tests, row
        for test in tests:
            assert (TOP / test).exists(), test
