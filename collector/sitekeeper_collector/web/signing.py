"""Signing in and out, and the choice of the language."""

from typing import Any

from litestar import Response, get, post
from litestar.response import Redirect, Template

from sitekeeper_collector.web import accounts, passwords
from sitekeeper_collector.web.access import COOKIE, LANG_COOKIE, Console, console_of, session_cookie
from sitekeeper_collector.web.frame import AnyRequest, Form, context


@get("/login", sync_to_thread=True)
def login_page(request: AnyRequest) -> Template:
    """Ask who it is."""
    return Template("login.html", context=context(request, wrong=""))


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


HANDLERS = (login_page, login, logout, language)
