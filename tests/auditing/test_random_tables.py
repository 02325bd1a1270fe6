"""Random tables, counted by an audit and by plain loops that share nothing with it."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from evenhand.auditing import audit
from evenhand.errors import InputError

GROUPS = (["F", "M"], ["a", "b", "c", ""], ["1", "2.0", "2", "NA"], ["é", " é", None, "x y"])


def table_of(draw):
    """Rows as texts, some of them missing, and the columns that are groups."""
    n, names = int(draw.integers(1, 80)), ["g", "h", "k"][: draw.integers(1, 4)]
    table = {name: draw.choice(np.array(GROUPS[draw.integers(4)], object), n) for name in names}
    for column in ("y", "p"):
        share = draw.random()
        table[column] = np.where(draw.random(n) < share, "yes", "no").astype(object)
        table[column][draw.random(n) < 0.1] = draw.choice(np.array(["", None, "NaN"], object))
    return pd.DataFrame(table), names


def name(value):
    """What a value is called; None where it is missing."""
    if not isinstance(value, str) or value.strip() in ("", "NA", "NaN"):
        return None
    return {"2.0": "2"}.get(value.strip(), value.strip())


def counted(table, span):
    """Group to (hits, positives, false alarms, negatives), by a loop."""
    found = {}
    for row in table.to_dict("records"):
        label, decision = name(row["y"]), name(row["p"])
        group = [name(row[column]) for column in span]
        if label is None or decision is None or None in group:
            continue
        cell = found.setdefault(" × ".join(group), [0, 0, 0, 0])
        at = 0 if label == "yes" else 2
        cell[at + 1] += 1
        cell[at] += decision == "yes"
    return found


def gaps(found):
    """ΔDP, ΔEOpp and ΔEO: the largest over pairs of groups that have the rows."""
    dp, opp, odds = [], [], []
    for a, b in itertools.combinations(found.values(), 2):
        rates = [(c[0] + c[2]) / (c[1] + c[3]) for c in (a, b)]
        dp.append(abs(rates[0] - rates[1]))
        if a[1] and b[1]:
            opp.append(abs(a[0] / a[1] - b[0] / b[1]))
            if a[3] and b[3]:
                odds.append(opp[-1] + abs(a[2] / a[3] - b[2] / b[3]))
    return {"demographic_parity": dp, "equal_opportunity": opp, "equalized_odds": odds}


def check(seed):
    """Whether a table could be audited; what it found is the loop's."""
    table, names = table_of(np.random.default_rng(seed))
    asked = {"label": "y", "prediction": "p", "groups": names, "positive": "yes"}
    spans = [s for n in range(1, len(names) + 1) for s in itertools.combinations(names, n)]
    usable = [r for r in table.to_dict("records") if name(r["y"]) and name(r["p"])]
    classes = {name(value) for column in "yp" for value in table[column]} - {None}
    if not usable or classes == {"yes"}:  # what the other class is called, nobody can know
        with pytest.raises(InputError):
            audit(table, **asked)
        return False
    found = audit(table, **asked)
    assert found.used == len(usable)
    every = found.gaps()
    for span in spans:
        expected = counted(table, span)
        counts = found.counts[" × ".join(span)]
        assert set(counts.group_names) == set(expected)
        for at, group in enumerate(counts.group_names):
            cell = counts.table[at]
            assert [cell[1, 1], cell[1].sum(), cell[0, 1], cell[0].sum()] == expected[group]
        for criterion, pairs in gaps(expected).items():
            figure = every[" × ".join(span)][criterion].estimate
            if pairs:
                assert math.isclose(figure, max(pairs), abs_tol=1e-12), (criterion, span)
            else:
                assert math.isnan(figure)
    return True


def test_a_few_tables_are_counted_as_loops_count_them():
    assert sum(check(seed) for seed in range(12)) > 9


@pytest.mark.soak
def test_ten_thousand_tables_are_counted_as_loops_count_them():
    assert sum(check(seed) for seed in range(1000, 11_000)) > 9_000
