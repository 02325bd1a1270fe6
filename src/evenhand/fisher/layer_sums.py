"""One linear layer's Fisher sums by group, from its inputs and its outputs' gradients.

Products are in float32 for layers of that precision or less, in float64 for others; what is summed
over batches is in float64.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from evenhand._base.arrays import Float64
from evenhand.errors import InputError
from evenhand.fisher.sums import Cell, GroupFisher, Kind, KroneckerSums
from evenhand.groups import UNKNOWN

SAFE = (1e-9, 1e9)
"""A layer's largest numbers between which float32 holds the squares of much smaller ones too."""


GRADIENTS = 4_000_000
"""Numbers of samples' own gradients that are made at a time."""


class Members:
    """Which samples of a batch are of which group."""

    def __init__(self, codes: Sequence[Any], labels: Tensor | None = None) -> None:
        self.size, self._codes, self._labels = len(codes), codes, labels
        self.counts = Counter(code for code in codes if not _is_unknown(code))
        where = {code: number for number, code in enumerate(self.counts)}
        self.index = torch.tensor([where.get(code, -1) for code in codes])

    @cached_property
    def cells(self) -> dict[Cell, list[int]]:
        """Each (group, label) and the positions of its samples."""
        labels = [] if self._labels is None else self._labels.tolist()
        found: dict[Cell, list[int]] = defaultdict(list)
        for place, (code, label) in enumerate(zip(self._codes, labels, strict=True)):
            found[None if _is_unknown(code) else str(code), label].append(place)
        return found

    @property
    def unknown(self) -> int:
        """Samples whose group is not known."""
        return self.size - self.counts.total()

    def each(self, device: torch.device) -> Iterator[tuple[Any, Tensor]]:
        """Each group and the positions of its samples."""
        for number, code in enumerate(self.counts):
            yield code, torch.nonzero(self.index == number).flatten().to(device)


class LayerSums:
    """One layer's sums, by group as they turn up, in float64."""

    def __init__(self, module: nn.Linear, diagonal: bool, kronecker: bool = False) -> None:
        self.shape = (module.in_features, module.out_features)
        self.diagonal, self.kronecker = diagonal, kronecker
        self.factors: dict[Cell, KroneckerSums] = {}
        self.rows: defaultdict[Any, Tensor] = defaultdict(lambda: _zeros(self.shape[:1]))
        self.full: defaultdict[Any, Tensor] = defaultdict(lambda: _zeros(self.shape))
        self.counts: Counter[Any] = Counter()
        self.unknown = 0

    def count(self, members: Members) -> None:
        """Count a batch's samples."""
        self.counts += members.counts
        self.unknown += members.unknown

    def add(self, x: Tensor, g: Tensor, members: Members, weight: Tensor) -> None:
        """Add a batch's weighted squares.

        Args:
            x: (B, in) inputs, or (B, ..., in): the sum over positions is inside the square.
            g: the gradients at the outputs, likewise with out.
            members: the groups of the B samples.
            weight: (B,) of each sample's square.

        Raises:
            InputError: a number is not finite.
        """  # noqa: DOC502
        x, g = (one.float() if one.dtype.itemsize < 4 else one for one in (x, g))
        (x, x_unit), (g, g_unit) = _scaled(x), _scaled(g)
        unit = (x_unit * g_unit) ** 2
        weight = weight.to(g.dtype)
        if self.kronecker:
            self._add_factors(x, g, members, weight, (x_unit, g_unit))
        flat = x.ndim == 2
        if flat:
            x, g = x * x, g * g
            norms = g.sum(dim=1) * weight
        else:
            x, g = x.flatten(1, -2), g.flatten(1, -2)
        for code, of in members.each(x.device):
            if flat:
                rows = norms[of] @ x[of]
                full = x[of].T @ (g[of] * weight[of, None]) if self.diagonal else None
            else:
                rows, full = _over_positions(x[of], g[of], weight[of], self.diagonal)
            self.rows[code] += unit * rows.cpu().double()
            if full is not None:
                self.full[code] += unit * full.cpu().double()

    def _add_factors(
        self, x: Tensor, g: Tensor, members: Members, weight: Tensor, units: tuple[float, float]
    ) -> None:
        """Add x xᵀ and g gᵀ of each cell; every position counts as a sample."""
        x_unit, g_unit = units
        for cell, places in members.cells.items():
            of = torch.tensor(places, device=x.device)
            inputs, slopes = x[of].flatten(0, -2), g[of].flatten(0, -2)
            shares = weight[of].repeat_interleave(len(inputs) // len(of))
            weighted = inputs * shares[:, None]
            sums = KroneckerSums(
                x_unit**2 * _array(weighted.T @ inputs),
                g_unit**2 * _array((slopes * shares[:, None]).T @ slopes),
                x_unit * _array(weighted.sum(dim=0)),
                _array(shares.sum()),
            )
            before = self.factors.get(cell)
            self.factors[cell] = sums if before is None else before + sums

    def finish(self, kind: Kind) -> GroupFisher:
        """The sums of all batches."""
        codes = sorted(self.counts, key=lambda code: (not isinstance(code, int), code))

        def stack(sums: Mapping[Any, Tensor], width: tuple[int, ...]) -> Float64:
            if not codes:
                return np.zeros((0, *width))
            return torch.stack([sums[code] for code in codes]).numpy()

        return GroupFisher(
            stack(self.rows, self.shape[:1]),
            np.array([self.counts[code] for code in codes], dtype=np.int64),
            tuple(str(code) for code in codes),
            self.unknown,
            kind,
            stack(self.full, self.shape) if self.diagonal else None,
            kronecker_cells=self.factors if self.kronecker else None,
        )


def _array(values: Tensor) -> Float64:
    found: Float64 = values.cpu().double().numpy()
    return found


def _zeros(shape: tuple[int, ...]) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def _scaled(values: Tensor) -> tuple[Tensor, float]:
    """The values, divided where their squares would leave float32, and by how much.

    Raises:
        InputError: a value is not finite.
    """
    largest = float(torch.linalg.vector_norm(values.detach(), torch.inf)) if len(values) else 0.0
    if not math.isfinite(largest):
        bad = int((~torch.isfinite(values)).flatten(1).any(dim=1).sum())
        raise InputError(
            f"{bad} of {len(values)} samples of a batch have NaN or infinity in a layer's input "
            "or gradient; remove or impute them"
        )
    if largest == 0 or SAFE[0] < largest < SAFE[1]:
        return values, 1.0
    unit = 2.0 ** math.frexp(largest)[1]
    return values / unit, unit


def _over_positions(
    x: Tensor, g: Tensor, weight: Tensor, diagonal: bool
) -> tuple[Tensor, Tensor | None]:
    """(in,) and (in, out) weighted sums of squares of the sums over positions of x_t g_tᵀ.

    Either the samples' gradients themselves are made, a few at a time, or, for the rows alone
    and where it is less work, the positions' inner products of gradients.
    """
    positions, d, k = x.shape[1], x.shape[2], g.shape[2]
    if not diagonal and positions * (d + k) < d * k:
        mixed = torch.bmm(torch.bmm(g, g.transpose(1, 2)), x)
        return weight @ mixed.mul_(x).sum(dim=1), None
    full = torch.zeros((d, k), dtype=x.dtype, device=x.device)
    for part in torch.arange(len(x), device=x.device).split(max(1, GRADIENTS // (d * k))):
        gradients = torch.bmm(x[part].transpose(1, 2), g[part])
        full += (weight[part] @ gradients.square_().flatten(1)).view(d, k)
    return full.sum(dim=1), full if diagonal else None


def _is_unknown(code: Any) -> bool:
    return code is None or code == UNKNOWN or code != code
