"""Full-size photos: memory for one or two of them, whatever the batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from photos import write_photo

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="there is no /proc here"
)


def measured(folder: Path, number: int, megapixels: int) -> dict[str, float]:
    folder.mkdir()
    write_photo(folder / "a.jpg", megapixels)
    done = subprocess.run(
        [sys.executable, str(HERE / "photos.py"), str(folder), str(number)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["rows"] == number
    return told


@pytest.mark.whole
def test_a_batch_holds_no_whole_photos(tmp_path):
    told = measured(tmp_path / "photos", 12, 12)
    assert told["peak"] - told["before"] < 250  # held whole they would take 432 MB


@pytest.mark.soak
def test_a_thousand_photos_of_24_megapixels(tmp_path):
    assert measured(tmp_path / "photos", 1000, 24)["peak"] < 1500
