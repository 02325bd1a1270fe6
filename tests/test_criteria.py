import pytest

from evenhand.criteria import Criterion
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
    assert [c.symbol for c in Criterion] == ["ΔDP", "ΔEO", "ΔEOpp"]
    assert [c.abbreviation for c in Criterion] == ["dp", "eo", "eopp"]
