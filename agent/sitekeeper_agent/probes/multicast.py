"""Joins a multicast group for a few seconds (IGMP, MLD; with a source filter if wanted) and listens to RTP or raw MPEG-TS."""

import errno
import socket
import struct
import time

from sitekeeper_agent.platform import Family, default_route
from sitekeeper_agent.probes.probe import Context, Portal, family_of, left_s, reason_of
from sitekeeper_agent.probes.rtp import Ear, Heard, ear_of
from sitekeeper_agent.probes.streams import LEAST_PACKETS, LISTEN_S, MOST_BYTES, Listened, judged
from sitekeeper_protocol.vocabulary import Reason, State

# include/uapi/linux/in.h; Python names it for no system, Windows has another number (ws2ipdef.h).
_ADD_SOURCE = 39 if hasattr(socket, "AF_PACKET") else 15
_MCAST_JOIN_SOURCE_GROUP = 46
_DATAGRAM = 65536


def listen(stream: Portal, path: Family, context: Context, deadline: float, *, most_bytes: int = MOST_BYTES) -> Listened:
    """Up to four seconds or ``most_bytes`` of a group. Never raises for what comes in.

    ``not applicable`` over a path of the other family: a group has but one.
    """
    if family_of(stream.host) != path:
        return Listened(State.NOT_APPLICABLE)
    begun = time.monotonic()
    until = min(deadline, begun + LISTEN_S)
    try:
        with socket.socket(socket.AF_INET6 if path == "ipv6" else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            _join(sock, stream, path, context)
            return _hear(sock, stream, begun, until, most_bytes, context.slow_ms)
    except OSError as err:
        return Listened(State.FAIL, Reason.NO_ROUTE if err.errno == errno.ENODEV else reason_of(err))


def _join(sock: socket.socket, stream: Portal, path: Family, context: Context) -> None:
    """On the default route's interface, or where the system wants to without one. A player may listen on the same port."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    interface = context.multicast_interface or default_route(path, context.roots).interface
    index = socket.if_nametoindex(interface) if interface else 0
    # Bound to the group, not to every address: other groups on the same port are none of this stream.
    local = stream.host if hasattr(socket, "AF_PACKET") else ""
    if path == "ipv6":
        sock.bind((local, stream.port, 0, index))
        group = socket.inet_pton(socket.AF_INET6, stream.host)
        if stream.target:
            sock.setsockopt(socket.IPPROTO_IPV6, _MCAST_JOIN_SOURCE_GROUP, _source_request6(index, stream))
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + struct.pack("@I", index))
        return
    sock.bind((local, stream.port))
    group, own = socket.inet_aton(stream.host), _own_address(interface)
    if stream.target:
        # struct ip_mreq_source: group, interface, source on Linux; group, source, interface on Windows
        source = socket.inet_aton(stream.target)
        parts = (group, own, source) if hasattr(socket, "AF_PACKET") else (group, source, own)
        sock.setsockopt(socket.IPPROTO_IP, _ADD_SOURCE, b"".join(parts))
    elif hasattr(socket, "AF_PACKET"):
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + bytes(4) + struct.pack("@I", index))
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group + own)


def _source_request6(index: int, stream: Portal) -> bytes:
    """struct group_source_req of netinet/in.h: the index, then two sockaddr_storage of 128 bytes."""

    def storage(address: str) -> bytes:
        head = struct.pack("=HHI", socket.AF_INET6, 0, 0) + socket.inet_pton(socket.AF_INET6, address)
        return head.ljust(128, b"\0")

    return struct.pack("@I4x", index) + storage(stream.host) + storage(stream.target)


def _own_address(interface: str | None) -> bytes:
    from sitekeeper_agent.platform import interface_addresses

    found = interface_addresses(interface, "ipv4") if interface else ()
    return socket.inet_aton(found[0].address) if found else bytes(4)


def _hear(sock: socket.socket, stream: Portal, begun: float, until: float, most_bytes: int, slow_ms: int) -> Listened:
    ear: Ear | None = None
    first_ms = ready_ms = None
    while (left := left_s(until)) > 0 and (ear is None or ear.heard.taken_bytes < most_bytes):
        sock.settimeout(left)
        try:
            datagram, sender = sock.recvfrom(_DATAGRAM)
        except TimeoutError:
            break
        if stream.target and sender[0] != stream.target:
            continue  # some systems hand on what others on this PC have joined
        at = time.monotonic()
        if ear is None:
            ear = ear_of(datagram)
        ear.take(datagram, at)
        packets = ear.heard.packets
        if packets and first_ms is None:
            first_ms = (at - begun) * 1000
        if packets >= LEAST_PACKETS and ready_ms is None:
            ready_ms = (at - begun) * 1000
    return judged(ear.heard if ear else Heard(0, 0, 0), first_ms, ready_ms, slow_ms=slow_ms)
