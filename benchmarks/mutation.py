"""Mutation testing: does a test fail when a line of the numerics is made wrong?

    python benchmarks/mutation.py [module ...] [--write docs/mutation.md]
    python benchmarks/mutation.py --sample 5    # five mutants of each module: that all of it works

A mutant is one change to one module: a comparison, an operator, a constant, a condition, an
argument or a returned value. Its source is handed to the import system of a forked process, so no
mutant is ever written to a file, and the process has the heavy libraries loaded already. mutmut
(3.8) was tried first: it copies the tree, makes the mutants of every module before it runs those of
one, changes the texts of messages, and leaves constants outside functions alone. Messages and
docstrings are not mutated here: no number depends on them. ``JUDGED`` holds the survivors
that no test could tell from the original, with the reason.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 60
TESTS = {
    "heads/gaps": ["tests/heads/test_gaps.py"],
    "fisher/neutralize": ["tests/fisher/test_neutralize.py"],
    "metrics/counts": ["tests/metrics/test_counts.py"],
    "metrics/rates": ["tests/metrics/test_rates.py", "tests/metrics/test_oracles.py"],
    "fisher/factorize": ["tests/fisher/test_factorize.py"],
    "fisher/sums": ["tests/fisher/test_head_fisher.py", "-k", "not adult and not seconds"],
    "fisher/head_fisher": ["tests/fisher/test_head_fisher.py", "-k", "not adult and not seconds"],
    "heads/selection/select": ["tests/heads/selection/test_select.py"],
    "heads/selection/scored": ["tests/heads/selection/test_select.py"],
    "heads/selection/cost": ["tests/heads/selection/test_cost.py"],
    "heads/selection/rule": [
        "tests/heads/selection/test_select.py",
        "tests/metrics/test_bounds.py",
    ],
    "metrics/intervals": [
        "tests/metrics/test_intervals.py",
        "tests/metrics/test_ratio_interval.py",
        "-k",
        "not covers and not millisec and not as_often",
    ],
    "metrics/gap_intervals": [
        "tests/metrics/test_intervals.py",
        "-k",
        "not covers and not millisec",
    ],
    "metrics/largest_gap": [
        "tests/metrics/test_intervals.py",
        "-k",
        "not covers and not millisec",
    ],
    "metrics/bounds": ["tests/metrics/test_bounds.py"],
    "fisher/closed_form": ["tests/fisher/test_closed_form.py", "tests/fisher/test_head_fisher.py"],
}
"""Each module of ``src/evenhand`` that is mutated, and the tests that must tell."""

SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.MatMult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.And: ast.Or,
    ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}  # fmt: skip
CALLS = {
    "max": "min", "min": "max", "maximum": "minimum", "minimum": "maximum", "argmax": "argmin",
    "argmin": "argmax", "any": "all", "all": "any", "nanmax": "nanmin", "nanmin": "nanmax",
    "zeros": "ones", "ones": "zeros", "sum": "max", "sqrt": "abs", "abs": "negative",
}  # fmt: skip
JUDGED: dict[str, str] = json.loads(
    (Path(__file__).with_name("mutation_judged.json")).read_text(encoding="utf-8")
)


def places(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that may change: no annotation, docstring, message, warning or import."""
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns") or isinstance(tree, ast.Raise):
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST):
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            if isinstance(node, ast.If) and _is_typing(node.test):
                continue
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("warnings.warn"):
                continue
            if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
                continue
            yield node
            yield from places(node)


def _is_typing(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What the node may become, each with a few words."""
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            made = copy.deepcopy(node)
            made.ops[i] = SWAPS[type(operator)]()
            yield "comparison", made
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
        made = copy.deepcopy(node)
        made.op = SWAPS[type(node.op)]()
        yield "operator", made
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert | ast.USub):
        yield "operator", node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield "constant", ast.Constant(node.value + 1)
        if node.value not in (0, 1):
            yield "constant", ast.Constant(node.value / 2)
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        for value in (True, False):
            made = copy.deepcopy(node)
            made.test = ast.Constant(value)
            yield "condition", made
    elif isinstance(node, ast.Return) and ast.unparse(node) not in ("return", "return None"):
        yield "return", ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name in CALLS:
            made = copy.deepcopy(node)
            if isinstance(made.func, ast.Attribute):
                made.func.attr = CALLS[name]
            elif isinstance(made.func, ast.Name) and CALLS[name] != "negative":
                made.func.id = CALLS[name]
            if ast.unparse(made) != ast.unparse(node):
                yield "call", made
        for i, keyword in enumerate(node.keywords):
            if keyword.arg in (None, "dtype", "stacklevel", "strict"):
                continue
            made = copy.deepcopy(node)
            del made.keywords[i]
            yield "argument", made


def words(source: str) -> Iterator[tuple[int, ast.AST, ast.AST, str]]:
    """(number of the node, the node, what it becomes, in words) of every mutant."""
    for number, node in enumerate(places(ast.parse(source))):
        for kind, made in changes(node):
            before, after = (" ".join(ast.unparse(n).split("\n")[0].split()) for n in (node, made))
            yield number, node, made, f"{kind}: `{before[:90]}` → `{after[:90]}`"


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """(line, what was changed, the whole source) of every mutant."""
    for number, node, made, what in words(source):
        whole = ast.parse(source)
        target = next(n for i, n in enumerate(places(whole)) if i == number)
        _replace(whole, target, ast.copy_location(made, target))
        ast.fix_missing_locations(whole)
        yield getattr(node, "lineno", 0), what, ast.unparse(whole)


def _replace(tree: ast.AST, target: ast.AST, made: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, made)
                return
            if isinstance(value, list) and any(item is target for item in value):
                value[[item is target for item in value].index(True)] = made
                return


class Swapped(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module another source."""

    def __init__(self, module: str, source: str) -> None:
        self.module, self.source = module, source

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        """The module's spec, if it is the one."""
        return importlib.util.spec_from_loader(name, self) if name == self.module else None

    def exec_module(self, module: object) -> None:
        """Run the mutant's source."""
        exec(compile(self.source, self.module, "exec"), vars(module))


def killed(module: str, source: str | None, tests: list[str]) -> bool:
    """Whether a test fails, or does not end, on the mutant (None: the module as it is)."""
    child = os.fork()
    if not child:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.alarm(20 * SECONDS)
        try:
            if source is not None:
                sys.meta_path.insert(0, Swapped(f"evenhand.{module.replace('/', '.')}", source))
            import pytest

            quick = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", "--hypothesis-seed=0"]
            os._exit(int(pytest.main([*quick, *tests]) != 0))
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return status != 0


def run(
    module: str, only: set[str] | None = None, sample: int | None = None
) -> tuple[int, list[tuple[int, str]]]:
    """How many mutants the module has, and the survivors.

    ``only`` runs those of these words, ``sample`` so many of them, spread evenly.
    """
    tests = TESTS[module]
    if killed(module, None, tests):
        raise SystemExit(f"the tests of {module} fail without any mutant: {' '.join(tests)}")
    source = (ROOT / "src" / "evenhand" / f"{module}.py").read_text(encoding="utf-8")
    made, alive = list(mutants(source)), []
    if sample is not None:
        made = made[:: -(-len(made) // sample)]
    for line, what, mutant in made:
        if only is not None and what not in only:
            continue
        if not killed(module, mutant, tests):
            alive.append((line, what))
            print(f"  survives: {module}.py:{line} {what}", flush=True)
    return len(made), alive


def judged(module: str, what: str) -> str | None:
    """Why no test could tell the survivor from the original."""
    return next((why for key, why in JUDGED.items() if key == f"{module}: {what}"), None)


def page(found: dict[str, tuple[int, list[tuple[int, str]]]]) -> str:
    """The survivors and the scores as Markdown."""
    rows, listed, all_mutants, all_open, all_equal = [], [], 0, 0, 0
    for module, (number, alive) in found.items():
        equal = [(line, what) for line, what in alive if judged(module, what)]
        open_ = len(alive) - len(equal)
        score = 100 * (number - len(alive)) / max(1, number - len(equal))
        rows.append(f"| `{module}` | {number} | {number - len(alive)} | {len(equal)} | {open_} | "
                    f"{score:.1f} % |")  # fmt: skip
        all_mutants, all_open = all_mutants + number, all_open + open_
        all_equal += len(equal)
        for line, what in alive:
            why = judged(module, what) or "worth a test"
            listed.append(f"* `{module}.py:{line}` {what}: {why}.")
    dead = all_mutants - all_open - all_equal
    total = 100 * dead / max(1, all_mutants - all_equal)
    rows.append(f"| all | {all_mutants} | {dead} | {all_equal} | {all_open} | {total:.1f} % |")
    return "\n".join([
        "# Mutation testing",
        "",
        "Made by `python benchmarks/mutation.py --keep FILE --write docs/mutation.md`, a module "
        "after the other; with `--again`, what survived is run once more when tests were added or "
        "a line was mended. Each mutant is one change to one module of the numerics; it is killed "
        "if a test of that module fails. Equivalent ones, which no test could tell "
        "from the original, are judged below and left out of the score. Texts of messages are not "
        "mutated.",
        "",
        "| module | mutants | killed | equivalent | survive | score |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "## Survivors",
        "",
        *listed,
        "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", help=", ".join(TESTS))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--keep", type=Path, help="JSON of modules done: continue, and add to it")
    parser.add_argument("--again", action="store_true", help="run the survivors of --keep again")
    parser.add_argument("--sample", type=int, metavar="N", help="N mutants of each module only")
    asked = parser.parse_args()
    if asked.sample and (asked.keep or asked.write):
        parser.error("a sample is no result: --sample goes with neither --keep nor --write")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path.insert(0, str(ROOT / "src"))
    os.chdir(ROOT)
    import fairlearn.metrics  # noqa: F401
    import hypothesis.extra.numpy  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.model_selection  # noqa: F401
    import torch  # noqa: F401

    found = {}
    if asked.keep and asked.keep.is_file():
        found = json.loads(asked.keep.read_text(encoding="utf-8"))
    for module in asked.modules or TESTS:
        if module not in found or asked.again:
            only = {what for _, what in found[module][1]} if module in found else None
            found[module] = run(module, only, asked.sample)
            number, alive = found[module]
            print(f"{module}: {number} mutants, {len(alive)} survive", flush=True)
            if asked.keep:
                asked.keep.write_text(json.dumps(found), encoding="utf-8")
    if asked.write:
        asked.write.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
