"""What a person does with a ticket: each step is a form that is sent, and either taken or refused with a reason."""

from collections.abc import Callable
from typing import Any

from litestar import Response, post
from litestar.exceptions import NotFoundException
from litestar.response import Redirect, Template

from sitekeeper_collector.domain import tickets
from sitekeeper_collector.domain.tickets import Change, Ticket, TicketRefused
from sitekeeper_collector.watch.desk import NoSuchTicketError
from sitekeeper_collector.web.access import console_of
from sitekeeper_collector.web.frame import AnyRequest, Form
from sitekeeper_collector.web.tickets import shown

_MOST_TYPED = 10_000
"""Characters that are shown again to whoever typed too many."""

Answer = Response[Any] | Template


@post("/tickets/{number:str}/acknowledge", sync_to_thread=True, status_code=303)
def acknowledge(request: AnyRequest, data: Form) -> Answer:
    """Take it up."""
    return _step(request, data, lambda ticket, by, _, now_ms: tickets.acknowledge(ticket, by=by, now_ms=now_ms))


@post("/tickets/{number:str}/comment", sync_to_thread=True, status_code=303)
def comment(request: AnyRequest, data: Form) -> Answer:
    """Say something."""
    return _step(request, data, lambda ticket, by, text, now_ms: tickets.comment(ticket, by=by, text=text, now_ms=now_ms))


@post("/tickets/{number:str}/repaired", sync_to_thread=True, status_code=303)
def repaired(request: AnyRequest, data: Form) -> Answer:
    """Report that it is repaired, to be checked on what is measured from now on."""
    return _step(
        request, data, lambda ticket, by, text, now_ms: tickets.claim_repaired(ticket, by=by, text=text, now_ms=now_ms)
    )


@post("/tickets/{number:str}/resolve", sync_to_thread=True, status_code=303)
def resolve(request: AnyRequest, data: Form) -> Answer:
    """Vouch that it is over."""
    return _step(request, data, lambda ticket, by, text, now_ms: tickets.resolve(ticket, by=by, how=text, now_ms=now_ms))


def _step(request: AnyRequest, data: dict[str, str], taken: Callable[[Ticket, str, str, int], Change]) -> Answer:
    console, number = console_of(request), str(request.path_params["number"])
    now_ms, by = console.wall_ms(), request.scope["user"].name
    text = data.get("text", "").replace("\r\n", "\n").replace("\x00", "")  # PostgreSQL takes no NUL in a text
    try:
        with console.store.write() as connection:
            console.desk.change(connection, number, lambda ticket: taken(ticket, by, text, now_ms), now_ms)
    except NoSuchTicketError:
        raise NotFoundException from None
    except TicketRefused as err:
        return shown(request, number, refused=err.code.value, typed=text[:_MOST_TYPED], status=409)
    return Redirect(f"/tickets/{number}", status_code=303)


HANDLERS = (acknowledge, comment, repaired, resolve)
