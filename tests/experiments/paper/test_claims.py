import numpy as np
import pandas as pd
import pytest

from evenhand.experiments.paper.claims import (
    BIAS_BACK,
    DIFFER,
    DIFFER_IN_SHAPE,
    FEWER,
    FEWER_THAN_HEAD,
    IMAGES_MORE,
    KEPT,
    OURS_PRINTED,
    OVER_SVD,
    OVER_TL,
    Measured,
    claims,
    own_claims,
)
from evenhand.experiments.paper.execute import COLUMNS
from evenhand.experiments.paper.sources import ADULT, FAIR
from evenhand.experiments.paper.verdicts import Verdict, overall
from evenhand.experiments.paper.write import by_claim
from evenhand.fisher.sums import GroupFisher


def rows(source, method, setting, *, error=15.7, eo=0.186, dp=0.186, trained=26, noise=0.0):
    """Ten seeds, which all share what is hard about a split."""
    made = []
    for seed in range(10):
        hard = 0.5 * np.sin(seed)
        wobble = noise * np.cos(3 * seed)
        values = (error + hard + 10 * wobble, eo + 0.02 * hard + wobble, dp + 0.02 * hard + wobble)
        row = [source, "adult", method, setting, seed, *values, 84.0, trained, ""]
        made.append(dict(zip(COLUMNS, row, strict=True)))
    return made


@pytest.fixture
def frame():
    """What METHOD measured: the method equals transfer learning, fair models do not stay fair."""
    made = rows(ADULT.key, "transfer", "dense", trained=22)
    made += rows(ADULT.key, "svd", "2")
    made += rows(ADULT.key, "neutralized-svd", "2", noise=1e-3)
    made += rows(ADULT.key, "adapter", "0.3", error=15.65, eo=0.097, dp=0.159, trained=103)
    for source in FAIR:
        made += rows(source.key, "pretrained", "as-is", eo=0.03, dp=0.03)
        made += rows(source.key, "transfer", "dense", noise=1e-3)
        made += rows(source.key, "neutralized-svd", "2", noise=1e-3)
        guard = f"guard-{source.criterion}"
        made += rows(source.key, guard, "guarded", eo=0.03, dp=0.03, noise=1e-4)
    return pd.DataFrame(made)


def verdicts(evidence):
    return {
        claim: overall([line for line in evidence if line.claim == claim])
        for claim in dict.fromkeys(line.claim for line in evidence)
    }


def test_the_claims_are_judged_as_the_numbers_stand(frame):
    sums = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.1]])
    fishers = {seed: GroupFisher(sums, np.array([1, 1]), ("F", "M")) for seed in range(3)}
    found = verdicts(claims(Measured(frame, fishers)))
    assert found[OVER_TL] is Verdict.EQUIVALENT
    assert found[OVER_SVD] is Verdict.EQUIVALENT
    assert found[KEPT] is Verdict.FAILS
    assert found[BIAS_BACK] is Verdict.REPRODUCES
    assert found[FEWER] is Verdict.REPRODUCES
    assert found[FEWER_THAN_HEAD] is Verdict.FAILS
    assert found[IMAGES_MORE] is Verdict.NOT_RUN
    assert found[DIFFER] is Verdict.REPRODUCES
    assert found[DIFFER_IN_SHAPE] is Verdict.EQUIVALENT


def test_evenhands_own_are_judged_by_the_same_rule(frame):
    found = verdicts(own_claims(Measured(frame)))
    assert set(found.values()) == {Verdict.REPRODUCES}
    worse = frame.copy()
    worse.loc[worse["method"] == "adapter", "error"] += 1
    assert verdicts(own_claims(Measured(worse)))[OURS_PRINTED] is Verdict.FAILS


def test_nothing_run_is_no_evidence():
    empty = pd.DataFrame(columns=list(COLUMNS))
    reasons = {"lfwa-resnet50": "no weights"}
    evidence = claims(Measured(empty, {}, reasons))
    assert {line.verdict for line in evidence} == {Verdict.NOT_RUN}
    said = {line.remark for line in evidence if "LFW+a, resnet50" in line.comparison}
    assert said == {"no weights"}
    table = by_claim(evidence)
    assert set(table["verdict"]) == {"not run"}
