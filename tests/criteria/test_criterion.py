import copy
import json
import pickle

import pytest

from evenhand.criteria import STANDARD, Criterion, parse_limit
from evenhand.errors import InputError


@pytest.mark.parametrize(
    ("text", "criterion"),
    [
        ("equalized_odds", Criterion.EQUALIZED_ODDS),
        ("Equalized Odds", Criterion.EQUALIZED_ODDS),
        ("equal-opportunity", Criterion.EQUAL_OPPORTUNITY),
        ("dp", Criterion.DEMOGRAPHIC_PARITY),
        ("eo", Criterion.EQUALIZED_ODDS),
        ("EOpp", Criterion.EQUAL_OPPORTUNITY),
        (Criterion.DEMOGRAPHIC_PARITY, Criterion.DEMOGRAPHIC_PARITY),
    ],
)
def test_names_and_abbreviations_are_understood(text, criterion):
    assert Criterion.parse(text) is criterion


def test_an_unknown_criterion_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"'equalised_odds'.*Did you mean 'equalized_odds'"):
        Criterion.parse("equalised_odds")
    with pytest.raises(InputError, match=r"demographic_parity \(dp\)"):
        Criterion.parse("xyz")


def test_signs():
    assert [c.symbol for c in STANDARD] == ["ΔDP", "ΔEO", "ΔEOpp"]
    assert [c.abbreviation for c in STANDARD] == ["dp", "eo", "eopp"]


def test_a_limit_is_a_criterion_and_a_number():
    assert parse_limit("eo=.25") == (Criterion.EQUALIZED_ODDS, 0.25)
    assert parse_limit("demographic parity= 1e-1 ") == (Criterion.DEMOGRAPHIC_PARITY, 0.1)
    for text in ("eo", "eo=", "eo=a", "eo=nan", "=0.1", "", "xx=0.1"):
        with pytest.raises(InputError, match=r"criterion"):
            parse_limit(text)


def test_a_criterion_is_its_name_and_does_not_change():
    criterion = Criterion.EQUALIZED_ODDS
    assert {criterion: 1}["equalized_odds"] == 1
    assert json.loads(json.dumps({"criterion": criterion})) == {"criterion": "equalized_odds"}
    assert f"{criterion}" == criterion.name == criterion.value == "equalized_odds"
    assert criterion.words == "equalized odds"
    with pytest.raises(AttributeError, match="symbol of equalized_odds cannot be set"):
        criterion.symbol = "EO"


@pytest.mark.parametrize("criterion", STANDARD)
def test_a_criterion_is_the_same_after_a_journey_to_another_process(criterion):
    for again in (pickle.loads(pickle.dumps(criterion)), copy.deepcopy(criterion)):
        assert again is criterion
