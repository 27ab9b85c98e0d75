"""What can be true of a simulated site, and the raw readings that its probes would then bring. Pure."""

import random
from enum import StrEnum, unique
from typing import NamedTuple

from sitekeeper_protocol.ladder import DIRECT, Baseline, Reading, Resolver
from sitekeeper_protocol.texts import Pair
from sitekeeper_protocol.vocabulary import Method, Reason, Rung, State

PATH = "ipv4"
PORTAL, STREAM = "portal.example.cn", "live.example.cn"


@unique
class Condition(StrEnum):
    """The truth about a site, which nobody at the centre is told."""

    WORKING = "working"
    RESOLVER_FAILING = "resolver_failing"
    """Names can't be looked up, neither through the gateway nor at the provider's resolver; the line holds."""
    STREAM_BROKEN = "stream_broken"
    """The portal answers, the stream's address says 404."""
    PORTAL_DOWN = "portal_down"
    LINE_CUT = "line_cut"
    """Up to the modem all is well, beyond it nothing answers: the site measures on, and nobody hears it."""
    POWER_CUT = "power_cut"
    SWITCHED_OFF = "switched_off"
    """At the wall, after use: to everybody else the same as a power cut."""
    SHUT_DOWN = "shut_down"
    """In order, with a goodbye."""

    @property
    def has_power(self) -> bool:
        """Whether the PC runs."""
        return self not in (Condition.POWER_CUT, Condition.SWITCHED_OFF, Condition.SHUT_DOWN)

    @property
    def has_line(self) -> bool:
        """Whether what the site sends arrives."""
        return self.has_power and self is not Condition.LINE_CUT

    @property
    def has_stream(self) -> bool:
        """Whether a stream can be played."""
        return self in (Condition.WORKING, Condition.PORTAL_DOWN)


NAMES: dict[Condition, Pair] = {
    Condition.WORKING: ("正常", "working"),
    Condition.RESOLVER_FAILING: ("域名解析失效", "resolver failing"),
    Condition.STREAM_BROKEN: ("视频源故障", "stream broken"),
    Condition.PORTAL_DOWN: ("学习平台故障", "portal down"),
    Condition.LINE_CUT: ("线路中断", "line cut"),
    Condition.POWER_CUT: ("停电", "power cut"),
    Condition.SWITCHED_OFF: ("墙上关电", "switched off at the wall"),
    Condition.SHUT_DOWN: ("正常关机", "shut down"),
}


class _Rung(NamedTuple):
    """How one rung is probed, and how long it takes while it works (``rtt_ms`` ``None``: it has no such time)."""

    rung: Rung
    method: Method
    rtt_ms: float | None
    target: str
    label: str = ""


_LADDER = (
    _Rung(Rung.LINK, Method.SYSTEM, None, "eth0"),
    _Rung(Rung.ADDRESS, Method.SYSTEM, None, "192.168.1.20"),
    _Rung(Rung.GATEWAY, Method.PING_SOCKET, 0.8, "192.168.1.1"),
    _Rung(Rung.MODEM, Method.PING_SOCKET, 1.6, "192.168.100.1"),
    _Rung(Rung.ISP, Method.PING_SOCKET, 9.0, "203.0.113.1"),
    _Rung(Rung.DNS, Method.UDP_QUERY, 14.0, PORTAL),
    _Rung(Rung.DNS, Method.UDP_QUERY, 12.0, PORTAL, DIRECT),
    _Rung(Rung.PORTAL, Method.HTTP, 60.0, PORTAL),
    _Rung(Rung.MEDIA, Method.HTTP, 85.0, STREAM),
)

_NAMES = {(Rung.DNS, ""): Reason.TIMEOUT, (Rung.DNS, DIRECT): Reason.TIMEOUT}
_FAILURES: dict[Condition, dict[tuple[Rung, str], Reason]] = {
    Condition.WORKING: {},
    Condition.RESOLVER_FAILING: _NAMES | {(rung, ""): Reason.TIMEOUT for rung in (Rung.PORTAL, Rung.MEDIA)},
    Condition.STREAM_BROKEN: {(Rung.MEDIA, ""): Reason.HTTP_CLIENT_ERROR},
    Condition.PORTAL_DOWN: {(Rung.PORTAL, ""): Reason.HTTP_SERVER_ERROR},
    Condition.LINE_CUT: _NAMES | {(rung, ""): Reason.TIMEOUT for rung in (Rung.ISP, Rung.PORTAL, Rung.MEDIA)},
}


def readings(condition: Condition, chance: random.Random) -> list[Reading]:
    """What a round of probes finds, before any rule judges it. ``condition`` must have power."""
    failures = _FAILURES[condition]
    return [_reading(probe, failures.get((probe.rung, probe.label)), chance) for probe in _LADDER]


def proven() -> Baseline:
    """The baseline of a site whose whole ladder has been seen to work."""
    working = readings(Condition.WORKING, random.Random(0))  # noqa: S311 - a simulation draws its times, not secrets
    return Baseline(resolver=Resolver.GATEWAY).after(working)


def _reading(probe: _Rung, failure: Reason | None, chance: random.Random) -> Reading:
    state = State.OK if failure is None else State.FAIL
    # A server that says no has answered, so that its answer took a time.
    timed = probe.rtt_ms is not None and failure is not Reason.TIMEOUT
    return Reading(
        rung=probe.rung,
        path=PATH,
        state=state,
        reason=failure or Reason.NONE,
        rtt_ms=round(probe.rtt_ms * chance.lognormvariate(0, 0.15), 1) if probe.rtt_ms is not None and timed else None,
        method=probe.method,
        target=probe.target,
        label=probe.label,
    )
