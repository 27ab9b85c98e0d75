"""Any player by its process: whether it runs, hangs, is restarted, and, where a site says so, plays by the work it does."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import psutil

from sitekeeper_agent.probes.players.playback import End, Seen
from sitekeeper_agent.probes.players.programs import Programs, plain
from sitekeeper_agent.probes.players.source import HUNG_MS, Source, monotonic_ms
from sitekeeper_protocol.vocabulary import PlayerState

_SURE = 2
"""Looks in a row that must agree before a player counts as playing, or as no longer playing."""
_STUCK = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_DISK_SLEEP, psutil.STATUS_TRACING_STOP})


class Work(NamedTuple):
    """What the processes of a player have done so far; ``stuck`` if none of them can go on (stopped, or waiting for a disk)."""

    at_ms: int
    pids: frozenset[int]
    cpu_ms: int
    read_bytes: int | None
    stuck: bool


class Standstill:
    """For how long processes have done nothing at all."""

    def __init__(self) -> None:
        self._first: Work | None = None

    def judge(self, work: Work) -> int:
        """Milliseconds in which neither the processes nor what they had done, nor whether they could go on, has changed."""
        if self._first is None or self._first[1:] != work[1:]:
            self._first = work
        return work.at_ms - self._first.at_ms


class Process(Source):
    """A source on process names. ``playing_percent`` of one core and more is playing; 0: what it does can't be told."""

    busy_s = 5.0

    def __init__(
        self, names: Iterable[str], programs: Programs, *, playing_percent: float = 0, closing: End = End.GONE
    ) -> None:
        self._names, self._programs = frozenset(map(plain, names)), programs
        self._playing_percent, self._closing = playing_percent, closing
        self._last: Work | None = None
        self._still = Standstill()
        self._plays = False
        self._against = 0
        """Looks in a row that speak against ``_plays``."""

    def look(self) -> Sequence[Seen]:
        """What the processes have done since the last look."""
        work = measured(self._programs.of(self._names), monotonic_ms())
        last, self._last = self._last, work
        if work is None:
            return (self._gone(monotonic_ms()),)
        seen: list[Seen] = []
        if last is not None and not work.pids & last.pids:
            # Others than before: it has been started anew in between.
            seen.append(self._gone(work.at_ms))
        seen.append(Seen(work.at_ms, self._state(work, last), received=work.read_bytes))
        return seen

    def _gone(self, now_ms: int) -> Seen:
        played, self._plays, self._against = self._plays, False, 0
        return Seen(now_ms, PlayerState.ABSENT, self._closing if played else None)

    def _state(self, work: Work, last: Work | None) -> PlayerState:
        if self._still.judge(work) >= HUNG_MS and work.stuck:
            self._plays = False
            return PlayerState.HUNG
        if not self._playing_percent:
            return PlayerState.RUNNING
        if last is not None and work.pids & last.pids:
            self._weigh(work, last)
        return PlayerState.PLAYING if self._plays else PlayerState.IDLE

    def _weigh(self, work: Work, last: Work) -> None:
        """Change ``_plays`` once enough looks say so."""
        busy = 100 * (work.cpu_ms - last.cpu_ms) >= self._playing_percent * max(1, work.at_ms - last.at_ms)
        self._against = 0 if busy == self._plays else self._against + 1
        if self._against >= _SURE:
            self._plays, self._against = busy, 0


def measured(processes: Iterable[psutil.Process], now_ms: int) -> Work | None:
    """What these have done; ``None`` if none of them lives. A value that may not be read counts as not there."""
    pids: set[int] = set()
    cpu_s, read_bytes, stuck = 0.0, None, True
    for process in processes:
        try:
            with process.oneshot():
                times = process.cpu_times()
                stuck = process.status() in _STUCK and stuck
        except psutil.Error:
            continue
        pids.add(process.pid)
        cpu_s += times.user + times.system
        taken = _read_bytes(process)
        read_bytes = read_bytes if taken is None else (read_bytes or 0) + taken
    return Work(now_ms, frozenset(pids), round(cpu_s * 1000), read_bytes, stuck) if pids else None


def _read_bytes(process: psutil.Process) -> int | None:
    """Bytes that the process has read, by proc_pid_io(5): files and pipes always, sockets only where it uses read(2)."""
    try:
        counted = process.io_counters()
    except (psutil.Error, OSError, AttributeError):
        return None
    return int(getattr(counted, "read_chars", counted.read_bytes))
