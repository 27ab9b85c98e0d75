"""The console as an ASGI application."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litestar import Litestar, Request, Router
from litestar.config.csrf import CSRFConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.static_files import create_static_files_router
from litestar.template.config import TemplateConfig
from litestar.types import ASGIApp, Receive, Scope, Send

from sitekeeper_collector.config import Mail
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.notify.view import CHINA_MIN
from sitekeeper_collector.store.engine import Store
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_collector.web import caught, decoder, overview, signing, sites, steps, tickets
from sitekeeper_collector.web.access import Console, Tries, signed_in
from sitekeeper_collector.web.frame import context

if TYPE_CHECKING:
    from sitekeeper_collector.embedded.mail_catcher import MailCatcher

_log = logging.getLogger("sitekeeper.console")
_HERE = Path(__file__).parent
_HEADERS = (
    # All that a page needs comes from here; nothing may frame it.
    (
        b"content-security-policy",
        b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


_PAGES = (overview, tickets, steps, sites, decoder, caught, signing)


def create_app(
    store: Store,
    secret: str,
    *,
    wall_ms: Callable[[], int],
    blind_after_s: float,
    https: bool = False,
    desk: Desk | None = None,
    rules: Rules | None = None,
    utc_offset_min: int = CHINA_MIN,
    catcher: "MailCatcher | None" = None,
) -> Litestar:
    """The console over ``store``. ``secret`` signs the tokens against forged requests and must survive a restart."""
    console = Console(
        store,
        wall_ms,
        round(blind_after_s * 1000),
        https,
        Tries(),
        desk or Desk(Mail(), utc_offset_min),
        rules or Rules(),
        utc_offset_min,
        catcher,
    )
    return Litestar(
        # In a router: on the application itself, two handlers of one path are set up twice, and answer with a coroutine.
        route_handlers=[
            Router(path="/", route_handlers=[one for page in _PAGES for one in page.HANDLERS]),
            create_static_files_router(path="/static", directories=[_HERE / "static"]),
        ],
        middleware=[signed_in],
        csrf_config=CSRFConfig(secret=secret, cookie_secure=https, cookie_samesite="lax"),
        template_config=TemplateConfig(directory=_HERE / "templates", engine=JinjaTemplateEngine),
        state=State({"console": console}),
        exception_handlers={HTTPException: _refused, Exception: _failed},
        request_max_body_size=256 * 1024,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def hardened(app: ASGIApp) -> ASGIApp:
    """``app``, each of whose answers, whatever made it, tells the browser what it may do with it."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(header for header in _HEADERS if header[0] not in there)]
            await send(message)

        await app(scope, receive, with_headers)

    return outer


def _refused(request: Request[Any, Any, Any], error: HTTPException) -> Template:
    told = "not_found" if error.status_code == 404 else "refused"
    return _error_page(request, told, error.status_code)


def _failed(request: Request[Any, Any, Any], error: Exception) -> Template:
    _log.error("the page %s failed", request.url.path, exc_info=error)
    return _error_page(request, "trouble_here", 500)


def _error_page(request: Request[Any, Any, Any], told: str, status: int) -> Template:
    more = "trouble_more" if told == "trouble_here" else f"{told}_more"
    return Template("error.html", context=context(request, told=told, more=more), status_code=status)
