"""A plan is what a run would do, told before: on tables, in words, on a page."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import evenhand as eh
from evenhand.cli.main import main
from evenhand.errors import InputError
from evenhand.finetuning.finetune import finetune_stage
from evenhand.finetuning.plan import plan_stage
from evenhand.finetuning.plan_text import as_dict, tables, text
from evenhand.finetuning.request import FinetuneRequest
from evenhand.finetuning.stage import task_stage
from evenhand.report.files import plain

EO, DP = eh.Criterion.EQUALIZED_ODDS, eh.Criterion.DEMOGRAPHIC_PARITY


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """2,400 rows: two districts, and a third of 30 rows; more of one have the label."""
    draw = np.random.default_rng(0)
    n = 2400
    district = np.where(np.arange(n) < 30, "south", draw.choice(["east", "west"], n))
    x = draw.normal(size=(n, 3)) + 0.7 * (district == "east")[:, None]
    repaid = x.sum(axis=1) + draw.normal(size=n) > 1
    frame = pd.DataFrame(x, columns=["a", "b", "c"]).assign(
        district=district, repaid=np.where(repaid, "yes", "no")
    )
    folder = tmp_path_factory.mktemp("people")
    frame.sample(frac=1, random_state=0).to_csv(folder / "people.csv", index=False)
    (folder / "task.yaml").write_text(
        "task: table\ndata: people.csv\nlabel: repaid\ngroups: [district]\nname: people\n"
    )
    return folder


@pytest.fixture(scope="module")
def stage(people):
    return task_stage(
        eh.tasks.table(people / "people.csv", label="repaid", groups="district"), seed=0
    )


@pytest.fixture(scope="module")
def found(stage):
    return plan_stage(stage, FinetuneRequest("table", bound={"demographic_parity": 0.35}))


@pytest.mark.parametrize("place", [0, 2, 4, -1])
def test_a_price_is_what_finetune_ships_for_that_bound(stage, found, place):
    price = found.curve.prices[place]
    result = finetune_stage(
        stage, FinetuneRequest("table", bound={"demographic_parity": price.bound})
    )
    choice = result.fair_head.choice
    assert choice.promised is price.promised
    assert choice.error == pytest.approx(price.error)
    assert choice.gaps[DP] == pytest.approx(price.gap)


def test_no_test_row_is_read(stage, found):
    from dataclasses import replace

    changed = replace(stage, test=replace(stage.test, labels=1 - stage.test.labels))
    again = plan_stage(changed, FinetuneRequest("table", bound={"demographic_parity": 0.35}))
    assert as_dict(again) == as_dict(found)


def test_the_groups_too_small_are_named_with_the_rows_it_takes(found):
    by_name = {group.name: group for group in found.groups}
    assert by_name["south"].judged == {DP: False}
    assert sum(by_name["south"].cells) * by_name["south"].rows >= 100 * found.rows
    assert by_name["east"].judged == {DP: True}
    assert by_name["east"].rows is None
    assert "'south' is too small to judge" in text(found)
    assert sum(sum(group.cells) for group in found.groups) == found.rows == 1800


def test_each_label_counts_where_odds_are_asked_for(stage):
    by_odds = plan_stage(stage, FinetuneRequest("table", criterion="equalized_odds"))
    south = next(group for group in by_odds.groups if group.name == "south")
    assert south.rows >= 100 / min(south.cells) * by_odds.rows
    assert set(by_odds.curves) == {EO}
    assert by_odds.asked is None
    assert "any classifier" not in text(by_odds)


def test_the_words_say_the_figures(found):
    shown = text(found)
    assert shown.startswith("1,800 rows to fit and choose on: ")
    for price in found.curve.promised:
        (line,) = re.findall(rf"^ +{price.bound:g} .*$", shown, re.MULTILINE)
        assert f"{price.error:.2f}" in line
        assert f"{price.least_error:.2f}" in line
    smallest = found.curve.promised[0]
    assert f"The smallest bound that can be promised is {smallest.bound:g}" in shown
    assert 0 <= smallest.bound - found.curve.smallest <= 0.001
    assert "Asked for: promised; chosen would be the lowest error with" in shown
    half = found.curve.half
    assert f"at least {half.least_error:.1f} % of wrong decisions" in shown
    assert len(tables(found)) == 2


def test_a_bound_that_is_not_promised_is_told_so(stage):
    low = plan_stage(stage, FinetuneRequest("table", bound={"demographic_parity": 0.01}))
    assert "Asked for: demographic_parity<=0.01 is not promised: " in text(low)


def test_two_bounds_have_two_curves(stage):
    both = FinetuneRequest("table", bound={"demographic_parity": 0.3, "equalized_odds": 0.4})
    found = plan_stage(stage, both)
    assert list(found.curves) == [DP, EO]
    assert len(tables(found)) == 3


def test_where_nothing_can_be_promised_it_is_said(stage):
    found = plan_stage(stage, FinetuneRequest("table", min_rows=5000))
    assert "No bound on ΔEO can be promised" in text(found)
    assert "fewer than two groups have 5,000 rows" in text(found)
    json.dumps(plain(as_dict(found)), allow_nan=False)


def test_a_plan_is_told_and_drawn(people, tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["plan", str(people / "task.yaml"), "--json", "-q", "-o", str(tmp_path / "plan.html")])
    assert not done.value.code
    told = json.loads(capsys.readouterr().out)
    assert told["curves"]["equalized_odds"]["smallest"] > 0
    page = (tmp_path / "plan.html").read_text("utf-8")
    assert "data:image/svg+xml;base64," in page
    assert page.count("<table>") == 2
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_a_name_it_cannot_be_written_to_is_refused_before_any_row_is_read(people, capsys):
    with pytest.raises(SystemExit) as done:
        main(["plan", str(people / "task.yaml"), "--data", "not-there.csv", "-o", "plan.gif"])
    assert done.value.code == 2
    assert "the name must end in svg, png, pdf, html" in capsys.readouterr().err


def test_a_plan_is_saved_as_a_picture(found, tmp_path):
    for name in ("plan.svg", "plan.png", "plan.htm"):
        assert found.save(tmp_path / name).stat().st_size > 2000
    with pytest.raises(InputError, match="the name must end in svg, png, pdf, html"):
        found.save(tmp_path / "plan.gif")


def test_the_front_door_gives_the_same(people, found):
    task = eh.tasks.table(people / "people.csv", label="repaid", groups="district")
    again = eh.plan(None, task, bound={"demographic_parity": 0.35})
    assert as_dict(again)["curves"] == as_dict(found)["curves"]
    assert str(again) == text(found)
