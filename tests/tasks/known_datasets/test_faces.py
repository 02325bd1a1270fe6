"""CelebA and LFWA+ in their real layouts, made tiny; and the real ones where they are."""

import numpy as np
import pytest
from tiny_images import jpeg

from evenhand.errors import InputError
from evenhand.tasks.datasets.celeba import celeba, paper_shares
from evenhand.tasks.datasets.lfwa import lfwa

NUMBER = 40
NAMES = ["Male", "Smiling", "Wavy_Hair", "Young"]


def attributes(number=NUMBER):
    rng = np.random.default_rng(0)
    values = rng.choice([-1, 1], (number, len(NAMES)))
    lines = [f"{i + 1:06d}.jpg " + "  ".join(map(str, row)) for i, row in enumerate(values)]
    return "\n".join([str(number), " ".join(NAMES), *lines]) + "\n", values


def faces(number=NUMBER):
    return {f"img_align_celeba/{i + 1:06d}.jpg": jpeg(i) for i in range(number)}


@pytest.mark.parametrize("target", ["celeba", "celeba.zip"])
def test_the_official_layout(tmp_path, write, target):
    text, values = attributes()
    files = {f"celeba/{name}": content for name, content in faces().items()}
    path = write(tmp_path / target, files | {"celeba/list_attr_celeba.txt": text})
    task = celeba(path)
    assert task.classes == ("not Wavy_Hair", "Wavy_Hair")
    assert task.train.groups.names == ("Female", "Male")
    rows = task.train.inputs.rows
    assert (task.train.labels == (values[rows, 2] == 1)).all()
    assert (task.train.groups.codes == (values[rows, 0] == 1)).all()
    assert task.train.inputs[0].mode == "RGB"


def test_the_layout_of_the_official_drive_with_its_partition(tmp_path, write):
    text, _ = attributes()
    inner = write(tmp_path / "inner.zip", faces())
    parts = "".join(
        f"{i + 1:06d}.jpg {0 if i < 25 else 1 if i < 30 else 2}\n" for i in range(NUMBER)
    )
    path = write(
        tmp_path / "drive",
        {
            "Anno/list_attr_celeba.txt": text,
            "Eval/list_eval_partition.txt": parts,
            "Img/img_align_celeba.zip": inner.read_bytes(),
        },
    )
    task = celeba(path, label="Smiling", group="Male,Young")
    assert [len(part) for part in task.splits.values()] == [25, 5, 10]
    assert task.test.inputs.rows.tolist() == list(range(30, 40))
    assert set(task.train.groups.names) <= {
        f"{a} × {b}" for a in ("Female", "Male") for b in ("Old", "Young")
    }
    split = {"train": 0.5, "valid": 0.2, "test": 0.3}
    assert len(celeba(path, split=split).test) == 12


def test_a_part_of_the_images_and_broken_lines(tmp_path, write):
    text, _ = attributes()
    text += "000041.jpg 1 1\n"
    path = write(tmp_path / "part", faces(30) | {"list_attr_celeba.txt": text})
    task = celeba(path)
    assert sum(map(len, task.splits.values())) == 30
    assert any("10 of 40 listed images are not there" in note for note in task.notes)
    assert any("1 lines of list_attr_celeba.txt are not whole" in note for note in task.notes)


def test_shares_are_the_papers_or_enough_to_measure():
    whole = paper_shares(202_599)
    assert (round(whole["valid"] * 202_599), round(whole["test"] * 202_599)) == (4_000, 8_000)
    part = paper_shares(10_000)
    assert (part["valid"], part["test"]) == (0.1, 0.2)
    assert sum(paper_shares(50).values()) == pytest.approx(1)


def test_mistakes_are_named(tmp_path, write):
    text, _ = attributes()
    path = write(tmp_path / "c", faces() | {"list_attr_celeba.txt": text})
    with pytest.raises(InputError, match="no attribute 'Wavy_hair'; did you mean 'Wavy_Hair'"):
        celeba(path, label="Wavy_hair")
    with pytest.raises(InputError, match="Male is the label and cannot be the group too"):
        celeba(path, label="Male")
    with pytest.raises(InputError, match=r"has no list_attr_celeba\.txt"):
        celeba(write(tmp_path / "d", faces()))
    with pytest.raises(InputError, match="none of the 40 images"):
        celeba(write(tmp_path / "e", {"list_attr_celeba.txt": text}))


def people(tmp_path, write):
    rng = np.random.default_rng(1)
    lines, files = ["file,Heavy_Makeup,Male,Smiling"], {}
    for person in range(60):
        for shot in range(1, 1 + int(rng.integers(1, 5))):
            name = f"P_{person}/P_{person}_{shot:04d}.jpg"
            lines.append(f"{name},{person % 2},{person // 2 % 2},{int(rng.integers(2))}")
            files[f"lfwa/images/{name}"] = jpeg(person)
    return write(tmp_path / "lfwa.zip", files | {"lfwa/lfwa_attributes.csv": "\n".join(lines)})


def test_nobody_is_in_two_parts(tmp_path, write):
    path = people(tmp_path, write)
    task = lfwa(path, seed=2)
    assert task.classes == ("not Male", "Male")
    names = task.train.inputs.parent.names
    parts = [
        {names[row].split("/")[2] for row in part.inputs.rows} for part in task.splits.values()
    ]
    assert not (parts[0] & parts[1])
    assert not (parts[0] & parts[2])
    assert not (parts[1] & parts[2])
    assert sum(map(len, task.splits.values())) == len(names)
    assert lfwa(path, seed=3).train.inputs.parent.fingerprint == (
        task.train.inputs.parent.fingerprint
    )


def test_the_real_files(data_folder):
    task = celeba(data_folder / "celeba-10k.zip", seed=1)
    assert [len(part) for part in task.splits.values()] == [7000, 1000, 2000]
    assert task.test.inputs[5].size == (89, 109)
    task = lfwa(data_folder / "lfwa.zip", label="Smiling", group="Male")
    sizes = [len(part) for part in task.splits.values()]
    assert sum(sizes) == 13_143
    assert np.allclose(sizes, (6_885, 1_000, 5_258), atol=300)
