"""Arrays only: fit a path of heads, judge them, choose one and say what it promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evenhand._base.lazy import lazy_names

if TYPE_CHECKING:
    from evenhand._base.distributed import together
    from evenhand.head import Head
    from evenhand.heads.fit import fit_path
    from evenhand.heads.gaps import gap_terms
    from evenhand.heads.selection.candidates import CandidateGrid, Candidates
    from evenhand.heads.selection.crossfit import crossfit
    from evenhand.heads.selection.fair_head import FairHead, choose_head, fit_fair_head
    from evenhand.heads.selection.menu import head_families
    from evenhand.heads.selection.ridge import choose_ridge
    from evenhand.heads.selection.select import select
    from evenhand.heads.spec import FitControl, HeadSpec
    from evenhand.rows import Rows

_HOMES = {
    "Rows": "evenhand.rows",
    "Head": "evenhand.head",
    "together": "evenhand._base.distributed",
    "HeadSpec": "evenhand.heads.spec",
    "FitControl": "evenhand.heads.spec",
    "CandidateGrid": "evenhand.heads.selection.candidates",
    "gap_terms": "evenhand.heads.gaps",
    "fit_path": "evenhand.heads.fit",
    "choose_ridge": "evenhand.heads.selection.ridge",
    "crossfit": "evenhand.heads.selection.crossfit",
    "select": "evenhand.heads.selection.select",
    "fit_fair_head": "evenhand.heads.selection.fair_head",
    "FairHead": "evenhand.heads.selection.fair_head",
    "Candidates": "evenhand.heads.selection.candidates",
    "choose_head": "evenhand.heads.selection.fair_head",
    "head_families": "evenhand.heads.selection.menu",
}

__all__ = [
    "CandidateGrid",
    "Candidates",
    "FairHead",
    "FitControl",
    "Head",
    "HeadSpec",
    "Rows",
    "choose_head",
    "choose_ridge",
    "crossfit",
    "fit_fair_head",
    "fit_path",
    "gap_terms",
    "head_families",
    "select",
    "together",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(__name__, _HOMES)
