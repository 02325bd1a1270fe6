import zipfile

import pytest

from evenhand.errors import InputError
from evenhand.experiments.methods.registry import METHODS
from evenhand.experiments.paper import printed
from evenhand.experiments.paper.figure_arrays import ARRAYS
from evenhand.experiments.paper.plan import PARTS, plan
from evenhand.experiments.paper.sources import (
    ADULT,
    FAIR,
    MODELS,
    image_sources,
    images_of,
    weights_of,
)
from evenhand.experiments.paper.variants import RUNS


def test_all_is_every_part_and_names_only_what_can_be_run():
    whole = plan("all")
    assert whole.parts == PARTS
    known = {*METHODS, *RUNS, *ARRAYS}
    for part in PARTS:
        for source, names in plan(part).needs.items():
            assert set(names) <= set(whole.needs[source])
            assert set(names) <= known
    assert set(plan("table2").needs) == set(FAIR)
    assert set(plan("fig5").needs) == {ADULT}


def test_sources_have_names_of_their_own_and_say_what_they_are_made_from():
    sources = plan("all").needs
    assert len({source.key for source in sources}) == len(sources)
    assert len({str(source.made_from) for source in sources}) == len(sources)


@pytest.mark.parametrize(
    ("what", "tasks", "named"),
    [("table9", ["adult"], "table9"), ("all", ["mnist"], "mnist"), ("all", [], "empty")],
)
def test_what_is_not_there_is_refused_by_name(what, tasks, named):
    with pytest.raises(InputError, match=named):
        plan(what, tasks)


def test_no_data_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no data at"):
        plan("fig4", ["celeba"], tmp_path / "nowhere")


def test_image_tasks_without_data_are_not_run_and_told_so():
    found = plan("fig4", ["lfwa"], None)
    assert not found.needs
    assert set(found.missing) == {f"lfwa-{model}" for model in MODELS}
    assert "--data" in found.missing["lfwa-resnet18"]


def test_data_and_weights_are_found_by_name(tmp_path):
    pytest.importorskip("torchvision")
    with zipfile.ZipFile(tmp_path / "lfwa.zip", "w") as archive:
        archive.writestr("lfwa/lfwa_attributes.csv", "file,Male\n")
    (tmp_path / "celeba").mkdir()
    (tmp_path / "resnet18-mine.safetensors").write_bytes(b"")
    (tmp_path / "resnet50.txt").write_bytes(b"")
    assert images_of("lfwa", tmp_path) == tmp_path / "lfwa.zip"
    assert images_of("celeba", tmp_path) == tmp_path / "celeba"
    assert weights_of("resnet18", tmp_path) == tmp_path / "resnet18-mine.safetensors"
    with pytest.raises(InputError, match=r"resnet50\.safetensors"):
        weights_of("resnet50", tmp_path)
    sources, missing = image_sources("lfwa", tmp_path)
    assert "lfwa-resnet18" in {source.key for source in sources}
    assert {"lfwa-resnet50", "lfwa-densenet121"} <= set(missing)


def test_the_printed_rows_are_those_of_the_paper():
    assert printed.METHOD.error == printed.Value(15.829, 0.340)
    assert printed.RETRAIN["eo", 0.5].delta_dp == printed.Value(0.183, 0.011)
    assert printed.FAIR["dp", 0.9][0] == printed.Value(20.160)
    assert printed.IMAGES["celeba", "densenet121"].delta_eo == printed.Value(0.201, 0.028)
