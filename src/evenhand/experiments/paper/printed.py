"""What the paper prints: its tables, and its figures as read off their bars.

Y. Zhang, F. Zhou, "Bias Mitigation in Fine-tuning Pre-trained Models for Enhanced Fairness and
Efficiency", arXiv 2403.00625 (2024). Errors are 100 - weighted F1 in %, gaps in [0, 2].
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """A printed mean with its standard deviation over ten runs.

    Attributes:
        mean: the number.
        std: None where none is printed.
        read_off: it was read off a figure's bar, so its last digit is a guess.
    """

    mean: float
    std: float | None = None
    read_off: bool = False


@dataclass(frozen=True)
class Printed:
    """One printed row; None where a metric is not printed."""

    error: Value | None = None
    delta_eo: Value | None = None
    delta_dp: Value | None = None

    def get(self, metric: str) -> Value | None:
        """The value of ``error``, ``delta_eo`` or ``delta_dp``."""
        value: Value | None = getattr(self, metric)
        return value


def _row(error: tuple[float, float], eo: tuple[float, float], dp: tuple[float, float]) -> Printed:
    return Printed(Value(*error), Value(*eo), Value(*dp))


def _bar(error: float, dp: float, eo: float) -> Printed:
    return Printed(Value(error, read_off=True), Value(eo, read_off=True), Value(dp, read_off=True))


NOTHING = Printed()


PRETRAINED = Printed(Value(16.165), Value(0.223), Value(0.192))


METHOD = _row((15.829, 0.340), (0.197, 0.011), (0.180, 0.022))


RETRAIN = {
    ("eo", 0.1): _row((16.763, 0.223), (0.214, 0.027), (0.196, 0.027)),
    ("eo", 0.5): _row((17.440, 0.676), (0.150, 0.040), (0.183, 0.011)),
    ("eo", 0.9): _row((18.810, 0.588), (0.147, 0.031), (0.184, 0.032)),
    ("dp", 0.1): _row((16.752, 0.263), (0.206, 0.035), (0.174, 0.026)),
    ("dp", 0.5): _row((17.659, 0.375), (0.201, 0.024), (0.168, 0.023)),
    ("dp", 0.9): _row((18.472, 0.228), (0.204, 0.023), (0.143, 0.021)),
}
"""Table 3: Retrain+EO and Retrain+DP by strength."""


DEPTH = {
    2: METHOD,
    3: _row((16.678, 0.681), (0.185, 0.023), (0.162, 0.027)),
    4: _row((16.237, 0.456), (0.173, 0.029), (0.170, 0.022)),
    5: _row((16.166, 0.337), (0.179, 0.012), (0.166, 0.014)),
}
"""Table 4: the method on MLPs of 2 to 5 layers."""


IMAGES = {
    ("lfwa", "resnet50"): _row((10.634, 0.241), (0.218, 0.081), (0.080, 0.032)),
    ("lfwa", "densenet121"): _row((9.775, 0.131), (0.232, 0.054), (0.073, 0.009)),
    ("celeba", "resnet50"): _row((17.582, 0.226), (0.243, 0.061), (0.182, 0.005)),
    ("celeba", "densenet121"): _row((18.438, 0.174), (0.201, 0.028), (0.169, 0.009)),
}
"""Table 4: the method on other image models."""


FIGURE4 = {
    ("adult", "transfer"): _bar(16.5, 0.20, 0.24),
    ("adult", "neutralized-svd"): METHOD,
    ("lfwa", "transfer"): _bar(15, 0.17, 0.29),
    ("lfwa", "svd"): _bar(16.5, 0.14, 0.28),
    ("lfwa", "neutralized-svd"): _bar(11.7, 0.08, 0.25),
    ("celeba", "transfer"): _bar(19.3, 0.25, 0.34),
    ("celeba", "svd"): _bar(20, 0.235, 0.32),
    ("celeba", "neutralized-svd"): _bar(17.7, 0.18, 0.23),
}
"""Fig. 4, read off; the image bars are ResNet-18's."""


FAIR = {
    ("eo", 0.1): (Value(16.835), Value(0.068), Value(16.676, 0.313), Value(0.206, 0.024)),
    ("eo", 0.5): (Value(17.469), Value(0.012), Value(17.168, 0.941), Value(0.183, 0.037)),
    ("eo", 0.9): (Value(18.744), Value(0.008), Value(17.343, 0.973), Value(0.186, 0.017)),
    ("dp", 0.1): (Value(17.332), Value(0.125), Value(17.479, 0.068), Value(0.171, 0.009)),
    ("dp", 0.5): (Value(17.489), Value(0.047), Value(17.773, 0.034), Value(0.173, 0.023)),
    ("dp", 0.9): (Value(20.160), Value(0.031), Value(17.071, 0.036), Value(0.172, 0.018)),
}
"""Table 2: (pre-trained Err, bias, Err after fine-tuning, bias after) by constraint and strength;
the bias is the constrained gap."""


NETWORK_PARAMETERS, TRAINED_PARAMETERS = 742, 46
"""Section 4: the MLP's parameters, and the method's: 93.8 % fewer."""
