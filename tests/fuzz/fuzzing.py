"""What the fuzz tests share: a body run on many generated inputs, each counted and timed."""

import contextlib
import io
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evenhand.cli.main import main
from evenhand.errors import EvenhandError

LIMIT, WAIT = 20, 300
"""Seconds of the processor, and in all, that an input may take: a hang is a failure."""
COUNTS: dict[str, list[int]] = {}
"""What was generated: how many inputs, and how many of them were refused by name."""


class HangError(Exception):
    """An input took longer than it may."""


class WorkError(BaseException):
    """Raised in the place of slow work, where the input was good enough to begin it."""


def amounts(short: int, long: int) -> Any:
    """A test's number of inputs: ``short`` by default, ``long`` with ``-m soak``."""
    cases = [short, pytest.param(long, marks=pytest.mark.soak)]
    return pytest.mark.parametrize("examples", cases)


def fuzz(
    kind: str, examples: int, strategy: st.SearchStrategy[Any], body: Callable[[Any], Any]
) -> None:
    """Run ``body`` on ``examples`` inputs; an error of evenhand's own is an answer."""

    def one(value: Any) -> None:
        count = COUNTS.setdefault(kind, [0, 0])
        count[0] += 1
        try:
            with timed():
                refused = body(value) is False
        except EvenhandError as error:
            refused = True
            message = str(error)
            assert message.strip(), "an error says nothing"
            assert len(message) < 5_000, f"an error of {len(message)} characters"
        count[1] += refused

    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    settings(max_examples=examples, deadline=None, database=None, suppress_health_check=checks)(
        given(strategy)(one)
    )()


def attempt(call: Callable[[], Any]) -> None:
    """Call what may be refused beside the figures that are looked at."""
    with contextlib.suppress(EvenhandError):
        call()


@contextlib.contextmanager
def timed() -> Iterator[None]:
    """Raise ``HangError`` in what works longer than ``LIMIT`` or waits longer than ``WAIT``."""

    def over(*_: Any) -> None:
        raise HangError(f"more than {LIMIT} seconds of work, or {WAIT} of waiting")

    timers = {
        signal.ITIMER_PROF: (signal.SIGPROF, LIMIT),
        signal.ITIMER_REAL: (signal.SIGALRM, WAIT),
    }
    before = {number: signal.signal(number, over) for number, _ in timers.values()}
    for timer, (_, seconds) in timers.items():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer in timers:
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def command(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and error of the command line, run in this process.

    Raises:
        AssertionError: an exit code that is not documented, a refusal that says nothing, or a
            figure that is not a number in what is shown.
    """
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as done:
            code = done.code or 0
        except WorkError:
            pass
    assert code in (0, 1, 2), (code, arguments)
    assert "Traceback" not in err.getvalue() + out.getvalue()
    if code == 2:
        assert err.getvalue().strip(), arguments
    return code, out.getvalue(), err.getvalue()
