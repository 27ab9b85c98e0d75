"""The provider's rung: do the anchors answer that commissioning found provable from this site?"""

from sitekeeper_agent.platform import Family
from sitekeeper_agent.probes import icmp, tcp
from sitekeeper_agent.probes.icmp import Echoes
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings, family_of, paths
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State

_ECHOES = 4


def probe(context: Context) -> Findings:
    """Several echoes to each anchor, TCP to those that stay silent; the anchor that answers best stands for the rung."""
    measured = paths(context)
    by_path: dict[Family, list[str]] = {p: [a for a in context.anchors if family_of(a) == p] for p in measured}
    wanted = [anchor for anchors in by_path.values() for anchor in anchors]
    echoes = icmp.echo(wanted, _ECHOES, context.deadline - context.left_s / 2)
    silent = [anchor for anchor in wanted if not echoes[anchor].received]
    # One anchor that answers proves the line; the others are not worth a rural line's bytes.
    asked = [a for a in silent if not any(echoes[b].received for b in by_path[family_of(a) or "ipv4"])]
    connects = tcp.answers(asked, context.deadline)
    return Findings(tuple(_reading(p, by_path[p], echoes, connects) for p in measured), {}, {})


def _reading(path: Family, anchors: list[str], echoes: dict[str, Echoes], connects: dict[str, tcp.Answer]) -> Reading:
    if not anchors:
        return Reading(rung=Rung.ISP, path=path, state=State.NOT_APPLICABLE, reason=Reason.NOT_CONFIGURED)
    best = min(anchors, key=lambda a: (echoes[a].loss_ratio is None, echoes[a].loss_ratio or 0.0, echoes[a].rtt_ms or 0.0))
    found = echoes[best]
    state, reason, rtt_ms, loss, method = State.OK, Reason.NONE, found.rtt_ms, found.loss_ratio, found.method
    if not found.received:
        best = min(anchors, key=lambda a: (connects[a].rtt_ms is None, connects[a].rtt_ms or 0.0))
        # Echoes that a network drops on principle say nothing about its loss.
        rtt_ms, reason, loss, method = connects[best].rtt_ms, connects[best].reason, None, Method.TCP_CONNECT
        state = State.FAIL if rtt_ms is None else State.OK
    return Reading(
        rung=Rung.ISP,
        path=path,
        state=state,
        reason=reason,
        rtt_ms=rtt_ms,
        loss_ratio=loss,
        method=method,
        target=best[:MAX_TARGET],
    )
