"""The ticket desk: what happens to a ticket is written here, with its timeline and the mails that it owes, all together."""

import datetime
from collections.abc import Callable, Sequence

from msgspec.structs import replace
from sqlalchemy import Connection, select

from sitekeeper_collector.config import Mail as MailSettings
from sitekeeper_collector.config import Recipient
from sitekeeper_collector.domain.tickets import Change, Notice, NoticeEvent, Ticket
from sitekeeper_collector.notify import outbox
from sitekeeper_collector.notify.view import Answering, LineIdentity, MailView
from sitekeeper_collector.registry import contacts
from sitekeeper_collector.store import areas
from sitekeeper_collector.store import outbox as stored_outbox
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.store.outbox import Mail
from sitekeeper_collector.store.tables import sites
from sitekeeper_protocol.vocabulary import Party

_CALM = (NoticeEvent.RECOVERED, NoticeEvent.CLOSED, NoticeEvent.MOVED_AWAY)


class NoSuchTicketError(LookupError):
    """There is no ticket of that number."""


class Desk:
    """Writes changes of tickets. Used within the caller's transaction; keeps nothing between two of them."""

    def __init__(self, mail: MailSettings, utc_offset_min: int) -> None:
        self._mail = mail
        self._utc_offset_min = utc_offset_min

    def number(self, connection: Connection, now_ms: int) -> str:
        """A number for a new ticket."""
        zone = datetime.timezone(datetime.timedelta(minutes=self._utc_offset_min))
        return stored.new_number(connection, datetime.datetime.fromtimestamp(now_ms / 1000, zone).strftime("%y%m%d"))

    def change(self, connection: Connection, number: str, transition: Callable[[Ticket], Change], now_ms: int) -> Ticket:
        """Take one step of the ticket ``number``, as a person at the console does.

        Raises ``NoSuchTicketError``, and ``TicketRefused`` if its state does not allow the step; then nothing is written.
        """
        ticket = stored.find(connection, number)
        if ticket is None:
            raise NoSuchTicketError(number)
        return self.apply(connection, transition(ticket), now_ms)

    def apply(self, connection: Connection, change: Change, now_ms: int) -> Ticket:
        """Write a change: the ticket, its timeline, and a mail to each recipient of each notice."""
        stored.save(connection, change.ticket)
        stored.append(connection, change.entries)
        for notice in change.notices:
            if notice.at_once:
                self._owe(connection, change.ticket, notice, now_ms)
        return change.ticket

    # --- mails ---------------------------------------------------------------------------------------------------------

    def _owe(self, connection: Connection, ticket: Ticket, notice: Notice, now_ms: int) -> None:
        site = connection.execute(select(sites).where(sites.c.id == ticket.site)).mappings().one_or_none()
        place = {name: str(site[name]) for name in site} if site is not None else {}
        recipients = self._recipients(connection, notice, place)
        if not recipients:
            return
        view = self._view(connection, ticket, notice, place, now_ms)
        for recipient in recipients:
            row = outbox.owed(thread=notice.thread, number=notice.number, recipient=recipient.address, now_ms=now_ms)
            theirs = replace(view, party_name=recipient.name if ticket.party is notice.party else "")
            stored_outbox.owe(connection, Mail(row, ticket.number, recipient.lang, theirs))

    def _recipients(self, connection: Connection, notice: Notice, place: dict[str, str]) -> list[Recipient]:
        """Whoever got the first mail of the thread gets the others; the first goes to all whose job it is at this place."""
        if notice.number > 0:
            known = {recipient.address: recipient for recipient in self._mail.recipients}
            told = stored_outbox.recipients_of(connection, notice.thread)
            return [known.get(address) or Recipient(party=notice.party, address=address, lang=lang) for address, lang in told]
        found = {r.address: r for r in self._mail.recipients if r.party is notice.party and _responsible(r, place)}
        if notice.party is Party.SITE and not found:
            found = {
                c.mail: Recipient(party=Party.SITE, address=c.mail) for c in contacts.parse(place.get("contacts", "")) if c.mail
            }
        return list(found.values())

    def _view(self, connection: Connection, ticket: Ticket, notice: Notice, place: dict[str, str], now_ms: int) -> MailView:
        first = stored_outbox.first_view(connection, notice.thread) if notice.number > 0 else None
        members = self._members(connection, ticket)
        return MailView(
            event=notice.event,
            ticket=ticket.number,
            at_ms=now_ms,
            site=ticket.site,
            site_name=place.get("name", ticket.site),
            kind=ticket.kind,
            party=ticket.party,
            grade=ticket.grade,
            severity=ticket.severity,
            started_ms=ticket.outage_from_ms,
            ended_ms=ticket.outage_to_ms,
            township=place.get("township", ""),
            line=LineIdentity(account=place.get("account", ""), loid=place.get("loid", ""), phone=place.get("line_phone", "")),
            evidence=ticket.evidence,
            timeline=stored.timeline_of(connection, ticket.number),
            closing=ticket.closing,
            parent=ticket.parent,
            previous=ticket.previous,
            area=(ticket.area.rpartition("/")[2] or place.get("access_node", "")) if members else "",
            members=tuple(members),
            answering=Answering(mail=bool(self._mail.reply_to) and notice.event not in _CALM, phone=self._mail.phone),
            follows=notice.number > 0,
            subject_kind=None if first is None else first.subject_kind or first.kind,
            subject_name="" if first is None else first.subject_name or first.area or first.site_name,
            utc_offset_min=self._utc_offset_min,
        )

    def _members(self, connection: Connection, ticket: Ticket) -> list[str]:
        """The names of the sites that a common cause has taken, if this ticket leads others."""
        if ticket.area:
            return names_of(connection, areas.sites_of(connection, ticket.number))
        children = [child.site for child in stored.children_of(connection, ticket.number)]
        if not children:
            return []
        return names_of(connection, [ticket.site, *children])


def names_of(connection: Connection, ids: Sequence[str]) -> list[str]:
    """The names of sites, in the order of their names."""
    rows = connection.execute(select(sites.c.name).where(sites.c.id.in_(ids)).order_by(sites.c.name))
    return [str(row.name) for row in rows]


def _responsible(recipient: Recipient, place: dict[str, str]) -> bool:
    return all(not (wanted := getattr(recipient, name)) or wanted == place.get(name) for name in ("county", "township"))
