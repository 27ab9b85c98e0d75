"""The lowest rung: is there a network interface, and is its cable (or its radio) connected?"""

from sitekeeper_agent.platform import Family, Link, Roots, default_route, interface_link, interfaces
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings, paths
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import Scalar, SeriesKey
from sitekeeper_protocol.vocabulary import Method, Metric, Reason, Rung, State, to_wire


def probe(context: Context) -> Findings:
    """Carrier of the default route's interface; without a route, of any interface that could carry one."""
    readings: list[Reading] = []
    facts: dict[str, Scalar] = {}
    values: dict[SeriesKey, int] = {}
    for path in paths(context):
        name, link = _link(path, context.roots)
        readings.append(_reading(path, name, link))
        if name and path == paths(context)[0]:
            facts = {"network.interface": name, "network.wireless": link.wireless, "network.speed_mbps": link.speed_mbps}
            values = _values(name, link)
    return Findings(tuple(readings), values, facts)


def _values(name: str, link: Link) -> dict[SeriesKey, int]:
    told = (
        (Metric.LINK_SPEED_MBPS, link.speed_mbps),
        (Metric.LINK_FULL_DUPLEX, link.full_duplex),
        (Metric.WIRELESS_SIGNAL_DBM, link.signal_dbm),
    )
    return {(metric.value, name[:MAX_TARGET]): to_wire(metric, value) for metric, value in told if value is not None}


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
