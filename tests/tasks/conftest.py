"""Archives written on the spot, and where the development data sets are."""

import os
import zipfile
from pathlib import Path

import pytest


@pytest.fixture
def write():
    """Write {name: content} to a folder, or to a zip file."""

    def make(target: Path, files: dict[str, bytes | str]) -> Path:
        if target.suffix == ".zip":
            with zipfile.ZipFile(target, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
        else:
            for name, content in files.items():
                path = target / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    return make


@pytest.fixture
def data_folder():
    """The folder of the development data sets; the test skips where it is absent."""
    usual = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("EVENHAND_TEST_DATA", usual))
    if not folder.is_dir():
        pytest.skip("the development data sets are not here (set EVENHAND_TEST_DATA)")
    return folder
