"""Who may see a page: the session's cookie, the language's cookie, and how often a password may be tried."""

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from litestar import Request
from litestar.datastructures import Cookie
from litestar.enums import ScopeType
from litestar.response import Redirect
from litestar.types import ASGIApp, Receive, Scope, Send

from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.store.engine import Store
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_collector.web import accounts
from sitekeeper_protocol.texts import Lang

if TYPE_CHECKING:  # its mail server is only there for the embedded start
    from sitekeeper_collector.embedded.mail_catcher import MailCatcher

COOKIE, LANG_COOKIE = "sk_session", "sk_lang"
_OPEN = ("/login", "/language", "/static/")
_TRIES, _PAUSE_MS, _ADDRESSES = 10, 5 * 60_000, 10_000


class Tries:
    """Wrong passwords by address: ten in five minutes, then a pause."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, list[int]] = OrderedDict()

    def barred(self, address: str, now_ms: int) -> bool:
        """Whether the address must wait."""
        recent = [at for at in self._wrong.get(address, ()) if now_ms - at < _PAUSE_MS]
        return len(recent) >= _TRIES

    def failed(self, address: str, now_ms: int) -> None:
        """Another wrong one."""
        recent = [at for at in self._wrong.pop(address, ()) if now_ms - at < _PAUSE_MS]
        self._wrong[address] = [*recent[-_TRIES:], now_ms]
        while len(self._wrong) > _ADDRESSES:
            self._wrong.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """The right one."""
        self._wrong.pop(address, None)


class Console(NamedTuple):
    """What the handlers work with. ``catcher`` is ``None`` where mails really go out."""

    store: Store
    wall_ms: Callable[[], int]
    blind_after_ms: int
    https: bool
    tries: Tries
    desk: Desk
    rules: Rules
    utc_offset_min: int
    catcher: "MailCatcher | None" = None


def console_of(request: Request[Any, Any, Any]) -> Console:
    """The console that serves ``request``."""
    return cast(Console, request.app.state.console)


def session_cookie(token: str, console: Console) -> Cookie:
    """Lax, not strict: a link in a mail must lead to the page, and no GET changes anything."""
    return Cookie(
        key=COOKIE, value=token, httponly=True, samesite="lax", secure=console.https, max_age=accounts.SESSION_MS // 1000
    )


def language_of(request: Request[Any, Any, Any]) -> Lang:
    """The one that was chosen, else what the browser prefers, else Chinese."""
    chosen = request.cookies.get(LANG_COOKIE)
    if chosen in ("zh", "en"):
        return cast(Lang, chosen)
    preferred = request.headers.get("accept-language", "")[:200].lower()
    zh, en = preferred.find("zh"), preferred.find("en")
    return "en" if en >= 0 and (zh < 0 or en < zh) else "zh"


def signed_in(app: ASGIApp) -> ASGIApp:
    """Middleware: whoever is not signed in is shown the way to the sign-in page and nothing else."""

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        request: Request[Any, Any, Any] = Request(scope)
        console = console_of(request)
        token = request.cookies.get(COOKIE, "")
        user = None
        if token:
            with console.store.read() as connection:
                user = accounts.who(connection, token[:200], console.wall_ms())
        scope["user"] = user
        path = scope["path"]
        if user is None and not path.startswith(_OPEN):
            # htmx follows a redirect and would put the sign-in page into the middle of the page it is on.
            headers = {"HX-Redirect": "/login"} if request.headers.get("hx-request") else {}
            answer = Redirect("/login", status_code=303, headers=headers)
            await answer.to_asgi_response(app=None, request=request)(scope, receive, send)
            return
        await app(scope, receive, send)

    return middleware
