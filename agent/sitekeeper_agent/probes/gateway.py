"""The third rung: does the router answer that the default route leads to?"""

import time

from sitekeeper_agent.platform import Family, PlatformUnsupported, Roots, default_route, neighbour
from sitekeeper_agent.probes import icmp, tcp
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings, left_s, paths
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State

_ECHOES = 2


def probe(context: Context) -> Findings:
    """Ask the gateway by echo, else by the neighbour table, else by TCP; on a dialled link there is none to ask."""
    readings: list[Reading] = []
    facts: dict[str, Scalar] = {}
    measured = paths(context)
    for at, path in enumerate(measured):
        route = default_route(path, context.roots)
        if route.gateway:
            facts[f"network.gateway.{path}"] = route.gateway
            # Each path has its share of the time, so that a dead one leaves the other enough.
            readings.append(_ask(path, route.gateway, context, time.monotonic() + context.left_s / (len(measured) - at)))
        elif route.interface:
            target = route.interface[:MAX_TARGET]
            readings.append(Reading(rung=Rung.GATEWAY, path=path, state=State.NOT_APPLICABLE, target=target))
        else:
            readings.append(
                Reading(rung=Rung.GATEWAY, path=path, state=State.FAIL, reason=Reason.NO_ROUTE, method=Method.SYSTEM)
            )
    return Findings(tuple(readings), {}, facts)


def _ask(path: Family, gateway: str, context: Context, deadline: float) -> Reading:
    echoes = icmp.echo([gateway], _ECHOES, deadline - left_s(deadline) / 2)[gateway]
    state, reason, rtt_ms, method = State.OK, Reason.NONE, echoes.rtt_ms, echoes.method
    if not echoes.received:
        if _known_neighbour(gateway, context.roots):
            method = Method.NEIGHBOUR_TABLE
        else:
            answer = tcp.answers([gateway], deadline)[gateway]
            rtt_ms, reason, method = answer.rtt_ms, answer.reason, Method.TCP_CONNECT
            state = State.FAIL if rtt_ms is None else State.OK
    return Reading(
        rung=Rung.GATEWAY, path=path, state=state, reason=reason, rtt_ms=rtt_ms, method=method, target=gateway[:MAX_TARGET]
    )


def _known_neighbour(gateway: str, roots: Roots) -> bool:
    """Whether the gateway has answered ARP. The echo before has made the kernel ask again, so a dead one is gone next round."""
    try:
        entry = neighbour(gateway, roots)
    except PlatformUnsupported:
        return False
    return entry is not None and entry.complete
