"""One web request over one path: name, connection, TLS, answer, each timed; and the few redirects that it may take."""

import errno
import socket
import time
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from sitekeeper_agent import __version__
from sitekeeper_agent.platform import Family, wall_ms
from sitekeeper_agent.probes import http
from sitekeeper_agent.probes.probe import Context, Portal, address_family, left_s, reason_of, sockaddr
from sitekeeper_agent.probes.reference import redirect
from sitekeeper_agent.probes.resolve import lookup
from sitekeeper_protocol import RELEASED_MS
from sitekeeper_protocol.vocabulary import Reason, State

if TYPE_CHECKING:
    import ssl

MAX_REDIRECTS = 5
_AGENT = f"sitekeeper-agent/{__version__}"
_MAX_ADDRESSES = 3
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
# X509_verify_cert(3): expired; X509_VERIFY_PARAM_set_flags(3): X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name.
_CERT_HAS_EXPIRED, _NO_CHECK_TIME = 10, 0x200000


class Phases(NamedTuple):
    """How far a request came, and how long each step took."""

    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    first_byte_ms: float | None = None
    status: int | None = None
    certificate_days: int | None = None


class Failed(Exception):
    """A step failed for ``reason``. ``state`` is ``not applicable`` where this path can't lead there at all."""

    def __init__(self, reason: Reason, phases: Phases, state: State = State.FAIL) -> None:
        super().__init__(reason.name)
        self.reason, self.phases, self.state = reason, phases, state


class Fetched(NamedTuple):
    """An answer, the address that gave it, and the instant of its first byte (``time.monotonic()``)."""

    address: Portal
    response: http.Response
    phases: Phases
    first_byte: float


def follow(
    address: Portal, path: Family, context: Context, deadline: float, body_bytes: int, span: http.Span | None = None
) -> Fetched:
    """``get``, and up to five redirects. Raises ``Failed``, for a circle with ``WRONG_CONTENT``."""
    seen: set[Portal] = set()
    while True:
        got = get(address, path, context, deadline, body_bytes, span)
        seen.add(address)
        target = redirect(address, got.response.head)
        if target is None:
            return got
        if target in seen or len(seen) > MAX_REDIRECTS:
            raise Failed(Reason.WRONG_CONTENT, got.phases)
        address = target


def get(
    address: Portal, path: Family, context: Context, deadline: float, body_bytes: int, span: http.Span | None = None
) -> Fetched:
    """One request, and up to ``body_bytes`` of the body of its answer. Raises ``Failed``."""
    via = context.proxy if context.proxy is not None and address.host == context.portal.host else None
    sock, phases = dial(address, path, context, deadline, via)
    try:
        begun = time.monotonic()
        sock.settimeout(left_s(deadline) or 0.001)
        sock.sendall(http.request(address, _AGENT, span, whole=via is not None and not address.secure))
        sock.settimeout(left_s(deadline) or 0.001)
        first = sock.recv(16 * 1024)
        if not first:
            raise ConnectionResetError(errno.ECONNRESET, "closed without an answer")
        first_byte = time.monotonic()
        phases = phases._replace(first_byte_ms=(first_byte - begun) * 1000)
        response = http.read(sock, first, deadline, body_bytes)
        return Fetched(address, response, phases._replace(status=response.head.status), first_byte)
    except http.BadResponse:
        raise Failed(Reason.MALFORMED_REPLY, phases) from None
    except OSError as err:
        raise Failed(tls_reason(err) if address.secure else reason_of(err), phases) from None
    finally:
        sock.close()


def _tunnel(sock: socket.socket, address: Portal, deadline: float, phases: Phases) -> None:
    """Have the proxy connect to the portal (RFC 9110, section 9.3.6). Raises ``Failed``, ``OSError`` or ``BadResponse``."""
    sock.settimeout(left_s(deadline) or 0.001)
    sock.sendall(http.connect(address, _AGENT))
    status = http.read_head(sock, deadline).status
    if status == 407:
        raise Failed(Reason.LOGIN_REFUSED, phases)
    if not 200 <= status < 300:
        # What the proxy could not reach; its own word for it is no word of the portal.
        raise Failed(Reason.TIMEOUT if status == 504 else Reason.UNREACHABLE, phases)


def dial(
    address: Portal, path: Family, context: Context, deadline: float, via: Portal | None = None
) -> tuple[socket.socket, Phases]:
    """A connection to ask on, by the proxy ``via`` if there is one, encrypted where the address says so; the caller closes it.

    Raises ``Failed``.
    """
    addresses, phases = _addresses(via or address, path, context, deadline)
    sock, phases = _connect(addresses, (via or address).port, deadline, phases)
    try:
        if via is not None and address.secure:
            _tunnel(sock, address, deadline, phases)
        return _secure(sock, address, context, deadline, phases) if address.secure else (sock, phases)
    except http.BadResponse:
        sock.close()
        raise Failed(Reason.MALFORMED_REPLY, phases) from None
    except OSError as err:
        sock.close()
        raise Failed(reason_of(err), phases) from None
    except BaseException:
        sock.close()
        raise


def _addresses(address: Portal, path: Family, context: Context, deadline: float) -> tuple[tuple[str, ...], Phases]:
    if address.literal:
        if address.literal != path:
            raise Failed(Reason.NONE, Phases(), State.NOT_APPLICABLE)
        return (address.host,), Phases()
    found = lookup(address.host, path, deadline - left_s(deadline) / 3, context.roots, context.dns_port)
    phases = Phases(dns_ms=found.ms)
    if found.addresses:
        return found.addresses[:_MAX_ADDRESSES], phases
    # No address of this family is no fault of the second family; for the first, the DNS rung tells more.
    absent = path == "ipv6" and found.reason is Reason.NAME_NOT_FOUND
    raise Failed(found.reason, phases, State.NOT_APPLICABLE if absent else State.FAIL)


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
    raise Failed(reason, phases)


def _secure(
    sock: socket.socket, address: Portal, context: Context, deadline: float, phases: Phases
) -> tuple[socket.socket, Phases]:
    """Handshake and verification. Raises ``Failed`` with the reason why the certificate does not do."""
    import ssl

    begun = time.monotonic()
    trusted = clock_trusted(wall_ms(), context.wall_offset_ms)
    try:
        # Bytes: for text, the ssl module loads the IDNA tables.
        extra = context.portal_ca_file if address.host == context.portal.host else ""
        secured = _tls(context.ca_file, extra, trusted).wrap_socket(
            sock,
            server_hostname=address.host.encode(),
            do_handshake_on_connect=False,
        )
    except OSError as err:
        # The configured CA file is missing or no certificate: our own mistake, no finding about the server.
        raise Failed(Reason.PROBE_ERROR, phases, State.SILENT) from err
    try:
        secured.settimeout(left_s(deadline) or 0.001)
        secured.do_handshake()
    except OSError as err:
        secured.close()
        raise Failed(tls_reason(err), phases) from None
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
def _tls(ca_file: str, extra: str, check_time: bool) -> "ssl.SSLContext":
    import ssl

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not check_time:
        # A dead clock must not turn every certificate into a fault of the server.
        tls.verify_flags |= _NO_CHECK_TIME
    # The file is the broker's authority, perhaps the county's own; portals and media servers belong to others.
    tls.load_default_certs()
    for file in (ca_file, extra):
        if file:
            tls.load_verify_locations(cafile=file)
    return tls


def tls_reason(err: OSError) -> Reason:
    """The vocabulary's word for an error on a connection with TLS."""
    import ssl

    if isinstance(err, ssl.SSLCertVerificationError):
        return Reason.CERTIFICATE_EXPIRED if err.verify_code == _CERT_HAS_EXPIRED else Reason.CERTIFICATE_INVALID
    return Reason.TLS_FAILED if isinstance(err, ssl.SSLError) else reason_of(err)
