"""What a run was measured on, without naming the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

PACKAGES = (
    "evenhand",
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "fairlearn",
    "oxonfair",
    "fairret",
    "transformers",
    "opacus",
    "backpack-for-pytorch",
)


def describe() -> str:
    """Processor, cores, threads, memory, a GPU and versions, in two sentences."""
    blas = next((each for each in threadpool_info() if each["user_api"] == "blas"), {})
    versions = ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name)))
    return (
        f"Measured on {_processor()}, {os.cpu_count()} cores, {_memory()}{_gpu()}, "
        f"{platform.system()}, {torch.get_num_threads()} threads, "
        f"{blas.get('internal_api', 'unknown BLAS')} for numpy. "
        f"Python {platform.python_version()}, {versions}."
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} ({platform.machine()})"
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return "memory unknown"
    return f"{pages * size / 2**30:.0f} GiB"


def _gpu() -> str:
    """The GPU that is measured on, after a comma; nothing where there is none."""
    return f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
