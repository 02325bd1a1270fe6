"""Options by --set and by the environment: as a task file writes them, behind their own flags."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.cli.main import main
from evenhand.cli.settings import PREFIX, named, settled, values_over
from evenhand.errors import InputError
from evenhand.finetuning.request import OPTIONS, FinetuneRequest

FLAGS = dict.fromkeys(("confidence", "bound", "groups", "at_any_cost", "seed"))


def asked(settings=(), environment=(), **flags):
    return settled(FLAGS | flags, settings, dict(environment), OPTIONS.checked)


def test_a_flag_goes_before_set_and_set_before_the_environment():
    by_all = [("EVENHAND_CONFIDENCE", ".8")]
    assert asked(environment=by_all)["confidence"] == 0.8
    assert asked(["confidence=.9"], by_all)["confidence"] == 0.9
    assert asked(["confidence=.9"], by_all, confidence=0.95)["confidence"] == 0.95
    assert asked(environment=[("EVENHAND_CONFIDENCE", "")])["confidence"] is None
    assert asked(environment=[("EVENHAND_NO_SUCH", "1")]) == FLAGS


def test_values_are_those_a_task_file_would_hold():
    found = asked(["bound={equalized_odds: .1}", "groups=[sex, race]", "at-any-cost=yes", "seed=3"])
    request = FinetuneRequest("table").changed(found)
    assert request.bound == {"equalized_odds": 0.1}
    assert (request.groups, request.at_any_cost, request.seed) == (("sex", "race"), True, 3)
    assert FinetuneRequest().changed(asked(["bound=.1"])).bounds[0].limit == 0.1


@pytest.mark.parametrize(
    ("settings", "environment", "said"),
    [
        (["confidnce=.9"], [], "--set confidnce: no such option; did you mean 'confidence'?"),
        (["confidence"], [], "--set is written key=value"),
        (["confidence="], [], "--set is written key=value"),
        (["confidence=1.5"], [], "--set confidence: --confidence: expected a number from 0.5"),
        (["confidence=[1"], [], "--set confidence: '[1' cannot be read"),
        (["seed=1", "seed=2"], [], "--set seed is given twice"),
        ([], [("EVENHAND_SEED", "many")], "EVENHAND_SEED: --seed: "),
    ],
)
def test_what_cannot_be_is_named(settings, environment, said):
    with pytest.raises(InputError) as refused:
        asked(settings, environment)
    assert str(refused.value).startswith(said)


def test_values_to_sweep_over():
    found = values_over(["bound=.05,.1", "criterion=eo,dp", "groups=[[sex], [sex, race]]"])
    assert found == {
        "bound": [0.05, 0.1],
        "criterion": ["eo", "dp"],
        "groups": [["sex"], ["sex", "race"]],
    }
    with pytest.raises(InputError, match="--over bound is given twice"):
        values_over(["bound=.1", "bound=.2"])
    with pytest.raises(InputError, match="did you mean 'bound'"):
        values_over(["bond=.1"])


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_read_or_refused(key, value):
    for read in (named, lambda setting, *_: asked([setting])):
        with suppress(InputError):
            read(f"{key}={value}", "--set", FLAGS)


def test_commands_that_fine_tune_take_both(monkeypatch, capsys):
    with pytest.raises(SystemExit) as done:
        main(["finetune", "adult", "--set", "confidence=2"])
    assert done.value.code == 2
    assert "--set confidence" in capsys.readouterr().err
    monkeypatch.setenv(PREFIX + "CONFIDENCE", "2")
    for command in ("finetune", "compare", "plan"):
        with pytest.raises(SystemExit) as done:
            main([command, "adult"])
        assert done.value.code == 2
        assert "EVENHAND_CONFIDENCE: " in capsys.readouterr().err
