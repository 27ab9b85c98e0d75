"""The fourth rung: does the modem answer that stands behind the router, the second hop of this site?

A modem and a router of their own are two boxes, and the second hop is the site's. Where they are one box, or the modem only
passes frames on, the second hop is the provider's: its silence is the line's, and this rung does not apply.
"""

import time

from sitekeeper_agent.platform import Family, default_route, interface_addresses, resolvers
from sitekeeper_agent.probes import hop, icmp, tcp
from sitekeeper_agent.probes.hop import Hop
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings, family_of, left_s, paths
from sitekeeper_agent.probes.resolve import within
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State

_ECHOES = 2
_SITE_NETWORKS = ("192.168.0.0/16", "172.16.0.0/12")
"""Where modems live by default. 10.0.0.0/8 and 100.64.0.0/10 are used by providers, too, and must be configured."""


def probe(context: Context) -> Findings:
    """Ask the known modem by echo, by a datagram of two hops, by TCP; where none is known, find who is there."""
    readings: list[Reading] = []
    facts: dict[str, Scalar] = {}
    measured = paths(context)
    for at, path in enumerate(measured):
        deadline = time.monotonic() + context.left_s / (len(measured) - at)
        reading, found = _path(path, context, deadline)
        readings.append(reading)
        if found.address:
            facts[f"network.second_hop.{path}"] = found.address
    return Findings(tuple(readings), {}, facts)


def _path(path: Family, context: Context, deadline: float) -> tuple[Reading, Hop]:
    route = default_route(path, context.roots)
    known = context.modems.get(path, "")
    if not context.modem_wanted or not route.gateway or (path == "ipv6" and not known):
        # IPv6 has no private networks of that kind: what is there is told only by commissioning.
        return _silent(path, Reason.NOT_CONFIGURED), Hop()
    destination = beyond(path, context)
    # With half of the time, so that the others have theirs.
    found = hop.ask(destination, deadline - left_s(deadline) / 2) if destination else Hop()
    if found.address == route.gateway or not (found.exceeded or found.address == known):
        found = Hop()
    if not known:
        return (_reading(path, found) if is_modem(found.address) else _silent(path, Reason.NOT_CONFIGURED)), found
    if found.address == known:
        return _reading(path, found), found
    return _ask(path, known, deadline), found


def _ask(path: Family, modem: str, deadline: float) -> Reading:
    """Many modems tell of no datagram's end, but answer themselves."""
    echoes = icmp.echo([modem], _ECHOES, deadline - left_s(deadline) / 2)[modem]
    if echoes.received:
        return _reading(path, Hop(modem, echoes.rtt_ms, echoes.method, Reason.NONE))
    answer = tcp.answers([modem], deadline)[modem]
    return _reading(path, Hop(modem, answer.rtt_ms, Method.TCP_CONNECT, answer.reason))


def _reading(path: Family, found: Hop) -> Reading:
    return Reading(
        rung=Rung.MODEM,
        path=path,
        state=State.FAIL if found.rtt_ms is None else State.OK,
        reason=found.reason,
        rtt_ms=found.rtt_ms,
        method=found.method,
        target=found.address[:MAX_TARGET],
    )


def _silent(path: Family, reason: Reason) -> Reading:
    return Reading(rung=Rung.MODEM, path=path, state=State.NOT_APPLICABLE, reason=reason)


def is_modem(address: str) -> bool:
    """Whether a second hop of this address is taken for a box of the site without being told so."""
    return any(within(address, network) for network in _SITE_NETWORKS)


def beyond(path: Family, context: Context) -> str:
    """An address further away than the second hop, to send towards: an anchor, a resolver that is not local, the portal."""
    setup = resolvers(context.roots)
    candidates = (*context.anchors, *setup.upstream, *setup.servers, context.portal.host)
    route = default_route(path, context.roots)
    local = [f"{a}/{p}" for a, p in interface_addresses(route.interface, path) if p] if route.interface else []
    local += ["127.0.0.0/8", "::1", "0.0.0.0/8"]
    return next((c for c in candidates if family_of(c) == path and not any(within(c, n) for n in local)), "")
