"""Features of full-size photos in a process of their own: what memory they took, in MB, as JSON.

python photos.py FOLDER NUMBER
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from evenhand.groups import Groups
from evenhand.models import wrap
from evenhand.models.features import extract
from evenhand.models.prepare import PrepareImages
from evenhand.tasks.archive import FolderArchive
from evenhand.tasks.image_task import ImageFiles
from evenhand.tasks.task import Examples


def write_photo(path: Path, megapixels: int) -> Path:
    """A photo as a camera makes it: wide, and all but the size of its file."""
    width = round((megapixels * 1e6 * 1.5) ** 0.5)
    across, down = np.arange(width), np.arange(round(width / 1.5))
    pixels = np.stack([(across * k + down[:, None] * 3) % 251 for k in (1, 2, 3)], axis=2)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=90)
    path.write_bytes(buffer.getvalue())
    return path


def used() -> float:
    """The most memory this process has had, in MB (Linux: getrusage counts its parent's too)."""
    (line,) = [x for x in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in x]
    return int(line.split()[1]) / 1024


def main(folder: Path, number: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 4, 7, 7), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
        )
    names = sorted(file.name for file in folder.iterdir())
    files = ImageFiles(FolderArchive(folder), [names[i % len(names)] for i in range(number)])
    codes = np.arange(number) % 2
    examples = Examples(files, codes, Groups(codes, ("a", "b")))
    before = used()
    found = extract(wrap(module, prepare=PrepareImages(224)), examples, ("n", "y"))
    print(json.dumps({"rows": len(found.kept), "before": before, "peak": used()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
