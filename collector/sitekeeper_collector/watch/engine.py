"""The watch: faults from what sites report, in ingest's own transaction; and what follows from silence, as time goes by.

It belongs to one thread. What it keeps in memory is right as long as its transactions are committed; after one that failed,
``forget`` lets it begin anew from the database.
"""

import logging
from collections.abc import Iterable

from sqlalchemy import Connection

from sitekeeper_collector.domain import casework, tickets
from sitekeeper_collector.domain.casework import Difference, Step, Tickets
from sitekeeper_collector.domain.detection import Episode, Group, Phase, Proof, groups, walk_all
from sitekeeper_collector.domain.evidence import GRADES
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.domain.signs import VERDICT_KINDS, Play
from sitekeeper_collector.domain.tickets import Closing, Fault, Ticket, TicketRefused, TicketState
from sitekeeper_collector.store import evidence as kept
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.store.evidence import KeptFault
from sitekeeper_collector.watch import context, proof, requests
from sitekeeper_collector.watch.book import CAPACITY, Book
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_collector.watch.news import News
from sitekeeper_collector.watch.silence import Silences
from sitekeeper_protocol.vocabulary import Grade, Kind, Rung, State

_log = logging.getLogger("sitekeeper.watch")
SEEN_AGAIN = "seen_again"


class Watch:
    """Takes news of sites and the passing of time; writes faults, absences and tickets."""

    def __init__(self, rules: Rules, desk: Desk, *, utc_offset_min: int) -> None:
        self.rules, self.desk = rules, desk
        self._quick, self._slow = groups(rules)
        self._utc_offset_min = utc_offset_min
        self._slowly: set[str] = set()
        """As ``_troubled``, for kinds that take days or weeks to show."""
        self._book = Book(rules)
        self.limits = self._book.limits
        self._silences = Silences(rules, desk, utc_offset_min=utc_offset_min)
        self._troubled: set[str] | None = None
        """Sites at which a fault is open, or was suspected at the last walk. ``None``: to be read from the database."""
        self._contacts: dict[str, tuple[tuple[int, int], int]] = {}
        """By which run and connection each site is heard, and since when, as far as this process has heard."""

    # --- in a transaction of ingest ------------------------------------------------------------------------------------

    def take(self, connection: Connection, news: News, now_ms: int) -> set[str]:
        """What a batch comes to. The sites whose tickets have changed."""
        changed: dict[str, int] = {}
        slow: set[str] = set()
        troubled = self._load(connection)
        for site, heard_by in news.connections.items():
            known = self._contacts.get(site)
            if known is None or known[0] != heard_by:
                self._contacts[site] = (heard_by, news.back[site])
        self._book.prefetch(connection, (of_run.site for of_run in news.samples))
        for of_run in news.samples:
            since_ms, quiet, slowly = self._book.take(connection, of_run)
            if slowly:
                slow.add(of_run.site)
            if since_ms is not None and (not quiet or of_run.site in troubled or of_run.site in changed):
                changed[of_run.site] = min(since_ms, changed.get(of_run.site, since_ms))
        for site, boot in sorted(news.replaced):
            since_or_none = self._book.rebuild(connection, site, boot)
            if since_or_none is not None:
                slow.add(site)
                changed[site] = min(since_or_none, changed.get(site, since_or_none))
        self._book.flush(connection)
        told: set[str] = set()
        returned = self._silences.hear(connection, news, self._tail_playing(connection, news.goodbyes))
        for site, since_ms in changed.items():
            if self._review(connection, site, since_ms, now_ms, slow=site in slow):
                told.add(site)
        for site in dict.fromkeys([*(of_run.site for of_run in news.samples), *changed, *returned]):
            self._silences.explain(connection, site, now_ms)
        told |= self._settle_explained(connection, now_ms)
        for request in news.requests:
            requests.take_button(connection, self.desk, self.rules, request, now_ms)
            told.add(request.site)
        return told

    def settle(self) -> None:
        """The transaction is committed."""
        self._book.settle()
        if len(self._contacts) > CAPACITY:
            self._contacts.clear()

    def forget(self) -> None:
        """The transaction failed, or the database is another one."""
        self._book.forget()
        self._silences.forget()
        self._troubled = None

    # --- as time goes by -----------------------------------------------------------------------------------------------

    def tick(self, connection: Connection, now_ms: int) -> None:
        """What follows from the silence of sites until now. Not to be called while we are blind."""
        self._silences.tick(connection, now_ms, lambda site: self._playing(connection, site))
        self._settle_explained(connection, now_ms)

    def _playing(self, connection: Connection, site: str) -> bool:
        tail = self._book.tail(connection, site)
        return tail is not None and tail.signs.play == Play.YES.value

    def _tail_playing(self, connection: Connection, sites: Iterable[str]) -> dict[str, bool]:
        return {site: self._playing(connection, site) for site in sites}

    # --- faults --------------------------------------------------------------------------------------------------------

    def _review(self, connection: Connection, site: str, since_ms: int, now_ms: int, *, slow: bool) -> bool:
        """Walk over a site's record again from ``since_ms`` on; whether a ticket changed."""
        troubled = self._load(connection)
        told, quick_clear = self._walk(connection, site, self._quick, since_ms, now_ms)
        slow_clear = True
        if slow or site in self._slowly:
            again, slow_clear = self._walk(connection, site, self._slow, since_ms, now_ms)
            told |= again
        (self._slowly.discard if slow_clear else self._slowly.add)(site)
        (troubled.discard if quick_clear and slow_clear else troubled.add)(site)
        return told

    def _walk(self, connection: Connection, site: str, group: Group, since_ms: int, now_ms: int) -> tuple[bool, bool]:
        """Walk for some kinds: whether a ticket changed, and whether all of them are clear now."""
        start_ms = since_ms - group.look_back_ms
        found_before = kept.faults_since(connection, site, start_ms - self.rules.flapping.within_s * 1000)
        mine = [one for one in found_before if one.episode.kind in group.kinds]
        known = [one for one in mine if one.episode.ended_ms is None or one.episode.ended_ms >= start_ms]
        spans = kept.spans_between(connection, site, start_ms)
        found = walk_all(
            spans,
            self.rules,
            [one.episode for one in mine],
            from_ms=start_ms,
            kinds=group.kinds,
            context=context.of_site(connection, site, spans, start_ms, group.kinds, self._utc_offset_min),
        )
        episodes = [episode for of_kind in found.values() for episode in of_kind.episodes]
        told = False
        for difference in casework.differences([one.episode for one in known], episodes):
            told |= self._settle(connection, site, known, difference, now_ms)
        return told, all(of_kind.now.phase is Phase.CLEAR for of_kind in found.values())

    def _load(self, connection: Connection) -> set[str]:
        if self._troubled is None:
            # What was only suspected shows again with the next sample that names it.
            lasting = kept.open_faults(connection)
            self._troubled = {site for site, _ in lasting}
            self._slowly = {site for site, one in lasting if one.episode.kind in self._slow.kinds}
        return self._troubled

    def _settle(self, connection: Connection, site: str, known: list[KeptFault], difference: Difference, now_ms: int) -> bool:
        row = None if difference.kept is None else known[difference.kept]
        after = difference.after
        its = self._tickets(connection, site, row, after or difference.before, now_ms)
        kind = (after or difference.before or _nothing()).kind
        rule = self.rules.of(kind)
        others = self._others(connection, row, its.own)
        step = casework.step(
            casework.whole(difference.before, others) if difference.before is not None else None,
            subject := casework.whole(after, others),
            its,
            raises=rule is not None and rule.ticket and self._worth_a_ticket(connection, site, after),
            hold_up_ms=rule.hold_up_s * 1000 if rule is not None else 0,
            now_ms=now_ms,
        )
        ticket = self._take_step(connection, site, step, its, subject, now_ms)
        theirs = ticket or its.own
        number = theirs.number if theirs is not None else row.ticket if row is not None else ""
        if after is None:
            if row is not None:
                kept.drop_fault(connection, row.id)
        else:
            kept.save_fault(connection, site, after, number, None if row is None else row.id)
        return ticket is not None

    def _worth_a_ticket(self, connection: Connection, site: str, episode: Episode | None) -> bool:
        """Whether what is known beside the record speaks for a fault of this site."""
        if episode is None:
            return True
        if episode.kind is Kind.RESTARTING:
            return not context.neighbours_lost_power(connection, site, episode.started_ms, episode.bad_ms)
        return context.was_there_before(connection, site, episode)

    def _others(self, connection: Connection, row: KeptFault | None, own: Ticket | None) -> list[Episode]:
        """The other faults of a ticket that was opened again, or that explains a silence."""
        if own is None:
            return []
        found = kept.faults_of_ticket(connection, own.number)
        return [one.episode for one in found if row is None or one.id != row.id]

    def _settle_explained(self, connection: Connection, now_ms: int) -> set[str]:
        """What silences that have got their reason leave to do: other faults in them get their tickets."""
        told: set[str] = set()
        for absence, changed in self._silences.concluded():
            site = absence.site
            if changed:
                told.add(site)
            known = kept.faults_since(connection, site, absence.from_ms)
            for at, one in enumerate(known):
                if not one.ticket and one.episode.overlaps(absence.from_ms, absence.to_ms):
                    same = Difference(at, one.episode, one.episode)
                    if self._settle(connection, site, known, same, now_ms):
                        told.add(site)
        return told

    def _tickets(
        self, connection: Connection, site: str, row: KeptFault | None, episode: Episode | None, now_ms: int
    ) -> Tickets:
        own = stored.find(connection, row.ticket) if row is not None and row.ticket else None
        if own is not None or episode is None:
            return Tickets(own=own)
        over = self._silences.ticket_over(connection, site, episode)
        if over is not None and over.ticket.kind is episode.kind:
            return Tickets(own=over.ticket)  # the silence has been explained by this very fault, from the ledger
        previous = stored.latest_of_kind(connection, site, episode.kind)
        waits = previous is not None and previous.state in (TicketState.OPEN, TicketState.ACKNOWLEDGED)
        contact = self._contacts.get(site)
        unproven = previous is not None and waits and not kept.faults_of_ticket(connection, previous.number)
        return Tickets(
            of_silence=over,
            claimed=previous if unproven else None,
            previous=previous,
            in_contact=not self._silences.is_silent(connection, site),
            contact_ms=contact[1] if contact is not None else now_ms,
        )

    def _take_step(
        self, connection: Connection, site: str, step: Step, its: Tickets, episode: Episode | None, now_ms: int
    ) -> Ticket | None:
        """Do what was decided; the ticket, if one was changed or made."""
        try:
            change = self._change(connection, site, step, its, episode, now_ms)
        except TicketRefused as err:
            # A person was faster. What they decided stands.
            _log.info("ticket %s: %s is not possible any more", err, step)
            return None
        return None if change is None else self.desk.apply(connection, change, now_ms)

    def _change(
        self, connection: Connection, site: str, step: Step, its: Tickets, episode: Episode | None, now_ms: int
    ) -> tickets.Change | None:
        if step is Step.WITHDRAW and its.own is not None:
            return tickets.withdraw(its.own, closing=Closing.MISTAKEN, now_ms=now_ms)
        if episode is None or step is Step.NOTHING:
            return None
        if step is Step.RECOVER and its.own is not None and episode.ended_ms is not None:
            return tickets.recover(
                its.own, ended_ms=episode.ended_ms, now_ms=now_ms, evidence=self._newest(connection, site, episode)
            )
        if step is Step.RETIME and its.own is not None:
            return tickets.retime(its.own, from_ms=episode.started_ms, to_ms=episode.ended_ms, now_ms=now_ms)
        fault = self._fault(connection, site, episode)
        if step is Step.CONFIRM and its.claimed is not None:
            return tickets.amend(its.claimed, fault, now_ms=now_ms)
        if step is Step.AMEND and its.of_silence is not None:
            return tickets.amend(its.of_silence.ticket, fault, now_ms=now_ms)
        again = its.own or its.previous
        if step is Step.REOPEN and again is not None:
            return tickets.reopen(again, why=SEEN_AGAIN, now_ms=now_ms, evidence=fault.evidence)
        previous = its.previous.number if its.previous is not None and its.previous.state is not TicketState.CLOSED else ""
        number = self.desk.number(connection, now_ms)
        make = tickets.born_resolved if step is Step.BORN_RESOLVED else tickets.open_from
        return make(fault, number=number, site=site, now_ms=now_ms, previous=previous)

    def _fault(self, connection: Connection, site: str, episode: Episode) -> Fault:
        found = proof.evidence(connection, site, episode.proof, episode.kind)
        return Fault(
            kind=episode.kind,
            party=self.rules.party(episode.kind, episode.party),
            grade=episode.grade or _grade(episode.kind, found),
            severity=self.rules.severity(episode.kind),
            started_ms=episode.started_ms,
            ended_ms=episode.ended_ms,
            evidence=found,
        )

    def _newest(self, connection: Connection, site: str, episode: Episode) -> tickets.Evidence | None:
        """What the newest sample shows: that it works again."""
        tail = self._book.tail(connection, site)
        if tail is None or (episode.ended_ms is not None and tail.to_ms < episode.ended_ms):
            return None
        found = proof.evidence(connection, site, Proof(tail.run, tail.last), episode.kind)
        return found if found.readings or found.facts else None


def _grade(kind: Kind, found: tickets.Evidence) -> Grade:
    """How sure a measured kind is; of the others the verdict says it. A measured value is its own proof of what it measures."""
    if kind in VERDICT_KINDS:
        return Grade.TO_VERIFY
    if kind is Kind.PLAYBACK_FAILURE and not any(one.rung == Rung.MEDIA and one.state == State.OK for one in found.readings):
        return Grade.TO_VERIFY  # without a probe of the stream, it may be the stream
    return GRADES.get(kind, Grade.PROVEN)


def _nothing() -> Episode:
    raise AssertionError("a difference has a before or an after")
