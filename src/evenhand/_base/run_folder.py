"""The folder of a run: one run's from before its work to the end, and never somebody's files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evenhand._base.asked import CONFIG, read_asked
from evenhand._base.files import PART, held, make_private
from evenhand._base.made_from import MADE_FROM
from evenhand._base.paths import path_of
from evenhand._base.seals import SUMS, names_in_sums
from evenhand._base.text import listed
from evenhand.errors import ArtefactError, InputError

STUDIES = {
    "study coverage": ("coverage.md", "coverage.csv", "draws.csv"),
    "study safeguards": ("safeguards.md", "safeguards.csv"),
    "study harm": ("harm.md", "harm.csv", "summary.csv"),
    "study last-block": ("last-block.md", "last_block.csv"),
    "study below-head": ("below-head.md", "below_head.csv", "differences.csv"),
    "study watch": ("watching.md", "watching.csv"),
    "study criteria": ("criteria-coverage.md", "intervals.csv", "promises.csv"),
    "study labels": ("labels-map.md", "labels-map.csv", "labels-map.svg"),
    "study worst-groups": ("worst-groups.md", "worst_groups.csv", "ahead.csv"),
}
"""Studies, and what they write beside what they were asked."""


OF_LABELS = "finetune labels"
"""The command of a run of several labels, each of which has a run of its own in a folder."""
LABELS = "labels"


COMMANDS = ("finetune", OF_LABELS, "compare", "sweep", "paper", "audit", *STUDIES)


FILES = (
    *(CONFIG, SUMS, "results.csv", "result.json", "report.html", "groups.csv"),
    *("paired.csv", "frontier.csv", "hypervolume.csv", "levels.csv", "paper.html", "paper.md"),
    "sweep.csv",
    *(
        "ratios.csv",
        "changes.csv",
        "report.pdf",
        "audit.xlsx",
        *(f"ll144-{at}.csv" for at in range(1, 16)),
    ),
    *(name for names in STUDIES.values() for name in names),
)
"""What runs write at the top of their folder; of others a run writes over none."""


FOLDERS = ("model", "cells", "pieces", "runs", LABELS)


@contextmanager
def run_folder(path: str | Path, command: str, *, shared: bool = False) -> Iterator[Path]:
    """Keep the folder at ``path`` to one run of ``command`` while the block runs.

    Everything that could keep the run from writing there is found out before its work. A block in
    a block, of the same folder, is one.

    Args:
        path: made where it is not there.
        command: of :data:`COMMANDS`.
        shared: at the end, open what was written to other users, as the umask says.

    Raises:
        InputError: it cannot be written, another process is writing there, it holds a run of
            another command, or files that no run wrote.
    """  # noqa: DOC502
    folder = path_of(path, "the folder to write to")
    require_free(folder, command)
    if shared:
        _make_shared(folder)
    with held(folder):
        yield folder
        if shared:
            share(folder)


def require_free(folder: Path, command: str) -> None:
    """Refuse a folder of another command's run, or with files of somebody else in the way.

    Raises:
        InputError: the command, or the files, are named.
    """
    if not folder.is_dir():
        return
    there = [name for name in (*FILES, *FOLDERS) if os.path.lexists(folder / name)]
    for name in there:
        here = folder / name
        if here.is_dir() is (name in FILES) or (name in FOLDERS and here.is_symlink()):
            kind = "link" if here.is_symlink() else "folder" if here.is_dir() else "file"
            wanted = "file" if name in FILES else "folder"
            raise InputError(
                f"{here} is a {kind}, where the run writes a {wanted} of that name: move it, or "
                "give another --output"
            )
    run = _command_of(folder)
    there = [name for name in there if not _is_bare(folder / name)]
    if run is None and there:
        raise InputError(
            f"{folder} holds {listed(there)}, which no run of evenhand wrote: give a new or an "
            "empty --output"
        )
    if run not in (None, command):
        raise InputError(f"{folder} holds a run of evenhand {run}: give another --output")


def require_one_label(folder: Path) -> None:
    """Refuse a run of several labels, where one model is wanted.

    Raises:
        InputError: the folders of its labels are named.
    """
    runs = sorted(each for each in folder.glob(f"{LABELS}/*") if (each / CONFIG).is_file())
    if runs and not (folder / "model").is_dir():
        names = listed(one.name for one in runs)
        raise InputError(
            f"{folder} holds a run for each of its {len(runs)} labels ({names}): give the folder "
            f"of one, such as {runs[0]}"
        )


def _is_bare(path: Path) -> bool:
    """Whether a folder holds no more than a run that was killed at its first file leaves there."""
    if not path.is_dir():
        return False
    return all(file.is_dir() or file.name.endswith(PART) for file in path.rglob("*"))


def _command_of(folder: Path) -> str | None:
    """The command whose run, whole or cut short, a folder holds; None where it holds none."""
    try:
        command = read_asked(folder).get("command")
        if isinstance(command, str) and command in COMMANDS:
            return command
    except (InputError, ArtefactError):
        pass
    if (folder / "cells" / MADE_FROM).is_file():
        return "compare"
    if (folder / "pieces").is_dir() and (folder / MADE_FROM).is_file():
        return "study harm"
    return "paper" if any(folder.glob(f"cells/*/{MADE_FROM}")) else None


def share(folder: Path) -> None:
    """Open the files that a run names in its sums to other users, as the umask says."""
    umask = _umask()
    for name in (SUMS, *names_in_sums(folder)):
        path = folder / name
        path.chmod(0o666 & ~umask)
        for parent in path.relative_to(folder).parents:
            (folder / parent).chmod(0o777 & ~umask)


def _make_shared(folder: Path) -> None:
    """Make ``folder`` and the missing ones above it, open to others as the umask says."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        make_private(folder)
        for each in missing:
            each.chmod(0o777 & ~_umask())
    except OSError as error:
        raise InputError(
            f"cannot write to {folder}: {error.strerror or error}; give another output folder"
        ) from error


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
