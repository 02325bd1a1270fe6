"""Where a run writes: never over somebody's files, and refused before any work."""

import os
import stat

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evenhand._base.asked import CONFIG, write_asked
from evenhand._base.made_from import claim
from evenhand._base.run_folder import COMMANDS, FILES, FOLDERS, run_folder
from evenhand._base.seals import check_sums
from evenhand.cli.main import main
from evenhand.errors import InputError
from evenhand.finetuning.task_file import parse_config

TWO_KINDS = [
    *(("model", "file"), ("model", "link"), ("cells", "link"), ("report.html", "folder")),
]
NAMES = [
    *("..", ".", "../x", "a/b", "a\\b", "/etc", "", " ", "x" * 101, "a\x1bb", "c:", ".hidden"),
    "a\u202eb",
]
TABLE = {"task": "table", "data": "d.csv", "label": "y", "groups": "g"}
NAME = st.sampled_from((*FILES, *FOLDERS))


def enter(folder, command):
    with run_folder(folder, command):
        pass


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@given(st.sets(NAME, min_size=1, max_size=3), st.sampled_from(COMMANDS))
def test_somebodys_files_are_named_and_stay(tmp_path_factory, names, command):
    folder = tmp_path_factory.mktemp("mine")
    for name in names:
        if name in FOLDERS:
            (folder / name).mkdir()
            (folder / name / "mine").write_text("mine")
        else:
            (folder / name).write_text("mine: yes")
    before = contents(folder)
    with (
        pytest.raises(InputError, match="which no run of evenhand wrote") as error,
        run_folder(folder, command),
    ):
        pass
    assert all(name in str(error.value) for name in names)
    assert contents(folder) == before


@pytest.mark.parametrize("was", COMMANDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_is_one_commands(tmp_path, was, command):
    (tmp_path / "results.csv").write_text("x")
    write_asked(tmp_path, {"command": was}, ["results.csv"])
    if was == command:
        with run_folder(tmp_path, command):
            pass
        return
    with (
        pytest.raises(InputError, match=f"holds a run of evenhand {was}"),
        run_folder(tmp_path, command),
    ):
        pass
    assert check_sums(tmp_path) == []


@pytest.mark.parametrize(("cells", "was"), [("cells", "compare"), ("cells/adult", "paper")])
def test_a_run_cut_short_is_known_by_its_cells(tmp_path, cells, was):
    claim(tmp_path / cells, {"task": "adult"})
    with run_folder(tmp_path, was):
        pass
    with (
        pytest.raises(InputError, match=f"holds a run of evenhand {was}"),
        run_folder(tmp_path, "finetune"),
    ):
        pass


@pytest.mark.parametrize("left", ["cells", "cells/adult", "cells/.made-from.json.x1.part"])
def test_a_run_killed_at_its_first_file_goes_on(tmp_path, left):
    (tmp_path / "cells").mkdir()
    if left.endswith("part"):
        (tmp_path / left).write_text("ha")
    else:
        (tmp_path / left).mkdir(exist_ok=True)
    enter(tmp_path, "compare")


def test_other_files_are_in_nobodys_way(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "task.yaml").write_text("task: adult")
    with run_folder(tmp_path, "finetune"), run_folder(tmp_path, "finetune"):
        pass


@pytest.mark.parametrize(
    ("name", "kind"),
    [("model", "file"), ("model", "link"), ("cells", "link"), ("report.html", "folder")],
)
def test_what_is_of_another_kind_is_named_before_any_work(
    tmp_path, name, kind, monkeypatch, capsys
):
    from evenhand.finetuning.recipe import Recipe

    monkeypatch.setattr(Recipe, "stage", lambda *_: pytest.fail("work was done"))
    folder, outside = tmp_path / "run", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    write_asked(folder, {"command": "finetune"}, [])
    if kind == "link":
        (folder / name).symlink_to(outside)
    elif kind == "file":
        (folder / name).write_text("mine")
    else:
        (folder / name).mkdir()
    with pytest.raises(SystemExit) as done:
        main(["finetune", "adult", "-o", str(folder)])
    assert done.value.code == 2
    assert f"{folder / name} is a {kind}, where the run writes" in capsys.readouterr().err
    assert not list(outside.iterdir())


@pytest.mark.parametrize("case", ["lock", "file", "dangling link", "mine", "compare"])
def test_finetune_refuses_at_once_where_it_cannot_write(tmp_path, case, monkeypatch, capsys):
    from evenhand._base import files
    from evenhand.finetuning.recipe import Recipe

    monkeypatch.setattr(Recipe, "stage", lambda *_: pytest.fail("work was done"))
    folder = tmp_path / "run"
    if case == "file":
        folder.write_text("mine")
    elif case == "dangling link":
        folder.symlink_to(tmp_path / "nowhere" / "else")
    else:
        folder.mkdir()
    if case == "mine":
        (folder / "results.csv").write_text("mine")
    if case == "compare":
        write_asked(folder, {"command": "compare"}, [])
    if case == "lock":
        from filelock import Timeout

        def busy(*_, **__):
            raise Timeout("lock")

        monkeypatch.setattr("filelock.FileLock.acquire", busy)
    with pytest.raises(SystemExit) as done:
        main(["finetune", "adult", "-o", str(folder)])
    assert done.value.code == 2
    said = capsys.readouterr().err
    assert str(folder) in said
    assert files.LOCK not in said


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_what_is_shared_is_open_as_the_umask_says(tmp_path, umask):
    folder = tmp_path / "runs" / "one"
    before = os.umask(umask)
    try:
        with run_folder(folder, "finetune", shared=True):
            (folder / "model").mkdir(mode=0o700)
            for name in ("results.csv", "model/a.json", "mine.txt"):
                (folder / name).write_text("x")
                (folder / name).chmod(0o600)
            write_asked(folder, {"command": "finetune"}, ["results.csv", "model/a.json"])
    finally:
        os.umask(before)

    def mode(name):
        return stat.S_IMODE((tmp_path / "runs" / name).stat().st_mode)

    assert {mode(n) for n in (".", "one", "one/model")} == {0o777 & ~umask}
    files = ("results.csv", "model/a.json", CONFIG, "SHA256SUMS")
    assert {mode(f"one/{n}") for n in files} == {0o666 & ~umask}
    assert {mode(f"one/{n}") for n in ("mine.txt", ".lock")} == {0o600}


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "../x",
        "a/b",
        "a\\b",
        "/etc",
        "",
        " ",
        "x" * 101,
        "a\x1bb",
        "c:",
        ".hidden",
        "a\u202eb",
    ],
)
def test_a_name_leads_nowhere(name):
    with pytest.raises(InputError, match=r"task\.yaml, line 5, name: (expected|a folder)"):
        parse_config(yaml.safe_dump(TABLE, sort_keys=False) + yaml.safe_dump({"name": name}))


@pytest.mark.parametrize("name", ["credit 2024", "v1.2", "日本", "a-b_c"])
def test_a_plain_name_is_taken(name):
    assert parse_config(yaml.safe_dump(TABLE | {"name": name})).name == name
