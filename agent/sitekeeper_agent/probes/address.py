"""The second rung: has the interface an address that leads anywhere?"""

from collections.abc import Iterable

from sitekeeper_agent.platform import Family, InterfaceAddress, default_route, interface_addresses, interfaces
from sitekeeper_agent.probes.probe import Context, Findings, paths
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State


def probe(context: Context) -> Findings:
    """The address of the default route's interface; without a route, of any interface that could carry one."""
    return Findings(tuple(_reading(path, _addresses(path, context)) for path in paths(context)), {}, {})


def _addresses(path: Family, context: Context) -> list[InterfaceAddress]:
    routed = default_route(path, context.roots).interface
    names = (routed,) if routed else interfaces(context.roots)
    return [address for name in names for address in interface_addresses(name, path)]


def _reading(path: Family, addresses: list[InterfaceAddress]) -> Reading:
    state, reason, address = judge_addresses(addresses)
    return Reading(rung=Rung.ADDRESS, path=path, state=state, reason=reason, method=Method.SYSTEM, target=address)


def judge_addresses(addresses: Iterable[InterfaceAddress]) -> tuple[State, Reason, str]:
    """(state, reason, the address that counts). An address that the PC gave itself (RFC 3927, RFC 4862) leads nowhere."""
    own = ""
    for address, _ in addresses:
        if not address.lower().startswith(("169.254.", "fe8", "fe9", "fea", "feb", "127.")) and address != "::1":
            return State.OK, Reason.NONE, address
        if address.startswith("169.254."):
            own = address
    return State.FAIL, Reason.SELF_ASSIGNED_ADDRESS if own else Reason.NO_ADDRESS, own
