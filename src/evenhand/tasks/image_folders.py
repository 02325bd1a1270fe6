"""Images sorted into folders: the folders' names as columns."""

from __future__ import annotations

import hashlib

import pandas as pd

from evenhand.tasks.archive import Archive
from evenhand.tasks.memory_tables import memory_table
from evenhand.tasks.table_file import TableFile

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Endings of the files that are images."""


def image_names(archive: Archive) -> list[str]:
    """The names of an archive's images, in order."""
    return sorted(name for name in archive.sizes if name.lower().endswith(IMAGES))


def table_of_folders(archive: Archive, file: str) -> TableFile:
    """A table of an archive's images: the file, and the folders that it lies in.

    Args:
        archive: a folder or zip file.
        file: what the column of file names is called.

    Returns:
        Columns ``file``, ``folder`` (the one an image lies in), ``folder 2`` (the one above), …
    """
    names = image_names(archive)
    above = [name.split("/")[-2::-1] for name in names]
    depth = max(map(len, above), default=0)
    columns = {
        "folder" if level == 0 else f"folder {level + 1}": [
            folders[level] if level < len(folders) else None for folders in above
        ]
        for level in range(depth)
    }
    found = memory_table(pd.DataFrame({file: names, **columns}), archive.path.name)
    found.digest = hashlib.sha256("\n".join(names).encode("utf-8", "surrogatepass")).hexdigest()
    return found
