"""A table: a CSV with a label and a group column. Runs in seconds, needs no download."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

import evenhand as eh


def loans(number: int = 6_000, seed: int = 0) -> pd.DataFrame:
    """Made-up loans: one group's incomes are lower, and so are its chances."""
    rng = np.random.default_rng(seed)
    group = rng.choice(["east", "west"], number)
    income = rng.normal(30 + 8 * (group == "west"), 10, number)
    years = rng.integers(0, 20, number)
    home = rng.choice(["rent", "own", None], number, p=[0.5, 0.4, 0.1])
    chance = 1 / (1 + np.exp(-(income - 34) / 6 - (home == "own") * 0.5 - years / 20 + 0.5))
    repaid = np.where(rng.random(number) < chance, "yes", "no")
    return pd.DataFrame(
        {"income": income, "years": years, "home": home, "district": group, "repaid": repaid}
    )


def main(output: Path | None = None) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "loans.csv"
        loans().to_csv(path, index=False)
        task = eh.tasks.table(path, label="repaid", groups="district", positive="yes")
    result = eh.finetune(None, task, bound=eh.Bound("equalized_odds", 0.2))
    print(result.report)
    print(result.run.decided)
    if output is not None:
        print("written to", result.save(output))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
