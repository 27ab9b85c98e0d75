"""The provider's rung: do the anchors answer that are provable from this site, and how well over the last half hour?"""

import time
from collections.abc import Mapping

from sitekeeper_agent.platform import Family, default_route
from sitekeeper_agent.probes import icmp, tcp, window
from sitekeeper_agent.probes.icmp import Echoes
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings, family_of, paths
from sitekeeper_agent.probes.window import Judgement, Quality, Window
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import SeriesKey
from sitekeeper_protocol.vocabulary import Method, Metric, Reason, Rung, State, to_wire

_ECHOES = 4
_CONNECTS = 2
BUSY_BYTES_S = 32_000
"""256 kbit/s over the whole time between two samples: a download, a video, no page or two."""
_CONNECT_S = 1.5
"""Longer than the second after which a lost first packet is sent again."""


class _Path:
    """One path of one round: its anchors, what answered now, and what the half hour says."""

    def __init__(self, path: Family, context: Context) -> None:
        self.path = path
        self.anchors = [a for a in context.anchors if family_of(a) == path]
        self.gateway = default_route(path, context.roots).gateway or ""
        self.echoes: dict[str, Echoes] = {}
        self.connects: dict[str, list[tcp.Answer]] = {}
        self.judgement = Judgement()

    @property
    def wanted(self) -> list[str]:
        return [*self.anchors, *([self.gateway] if self.gateway and self.anchors else [])]

    @property
    def pinged(self) -> bool:
        return any(self.echoes[a].received for a in self.anchors)

    def series(self, kept: Window, sort: str) -> list[Quality]:
        return [window.quality(kept.get(f"{self.path} {sort} {a}", ())) for a in self.anchors]

    def gateway_quality(self, kept: Window) -> Quality:
        return window.quality(kept.get(f"{self.path} gateway", ()))

    def judge(self, kept: Window, context: Context) -> None:
        self.judgement = window.judge(
            self.series(kept, "echo"),
            self.series(kept, "connect"),
            self.gateway_quality(kept),
            context.usual_rtt_ms.get(self.path),
        )


def probe(context: Context) -> Findings:
    """Several echoes to each anchor, TCP where they stay silent or must be confirmed; the best anchor stands for the rung."""
    now_s = int(time.monotonic())
    kept = window.recall(context.before, now_s)
    measured = [_Path(path, context) for path in paths(context)]
    echoes = icmp.echo([a for p in measured for a in p.wanted], _ECHOES, context.deadline - context.left_s / 2)
    for path in measured:
        path.echoes = {a: echoes[a] for a in path.wanted}
        path.judge(kept, context)
    moved = _moved(context)
    busy = is_busy(context.before, moved)
    ports = _connect([p for p in measured if not p.pinged or p.judgement.reason is not Reason.NONE], context)
    for path in measured:
        if not context.own_traffic and not busy:
            _add(path, kept, now_s)
        path.judge(kept, context)
    values = {key: value for p in measured for key, value in _values(p, kept, context).items()}
    return Findings(tuple(_reading(p, kept) for p in measured), values, {}, window.keep(kept) | ports | moved)


def _moved(context: Context) -> dict[str, int]:
    """Bytes that the interfaces of the default routes have moved until now, and when that was, as counters."""
    import psutil

    names = {default_route(path, context.roots).interface for path in paths(context)}
    counted = [io for name, io in psutil.net_io_counters(pernic=True, nowrap=False).items() if name in names]
    return {"moved": sum(io.bytes_sent + io.bytes_recv for io in counted), "moved_ms": time.monotonic_ns() // 1_000_000}


def is_busy(before: Mapping[str, int], moved: Mapping[str, int]) -> bool:
    """Whether this PC has itself used the line so much since the round before that its delays are of its own making."""
    if "moved" not in before or "moved_ms" not in before:
        return False
    took_ms = moved["moved_ms"] - before["moved_ms"]
    return took_ms > 0 and (moved["moved"] - before["moved"]) * 1000 / took_ms >= BUSY_BYTES_S


def _connect(asked: list[_Path], context: Context) -> dict[str, int]:
    """Connect twice to each anchor of these paths, on the port that has answered before; the ports, as counters."""
    ports = {key: value for key, value in context.before.items() if key.startswith("port ") and 0 < value < 65536}
    for at in range(_CONNECTS):
        for path in asked:
            known = [a for a in path.anchors if f"port {a}" in ports]
            end = min(context.deadline, time.monotonic() + _CONNECT_S)
            # A port that has answered is asked alone: of three at once the first would hide the others' losses.
            found = {a: tcp.answers([a], end, (ports[f"port {a}"],))[a] for a in known}
            strange = [a for a in path.anchors if a not in known]
            if at == 0 and strange:
                found |= tcp.answers(strange, end if known else context.deadline)
            for anchor, answer in found.items():
                path.connects.setdefault(anchor, []).append(answer)
                if answer.port:
                    ports[f"port {anchor}"] = answer.port
    return ports


def _add(path: _Path, kept: Window, now_s: int) -> None:
    """A round in which nothing answered belongs to an outage, not to the quality of the line."""
    if path.pinged:
        for anchor in path.anchors:
            _add_echoes(kept, f"{path.path} echo {anchor}", now_s, path.echoes[anchor])
        if path.gateway:
            _add_echoes(kept, f"{path.path} gateway", now_s, path.echoes[path.gateway])
    for anchor, answers in path.connects.items():
        if not path.pinged and not any(a.rtt_ms is not None for found in path.connects.values() for a in found):
            return
        good = [a.rtt_ms for a in answers if a.rtt_ms is not None and a.rtt_ms < window.LATE_MS]
        window.add(kept, f"{path.path} connect {anchor}", now_s, good, len(answers) - len(good))


def _add_echoes(kept: Window, name: str, now_s: int, found: Echoes) -> None:
    rtts_ms = found.rtts_ms or ((found.rtt_ms or 0.0),) * found.received
    window.add(kept, name, now_s, rtts_ms, found.sent - found.received)


def _values(path: _Path, kept: Window, context: Context) -> dict[SeriesKey, int]:
    echoed, connected = path.series(kept, "echo"), path.series(kept, "connect")
    targets = echoed if any(q.received for q in echoed) else connected
    line, gateway = window.best(targets), path.gateway_quality(kept)
    told: list[tuple[Metric, str, float | None]] = []
    if line.received:
        told += [
            (Metric.LINE_PROBES, "isp", sum(q.sent for q in targets)),
            (Metric.LINE_LOSS_RATIO, "isp", line.loss_ratio),
            (Metric.LINE_RTT_P50_MS, "isp", line.p50_ms),
            (Metric.LINE_RTT_P95_MS, "isp", line.p95_ms),
            (Metric.LINE_JITTER_MS, "isp", line.jitter_ms),
            (Metric.LINE_USUAL_RTT_MS, "isp", context.usual_rtt_ms.get(path.path)),
        ]
    if gateway.received:
        told += [(Metric.LINE_LOSS_RATIO, "gateway", gateway.loss_ratio), (Metric.LINE_RTT_P50_MS, "gateway", gateway.p50_ms)]
    return {(metric.value, f"{path.path}/{at}"): to_wire(metric, value) for metric, at, value in told if value is not None}


def _reading(path: _Path, kept: Window) -> Reading:
    if not path.anchors:
        return Reading(rung=Rung.ISP, path=path.path, state=State.NOT_APPLICABLE, reason=Reason.NOT_CONFIGURED)
    reading = _of_echoes(path) if path.pinged else _of_connects(path)
    if reading.state != State.OK or not path.judgement.confirmed:
        return reading
    from msgspec.structs import replace

    sort = "echo" if path.pinged else "connect"
    half_hour = window.best(path.series(kept, sort))
    return replace(
        reading,
        state=State.DEGRADED,
        reason=path.judgement.reason,
        rtt_ms=half_hour.p50_ms,
        loss_ratio=half_hour.loss_ratio,
    )


def _of_echoes(path: _Path) -> Reading:
    echoes = path.echoes
    best = min(path.anchors, key=lambda a: (echoes[a].loss_ratio is None, echoes[a].loss_ratio or 0.0, echoes[a].rtt_ms or 0.0))
    found = echoes[best]
    return Reading(
        rung=Rung.ISP,
        path=path.path,
        state=State.OK,
        rtt_ms=found.rtt_ms,
        loss_ratio=found.loss_ratio,
        method=found.method,
        target=best[:MAX_TARGET],
    )


def _of_connects(path: _Path) -> Reading:
    """Echoes that a network drops on principle say nothing about its loss."""
    first = {a: min(found, key=lambda one: (one.rtt_ms is None, one.rtt_ms or 0.0)) for a, found in path.connects.items()}
    best = min(first, key=lambda a: (first[a].rtt_ms is None, first[a].rtt_ms or 0.0))
    return Reading(
        rung=Rung.ISP,
        path=path.path,
        state=State.FAIL if first[best].rtt_ms is None else State.OK,
        reason=first[best].reason,
        rtt_ms=first[best].rtt_ms,
        method=Method.TCP_CONNECT,
        target=best[:MAX_TARGET],
    )
