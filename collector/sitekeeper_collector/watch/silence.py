"""Sites that are not heard: since when, what that is taken for, which tickets it makes, and what their return explains."""

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection, exists, func, select

from sitekeeper_collector.domain import absence as judging
from sitekeeper_collector.domain import returning, tickets
from sitekeeper_collector.domain.absence import Decision, Neighbours, Silent, Why
from sitekeeper_collector.domain.calendars import Lesson
from sitekeeper_collector.domain.casework import OfSilence
from sitekeeper_collector.domain.detection import Episode
from sitekeeper_collector.domain.returning import Explanation, Outcome
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.tickets import Closing, Evidence, Fault, Ticket, TicketRefused, TicketState
from sitekeeper_collector.registry import hours
from sitekeeper_collector.store import evidence as kept
from sitekeeper_collector.store import ledger, lessons
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.store.evidence import Absence
from sitekeeper_collector.store.tables import absences, blind, site_state
from sitekeeper_collector.watch import neighbourhood, proof
from sitekeeper_collector.watch.areas import LOOKED_BACK_MS, Areas, Looked
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_collector.watch.neighbourhood import Neighbourhood, Place
from sitekeeper_collector.watch.news import News
from sitekeeper_protocol.messages import Presence
from sitekeeper_protocol.vocabulary import Grade, Kind

_log = logging.getLogger("sitekeeper.watch")
_CALM_RECHECK_MS, _LONGEST_CALM_MS = 60_000, 3_600_000
"""How soon a silence that has its ticket is looked at again, and how soon at least one that is nobody's trouble: what the
register says of its site may change."""
_MOST_AT_ONCE = 1000
"""Silences that are looked at in one transaction: ingest waits for it."""
_OF_SILENCE = (Kind.SITE_DARK, Kind.LINE_SUSPECTED)
_UNDONE = (TicketState.OPEN, TicketState.ACKNOWLEDGED)


class _Wanted(NamedTuple):
    """A silence that is to have a ticket."""

    absence: Absence
    kind: Kind
    why: Why
    place: Place
    neighbours: Neighbours
    lesson: str
    area: str = ""
    """The number of the ticket of the area that it was lost with."""


class Silences:
    """Absences, from the first missed promise to the explanation."""

    def __init__(self, rules: Rules, desk: Desk, *, utc_offset_min: int) -> None:
        self._rules, self._desk = rules, desk
        self._utc_offset_min = utc_offset_min
        self._areas = Areas(rules, desk)
        self._pending: dict[str, Absence] | None = None
        """By site: silences that go on, or whose reason is not known yet. ``None``: to be read from the database."""
        self._again_ms: dict[str, int] = {}
        """When a silence is looked at again."""
        self._concluded: list[tuple[Absence, bool]] = []

    def forget(self) -> None:
        """Memory may differ from the database."""
        self._pending = None
        self._again_ms.clear()
        self._concluded.clear()

    def concluded(self) -> list[tuple[Absence, bool]]:
        """The silences that have got their reason since this was last asked, and whether that changed a ticket."""
        found, self._concluded = self._concluded, []
        return found

    def is_silent(self, connection: Connection, site: str) -> bool:
        """Whether a site is not heard now."""
        absence = self._load(connection).get(site)
        return absence is not None and absence.to_ms is None

    # --- from what is heard --------------------------------------------------------------------------------------------

    def hear(self, connection: Connection, news: News, playing: Mapping[str, bool]) -> list[str]:
        """Goodbyes begin an absence, live reports end one; the sites that have returned."""
        pending = self._load(connection)
        returned: list[str] = []
        for site, at_ms in news.back.items():
            known = pending.get(site)
            if known is not None and known.to_ms is None and at_ms >= known.from_ms:
                self._save(connection, known._replace(to_ms=at_ms))
                returned.append(site)
        # After the returns: whoever did both within one batch said goodbye last, or there would be no goodbye.
        for site, (at_ms, reason) in news.goodbyes.items():
            known = pending.get(site)
            if known is None or known.to_ms is not None:
                absence = Absence(0, site, at_ms, at_ms, goodbye=reason or "unsaid", playing=playing.get(site, False))
                self._begin(connection, absence)
            elif not known.goodbye and not known.ticket:
                self._save(connection, known._replace(goodbye=reason or "unsaid"))  # it was only late
        return returned

    def ticket_over(self, connection: Connection, site: str, episode: Episode) -> OfSilence | None:
        """The ticket of a silence that a fault may explain: they share time, and it has no other reason, or this one."""
        until_ms = episode.bad_ms if episode.ended_ms is None else episode.ended_ms
        for absence in reversed(kept.absences_between(connection, site, episode.started_ms, until_ms)):
            ticket = stored.find(connection, absence.ticket) if absence.ticket else None
            if ticket is None or ticket.state is TicketState.CLOSED:
                continue
            if ticket.kind in (*_OF_SILENCE, episode.kind):
                return OfSilence(ticket, absence.from_ms, absence.to_ms, absence.concluded_ms is None)
        return None

    def explain(self, connection: Connection, site: str, now_ms: int, *, at_last: bool = False) -> bool:
        """Conclude a silence that is over, if enough is known or nothing more is waited for; whether its ticket changed."""
        absence = self._load(connection).get(site)
        if absence is None or absence.to_ms is None:
            return False
        gap_ms = self._rules.evidence_gap_s * 1000
        picture = ledger.picture(connection, site, absence.from_ms, absence.to_ms, gap_ms=gap_ms)
        blind_ms = sum(
            min(end, absence.to_ms) - max(start, absence.from_ms)
            for start, end in ledger.blind_between(connection, absence.from_ms, absence.to_ms)
        )
        found = returning.explain(picture, self._rules, now_ms, blind_ms=blind_ms, at_last=at_last)
        if found.outcome is Outcome.WAITING:
            return False
        late = at_last or now_ms - absence.to_ms >= self._rules.silence.explain_within_s * 1000
        if found.outcome is Outcome.FAULT and not late and self._undecided(connection, absence, found.kind):
            return False
        return self._conclude(connection, absence, found, now_ms)

    def _undecided(self, connection: Connection, absence: Absence, kind: Kind | None) -> bool:
        """Whether samples prove the fault and have yet to show whether it is over: they know its times best."""
        return any(
            fault.episode.kind is kind and fault.episode.ended_ms is None and not fault.ticket
            for fault in kept.faults_since(connection, absence.site, absence.from_ms)
        )

    # --- as time goes by -----------------------------------------------------------------------------------------------

    def tick(self, connection: Connection, now_ms: int, playing: Callable[[str], bool]) -> None:
        """Begin absences whose promise has run out, open tickets that are due, give up waiting for explanations."""
        pending = self._load(connection)
        for site, last_live_ms in self._overdue(connection, now_ms):
            self._begin(connection, Absence(0, site, last_live_ms, now_ms, playing=playing(site)))
        # Until then only new evidence can explain a return, and that is looked at when it comes.
        waited_ms = self._rules.silence.explain_within_s * 1000
        returned = [absence for absence in pending.values() if absence.to_ms is not None]
        for site in [absence.site for absence in returned if now_ms - (absence.to_ms or 0) >= waited_ms]:
            self.explain(connection, site, now_ms)
        due = [
            absence
            for site, absence in pending.items()
            if absence.to_ms is None and not absence.goodbye and self._again_ms.get(site, 0) <= now_ms
        ]
        self._open(connection, self._wanted(connection, due[:_MOST_AT_ONCE], now_ms), now_ms)
        self._areas.tick(connection, now_ms)

    def _overdue(self, connection: Connection, now_ms: int) -> list[tuple[str, int]]:
        """Sites that were in contact, have said no goodbye, and have not kept their promise."""
        silence = self._rules.silence
        blind_until = self._blind_until(connection)
        state = site_state.c
        silent_already = exists().where(
            absences.c.site == state.site, absences.c.concluded_ms.is_(None), absences.c.to_ms.is_(None)
        )
        rows = connection.execute(
            select(state.site, state.last_live_ms, state.promised_ms)
            .where(state.promised_ms > 0, state.promised_ms < now_ms - silence.grace_s * 1000)
            .where(state.presence != Presence.STOPPING.value, ~silent_already)
            .order_by(state.site)
        )
        pending = self._load(connection)
        return [
            (site, last_live_ms)
            for site, last_live_ms, promised_ms in rows
            if (site not in pending or (pending[site].to_ms or 0) <= last_live_ms)
            and judging.due_ms(last_live_ms, promised_ms, blind_until, silence) <= now_ms
            and self._heard_since(connection, site, last_live_ms)
        ]

    def _blind_until(self, connection: Connection) -> int:
        return connection.execute(select(func.max(blind.c.to_ms))).scalar_one_or_none() or 0

    def _heard_since(self, connection: Connection, site: str, last_live_ms: int) -> bool:
        """Whether the last contact is not the one before an absence that is concluded already."""
        known = kept.absences_between(connection, site, last_live_ms, last_live_ms)
        return not any(one.to_ms is None or one.from_ms >= last_live_ms for one in known)

    def _wanted(self, connection: Connection, due: Sequence[Absence], now_ms: int) -> list[_Wanted]:
        if not due:
            return []
        places = neighbourhood.places(connection, [absence.site for absence in due])
        first_ms, last_ms = (choose(absence.from_ms for absence in due) for choose in (min, max))
        # Neighbours that were lost before these count as well.
        since_ms = min(first_ms, now_ms - LOOKED_BACK_MS)
        held = _Held(connection, since_ms - self._rules.silence.end_of_class_s * 1000, max(last_ms, now_ms))
        blinds = ledger.blind_between(connection, since_ms, now_ms)
        within_ms = self._rules.silence.neighbours_within_s * 1000
        nearby = Neighbourhood(connection, self._load(connection), first_ms, within_ms)
        nearby.prepare(place.access_node for place in places.values())
        found: list[_Wanted] = []

        def looked(absence: Absence, place: Place) -> Looked:
            silent = self._silent(connection, absence, place, held, blinds, now_ms)
            cut_off = judging.cuts_off(silent, self._rules.silence, self._utc_offset_min)
            calm = not cut_off and judging.at_the_end(silent, self._rules.silence, self._utc_offset_min)
            return Looked(cut_off, calm or now_ms < silent.heard_by_ms)

        of_area = self._areas.look(connection, self._load(connection), places, looked, now_ms)
        for absence in due:
            place = places.get(absence.site)
            if place is None:
                self._again_ms[absence.site] = now_ms + _LONGEST_CALM_MS  # no longer registered
                continue
            silent = self._silent(connection, absence, place, held, blinds, now_ms)
            if judging.cuts_off(silent, self._rules.silence, self._utc_offset_min):
                silent = silent._replace(neighbours=nearby.neighbours(absence, place))
            wanted = self._judge(connection, absence, place, silent, now_ms)
            if wanted is not None:
                found.append(wanted._replace(area=of_area.number_of.get(absence.site, "")))
        for site, again_ms in of_area.again_ms.items():
            self._again_ms[site] = min(again_ms, self._again_ms.get(site, again_ms))
        return found

    def _silent(
        self,
        connection: Connection,
        absence: Absence,
        place: Place,
        held: "_Held",
        blinds: Sequence[tuple[int, int]],
        now_ms: int,
    ) -> Silent:
        """What is known of a silence, but for the neighbours."""
        from_ms = absence.from_ms
        heard_by_ms = 0
        blind_until = max((end for _, end in blinds), default=0)
        if blind_until > from_ms:
            state = site_state.c
            promise = connection.execute(
                select(state.promised_ms - state.last_live_ms).where(state.site == absence.site)
            ).scalar()
            heard_by_ms = judging.due_ms(from_ms, from_ms + (promise or 0), blind_until, self._rules.silence)
        return Silent(
            lost_ms=from_ms,
            playing=absence.playing,
            lessons=held.around(place, absence.site, from_ms),
            week=hours.parse(place.hours) if place.hours else (),
            neighbours=Neighbours(),
            blind_ms=sum(max(0, min(end, now_ms) - max(start, from_ms)) for start, end in blinds),
            heard_by_ms=heard_by_ms,
        )

    def _judge(self, connection: Connection, absence: Absence, place: Place, silent: Silent, now_ms: int) -> _Wanted | None:
        decision = judging.judge(silent, self._rules, self._utc_offset_min, now_ms)
        self._remember(connection, absence, decision, now_ms)
        if decision.kind is None or not self._raises(decision.kind):
            return None
        if absence.ticket and (decision.kind is not Kind.LINE_SUSPECTED or absence.suspected_ms is not None):
            return None
        title = next((one.title for one in silent.lessons if one.from_ms <= absence.from_ms < one.to_ms), "")
        return _Wanted(absence, decision.kind, decision.why, place, silent.neighbours, title)

    def _raises(self, kind: Kind) -> bool:
        rule = self._rules.of(kind)
        return rule is not None and rule.ticket

    def _remember(self, connection: Connection, absence: Absence, decision: Decision, now_ms: int) -> None:
        decided = decision.kind is not None and (bool(absence.ticket) or not self._raises(decision.kind))
        again_ms = now_ms + _CALM_RECHECK_MS if decided else min(decision.again_ms, now_ms + _LONGEST_CALM_MS)
        self._again_ms[absence.site] = again_ms
        if absence.why != decision.why.value:
            self._save(connection, absence._replace(why=decision.why.value))

    # --- tickets -------------------------------------------------------------------------------------------------------

    def _open(self, connection: Connection, wanted: Sequence[_Wanted], now_ms: int) -> None:
        """Open the tickets. Of sites whose lines are suspected together one leads, and the others owe no mail of their own."""
        groups: dict[str, list[_Wanted]] = {}
        for one in (one._replace(absence=self._current(connection, one.absence)) for one in wanted):
            if one.area:
                self._open_one(connection, one, now_ms, parent=one.area)
            elif one.kind is Kind.LINE_SUSPECTED:
                groups.setdefault(one.place.access_node, []).append(one)
            else:
                self._open_one(connection, one, now_ms)
        for of_node in groups.values():
            # One that has a ticket already keeps its number.
            of_node.sort(key=lambda one: not one.absence.ticket)
            lead = self._lead(connection, of_node[0])
            number = lead or of_node[0].absence.ticket or self._desk.number(connection, now_ms)
            for one in of_node if lead else of_node[1:]:
                self._open_one(connection, one, now_ms, parent=number)
            if not lead:
                # Last, so that its mail can name the others.
                self._open_one(connection, of_node[0], now_ms, number=number)

    def _lead(self, connection: Connection, first: _Wanted) -> str:
        """The number of the ticket that leads this access node's already; empty: there is none."""
        within_ms = self._rules.silence.neighbours_within_s * 1000
        suspected = [
            absence
            for absence in self._load(connection).values()
            if absence.suspected_ms is not None and abs(absence.from_ms - first.absence.from_ms) <= within_ms
        ]
        places = neighbourhood.places(connection, [absence.site for absence in suspected])
        for absence in suspected:
            place = places.get(absence.site)
            if place is None or place.access_node != first.place.access_node:
                continue
            ticket = stored.find(connection, absence.ticket)
            if ticket is None:
                continue
            lead = stored.find(connection, ticket.parent) if ticket.parent else ticket
            if lead is not None and lead.state in _UNDONE:
                return lead.number
        return ""

    def _open_one(self, connection: Connection, one: _Wanted, now_ms: int, *, number: str = "", parent: str = "") -> None:
        absence, fault = one.absence, self._fault(one)
        suspected = now_ms if one.kind is Kind.LINE_SUSPECTED else absence.suspected_ms
        if absence.ticket:
            ticket = stored.find(connection, absence.ticket)
            if ticket is None or ticket.state not in _UNDONE or ticket.kind not in _OF_SILENCE:
                return  # a call from the site tells more than silence
            # With a parent it owes no mail to the new party: the lead's tells it.
            change = tickets.amend(replace(ticket, parent=parent), fault, now_ms=now_ms)
        else:
            number = number or self._desk.number(connection, now_ms)
            change = tickets.open_from(fault, number=number, site=absence.site, now_ms=now_ms, parent=parent)
        self._desk.apply(connection, change, now_ms)
        self._save(connection, absence._replace(ticket=change.ticket.number, suspected_ms=suspected, why=one.why.value))

    def _fault(self, one: _Wanted) -> Fault:
        absence = one.absence
        facts = [("last_heard", str(absence.from_ms))]
        if one.lesson:
            facts.append(("class", one.lesson))
        if absence.playing:
            facts.append(("playing", "1"))
        if one.kind is Kind.LINE_SUSPECTED:
            facts += [
                ("access_node", one.place.access_node),
                ("neighbours_gone", f"{one.neighbours.gone}/{one.neighbours.together}"),
            ]
        return Fault(
            kind=one.kind,
            party=self._rules.party(one.kind),
            grade=Grade.INFERRED if one.kind is Kind.LINE_SUSPECTED else Grade.TO_VERIFY,
            severity=self._rules.severity(one.kind),
            started_ms=absence.from_ms,
            evidence=Evidence(facts=tuple(facts)),
        )

    def _conclude(self, connection: Connection, absence: Absence, found: Explanation, now_ms: int) -> bool:
        absence = self._current(connection, absence)
        ticket = stored.find(connection, absence.ticket) if absence.ticket else None
        change: tickets.Change | None = None
        try:
            change = self._closing(connection, absence, ticket, found, now_ms)
        except TicketRefused as err:
            _log.info("ticket %s: a person was faster", err)
        number = absence.ticket
        if change is not None:
            number = self._desk.apply(connection, change, now_ms).number
        done = absence._replace(ticket=number, outcome=found.outcome.value, concluded_ms=now_ms)
        kept.save_absence(connection, done)
        self._load(connection).pop(absence.site, None)
        self._again_ms.pop(absence.site, None)
        self._concluded.append((done, change is not None))
        return change is not None

    def _closing(
        self, connection: Connection, absence: Absence, ticket: Ticket | None, found: Explanation, now_ms: int
    ) -> tickets.Change | None:
        """What the reason for a silence does to its ticket. One that has got its true kind already needs nothing more."""
        assert absence.to_ms is not None
        open_one = ticket if ticket is not None and ticket.state in _UNDONE and ticket.kind in _OF_SILENCE else None
        if found.outcome is Outcome.BLOCKED and found.kind is not None and not absence.goodbye:
            fault = self._explained(absence, found)
            if open_one is not None:
                return tickets.amend(open_one, fault, now_ms=now_ms)
            if ticket is None and self._raises(found.kind):
                number = self._desk.number(connection, now_ms)
                return tickets.born_resolved(fault, number=number, site=absence.site, now_ms=now_ms)
            return None
        if found.outcome is Outcome.FAULT and ticket is not None and ticket.kind in _OF_SILENCE:
            open_one = ticket if ticket.state is not TicketState.CLOSED else None
        if open_one is None:
            return None
        if found.outcome in (Outcome.POWER, Outcome.OFF):
            return tickets.withdraw(open_one, closing=Closing.EXPLAINED, text=found.outcome.value, now_ms=now_ms)
        if found.outcome is Outcome.OURSELVES:
            return tickets.withdraw(open_one, closing=Closing.OWN_BLINDNESS, now_ms=now_ms)
        if found.outcome is Outcome.FAULT and found.kind is not None:
            # Also the ticket that a person has resolved meanwhile.
            return tickets.amend(open_one, self._proven(connection, absence, found), now_ms=now_ms)
        return tickets.recover(open_one, ended_ms=absence.to_ms, now_ms=now_ms)

    def _proven(self, connection: Connection, absence: Absence, found: Explanation) -> Fault:
        """The fault that the record names, shown by a sample where one proves it."""
        fault = self._explained(absence, found)
        for one in kept.faults_since(connection, absence.site, absence.from_ms):
            if one.episode.kind is found.kind and one.episode.overlaps(found.from_ms, found.to_ms):
                shown = proof.evidence(connection, absence.site, one.episode.proof, found.kind, facts=fault.evidence.facts)
                return replace(fault, evidence=shown)
        return fault

    def _explained(self, absence: Absence, found: Explanation) -> Fault:
        assert found.kind is not None
        return Fault(
            kind=found.kind,
            party=self._rules.party(found.kind, found.party),
            grade=Grade.PROVEN,
            severity=self._rules.severity(found.kind),
            started_ms=found.from_ms,
            ended_ms=found.to_ms,
            evidence=Evidence(facts=(("dark_from", str(absence.from_ms)), ("dark_to", str(absence.to_ms)))),
        )

    def _begin(self, connection: Connection, absence: Absence) -> None:
        """A new silence. One before it whose reason is still awaited gets the one that there is by now."""
        before = self._load(connection).get(absence.site)
        if before is not None:
            self.explain(connection, absence.site, absence.noticed_ms, at_last=True)
        self._load(connection)[absence.site] = kept.begin_absence(connection, absence)
        self._again_ms.pop(absence.site, None)

    # --- memory --------------------------------------------------------------------------------------------------------

    def _load(self, connection: Connection) -> dict[str, Absence]:
        if self._pending is None:
            self._pending = {absence.site: absence for absence in kept.pending_absences(connection)}
        return self._pending

    def _current(self, connection: Connection, absence: Absence) -> Absence:
        """An absence with the ticket that a call from the site may have given it meanwhile."""
        return absence if absence.ticket else absence._replace(ticket=kept.ticket_of_absence(connection, absence.id))

    def _save(self, connection: Connection, absence: Absence) -> None:
        absence = self._current(connection, absence)
        kept.save_absence(connection, absence)
        self._load(connection)[absence.site] = absence


class _Held:
    """The classes of a stretch of time, by whom they are for."""

    def __init__(self, connection: Connection, from_ms: int, to_ms: int) -> None:
        self._by_whom: dict[tuple[str, str, str], list[Lesson]] = {}
        for _, one in lessons.between(connection, from_ms - 1, to_ms + 1):
            self._by_whom.setdefault((one.county, one.township, one.site), []).append(one.lesson)

    def around(self, place: Place, site: str, at_ms: int) -> tuple[Lesson, ...]:
        """Those of a site that had begun by ``at_ms``."""
        whom = product(("", place.county), ("", place.township), ("", site))
        return tuple(one for key in dict.fromkeys(whom) for one in self._by_whom.get(key, ()) if one.from_ms <= at_ms)
