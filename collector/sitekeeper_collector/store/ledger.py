"""A site's ledger out of the database: all claims about a stretch of its time, and the picture that follows from them."""

from sqlalchemy import Connection, select

from sitekeeper_collector.domain.ledger import Claim, Segment, Source, Was, claims_of_markers, claims_of_spans, partition
from sitekeeper_collector.store import evidence
from sitekeeper_collector.store.tables import blind
from sitekeeper_protocol.messages import PowerEvent


def blind_between(connection: Connection, from_ms: int, to_ms: int) -> list[tuple[int, int]]:
    """The times in which we could not hear, within ``from_ms`` to ``to_ms``."""
    query = select(blind.c.from_ms, blind.c.to_ms).where(blind.c.from_ms < to_ms, blind.c.to_ms > from_ms)
    return [(row.from_ms, row.to_ms) for row in connection.execute(query.order_by(blind.c.from_ms))]


def claims(connection: Connection, site: str, from_ms: int, to_ms: int, *, gap_ms: int) -> list[Claim]:
    """What is claimed of a site between two instants."""
    # A little more on both sides: a span speaks until the next one, a goodbye until the next start.
    spans = evidence.spans_between(connection, site, from_ms - gap_ms, to_ms + gap_ms)
    markers = evidence.markers_between(connection, site, from_ms, to_ms)
    # The record of a run that lost its power may have ended long before.
    died = [marker.about_run for marker in markers if marker.what is PowerEvent.POWER_LOST]
    ends = evidence.last_lives(connection, site, died) if died else {}
    found = claims_of_spans(spans, gap_ms) + claims_of_markers(markers, spans, ends)
    for absence in evidence.absences_between(connection, site, from_ms, to_ms):
        if absence.goodbye:
            found.append(Claim(absence.from_ms, absence.to_ms, Was.OFF, Source.CENTRE))
            continue
        found.append(Claim(absence.from_ms, absence.to_ms, Was.PRESUMED_OFF, Source.CENTRE))
        if absence.suspected_ms is not None:
            found.append(Claim(absence.from_ms, absence.to_ms, Was.LINE_SUSPECTED, Source.CENTRE))
    found += [Claim(start, end, Was.BLIND, Source.BLIND) for start, end in blind_between(connection, from_ms, to_ms)]
    return found


def picture(connection: Connection, site: str, from_ms: int, to_ms: int, *, gap_ms: int) -> list[Segment]:
    """How a site's time was between two instants, without a gap."""
    return partition(claims(connection, site, from_ms, to_ms, gap_ms=gap_ms), from_ms, to_ms)
