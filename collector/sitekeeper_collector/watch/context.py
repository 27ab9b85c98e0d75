"""What detection must know of a site beside its samples, read from the database only where a kind asks for it."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from sitekeeper_collector.domain.detection import Episode
from sitekeeper_collector.domain.marks import Level, bad_bits, mark
from sitekeeper_collector.domain.seen import Context
from sitekeeper_collector.domain.spans import Span
from sitekeeper_collector.store import evidence, lessons
from sitekeeper_collector.store.tables import runs, sites
from sitekeeper_protocol.vocabulary import Kind

MISSING = (Kind.DISPLAY_MISSING, Kind.AUDIO_MISSING, Kind.DEVICE_MISSING)
_IN_CLASS = bad_bits((Kind.PLAYER_MISSING, *MISSING))
_BY_BOOT = bad_bits((Kind.CLOCK_WRONG,))
_FOREVER_MS = 2**53


def of_site(
    connection: Connection, site: str, spans: Sequence[Span], from_ms: int, kinds: Sequence[Kind], utc_offset_min: int
) -> Context:
    """The context of ``spans``, which begin after ``from_ms``, for ``kinds``."""
    marks = 0
    for span in spans:
        marks |= span.signs.marks
    found = Context(utc_offset_min=utc_offset_min)
    if marks & _IN_CLASS:
        place = connection.execute(select(sites.c.county, sites.c.township).where(sites.c.id == site)).one_or_none()
        if place is not None:
            until_ms = max(span.to_ms for span in spans) + 1
            held = lessons.of_site(connection, place.county, place.township, site, from_ms, until_ms)
            found = found._replace(lessons=tuple(held))
    if marks & _BY_BOOT and Kind.CLOCK_WRONG in kinds:
        boots = connection.execute(select(runs.c.run, runs.c.boot).where(runs.c.site == site))
        found = found._replace(boots={row.run: row.boot for row in boots})
    if Kind.RESTARTING in kinds:
        lives = evidence.markers_between(connection, site, from_ms, _FOREVER_MS)
        found = found._replace(lives=tuple(one for one in lives if one.at_ms >= from_ms))
    return found


def neighbours_lost_power(connection: Connection, site: str, from_ms: int, to_ms: int) -> bool:
    """Whether another site of the same feeder lost its power within this time: then it is not the PC."""
    feeder = connection.execute(select(sites.c.feeder).where(sites.c.id == site)).scalar_one_or_none()
    return bool(feeder) and evidence.power_lost_at(connection, str(feeder), site, from_ms, to_ms)


def was_there_before(connection: Connection, site: str, episode: Episode) -> bool:
    """Whether what is missing has been seen here before: else it was never there, whatever the configuration expects."""
    if episode.kind not in MISSING:
        return True
    return evidence.ever_marked(connection, site, mark(episode.kind, Level.GOOD), episode.started_ms)
