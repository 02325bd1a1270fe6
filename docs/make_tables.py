"""Write the measured tables into README.md and docs/ from finished comparisons.

    evenhand compare adult --seeds 10 --bound equalized_odds=0.10 \
        --bound demographic_parity=0.12 --output runs/compare-adult
    python docs/make_tables.py runs/compare-adult [docs/results-NAME.md=FOLDER ...]

The first folder is Adult's, for the README and docs/results.md; each further one gets its page.
Two folders, NAME.md=FOLDER,PLAIN, show what reading several depths gains: PLAIN was compared with
``--depth 0`` on the same seeds.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pandas as pd
import yaml

from evenhand._base.markdown import markdown_table
from evenhand.experiments.compare.frontier import frontier
from evenhand.experiments.methods.registry import METHODS

ROOT = Path(__file__).resolve().parents[1]
LEVELS = (0.8, 0.65, 0.5)
OWN = ("gap-", "adapter-", "evenhand")
NOT_BLIND = "threshold-optimizer"
TITLES = {
    "results": "Adult",
    "results-celeba-resnet18": "CelebA's first 10,000 images, ResNet-18",
    "results-celeba-lite0": "CelebA's first 10,000 images, EfficientNet-Lite0",
    "results-lfwa-resnet18": "LFWA, ResNet-18",
    "results-tweets": "24,783 tweets (Davidson et al., 2017), MiniLM: abusive, given dialect",
    "results-occupation": "Adult's occupation, 13 classes",
}
README_ROWS = (
    ("pretrained", "as-is", "pre-trained model as it is"),
    ("transfer", "dense", "transfer learning (TL)"),
    ("transfer-tuned", "tuned", "TL, threshold tuned"),
    ("svd", "1", "f+SVD, rank 1"),
    ("neutralized-svd", "1", "the paper's method, rank 1"),
    ("random-svd", "1", "control: random row weights"),
    ("gap-eo", "1", "gap head, equalized odds, strength 1"),
    ("gap-eo", "bound:equalized_odds<=0.1", "**gap head, ΔEO ≤ .10 asked for**"),
    ("gap-dp", "bound:demographic_parity<=0.12", "**gap head, ΔDP ≤ .12 asked for**"),
    ("adapter-eo", "0.3", "**rank-1 adapter + head, strength .3**"),
    ("adapter-eo", "bound:equalized_odds<=0.1", "**adapter + head, ΔEO ≤ .10 asked for**"),
    ("evenhand", "cost<=0.5", "**evenhand's default: at most half a point**"),
    ("evenhand", "bound:equalized_odds<=0.1", "**evenhand, ΔEO ≤ .10 asked for**"),
    ("evenhand", "bound:demographic_parity<=0.12", "**evenhand, ΔDP ≤ .12 asked for**"),
    ("retrain-eo", "strength=0.1", "Retrain+EO .1, whole network"),
    ("fairret", "eo strength=0.06", "fairret .06, equalized odds"),
    ("oxonfair-inferred", "eo<=0.1", "OxonFair, groups inferred, ΔEO ≤ .10"),
    ("exponentiated-gradient", "eo eps=0.03", "ExponentiatedGradient .03 (randomised)"),
    ("reweighing", "power=1", "reweighing"),
    ("leace", "erased", "LEACE, then a head"),
    ("threshold-optimizer", "eo", "ThresholdOptimizer (needs the group at prediction)"),
)


def main(adult: Path, *others: str) -> None:
    results = read(adult)
    replace(ROOT / "README.md", "table", note(adult) + "\n\n" + table(results, README_ROWS))
    write_page(adult, path=ROOT / "docs" / "results.md")
    for other in others:
        page, _, folders = other.partition("=")
        write_page(*map(Path, folders.split(",")), path=ROOT / page)


def read(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "results.csv", dtype={"setting": str}, keep_default_na=False)


def command(config: dict) -> str:
    """The command that made a comparison, files by their names alone."""
    if config["task"] in ("table", "images", "text"):
        words, options = ["evenhand compare task.yaml"], ()
    else:
        words, options = ["evenhand compare", config["task"]], ("data", "model", "weights")
    for option in options:
        if config.get(option):
            words.append(f"--{option} {Path(config[option]).name}")
    if options and config.get("label"):
        words.append(f"--label {config['label']}")
    words += [f"--group {group}" for group in config.get("groups") or () if options]
    words.append(f"--seeds {len(config['seeds'])}")
    if set(config["methods"]) < set(METHODS):
        words.append(f"--methods {','.join(config['methods'])}")
    if config.get("all_deep"):
        words.append(f"--depth {config['depth']}")
    asked = [(c, value) for bound in config["bounds"] for c, value in bound.items()]
    words += [f"--bound {criterion}={value:g}" for criterion, value in asked]
    return " ".join(words)


def note(folder: Path) -> str:
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    machine = yaml.safe_load((folder / "result.json").read_text(encoding="utf-8"))["provenance"]
    trained = " and pre-training" if config["task"] == "adult" else ""
    return (
        f"Means ± standard deviation over {len(config['seeds'])} seeds, each with its own "
        f"split{trained}; {config['task']}, {machine['machine']}. Made by `{command(config)}`. "
        "Seconds are of a method's own fit: the ridge (in transfer learning's) and the "
        "cross-fitted path behind the rows with a bound are shared."
    )


def write_page(folder: Path, plain: Path | None = None, *, path: Path) -> None:
    results = read(folder)
    every = [(m, s, f"{m} {s}") for m, s in results[["method", "setting"]].drop_duplicates().values]
    text = (
        f"# Every method on {TITLES.get(path.stem, results['task'].iloc[0])}\n\n"
        f"{note(folder)} Error is 100 - weighted F1 in %, gaps as the paper's.\n\n"
        f"{table(results, every)}\n\n"
        "## Paired differences to transfer learning\n\n"
        "Means over seeds ± 95 % half-width; * significant after Holm's correction.\n\n"
        f"{paired(folder)}\n\n"
        f"{duel(folder)}"
        f"{deeper(folder, plain) if plain else ''}"
        "## Error at levels of the gap\n\n"
        "The error each method needs for a share of transfer learning's gap, interpolated along "
        "its frontier over all settings and levels.\n\n"
        f"{frontiers(folder)}\n"
    )
    path.write_text(text, encoding="utf-8")


def table(results: pd.DataFrame, rows: tuple | list) -> str:
    lines = []
    for method, setting, title in rows:
        part = results[(results["method"] == method) & (results["setting"] == setting)]
        if part.empty:
            continue
        cells = [
            f"{part['error'].mean():.2f}±{part['error'].std():.2f}",
            f"{part['delta_eo'].mean():.3f}±{part['delta_eo'].std():.3f}",
            f"{part['delta_dp'].mean():.3f}±{part['delta_dp'].std():.3f}",
            f"{part['accuracy'].mean():.2f}",
            f"{part['trainable_parameters'].mean():.0f}",
            f"{part['seconds'].mean():.2f}",
        ]
        lines.append((title, *cells))
    heads = ("method", "Err %", "ΔEO", "ΔDP", "accuracy %", "trained", "s")
    return markdown_table(heads, lines)


def paired(folder: Path) -> str:
    frame = pd.read_csv(folder / "paired.csv", dtype={"setting": str}, keep_default_na=False)
    frame = frame[~frame["setting"].str.startswith("level:")]
    metrics = ["error", "delta_eo", "delta_dp"]
    lines = []
    for (method, setting), part in frame.groupby(["method", "setting"], sort=False):
        cells = []
        for metric in metrics:
            one = part[part["metric"] == metric].iloc[0]
            star = "*" if str(one["significant"]) == "True" else ""
            cells.append(f"{float(one['difference']):+.3f}±{float(one['half_width']):.3f}{star}")
        lines.append((method, setting, *cells))
    return markdown_table(("method", "setting", *(f"d {m}" for m in metrics)), lines)


def duel(folder: Path) -> str:
    """evenhand's best against the best peer that needs no group at prediction."""
    frame = pd.read_csv(folder / "frontier.csv").dropna(subset=["error"])
    frame = frame[frame["level"].isin(LEVELS) & (frame["method"] != NOT_BLIND)]
    rows = []
    for (criterion, metric, level), part in frame.groupby(
        ["criterion", "error_metric", "level"], sort=False
    ):
        own = part["method"].str.startswith(OWN)
        if own.all() or not own.any():
            continue
        ours, peer = (some.loc[some["error"].idxmin()] for some in (part[own], part[~own]))
        both = (f"{ours['method']} {ours['error']:.2f}", f"{peer['method']} {peer['error']:.2f}")
        apart = f"{ours['error'] - peer['error']:+.2f}"
        rows.append((criterion, metric, f"{level:.0%}", *both, apart))
    if not rows:
        return ""
    return (
        "## evenhand against the best peer\n\n"
        "At a share of transfer learning's gap, the lowest mean error of evenhand's methods and of "
        "the peers that need no group at prediction. Each side's best is picked by these same "
        "figures. A positive difference: the peer is ahead.\n\n"
        + markdown_table(
            ("gap", "error", "share", "evenhand's best", "best peer", "difference"), rows
        )
        + "\n\n"
    )


def deeper(folder: Path, plain: Path) -> str:
    """What evenhand gains from reading several depths, against the plain head's own path."""
    before, after = read(plain), read(folder)
    same = before["seed"].isin(after["seed"])
    parts = [
        before[same & before["method"].isin(("transfer", "gap-eo"))],
        after[after["method"] == "evenhand"],
    ]
    frame = pd.concat(parts).assign(task=before["task"].iloc[0])
    rows = []
    for error in ("error", "accuracy_error"):
        found = frontier(frame, "equalized_odds", error).set_index(["method", "level"])
        for level in LEVELS:
            head, ours = (found.loc[(method, level)] for method in ("gap-eo", "evenhand"))
            cells = (f"{o['error']:.2f} [{o['low']:.2f}, {o['high']:.2f}]" for o in (head, ours))
            apart = f"{ours['error'] - head['error']:+.2f}"
            rows.append((error, f"{level:.0%}", f"{head['gap']:.3f}", *cells, apart))
    config = yaml.safe_load((plain / "config.yaml").read_text(encoding="utf-8"))
    return (
        "## What reading several depths gains\n\n"
        "At a share of the ΔEO of transfer learning on the head's own input, the error of the path "
        f"of heads on that input (`{command(config)} --depth 0`, method gap-eo) and of what "
        "evenhand ships by the rules above, interpolated along its frontier, with 95 % intervals "
        "over seeds.\n\n"
        + markdown_table(
            ("error", "share", "ΔEO", "plain head, %", "evenhand, %", "difference"), rows
        )
        + "\n\n"
    )


def frontiers(folder: Path) -> str:
    frame = pd.read_csv(folder / "frontier.csv")
    lines = []
    for (criterion, metric), part in frame.groupby(["criterion", "error_metric"], sort=False):
        wide = part.pivot(index="method", columns="level", values="error")
        wide = wide[sorted(wide.columns, reverse=True)].sort_values(wide.columns.min())
        rows = [
            (method, *("n/a" if pd.isna(value) else f"{value:.2f}" for value in row))
            for method, row in wide.iterrows()
        ]
        heads = ("method", *(f"{level:.0%}" for level in wide.columns))
        lines += [f"### {criterion}, {metric}", "", markdown_table(heads, rows), ""]
    return "\n".join(lines)


def replace(path: Path, mark: str, text: str) -> None:
    whole = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {mark}:begin -->\n).*?(<!-- {mark}:end -->)", re.DOTALL)
    if not pattern.search(whole):
        raise SystemExit(f"{path} has no <!-- {mark}:begin --> … <!-- {mark}:end -->")
    path.write_text(
        pattern.sub(lambda found: f"{found[1]}{text}\n{found[2]}", whole), encoding="utf-8"
    )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), *sys.argv[2:])
