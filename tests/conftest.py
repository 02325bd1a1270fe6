"""What all tests share: a cache of their own, and one real stage of Adult."""

import os
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: the problems of tests are tiny

import numpy as np
import pytest
from hypothesis import settings

from evenhand.groups import Groups
from evenhand.heads.spec import HeadSpec
from evenhand.rows import Rows

# The same inputs on every run, so that a change is judged by what it changed; new ones are tried
# with --hypothesis-profile=random.
settings.register_profile("evenhand", deadline=None, max_examples=40, derandomize=True)
settings.register_profile("random", deadline=None, max_examples=40)
settings.load_profile("evenhand")


OPTIONAL = (
    *("torchvision", "timm", "transformers", "tokenizers", "accelerate", "peft", "datasets"),
    *("mlflow", "tensorboard"),
    *("fairlearn", "oxonfair", "fairret", "concept_erasure"),
)
MISSING = [name for name in OPTIONAL if find_spec(name) is None]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """A fixture that needs an optional library that is not installed skips its tests by name.

    So does a test that needs a GPU, where there is none.
    """
    if item.get_closest_marker("cuda") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device here")
    return (yield from _skipped_by_name())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """A test that needs an optional library that is not installed is skipped by its name."""
    return (yield from _skipped_by_name())


def _skipped_by_name() -> Generator[None, object, object]:
    try:
        return (yield)
    except ImportError as error:
        if any(name in str(error).replace("-", "_") for name in MISSING):
            pytest.skip(str(error))
        raise


@pytest.fixture(scope="session")
def fairness():
    """fairlearn's metrics, the oracle of rates and gaps."""
    return pytest.importorskip("fairlearn.metrics")


@pytest.fixture(scope="session")
def torchvision():
    return pytest.importorskip("torchvision")


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes the user's cache; child processes inherit this one."""
    folder = tmp_path_factory.mktemp("evenhand-cache")
    before = os.environ.get("EVENHAND_CACHE")
    os.environ["EVENHAND_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["EVENHAND_CACHE"]
    else:
        os.environ["EVENHAND_CACHE"] = before


@pytest.fixture(scope="session")
def adult(cache_of_the_tests: Path):
    """Real Adult, seed 0, with the paper's MLP."""
    from evenhand.finetuning.mlp_stage import adult_stage

    return adult_stage(seed=0)


@pytest.fixture(params=["pretended", pytest.param("real", marks=pytest.mark.cuda)])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a GPU: one that is pretended, or by ``-m cuda`` a real one."""
    if request.param == "real":
        yield "cuda"
        return
    from pretended_gpu import pretend

    with pretend(monkeypatch):
        yield "cuda"


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of Apple's GPU, which is pretended, and has no double precision."""
    from pretended_gpu import pretend

    with pretend(monkeypatch, "mps"):
        yield "mps"


@pytest.fixture
def make_rows():
    """Rows whose label follows the features and, through one of them, the group."""

    def make(
        n: int = 600,
        d: int = 5,
        groups: int = 2,
        classes: int = 2,
        *,
        unknown: float = 0.0,
        seed: int = 0,
        dtype: type = np.float64,
    ) -> Rows:
        rng = np.random.default_rng(seed)
        codes = rng.integers(0, groups, n)
        x = rng.normal(size=(n, d))
        x[:, 0] += codes
        w = np.random.default_rng(11).normal(size=(d, classes))
        labels = (x @ w + rng.gumbel(size=(n, classes))).argmax(axis=1)
        codes = np.where(rng.random(n) < unknown, -1, codes)
        names = tuple(f"g{i}" for i in range(groups))
        return Rows(
            x.astype(dtype),
            labels,
            Groups(codes, names, "team"),
            tuple(f"c{i}" for i in range(classes)),
        )

    return make


@pytest.fixture
def trained(make_rows):
    """A trained head on rows: the batch-gradient shortcut looks right on an untrained one."""
    from evenhand.heads.fit import fit_path

    def make(**options):
        rows = make_rows(**options)
        return rows, fit_path(rows, HeadSpec(ridge=1e-3))[0].head

    return make
