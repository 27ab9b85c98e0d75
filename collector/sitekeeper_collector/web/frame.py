"""What all pages share: the reader's words and clock, one state of the database, and parts that keep themselves up to date."""

import datetime
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from litestar import Request, Response
from litestar.enums import MediaType, RequestEncodingType
from litestar.params import Body
from markupsafe import Markup
from sqlalchemy import Connection

from sitekeeper_collector.notify import words
from sitekeeper_collector.notify.view import lasted
from sitekeeper_collector.web import reading
from sitekeeper_collector.web.access import console_of, language_of
from sitekeeper_collector.web.texts import text
from sitekeeper_protocol import texts as names
from sitekeeper_protocol.vocabulary import State

AnyRequest = Request[Any, Any, Any]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
_MARKS = {State.OK: "✓", State.DEGRADED: "!", State.FAIL: "✗", State.SILENT: "?", State.NOT_APPLICABLE: "–"}
_NAV = (("/", "overview"), ("/tickets", "tickets"), ("/sites", "sites"), ("/decoder", "decoder"))
_T = TypeVar("_T")


def context(request: AnyRequest, **more: object) -> dict[str, object]:
    """What every template gets: words in the reader's language, and ways to write times."""
    lang, console = language_of(request), console_of(request)
    zone = zone_of(console.utc_offset_min)
    return {
        "lang": lang,
        "t": lambda key, **values: text(key, lang).format(**values) if values else text(key, lang),
        "name": lambda kind, word: getattr(names, kind)(word, lang),
        "clock": lambda ms: written(ms, zone, "%Y-%m-%d %H:%M:%S") or text("never", lang),
        "minute": lambda ms: written(ms, zone, "%m-%d %H:%M") or text("never", lang),
        "hours": lambda ms: written(ms, zone, "%H:%M"),
        "lasted": lambda from_ms, to_ms: lasted(from_ms, to_ms, lang),
        "said": lambda table, key: words.pick(getattr(words, table)[key], lang),
        "words": lambda entry, key: words.told(entry, key, lang),
        "grade_symbols": words.GRADE_SYMBOLS,
        "mark": lambda state: _MARKS.get(state, "?"),
        "user": request.scope.get("user"),
        "path": request.url.path,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "nav": (*_NAV, *((("/mails", "caught"),) if console.catcher is not None else ())),
        **more,
    }


def zone_of(utc_offset_min: int) -> datetime.timezone:
    """The zone of the county's clocks."""
    return datetime.timezone(datetime.timedelta(minutes=utc_offset_min))


def written(ms: int | None, zone: datetime.tzinfo, form: str) -> str:
    """An instant on the clock of the county; empty for none."""
    return datetime.datetime.fromtimestamp(ms / 1000, zone).strftime(form) if ms else ""


def in_store(request: AnyRequest, ask: Callable[[Connection, bool, int], _T]) -> _T:
    """``ask(connection, blind, now_ms)`` on one state of the database."""
    console = console_of(request)
    now_ms = console.wall_ms()
    with console.store.read() as connection:
        beat = reading.last_heartbeat_ms(connection)
        return ask(connection, beat is None or now_ms - beat > console.blind_after_ms, now_ms)


def param(request: AnyRequest, name: str, most: int = 100) -> str:
    """What the address says of ``name``, cut to a sensible length; empty if nothing."""
    return str(request.query_params.get(name, "")).strip()[:most]


# --- parts that keep themselves up to date -----------------------------------------------------------------------------


def part(request: AnyRequest, template: str, values: dict[str, object]) -> Markup:
    """A part of a page, which says by a hidden field what it is a picture of."""
    engine = request.app.template_engine
    assert engine is not None, "the console has templates"
    shown = engine.get_template(template).render(**values)
    return Markup(shown) + _mark(hashlib.sha256(shown.encode()).hexdigest()[:20])  # noqa: S704 - the template has escaped it


def fresh(request: AnyRequest, template: str, values: dict[str, object], *beside: str) -> Response[str]:
    """The part again, for a page that has it already, with what else changes with it elsewhere on the page.

    One that has not changed is not put in anew: nobody loses their place.
    """
    shown = part(request, template, values)
    engine = request.app.template_engine
    assert engine is not None, "the console has templates"
    as_of = engine.get_template("as_of.html").render(**values, swap=True)
    seen = param(request, "seen")
    if seen and shown.endswith(_mark(seen)):
        return Response(as_of, media_type=MediaType.HTML, headers={"hx-reswap": "none"})
    others = [engine.get_template(name).render(**values, swap=True) for name in beside]
    return Response("".join((shown, as_of, *others)), media_type=MediaType.HTML)


def _mark(seen: str) -> Markup:
    return Markup('<input type="hidden" id="seen" name="seen" value="{}">').format(seen)
