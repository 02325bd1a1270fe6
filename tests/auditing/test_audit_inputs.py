"""What people bring to an audit: other spellings, types and formats of the same decisions."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenhand.auditing import audit
from evenhand.auditing.classes import classes_of
from evenhand.criteria import Criterion
from evenhand.errors import InputError

ASKED = {"label": "y", "prediction": "p", "groups": "g"}


def decisions(rows=1200, seed=0):
    draw = np.random.default_rng(seed)
    group = draw.integers(0, 2, rows)
    label = draw.integers(0, 2, rows)
    right = draw.random(rows) < 0.6 + 0.3 * group
    return pd.DataFrame(
        {"y": label, "p": np.where(right, label, 1 - label), "g": np.array(["F", "M"])[group]}
    )


def gap_of(table, **more):
    return audit(table, **(ASKED | more)).gaps()["g"][Criterion.EQUALIZED_ODDS].estimate


TRUE = gap_of(decisions())

SPELLINGS = {
    "yes and no against 1 and 0": (["no", "yes"], ["0", "1"]),
    "a last dot": (["<=50K.", ">50K."], ["<=50K", ">50K"]),
    "another case": (["no", "yes"], ["No", "YES"]),
    "TRUE against True": (["FALSE", "TRUE"], ["False", "True"]),
    "-1 and 1 against 0 and 1": (["-1", "1"], ["0", "1"]),
    "spaces": (["no", "yes"], ["no ", " yes"]),
    "1.0 against 1": (["0", "1"], ["0.0", "1.0"]),
    "composed letters": (["n\u00e9", "oui"], ["ne\u0301", "oui"]),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_other_spellings_of_the_same_classes_are_the_same(spelling):
    table = decisions()
    labels, predictions = (np.array(names, dtype=object) for names in spelling)
    table["y"], table["p"] = labels[table["y"]], predictions[table["p"]]
    found = audit(table, **ASKED)
    assert found.gaps()["g"][Criterion.EQUALIZED_ODDS].estimate == pytest.approx(TRUE)
    assert len(found.classes) == 2
    assert found.above({"equalized_odds": 0.1})


def test_what_was_read_as_the_same_is_said():
    table = decisions()
    table["p"] = np.array(["no", "yes"])[table["p"]]
    (note, *_) = audit(table, **ASKED).warnings()
    assert note == (
        "column 'p' and column 'y' are written differently: 'no' as '0', 'yes' as '1' was read "
        "in 'p'"
    )


def test_classes_without_a_value_in_common_are_refused():
    table = decisions()
    table["p"] = np.array(["a", "b"])[table["p"]]
    with pytest.raises(InputError, match=r"'y' \(0, 1\) and 'p' \(a, b\) have no value in common"):
        audit(table, **ASKED)


def test_classes_of_one_column_only_fail_every_gate():
    table = decisions()
    table["y"] = np.array(["low", "high"])[table["y"]]
    table["p"] = np.array(["low", "hihg"])[table["p"]]
    found = audit(table, **ASKED)
    assert len(found.classes) == 3
    assert found.above({}) == []
    assert (
        "only column 'y' holds 'high', only column 'p' holds 'hihg'"
        in found.above({"demographic_parity": 2.0})[0]
    )


def test_probabilities_are_no_predictions_and_numbers_no_labels():
    table = decisions()
    draw = np.random.default_rng(1).random(len(table))
    with pytest.raises(InputError, match=r"column 'p' holds 1,200 different numbers.*--score"):
        audit(table.assign(p=draw), **ASKED)
    with pytest.raises(InputError, match="column 'y' holds 1,200 different numbers"):
        audit(table.assign(y=draw), **ASKED)


def test_a_rate_without_rows_is_named_and_passes_no_gate():
    table = pd.DataFrame(
        {
            "y": [0] * 60 + [0, 1] * 60 + [0, 1] * 60,
            "p": [1] * 60 + [0, 1] * 60 + [0, 1] * 60,
            "g": ["A"] * 60 + ["B"] * 120 + ["C"] * 120,
        }
    )
    found = audit(table, **ASKED)
    (why,) = found.above({"equalized_odds": 0.5})
    assert "the gap is at least 1.000" in why
    assert "group 'A' has 0 rows with label '1'" in why
    assert found.above({"equalized_odds": 0.5}, by_upper=True)
    assert any("'A' has 0 rows" in sentence for sentence in found.warnings())
    assert found.above({"demographic_parity": 0.9}) == []


@pytest.mark.parametrize("threshold", [0.1, 0.7, 0.9])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_score_is_compared_with_the_threshold_as_it_is_kept(tmp_path, dtype, threshold):
    scores = np.array([threshold, 0.03, threshold, 0.03] * 30, dtype=dtype)
    table = pd.DataFrame({"y": [1, 0, 0, 1] * 30, "s": scores, "g": ["F", "M"] * 60})
    table.to_parquet(tmp_path / "t.parquet")
    asked = {"label": "y", "score": "s", "threshold": threshold, "groups": "g"}
    found = audit(tmp_path / "t.parquet", **asked)
    assert found.counts["g"].table[..., 1].sum() == 60


def test_nan_in_a_parquet_column_is_missing(tmp_path):
    table = decisions(200).astype({"y": float, "p": float})
    table.loc[3, "y"], table.loc[4, "p"] = np.nan, np.nan
    table.to_parquet(tmp_path / "t.parquet")
    found = audit(tmp_path / "t.parquet", **ASKED)
    assert found.classes == ("0", "1")
    assert found.missing == {"y": 1, "p": 1}


def as_csv(table, **more):
    return table.to_csv(index=False, **more)


FORMATS = {
    "gzip": lambda t: gzip.compress(as_csv(t).encode()),
    "spaces after commas": lambda t: as_csv(t).replace(",", ", ").encode(),
    "UTF-16": lambda t: as_csv(t).encode("utf-16"),
    "a line that names the delimiter": lambda t: b"sep=;\n" + as_csv(t, sep=";").encode(),
    "CR line ends": lambda t: as_csv(t).replace("\n", "\r").encode(),
    "a total": lambda t: as_csv(t).encode() + b"Total,520,\n",
    "JSON lines": lambda t: t.to_json(orient="records", lines=True).encode(),
    "feather": lambda t: _feather(t),
}


def _feather(table):
    held = io.BytesIO()
    table.to_feather(held)
    return held.getvalue()


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS)
def test_every_format_gives_the_same_counts(tmp_path, write):
    table = decisions()
    path = tmp_path / "decisions.data"
    path.write_bytes(write(table))
    found = audit(path, **ASKED)
    np.testing.assert_array_equal(found.counts["g"].table, audit(table, **ASKED).counts["g"].table)


def test_no_content_of_a_ragged_row_is_shown(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(as_csv(decisions(100)) + "1,0,F,a secret name,555\n")
    found = audit(path, **ASKED)
    assert not any("secret" in sentence for sentence in found.warnings())
    assert found.used == 100


def test_groups_and_classes_too_many_to_count_are_refused_before_memory_is_taken():
    rows = 2000
    table = pd.DataFrame(
        {
            "y": [f"c{i % 1500}" for i in range(rows)],
            "p": [f"c{i % 1500}" for i in range(rows)],
            "g": [f"g{i % 1000}" for i in range(rows)],
        }
    )
    with pytest.raises(InputError, match=r"1,000 groups of g and 1,500 classes are .* too many"):
        audit(table, **ASKED)


def test_the_owner_names_further_words_for_a_missing_value():
    table = decisions(300)
    table.loc[:9, "g"] = "none"
    assert audit(table, **ASKED).counts["g"].group_names == ("F", "M", "none")
    found = audit(table, **ASKED, missing=["none"])
    assert found.counts["g"].group_names == ("F", "M")
    assert found.missing == {"g": 10}


@given(st.sampled_from(sorted(SPELLINGS)), st.booleans())
def test_a_mapping_never_turns_a_class_into_the_other(spelling, swapped):
    labels, predictions = ([name.strip() for name in names] for names in SPELLINGS[spelling])
    labels = [name.removesuffix(".0") for name in labels]
    if swapped:
        labels, predictions = predictions, labels
    try:
        found = classes_of({"y": labels, "p": predictions}, positive=None, scored=False)
    except InputError:
        return
    places = [found.of_codes[column].tolist() for column in ("y", "p")]
    assert places[0] == places[1] or len(found.names) > 2


@pytest.mark.parametrize("decided", [["0", ".5", "1"], ["0.25", "0"], [0.1, 0.9, 1.0]])
def test_few_fractions_are_no_decisions_either(decided):
    table = decisions()
    table["p"] = np.resize(np.array(decided, dtype=object), len(table))
    with pytest.raises(InputError, match=r"column 'p' holds 0?\.\d.*no such number.*--score"):
        audit(table, **ASKED)
    both = table.assign(y=table["p"])
    assert audit(both, **ASKED).classes


def test_more_classes_decided_than_two_labels_fail_every_gate():
    table = decisions()
    table["p"] = table["p"] * 37
    table.loc[0, "p"] = 1
    found = audit(table, **ASKED)
    assert "'37' is never true" in found.above({"demographic_parity": 2.0})[0]


@pytest.mark.parametrize(
    "label",
    [["yes", "Yes", "no"], [True, 1, 0], ["1", "yes", "0"], ["<=50K", "<=50K.", ">50K"]],
    ids=str,
)
def test_a_class_that_seems_written_in_two_ways_fails_every_gate(label):
    table = decisions()
    table["y"] = np.resize(np.array(label, dtype=object), len(table))
    table["p"] = table["y"].to_numpy(copy=True)
    found = audit(table, **ASKED)
    assert "if those are the same class" in found.above({"demographic_parity": 2.0})[0]


@pytest.mark.parametrize("positive", ["1.0", "1", " 1", "yes", "TRUE"])
def test_the_positive_class_is_named_as_any_value_is(positive):
    assert audit(decisions(), positive=positive, **ASKED).classes == ("0", "1")


def test_a_score_of_the_other_class_is_told():
    table = decisions()
    draw = np.random.default_rng(0)
    table["s"] = np.clip(0.6 - 0.3 * table["y"] + draw.normal(0, 0.1, len(table)), 0, 1)
    asked = {"label": "y", "score": "s", "groups": "g"}
    (told,) = audit(table, **asked).warnings()
    assert "the AUC is below .5 in every group" in told
    assert not audit(table.assign(s=1 - table["s"]), **asked).warnings()


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"threshold": 0.3}, "--threshold or --prediction"),
        ({"by_upper": True}, "--fail-above"),
        ({"groups": ["g", "y"]}, "'y' cannot be both a group and a label"),
        ({"groups": "p"}, "'p' cannot be both a group and a label or prediction"),
    ],
)
def test_what_would_say_nothing_is_refused(more, why):
    with pytest.raises(InputError, match=why):
        audit(decisions(), **(ASKED | more))
