"""Addresses of streams: what the web has, RTSP, and multicast groups; and what a trial of the latter two comes to."""

import ipaddress
from typing import NamedTuple

from sitekeeper_agent.probes.probe import Portal, family_of, parse_portal
from sitekeeper_agent.probes.rtp import Heard
from sitekeeper_protocol.settings import SettingsError
from sitekeeper_protocol.vocabulary import Reason, State

MULTICAST = ("rtp", "udp")
RTSP_PORT = 554
LISTEN_S = 4.0
MOST_BYTES = 512 * 1024
LEAST_PACKETS = 10
LOSS_RATIO = 0.01
"""From this share of missing packets on a picture breaks up again and again; forward error correction is not known here."""


class Listened(NamedTuple):
    """What listening to a stream came to. ``first_ms``: until its first packet, ``status`` the server's last word (RTSP)."""

    state: State
    reason: Reason = Reason.NONE
    first_ms: float | None = None
    ready_ms: float | None = None
    """Until so many packets had come that a player could begin."""
    status: int | None = None
    heard: Heard = Heard(0, 0, 0)


def judged(
    heard: Heard, first_ms: float | None, ready_ms: float | None, *, slow_ms: int, status: int | None = None
) -> Listened:
    """What was heard, judged: nothing is a failure, too little or too much missing is poor."""
    if not heard.packets:
        reason = Reason.WRONG_CONTENT if heard.taken_bytes else Reason.TIMEOUT
        return Listened(State.FAIL, reason, None, None, status, heard)
    state, reason = State.OK, Reason.NONE
    if heard.packets < LEAST_PACKETS or (ready_ms or 0.0) > slow_ms:
        state, reason = State.DEGRADED, Reason.SLOW
    elif heard.loss_ratio >= LOSS_RATIO:
        state, reason = State.DEGRADED, Reason.PACKET_LOSS
    return Listened(state, reason, first_ms, ready_ms, status, heard)


def parse_stream(address: str) -> Portal:
    """The address of a stream, taken apart. Of a multicast stream, ``target`` is the source that it must come from, or empty.

    ``http(s)://host/path``, ``rtsp://host/path``, ``rtp://[source@]group:port`` and ``udp://[source@]group:port``. Raises
    ``SettingsError`` saying what would be right.
    """
    scheme, mark, rest = address.strip().partition("://")
    scheme = scheme.lower()
    if mark and scheme == "rtsp":
        return _rtsp(rest, address)
    if mark and scheme in MULTICAST:
        return _group(scheme, rest, address)
    return parse_portal(address)


def _rtsp(rest: str, address: str) -> Portal:
    try:
        as_web = parse_portal(f"http://{rest}")
    except SettingsError:
        # What stands before an @ may be a password, and after a question mark a key.
        shown = address.rpartition("@")[2].partition("?")[0][:80]
        raise SettingsError(
            f"{shown!r} is no stream's address; write it as rtsp://tv.example/channel1, without a user"
        ) from None
    default = as_web.port == 80 and ":80" not in rest.partition("/")[0]
    return Portal("rtsp", as_web.host, RTSP_PORT if default else as_web.port, as_web.target)


def _group(scheme: str, rest: str, address: str) -> Portal:
    source, at, where = rest.rstrip("/").rpartition("@")
    host, _, port = where.rpartition(":")
    group, source = host.strip("[]"), source.strip("[]") if at else ""
    good = port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535
    family = family_of(group)
    if not good or "%" in group or family is None or not ipaddress.ip_address(group).is_multicast:
        raise SettingsError(f"{address[:80]!r} is no multicast stream's address; write it as {scheme}://239.1.1.1:5004")
    if source and (family_of(source) != family or "%" in source or ipaddress.ip_address(source).is_multicast):
        raise SettingsError(f"{address[:80]!r}: before the @ stands the address of the sender, for example 10.0.0.9")
    return Portal(scheme, group, int(port), source)
