"""Write how large the dependencies are on disk into docs/how-to/install.md.

    pip install '.[test,docs]' wandb ray && python docs/measure_sizes.py

Sizes are those of the files that each installed distribution records, of everything that the
package or an extra brings and that nothing before it in the table has brought.
"""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from evenhand._base.markdown import markdown_table

PAGE = Path(__file__).parent / "how-to" / "install.md"
BEGIN, END = "<!-- sizes:begin -->", "<!-- sizes:end -->"
EXTRAS = {
    "vision": "torchvision",
    "timm": "timm (with torchvision)",
    "text": "transformers, tokenizers",
    "trainer": "accelerate (with transformers)",
    "peft": "PEFT (with transformers)",
    "datasets": "Hugging Face's datasets",
    "export": "ONNX, onnxruntime, onnxscript, skops",
    "mlflow": "mlflow-skinny",
    "wandb": "Weights & Biases",
    "tensorboard": "TensorBoard",
    "excel": "openpyxl",
    "postgres": "ibis with PostgreSQL's driver",
    "dask": "Dask's distributed",
    "ray": "Ray",
    "baselines": "fairlearn, OxonFair, fairret, concept-erasure, for comparisons",
}
OF_TORCH = ("nvidia-", "triton", "cuda-")


def brought(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """A distribution and all that it needs, by canonical names."""
    found: set[str] = set()
    waiting = [(canonicalize_name(name), extras)]
    seen = set()
    while waiting:
        one, wanted = waiting.pop()
        if (one, wanted) in seen:
            continue
        seen.add((one, wanted))
        found.add(one)
        for text in distribution(one).requires or []:
            need = Requirement(text)
            marker = need.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in wanted or {""}):
                waiting.append((canonicalize_name(need.name), frozenset(need.extras)))
    return found


def megabytes(names: set[str]) -> str:
    """What the files of distributions take, to two digits."""
    total = 0
    for name in names:
        for path in distribution(name).files or []:
            file = Path(str(path.locate()))
            total += file.stat().st_size if file.is_file() else 0
    size = total / 1e6
    return f"{float(f'{size:.2g}'):,.0f}" if size >= 1 else "< 1"


def tables() -> str:
    """The two tables: the core's, and what each extra adds to it."""
    core = brought("evenhand") - {"evenhand"}
    cuda = {name for name in core if name.startswith(OF_TORCH)}
    torch = brought("torch") - cuda
    rest = core - cuda - torch
    everything = "everything that fits or runs a model"
    gpus = "GPUs; pip brings them on Linux whether there is a GPU or not"
    others = "pyarrow, duckdb, scipy, pandas, scikit-learn, numpy, matplotlib and others"
    base = [
        ("torch", megabytes(torch), everything),
        ("its CUDA libraries, triton", megabytes(cuda), gpus),
        (others, megabytes(rest), "reading, counting, fitting, drawing, the model card"),
    ]
    more = []
    for extra, brings in EXTRAS.items():
        try:
            added = brought("evenhand", frozenset({extra})) - core - {"evenhand"}
            size = megabytes(added)
        except PackageNotFoundError as missing:
            print(f"{extra}: {missing.name} is not installed, so it is not measured")
            size = "not measured"
        more.append((f"`{extra}`", size, brings))
    place = f"{platform.machine()} {platform.system()}, Python {platform.python_version()}"
    version = distribution("torch").version
    return (
        f"Sizes on disk by `python docs/measure_sizes.py` ({place}, torch {version}); an extra's "
        "is what it adds to the core:\n\n"
        f"{markdown_table(('what', 'MB', 'for'), base)}\n\n"
        f"{markdown_table(('extra', 'MB', 'brings'), more)}"
    )


def main() -> None:
    """Write them between the page's marks."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
