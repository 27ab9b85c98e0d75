"""The collector's own health as a series: what it stored, how late, what it refused, and what waits."""

import threading
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from sitekeeper_collector.series import spool
from sitekeeper_collector.series.lines import collector_line
from sitekeeper_collector.store.tables import mails, tallies


class Stored(NamedTuple):
    """What ingest has done since it was last asked. ``lag_ms``: the longest from arrival to storage."""

    reports: int = 0
    samples: int = 0
    rejected: int = 0
    lag_ms: int = 0


class Work:
    """Counts what ingest does; asked by another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored = Stored()

    def add(self, reports: int, samples: int, rejected: int, lag_ms: int) -> None:
        """A transaction was committed."""
        with self._lock:
            was = self._stored
            lag = max(was.lag_ms, lag_ms)
            self._stored = Stored(was.reports + reports, was.samples + samples, was.rejected + rejected, lag)

    def take(self) -> Stored:
        """What was done since this was last asked."""
        with self._lock:
            stored, self._stored = self._stored, Stored()
        return stored


class Health:
    """Makes the points of one process. ``process``: its name, the point's ``target``."""

    def __init__(self, work: Work, process: str = "collector") -> None:
        self._work, self._process = work, process
        self._before: dict[str, int] | None = None

    def line(self, connection: Connection, now_ms: int) -> bytes | None:
        """The point of now. What is counted since the point before begins with the first one after a start."""
        stored, waiting = self._work.take(), spool.waiting(connection)
        names = (spool.REJECTED, spool.DROPPED)
        counted: dict[str, int] = dict.fromkeys(names, 0)
        query = select(tallies.c.name, tallies.c.count).where(tallies.c.name.in_(names))
        counted |= {name: int(amount) for name, amount in connection.execute(query)}
        before = self._before or counted
        self._before = counted
        owed = select(func.count()).select_from(mails).where(mails.c.state.in_(("pending", "sending")))
        values: dict[str, float] = {
            "reports": stored.reports,
            "samples": stored.samples,
            "rejected": stored.rejected,
            "lag_s": stored.lag_ms / 1000,
            "mails_waiting": connection.execute(owed).scalar_one(),
            "series_spool_bytes": waiting.bytes,
            "series_spool_lines": waiting.lines,
            "series_rejected": counted[spool.REJECTED] - before[spool.REJECTED],
            "series_dropped": counted[spool.DROPPED] - before[spool.DROPPED],
        }
        return collector_line(self._process, values, now_ms)
