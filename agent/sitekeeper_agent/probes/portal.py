"""The portal's rung: name, connection, TLS, first byte and status of the page that the site teaches with."""

import errno
import socket
import time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from sitekeeper_agent import __version__
from sitekeeper_agent.platform import Family, wall_ms
from sitekeeper_agent.probes import http
from sitekeeper_agent.probes.captive import is_captive
from sitekeeper_agent.probes.probe import (
    MAX_TARGET,
    Context,
    Findings,
    Portal,
    address_family,
    left_s,
    parse_portal,
    paths,
    reason_of,
    sockaddr,
)
from sitekeeper_agent.probes.resolve import lookup
from sitekeeper_protocol import RELEASED_MS
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import SeriesKey
from sitekeeper_protocol.settings import SettingsError
from sitekeeper_protocol.vocabulary import Method, Metric, Reason, Rung, State, to_wire

if TYPE_CHECKING:
    import ssl

_MAX_HOPS = 3
_MAX_ADDRESSES = 3
_CAPTIVE_BYTES = 8 * 1024
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
# X509_verify_cert(3): expired; X509_VERIFY_PARAM_set_flags(3): X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name.
_CERT_HAS_EXPIRED, _NO_CHECK_TIME = 10, 0x200000


class Phases(NamedTuple):
    """How far a visit came, and how long each step took."""

    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    status: int | None = None
    certificate_days: int | None = None


class Visit(NamedTuple):
    """The outcome of a visit to the portal over one path."""

    state: State
    reason: Reason = Reason.NONE
    phases: Phases = Phases()
    ms: float | None = None


class _Failed(Exception):
    """A step of the visit failed for ``reason``."""

    def __init__(self, reason: Reason, phases: Phases, state: State = State.FAIL) -> None:
        super().__init__(reason.name)
        self.visit = Visit(state, reason, phases)


def probe(context: Context) -> Findings:
    """Visit the portal over each path; the phases told are those of the first path that answered."""
    measured = paths(context)
    visits: dict[Family, Visit] = {}
    for at, path in enumerate(measured):
        # Each path has its share of the time, so that a dead one leaves the other enough.
        visits[path] = visit(path, context, time.monotonic() + context.left_s / (len(measured) - at))
    told = next((v for v in visits.values() if v.state in (State.OK, State.DEGRADED)), visits[measured[0]])
    return Findings(tuple(_reading(path, v, context.portal) for path, v in visits.items()), _values(told.phases), {})


def _reading(path: Family, found: Visit, portal: Portal) -> Reading:
    return Reading(
        rung=Rung.PORTAL,
        path=path,
        state=found.state,
        reason=found.reason,
        rtt_ms=found.ms,
        method=Method.HTTP,
        target=portal.host[:MAX_TARGET],
    )


def _values(phases: Phases) -> dict[SeriesKey, int]:
    metrics = (
        (Metric.PORTAL_DNS_MS, phases.dns_ms),
        (Metric.PORTAL_CONNECT_MS, phases.connect_ms),
        (Metric.PORTAL_TLS_MS, phases.tls_ms),
        (Metric.PORTAL_FIRST_BYTE_MS, phases.first_byte_ms),
        (Metric.PORTAL_STATUS, phases.status),
        (Metric.PORTAL_CERTIFICATE_DAYS, phases.certificate_days),
    )
    return {(metric.value, ""): to_wire(metric, value) for metric, value in metrics if value is not None}


def visit(path: Family, context: Context, deadline: float) -> Visit:
    """One visit over ``path``, following redirects within the portal's own host."""
    begun, portal = time.monotonic(), context.portal
    phases = Phases()
    try:
        for _ in range(_MAX_HOPS):
            response, phases = _get(portal, path, context, deadline)
            target = _next(portal, response, context)
            if target is None:
                found = classify(portal, response, context)
                break
            portal = target
        else:
            found = State.FAIL, Reason.WRONG_CONTENT
    except _Failed as failed:
        return failed.visit
    ms = (time.monotonic() - begun) * 1000
    if found == (State.OK, Reason.NONE) and ms > context.slow_ms:
        found = State.DEGRADED, Reason.SLOW
    return Visit(*found, phases, ms)


def _get(portal: Portal, path: Family, context: Context, deadline: float) -> tuple[http.Response, Phases]:
    """One request and its response. Raises ``_Failed``."""
    addresses, phases = _addresses(portal, path, context, deadline)
    sock, phases = _connect(addresses, portal.port, deadline, phases)
    try:
        if portal.secure:
            sock, phases = _secure(sock, portal, context, deadline, phases)
        return _exchange(sock, portal, context, deadline, phases)
    except http.BadResponse:
        raise _Failed(Reason.MALFORMED_REPLY, phases) from None
    except OSError as err:
        raise _Failed(tls_reason(err) if portal.secure else reason_of(err), phases) from None
    finally:
        sock.close()


def _addresses(portal: Portal, path: Family, context: Context, deadline: float) -> tuple[tuple[str, ...], Phases]:
    if portal.literal:
        return (portal.host,), Phases()
    found = lookup(portal.host, path, deadline - left_s(deadline) / 3, context.roots, context.dns_port)
    phases = Phases(dns_ms=found.ms)
    if found.addresses:
        return found.addresses[:_MAX_ADDRESSES], phases
    # No address of this family is no fault of the second family; for the first, the DNS rung tells more.
    absent = path == "ipv6" and found.reason is Reason.NAME_NOT_FOUND
    raise _Failed(found.reason, phases, State.NOT_APPLICABLE if absent else State.FAIL)


def _connect(addresses: tuple[str, ...], port: int, deadline: float, phases: Phases) -> tuple[socket.socket, Phases]:
    reason = Reason.TIMEOUT
    for at, address in enumerate(addresses):
        begun = time.monotonic()
        try:
            sock = socket.socket(address_family(address), socket.SOCK_STREAM)
        except OSError as err:
            reason = reason_of(err)
            continue
        try:
            sock.settimeout(left_s(deadline) / (len(addresses) - at) or 0.001)
            sock.connect(sockaddr(address, port))
        except OSError as err:
            reason = reason_of(err)
            sock.close()
            continue
        return sock, phases._replace(connect_ms=(time.monotonic() - begun) * 1000)
    raise _Failed(reason, phases)


def _secure(
    sock: socket.socket, portal: Portal, context: Context, deadline: float, phases: Phases
) -> tuple[socket.socket, Phases]:
    """Handshake and verification. Raises ``_Failed`` with the reason why the certificate does not do."""
    import ssl

    begun = time.monotonic()
    trusted = clock_trusted(wall_ms(), context.wall_offset_ms)
    try:
        # Bytes: for text, the ssl module loads the IDNA tables.
        secured = _tls(context.ca_file, trusted).wrap_socket(
            sock,
            server_hostname=portal.host.encode(),
            do_handshake_on_connect=False,
        )
    except OSError as err:
        # The configured CA file is missing or no certificate: our own mistake, no finding about the portal.
        raise _Failed(Reason.PROBE_ERROR, phases, State.SILENT) from err
    try:
        secured.settimeout(left_s(deadline) or 0.001)
        secured.do_handshake()
    except OSError as err:
        secured.close()
        raise _Failed(tls_reason(err), phases) from None
    certificate = secured.getpeercert() or {}
    ends = certificate.get("notAfter")
    now = wall_ms() + context.wall_offset_ms
    known = isinstance(ends, str) and now >= RELEASED_MS
    days = int((ssl.cert_time_to_seconds(str(ends)) * 1000 - now) // _DAY_MS) if known else None
    return secured, phases._replace(tls_ms=(time.monotonic() - begun) * 1000, certificate_days=days)


def clock_trusted(now_ms: int, offset_ms: int) -> bool:
    """Whether this machine's clock is fit to judge a certificate's dates."""
    return now_ms >= RELEASED_MS and abs(offset_ms) < _HOUR_MS


@lru_cache(maxsize=4)
def _tls(ca_file: str, check_time: bool) -> "ssl.SSLContext":
    import ssl

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not check_time:
        # A dead clock must not turn every certificate into a fault of the portal.
        tls.verify_flags |= _NO_CHECK_TIME
    if ca_file:
        tls.load_verify_locations(cafile=ca_file)
    else:
        tls.load_default_certs()
    return tls


def tls_reason(err: OSError) -> Reason:
    """The vocabulary's word for an error on a connection with TLS."""
    import ssl

    if isinstance(err, ssl.SSLCertVerificationError):
        return Reason.CERTIFICATE_EXPIRED if err.verify_code == _CERT_HAS_EXPIRED else Reason.CERTIFICATE_INVALID
    return Reason.TLS_FAILED if isinstance(err, ssl.SSLError) else reason_of(err)


def _exchange(
    sock: socket.socket, portal: Portal, context: Context, deadline: float, phases: Phases
) -> tuple[http.Response, Phases]:
    begun = time.monotonic()
    sock.settimeout(left_s(deadline) or 0.001)
    sock.sendall(http.request(portal, f"sitekeeper-agent/{__version__}"))
    sock.settimeout(left_s(deadline) or 0.001)
    first = sock.recv(16 * 1024)
    if not first:
        raise ConnectionResetError(errno.ECONNRESET, "closed without an answer")
    phases = phases._replace(first_byte_ms=(time.monotonic() - begun) * 1000)
    # Nobody but the portal can answer over TLS, so its page need not be looked at, nor paid for.
    wanted = http.MAX_BYTES if context.expected_text else 0 if portal.secure else _CAPTIVE_BYTES
    response = http.read(sock, first, deadline, wanted)
    return response, phases._replace(status=response.head.status)


def _next(portal: Portal, response: http.Response, context: Context) -> Portal | None:
    """Where a redirect within the portal's own host leads, else ``None``."""
    target = redirect(portal, response.head)
    return target if target is not None and target.host == portal.host and target != portal else None


def redirect(portal: Portal, head: http.Head) -> Portal | None:
    """The address that a redirect names, or ``None`` if it is none that can be visited."""
    location = head.fields.get("location", "")
    if head.status not in (301, 302, 303, 307, 308) or not location:
        return None
    if location.startswith("//"):
        location = f"{portal.scheme}:{location}"
    elif "://" not in location.partition("?")[0]:
        base = portal.target.partition("?")[0].rpartition("/")[0]
        location = location if location.startswith("/") else f"{base}/{location}"
        return portal._replace(target=location.partition("#")[0]) if location.isascii() and location.isprintable() else None
    try:
        return parse_portal(location)
    except SettingsError:
        return None


def classify(portal: Portal, response: http.Response, context: Context) -> tuple[State, Reason]:
    """What a response that is followed no further says about the portal."""
    status = response.head.status
    if status == 511:  # RFC 6585: network authentication required
        return State.FAIL, Reason.CAPTIVE_PAGE
    if context.expected_text and context.expected_text.encode() in response.body:
        return State.OK, Reason.NONE
    if not portal.secure and is_captive(portal, redirect(portal, response.head), response.body, context.redirect_hosts):
        return State.FAIL, Reason.CAPTIVE_PAGE
    if status >= 500:
        return State.FAIL, Reason.HTTP_SERVER_ERROR
    if status in (401, 429):
        return State.OK, Reason.HTTP_CLIENT_ERROR  # it wants a login, or it is asked too often: it is there
    if status >= 400:
        return State.FAIL, Reason.HTTP_CLIENT_ERROR
    if not response.complete:
        return State.DEGRADED, Reason.SLOW
    if context.expected_text and status < 300:
        return State.FAIL, Reason.WRONG_CONTENT
    return State.OK, Reason.NONE
