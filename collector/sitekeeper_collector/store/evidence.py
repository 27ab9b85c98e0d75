"""Spans, markers, faults and absences in the database."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select, tuple_, update

from sitekeeper_collector.domain.detection import Episode, Phase, Proof
from sitekeeper_collector.domain.ledger import Marker
from sitekeeper_collector.domain.signs import Signs
from sitekeeper_collector.domain.spans import Span
from sitekeeper_collector.store import changes
from sitekeeper_collector.store.statements import Many, insert_into
from sitekeeper_collector.store.tables import absences, faults, markers, sites, spans
from sitekeeper_protocol.messages import PowerEvent
from sitekeeper_protocol.vocabulary import Grade, Kind, Party

_insert_spans = insert_into(spans)
_prolong = Many(
    update(spans)
    .values(last=bindparam("new_last"), to_ms=bindparam("new_to"))
    .where(spans.c.site == bindparam("s"), spans.c.run == bindparam("r"), spans.c.first == bindparam("f")),
    {"new_last": "last", "new_to": "to", "s": "s", "r": "r", "f": "f"},
)


# --- spans -------------------------------------------------------------------------------------------------------------


def add_spans(connection: Connection, rows: Sequence[tuple[str, Span]]) -> None:
    """Insert spans of sites."""
    changes.note_each(connection, changes.LEDGER, [(site, span.from_ms) for site, span in rows])
    _insert_spans.run(connection, [_span_row(site, span) for site, span in rows])


def prolong_spans(connection: Connection, rows: Sequence[tuple[str, Span]]) -> None:
    """Write spans that went on; their site, run and first number tell which."""
    _prolong.run(connection, [{"s": site, "r": s.run, "f": s.first, "last": s.last, "to": s.to_ms} for site, s in rows])


def drop_spans(connection: Connection, site: str, gone: Iterable[Span]) -> None:
    """Delete spans that have become part of others."""
    gone = list(gone)
    keys = [(span.run, span.first) for span in gone]
    if keys:
        changes.note(connection, changes.LEDGER, (site,), min(span.from_ms for span in gone))
        connection.execute(delete(spans).where(spans.c.site == site, tuple_(spans.c.run, spans.c.first).in_(keys)))


def newest_span(connection: Connection, site: str) -> Span | None:
    """The span of a site that ends last."""
    query = select(spans).where(spans.c.site == site).order_by(spans.c.to_ms.desc(), spans.c.first.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _span(row)


def newest_spans(connection: Connection, of_sites: Sequence[str]) -> dict[str, Span]:
    """The span that ends last, of each of some hundred sites that has one."""
    end = select(spans.c.site, func.max(spans.c.to_ms).label("to_ms")).where(spans.c.site.in_(of_sites)).group_by(spans.c.site)
    last = end.subquery()
    query = select(spans).join(last, (spans.c.site == last.c.site) & (spans.c.to_ms == last.c.to_ms)).order_by(spans.c.first)
    return {row.site: _span(row) for row in connection.execute(query)}


def spans_of_run(connection: Connection, site: str, run: int, first: int | None = None, last: int | None = None) -> list[Span]:
    """The spans of a run, or those that hold or touch the samples ``first`` to ``last``, by number."""
    query = select(spans).where(spans.c.site == site, spans.c.run == run)
    if first is not None and last is not None:
        query = query.where(spans.c.last >= first - 1, spans.c.first <= last + 1)
    return [_span(row) for row in connection.execute(query.order_by(spans.c.first))]


def spans_between(connection: Connection, site: str, from_ms: int, to_ms: int | None = None) -> list[Span]:
    """The spans of a site that share time with ``from_ms`` to ``to_ms``, by time."""
    query = select(spans).where(spans.c.site == site, spans.c.to_ms >= from_ms)
    if to_ms is not None:
        query = query.where(spans.c.from_ms <= to_ms)
    return [_span(row) for row in connection.execute(query.order_by(spans.c.from_ms, spans.c.run, spans.c.first))]


def all_spans(connection: Connection, site: str) -> list[Span]:
    """All spans of a site, by run and number."""
    query = select(spans).where(spans.c.site == site).order_by(spans.c.run, spans.c.first)
    return [_span(row) for row in connection.execute(query)]


def last_lives(connection: Connection, site: str, of_runs: Iterable[int]) -> dict[int, int]:
    """The last instant that the record of each run tells of, by run."""
    query = select(spans.c.run, func.max(spans.c.to_ms)).where(spans.c.site == site, spans.c.run.in_(sorted(set(of_runs))))
    return {run: int(to_ms) for run, to_ms in connection.execute(query.group_by(spans.c.run))}


def _span_row(site: str, span: Span) -> dict[str, Any]:
    return {"site": site, **{name: value for name, value in span._asdict().items() if name != "signs"}, **span.signs._asdict()}


def _span(row: Row[Any]) -> Span:
    signs = Signs(*(getattr(row, name) for name in Signs._fields))
    return Span(row.run, row.first, row.last, row.from_ms, row.to_ms, signs)


# --- markers -----------------------------------------------------------------------------------------------------------


class PlacedMarker(NamedTuple):
    """A marker and which event of its sample it is."""

    site: str
    place: int
    marker: Marker


def add_markers(connection: Connection, rows: Sequence[PlacedMarker]) -> None:
    """Insert markers, in the place of what the same samples said before."""
    if rows:
        for site, run, sequence in {(row.site, row.marker.run, row.marker.sequence) for row in rows}:
            same = (markers.c.site == site) & (markers.c.run == run) & (markers.c.sequence == sequence)
            connection.execute(delete(markers).where(same))
        # A loss of power is told by the next run, of the time before it.
        since_ms_of = [(row.site, row.marker.last_ms or row.marker.at_ms) for row in rows]
        changes.note_each(connection, changes.LEDGER, since_ms_of)
        connection.execute(
            insert(markers),
            [{"site": row.site, "place": row.place, **row.marker._asdict(), "what": row.marker.what.value} for row in rows],
        )


def drop_markers(connection: Connection, site: str, run: int) -> None:
    """Delete the markers of a run, to be put in anew."""
    mine = (markers.c.site == site, markers.c.run == run)
    since_ms = connection.execute(select(func.min(markers.c.at_ms)).where(*mine)).scalar_one_or_none()
    if since_ms is not None:
        changes.note(connection, changes.LEDGER, (site,), since_ms)
        connection.execute(delete(markers).where(*mine))


def markers_between(connection: Connection, site: str, from_ms: int, to_ms: int) -> list[Marker]:
    """The markers of a site within a stretch of time, the last goodbye before it and the first start after it."""
    mine = markers.c.site == site
    inside = select(markers).where(mine, markers.c.at_ms >= from_ms, markers.c.at_ms <= to_ms)
    before = select(markers).where(mine, markers.c.at_ms < from_ms).order_by(markers.c.at_ms.desc()).limit(4)
    after = select(markers).where(mine, markers.c.at_ms > to_ms).order_by(markers.c.at_ms).limit(4)
    rows = [row for query in (before, inside, after) for row in connection.execute(query)]
    return sorted((_marker(row) for row in rows), key=lambda m: (m.at_ms, m.run, m.sequence, m.what.value))


def power_lost_at(connection: Connection, feeder: str, but: str, from_ms: int, to_ms: int) -> bool:
    """Whether a site of a feeder, other than ``but``, lost its power between two instants."""
    others = select(sites.c.id).where(sites.c.feeder == feeder, sites.c.id != but)
    lost = select(markers.c.at_ms).where(
        markers.c.site.in_(others),
        markers.c.what == PowerEvent.POWER_LOST.value,
        markers.c.at_ms >= from_ms,
        markers.c.at_ms <= to_ms,
    )
    return connection.execute(lost.limit(1)).first() is not None


def ever_marked(connection: Connection, site: str, bits: int, before_ms: int) -> bool:
    """Whether any span of a site that began before an instant has all of ``bits`` among its marks."""
    query = select(spans.c.run).where(spans.c.site == site, spans.c.from_ms < before_ms)
    return connection.execute(query.where(spans.c.marks.op("&")(bits) == bits).limit(1)).first() is not None


def all_markers(connection: Connection, site: str) -> list[PlacedMarker]:
    """All markers of a site, by run, number and place."""
    query = select(markers).where(markers.c.site == site).order_by(markers.c.run, markers.c.sequence, markers.c.place)
    return [PlacedMarker(site, row.place, _marker(row)) for row in connection.execute(query)]


def _marker(row: Row[Any]) -> Marker:
    what = PowerEvent(row.what)
    return Marker(row.run, row.sequence, row.at_ms, what, row.reason, row.about_run, row.last_ms, row.boot_ms)


# --- faults ------------------------------------------------------------------------------------------------------------


class KeptFault(NamedTuple):
    """A fault as it is stored, with the number of its ticket (empty: none)."""

    id: int
    episode: Episode
    ticket: str


def faults_since(connection: Connection, site: str, since_ms: int) -> list[KeptFault]:
    """The faults of a site that had not ended by ``since_ms``, oldest first."""
    query = select(faults).where(faults.c.site == site, or_(faults.c.ended_ms.is_(None), faults.c.ended_ms >= since_ms))
    return [_fault(row) for row in connection.execute(query.order_by(faults.c.started_ms, faults.c.id))]


def faults_of(connection: Connection, site: str, most: int) -> list[KeptFault]:
    """The newest faults of a site, newest first."""
    query = select(faults).where(faults.c.site == site).order_by(faults.c.started_ms.desc(), faults.c.id.desc()).limit(most)
    return [_fault(row) for row in connection.execute(query)]


def fault(connection: Connection, number: int) -> tuple[str, KeptFault] | None:
    """The fault of that id, and its site."""
    row = connection.execute(select(faults).where(faults.c.id == number)).one_or_none()
    return None if row is None else (row.site, _fault(row))


def faults_of_ticket(connection: Connection, ticket: str) -> list[KeptFault]:
    """The faults that a ticket is about, oldest first."""
    query = select(faults).where(faults.c.ticket == ticket).order_by(faults.c.started_ms, faults.c.id)
    return [_fault(row) for row in connection.execute(query)]


def open_faults(connection: Connection) -> list[tuple[str, KeptFault]]:
    """All faults that last, by site."""
    query = select(faults).where(faults.c.ended_ms.is_(None)).order_by(faults.c.site, faults.c.started_ms)
    return [(row.site, _fault(row)) for row in connection.execute(query)]


def save_fault(connection: Connection, site: str, episode: Episode, ticket: str, number: int | None = None) -> int:
    """Write a fault, new (``number`` of ``None``) or changed; its id."""
    values = {
        "site": site,
        "kind": episode.kind.value,
        "phase": episode.phase.value,
        "party": episode.party.value if episode.party else "",
        "grade": episode.grade.value if episode.grade else "",
        "started_ms": episode.started_ms,
        "opened_ms": episode.opened_ms,
        "bad_ms": episode.bad_ms,
        "ended_ms": episode.ended_ms,
        "proof_run": episode.proof.run,
        "proof_sequence": episode.proof.sequence,
        "ticket": ticket,
        "opens": episode.opens,
    }
    if number is None:
        number = int(connection.execute(insert(faults).values(values).returning(faults.c.id)).scalar_one())
    else:
        connection.execute(update(faults).where(faults.c.id == number).values(values))
    changes.note(connection, changes.FAULT, (number,))
    return number


def drop_fault(connection: Connection, number: int) -> None:
    """Delete a fault that better evidence has shown to be none."""
    connection.execute(delete(faults).where(faults.c.id == number))
    changes.note(connection, changes.FAULT, (number,))


def _fault(row: Row[Any]) -> KeptFault:
    episode = Episode(
        kind=Kind(row.kind),
        started_ms=row.started_ms,
        opened_ms=row.opened_ms,
        bad_ms=row.bad_ms,
        ended_ms=row.ended_ms,
        phase=Phase(row.phase),
        party=Party(row.party) if row.party else None,
        grade=Grade(row.grade) if row.grade else None,
        proof=Proof(row.proof_run, row.proof_sequence),
        opens=row.opens,
    )
    return KeptFault(row.id, episode, row.ticket)


# --- absences ----------------------------------------------------------------------------------------------------------


class Absence(NamedTuple):
    """A time in which a site was not heard. See ``tables.absences``."""

    id: int
    site: str
    from_ms: int
    noticed_ms: int
    to_ms: int | None = None
    goodbye: str = ""
    playing: bool = False
    suspected_ms: int | None = None
    ticket: str = ""
    why: str = ""
    outcome: str = ""
    concluded_ms: int | None = None


def begin_absence(connection: Connection, absence: Absence) -> Absence:
    """Write a new one; it comes back with its id."""
    changes.note(connection, changes.LEDGER, (absence.site,), absence.from_ms)
    values = {name: value for name, value in absence._asdict().items() if name != "id"}
    number = connection.execute(insert(absences).values(values).returning(absences.c.id)).scalar_one()
    return absence._replace(id=int(number))


def save_absence(connection: Connection, absence: Absence) -> None:
    """Write one that has changed."""
    changes.note(connection, changes.LEDGER, (absence.site,), absence.from_ms)
    values = {name: value for name, value in absence._asdict().items() if name != "id"}
    connection.execute(update(absences).where(absences.c.id == absence.id).values(values))


def give_absence_ticket(connection: Connection, site: str, number: str) -> None:
    """Let a ticket speak for the silence of a site that goes on, if none does yet."""
    going_on = (absences.c.site == site, absences.c.to_ms.is_(None), absences.c.concluded_ms.is_(None), absences.c.ticket == "")
    connection.execute(update(absences).where(*going_on).values(ticket=number))


def ticket_of_absence(connection: Connection, number: int) -> str:
    """The ticket of an absence as it is stored: somebody at the console may have given it one."""
    return str(connection.execute(select(absences.c.ticket).where(absences.c.id == number)).scalar_one_or_none() or "")


def pending_absences(connection: Connection) -> list[Absence]:
    """All of which nobody knows the end or the reason yet."""
    rows = connection.execute(select(absences).where(absences.c.concluded_ms.is_(None)).order_by(absences.c.id))
    return [Absence._make(row) for row in rows]


def absences_between(connection: Connection, site: str, from_ms: int, to_ms: int) -> list[Absence]:
    """Those of a site that share time with ``from_ms`` to ``to_ms``, by time."""
    query = select(absences).where(
        absences.c.site == site, absences.c.from_ms <= to_ms, or_(absences.c.to_ms.is_(None), absences.c.to_ms >= from_ms)
    )
    return [Absence._make(row) for row in connection.execute(query.order_by(absences.c.from_ms, absences.c.id))]
