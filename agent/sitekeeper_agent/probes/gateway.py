"""The third rung: does the router answer that the default route leads to?"""

import time

from sitekeeper_agent.platform import Family, PlatformUnsupported, Roots, default_route, neighbour
from sitekeeper_agent.probes import icmp, tcp
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings, left_s, paths
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State

_ECHOES = 2
_MEMORY_MS = 55_000
"""So long after the first echo in vain the neighbour table may know a gateway that answered before from memory: the kernel
takes an entry for reachable for up to 45 s, and then needs 8 to find out (arp(7): base_reachable_time, ucast_solicit)."""


def probe(context: Context) -> Findings:
    """Ask the gateway by echo, else by the neighbour table, else by TCP; on a dialled link there is none to ask."""
    readings: list[Reading] = []
    facts: dict[str, Scalar] = {}
    silent_ms: dict[str, int] = {}
    measured = paths(context)
    for at, path in enumerate(measured):
        route = default_route(path, context.roots)
        if route.gateway:
            facts[f"network.gateway.{path}"] = route.gateway
            # Each path has its share of the time, so that a dead one leaves the other enough.
            deadline, key = time.monotonic() + context.left_s / (len(measured) - at), f"{path} {route.gateway}"
            reading, since_ms = _ask(path, route.gateway, context, deadline, context.before.get(key))
            readings.append(reading)
            if since_ms is not None:
                silent_ms[key] = since_ms
        elif route.interface:
            target = route.interface[:MAX_TARGET]
            readings.append(Reading(rung=Rung.GATEWAY, path=path, state=State.NOT_APPLICABLE, target=target))
        else:
            readings.append(
                Reading(rung=Rung.GATEWAY, path=path, state=State.FAIL, reason=Reason.NO_ROUTE, method=Method.SYSTEM)
            )
    return Findings(tuple(readings), {}, facts, silent_ms)


def _ask(path: Family, gateway: str, context: Context, deadline: float, since_ms: int | None) -> tuple[Reading, int | None]:
    """The reading, and since when echoes are in vain: 0 for not, ``None`` for always. ``since_ms``: as of the round before."""
    now_ms = time.monotonic_ns() // 1_000_000
    echoes = icmp.echo([gateway], _ECHOES, deadline - left_s(deadline) / 2)[gateway]
    state, reason, rtt_ms, method = State.OK, Reason.NONE, echoes.rtt_ms, echoes.method
    if echoes.received:
        since_ms = 0
    else:
        since_ms = now_ms if since_ms == 0 else since_ms
        remembered = since_ms is not None and now_ms - since_ms < _MEMORY_MS
        if not remembered and _known_neighbour(gateway, context.roots):
            method = Method.NEIGHBOUR_TABLE
        else:
            answer = tcp.answers([gateway], deadline)[gateway]
            rtt_ms, reason, method = answer.rtt_ms, answer.reason, Method.TCP_CONNECT
            state = State.FAIL if rtt_ms is None else State.OK
    target = gateway[:MAX_TARGET]
    reading = Reading(rung=Rung.GATEWAY, path=path, state=state, reason=reason, rtt_ms=rtt_ms, method=method, target=target)
    return reading, since_ms


def _known_neighbour(gateway: str, roots: Roots) -> bool:
    """Whether the gateway has answered ARP. The echo before has made the kernel ask again, so a dead one is gone next round."""
    try:
        entry = neighbour(gateway, roots)
    except PlatformUnsupported:
        return False
    return entry is not None and entry.complete
