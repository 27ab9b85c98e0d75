"""The lowest rung: is there a network interface, and is its cable (or its radio) connected?"""

from sitekeeper_agent.platform import Family, Link, Roots, default_route, interface_link, interfaces
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings, paths
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State


def probe(context: Context) -> Findings:
    """Carrier of the default route's interface; without a route, of any interface that could carry one."""
    readings: list[Reading] = []
    facts: dict[str, Scalar] = {}
    for path in paths(context):
        name, link = _link(path, context.roots)
        readings.append(_reading(path, name, link))
        if name and path == paths(context)[0]:
            facts = {"network.interface": name, "network.wireless": link.wireless, "network.speed_mbps": link.speed_mbps}
    return Findings(tuple(readings), {}, facts)


def _link(path: Family, roots: Roots) -> tuple[str, Link]:
    routed = default_route(path, roots).interface
    candidates = (routed,) if routed else interfaces(roots)
    links = [(name, interface_link(name, roots)) for name in candidates]
    return next((pair for pair in links if pair[1].carrier), links[0] if links else ("", Link()))


def _reading(path: Family, name: str, link: Link) -> Reading:
    state, reason = State.OK, Reason.NONE
    if not name:
        state, reason = State.FAIL, Reason.NO_INTERFACE
    elif link.carrier is None:
        state, reason = State.NOT_APPLICABLE, Reason.NO_INTERFACE
    elif not link.carrier:
        state, reason = State.FAIL, Reason.NO_CARRIER
    return Reading(rung=Rung.LINK, path=path, state=state, reason=reason, method=Method.SYSTEM, target=name[:MAX_TARGET])
