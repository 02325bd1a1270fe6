"""The kinds of weights that rows may have, by name: a flag knows them before numpy is there."""

from __future__ import annotations

from typing import Literal, get_args

WeightKind = Literal["survey", "frequency"]
KINDS: tuple[WeightKind, ...] = get_args(WeightKind)
