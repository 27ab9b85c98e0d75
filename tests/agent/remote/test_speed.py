"""The timed download: where it may be sent to and by whom, and that it ends wherever a server sends it."""

import socket

import pytest

from sitekeeper_agent.probes.fetch import MAX_REDIRECTS
from sitekeeper_agent.probes.probe import Context, parse_portal
from sitekeeper_agent.remote.speed import Speed, measure
from sitekeeper_protocol.vocabulary import Reason
from support.web_servers import answering, request_of, serve


def measured(url: str, **context: object) -> Speed:
    given = Context(parse_portal("http://portal.example/"), 0.0)._replace(**context)  # type: ignore[arg-type]
    return measure(parse_portal(url), "ipv4", given, most_bytes=1_000_000, playing=lambda: False)


def test_a_speed_test_follows_redirects_and_books_what_they_cost() -> None:
    with serve(answering("200 OK", b"x" * 500_000)) as far:
        location = f"Location: http://127.0.0.1:{far}/mirror/10mb.bin"
        with serve(answering("302 Found", b"moved" * 100, location)) as near:
            found = measured(f"http://127.0.0.1:{near}/10mb.bin")
    assert found.reason is Reason.NONE and found.status == 200 and found.kbps
    assert found.taken_bytes > 500_500


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("Location: /10mb.bin", Reason.WRONG_CONTENT),
        ("Location: /10mb.bin?again", Reason.WRONG_CONTENT),
        ("Location: file:///etc/passwd", Reason.WRONG_CONTENT),
        ("Location: http://127.0.0.1:9/", Reason.REFUSED),
    ],
)
def test_a_redirect_without_end_or_to_nowhere_ends(location: str, reason: Reason) -> None:
    with serve(answering("302 Found", b"", location)) as port:
        found = measured(f"http://127.0.0.1:{port}/10mb.bin")
    assert found.kbps is None and found.reason is reason and 0 < found.taken_bytes < 5_000


def test_a_chain_of_redirects_ends_after_five() -> None:
    seen: list[bytes] = []

    def onward(connection: socket.socket) -> None:
        seen.append(request_of(connection))
        connection.sendall(f"HTTP/1.1 302 Found\r\nLocation: /{len(seen)}\r\nContent-Length: 0\r\n\r\n".encode())

    with serve(onward) as port:
        assert measured(f"http://127.0.0.1:{port}/").reason is Reason.WRONG_CONTENT
    assert len(seen) == MAX_REDIRECTS + 1


def test_a_site_with_a_proxy_downloads_by_it() -> None:
    seen: list[bytes] = []

    def proxy(connection: socket.socket) -> None:
        seen.append(request_of(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000)

    with serve(proxy) as port:
        by = parse_portal(f"http://127.0.0.1:{port}/")
        assert measured("http://speed.nowhere.invalid/10mb.bin", proxy=by).kbps
    assert seen[0].startswith(b"GET http://speed.nowhere.invalid/10mb.bin HTTP/1.1\r\nHost: speed.nowhere.invalid\r\n")
