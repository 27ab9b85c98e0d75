"""Line quality over the last half hour: loss, latency and jitter of many small probes, and when they make a fault. Pure.

The fault catalogue's rule for ``line_degraded``: at least 100 probes to at least two targets, with a loss of 5 % or three times
the latency that is usual at this site, confirmed without ICMP, and not on the near side of the gateway.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from sitekeeper_protocol.vocabulary import Reason

SPAN_S = 1800
LEAST_PROBES, LEAST_TARGETS = 100, 2
LOSS_RATIO = 0.05
SLOWER_TIMES, SLOWER_MS = 3.0, 20.0
"""Three times as slow, and by 20 ms at least: from 3 ms to 9 ms is nothing that anybody notices."""
_LEAST_CONNECTS = 40
_LEAST_GATEWAY = 30
LATE_MS = 900.0
"""A connect that took this long lost its first packet, which is sent again after a second (RFC 6298, section 2.1)."""
_LOST = -1

Window = dict[str, list[tuple[int, int]]]
"""Series name to (second of the probe, µs to its answer or -1), oldest first."""


class Quality(NamedTuple):
    """What one series came to. The times are ``None`` where nothing answered."""

    sent: int = 0
    received: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    jitter_ms: float | None = None

    @property
    def loss_ratio(self) -> float:
        return 1 - self.received / self.sent if self.sent else 0.0


class Judgement(NamedTuple):
    """``reason`` is NONE for a good line; ``confirmed`` means that connects, which nobody drops on purpose, show the same."""

    reason: Reason = Reason.NONE
    confirmed: bool = False


def recall(counters: Mapping[str, int], now_s: int) -> Window:
    """The window as ``counters`` of the round before hold it, without what is older than half an hour."""
    window: Window = {}
    for key, value in counters.items():
        name, mark, rest = key.partition("|")
        at, _, _ = rest.partition("|")
        if mark and at.isascii() and at.isdigit() and now_s - SPAN_S < int(at) <= now_s and _LOST <= value < 3_600_000_000:
            window.setdefault(name, []).append((int(at), value))
    return window


def keep(window: Window) -> dict[str, int]:
    """The window as counters for the next round."""
    return {f"{name}|{at}|{number}": us for name, series in window.items() for number, (at, us) in enumerate(series)}


def add(window: Window, name: str, now_s: int, rtts_ms: Iterable[float], lost: int) -> None:
    """Add the probes of one round to a series."""
    series = window.setdefault(name, [])
    series.extend((now_s, round(rtt_ms * 1000)) for rtt_ms in rtts_ms)
    series.extend((now_s, _LOST) for _ in range(lost))


def quality(series: Sequence[tuple[int, int]]) -> Quality:
    """Loss, percentiles (nearest rank) and jitter: the mean difference of answers that follow each other."""
    rtts_ms = [us / 1000 for _, us in series if us != _LOST]
    if not rtts_ms:
        return Quality(len(series))
    ordered = sorted(rtts_ms)
    steps = [abs(b - a) for a, b in pairwise(rtts_ms)]
    return Quality(
        sent=len(series),
        received=len(rtts_ms),
        p50_ms=_percentile(ordered, 0.5),
        p95_ms=_percentile(ordered, 0.95),
        jitter_ms=sum(steps) / len(steps) if steps else 0.0,
    )


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, -(-round(share * 100) * len(ordered) // 100) - 1)]


def best(targets: Iterable[Quality]) -> Quality:
    """The target that shows the line at its best: what the others lose besides is lost further away."""
    return min((q for q in targets if q.received), key=lambda q: (q.loss_ratio, q.p50_ms or 0.0), default=Quality())


def judge(echoes: Sequence[Quality], connects: Sequence[Quality], gateway: Quality, usual_ms: float | None) -> Judgement:
    """Whether a path's half hour makes ``line_degraded``. Where nothing answers echoes, connects alone are the evidence."""
    pinged = any(q.received for q in echoes)
    answering = [q for q in (echoes if pinged else connects) if q.received]
    if len(answering) < LEAST_TARGETS or sum(q.sent for q in answering) < LEAST_PROBES:
        return Judgement()
    loss = min(q.loss_ratio for q in answering)
    p50_ms = min(q.p50_ms or 0.0 for q in answering)
    if loss >= LOSS_RATIO and not _near(gateway, gateway.loss_ratio >= loss / 2):
        return Judgement(Reason.PACKET_LOSS, not pinged or _lose(connects))
    if _slower(p50_ms, usual_ms) and not _near(gateway, (gateway.p50_ms or 0.0) >= p50_ms / 2):
        return Judgement(Reason.HIGH_LATENCY, not pinged or any(_slower(q.p50_ms, usual_ms) for q in connects))
    return Judgement()


def _near(gateway: Quality, same: bool) -> bool:
    """Whether it is the radio or the cable up to the gateway that loses or delays."""
    return gateway.sent >= _LEAST_GATEWAY and gateway.received > 0 and same


def _lose(connects: Sequence[Quality]) -> bool:
    answering = [q for q in connects if q.received]
    sent = sum(q.sent for q in answering)
    lost = sent - sum(q.received for q in answering)
    return sent >= _LEAST_CONNECTS and lost / sent >= LOSS_RATIO / 2


def _slower(p50_ms: float | None, usual_ms: float | None) -> bool:
    if not p50_ms or not usual_ms:
        return False
    return p50_ms >= SLOWER_TIMES * usual_ms and p50_ms - usual_ms >= SLOWER_MS
