"""The portal's rung through an HTTP proxy, plain and as a tunnel, and with an authority of the portal's own."""

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from sitekeeper_agent.probes import Context, parse_portal, portal
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.vocabulary import Reason, State
from support.web_servers import Behaviour, answering, raw, request_of, serve

PORTAL = "portal.nowhere.invalid"
"""Only the proxy knows it: no resolver of this machine does."""


def visit(url: str, proxy_port: int, ca_file: str = "") -> Reading:
    context = Context(
        parse_portal(url),
        time.monotonic() + 20,
        proxy=parse_portal(f"http://127.0.0.1:{proxy_port}/"),
        portal_ca_file=ca_file,
    )
    (reading,) = portal.probe(context).readings
    return reading


def tunnel_to(port: int, seen: list[bytes]) -> Behaviour:
    """A proxy that carries every CONNECT to one port of this machine."""

    def behave(connection: socket.socket) -> None:
        seen.append(request_of(connection))
        with socket.create_connection(("127.0.0.1", port)) as far:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=carry, args=(far, connection), daemon=True)
            back.start()
            carry(connection, far)
            back.join()

    return behave


def carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_a_plain_portal_is_asked_for_by_its_whole_address() -> None:
    seen: list[bytes] = []

    def note(connection: socket.socket) -> None:
        seen.append(request_of(connection))
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with serve(note) as port:
        assert visit(f"http://{PORTAL}/learn", port).state == State.OK
    lines = seen[0].split(b"\r\n")
    assert lines[0] == f"GET http://{PORTAL}/learn HTTP/1.1".encode()
    assert f"Host: {PORTAL}".encode() in lines


def test_a_portal_over_tls_is_reached_through_a_tunnel_and_its_own_authority_counts(tmp_path: Path) -> None:
    authority, tls, seen = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), list[bytes]()
    authority.issue_cert(PORTAL).configure_cert(tls)
    ca_file = tmp_path / "portal-ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with serve(answering("200 OK"), tls=tls) as port, serve(tunnel_to(port, seen)) as proxy:
        assert visit(f"https://{PORTAL}/", proxy, str(ca_file)).state == State.OK
        stranger = visit(f"https://{PORTAL}/", proxy)
    assert seen[0].startswith(f"CONNECT {PORTAL}:443 HTTP/1.1\r\n".encode())
    assert (stranger.state, stranger.reason) == (State.FAIL, Reason.CERTIFICATE_INVALID)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", Reason.LOGIN_REFUSED),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Reason.UNREACHABLE),
        (b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", Reason.TIMEOUT),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Reason.MALFORMED_REPLY),
        (b"x" * 70_000, Reason.MALFORMED_REPLY),
        (b"", Reason.CONNECTION_RESET),
    ],
)
def test_a_proxy_that_makes_no_tunnel_is_named_so(answer: bytes, reason: Reason) -> None:
    with serve(raw(answer)) as proxy:
        reading = visit(f"https://{PORTAL}/", proxy)
    assert (reading.state, reading.reason) == (State.FAIL, reason)
