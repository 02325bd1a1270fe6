"""What is asked of an audit: written and read back the same, each option once."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from evenhand.auditing.request import FLAGS, OPTIONS, AuditRequest
from evenhand.cli.request_options import taken
from evenhand.errors import InputError

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1)
COLUMNS = st.lists(WORDS, min_size=4, max_size=6, unique=True)
CRITERIA = st.sampled_from(["equalized_odds", "demographic_parity", "equal_opportunity"])
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "cross": st.booleans(),
        "threshold": st.floats(-1e9, 1e9),
        "positive": WORDS,
        "criterion": CRITERIA,
        "min_count": st.integers(0, 1000),
        "suppress_below": st.integers(0, 1000),
        "missing": st.lists(WORDS, max_size=3),
        "delimiter": st.sampled_from([",", ";", "\t"]),
        "encoding": st.sampled_from(["utf-8", "cp1252"]),
        "fail_above": st.dictionaries(CRITERIA, st.floats(0, 2), max_size=3),
        "fail_below": st.dictionaries(
            st.sampled_from(["impact_ratio", "worst_group_accuracy"]), st.floats(0, 1), max_size=2
        ),
        "by_upper": st.booleans(),
        "reference": st.lists(WORDS, max_size=2),
        "about": WORDS,
        "view": st.just("ll144"),
        "xlsx": st.booleans(),
        "pdf": st.booleans(),
    },
)


@given(COLUMNS, SETTINGS)
def test_a_request_is_read_back_as_it_was_written(columns, options):
    label, prediction, score, *groups = columns
    if "threshold" in options:  # it decides where no prediction does
        prediction = None
    if not options.get("fail_above"):  # what is judged by the upper end is the gate
        options.pop("by_upper", None)
    asked = AuditRequest.of(
        file="t.csv", label=label, prediction=prediction, score=score, groups=groups, **options
    )
    text = yaml.safe_dump(asked.to_config(), allow_unicode=True, sort_keys=False)
    again = AuditRequest.from_config(yaml.safe_load(text))
    assert again.to_config() == asked.to_config()
    wanted = [label, *groups, prediction, score]
    assert again.columns == asked.columns == tuple(name for name in wanted if name is not None)
    assert again.limits == asked.limits


def test_limits_are_read_from_flags_and_from_mappings():
    flags = AuditRequest.of(
        groups="g", prediction="p", label="y", fail_above=["eo=0.1", "demographic_parity=.2"]
    )
    named = AuditRequest.of(
        groups="g", prediction="p", label="y", fail_above={"eo": 0.1, "dp": 0.2}
    )
    assert flags.limits == named.limits == {"equalized_odds": 0.1, "demographic_parity": 0.2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fail_above": ["eo"]}, "--fail-above: a limit is written criterion=number"),
        ({"fail_above": ["eo=3"]}, "--fail-above: a gap lies between 0 and 2, found 3"),
        ({"fail_above": ["eo=0.1", "eo=0.2"]}, "--fail-above: equalized_odds is given twice"),
        ({"fail_above": {"eo": "0.1"}}, "--fail-above: expected a number, found '0.1'"),
        ({"fail_above": ["wga=0.1"]}, "worst_group_accuracy is a level.*--fail-below"),
        ({"fail_below": ["eo=0.1"]}, "equalized_odds is a gap.*--fail-above"),
        ({"fail_below": ["impact_ratio"]}, "--fail-below: a limit is written impact_ratio=0.8"),
        ({"fail_below": ["wga=3"]}, "--fail-below: expected a number from 0 to 1"),
        ({"cross": "yes"}, "--cross: expected true or false, found 'yes'"),
        ({"criterion": "fair"}, "--criterion: unknown criterion 'fair'"),
        ({"grops": "g"}, "no option 'grops'; did you mean 'groups'"),
        ({"prediction": None}, "a prediction column, a score column or both"),
        ({"groups": list("abcde")}, "at most 4 group columns, found 5"),
    ],
)
def test_what_cannot_be_asked_is_named(options, message):
    with pytest.raises(InputError, match=message):
        AuditRequest.of(**({"groups": "g", "prediction": "p", "label": "y"} | options))


def test_every_option_has_one_flag_of_its_own_type_and_words_of_help():
    assert len(set(FLAGS.values())) == len(OPTIONS)
    assert all(option.metadata["help"] for option in OPTIONS.values())
    others = {name: taken(name, AuditRequest) for name in OPTIONS}
    assert {name for name, kind in others.items() if kind is bool} == {
        *("cross", "by_upper", "xlsx", "pdf")
    }
    assert others["threshold"] is float
    assert {others[name] for name in ("min_count", "suppress_below")} == {int}
