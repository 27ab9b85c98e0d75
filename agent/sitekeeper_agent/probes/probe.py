"""The one type that every probe has, and what probes share: context, findings, time left, reasons of system errors."""

import errno
import socket
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sitekeeper_agent.expectations import Expectations
from sitekeeper_agent.platform import HERE, Family, Roots, default_route
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import Scalar, SeriesKey
from sitekeeper_protocol.settings import SettingsError
from sitekeeper_protocol.vocabulary import Reason, Rung

MAX_TARGET = 64
"""Characters of a reading's target that the wire takes."""
_NOTHING: Mapping[str, int] = MappingProxyType({})
_NONE_EXPECTED = Expectations()


class Portal(NamedTuple):
    """A web address, taken apart. ``host`` is lower case ASCII (IDNA), without the brackets of an IPv6 literal."""

    scheme: str
    host: str
    port: int
    target: str = "/"

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def literal(self) -> Family | None:
        """The family of ``host`` if it is an address and no name."""
        return family_of(self.host)


class Context(NamedTuple):
    """All that a probe may know: what is configured, how long it has, and its own counters of the round before.

    ``deadline`` is an instant of ``time.monotonic()``. ``expected_addresses`` is the commissioned answer to the portal's name
    (addresses or networks such as ``10.0.0.0/8``), ``expected_text`` stands in its page, ``redirect_hosts`` are hosts that it
    may send visitors to. ``wall_offset_ms`` is server time minus this machine's clock, as far as known. ``media`` are streams,
    looked at as a player would every ``media_interval_s``. ``proven`` is what has succeeded here (``Baseline.proven``).
    ``portal_ca_file`` has a further authority for the portal, ``proxy`` is the HTTP proxy that leads to it.
    ``direct_resolver`` is the provider's own; ``public_names`` are the paths over which the portal's name had public addresses
    at commissioning. ``modems`` and ``usual_rtt_ms`` are, for a path, the second hop that was learned and the median time to
    the provider. ``own_traffic``: the agent sends its backlog, or something plays. ``dial_log`` is the dial-in program's log.
    ``expected`` is the equipment to look for; disks are asked for their health every ``smart_interval_s``, 0: never.
    ``idle_known``: this PC's desktop has been seen to say that nobody uses it. ``multicast_interface`` is where groups are
    joined (empty: where the default route leads); ``media_logins_file`` holds the site's logins to RTSP servers.
    """

    portal: Portal
    deadline: float
    anchors: tuple[str, ...] = ()
    ca_file: str = ""
    state_dir: str = "/"
    expected_addresses: tuple[str, ...] = ()
    expected_text: str = ""
    redirect_hosts: tuple[str, ...] = ()
    slow_ms: int = 5000
    wall_offset_ms: int = 0
    before: Mapping[str, int] = _NOTHING
    roots: Roots = HERE
    dns_port: int = 53
    media: tuple[Portal, ...] = ()
    media_interval_s: int = 300
    proven: frozenset[tuple[str, Rung]] = frozenset()
    portal_ca_file: str = ""
    proxy: Portal | None = None
    direct_resolver: str = ""
    public_names: frozenset[str] = frozenset()
    modem_wanted: bool = True
    modems: Mapping[str, str] = MappingProxyType({})
    usual_rtt_ms: Mapping[str, float] = MappingProxyType({})
    own_traffic: bool = False
    dial_log: str = ""
    expected: Expectations = _NONE_EXPECTED
    smart_interval_s: int = 86400
    idle_known: bool = False
    multicast_interface: str = ""
    media_logins_file: str = ""

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, never negative."""
        return left_s(self.deadline)


class Findings(NamedTuple):
    """What a probe found: raw readings of the ladder, values in wire integers, facts.

    ``counters`` come back as ``Context.before`` in the next round: rates need what was counted then.
    """

    readings: tuple[Reading, ...]
    values: dict[SeriesKey, int]
    facts: dict[str, Scalar]
    counters: Mapping[str, int] = _NOTHING


Probe = Callable[[Context], Findings]


def left_s(deadline: float) -> float:
    """Seconds until ``deadline``, never negative."""
    return max(0.0, deadline - time.monotonic())


def family_of(address: str) -> Family | None:
    """The family of a numeric address (an IPv6 zone is allowed), or ``None`` for anything else."""
    bare = address.partition("%")[0]
    kinds: tuple[tuple[Family, int], ...] = (("ipv4", socket.AF_INET), ("ipv6", socket.AF_INET6))
    for family, number in kinds:
        try:
            socket.inet_pton(number, bare)
        except (OSError, ValueError):
            continue
        return family
    return None


def sockaddr(address: str, port: int = 0) -> tuple[str, int] | tuple[str, int, int, int]:
    """What ``connect`` and ``sendto`` take for a numeric address. Raises ``OSError`` for an unknown zone or a wrong port."""
    if not 0 <= port <= 65535:
        raise OSError(errno.EINVAL, f"no port {port}")
    bare, _, zone = address.partition("%")
    if ":" not in bare:
        return bare, port
    return bare, port, 0, socket.if_nametoindex(zone) if zone else 0


def address_family(address: str) -> socket.AddressFamily:
    """The socket family of a numeric address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def paths(context: Context) -> tuple[Family, ...]:
    """The paths worth measuring: those that the portal can be reached over from here."""
    first = context.proxy or context.portal
    if first.literal:
        return (first.literal,)
    return ("ipv4", "ipv6") if default_route("ipv6", context.roots).interface else ("ipv4",)


def network_identity(context: Context) -> str:
    """Interfaces and gateways in one short text: while it is the same, the network has not changed; "" without a network."""
    routes = (default_route("ipv4", context.roots), default_route("ipv6", context.roots))
    return " ".join(f"{r.interface}>{r.gateway or '-'}" for r in routes if r.interface)


_REASONS = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.ECONNRESET: Reason.CONNECTION_RESET,
    errno.EPIPE: Reason.CONNECTION_RESET,
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.EHOSTDOWN: Reason.UNREACHABLE,
    errno.ENETDOWN: Reason.UNREACHABLE,
    errno.ENETUNREACH: Reason.NO_ROUTE,
    errno.EADDRNOTAVAIL: Reason.NO_ADDRESS,
    errno.ETIMEDOUT: Reason.TIMEOUT,
    errno.EACCES: Reason.NO_PERMISSION,
    errno.EPERM: Reason.NO_PERMISSION,
}


def reason_of(err: OSError) -> Reason:
    """The vocabulary's word for a socket error."""
    if isinstance(err, TimeoutError):
        return Reason.TIMEOUT
    return _REASONS.get(err.errno or 0, Reason.UNREACHABLE)


def parse_portal(url: str) -> Portal:
    """A configured web address, taken apart. Raises ``SettingsError`` saying what would be right."""
    scheme, mark, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in ("http", "https") or any(c.isspace() or ord(c) < 32 for c in url.strip()):
        raise SettingsError(f"{url[:80]!r} is no web address; write it as https://portal.example/ or http://10.0.0.1:8080/")
    authority, slash, path = rest.partition("#")[0].partition("/")
    authority, question, query = authority.partition("?")
    host, port = _host_port(authority, url)
    target = f"/?{query}" if question else slash + path or "/"
    if not target.isascii():
        target = "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in target)
    return Portal(scheme, host, port or (443 if scheme == "https" else 80), target)


def _host_port(authority: str, url: str) -> tuple[str, int]:
    if "@" in authority:
        raise SettingsError("the portal's address holds a user name; leave it out, no probe logs in")
    if authority.startswith("["):
        host, closed, tail = authority[1:].partition("]")
        bad = not closed or family_of(host) != "ipv6" or (tail != "" and not tail.startswith(":"))
        port = tail[1:]
    else:
        host, _, port = authority.partition(":")
        host, bad = _ascii(host.rstrip(".").lower()), False
        bad = not host or len(host) > 253 or any(not 1 <= len(label) <= 63 for label in host.split("."))
    if bad or (port and not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535)):
        raise SettingsError(f"{url[:80]!r}: host or port can't be right")
    return host, int(port or 0)


def _ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        # Only for a name outside of ASCII: the codec costs a megabyte.
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""
