"""The list of tickets, the page of each, and the mails about it."""

from typing import NamedTuple

from litestar import Response, get
from litestar.enums import MediaType
from litestar.exceptions import NotFoundException
from litestar.response import Template
from sqlalchemy import Connection

from sitekeeper_collector.domain.tickets import Ticket, TicketState
from sitekeeper_collector.notify import mail as mail_form
from sitekeeper_collector.notify.facts import finding
from sitekeeper_collector.notify.view import MailView, carrier_text
from sitekeeper_collector.store import outbox
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.store.outbox import Mail
from sitekeeper_collector.watch.desk import names_of
from sitekeeper_collector.web import casework, views
from sitekeeper_collector.web.access import console_of, language_of
from sitekeeper_collector.web.casework import PER_PAGE, Place, Wanted
from sitekeeper_collector.web.frame import AnyRequest, context, fresh, in_store, param, part
from sitekeeper_protocol.texts import Lang, help_steps
from sitekeeper_protocol.vocabulary import Kind, Party

_STATES: dict[str, tuple[str, ...]] = {
    "waiting": stored.UNDONE,
    "resolved": (TicketState.RESOLVED.value,),
    "closed": (TicketState.CLOSED.value,),
    "all": (),
}
_MOST_PAGES = 10_000
MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; sandbox"
"""What a mail may do in a browser: look like something, and nothing else."""


class Filter(NamedTuple):
    """What the reader wants to see, as the address says it; what is not a known word is none."""

    state: str
    party: str
    kind: str
    q: str
    page: int


@get("/tickets", sync_to_thread=True)
def tickets(request: AnyRequest) -> Template:
    """Tickets by state, party and kind, with search, the newest first."""
    wanted = _filter(request)

    def ask(connection: Connection, _blind: bool, now_ms: int) -> dict[str, object]:
        chosen = Wanted(_STATES[wanted.state], wanted.party, wanted.kind, wanted.q)
        total = casework.how_many(connection, chosen)
        pages = max(1, -(-total // PER_PAGE))
        page = min(wanted.page, pages)
        counts = stored.counts(connection)
        return {
            "rows": casework.listed(connection, chosen, skip=(page - 1) * PER_PAGE, most=PER_PAGE),
            "total": total,
            "pages": pages,
            "wanted": wanted._replace(page=page),
            "counts": {
                word: sum(n for state, n in counts.items() if state.value in states or not states)
                for word, states in _STATES.items()
            },
            "kinds": casework.kinds(connection),
            "parties": tuple(Party),
            "now_ms": now_ms,
        }

    return Template("tickets.html", context=context(request, **in_store(request, ask)))


def _filter(request: AnyRequest) -> Filter:
    state, party, kind, page = (param(request, name, 40) for name in ("state", "party", "kind", "page"))
    return Filter(
        state=state if state in _STATES else "waiting",
        party=party if party in set(Party) else "",
        kind=kind if kind in set(Kind) else "",
        q=param(request, "q"),
        page=min(int(page), _MOST_PAGES) if page.isascii() and page.isdecimal() and int(page) > 0 else 1,
    )


# --- one ticket --------------------------------------------------------------------------------------------------------


@get("/tickets/{number:str}", sync_to_thread=True)
def ticket_page(request: AnyRequest) -> Template:
    """One ticket: what it rests on, what was done, and what can be done."""
    return shown(request, str(request.path_params["number"]))


def shown(request: AnyRequest, number: str, *, refused: str = "", typed: str = "", status: int = 200) -> Template:
    """The page of a ticket, which may say why a step was refused and keeps what was typed. Raises ``NotFoundException``."""
    values = _values(request, number)
    more = {"live": part(request, "ticket_now.html", values), "refused": refused, "typed": typed, "here": f"/tickets/{number}"}
    return Template("ticket.html", context=values | more, status_code=status)


@get("/tickets/{number:str}/now", sync_to_thread=True)
def ticket_now(request: AnyRequest) -> Response[str]:
    """The part of a ticket's page that keeps itself up to date."""
    return fresh(request, "ticket_now.html", _values(request, str(request.path_params["number"])), "ticket_steps.html")


def _values(request: AnyRequest, number: str) -> dict[str, object]:
    console, lang = console_of(request), language_of(request)

    def ask(connection: Connection, _blind: bool, now_ms: int) -> dict[str, object]:
        ticket = stored.find(connection, number)
        if ticket is None:
            raise NotFoundException
        place = casework.place_of(connection, ticket.site)
        children = casework.related(connection, ticket)
        members = names_of(connection, [ticket.site, *(child.site for child in children)]) if children else []
        offset_min = console.utc_offset_min
        view = casework.view_of(connection, ticket, place or Place(), members, now_ms=now_ms, utc_offset_min=offset_min)
        return {
            "ticket": ticket,
            "site_name": view.site_name,
            "area": view.area,
            "place": place,
            "ladders": views.by_path(ticket.evidence.readings),
            "findings": [finding(name, value, view, lang) for name, value in ticket.evidence.facts],
            "entries": view.timeline[::-1],
            "carrier": _carrier(view, lang),
            "help": help_steps(ticket.kind, lang) if ticket.party in (Party.SITE, Party.TECHNICIAN) else (),
            "children": children,
            "mails": outbox.of_ticket(connection, number),
            "steps": _steps(ticket),
            "now_ms": now_ms,
        }

    return context(request, **in_store(request, ask))


def _carrier(view: MailView, lang: Lang) -> str:
    return carrier_text(view, lang) if view.party is Party.TELECOM and view.ended_ms is None else ""


def _steps(ticket: Ticket) -> tuple[str, ...]:
    """What can be done with it now; the rules themselves are the domain's."""
    if ticket.state in (TicketState.RESOLVED, TicketState.CLOSED):
        return ("comment",)
    first = ("acknowledge",) if ticket.state is TicketState.OPEN else ()
    return (*first, "comment", "repaired", "resolve")


# --- its mails ---------------------------------------------------------------------------------------------------------


@get("/tickets/{number:str}/mails/{thread:int}/{at:int}", sync_to_thread=True)
def mail_page(request: AnyRequest) -> Template:
    """A mail about a ticket as its recipient reads it, and what became of it."""
    number, mail = _mail(request)
    rendered = mail_form.render(mail.view, mail.lang)
    body = f"{request.url.path}/body?{request.url.query}"
    return Template("mail.html", context=context(request, number=number, mail=mail, rendered=rendered, body=body))


@get("/tickets/{number:str}/mails/{thread:int}/{at:int}/body", sync_to_thread=True)
def mail_body(request: AnyRequest) -> Response[str]:
    """The mail's HTML by itself, for a frame in which nothing runs."""
    _, mail = _mail(request)
    return confined(mail_form.render(mail.view, mail.lang).html)


def confined(html: str) -> Response[str]:
    """HTML of a mail, with a policy of its own that takes everything from it but its looks."""
    return Response(html, media_type=MediaType.HTML, headers={"content-security-policy": MAIL_POLICY})


def _mail(request: AnyRequest) -> tuple[str, Mail]:
    wanted = request.path_params
    number = str(wanted["number"])
    with console_of(request).store.read() as connection:
        mail = casework.mail_of(
            connection, number, f"{number}/{wanted['thread']}", int(wanted["at"]), param(request, "to", 254)
        )
    if mail is None:
        raise NotFoundException
    return number, mail


HANDLERS = (tickets, ticket_page, ticket_now, mail_page, mail_body)
