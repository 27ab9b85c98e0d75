"""The site's page over what an agent may see, and a visitor who may send it anything."""

import http.client
import re
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple
from urllib.parse import urlencode

from msgspec.structs import replace

from sitekeeper_agent import platform
from sitekeeper_agent.config import Broker, Settings, SitePage
from sitekeeper_agent.sitepage import Asked, Board, Seen, open_door
from sitekeeper_agent.standing import Standing
from sitekeeper_protocol.ladder import Reading, Verdict
from sitekeeper_protocol.vocabulary import Grade, Kind, Party, Rung, State
from support.ports import free_port

RUNGS = (Rung.LINK, Rung.ADDRESS, Rung.GATEWAY, Rung.MODEM, Rung.ISP, Rung.DNS, Rung.PORTAL, Rung.MEDIA)
MINUTE_MS = 60_000


def failing(rung: Rung, kind: Kind, party: Party, *, minutes: int = 12, connected: bool = False, **more: object) -> Seen:
    """What an agent sees whose ladder is broken at ``rung``."""
    states = {at: State.OK if at < rung else State.FAIL if at == rung else State.SILENT for at in RUNGS}
    readings = tuple(Reading(rung=at, path="ipv4", state=state) for at, state in states.items())
    verdict = Verdict(state=State.FAIL, path="ipv4", rung=rung, kind=kind, party=party, grade=Grade.PROVEN)
    now_ms = platform.boottime_ms()
    standing = Standing(verdict, now_ms - minutes * MINUTE_MS, {})
    seen = Seen(begun=9, done=9, looked_ms=now_ms, readings=readings, standing=standing, connected=connected)
    return seen._replace(**more)  # type: ignore[arg-type]


def well(**more: object) -> Seen:
    """What an agent sees where all is well."""
    now_ms = platform.boottime_ms()
    readings = tuple(Reading(rung=rung, path="ipv4", state=State.OK) for rung in RUNGS)
    standing = Standing(Verdict(state=State.OK, path="ipv4"), now_ms - 90 * MINUTE_MS, {})
    seen = Seen(begun=9, done=9, looked_ms=now_ms, readings=readings, standing=standing, connected=True)
    return seen._replace(**more)  # type: ignore[arg-type]


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def token(self) -> str:
        """The token in the page's forms."""
        found = re.search(r'name="token" value="([^"]+)"', self.text)
        assert found is not None, self.text
        return found[1]


class Page:
    """A page at ``port``, visited without a browser."""

    def __init__(self, port: int, asked: list[Asked] | None = None) -> None:
        self.port = port
        self.asked = asked if asked is not None else []
        self.host = f"127.0.0.1:{port}"
        self.address = f"http://{self.host}"

    def get(self, target: str = "/", **headers: str) -> Answer:
        """A GET, as a browser sends it; ``headers`` replace or add some."""
        return self._ask("GET", target, {"Host": self.host} | _named(headers), b"")

    def post(self, target: str, form: dict[str, str], **headers: str) -> Answer:
        """A POST, as a browser sends it from the page; an empty header is left out."""
        usual = {"Host": self.host, "Origin": self.address, "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(form).encode()
        return self._ask("POST", target, usual | {"Content-Length": str(len(body))} | _named(headers), body)

    def raw(self, data: bytes) -> bytes:
        """Whatever comes back for these bytes, until the page has enough of it."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            try:
                connection.sendall(data)
                return b"".join(iter(lambda: connection.recv(65536), b""))
            except ConnectionError:
                return b""

    def _ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                if value:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read().decode())


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def page(board: Board, **changed: object) -> Iterator[Page]:
    """A page that shows ``board``; what is asked of the agent is only written down."""
    settings = Settings(
        site="52263-0417",
        area="522634",
        broker=Broker(host="mqtt.county.example"),
        portal="https://portal.province.example/",
        phone="0851-2345678",
        site_page=SitePage(port=free_port()),
    )
    settings = replace(settings, **changed)
    asked: list[Asked] = []
    door = open_door(settings, board, asked.append)
    assert door is not None, "the port is taken"
    try:
        yield Page(settings.site_page.port, asked)
    finally:
        door.close()
