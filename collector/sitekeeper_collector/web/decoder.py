"""The page for whoever takes a call from a site without a line: what the 8 digits say, and a ticket from it."""

from typing import Any, NamedTuple

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.response import Redirect, Template
from sqlalchemy import Connection

from sitekeeper_collector.domain import spoken as phone
from sitekeeper_collector.domain import tickets
from sitekeeper_collector.domain.tickets import TicketRefused
from sitekeeper_collector.store import tickets as stored
from sitekeeper_collector.watch import requests
from sitekeeper_collector.web import casework, reading
from sitekeeper_collector.web.access import console_of, language_of
from sitekeeper_collector.web.frame import AnyRequest, Form, context, in_store, param
from sitekeeper_collector.web.reading import SiteRow
from sitekeeper_collector.web.texts import text
from sitekeeper_protocol import texts as names
from sitekeeper_protocol.sitecode import Refusal, SiteCodeError, SpokenCode, decode, find_site, heard, lasting, spaced
from sitekeeper_protocol.texts import Lang

_MOST_CHOICES = 12


class Asked(NamedTuple):
    """What is to be decoded. ``choices``: where the site is not clear; ``error``: where the digits are not."""

    site: str
    code: str
    row: SiteRow | None = None
    spoken: SpokenCode | None = None
    error: SiteCodeError | None = None
    choices: tuple[SiteRow, ...] = ()


@get("/decoder", sync_to_thread=True)
def decoder(request: AnyRequest) -> Template:
    """What a code says, if one was given."""
    return _page(request, param(request, "site"), param(request, "code"))


@post("/decoder", sync_to_thread=True, status_code=303)
def take_call(request: AnyRequest, data: Form) -> Response[Any] | Template:
    """A ticket from a code, or a note in the one that there is."""
    console, lang, by = console_of(request), language_of(request), request.scope["user"].name
    site, code = data.get("site", "")[:100], data.get("code", "")[:100]
    now_ms = console.wall_ms()
    try:
        spoken, digits = decode(code, site), heard(code)
        with console.store.write() as connection:
            if casework.place_of(connection, site) is None:
                raise NotFoundException
            kind = phone.kind_of(spoken)
            ticket = requests.find_or_open(
                connection, console.desk, console.rules, site, kind, spoken, digits, at_ms=now_ms, now_ms=now_ms
            )
            said = words(spoken, digits, lang)
            console.desk.change(
                connection, ticket.number, lambda it: tickets.comment(it, by=by, text=said, now_ms=now_ms), now_ms
            )
    except SiteCodeError:
        return _page(request, site, code, status=409)
    except TicketRefused as err:
        return _page(request, site, code, refused=err.code.value, status=409)
    return Redirect(f"/tickets/{ticket.number}", status_code=303)


def words(spoken: SpokenCode, digits: str, lang: Lang) -> str:
    """What a code says, on one line for the timeline."""
    return text("call_noted", lang).format(code=spaced(digits), seen=seen(spoken, lang), lasting=lasting(spoken.lasting, lang))


def seen(spoken: SpokenCode, lang: Lang) -> str:
    """What is wrong, as the code says it."""
    if spoken.kind is not None:
        return names.kind(spoken.kind, lang)
    if spoken.rung is not None:
        return text("code_rung", lang).format(rung=names.rung(spoken.rung, lang))
    return text("code_newer" if spoken.number else "code_nothing", lang)


def _page(request: AnyRequest, site: str, code: str, *, refused: str = "", status: int = 200) -> Template:
    console, lang = console_of(request), language_of(request)

    def ask(connection: Connection, blind: bool, now_ms: int) -> dict[str, object]:
        asked = _asked(connection, site, code, blind=blind, now_ms=now_ms)
        values: dict[str, object] = {"asked": asked, "refused": refused, "error": asked.error and asked.error.words(lang)}
        if asked.spoken is None or asked.row is None:
            return values
        kind = phone.kind_of(asked.spoken)
        undone = stored.undone_of(connection, asked.row.id)
        return values | {
            "kind": kind,
            "seen": seen(asked.spoken, lang),
            "lasting": lasting(asked.spoken.lasting, lang),
            "party": console.rules.party(kind),
            "severity_of": console.rules.severity(kind),
            "help": names.help_steps(kind, lang),
            "digits": spaced(heard(code)),
            "decided": phone.decide(kind, undone),
            "tickets": casework.of_site(connection, asked.row.id, 0),
            "now_ms": now_ms,
        }

    return Template(
        "decoder.html", context=context(request, **in_store(request, ask)) | {"here": "/decoder"}, status_code=status
    )


def _asked(connection: Connection, site: str, code: str, *, blind: bool, now_ms: int) -> Asked:
    """Finds the site by its id or by a search, or, without either, by the digits."""
    rows = reading.site_rows(connection, "", blind=blind, now_ms=now_ms) if site or code else []
    by_id = {row.id: row for row in rows}
    try:
        fitting = find_site(code, by_id) if code else ()
    except SiteCodeError as err:
        return Asked(site, code, by_id.get(site), error=err)
    row = by_id.get(site)
    if row is None:
        found = reading.site_rows(connection, site, blind=blind, now_ms=now_ms, most=200) if site else rows
        fits = [one for one in found if one.id in fitting]
        if code and site and len(fits) == 1:
            row = fits[0]
        else:
            choices = fits if code else found if site else []
            return Asked(site, code, choices=tuple(choices[:_MOST_CHOICES]))
    if not code:
        return Asked(site, code, row)
    try:
        return Asked(site, code, row, decode(code, row.id))
    except SiteCodeError as err:
        others = tuple(by_id[one] for one in fitting[:_MOST_CHOICES]) if err.code is Refusal.OTHER_SITE else ()
        return Asked(site, code, row, error=err, choices=others)


HANDLERS = (decoder, take_call)
