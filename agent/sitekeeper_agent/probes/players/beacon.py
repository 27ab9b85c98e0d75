"""What a web page may tell of its player, and what is made of it. Loaded with the first request.

Any page on the Internet can make the browser of this PC send requests here. So the host must be ours by name, the origin one
that the site's configuration names, and a POST must hold a token that only a page of that origin can have read, and a type that
no form can send (Fetch Standard, "CORS protocol"). What a page says is taken for no more than closed words and bounded numbers.
"""

import re
import secrets
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from sitekeeper_agent.probes.players.playback import GAP_MS, End, Seen
from sitekeeper_agent.sitepage.allowance import Allowance
from sitekeeper_protocol.vocabulary import PlayerState

MAX_HEAD, MAX_BODY = 8 * 1024, 4 * 1024
MAX_EVENTS = 16
"""In one request."""
MAX_PAGES = 16
"""Tokens that are valid at a time; the one that was not used for longest makes place."""
_AT_ONCE, _EVERY_MS = 20, 500
_EARLY_S, _EARLY_RATIO = 5.0, 0.05
_ERRORS = {2: "network_error", 3: "decode_error", 4: "unsupported"}
"""``MediaError.code`` of HTML; 1 is the user's own doing."""
_STATES = {
    "loading": PlayerState.STARTING,
    "seeking": PlayerState.STARTING,
    "playing": PlayerState.PLAYING,
    "paused": PlayerState.PAUSED,
    "waiting": PlayerState.STALLED,
}

_Seconds = Annotated[float, Meta(ge=0, le=10_000_000)] | None


class Event(msgspec.Struct, frozen=True):
    """What a player did ``age_ms`` before the request. Anything else that a page sends is not kept."""

    word: Literal["loading", "seeking", "playing", "paused", "waiting", "ended", "stopped", "error", "closed"]
    age_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    code: Annotated[int, Meta(ge=1, le=4)] | None = None
    position_s: _Seconds = None
    length_s: _Seconds = None
    buffered_s: _Seconds = None
    dropped: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None


class _Body(msgspec.Struct, frozen=True):
    token: Annotated[str, Meta(max_length=64)]
    events: Annotated[tuple[Event, ...], Meta(min_length=1, max_length=MAX_EVENTS)]


_decode = msgspec.json.Decoder(_Body).decode


class Request(NamedTuple):
    """A whole request; names of headers are in small letters, each of them once."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Refused(Exception):
    """A request that is answered with ``status`` alone."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Told(NamedTuple):
    """What goes back, and what was seen."""

    answer: bytes
    seen: Sequence[Seen] = ()


_LINE = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,200}) HTTP/1\.[01]")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([ -~\x80-\xff\t]*?)[ \t]*")


def read_request(held: bytes) -> Request | None:
    """The request that ``held`` begins with (RFC 9112); ``None``: it is not all there. Raises ``Refused``."""
    head, end, rest = held.partition(b"\r\n\r\n")
    if len(head) > MAX_HEAD:
        raise Refused(431)
    if not end:
        return None
    first, *lines = head.split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise Refused(400)
    headers: dict[str, str] = {}
    for text in lines:
        match = _HEADER.fullmatch(text)
        name = match[1].decode("ascii").lower() if match else ""
        if match is None or name in headers:
            raise Refused(400)
        headers[name] = match[2].decode("latin-1")
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not re.fullmatch(r"\d{1,9}", length, re.ASCII):
        raise Refused(400)
    if int(length) > MAX_BODY:
        raise Refused(413)
    if len(rest) < int(length):
        return None
    return Request(line[1].decode("ascii"), line[2].decode("ascii"), headers, rest[: int(length)])


class Beacon:
    """The pages that have introduced themselves, and the one that is listened to."""

    def __init__(self, port: int, origins: frozenset[str]) -> None:
        # Browsers leave out the port that http has by default.
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")} | (
            {"127.0.0.1", "localhost"} if port == 80 else set()
        )
        self._origins = origins
        self._pages: dict[str, str] = {}
        self._allowed: Allowance | None = None
        self._floor = Floor()

    def silence(self, now_ms: int) -> Sequence[Seen]:
        """What it means that nobody has said anything until now."""
        return self._floor.silence(now_ms)

    def take(self, held: bytes, now_ms: int) -> Told | None:
        """What a request comes to; ``None``: it is not all there yet."""
        origin = ""
        try:
            request = read_request(held)
            if request is None:
                return None
            origin = self._origin(request)
            return self._told(request, origin, now_ms)
        except Refused as refused:
            return Told(_answer(refused.status, origin))

    def _origin(self, request: Request) -> str:
        if request.headers.get("host", "").lower() not in self._hosts:
            raise Refused(403)
        origin = request.headers.get("origin", "")
        if origin not in self._origins:
            raise Refused(403)
        return origin

    def _told(self, request: Request, origin: str, now_ms: int) -> Told:
        methods = {"/beacon": "POST", "/beacon/token": "GET"}
        method = methods.get(request.target)
        if method is None:
            raise Refused(404)
        if request.method == "OPTIONS":
            return Told(_preflight(request, origin, method))
        if request.method != method:
            raise Refused(405)
        allowed = self._allowed or Allowance.full(_AT_ONCE, _EVERY_MS, now_ms)
        left = allowed.spend(now_ms)
        if left is None:
            raise Refused(429)
        self._allowed = left
        if method == "GET":
            return Told(_answer(200, origin, b'{"token":"%s"}' % self._introduced(origin).encode()))
        return Told(_answer(204, origin), self._events(request, origin, now_ms))

    def _introduced(self, origin: str) -> str:
        if len(self._pages) >= MAX_PAGES:
            del self._pages[next(iter(self._pages))]
        token = secrets.token_urlsafe(16)
        self._pages[token] = origin
        return token

    def _events(self, request: Request, origin: str, now_ms: int) -> Sequence[Seen]:
        if request.headers.get("content-type", "").lower() != "application/json":
            raise Refused(415)
        try:
            body = _decode(request.body)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise Refused(400) from None
        # 128 random bits: how long a look-up takes helps nobody to guess them.
        if self._pages.get(body.token) != origin:
            raise Refused(403)
        self._pages[body.token] = self._pages.pop(body.token)
        return self._floor.hear(body.token, body.events, now_ms)


class Floor:
    """One page is listened to at a time: while it plays and speaks, others are not heard."""

    def __init__(self) -> None:
        self._page, self._heard_ms = "", 0
        self._word, self._shown = "", False

    def silence(self, now_ms: int) -> Sequence[Seen]:
        """That nothing plays goes on being so; of one that played, nothing is known after a while."""
        if not self._page:
            return ()
        if self._word not in _STATES:
            return (Seen(now_ms, PlayerState.IDLE),)
        return (Seen(now_ms, PlayerState.UNKNOWN),) if now_ms - self._heard_ms > GAP_MS else ()

    def hear(self, page: str, events: Sequence[Event], now_ms: int) -> Sequence[Seen]:
        """What was seen by what ``page`` says."""
        seen: list[Seen] = []
        if page != self._page:
            busy = self._word in _STATES and self._word != "paused" and now_ms - self._heard_ms <= GAP_MS
            if busy:
                return ()
            if events[0].word in ("loading", "error"):
                # Nothing was played there before: so it is known when this began.
                seen.append(Seen(now_ms - events[0].age_ms - 1, PlayerState.IDLE, End.STOPPED))
            self._page, self._word, self._shown = page, "", False
        self._heard_ms = now_ms
        seen.extend(self._seen(event, now_ms - event.age_ms) for event in events)
        return seen

    def _seen(self, event: Event, at_ms: int) -> Seen:
        before, self._word = self._word, event.word
        state, end, code = self._meaning(event, before)
        self._shown = state is PlayerState.PLAYING or (self._shown and end is None)
        buffer_ms = None if event.buffered_s is None else round(event.buffered_s * 1000)
        return Seen(at_ms, state, end, code, buffer_ms=buffer_ms, dropped=event.dropped)

    def _meaning(self, event: Event, before: str) -> tuple[PlayerState, End | None, str]:
        word = event.word
        if word == "error":
            code = _ERRORS.get(event.code or 0, "")
            return PlayerState.IDLE, End.STOPPED if event.code == 1 else End.ERROR, code
        if word == "ended":
            return PlayerState.IDLE, End.EARLY if _early(event) else End.FINISHED, ""
        if word in ("closed", "stopped"):
            return PlayerState.IDLE, End.GONE if word == "closed" else End.STOPPED, ""
        if not self._shown and word == "paused":
            return PlayerState.IDLE, End.STOPPED, ""
        if not self._shown and word == "waiting":
            return PlayerState.STARTING, None, ""  # it waits for its first picture, which is no stall
        another = word == "loading" and before in _STATES and before != "loading"
        return _STATES[word], End.STOPPED if another else None, ""


def _early(event: Event) -> bool:
    if not event.length_s or event.position_s is None:
        return False
    return event.length_s - event.position_s > max(_EARLY_S, _EARLY_RATIO * event.length_s)


_REASONS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
}


def _preflight(request: Request, origin: str, method: str) -> bytes:
    """What a page may send (Fetch Standard; Private Network Access, where a browser asks for it)."""
    wanted = {name.strip().lower() for name in request.headers.get("access-control-request-headers", "").split(",")} - {""}
    if request.headers.get("access-control-request-method") != method or wanted - {"content-type"}:
        raise Refused(403)
    more = [f"Access-Control-Allow-Methods: {method}", "Access-Control-Max-Age: 600"]
    if wanted:
        more.append("Access-Control-Allow-Headers: content-type")
    if request.headers.get("access-control-request-private-network") == "true":
        more.append("Access-Control-Allow-Private-Network: true")
    return _answer(204, origin, more=more)


def _answer(status: int, origin: str, body: bytes = b"", more: Sequence[str] = ()) -> bytes:
    """An answer; ``origin`` is one of the configured ones, or empty for somebody to whom nothing is shown."""
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", "Connection: close", "Cache-Control: no-store", "Vary: Origin"]
    lines += ["X-Content-Type-Options: nosniff", *more]
    if origin:
        lines.append(f"Access-Control-Allow-Origin: {origin}")
    if status != 204:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
