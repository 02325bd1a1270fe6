"""Small shards, as tar and as WebDataset write them."""

import io
import json
import tarfile

from tiny_images import jpeg


def shard(path, files, *, form=tarfile.PAX_FORMAT, mtime=1700000000.25):
    """A tar of names and contents; its times have the fractions that WebDataset writes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in files.items() if isinstance(files, dict) else files:
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), mtime
            tar.addfile(member, io.BytesIO(content))
    return path


def sample(key, seed, label=None, form="JPEG", **values):
    """An image with its values and, where one is given, its class."""
    ending = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}[form]
    files = {f"{key}.{ending}": jpeg(seed, form=form), f"{key}.json": json.dumps(values)}
    return files | ({} if label is None else {f"{key}.cls": str(label)})


def faces(number, start=0, groups="who"):
    """Samples of two classes and two groups in turn."""
    files = {}
    for at in range(start, start + number):
        files |= sample(f"{at:05d}", at, at % 2, **{groups: "AB"[at // 2 % 2]}, age=20 + at)
    return files
