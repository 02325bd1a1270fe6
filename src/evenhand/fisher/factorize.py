"""A weight matrix as a product of two thin ones, chosen by a weighted SVD (Eq. 4)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from evenhand._base.arrays import Float64
from evenhand.errors import InputError
from evenhand.fisher.head_fisher import head_fisher
from evenhand.fisher.sums import KroneckerSums
from evenhand.head import Head
from evenhand.rows import Rows

RANDOMISED_SIZE = 1 << 22
RANDOMISED_SHARE = 8
RANDOMISED_TOLERANCE = 1e-3


class NoSavingWarning(UserWarning):
    """A rank at which the two factors train no fewer parameters than the dense layer."""


@dataclass(frozen=True, eq=False)
class Factors:
    """W ≈ down @ up, with the bias that goes with it.

    Attributes:
        down: (d, r) A, the layer next to the features.
        up: (r, k) B, the layer next to the logits.
        bias: (k,) b.
        kept: the share of the weighted energy (sum of squared singular values) the rank keeps.

    Example:
        >>> head = eh.heads.Head(np.diag([3.0, 1.0, 0.0, 0.0]), np.zeros(4))
        >>> factors = eh.factorize(head, rank=1)
        >>> factors.rank, factors.head.trainable_parameters  # 1 (4 + 4) + 4
        (1, 12)
    """

    down: Float64
    up: Float64
    bias: Float64
    kept: float

    @property
    def rank(self) -> int:
        """The inner width, r."""
        return int(self.down.shape[1])

    @property
    def head(self) -> Head:
        """The factors as a low-rank head."""
        return Head(self.down @ self.up, self.bias, (self.down, self.up))


def factorize(
    head: Head,
    importance: npt.ArrayLike | None = None,
    *,
    rank: int | float | None = None,
    centre: bool = False,
    mean: npt.ArrayLike | None = None,
    kronecker: KroneckerSums | None = None,
    seed: int = 0,
) -> Factors:
    """Factorise a head's weight at a low rank, keeping what matters by the weights given.

    ``diag(I) W = U S Vᵀ``, ``A = diag(I)^-1 U_r S_r``, ``B = V_rᵀ`` (Eq. 4 of the paper), where A
    is computed as the same ``W V_r``: no division, so weights of any size lose nothing. With only
    ``importance`` this is the paper's to the letter. For a compression that keeps more, centre,
    refit and weigh by the Kronecker-factored Fisher: :func:`compress` does all three.

    Args:
        head: W (d, k) and b (k,).
        importance: (d,) positive row weights I_N; None is the plain SVD.
        rank: an int r; a float in (0, 1), the share of weighted energy to keep at least; None is
            k - 1 (which, centred, is exact).
        centre: subtract from each row of W its mean over the classes first. A softmax ignores such
            a common column, so the probabilities stay and the rank needed falls by one.
        mean: (d,) E[x]; given, the bias is refitted, b' = b + E[x] (W - A B).
        kronecker: weigh by C^1/2 W G^1/2 instead of by rows.
        seed: of the randomised SVD, used for large matrices at a small rank.

    Raises:
        InputError: a rank outside [1, min(d, k)], or weights, a mean or factors of another shape,
            not positive or not finite.

    Warns:
        NoSavingWarning: r (d + k) >= d k.

    Example:
        >>> head = eh.heads.Head(np.diag([3.0, 1.0, 0.0, 0.0]), np.zeros(4))
        >>> factors = eh.factorize(head, rank=1)
        >>> factors.down.shape, factors.up.shape, round(factors.kept, 2)
        ((4, 1), (1, 4), 0.9)
    """
    asked = rank_of(rank, head)
    weight = np.asarray(head.weight, dtype=np.float64)
    centre_of_features = None if mean is None else _feature_mean(mean, head)
    target = weight - weight.mean(axis=1, keepdims=True) if centre else weight
    if kronecker is not None:
        if importance is not None:
            raise InputError("weigh by rows (importance) or by Kronecker factors, not by both")
        _require_factors(kronecker, head)
        left, _ = _roots(kronecker.input_factor)
        right, right_inverse = _roots(kronecker.output_factor)
        weighted = left @ target @ right
    else:
        weighted = _row_weights(importance, head)[:, None] * target
    scale = max(weighted.max(), -weighted.min())
    if scale > 0:
        weighted /= scale
    s, vt = _svd(weighted, asked, seed)
    r = asked or _rank_that_keeps(cast(float, rank), s)
    inner, up = vt[:r].T, vt[:r]
    if kronecker is not None:
        inner, up = right @ inner, up @ right_inverse
    down = target @ inner
    if r * (head.in_features + head.out_features) >= head.weight.size:
        warnings.warn(
            f"rank {r} of a {head.in_features} × {head.out_features} weight trains "
            f"{r * (head.in_features + head.out_features)} parameters, the dense one "
            f"{head.weight.size}: nothing is saved",
            NoSavingWarning,
            stacklevel=2,
        )
    bias = np.asarray(head.bias, dtype=np.float64)
    if centre_of_features is not None:
        bias = bias + centre_of_features @ (target - down @ up)
    energy = float(np.vdot(weighted, weighted))
    return Factors(down, up, bias, min(1.0, float((s[:r] ** 2).sum()) / energy) if energy else 1.0)


def compress(head: Head, statistics: KroneckerSums, *, rank: int | float | None = None) -> Factors:
    """The compression that keeps the most: centred, bias refitted, Kronecker-weighted.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> groups = eh.Groups(np.zeros(200, int), ("all",))
        >>> labels = rng.integers(0, 5, 200)
        >>> rows = eh.heads.Rows(rng.normal(size=(200, 6)), labels, groups, tuple("abcde"))
        >>> head = eh.heads.Head(rng.normal(size=(6, 5)), np.zeros(5))
        >>> statistics = eh.head_fisher(rows, head, kronecker=True).kronecker
        >>> eh.fisher.compress(head, statistics, rank=2).rank
        2
    """
    _require_factors(statistics, head)
    return factorize(head, rank=rank, centre=True, mean=statistics.mean, kronecker=statistics)


def _feature_mean(mean: npt.ArrayLike, head: Head) -> Float64:
    found = np.asarray(mean, dtype=np.float64)
    if found.shape != (head.in_features,) or not np.isfinite(found).all():
        raise InputError(
            f"the features' mean must be finite and of shape ({head.in_features},), found shape "
            f"{found.shape} with {int((~np.isfinite(found)).sum())} that are not finite"
        )
    return found


def _require_factors(kronecker: KroneckerSums, head: Head) -> None:
    if not kronecker.samples > 0:
        raise InputError("the Kronecker factors are sums over 0 samples; collect them on rows")
    found = kronecker.inputs.shape, kronecker.outputs.shape
    d, k = head.weight.shape
    if found != ((d, d), (k, k)):
        raise InputError(
            f"Kronecker factors of shapes {found[0]} and {found[1]} do not fit a weight of shape "
            f"{(d, k)}: collect them with this head"
        )
    if not (np.isfinite(kronecker.inputs).all() and np.isfinite(kronecker.outputs).all()):
        raise InputError("the Kronecker factors hold NaN or infinity; check the features")


def _row_weights(importance: npt.ArrayLike | None, head: Head) -> Float64:
    if importance is None:
        return np.ones(head.in_features)
    weights = np.asarray(importance, dtype=np.float64)
    if weights.shape != (head.in_features,):
        raise InputError(
            f"row weights must have shape ({head.in_features},) for a weight of shape "
            f"{head.weight.shape}, found {weights.shape}"
        )
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise InputError("row weights must be positive and finite; neutralize() gives such weights")
    return weights / weights.max()


def rank_of(rank: int | float | None, head: Head) -> int | None:
    """The rank that ``rank`` asks for; None for a share of the energy, known after the SVD only.

    Raises:
        InputError: outside [1, min(d, k)], or a share outside (0, 1).
    """
    highest = min(head.weight.shape)
    if not highest:
        raise InputError(f"a weight of shape {head.weight.shape} has nothing to factorise")
    if rank is None:
        return max(1, min(highest, head.out_features - 1))
    if isinstance(rank, float):
        if not 0 < rank < 1:
            raise InputError(
                f"a float rank is the share of weighted energy to keep, in (0, 1), found {rank}; "
                "give an int for a rank"
            )
        return None
    if not 1 <= rank <= highest:
        raise InputError(
            f"rank must lie in [1, {highest}] for a weight of shape {head.weight.shape}, "
            f"found {rank}"
        )
    return int(rank)


def _rank_that_keeps(share: float, singular: Float64) -> int:
    energy = np.cumsum(singular**2)
    return int(np.searchsorted(energy, share * energy[-1] * (1 - 1e-12)) + 1)


def _svd(matrix: Float64, rank: int | None, seed: int) -> tuple[Float64, Float64]:
    """S, Vᵀ; randomised where it pays, and then only if a further iteration changes nothing."""
    large = matrix.size >= RANDOMISED_SIZE
    if large and rank is not None and rank * RANDOMISED_SHARE <= min(matrix.shape):
        from sklearn.utils.extmath import randomized_svd

        for iterations in (4, 8, 16):
            u, s, vt = randomized_svd(
                matrix, rank, n_oversamples=max(10, rank), n_iter=iterations, random_state=seed
            )
            # Aᵀu = vs holds by construction; that Av = us shows the subspace has settled.
            residual = matrix @ vt.T - u * s
            if np.linalg.norm(residual) <= RANDOMISED_TOLERANCE * np.linalg.norm(s):
                return s, vt
    _, s, vt = np.linalg.svd(matrix, full_matrices=False)
    return s, vt


def _roots(matrix: Float64) -> tuple[Float64, Float64]:
    """The square root of a positive semi-definite matrix, and its pseudo-inverse."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > values[-1] * 1e-12
    roots = np.sqrt(np.where(kept, values, 0))
    inverse = np.divide(1, roots, out=np.zeros_like(roots), where=kept)
    return (vectors * roots) @ vectors.T, (vectors * inverse) @ vectors.T


def compressed_head(rows: Rows, head: Head, rank: int) -> Head:
    """``head`` at a low rank: centred, Kronecker-weighted on ``rows``, its bias refitted.

    Raises:
        InputError: the Kronecker factors could not be collected.
    """
    statistics = head_fisher(rows, head, kronecker=True).kronecker
    if statistics is None:
        raise InputError("the Kronecker factors were not collected")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoSavingWarning)
        return compress(head, statistics, rank=rank).head
