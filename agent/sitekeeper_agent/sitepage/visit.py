"""One visit to the page over HTTP: who may ask, what may be asked, and the answer. Loaded with the first visitor.

Any page on the Internet can make the browser of this PC send requests here. So the host must be ours by name (a name that was
bound anew to 127.0.0.1 is not), nothing that a GET does changes anything, and a POST needs our own page as its origin and the
token that only our page holds (OWASP, "Cross-Site Request Forgery Prevention").
"""

import hmac
import io
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from sitekeeper_agent import platform
from sitekeeper_agent.config import Settings
from sitekeeper_agent.sitepage import pages
from sitekeeper_agent.sitepage.allowance import Allowance
from sitekeeper_agent.sitepage.board import Asked, Board, CheckAsked, RepairAsked
from sitekeeper_agent.sitepage.collected import collected
from sitekeeper_agent.sitepage.markup import Html
from sitekeeper_agent.sitepage.outcome import outcome
from sitekeeper_agent.sitepage.pages import Told, Visit
from sitekeeper_protocol.ladder import Verdict
from sitekeeper_protocol.texts import LANGUAGES, Lang
from sitekeeper_protocol.vocabulary import Kind

REQUEST_S, ANSWER_S = 2.0, 5.0
"""For a whole request, however slowly its bytes drip, and until the answer is taken. Browsers hold connections open in advance;
one that is closed before it was used costs them nothing."""
MAX_REQUEST_BYTES = 16 * 1024
MAX_FORM_BYTES = 1024
_CHECKS_AT_ONCE, _CHECK_EVERY_MS = 5, 10_000
_REPAIRS_AT_ONCE, _REPAIR_EVERY_MS = 2, 600_000
_REMEMBERED = 16
_FILES = {"/style.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8"}
_HTML = "text/html; charset=utf-8"
_FORM = "application/x-www-form-urlencoded"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Answer(NamedTuple):
    """What goes back. ``location``: see there instead."""

    status: int
    body: bytes = b""
    kind: str = _HTML
    location: str = ""


_NOT_OURS = Answer(403, b"Not here.\n", "text/plain; charset=us-ascii")
"""To a name that is not ours, which may be somebody else's: not even whose page this is."""


class Reception:
    """What all visits share: the token, and how often something may still be asked."""

    def __init__(self, settings: Settings, board: Board, post: Callable[[Asked], None]) -> None:
        self._settings, self._board, self._post = settings, board, post
        self._token = secrets.token_urlsafe(16)
        port = settings.site_page.port
        names = ("127.0.0.1", "localhost")
        # Browsers leave out the port that http has by default.
        self.hosts = frozenset([f"{name}:{port}" for name in names] + ([*names] if port == 80 else []))
        self._files = {path: (Path(__file__).parent / path[1:]).read_bytes() for path in _FILES}
        now_ms = _steady_ms()
        self._lock = threading.Lock()
        self._checks = Allowance.full(_CHECKS_AT_ONCE, _CHECK_EVERY_MS, now_ms)
        self._repairs = Allowance.full(_REPAIRS_AT_ONCE, _REPAIR_EVERY_MS, now_ms)
        self._before: dict[int, Verdict | None] = {}
        """What the verdict was when a look was asked for."""

    def follow(self, settings: Settings) -> None:
        """Speak by these settings from now on; the port stays."""
        self._settings = settings

    def serve(self, connection: socket.socket) -> None:
        """Answer one request."""
        _Handler(connection, self)

    def get(self, target: str) -> Answer:
        """What a GET of ``target`` shows."""
        path, query = _target(target)
        if path in _FILES:
            return Answer(200, self._files[path], _FILES[path])
        visit = self._visit(_fields(query))
        if path == "/":
            return _shown(200, pages.front(self._told(visit), visit))
        if path == "/collected":
            return _shown(200, collected(self._settings, self._board.seen, visit.lang))
        if path == "/favicon.ico":
            return Answer(204)
        return _shown(404, pages.notice(self._told(visit), visit, "not_found"))

    def post(self, target: str, form: dict[str, str]) -> Answer:
        """What a POST comes to, whose origin has been checked."""
        path, _ = _target(target)
        visit = self._visit(form)
        if not hmac.compare_digest(form.get("token", "").encode(), self._token.encode()):
            return self.refusal(403, "stale", visit)
        if path == "/check":
            return self._check(visit)
        if path == "/repair":
            return self._repair(visit)
        return self.refusal(404, "not_found", visit)

    def refusal(self, status: int, why: str, visit: Visit | None = None) -> Answer:
        """A page that says why nothing was done."""
        visit = visit or self._visit({})
        return _shown(status, pages.notice(self._told(visit), visit, why))

    def _check(self, visit: Visit) -> Answer:
        with self._lock:
            seen = self._board.seen
            look = seen.begun + 1
            if look not in self._before:  # pressed twice before it began: it is the same look
                left = self._checks.spend(_steady_ms())
                if left is None:
                    return self.refusal(429, "too_often", visit)
                self._checks = left
                self._before[look] = seen.verdict
                for old in list(self._before)[:-_REMEMBERED]:
                    del self._before[old]
                self._post(CheckAsked(look))
        return Answer(303, location=visit.address(look=look))

    def _repair(self, visit: Visit) -> Answer:
        with self._lock:
            left = self._repairs.spend(_steady_ms())
            if left is None:
                return self.refusal(429, "asked_already", visit)
            self._repairs = left
            self._post(RepairAsked())
        return Answer(303, location=visit.address(asked=True, look=0))

    def _visit(self, fields: dict[str, str]) -> Visit:
        lang: Lang = next((known for known in LANGUAGES if known == fields.get("lang")), self._settings.language)
        return Visit(
            lang=lang,
            step=max(1, _number(fields.get("step"))),
            look=_number(fields.get("look")),
            asked=fields.get("asked") == "1",
            about=next((kind for kind in Kind if kind.value == fields.get("about")), None),
        )

    def _told(self, visit: Visit) -> Told:
        seen = self._board.seen
        told = Told(self._settings, seen, platform.boottime_ms(), self._token)
        if visit.look not in self._before:  # none was asked for, or another life of the agent
            return told
        return told._replace(outcome=outcome(self._before[visit.look], seen, visit.look))


class _Handler(BaseHTTPRequestHandler):
    """One request of one connection: the parsing is the standard library's, bounds and checks are ours."""

    protocol_version = "HTTP/1.0"  # one request, and the end of the connection is the end of the answer

    def __init__(self, connection: socket.socket, reception: Reception) -> None:
        self._reception = reception
        super().__init__(connection, ("127.0.0.1", 0), None)  # type: ignore[arg-type]

    def setup(self) -> None:
        """In place of the standard library's files, which have a time for each read only."""
        now = time.monotonic()
        self.connection: socket.socket = self.request
        self.rfile = io.BufferedReader(_Bounded(self.connection, now + REQUEST_S))
        self.wfile = _Whole(self.connection, now + ANSWER_S)

    def finish(self) -> None:
        """Nothing is held back; what a rude visitor still sends is not waited for."""
        self.rfile.close()

    def version_string(self) -> str:
        """No more than the name."""
        return "Sitekeeper"

    def log_message(self, format: str, *args: Any) -> None:
        """Who looks at the page is nobody's business."""

    def do_GET(self) -> None:
        """Show something."""
        self._answer(self._reception.get(self.path) if self._ours() else _NOT_OURS)

    def do_POST(self) -> None:
        """Do something."""
        if not self._ours():
            self._answer(_NOT_OURS)
            return
        if not self._from_our_page():
            self._answer(self._reception.refusal(403, "foreign"))
            return
        form = self._form()
        if form is None:
            self._answer(self._reception.refusal(400, "foreign"))
            return
        self._answer(self._reception.post(self.path, form))

    def _ours(self) -> bool:
        hosts = self.headers.get_all("Host", [])
        return len(hosts) == 1 and hosts[0].lower() in self._reception.hosts

    def _from_our_page(self) -> bool:
        """By ``Origin``; by ``Referer`` where an old browser sends none. One of them must be there."""
        ours = f"http://{self.headers['Host']}".lower()
        origins, referers = self.headers.get_all("Origin", []), self.headers.get_all("Referer", [])
        if origins:
            return len(origins) == 1 and origins[0].lower() == ours
        return len(referers) == 1 and referers[0].lower().startswith(f"{ours}/")

    def _form(self) -> dict[str, str] | None:
        kinds, lengths = self.headers.get_all("Content-Type", []), self.headers.get_all("Content-Length", [])
        if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != _FORM or len(lengths) != 1:
            return None
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"\d{1,5}", lengths[0], re.ASCII):
            return None
        length = int(lengths[0])
        if length > MAX_FORM_BYTES:
            return None
        body = self.rfile.read(length)
        return _fields(body.decode("ascii", "replace")) if len(body) == length else None

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if answer.location:
            self.send_header("Location", answer.location)
        if answer.status != 204:
            self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)


class _Bounded(io.RawIOBase):
    """Reads from a socket, but not for longer and not more than a request may take."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection, self._until = connection, until
        self._left = MAX_REQUEST_BYTES

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Some bytes. Raises ``TimeoutError``, also for a request that is too long: it is dropped either way."""
        left_s = self._until - time.monotonic()
        if left_s <= 0 or not self._left:
            raise TimeoutError("the request takes too long, or is too long")
        self._connection.settimeout(left_s)
        got = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= got
        return got


class _Whole(io.BufferedIOBase):
    """Writes all of an answer within the time of the visit."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection, self._until = connection, until

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """All of it. Raises ``TimeoutError`` if nobody takes it in time."""
        self._connection.settimeout(max(0.1, self._until - time.monotonic()))
        self._connection.sendall(data)
        return len(data)


def _target(target: str) -> tuple[str, str]:
    path, _, query = target.partition("?")
    return path, query


def _fields(text: str) -> dict[str, str]:
    """The fields of a query or form; none at all if it is none of ours."""
    if len(text) > MAX_FORM_BYTES:
        return {}
    try:
        return dict(parse_qsl(text, max_num_fields=16, encoding="ascii", errors="replace"))
    except ValueError:
        return {}


def _number(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"\d{1,9}", text, re.ASCII) else 0


def _shown(status: int, page: Html) -> Answer:
    return Answer(status, page.encode("utf-8", "replace"))


def _steady_ms() -> int:
    return time.monotonic_ns() // 1_000_000
