"""The sums of a run find whatever happened to a file of it, or to themselves."""

import random
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand._base.seals import SUMS, check_sums, write_sums

NAMES = ["config.yaml", "model/é.json", "results.csv", "report.html"]


@pytest.fixture
def folder(tmp_path):
    return kept(tmp_path)


def kept(folder):
    (folder / "model").mkdir(exist_ok=True)
    for name in NAMES:
        (folder / name).write_text(f"what {name} holds")
    write_sums(folder, NAMES)
    return folder


def test_sums_are_those_of_sha256sum(folder):
    assert check_sums(folder) == []
    done = subprocess.run(["sha256sum", "-c", SUMS], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout.count(b": OK") == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_file_that_is_not_as_it_was_is_named(folder, name):
    (folder / name).write_text("something else")
    (wrong,) = check_sums(folder)
    assert wrong.startswith(f"{folder / name} was changed, is damaged or is of another run")
    (folder / name).unlink()
    assert check_sums(folder) == [f"{folder / name} is missing"]


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_line_twice_in_the_place_of_another_is_found(folder, name):
    count, *lines = (folder / SUMS).read_text().splitlines(keepends=True)
    first = next(line for line in lines if "config" in line)
    changed = [first if line.endswith(f"  {name}\n") else line for line in lines]
    (folder / SUMS).write_text(count + "".join(changed))
    (folder / name).write_text("something else")
    (wrong,) = check_sums(folder)
    assert "it does not name as many files as it says" in wrong


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from(["lost", "twice", "byte", "cut", "swapped"]))
def test_nothing_happens_to_sums_unseen(tmp_path_factory, seed, how):
    folder = kept(tmp_path_factory.mktemp("run"))
    draw, path = random.Random(seed), folder / SUMS
    lines = path.read_bytes().splitlines(keepends=True)
    one, other = draw.sample(range(1, len(lines)), 2)
    if how == "lost":
        del lines[draw.randrange(len(lines))]
    elif how == "twice":
        lines[one] = lines[other]
    elif how == "swapped":  # the hash of one file beside the name of another
        lines[one] = lines[other][:64] + lines[one][64:]
    data = bytearray(b"".join(lines))
    if how == "cut":
        data = data[: draw.randrange(len(data))]
    elif how == "byte":
        at = draw.randrange(len(data))
        data[at] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(data))
    assert check_sums(folder) != []
