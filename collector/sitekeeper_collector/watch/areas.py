"""Tickets about several sites: areas that were lost, from the first sight of it until the last of their sites is explained."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from sitekeeper_collector.domain import areas, tickets
from sitekeeper_collector.domain.areas import PARTY_OF, Area, End, Group, Level, Lost
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.tickets import Change, Closing, Evidence, Fault, Ticket, TicketRefused, TicketState
from sitekeeper_collector.store import areas as kept
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.store.areas import Neighbour
from sitekeeper_collector.store.evidence import Absence
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_collector.watch.neighbourhood import Place
from sitekeeper_protocol.vocabulary import Grade, Kind, Party

_log = logging.getLogger("sitekeeper.watch")
_UNDONE = (TicketState.OPEN, TicketState.ACKNOWLEDGED)
LOOKED_BACK_MS = 7_200_000
"""A silence that has lasted for so long is not put together with others any more."""
_HABITS_MS = 30 * 86_400_000
_RECHECK_MS = 60_000


class Looked(NamedTuple):
    """What a silence is, beside where its site stands: whether something was cut off, or it is the usual end of a day."""

    cut_off: bool
    at_the_end: bool


class Found(NamedTuple):
    """The area tickets that explain silences, by site, and when silences are to be looked at again for what may become one."""

    number_of: dict[str, str]
    again_ms: dict[str, int]


class Areas:
    """Used within the caller's transaction; keeps only when it looked last."""

    def __init__(self, rules: Rules, desk: Desk) -> None:
        self._rules, self._desk = rules, desk
        rule = rules.kinds.area_outage
        self._hold_ms, self._raises = rule.hold_down_s * 1000, rule.ticket
        self._recheck_ms = min(_RECHECK_MS, rule.hold_up_s * 1000)
        self._next_ms = 0

    # --- lost ----------------------------------------------------------------------------------------------------------

    def look(
        self,
        connection: Connection,
        silent: Mapping[str, Absence],
        places: Mapping[str, Place],
        judge: Callable[[Absence, Place], Looked],
        now_ms: int,
    ) -> Found:
        """Open the tickets of areas that sites in ``places``, which are looked at now, were lost with, or let them join.

        ``silent``: all silences that go on or have no reason yet.
        """
        found = Found({}, {})
        recent = {site: place for site, place in places.items() if now_ms - silent[site].from_ms <= LOOKED_BACK_MS}
        if not recent or not self._raises:
            return found
        near = kept.neighbours(
            connection,
            access_nodes=(place.access_node for place in recent.values()),
            feeders=(place.feeder for place in recent.values()),
            townships=(place.township for place in recent.values()),
        )
        lost, apart = self._lost(connection, near, silent, judge, now_ms)
        within_ms = self._rules.silence.neighbours_within_s * 1000
        for area in areas.find(lost, _Staying(near, {one.site for one in lost} | apart, within_ms), within_ms):
            due_ms = area.from_ms + self._hold_ms
            if due_ms > now_ms:
                found.again_ms.update(dict.fromkeys(area.members, due_ms))
                continue
            number = self._open(connection, area, silent, now_ms)
            found.number_of.update(dict.fromkeys(area.members, number))
        return found

    def _lost(
        self,
        connection: Connection,
        near: Iterable[Neighbour],
        silent: Mapping[str, Absence],
        judge: Callable[[Absence, Place], Looked],
        now_ms: int,
    ) -> tuple[list[Lost], set[str]]:
        """The sites that count as lost, and those that are silent in their usual way, which count for nothing."""
        gone: list[tuple[Neighbour, Absence, Looked]] = []
        apart: set[str] = set()
        for one in near:
            absence = silent.get(one.site)
            if absence is None or absence.to_ms is not None:
                continue
            apart.add(one.site)
            if absence.goodbye or now_ms - absence.from_ms > LOOKED_BACK_MS:
                continue
            looked = judge(absence, Place(one.county, one.township, one.access_node, one.feeder, one.hours))
            if not looked.at_the_end:
                gone.append((one, absence, looked))
        if len(gone) < areas.LEAST:
            return [], apart
        before = kept.vanished(connection, [one.site for one, _, _ in gone], now_ms - _HABITS_MS)
        lost = [
            Lost(one.site, absence.from_ms, _groups(one), looked.cut_off)
            for one, absence, looked in gone
            if looked.cut_off or not areas.leaves_by_habit(before.get(one.site, ()), absence.from_ms)
        ]
        return lost, apart

    def _open(self, connection: Connection, area: Area, silent: Mapping[str, Absence], now_ms: int) -> str:
        """The number of an area's ticket: of one that there is, or of a new one, which takes in what its sites have."""
        within_ms = self._rules.silence.neighbours_within_s * 1000
        key = area.group.key
        known = [
            ticket
            for ticket in kept.undone(connection)
            if ticket.area == key and abs(ticket.outage_from_ms - area.from_ms) <= within_ms
        ]
        members = [(site, silent[site].id) for site in area.members]
        if known:
            number = known[0].number
            new = kept.add_members(connection, number, members)
            self._take_in(connection, number, [silent[site] for site in new], now_ms)
            return number
        number = self._desk.number(connection, now_ms)
        kept.add_members(connection, number, members)
        party = self._rules.party(Kind.AREA_OUTAGE, PARTY_OF[area.group.level])
        told = self._take_in(connection, number, [silent[site] for site in area.members], now_ms)
        fault = Fault(
            kind=Kind.AREA_OUTAGE,
            party=party,
            grade=Grade.TO_VERIFY if area.group.level is Level.TOWNSHIP else Grade.INFERRED,
            severity=self._rules.severity(Kind.AREA_OUTAGE),
            started_ms=area.from_ms,
            evidence=_evidence(area),
        )
        site = min(area.members, key=lambda site: (silent[site].from_ms, site))
        change = tickets.open_from(fault, number=number, site=site, now_ms=now_ms, area=key, told_already=party in told)
        self._desk.apply(connection, change, now_ms)
        return number

    def _take_in(self, connection: Connection, number: str, members: Iterable[Absence], now_ms: int) -> set[Party]:
        """Put the tickets of silences under a cause found later; the parties that were mailed for one of them."""
        told: set[Party] = set()
        for absence in members:
            ticket = stored.find(connection, absence.ticket) if absence.ticket else None
            if ticket is None or ticket.state not in _UNDONE or ticket.parent == number:
                continue
            if ticket.addressee is not None and not ticket.parent:
                told.add(ticket.addressee)
            self._desk.apply(connection, tickets.take_in(ticket, into=number, now_ms=now_ms), now_ms)
        return told

    # --- over ----------------------------------------------------------------------------------------------------------

    def tick(self, connection: Connection, now_ms: int) -> None:
        """End the areas that are over, and let what outlives them come out."""
        if now_ms < self._next_ms <= now_ms + self._recheck_ms:
            return
        self._next_ms = now_ms + self._recheck_ms
        for ticket in kept.undone(connection):
            level = Level(ticket.area.partition("/")[0])
            if level is not Level.PLATFORM:
                self._settle(connection, ticket, level, now_ms)
        for ticket, over_ms in kept.outliving(connection):
            if now_ms - over_ms >= areas.OUTLIVES_MS:
                self._desk.apply(connection, tickets.come_out(ticket, now_ms=now_ms), now_ms)

    def _settle(self, connection: Connection, ticket: Ticket, level: Level, now_ms: int) -> None:
        found = areas.standing(kept.members(connection, ticket.number), level, now_ms)
        if found.end is End.NOT_YET:
            return
        try:
            change = self._ended(ticket, found, now_ms)
        except TicketRefused as err:
            _log.info("ticket %s: a person was faster", err)
            return
        self._desk.apply(connection, change, now_ms)
        kept.leave(connection, ticket.number, found.outlive, now_ms)
        for child in stored.children_of(connection, ticket.number):
            if child.site in found.outlive and child.state in _UNDONE:
                self._desk.apply(connection, tickets.come_out(child, now_ms=now_ms), now_ms)

    def _ended(self, ticket: Ticket, found: areas.Standing, now_ms: int) -> Change:
        if found.end is End.NOTHING:
            return tickets.withdraw(ticket, closing=Closing.EXPLAINED, text="off", now_ms=now_ms)
        if found.end is End.RECOVERED:
            return tickets.recover(ticket, ended_ms=found.ended_ms, now_ms=now_ms)
        party = {End.POWER: Party.POWER, End.LINE: Party.TELECOM}.get(found.end, ticket.party)
        true = Fault(
            kind=ticket.kind,
            party=party,
            grade=Grade.PROVEN,
            severity=ticket.severity,
            started_ms=ticket.outage_from_ms,
            ended_ms=found.ended_ms,
            evidence=ticket.evidence,
        )
        return tickets.amend(ticket, true, now_ms=now_ms)


class _Staying:
    """How many sites of a group were still heard some time after an instant."""

    def __init__(self, near: Iterable[Neighbour], apart: set[str], within_ms: int) -> None:
        self._within_ms = within_ms
        self._heard: dict[Group, list[int]] = {}
        for one in near:
            if one.site not in apart:
                for group in _groups(one):
                    self._heard.setdefault(group, []).append(one.last_live_ms)

    def __call__(self, group: Group, at_ms: int) -> int:
        return sum(last_live_ms > at_ms + self._within_ms for last_live_ms in self._heard.get(group, ()))


def _groups(one: Neighbour) -> tuple[Group, ...]:
    return areas.groups_of(access_node=one.access_node, feeder=one.feeder, township=one.township, county=one.county)


def _evidence(area: Area) -> Evidence:
    return Evidence(facts=((area.group.level.value, area.group.name), ("area_gone", f"{len(area.members)}/{area.contact}")))
