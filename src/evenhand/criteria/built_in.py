"""The criteria that have a name here."""

from __future__ import annotations

from typing import Any

from evenhand.criteria.criterion import Comparison, Criterion, Rate


def _difference(asks: str, *rates: Rate, words: str = "", **described: Any) -> Criterion:
    """A criterion whose gap is the largest difference of rates between two groups."""
    name, symbol = described.pop("name"), described["symbol"]
    how = Comparison(rates, combined=described.pop("combined", "sum"))
    figure = described.pop("figure", "the largest difference between two groups (0 to 1)")
    meaning = (
        f"{words or name.replace('_', ' ')} asks for {asks} in every group; the gap {symbol} is "
        f"{figure}"
    )
    return Criterion(name, comparison=how, meaning=meaning, **described)


_ODDS: tuple[str, Rate, Rate] = (
    "the same true- and false-positive rates",
    "true_positive_rate",
    "false_positive_rate",
)

DEMOGRAPHIC_PARITY = _difference(
    "the same share of positive decisions",
    "selection_rate",
    name="demographic_parity",
    symbol="ΔDP",
    abbreviation="dp",
    penalty="demographic_parity",
)
EQUALIZED_ODDS = _difference(
    *_ODDS,
    name="equalized_odds",
    symbol="ΔEO",
    abbreviation="eo",
    highest=2.0,
    figure="|ΔTPR| + |ΔFPR|, the largest over pairs of groups (0 to 2)",
    penalty="equalized_odds",
)
EQUAL_OPPORTUNITY = _difference(
    "the same true-positive rate",
    "true_positive_rate",
    name="equal_opportunity",
    symbol="ΔEOpp",
    abbreviation="eopp",
    penalty="equal_opportunity",
)

STANDARD = (DEMOGRAPHIC_PARITY, EQUALIZED_ODDS, EQUAL_OPPORTUNITY)
"""What every report and audit tells, asked or not."""

BUILT_IN = (
    *STANDARD,
    Criterion(
        "demographic_parity_ratio",
        symbol="DP ratio",
        abbreviation="dpr",
        kind="level",
        meaning="the demographic-parity ratio is the lowest share of positive decisions in a group "
        "over the highest (0 to 1; the four-fifths rule asks for 0.8)",
        comparison=Comparison(("selection_rate",), across="ratio"),
        penalty="demographic_parity",
    ),
    _difference(
        *_ODDS,
        name="equalized_odds_max",
        words="equalized odds",
        symbol="ΔEOmax",
        abbreviation="eomax",
        combined="max",
        figure="the larger of |ΔTPR| and |ΔFPR|, the largest over pairs of groups (0 to 1)",
        penalty="equalized_odds",
    ),
    _difference(
        *_ODDS,
        name="equalized_odds_mean",
        words="equalized odds",
        symbol="ΔEOmean",
        abbreviation="eomean",
        combined="mean",
        figure="the mean of |ΔTPR| and |ΔFPR|, the largest over pairs of groups (0 to 1)",
        penalty="equalized_odds",
    ),
    _difference(
        "the same false-positive rate",
        "false_positive_rate",
        name="predictive_equality",
        symbol="ΔFPR",
        abbreviation="pe",
        penalty="predictive_equality",
    ),
    _difference(
        "positive decisions that are right as often",
        "precision",
        name="predictive_parity",
        symbol="ΔPPV",
        abbreviation="pp",
    ),
    _difference(
        "decisions that are right as often",
        "accuracy",
        name="accuracy_parity",
        symbol="ΔAcc",
        abbreviation="ap",
    ),
    _difference(
        "the same share of wrong decisions, as the mean over the labels,",
        "balanced_error_rate",
        name="balanced_error_parity",
        symbol="ΔBER",
        abbreviation="bep",
    ),
    Criterion(
        "worst_group_accuracy",
        symbol="WGA",
        abbreviation="wga",
        kind="level",
        meaning="worst-group accuracy is the share of right decisions in the group with the fewest "
        "(0 to 1)",
        comparison=Comparison(("accuracy",), across="worst"),
    ),
    Criterion(
        "worst_group_error",
        symbol="WGE",
        abbreviation="wge",
        meaning="worst-group error is the share of wrong decisions in the group with the most "
        "(0 to 1)",
        comparison=Comparison(("error_rate",), across="worst"),
    ),
    Criterion(
        "worst_cell_accuracy",
        symbol="WCA",
        abbreviation="wca",
        kind="level",
        meaning="worst-cell accuracy is the share of right decisions for the group and label with "
        "the fewest (0 to 1)",
        comparison=Comparison(("true_positive_rate",), across="worst", every_class=True),
    ),
)
"""The criteria that have a name here."""

Criterion.DEMOGRAPHIC_PARITY = DEMOGRAPHIC_PARITY
Criterion.EQUALIZED_ODDS = EQUALIZED_ODDS
Criterion.EQUAL_OPPORTUNITY = EQUAL_OPPORTUNITY
Criterion.KNOWN = BUILT_IN
