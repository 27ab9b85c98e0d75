"""The journal of runs: how the run before ended, and what happened to clocks and power since. Pure.

A run that said goodbye left a word in the spool. One that did not either lost power with the whole machine (the machine has
booted since) or died alone.
"""

import secrets
from typing import NamedTuple

from sitekeeper_protocol.messages import PowerEvent, PowerEventRecord

JUMP_MS = 2_000
"""Smallest step of the wall clock, and shortest suspend, worth an event; NTP slews below 30 ms a minute."""
WALL_STICKS_MS = 50
"""Up to this much the difference between wall clock and CLOCK_BOOTTIME is kept as it was: see ``ClockWatch``."""


class Run(NamedTuple):
    """One life of the agent, as the spool remembers it. ``ended`` is the reason of its goodbye, or ``None``."""

    run: int
    boot: int
    started_wall_ms: int
    started_boottime_ms: int
    last_wall_ms: int
    last_boottime_ms: int
    last_sequence: int = 0
    ended: str | None = None


class Now(NamedTuple):
    """One reading of the machine's three clocks. ``monotonic_ms`` stands still in a suspend, ``boottime_ms`` does not."""

    wall_ms: int
    boottime_ms: int
    monotonic_ms: int


def new_run() -> int:
    """A random identity for a run: 63 bits, never 0."""
    return secrets.randbelow(2**63 - 1) + 1


def start_events(
    previous: Run | None, boot: int, *, what: PowerEvent | None = None, reason: str = ""
) -> tuple[PowerEventRecord, ...]:
    """What the first sample of a run tells: that it started, and how the run before ended.

    Where that one said no goodbye, ``what`` ended it, if anything knows better than its boot; ``reason`` says more of it.
    """
    if previous is None:
        return (PowerEventRecord(PowerEvent.STARTED, reason="first"),)
    if previous.ended is not None:
        return (PowerEventRecord(PowerEvent.STARTED, f"after_{previous.ended}", *_about(previous)),)
    if what is None:
        what = PowerEvent.AGENT_DIED if previous.boot == boot else PowerEvent.POWER_LOST
    about = _about(previous)
    return (PowerEventRecord(PowerEvent.STARTED, what.value, *about), PowerEventRecord(what, reason, *about))


def goodbye_event(run: int, reason: str, now: Now) -> PowerEventRecord:
    """What the last sample of a run tells."""
    return PowerEventRecord(PowerEvent.GOODBYE, reason, run, now.wall_ms, now.boottime_ms)


def _about(run: Run) -> tuple[int, int, int]:
    return run.run, run.last_wall_ms, run.last_boottime_ms


class ClockWatch:
    """Notices suspends and jumps of the wall clock between two readings, and keeps wall times calm.

    Readings of two clocks differ by a millisecond now and then. Reported as it is, that would cost bytes in every report,
    so the difference is kept as it was until it has really moved.
    """

    def __init__(self, now: Now) -> None:
        self._before = now
        self._offset_ms = now.wall_ms - now.boottime_ms

    def step(self, now: Now) -> list[PowerEventRecord]:
        """Events since the reading before."""
        events: list[PowerEventRecord] = []
        before, self._before = self._before, now
        slept_ms = (now.boottime_ms - now.monotonic_ms) - (before.boottime_ms - before.monotonic_ms)
        if slept_ms >= JUMP_MS:
            events.append(_record(PowerEvent.RESUMED, before, slept_ms))
        jump_ms = (now.wall_ms - now.boottime_ms) - (before.wall_ms - before.boottime_ms)
        if abs(jump_ms) >= JUMP_MS:
            events.append(_record(PowerEvent.CLOCK_JUMPED, before, jump_ms))
        return events

    def wall_at(self, boottime_ms: int) -> int:
        """The wall clock at ``boottime_ms``, by the last reading."""
        offset_ms = self._before.wall_ms - self._before.boottime_ms
        if abs(offset_ms - self._offset_ms) > WALL_STICKS_MS:
            self._offset_ms = offset_ms
        return boottime_ms + self._offset_ms


def _record(what: PowerEvent, before: Now, amount_ms: int) -> PowerEventRecord:
    return PowerEventRecord(what, last_wall_ms=before.wall_ms, last_boottime_ms=before.boottime_ms, amount_ms=amount_ms)
