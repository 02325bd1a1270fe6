"""SECURITY.md says what a test shows: every sentence of it names one, and its numbers are true."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from evenhand.tasks import archive, decode_image, table_file

TOP = Path(__file__).parents[2]
PAGE = TOP / "SECURITY.md"
pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the page is not part of a wheel")

RELIABILITY = "reliability/test_"
SHOWN = {
    "Tensors are read as safetensors": f"{RELIABILITY}no_way_in::nothing_is_unpickled",
    "nothing is unpickled": f"{RELIABILITY}no_way_in::nothing_is_unpickled",
    "`trust_remote_code` is off": (
        f"{RELIABILITY}no_way_in::no_network_for_a_local_model_and_none_of_its_code"
    ),
    "A folder of a run names only": (
        f"{RELIABILITY}no_way_in::a_saved_model_names_no_class_but_a_models"
    ),
    "Weights or adapters laid beside": "models/test_saving::what_would_be_loaded_on_top_is_named",
    "`evenhand rerun` imports no module": (
        "experiments/test_rerun::no_module_is_imported_unless_trusted"
    ),
    "a damaged one is refused": ("experiments/test_rerun::a_damaged_config_of_any_kind_is_named"),
    "Images of shards are read": "tasks/test_shards::images_are_read_where_they_lie",
    "A file of a shard whose name": "tasks/test_tar_members::names_that_lead_out_are_refused",
    "A file of more than 512 MB": "tasks/test_tar_members::a_file_that_is_too_large_is_not_read",
    "Files of a shard that are neither": (
        "tasks/test_shards::other_files_are_counted_and_never_opened"
    ),
    "An address or a command": ("tasks/test_shard_names::addresses_and_commands_are_not_followed"),
    "Read in place": "tasks/test_archive::a_zip_is_read_in_place",
    "Names with `..`": "tasks/test_archive::names_that_lead_out_are_not_there",
    "links out of a folder": "tasks/test_archive::links_out_of_a_folder_are_not_followed",
    "pipes and devices": f"{RELIABILITY}no_way_in::a_folder_gives_plain_files_of_a_sane_size",
    "At most 2,000,000 members": "tasks/test_archive::limits_on_members_and_size",
    "Only JPEG": "tasks/test_decode_image::no_decoder_that_is_seldom_looked_at_is_run",
    "More than 90 million pixels": (
        "tasks/test_decode_image::a_small_file_of_a_huge_image_is_refused_at_once"
    ),
    "a batch holds one": f"{RELIABILITY}photos::a_batch_holds_no_whole_photos",
    "Refused at 256 MB": f"{RELIABILITY}no_way_in::a_gzip_bomb_is_refused_while_it_unpacks",
    "YAML is loaded by": f"{RELIABILITY}no_way_in::a_task_file_makes_no_objects",
    "an unknown one is refused": "_base/test_run_folder::a_name_leads_nowhere",
    "Read one before you run it": None,  # advice
    "Escaped in HTML": "report/test_html::any_names_give_a_well_formed_page",
    "control and direction characters": "cli/test_hostile_names::no_name_of_the_data_acts",
    "cells that a spreadsheet": (
        "_base/test_text::formulas_of_any_width_cannot_act_in_a_spreadsheet"
    ),
    "A folder with files": "_base/test_run_folder::somebodys_files_are_named_and_stay",
    "Files are made with mode 0600": (
        f"{RELIABILITY}no_way_in::folders_and_files_are_their_owners_alone"
    ),
    "`--share` opens": "_base/test_run_folder::what_is_shared_is_open_as_the_umask_says",
    "A cache entry of another user": (
        "models/features/test_cache::a_planted_entry_is_not_believed"
    ),
    "Only evenhand's own files": (
        "models/features/test_cache::folders_of_other_programs_are_no_entries"
    ),
    "a folder with any other file": (
        "models/features/test_cache::files_of_somebody_else_in_an_entry_stay"
    ),
    "no link is followed": "models/features/test_cache::no_link_is_followed",
    "one cut short by a kill": (
        "models/features/test_cache::a_clearing_cut_short_anywhere_is_ended_by_the_next"
    ),
    "Model files hold weights": f"{RELIABILITY}no_way_in::a_models_folder_tells_nothing_of_rows",
    "The card and the report hold": (
        "auditing/test_audit::small_groups_are_suppressed_and_cannot_be_had_by_subtraction"
    ),
    "An error lists eight": "tasks/test_long_lists::no_error_lists_a_column",
    "A local folder is opened": (
        f"{RELIABILITY}no_way_in::no_network_for_a_local_model_and_none_of_its_code"
    ),
    "Every file is written beside": (
        f"{RELIABILITY}corruption::a_full_disk_leaves_the_old_file_and_says_what_to_do"
    ),
    "a model folder is exchanged whole": (
        f"{RELIABILITY}corruption::a_full_disk_leaves_the_old_model"
    ),
    "The same command goes on": (
        f"{RELIABILITY}kills::a_comparison_killed_at_some_of_its_writes_ends_as_an_unbroken_one"
    ),
    "Feature shards": f"{RELIABILITY}damage::damage_of_any_file_is_found",
    "A cell says whose": f"{RELIABILITY}corruption::a_cell_in_the_place_of_another_is_named",
    "`SHA256SUMS` in a run folder": f"{RELIABILITY}corruption::sums_say_how_many_they_are",
    "One cache entry is written": "models/features/test_extract::two_at_once_share_the_work",
    "a run folder is refused while": "_base/test_run_folder::finetune_refuses_at_once_where_it",
    "Locks are the operating system's": (
        f"{RELIABILITY}corruption::a_folder_is_one_writers_until_it_dies"
    ),
    "A folder of cells belongs": (
        f"{RELIABILITY}corruption::what_cells_were_made_from_is_refused_by_name"
    ),
    "anything else is refused": (
        "experiments/compare/test_run::another_rule_in_the_same_folder_is_refused"
    ),
}
"""The start of every sentence of the page's table, and the test that shows it."""


def rows():
    """What is done, and where it is tested, of every threat."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    return [line.strip("| ").split(" | ")[1:] for line in lines[1:]]


@cache
def named_in(path):
    tree = ast.parse((TOP / path).read_text(encoding="utf-8"))
    return [one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)]


def test_every_threat_names_its_tests():
    assert len(rows()) > 10
    for _, tested in rows():
        tests = re.findall(r"`(tests/[^`]*)`", tested)
        assert tests, tested
        for test in tests:
            assert (TOP / test).exists(), test


def test_every_sentence_is_shown_by_a_test_of_its_row():
    told = set()
    for done, tested in rows():
        for sentence in re.split(r"(?<=[.;])\s+", done):
            (start,) = [start for start in SHOWN if sentence.startswith(start)]
            told.add(start)
            if SHOWN[start] is None:
                continue
            file, name = SHOWN[start].split("::")
            path = f"tests/{file}.py"
            assert any(one.startswith(f"test_{name}") for one in named_in(path)), SHOWN[start]
            assert any(path.startswith(one) for one in re.findall(r"`(tests/[^`]*)`", tested)), path
    assert told == set(SHOWN)


def test_its_numbers_are_those_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert f"{archive.MAX_MEMBERS:,} members, {archive.MAX_BYTES >> 20} MB each" in page
    assert f"{decode_image.MAX_PIXELS // 10**6} million pixels" in page
    assert f"{table_file.MAX_UNPACKED >> 20} MB, or at {table_file.MAX_RATIO} times" in page
