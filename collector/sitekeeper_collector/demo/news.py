"""What the demo tells of its county: steps taken and to come, tickets and mails, read from where they really are."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import func, select

from sitekeeper_collector.demo.county import County
from sitekeeper_collector.domain.tickets import Ticket, TicketState
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.store.engine import Store
from sitekeeper_collector.store.tables import mails, sites, tickets
from sitekeeper_protocol.texts import Lang

_SHOWN = 4


class Told(NamedTuple):
    """A step of the script: when (s after the start), what happens, what to look at."""

    at_s: float
    happens: str
    look: str


class TicketLine(NamedTuple):
    """A ticket in one line."""

    number: str
    site_name: str
    ticket: Ticket


class CountyNews(NamedTuple):
    """How the county stands. ``coming`` is the next step with the seconds until it, ``None`` once all is over."""

    sites: int
    connected: int
    samples: int
    steps: int
    done: tuple[Told, ...]
    coming: tuple[float, str] | None
    counts: dict[TicketState, int]
    tickets: tuple[TicketLine, ...]
    mails: int


def take(county: County, store: Store, elapsed_s: float, lang: Lang) -> CountyNews:
    """Read the moment. Raises ``CountyError`` if the county has ended by itself."""
    county.check()
    figures = county.figures()
    done = len(county.events())
    told = [Told(step.at_s, *step.words(lang)) for step in county.script]
    coming = (max(0.0, told[done].at_s - elapsed_s), told[done].happens) if done < len(told) else None
    with store.read() as connection:
        counts = stored.counts(connection)
        rows = connection.execute(
            select(tickets, sites.c.name.label("site_name"))
            .select_from(tickets.outerjoin(sites, sites.c.id == tickets.c.site))
            .where(tickets.c.parent == "")
            .order_by(tickets.c.opened_ms.desc(), tickets.c.number.desc())
            .limit(_SHOWN)
        ).all()
        sent = connection.execute(select(func.count()).select_from(mails).where(mails.c.state == "sent")).scalar_one()
    return CountyNews(
        sites=figures.sites,
        connected=figures.connected,
        samples=figures.taken,
        steps=len(told),
        done=tuple(told[:done]),
        coming=coming,
        counts=counts,
        tickets=_lines(rows),
        mails=int(sent),
    )


def _lines(rows: "Sequence[object]") -> tuple[TicketLine, ...]:
    found = []
    for row in rows:
        ticket = stored.read(row)  # type: ignore[arg-type]
        found.append(TicketLine(ticket.number, str(getattr(row, "site_name", None) or ticket.site), ticket))
    return tuple(found)
