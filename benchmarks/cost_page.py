"""The measured part of docs/explanation/cost.md, as text."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.cost_extraction import Extraction
from benchmarks.cost_measured import Measured
from benchmarks.machine import describe
from evenhand._base.markdown import markdown_table

FACES, PHOTOS, WIDTH = 202_599, 1_281_167, 512
PHOTO_BYTES = 110_000
"""Assumed: of a photo of ImageNet, in the mean."""
GPU_FLOPS, DECODERS = 20e12, 8
"""Assumed: what one GPU reaches on convolutions in half precision, and cores that read images."""
ROWS, MACHINES, DISK, NETWORK, LATENCY = 10**8, 8, 2e9, 1.25e9, 1e-3
"""Assumed: bytes a second from each machine's disk and network, seconds of an all-reduce."""
PASSES = 25
"""Assumed: passes of a path from disk. The features drawn here take fewer."""
HEADS = 18
"""Heads a pass evaluates at once: the strengths of the default path."""


def page(measured: Measured) -> str:
    return "\n\n".join([_rates(measured), _steps(measured), *_predictions(measured)]) + "\n"


def put(path: Path, text: str) -> None:
    """Between the marks of the page, where there is one."""
    if not path.exists():
        return
    whole = path.read_text(encoding="utf-8")
    pattern = re.compile(r"(<!-- cost:begin -->\n).*?(<!-- cost:end -->)", re.DOTALL)
    if not pattern.search(whole):
        raise SystemExit(f"{path} has no <!-- cost:begin --> … <!-- cost:end -->")
    path.write_text(pattern.sub(lambda found: f"{found[1]}{text}{found[2]}", whole), "utf-8")


def _rates(measured: Measured) -> str:
    model = measured.model
    fitted = (
        f"{model.bytes_per_second / 1e9:.3g} GB/s, {model.flops_per_second / 1e9:.3g} GFLOP/s and "
        f"{1e3 * model.seconds_per_call:.2g} ms a call"
    )
    plain = f"{model.read / 1e9:.3g} GB/s and {model.product / 1e9:.3g} GFLOP/s"
    return (
        f"{describe()}\n\nFitted to all steps below at once: {fitted}. The best of a plain read "
        f"and of a plain float32 product: {plain}."
    )


def _steps(measured: Measured) -> str:
    rows: list[tuple[str, ...]] = []
    for step in measured.steps:
        predicted = measured.model.seconds(step)
        gb, gflop = f"{step.bytes / 1e9:.3g}", f"{step.flops / 1e9:.3g}"
        took = (f"{predicted:.3g}", f"{step.seconds:.3g}", f"{step.seconds / predicted:.2f}")
        rows.append((step.name, str(step.size), gb, gflop, str(step.calls), *took))
    found = measured.extraction
    if found is not None:
        speed = f"extraction, at {found.flops_per_second / 1e9:.3g} GFLOP/s"
        ratio = f"{found.seconds / found.predicted:.2f}"
        took = (f"{found.predicted:.3g}", f"{found.seconds:.3g}", ratio)
        rows.append((speed, found.what, "", "", "", *took))
    heads = "step, size, GB, GFLOP, calls, predicted s, measured s, measured / predicted"
    return markdown_table(heads.split(", "), rows)


def _predictions(measured: Measured) -> list[str]:
    found = measured.extraction
    if found is None:
        return ["Without torchvision nothing was measured of images, so nothing is predicted."]
    faces = _one_gpu(measured, found, FACES, found.decode_seconds, "path of 10 strengths", 10)
    photos = [
        (
            "finding the samples",
            f"{1e3 * found.listing_seconds:.2g} ms each (measured), headers and classes of shards",
            PHOTOS * found.listing_seconds,
        ),
        *_one_gpu(
            measured, found, PHOTOS, found.photo_seconds, f"path of {HEADS} strengths", HEADS
        ),
    ]
    here = PHOTOS * max(found.photo_seconds / 2, found.flops_at_224 / found.flops_per_second)
    share = ROWS / MACHINES
    stored = share * WIDTH * 2
    flops = measured.model.flops_per_second
    sums = HEADS * (WIDTH + 1) * 8
    many = [
        (
            "reading the images",
            f"{share:.3g} a machine, {1e3 * found.decode_seconds:.2g} ms each (measured), "
            f"{DECODERS} cores each (assumed)",
            share * found.decode_seconds / DECODERS,
        ),
        (
            "the backbone",
            f"one GPU a machine at {GPU_FLOPS / 1e12:.0f} TFLOP/s (assumed)",
            share * found.flops_at_224 / GPU_FLOPS,
        ),
        (
            "group Fisher",
            f"{stored / 1e9:.3g} GB of float16 features a machine, read once from disk at "
            f"{DISK / 1e9:g} GB/s (assumed)",
            stored / DISK,
        ),
        (
            f"path of {HEADS} strengths",
            f"{PASSES} passes from disk, as many evaluations of every head (assumed)",
            PASSES * (stored / DISK + HEADS * share * WIDTH * 4 / flops),
        ),
        (
            "sums between machines",
            f"{PASSES} of {sums / 1e3:.0f} kB at {NETWORK / 1e9:g} GB/s and "
            f"{1e3 * LATENCY:g} ms (assumed)",
            PASSES * (LATENCY + 2 * sums / NETWORK),
        ),
    ]
    return [
        f"### CelebA, {FACES:,} images at 224 pixels, ResNet-18, one GPU\n\n{_table(faces)}\n\n"
        "Reading and the backbone overlap: extraction takes the longer of the two. A second run "
        "skips both.",
        f"### ImageNet, {PHOTOS:,} photos at 224 pixels, ResNet-18, one GPU\n\n"
        f"{_table(photos)}\n\n{_a_row(found)} On two cores like these, without a GPU, extraction "
        f"takes {_time(here)} (predicted: the longer of reading on both and the backbone).",
        f"### {ROWS:,} rows on {MACHINES} machines, ResNet-18 at 224 pixels\n\n{_table(many)}\n\n"
        f"The features take {stored / 1e9:.3g} GB a machine; all strengths share a pass.",
    ]


def _one_gpu(
    measured: Measured, found: Extraction, images: int, reading: float, path: str, strengths: int
) -> list[tuple[str, str, float]]:
    """What is predicted of the steps of a run on one machine with a GPU."""
    read, flops = measured.model.bytes_per_second, measured.model.flops_per_second
    features = images * WIDTH * 4
    return [
        (
            "reading the images",
            f"{1e3 * reading:.2g} ms each (measured), {DECODERS} cores (assumed)",
            images * reading / DECODERS,
        ),
        (
            "the backbone",
            f"{found.flops_at_224 / 1e9:.2f} GFLOP each (counted), {GPU_FLOPS / 1e12:.0f} TFLOP/s "
            "(assumed)",
            images * found.flops_at_224 / GPU_FLOPS,
        ),
        (
            "group Fisher",
            f"{features / 1e9:.3g} GB of features read once, at the fitted rate of this machine's "
            "processor",
            features / read,
        ),
        (
            path,
            f"{PASSES} passes, as many evaluations of every head (assumed; drawn features took "
            f"{measured.path_passes} and {measured.path_evaluations} in all)",
            PASSES * (features / read + strengths * images * WIDTH * 4 / flops),
        ),
    ]


def _a_row(found: Extraction) -> str:
    """What one photo costs on its way to a head."""
    return (
        f"A row: {PHOTO_BYTES // 1000} kB from disk (assumed), {1e3 * found.photo_seconds:.2g} ms "
        f"of a core to decode and cut (measured), {found.flops_at_224 / 1e9:.2f} GFLOP (counted), "
        f"{4 * WIDTH / 1000:.1f} kB of features to keep; a [stream](../how-to/bring.md"
        f"#more-than-memory-holds) of all rows lays {PHOTOS * PHOTO_BYTES / 1e9:.0f} GB down."
    )


def _table(rows: list[tuple[str, str, float]]) -> str:
    return markdown_table(
        ("step", "how", "predicted"), ((what, how, _time(s)) for what, how, s in rows)
    )


def _time(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{1e3 * seconds:.3g} ms"
