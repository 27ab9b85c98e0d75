"""The pages: each handler asks the database, decides with ``views``, and fills a template."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotFoundException
from litestar.params import Body
from litestar.response import Redirect, Template

from sitekeeper_collector.store import queries
from sitekeeper_collector.web import accounts, passwords, reading, views
from sitekeeper_collector.web.access import COOKIE, LANG_COOKIE, Console, console_of, language_of, session_cookie
from sitekeeper_collector.web.texts import text
from sitekeeper_collector.web.views import Standing
from sitekeeper_protocol import texts as names
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import State

_SHOWN_SAMPLES = 30
_SHOWN_NEEDS = 50
_ORDER = (Standing.TROUBLE, Standing.UNCLEAR, Standing.UP, Standing.OFF, Standing.GOODBYE, Standing.NEVER, Standing.BLIND)
_MARKS = {State.OK: "✓", State.DEGRADED: "!", State.FAIL: "✗", State.SILENT: "?", State.NOT_APPLICABLE: "–"}
AnyRequest = Request[Any, Any, Any]


def context(request: AnyRequest, **more: object) -> dict[str, object]:
    """What every template gets: words in the reader's language, and ways to write times."""
    lang = language_of(request)
    return {
        "lang": lang,
        "t": lambda key, **values: text(key, lang).format(**values) if values else text(key, lang),
        "names": names,
        "name": lambda kind, word: getattr(names, kind)(word, lang),
        "clock": lambda ms: clock_text(ms, lang),
        "mark": lambda state: _MARKS.get(state, "?"),
        "user": request.scope.get("user"),
        "path": request.url.path,
        **more,
    }


def clock_text(ms: int | None, lang: Lang) -> str:
    """An instant in the server's time zone, to the second."""
    if not ms:
        return text("never", lang)
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _in_store(request: AnyRequest, ask: Callable[[Any, bool, int], Any]) -> Any:
    """``ask(connection, blind, now_ms)`` on one state of the database."""
    console = console_of(request)
    now_ms = console.wall_ms()
    with console.store.read() as connection:
        beat = reading.last_heartbeat_ms(connection)
        blind = beat is None or now_ms - beat > console.blind_after_ms
        return ask(connection, blind, now_ms)


def _overview(request: AnyRequest) -> dict[str, object]:
    def ask(connection: Any, blind: bool, now_ms: int) -> dict[str, object]:
        rows = reading.site_rows(connection, "", blind=blind, now_ms=now_ms)
        return {
            "blind": blind,
            "beat_ms": reading.last_heartbeat_ms(connection),
            "counts": [(word, views.counts(row.standing for row in rows)[word]) for word in _ORDER],
            "total": len(rows),
            "needs": [row for row in rows if row.standing is Standing.TROUBLE][:_SHOWN_NEEDS],
            "findings": queries.findings(connection)[:_SHOWN_NEEDS],
            "unknown": queries.unknown_sites(connection)[:_SHOWN_NEEDS],
            "now_ms": now_ms,
        }

    return context(request, **_in_store(request, ask))


@get("/", sync_to_thread=True)
def overview(request: AnyRequest) -> Template:
    """What needs me now, and how all sites stand."""
    return Template("overview.html", context=_overview(request))


@get("/overview/now", sync_to_thread=True)
def overview_now(request: AnyRequest) -> Template:
    """The part of the overview that keeps itself up to date."""
    return Template("overview_now.html", context=_overview(request))


@get("/sites", sync_to_thread=True)
def sites(request: AnyRequest) -> Template:
    """The register, with search."""
    wanted = str(request.query_params.get("q", "")).strip()[:100]
    rows = _in_store(
        request,
        lambda connection, blind, now_ms: reading.site_rows(
            connection, wanted, blind=blind, now_ms=now_ms, most=reading.MOST_SITES + 1
        ),
    )
    shown = rows[: reading.MOST_SITES]
    return Template("sites.html", context=context(request, rows=shown, more=len(rows) > len(shown), q=wanted))


@get("/sites/{site:str}", sync_to_thread=True)
def site_page(request: AnyRequest) -> Template:
    """One site: how far its line reaches, what was measured, what a person should look at."""
    site = str(request.path_params["site"])

    def ask(connection: Any, blind: bool, now_ms: int) -> dict[str, object]:
        details = reading.site_details(connection, site, blind=blind, now_ms=now_ms)
        if details is None:
            raise NotFoundException
        records = reading.newest_samples(connection, site, _SHOWN_SAMPLES)
        taken = [(record, record.content()) for record in records]
        newest = next(((record, sample) for record, sample in taken if views.ladder(sample.values)), None)
        return {
            "details": details,
            "row": details.row,
            "ladders": views.ladder(newest[1].values) if newest else {},
            "ladder_ms": newest[0].placed_ms if newest else None,
            "verdict": views.verdict(newest[1]) if newest else (None, None),
            "samples": [(record, *views.verdict(sample)) for record, sample in taken],
            "findings": [finding for finding in queries.findings(connection) if finding.site == site],
        }

    return Template("site.html", context=context(request, **_in_store(request, ask)))


# --- signing in --------------------------------------------------------------------------------------------------------


@get("/login", sync_to_thread=True)
def login_page(request: AnyRequest) -> Template:
    """Ask who it is."""
    return Template("login.html", context=context(request, wrong=""))


Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@post("/login", sync_to_thread=True, status_code=200)
def login(request: AnyRequest, data: Form) -> Response[Any] | Template:
    """Sign in, or say that it was wrong; after many wrong tries from one address, only after a pause."""
    console: Console = console_of(request)
    now_ms = console.wall_ms()
    address = request.client.host if request.client else ""
    if console.tries.barred(address, now_ms):
        return Template("login.html", context=context(request, wrong="too_many"), status_code=429)
    name, password = data.get("user", "")[:100], data.get("password", "")[:1000]
    with console.store.read() as connection:
        stored = accounts.stored_password(connection, name)
    if not passwords.matches(password, stored):
        console.tries.failed(address, now_ms)
        return Template("login.html", context=context(request, wrong="wrong_login"), status_code=403)
    console.tries.succeeded(address)
    with console.store.write() as connection:
        token = accounts.sign_in(connection, name, now_ms)
    answer = Redirect("/", status_code=303)
    answer.set_cookie(session_cookie(token, console))
    return answer


@post("/logout", sync_to_thread=True, status_code=303)
def logout(request: AnyRequest) -> Redirect:
    """End the session."""
    console = console_of(request)
    token = request.cookies.get(COOKIE, "")
    with console.store.write() as connection:
        accounts.sign_out(connection, token)
    answer = Redirect("/login", status_code=303)
    answer.delete_cookie(COOKIE)
    return answer


@post("/language", sync_to_thread=False, status_code=303)
def language(request: AnyRequest, data: Form) -> Redirect:
    """The other language, and back to the page."""
    wanted = "en" if data.get("lang") == "en" else "zh"
    back = data.get("back", "/")
    answer = Redirect(back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/", status_code=303)
    answer.set_cookie(key=LANG_COOKIE, value=wanted, max_age=365 * 86400, samesite="lax", httponly=True)
    return answer


HANDLERS = (overview, overview_now, sites, site_page, login_page, login, logout, language)
