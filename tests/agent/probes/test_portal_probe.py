"""The portal's rung against real web servers, plain and over TLS, good, broken and hostile."""

import socket
import ssl
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from sitekeeper_agent.platform import Roots
from sitekeeper_agent.probes import Context, Findings, parse_portal, portal
from sitekeeper_agent.probes.fetch import clock_trusted
from sitekeeper_protocol import RELEASED_MS
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.vocabulary import Metric, Reason, State
from support.name_servers import dnsmasq, forging, silent, system_files
from support.web_servers import Behaviour, answering, dripping, raw, request_of, serve

NAME = "portal.example.cn"
OK = answering("200 OK")


def context(port: int, *, scheme: str = "http", host: str = "127.0.0.1", path: str = "/", timeout_s: float = 20) -> Context:
    return Context(parse_portal(f"{scheme}://{host}:{port}{path}"), time.monotonic() + timeout_s)


def only(findings: Findings) -> Reading:
    assert len(findings.readings) == 1
    return findings.readings[0]


def visit(behave: Behaviour, timeout_s: float = 20, expected_text: str = "", redirect_hosts: tuple[str, ...] = ()) -> Reading:
    with serve(behave) as port:
        asked = context(port, timeout_s=timeout_s)
        return only(portal.probe(asked._replace(expected_text=expected_text, redirect_hosts=redirect_hosts)))


def test_a_page_is_ok_and_its_phases_are_told() -> None:
    with serve(OK) as port:
        found = portal.probe(context(port))
    assert only(found).state == State.OK
    assert found.values[Metric.PORTAL_STATUS, ""] == 200
    assert {Metric.PORTAL_CONNECT_MS, Metric.PORTAL_FIRST_BYTE_MS} <= {metric for metric, _ in found.values}
    assert (Metric.PORTAL_TLS_MS, "") not in found.values and (Metric.PORTAL_DNS_MS, "") not in found.values


def test_the_request_names_the_host_and_asks_for_the_path() -> None:
    seen: list[bytes] = []

    def note(connection: socket.socket) -> None:
        seen.append(request_of(connection))
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with serve(note) as port:
        portal.probe(context(port, path="/learn?a=1"))
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"GET /learn?a=1 HTTP/1.1"
    assert f"Host: 127.0.0.1:{port}".encode() in lines


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ("204 No Content", State.OK, Reason.NONE),
        ("401 Unauthorized", State.OK, Reason.HTTP_CLIENT_ERROR),
        ("429 Too Many Requests", State.OK, Reason.HTTP_CLIENT_ERROR),
        ("403 Forbidden", State.FAIL, Reason.HTTP_CLIENT_ERROR),
        ("404 Not Found", State.FAIL, Reason.HTTP_CLIENT_ERROR),
        ("500 Oops", State.FAIL, Reason.HTTP_SERVER_ERROR),
        ("503 Busy", State.FAIL, Reason.HTTP_SERVER_ERROR),
        ("511 Network Authentication Required", State.FAIL, Reason.CAPTIVE_PAGE),
    ],
)
def test_a_status_says_what_it_says(status: str, state: State, reason: Reason) -> None:
    reading = visit(answering(status))
    assert (reading.state, reading.reason) == (state, reason)


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://pay.carrier.example/bill", Reason.CAPTIVE_PAGE),
        ("//10.255.0.1/login", Reason.CAPTIVE_PAGE),
        ("https://sso.allowed.example/in", Reason.NONE),
    ],
)
def test_only_a_redirect_to_a_stranger_is_a_captive_page(location: str, reason: Reason) -> None:
    reading = visit(answering("302 Found", b"", f"Location: {location}"), redirect_hosts=("allowed.example",))
    assert reading.reason is reason
    assert reading.state == (State.FAIL if reason else State.OK)


@pytest.mark.parametrize(
    "body",
    [
        b"<meta http-equiv='refresh' content='0; url=http://10.255.0.1/login'>",
        b"<script>window.location.href='http://pay.carrier.example/'</script>",
        b'<script>top.self.location.replace("http://10.1.1.1/portal?wlanacname=x")</script>',
        "<h1>您的宽带已欠费停机</h1>".encode("gbk"),
    ],
)
def test_a_login_or_payment_page_in_the_portals_place_is_a_captive_page(body: bytes) -> None:
    assert visit(answering("200 OK", body)).reason is Reason.CAPTIVE_PAGE


def test_a_page_that_has_the_expected_text_is_no_captive_page_whatever_else_it_says() -> None:
    reading = visit(answering("200 OK", "欠费 远程教育".encode()), expected_text="远程教育")
    assert reading.state == State.OK


def test_a_page_without_the_expected_text_is_wrong_content() -> None:
    assert visit(answering("200 OK", b"It works!"), expected_text="远程教育").reason is Reason.WRONG_CONTENT


def test_a_redirect_within_the_host_is_followed() -> None:
    def there(connection: socket.socket) -> None:
        found = b"GET /in/here" in request_of(connection)
        away = b"HTTP/1.1 302 Found\r\nLocation: in/here\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" if found else away)

    assert visit(there).state == State.OK


def test_redirects_in_a_circle_end() -> None:
    def around(connection: socket.socket) -> None:
        number = len(request_of(connection).split(b" ")[1])
        connection.sendall(b"HTTP/1.1 302 F\r\nLocation: /" + b"x" * number + b"\r\nContent-Length: 0\r\n\r\n")

    assert visit(around).reason is Reason.WRONG_CONTENT


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", Reason.MALFORMED_REPLY),
        (b"HTTP/1.1 abc\r\n\r\n", Reason.MALFORMED_REPLY),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Reason.MALFORMED_REPLY),
        (b"x" * 200_000, Reason.MALFORMED_REPLY),
        (b"HTTP/1.1 200 OK\r\nX: y", Reason.CONNECTION_RESET),
        (b"", Reason.CONNECTION_RESET),
    ],
)
def test_what_is_no_http_is_refused(data: bytes, reason: Reason) -> None:
    reading = visit(raw(data))
    assert (reading.state, reading.reason) == (State.FAIL, reason)


def test_a_reset_connection_is_named_so() -> None:
    def reset(connection: socket.socket) -> None:
        request_of(connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    assert visit(reset).reason is Reason.CONNECTION_RESET


def test_interim_answers_are_skipped() -> None:
    assert visit(raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\n\r\n")).reason is Reason.HTTP_SERVER_ERROR


def test_a_head_that_drips_in_for_ever_ends_with_the_deadline() -> None:
    reading = visit(dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), timeout_s=1)
    assert (reading.state, reading.reason) == (State.FAIL, Reason.TIMEOUT)


def test_a_body_that_drips_in_for_ever_ends_with_the_deadline_as_slow() -> None:
    reading = visit(dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"."), timeout_s=1)
    assert (reading.state, reading.reason) == (State.DEGRADED, Reason.SLOW)


def test_an_endless_body_is_read_up_to_its_bound_only() -> None:
    sent: list[int] = []

    def endless(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent.append(connection.send(b"x" * 65536))

    assert visit(endless, expected_text="never there").reason is Reason.WRONG_CONTENT
    assert sum(sent) < 64 * 1024 * 1024


def test_a_server_that_keeps_a_chunked_answer_open_does_not_hold_the_probe() -> None:
    def keep_open(connection: socket.socket) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
        connection.recv(1)

    assert visit(keep_open, timeout_s=600).state == State.OK


def test_a_server_that_accepts_and_says_nothing_times_out() -> None:
    def say_nothing(connection: socket.socket) -> None:
        request_of(connection)
        connection.recv(1)

    assert visit(say_nothing, timeout_s=1).reason is Reason.TIMEOUT


def test_a_closed_port_is_a_refusal() -> None:
    with serve(OK) as port:
        pass
    reading = only(portal.probe(context(port)))
    assert (reading.state, reading.reason) == (State.FAIL, Reason.REFUSED)


def test_a_page_that_comes_late_is_degraded() -> None:
    with serve(OK) as port:
        reading = only(portal.probe(context(port)._replace(slow_ms=0)))
    assert (reading.state, reading.reason) == (State.DEGRADED, Reason.SLOW)


def test_a_portal_on_ipv6_is_measured_over_that_path() -> None:
    with serve(OK, address="::1") as port:
        reading = only(portal.probe(context(port, host="[::1]")))
    assert (reading.path, reading.state) == ("ipv6", State.OK)


def named(folder: Path, port: int, dns_port: int, scheme: str = "http", timeout_s: float = 20) -> Context:
    roots = Roots(proc=str(folder / "proc"), etc=str(system_files(folder, "127.0.0.1")))
    return context(port, scheme=scheme, host=NAME, timeout_s=timeout_s)._replace(roots=roots, dns_port=dns_port)


def test_a_name_is_resolved_by_the_resolvers_of_the_site_and_timed(tmp_path: Path) -> None:
    with serve(OK) as port, dnsmasq(f"--address=/{NAME}/127.0.0.1") as dns_port:
        found = portal.probe(named(tmp_path, port, dns_port))
    assert only(found).state == State.OK
    assert (Metric.PORTAL_DNS_MS, "") in found.values


def test_a_dead_resolver_leaves_the_portal_with_its_reason_within_the_deadline(tmp_path: Path) -> None:
    with forging(silent) as dns_port:
        reading = only(portal.probe(named(tmp_path, 9, dns_port, timeout_s=1)))
    assert (reading.state, reading.reason) == (State.FAIL, Reason.TIMEOUT)


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_the_text_of_the_portal_is_found_in_either_encoding(encoding: str) -> None:
    page = answering("200 OK", "<title>远程教育平台</title>".encode(encoding))
    assert visit(page, expected_text="远程教育").state == State.OK
    assert visit(page, expected_text="网络缴费").reason is Reason.WRONG_CONTENT


# --- TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server(authority: trustme.CA, *names: str, ends: datetime | None = None) -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=ends).configure_cert(tls)
    return tls


def visit_tls(tls: ssl.SSLContext, ca: trustme.CA, folder: Path, behave: Behaviour = OK, offset_ms: int = 0) -> Findings:
    ca_file = folder / "ca.pem"
    ca.cert_pem.write_to_path(str(ca_file))
    with serve(behave, tls=tls) as port:
        return portal.probe(context(port, scheme="https")._replace(ca_file=str(ca_file), wall_offset_ms=offset_ms))


def test_a_good_certificate_is_verified_and_its_days_are_counted(authority: trustme.CA, tmp_path: Path) -> None:
    ends = datetime.now(UTC) + timedelta(days=10, hours=6)
    found = visit_tls(server(authority, "127.0.0.1", ends=ends), authority, tmp_path)
    assert only(found).state == State.OK
    assert found.values[Metric.PORTAL_CERTIFICATE_DAYS, ""] == 10
    assert (Metric.PORTAL_TLS_MS, "") in found.values


def test_an_expired_certificate_is_named_so(authority: trustme.CA, tmp_path: Path) -> None:
    tls = server(authority, "127.0.0.1", ends=datetime.now(UTC) - timedelta(days=1))
    assert only(visit_tls(tls, authority, tmp_path)).reason is Reason.CERTIFICATE_EXPIRED


def test_with_a_clock_known_to_be_wrong_dates_are_no_fault_of_the_portal(authority: trustme.CA, tmp_path: Path) -> None:
    tls = server(authority, "127.0.0.1", ends=datetime.now(UTC) - timedelta(days=1))
    found = visit_tls(tls, authority, tmp_path, offset_ms=-30 * 86_400_000)
    assert only(found).state == State.OK
    assert not clock_trusted(RELEASED_MS - 1, 0) and clock_trusted(RELEASED_MS, 0)


@pytest.mark.parametrize("fault", ["stranger", "name"])
def test_a_certificate_of_a_stranger_or_of_another_name_is_invalid(fault: str, authority: trustme.CA, tmp_path: Path) -> None:
    ca = trustme.CA() if fault == "stranger" else authority
    tls = server(ca, "127.0.0.1" if fault == "stranger" else "other.example")
    assert only(visit_tls(tls, authority, tmp_path, offset_ms=-30 * 86_400_000)).reason is Reason.CERTIFICATE_INVALID


def test_a_name_in_a_certificate_is_checked_against_the_portals(authority: trustme.CA, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    with serve(OK, tls=server(authority, NAME)) as port, dnsmasq(f"--address=/{NAME}/127.0.0.1") as dns_port:
        asked = named(tmp_path, port, dns_port, "https")._replace(ca_file=str(ca_file))
        assert only(portal.probe(asked)).state == State.OK


def test_a_server_that_speaks_no_tls_is_named_so() -> None:
    with serve(lambda connection: connection.sendall(b"220 mail.example\r\n" * 4)) as port:
        assert only(portal.probe(context(port, scheme="https"))).reason is Reason.TLS_FAILED


def test_a_handshake_that_never_ends_ends_with_the_deadline() -> None:
    def swallow(connection: socket.socket) -> None:
        while connection.recv(100_000):
            pass

    with serve(swallow) as port:
        assert only(portal.probe(context(port, scheme="https", timeout_s=1))).reason is Reason.TIMEOUT


def test_over_verified_tls_a_redirect_to_another_host_is_the_portals_own(authority: trustme.CA, tmp_path: Path) -> None:
    behave = answering("302 Found", b"", "Location: https://sso.other.example/")
    assert only(visit_tls(server(authority, "127.0.0.1"), authority, tmp_path, behave)).state == State.OK


def test_a_tls_connection_cut_off_without_goodbye_is_a_failure_of_tls_or_a_reset(authority: trustme.CA, tmp_path: Path) -> None:
    reading = only(visit_tls(server(authority, "127.0.0.1"), authority, tmp_path, raw(b"")))
    assert reading.state == State.FAIL
    assert reading.reason in (Reason.TLS_FAILED, Reason.CONNECTION_RESET)


def test_a_missing_ca_file_is_our_own_mistake_and_no_finding() -> None:
    with serve(OK) as port:
        reading = only(portal.probe(context(port, scheme="https")._replace(ca_file="/nonexistent/ca.pem")))
    assert (reading.state, reading.reason) == (State.SILENT, Reason.PROBE_ERROR)
