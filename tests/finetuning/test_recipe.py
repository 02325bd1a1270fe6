import pytest

from evenhand.errors import InputError
from evenhand.finetuning.recipe import recipe
from evenhand.heads.selection.rule import Bound


def test_a_built_in_task_by_name():
    asked = recipe("adult", groups=("race",), layers=3)
    assert asked.task == "adult"
    assert asked.config.bounds == ()
    assert asked.config.to_config()["layers"] == 3
    assert asked.config.to_config()["groups"] == ["race"]


def test_adult_makes_the_stage_asked_for(adult):
    stage = recipe("adult").stage(0)
    assert stage.fingerprints == adult.fingerprints


def test_a_task_file_and_what_overrides_it(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text("task: adult\nlabel: income\ngroups: race\nbound: 0.2\ncriterion: dp\n")
    asked = recipe(str(path))
    assert asked.config.bounds == (Bound("dp", 0.2),)
    assert asked.config.groups == ("race",)
    assert recipe(str(path), groups=("sex",)).config.groups == ("sex",)


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no task 'adlut': give a task file .* adult, celeba"):
        recipe("adlut")
    with pytest.raises(InputError, match=r"no task file at .*none\.yaml"):
        recipe(str(tmp_path / "none.yaml"))


def test_what_the_user_gave_is_hashed(tmp_path):
    data = tmp_path / "celeba.zip"
    data.write_bytes(b"one")
    asked = recipe("celeba", data=data, model="resnet18", weights="IMAGENET1K_V1")
    first = asked.inputs
    assert set(first) == {"data"}
    data.write_bytes(b"two")
    assert asked.inputs != first
    assert recipe("adult").inputs == {}
    data.unlink()
    with pytest.raises(InputError, match=r"celeba\.zip cannot be read"):
        asked.inputs  # noqa: B018
