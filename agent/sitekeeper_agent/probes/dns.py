"""The name rung: do the resolvers that this site was handed know the portal, and do they tell the truth?"""

from sitekeeper_agent.platform import Family, Resolvers, default_route, hosts_file, interface_addresses, resolvers
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings, paths
from sitekeeper_agent.probes.resolve import Answer, ask, candidates, from_hosts, resolver_kind, standing, within
from sitekeeper_protocol.ladder import DIRECT, Reading, Resolver
from sitekeeper_protocol.messages import Scalar
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State

SLOW_MS = 2000.0
"""A lost question is asked again after a second; two of them are more than bad luck, and every page of a browser waits."""
PRIVATE = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "0.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
)
"""RFC 1918, 6598, 1122, 4193, 4291: what no public name leads to, unless this site's did when it was commissioned."""


def probe(context: Context) -> Findings:
    """Ask each resolver for the portal's name; what the system would go by stands for the rung, the others are labelled."""
    setup = resolvers(context.roots)
    readings = [reading for path in paths(context) for reading in _path(path, setup, context)]
    facts: dict[str, Scalar] = {
        "network.resolvers": " ".join(setup.upstream or setup.servers)[:200],
        "network.resolver": resolver(context, setup).value,
    }
    return Findings(tuple(readings), {}, facts)


def resolver(context: Context, setup: Resolvers | None = None) -> Resolver:
    """Who runs the resolvers of this site: it decides whose job a failure of names is."""
    route = default_route("ipv4", context.roots)
    addresses = interface_addresses(route.interface, "ipv4") if route.interface else ()
    return resolver_kind(setup or resolvers(context.roots), route.gateway, addresses)


def _path(path: Family, setup: Resolvers, context: Context) -> list[Reading]:
    host = context.portal.host
    if context.proxy is not None:
        # The proxy looks the portal's name up; the PC may know no resolver at all.
        return [Reading(rung=Rung.DNS, path=path, state=State.NOT_APPLICABLE, method=Method.SYSTEM, target=host[:MAX_TARGET])]
    if context.portal.literal or from_hosts(hosts_file(context.roots), host, path):
        return [Reading(rung=Rung.DNS, path=path, state=State.NOT_APPLICABLE, method=Method.SYSTEM, target=host[:MAX_TARGET])]
    if not setup.servers:
        return [Reading(rung=Rung.DNS, path=path, state=State.FAIL, reason=Reason.NO_RESOLVER, method=Method.SYSTEM)]
    answers = _ask(path, setup, context)
    chosen = standing(answers)
    if chosen is None:
        return [Reading(rung=Rung.DNS, path=path, state=State.FAIL, reason=Reason.NO_RESOLVER, method=Method.SYSTEM)]
    further = [_reading(path, a, context, a.server) for a in answers if a is not chosen]
    return [_standing_reading(path, chosen, answers, setup, context), *further, *_direct(path, answers, context)]


def _direct(path: Family, answers: list[Answer], context: Context) -> list[Reading]:
    """What the provider's own resolver says, around the one that was handed out; its family need not be the path's."""
    server = context.direct_resolver
    if not server:
        return []
    known = next((a for a in answers if a.server == server), None)
    found = known or next(iter(ask([server], context.portal.host, path, _end(context), port=context.dns_port)), None)
    if found is None or (path == "ipv6" and found.reason is Reason.NONE and not found.addresses):
        return []
    return [_reading(path, found, context, DIRECT)]


def _end(context: Context) -> float:
    """Short of the deadline: a resolver that is dead needs no longer, and the reading must be in by then."""
    return context.deadline - context.left_s / 4


def _ask(path: Family, setup: Resolvers, context: Context) -> list[Answer]:
    """The answers to the first of the candidate names that has addresses, else to the last."""
    answers: list[Answer] = []
    for name in candidates(context.portal.host, setup.search):
        answers = ask(setup.servers, name, path, _end(context), port=context.dns_port)
        if any(answer.addresses for answer in answers):
            break
    return answers


def _standing_reading(path: Family, chosen: Answer, answers: list[Answer], setup: Resolvers, context: Context) -> Reading:
    reading = _reading(path, chosen, context, "")
    if reading.state == State.OK and answers[0].reason is Reason.TIMEOUT:
        # Every look-up of every program waits seconds for the dead resolver first (resolv.conf(5), timeout).
        return _with(reading, State.DEGRADED, Reason.SLOW)
    if reading.state == State.OK and (chosen.rtt_ms or 0.0) >= SLOW_MS:
        return _with(reading, State.DEGRADED, Reason.SLOW)
    if chosen.reason is Reason.NONE and not chosen.addresses:
        other: Family = "ipv6" if path == "ipv4" else "ipv4"
        if path == "ipv6" or any(answer.addresses for answer in _ask(other, setup, context)):
            return _with(reading, State.NOT_APPLICABLE, Reason.NAME_NOT_FOUND)
    return reading


def _with(reading: Reading, state: State, reason: Reason) -> Reading:
    from msgspec.structs import replace

    return replace(reading, state=state, reason=reason)


def _reading(path: Family, answer: Answer, context: Context, label: str) -> Reading:
    reason = answer.reason
    if reason is Reason.NONE and not answer.addresses:
        reason = Reason.NAME_NOT_FOUND
    elif reason is Reason.NONE and (
        lies(answer.addresses, context.expected_addresses, path)
        or (path in context.public_names and not any(public(address) for address in answer.addresses))
    ):
        reason = Reason.LYING_ANSWER
    return Reading(
        rung=Rung.DNS,
        path=path,
        state=State.OK if reason is Reason.NONE else State.FAIL,
        reason=reason,
        rtt_ms=None if reason is Reason.TIMEOUT else answer.rtt_ms,
        method=Method.UDP_QUERY,
        target=answer.server[:MAX_TARGET],
        label=label[:MAX_TARGET],
    )


def lies(addresses: tuple[str, ...], expected: tuple[str, ...], path: Family) -> bool:
    """Whether an answer has nothing in common with the commissioned one. Without one of this family nothing is a lie."""
    known = [network for network in expected if (":" in network) == (path == "ipv6")]
    return bool(known) and not any(within(address, network) for address in addresses for network in known)


def public(address: str) -> bool:
    """Whether an address is none of a private network."""
    return not any(within(address, network) for network in PRIVATE)
