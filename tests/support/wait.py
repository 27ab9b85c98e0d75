"""Waiting for a fact instead of sleeping for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def wait_until(condition: Callable[[], _T], what: str | Callable[[], str], timeout_s: float = 30, every_s: float = 0.02) -> _T:
    """The first true value of ``condition``; fails with ``what`` did not happen once ``timeout_s`` are over.

    ``what`` may be a function, which is asked only then: it can say how things stand when the time is over.
    """
    until = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= until:
            raise AssertionError(f"not within {timeout_s:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(every_s)
