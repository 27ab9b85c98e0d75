"""The lines of new samples, made and put into the spool in ingest's own transaction.

Which samples wait for their time, and for how long: docs/decisions/017-when-a-sample-is-written.md.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from sitekeeper_collector.series import spool
from sitekeeper_collector.series.lines import Said, Targets, sample_lines
from sitekeeper_collector.series.places import Places
from sitekeeper_collector.store import changes
from sitekeeper_protocol.opened import OpenedReport

_AT_ONCE = 4 * spool.MAX_LINES
"""So many lines are in memory at most, and what a few reports come to: one of a backlog has a hundred times the usual lines."""


class Sampling:
    """Used by the thread of ingest. ``forget`` after a transaction that failed."""

    def __init__(self) -> None:
        self.places = Places()
        self._targets = Targets()
        self._said = Said()
        self._lines: list[bytes] = []
        self._waiting: dict[str, int] = {}

    def expect(self, connection: Connection, sites: Iterable[str], now_ms: int) -> None:
        """Samples of these sites are coming."""
        self.places.load(connection, sites, now_ms)

    def take(self, site: str, report: OpenedReport, placed: Sequence[tuple[int, int | None, bool]], received_ms: int) -> None:
        """New samples of a report, by their place in it: their times, and whether these are exact."""
        times: list[int | None] = [None] * report.header.count
        settled = report.sent.sent_boot != report.sent.boot
        for at, placed_ms, exact in placed:
            if exact or settled:
                times[at] = placed_ms
            else:
                key = changes.boot_key(site, report.sent.boot)
                self._waiting[key] = min(received_ms, self._waiting.get(key, received_ms))
        self._lines += sample_lines(self.places.of(site), report, times, self._targets, self._said)

    def flush(self, connection: Connection, now_ms: int, *, whole: bool) -> None:
        """Put lines into the spool: all, or if there are many."""
        if whole or len(self._lines) >= _AT_ONCE:
            lines, self._lines = self._lines, []
            spool.add(connection, lines, now_ms)
        if whole:
            waiting, self._waiting = self._waiting, {}
            changes.note_each(connection, changes.WAITING, list(waiting.items()))

    def forget(self) -> None:
        """What was taken is not stored, and comes again."""
        self._lines.clear()
        self._waiting.clear()
        self._said.forget()
