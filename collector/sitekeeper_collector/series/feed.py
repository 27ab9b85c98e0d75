"""Follows the notes of what has changed, and writes the points that follow from the database as it is now into the spool.

Faults, tickets and the ledger are amended points; samples that waited for their clock are written once it is known. Each step
is one short transaction, which also takes the note away: what is killed in between is done again, and comes to the same lines.
"""

import hashlib
import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from sitekeeper_collector.domain.ledger import Segment, Source, Was
from sitekeeper_collector.series import schema, spool
from sitekeeper_collector.series.lines import (
    Targets,
    fault_line,
    ledger_lines,
    sample_lines,
    ticket_line,
    void_line,
)
from sitekeeper_collector.series.places import Places
from sitekeeper_collector.store import changes, evidence, ledger, tallies
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.store.changes import Change
from sitekeeper_collector.store.engine import Store
from sitekeeper_collector.store.errors import StoreUnavailable
from sitekeeper_collector.store.tables import (
    absences,
    clocks,
    reports,
    runs,
    samples,
    series_ledger,
    series_points,
    sites,
    spans,
)
from sitekeeper_protocol.codec import open_report
from sitekeeper_protocol.vocabulary import Kind, Party

_log = logging.getLogger("sitekeeper.series")
DAY_MS = 86_400_000
KEPT_MS = 120 * DAY_MS
"""How long points of the ledger may be amended."""
LASTING_MS = 15 * 60_000
"""How often the end of an interval that goes on is written."""
UNSAID_MS = 30 * 60_000
"""A time at the picture's end of which nobody says anything is written once it is this long: a sample may be on its way."""
PATIENCE_MS = DAY_MS
"""How long samples wait for their clock."""
FAILED = "series_notes_failed"
_AT_ONCE = 20


class Feed:
    """Used by the thread of the series. Keeps nothing that could not be read again."""

    def __init__(self, store: Store, *, gap_ms: int, utc_offset_min: int, amended: bool = True) -> None:
        """``amended``: whether the store overwrites points; else it gets samples only."""
        self._store = store
        self._gap_ms, self._utc_offset_ms, self._amended = gap_ms, utc_offset_min * 60_000, amended
        self._places = Places()
        self._last_site = ""
        self._refreshed_ms: int | None = None
        self._by_what: dict[str, Callable[[Connection, str, int, int], list[bytes]]] = {
            changes.LEDGER: self._ledger,
            changes.FAULT: self._fault,
            changes.TICKET: self._ticket,
        }

    def round(self, now_ms: int, most: int = 200) -> int:
        """Follow up to ``most`` notes; how many were followed.

        Raises ``StoreUnavailable`` if the collector's own database can't be used; then what was not done is done the next time.
        """
        followed = self._follow_waiting(now_ms)
        at_once = _AT_ONCE
        while self._amended and followed < most:
            try:
                found = self._follow(at_once, now_ms)
            except StoreUnavailable:
                raise
            except Exception:  # noqa: BLE001 - whatever one of them provokes, the others must get through
                if at_once == 1:
                    self._give_up(now_ms)
                at_once = 1
                continue
            followed += found
            if found < at_once:
                break
        return followed

    def _follow(self, most: int, now_ms: int) -> int:
        with self._store.write() as connection:
            found = changes.noted(connection, tuple(self._by_what), most)
            self._places.load(connection, [change.key for change in found if change.what == changes.LEDGER], now_ms)
            lines: list[bytes] = []
            for what, key, since_ms in found:
                lines += self._by_what[what](connection, key, since_ms, now_ms)
            spool.add(connection, lines, now_ms)
            changes.done(connection, found)
        return len(found)

    def _give_up(self, now_ms: int) -> None:
        """The first note can't be followed. It is dropped, and counted; what it is about is noted again when it changes."""
        with self._store.write() as connection:
            found = changes.noted(connection, tuple(self._by_what), 1)
            changes.done(connection, found)
            tallies.count(connection, {FAILED: len(found)}, now_ms)
        _log.exception("time series: %s %s can't be written", *(found[0][:2] if found else ("", "")))

    # --- the ledger ----------------------------------------------------------------------------------------------------

    def refresh(self, now_ms: int) -> int:
        """Note the sites whose turn it is to have the end of their picture written: each in ``LASTING_MS``; how many."""
        passed_ms = LASTING_MS if self._refreshed_ms is None else now_ms - self._refreshed_ms
        with self._store.write() as connection:
            known = connection.execute(select(sites.c.id).order_by(sites.c.id)).scalars().all()
            share = min(len(known), len(known) * passed_ms // LASTING_MS)
            if not self._amended or share <= 0:
                return 0
            at = bisect_right(known, self._last_site)
            turn = [*known[at:], *known[:at]][:share]
            changes.note_each(connection, changes.LEDGER, [(site, now_ms) for site in turn])
        self._last_site, self._refreshed_ms = turn[-1], now_ms
        return len(turn)

    def _ledger(self, connection: Connection, site: str, since_ms: int, now_ms: int) -> list[bytes]:
        horizon_ms = now_ms - KEPT_MS
        start_ms = self._cut(connection, site, max(since_ms, horizon_ms), horizon_ms)
        if start_ms is None or start_ms >= now_ms:
            return []
        before = _written(connection, site, start_ms)
        picture = ledger.picture(connection, site, start_ms, now_ms, gap_ms=self._gap_ms)
        after = by_day(settled(picture, now_ms), self._utc_offset_ms)
        lines = ledger_lines(self._places.now(connection, site, now_ms), before, after)
        _keep_ledger(connection, site, before, after)
        connection.execute(delete(series_ledger).where(series_ledger.c.site == site, series_ledger.c.to_ms < horizon_ms))
        return lines

    def _cut(self, connection: Connection, site: str, since_ms: int, horizon_ms: int) -> int | None:
        """Where to begin anew: one written interval before the one that may have changed, which may have joined it."""
        mine = series_ledger.c.site == site
        earlier = select(series_ledger.c.from_ms).where(mine, series_ledger.c.from_ms <= since_ms)
        begins = connection.execute(earlier.order_by(series_ledger.c.from_ms.desc()).limit(2)).scalars().all()
        if len(begins) == 2:
            return int(begins[1])
        later = connection.execute(select(series_ledger.c.from_ms).where(mine).order_by(series_ledger.c.from_ms).limit(1))
        written_ms = later.scalar_one_or_none()
        first_ms = _first(connection, site, horizon_ms if written_ms is None else since_ms)
        return min((ms for ms in (first_ms, written_ms) if ms is not None), default=None)

    # --- faults and tickets --------------------------------------------------------------------------------------------

    def _fault(self, connection: Connection, key: str, _since_ms: int, now_ms: int) -> list[bytes]:
        point = _point(connection, changes.FAULT, key)
        found = evidence.fault(connection, int(key))
        if found is None:
            return [] if point is None else self._gone(connection, key, point, now_ms)
        site, episode = found[0], found[1].episode
        recorded_ms, kind = (episode.started_ms, episode.kind) if point is None else point[1:3]
        where = self._places.now(connection, site, now_ms)
        line = fault_line(where, episode, recorded_ms=recorded_ms, recorded_kind=kind)
        return _news(connection, changes.FAULT, key, (site, recorded_ms, kind), line, point)

    def _gone(self, connection: Connection, key: str, point: "_Point", now_ms: int) -> list[bytes]:
        """A fault that better evidence has shown to be none. Its place may have been taken by one that began with it."""
        connection.execute(delete(series_points).where(series_points.c.what == changes.FAULT, series_points.c.key == key))
        site, recorded_ms, kind, _ = point
        same = and_(series_points.c.recorded_ms == recorded_ms, series_points.c.kind == kind.value)
        successor = select(series_points.c.key).where(series_points.c.what == changes.FAULT, series_points.c.site == site, same)
        if connection.execute(successor.limit(1)).first() is not None:
            return []
        line = void_line(schema.FAULT, self._places.now(connection, site, now_ms), recorded_ms, kind)
        return [] if line is None else [line]

    def _ticket(self, connection: Connection, key: str, _since_ms: int, now_ms: int) -> list[bytes]:
        ticket = stored.find(connection, key)
        if ticket is None:
            return []
        point = _point(connection, changes.TICKET, key)
        kind = ticket.kind if point is None else point[2]
        line = ticket_line(self._places.now(connection, ticket.site, now_ms), ticket, recorded_kind=kind)
        return _news(connection, changes.TICKET, key, (ticket.site, ticket.opened_ms, kind), line, point)

    # --- samples that waited -------------------------------------------------------------------------------------------

    def _follow_waiting(self, now_ms: int) -> int:
        followed = 0
        with self._store.read() as connection:
            found = _ripe(connection, now_ms)
        for change in found:
            with self._store.write() as connection:
                now = changes.find(connection, change.what, change.key)
                if now is not None:
                    self._write_waiting(connection, now, now_ms)
                    changes.done(connection, [now])
                    followed += 1
        return followed

    def _write_waiting(self, connection: Connection, change: Change, now_ms: int) -> None:
        site, boot = changes.of_key(change.key)
        where, targets = self._places.now(connection, site, now_ms), Targets()
        lines: list[bytes] = []
        for payload, placed in _of_boot(connection, site, boot, change.since_ms):
            report = open_report(payload)
            if report.sent.sent_boot != report.sent.boot:
                continue  # written when it came
            times: list[int | None] = [None] * report.header.count
            for sequence, placed_ms in placed:
                times[sequence - report.header.first] = placed_ms
            lines += sample_lines(where, report, times, targets)
            if len(lines) > spool.MAX_LINES:
                spool.add(connection, lines, now_ms)
                lines = []
        spool.add(connection, lines, now_ms)


# --- pure --------------------------------------------------------------------------------------------------------------


def settled(picture: Sequence[Segment], now_ms: int) -> list[Segment]:
    """The picture without what is at its end and unsaid for a short time only."""
    if picture and picture[-1].source is None and now_ms - picture[-1].from_ms < UNSAID_MS:
        return list(picture[:-1])
    return list(picture)


def by_day(segments: Iterable[Segment], utc_offset_ms: int) -> list[Segment]:
    """The segments cut at every midnight of clocks that are so much ahead of UTC."""
    found: list[Segment] = []
    for segment in segments:
        from_ms = segment.from_ms
        while from_ms < segment.to_ms:
            midnight_ms = ((from_ms + utc_offset_ms) // DAY_MS + 1) * DAY_MS - utc_offset_ms
            to_ms = min(midnight_ms, segment.to_ms)
            found.append(segment._replace(from_ms=from_ms, to_ms=to_ms))
            from_ms = to_ms
    return found


def digest(line: bytes) -> int:
    """A number that tells a line from others: 63 bits."""
    return int.from_bytes(hashlib.blake2b(line, digest_size=8).digest()) >> 1


# --- rows --------------------------------------------------------------------------------------------------------------

_Point = tuple[str, int, Kind, int]
"""Site, recorded start, recorded kind, digest."""


def _point(connection: Connection, what: str, key: str) -> _Point | None:
    query = select(series_points).where(series_points.c.what == what, series_points.c.key == key)
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.site, row.recorded_ms, Kind(row.kind), row.digest)


def _news(
    connection: Connection, what: str, key: str, name: tuple[str, int, Kind], line: bytes | None, point: _Point | None
) -> list[bytes]:
    """The line, if it says something else than the one that was written last; and a note of what was written."""
    if line is None or (point is not None and point[3] == digest(line)):
        return []
    site, recorded_ms, kind = name
    if point is None:
        values = {"site": site, "recorded_ms": recorded_ms, "kind": kind.value, "digest": digest(line)}
        connection.execute(insert(series_points).values(what=what, key=key, **values))
    else:
        mine = (series_points.c.what == what, series_points.c.key == key)
        connection.execute(update(series_points).where(*mine).values(digest=digest(line)))
    return [line]


def _written(connection: Connection, site: str, from_ms: int) -> list[Segment]:
    query = select(series_ledger).where(series_ledger.c.site == site, series_ledger.c.from_ms >= from_ms)
    return [
        Segment(
            row.from_ms,
            row.to_ms,
            Was(row.was),
            Source(row.source) if row.source else None,
            Kind(row.kind) if row.kind else None,
            Party(row.party) if row.party else None,
        )
        for row in connection.execute(query.order_by(series_ledger.c.from_ms))
    ]


def _keep_ledger(connection: Connection, site: str, before: Iterable[Segment], after: Iterable[Segment]) -> None:
    old, new = set(before), set(after)
    gone = [segment.from_ms for segment in old - new]
    if gone:
        for at in range(0, len(gone), 500):
            mine = (series_ledger.c.site == site, series_ledger.c.from_ms.in_(gone[at : at + 500]))
            connection.execute(delete(series_ledger).where(*mine))
    rows = [
        {
            "site": site,
            "from_ms": segment.from_ms,
            "to_ms": segment.to_ms,
            "was": segment.was.value,
            "source": segment.source.value if segment.source else "",
            "kind": segment.kind.value if segment.kind else "",
            "party": segment.party.value if segment.party else "",
        }
        for segment in sorted(new - old)
    ]
    if rows:
        connection.execute(insert(series_ledger), rows)


def _first(connection: Connection, site: str, since_ms: int) -> int | None:
    """The first instant of which anybody says anything of a site, not before ``since_ms``; else when it was registered."""
    firsts = [
        connection.execute(select(column).where(table.c.site == site, ends).order_by(column).limit(1)).scalar_one_or_none()
        for table, column, ends in (
            (spans, spans.c.from_ms, spans.c.to_ms >= since_ms),
            (absences, absences.c.from_ms, or_(absences.c.to_ms.is_(None), absences.c.to_ms >= since_ms)),
        )
    ]
    known = [int(ms) for ms in firsts if ms is not None]
    if not known:
        added_ms = connection.execute(select(sites.c.added_ms).where(sites.c.id == site)).scalar_one_or_none()
        known = [] if added_ms is None else [int(added_ms)]
    return min((max(ms, since_ms) for ms in known), default=None)


def _ripe(connection: Connection, now_ms: int) -> list[Change]:
    """Waiting boots whose clock is known by now, or that have waited long enough."""
    ripe = []
    for change in changes.noted(connection, (changes.WAITING,), 500, lock=False):
        site, boot = changes.of_key(change.key)
        query = select(clocks.c.offset_ms).where(clocks.c.site == site, clocks.c.boot == boot)
        known = connection.execute(query).scalar_one_or_none() is not None
        if known or change.since_ms < now_ms - PATIENCE_MS:
            ripe.append(change)
    return ripe


def _of_boot(
    connection: Connection, site: str, boot: int, since_ms: int
) -> Iterable[tuple[bytes, list[tuple[int, int | None]]]]:
    """The reports that brought samples of a boot since an instant, each with the samples that it brought."""
    of_boot = select(runs.c.run).where(runs.c.site == site, runs.c.boot == boot)
    mine = (samples.c.site == site, samples.c.run.in_(of_boot), samples.c.boot == boot, samples.c.received_ms >= since_ms)
    query = select(samples.c.run, samples.c.report, samples.c.sequence, samples.c.placed_ms).where(*mine)
    rows = connection.execute(query.order_by(samples.c.run, samples.c.report, samples.c.sequence)).all()
    grouped: dict[tuple[int, int], list[tuple[int, int | None]]] = {}
    for run, report, sequence, placed_ms in rows:
        grouped.setdefault((run, report), []).append((sequence, placed_ms))
    for (run, report), placed in grouped.items():
        its = (reports.c.site == site, reports.c.run == run, reports.c.first == report)
        payload = connection.execute(select(reports.c.payload).where(*its)).scalar_one_or_none()
        if payload is not None:
            yield payload, placed
