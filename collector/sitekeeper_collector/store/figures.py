"""Figures out of the database: what each site's record of a month comes to, and what months were closed with."""

import datetime
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, insert, select

from sitekeeper_collector.domain import figures
from sitekeeper_collector.domain.calendars import openings
from sitekeeper_collector.domain.figures import EQUIPMENT, Repair, Stretch, Tally
from sitekeeper_collector.domain.tickets import Closing, TicketState, What
from sitekeeper_collector.notify.outbox import MailState
from sitekeeper_collector.registry import hours
from sitekeeper_collector.registry.entry import Profile
from sitekeeper_collector.store import ledger, lessons
from sitekeeper_collector.store.tables import mails, month_figures, months, sites, tickets, timeline
from sitekeeper_protocol.vocabulary import Party

GROUPS = ("county", "township", "access_node", "carrier")
"""Columns of the register by which figures can be grouped, beside each site."""
_DAY_MS, _MINUTE_MS = 86_400_000, 60_000
_WORKING_DAYS = 5
_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
_NO_FAULT = (Closing.EXPLAINED.value, Closing.MISTAKEN.value, Closing.OWN_BLINDNESS.value)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Tally).decode


class Month(NamedTuple):
    """A month of the county's clocks: ``2026-10``, from its first midnight until before the next one's, in ms."""

    name: str
    from_ms: int
    to_ms: int

    @property
    def days(self) -> list[Stretch]:
        """Its days."""
        return [(start, start + _DAY_MS) for start in range(self.from_ms, self.to_ms, _DAY_MS)]


class Place(NamedTuple):
    """Where a site stands, and when it is open."""

    id: str
    name: str
    county: str
    township: str
    access_node: str
    carrier: str
    hours: str


class Correction(NamedTuple):
    """What a later look added to the figures of a closed month."""

    month: str
    site: str
    found_in: str
    change: Tally


def month_of(name: str, utc_offset_min: int) -> Month:
    """The month of that name. Raises ``ValueError`` with what would be right."""
    match = _MONTH.fullmatch(name)
    if match is None:
        raise ValueError(f"{name[:40]!r} is no month; write it like 2026-10")
    zone = datetime.timezone(datetime.timedelta(minutes=utc_offset_min))
    first = datetime.datetime(int(match[1]), int(match[2]), 1, tzinfo=zone)
    following = (first + datetime.timedelta(days=31)).replace(day=1)
    return Month(name, round(first.timestamp() * 1000), round(following.timestamp() * 1000))


def month_at(now_ms: int, utc_offset_min: int) -> Month:
    """The month that ``now_ms`` lies in."""
    zone = datetime.timezone(datetime.timedelta(minutes=utc_offset_min))
    return month_of(f"{datetime.datetime.fromtimestamp(now_ms / 1000, zone):%Y-%m}", utc_offset_min)


def places(connection: Connection) -> list[Place]:
    """The sites that figures are made of. Where no agent can run nothing is measured, and nothing counted."""
    columns = [sites.c[name] for name in Place._fields]
    rows = connection.execute(select(*columns).where(sites.c.profile != Profile.MANUAL.value).order_by(sites.c.id))
    return [Place(*row) for row in rows]


def tally(connection: Connection, place: Place, month: Month, *, until_ms: int, gap_ms: int, utc_offset_min: int) -> Tally:
    """What a site's record of a month, up to ``until_ms``, comes to now."""
    to_ms = min(month.to_ms, until_ms)
    if to_ms <= month.from_ms:
        return Tally(sites=1)
    # From a day before: an outage that goes over midnight began there.
    picture = ledger.picture(connection, place.id, month.from_ms - _DAY_MS, to_ms, gap_ms=gap_ms)
    return figures.tally_of(
        picture,
        month.from_ms,
        to_ms,
        days=[(start, min(end, to_ms)) for start, end in month.days],
        is_expected=_calendar(connection, place, month, utc_offset_min),
        broken=_broken(connection, place.id, month, to_ms),
        repairs=_repairs(connection, place.id, month.from_ms, to_ms, gap_ms),
    )


def _calendar(connection: Connection, place: Place, month: Month, utc_offset_min: int) -> Callable[[int], bool]:
    week = hours.parse(place.hours)
    held = [
        kept.planned
        for kept in lessons.between(connection, month.from_ms, month.to_ms)
        if kept.planned.is_for(place.county, place.township, place.id)
    ]

    def is_expected(day_ms: int) -> bool:
        if any(one.from_ms < day_ms + _DAY_MS and one.to_ms > day_ms for one in held):
            return True
        if any(week):
            return bool(openings(week, day_ms, day_ms + _DAY_MS, utc_offset_min))
        zone = datetime.timezone(datetime.timedelta(minutes=utc_offset_min))
        return datetime.datetime.fromtimestamp(day_ms / 1000, zone).weekday() < _WORKING_DAYS

    return is_expected


def _broken(connection: Connection, site: str, month: Month, to_ms: int) -> list[Stretch]:
    query = select(tickets.c.outage_from_ms, tickets.c.outage_to_ms, tickets.c.closing).where(
        tickets.c.site == site,
        tickets.c.kind.in_([kind.value for kind in EQUIPMENT]),
        tickets.c.outage_from_ms < to_ms,
    )
    return [
        (max(start, month.from_ms), to_ms if end is None else min(end, to_ms))
        for start, end, closing in connection.execute(query)
        if closing not in _NO_FAULT and (end is None or end > month.from_ms)
    ]


def _repairs(connection: Connection, site: str, from_ms: int, to_ms: int, gap_ms: int) -> list[Repair]:
    query = select(tickets).where(
        tickets.c.site == site,
        tickets.c.state == TicketState.RESOLVED.value,
        tickets.c.outage_to_ms >= from_ms,
        tickets.c.outage_to_ms < to_ms,
    )
    found: list[Repair] = []
    for row in connection.execute(query):
        acknowledged = None if row.acknowledged_ms is None else max(0, row.acknowledged_ms - row.opened_ms)
        handled = _handled(connection, row.number, site, row.outage_to_ms, gap_ms) if row.party == Party.TELECOM else None
        outage_ms = max(0, row.outage_to_ms - row.outage_from_ms)
        found.append(Repair(row.number, row.kind, row.party, outage_ms, acknowledged, handled))
    return found


def _handled(connection: Connection, number: str, site: str, ended_ms: int, gap_ms: int) -> int | None:
    """The carrier's clock on a ticket; ``None`` if no notice was accepted before the end."""
    told = select(mails.c.done_ms).where(
        mails.c.ticket == number, mails.c.state == MailState.SENT.value, mails.c.done_ms.is_not(None)
    )
    accepted_ms = min(connection.execute(told).scalars(), default=None)
    if accepted_ms is None or accepted_ms >= ended_ms:
        return None
    said = select(timeline.c.at_ms).where(timeline.c.ticket == number, timeline.c.what == What.REPAIR_CLAIMED.value)
    picture = ledger.picture(connection, site, accepted_ms, ended_ms, gap_ms=gap_ms)
    return figures.handled_ms(accepted_ms, ended_ms, connection.execute(said).scalars().all(), picture)


# --- closed months -----------------------------------------------------------------------------------------------------


def closed(connection: Connection) -> dict[str, int]:
    """The months that are closed, and when they were, oldest first."""
    rows = connection.execute(select(months.c.month, months.c.closed_ms).order_by(months.c.month))
    return {row.month: row.closed_ms for row in rows}


def kept(connection: Connection, month: str, *, corrected: bool = True) -> dict[str, Tally]:
    """What a closed month says, by site: with all that was corrected since, or as it was closed."""
    query = select(month_figures.c.site, month_figures.c.tally).where(month_figures.c.month == month)
    if not corrected:
        query = query.where(month_figures.c.found_in == month)
    # A month's name sorts as time does; the newest look counts.
    rows = connection.execute(query.order_by(month_figures.c.found_in))
    return {row.site: _decode(row.tally) for row in rows}


def close(connection: Connection, month: str, tallies: Iterable[tuple[str, Tally]], *, now_ms: int, who: str) -> None:
    """Keep the figures of a month for good. A month that is closed already is an error (``IntegrityError``)."""
    connection.execute(insert(months).values(month=month, closed_ms=now_ms, closed_by=who))
    _keep(connection, month, month, tallies, now_ms)


def correct(connection: Connection, month: str, found_in: str, tallies: Iterable[tuple[str, Tally]], now_ms: int) -> int:
    """Beside what a closed month says, note what its record comes to now, where that differs; for how many sites it does."""
    before = kept(connection, month)
    differing = [(site, one) for site, one in tallies if one != before.get(site, Tally(sites=1))]
    _keep(connection, month, found_in, differing, now_ms)
    return len(differing)


def corrections(connection: Connection, *, found_in: str = "", month: str = "") -> list[Correction]:
    """What was corrected: found at the closing of ``found_in``, or of the figures of ``month``; in the order of time."""
    query = select(month_figures).where(month_figures.c.found_in != month_figures.c.month)
    if month:
        query = query.where(month_figures.c.month == month)
    wanted = connection.execute(query.order_by(month_figures.c.month, month_figures.c.found_in, month_figures.c.site)).all()
    made: list[Correction] = []
    before: dict[tuple[str, str], Tally] = {}
    for row in wanted:
        key = (row.month, row.site)
        if key not in before:
            before[key] = kept(connection, row.month, corrected=False).get(row.site, Tally(sites=1))
        now = _decode(row.tally)
        if found_in in ("", row.found_in):
            made.append(Correction(row.month, row.site, row.found_in, figures.difference(now, before[key])))
        before[key] = now
    return made


def _keep(connection: Connection, month: str, found_in: str, tallies: Iterable[tuple[str, Tally]], now_ms: int) -> None:
    rows = [
        {"month": month, "site": site, "found_in": found_in, "computed_ms": now_ms, "tally": _encode(one)}
        for site, one in tallies
    ]
    if rows:
        connection.execute(insert(month_figures), rows)
