"""The second rung: has the interface an address that leads anywhere, and that nobody else uses?"""

import re
from collections.abc import Iterable

from sitekeeper_agent.platform import (
    Family,
    InterfaceAddress,
    PlatformUnsupported,
    default_route,
    disputed_addresses,
    interface_addresses,
    interface_macs,
    interfaces,
    neighbour,
)
from sitekeeper_agent.probes import dialin, duplicate
from sitekeeper_agent.probes.probe import Context, Findings, family_of, paths
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State

_DIALLED = re.compile(r"(ppp|wwan|tun|tap|wg)\d*", re.ASCII)
"""Links without neighbours: nobody there could have the same address, and no ARP is spoken."""


def probe(context: Context) -> Findings:
    """The address of the default route's interface; without a route, of any interface that could carry one."""
    facts: dict[str, Scalar] = {}
    counters: dict[str, int] = {}
    disputed = disputed_addresses(context.roots)
    readings = tuple(_path(path, context, disputed, facts, counters) for path in paths(context))
    return Findings(readings, {}, facts, counters)


def _path(
    path: Family, context: Context, disputed: tuple[str, ...], facts: dict[str, Scalar], counters: dict[str, int]
) -> Reading:
    routed = default_route(path, context.roots).interface
    reading = _reading(path, _addresses(path, routed, context))
    if reading.state == State.FAIL and (lost := [address for address in disputed if family_of(address) == path]):
        # The system found out by itself, and has taken the address out of use.
        from msgspec.structs import replace

        return replace(reading, reason=Reason.DUPLICATE_ADDRESS, target=lost[0])
    if not routed:
        # The cable towards the modem may have an address of its own, which leads no further.
        return _explained(reading, context, counters)
    if reading.state == State.OK and path == "ipv4" and routed and not _DIALLED.fullmatch(routed):
        return _undisputed(reading, routed, context, facts)
    return reading


def _addresses(path: Family, routed: str | None, context: Context) -> list[InterfaceAddress]:
    names = (routed,) if routed else interfaces(context.roots)
    return [address for name in names for address in interface_addresses(name, path)]


def _reading(path: Family, addresses: list[InterfaceAddress]) -> Reading:
    state, reason, address = judge_addresses(addresses)
    return Reading(rung=Rung.ADDRESS, path=path, state=state, reason=reason, method=Method.SYSTEM, target=address)


def _explained(reading: Reading, context: Context, counters: dict[str, int]) -> Reading:
    """No way out: where the PC dials in itself, the dialler's log says why, or else what it wrote to the system's journal."""
    why = dialin.last_word(context.dial_log) if context.dial_log else dialin.last_word_of_journal(context, counters)
    return reading if why is Reason.NONE else _with(reading, why, Method.LOG_FILE)


def _undisputed(reading: Reading, interface: str, context: Context, facts: dict[str, Scalar]) -> Reading:
    """An address that another machine answers for, too, works by turns. If all above works now, the ladder keeps silent."""
    try:
        other = duplicate.other_owner(interface, reading.target, context.deadline)
    except duplicate.NotAllowed:
        facts["network.address_checked"] = False
        return reading
    route = default_route("ipv4", context.roots)
    known = neighbour_mac(route.gateway or "", context)
    if other and other in (known, *interface_macs(context.roots)):
        other = ""  # a router that answers for everybody, or this PC itself by its other interface (arp_ignore of ip-sysctl)
    facts["network.address_checked"] = True
    facts["network.address_also_at"] = other or None
    return _with(reading, Reason.DUPLICATE_ADDRESS, Method.RAW_SOCKET) if other else reading


def neighbour_mac(address: str, context: Context) -> str:
    """The MAC of a neighbour, as far as the system knows it."""
    try:
        entry = neighbour(address, context.roots)
    except PlatformUnsupported:
        return ""
    return entry.mac.lower() if entry is not None else ""


def _with(reading: Reading, reason: Reason, method: Method) -> Reading:
    from msgspec.structs import replace

    return replace(reading, state=State.FAIL, reason=reason, method=method)


def judge_addresses(addresses: Iterable[InterfaceAddress]) -> tuple[State, Reason, str]:
    """(state, reason, the address that counts). An address that the PC gave itself (RFC 3927, RFC 4862) leads nowhere."""
    own = ""
    for address, _ in addresses:
        if not address.lower().startswith(("169.254.", "fe8", "fe9", "fea", "feb", "127.")) and address != "::1":
            return State.OK, Reason.NONE, address
        if address.startswith("169.254."):
            own = address
    return State.FAIL, Reason.SELF_ASSIGNED_ADDRESS if own else Reason.NO_ADDRESS, own
