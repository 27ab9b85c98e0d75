"""Readings, verdict and the state of the PC as the values and events of a sample, as an agent writes them. Pure.

The collector's package may not import the agent's, so this is said twice; a test holds the two against each other.
"""

import random
from collections.abc import Sequence

from sitekeeper_protocol.ladder import Reading, Verdict
from sitekeeper_protocol.messages import EvidenceItem, SeriesKey, VerdictEvent
from sitekeeper_protocol.vocabulary import (
    GRADE_NUMBERS,
    KIND_NUMBERS,
    PARTY_NUMBERS,
    Method,
    Metric,
    Reason,
    Rung,
    State,
    to_wire,
)

_GIB = 2**30
_HTTP_STATUS = {Reason.NONE: 200, Reason.HTTP_CLIENT_ERROR: 404, Reason.HTTP_SERVER_ERROR: 503}
VOLUME = "/"


def ladder_values(readings: Sequence[Reading]) -> dict[SeriesKey, int]:
    """Judged readings as values of a sample."""
    values: dict[SeriesKey, int] = {}
    for reading in readings:
        instance = f"{reading.path}/{reading.rung.name.lower()}" + (f"/{reading.label}" if reading.label else "")
        values[Metric.RUNG_STATE.value, instance] = reading.state.value
        if reading.reason != Reason.NONE:
            values[Metric.RUNG_REASON.value, instance] = reading.reason.value
        if reading.method != Method.NONE:
            values[Metric.RUNG_METHOD.value, instance] = reading.method.value
        if reading.rtt_ms is not None:
            values[Metric.RUNG_RTT_MS.value, instance] = to_wire(Metric.RUNG_RTT_MS, reading.rtt_ms)
    return values


def portal_values(readings: Sequence[Reading]) -> dict[SeriesKey, int]:
    """The status of the portal's answer, if there was one."""
    portal = next(reading for reading in readings if reading.rung == Rung.PORTAL)
    status = _HTTP_STATUS.get(portal.reason)
    return {} if status is None else {(Metric.PORTAL_STATUS.value, ""): status}


def verdict_values(verdict: Verdict) -> dict[SeriesKey, int]:
    """A verdict as values of a sample; kind, party and grade only where it names a fault."""
    values: dict[SeriesKey, int] = {(Metric.VERDICT_STATE.value, ""): verdict.state.value}
    if verdict.rung is not None:
        values[Metric.VERDICT_RUNG.value, ""] = verdict.rung.value
    if verdict.kind is not None:
        values[Metric.VERDICT_KIND.value, ""] = KIND_NUMBERS[verdict.kind]
    if verdict.kind is not None and verdict.party is not None:
        values[Metric.VERDICT_PARTY.value, ""] = PARTY_NUMBERS[verdict.party]
    if verdict.kind is not None and verdict.grade is not None:
        values[Metric.VERDICT_GRADE.value, ""] = GRADE_NUMBERS[verdict.grade]
    return values


def verdict_event(before: Verdict | None, after: Verdict) -> VerdictEvent | None:
    """The event of a verdict that changed; the first one of a run counts as a change."""
    if before is not None and before.essence == after.essence:
        return None
    return VerdictEvent(
        state=after.state.value,
        rung=after.rung.value if after.rung else 0,
        kind=after.kind.value if after.kind else "",
        party=after.party.value if after.party else "",
        grade=after.grade.value if after.grade else "",
        reason=after.reason.value,
        path=after.path,
        before_state=before.state.value if before else State.SILENT.value,
        before_rung=before.rung.value if before and before.rung else 0,
        evidence=[_evidence(reading) for reading in after.evidence],
    )


def _evidence(reading: Reading) -> EvidenceItem:
    return EvidenceItem(
        path=reading.path,
        rung=reading.rung.value,
        state=reading.state.value,
        reason=reading.reason.value,
        method=reading.method.value,
        rtt_ms=None if reading.rtt_ms is None else round(reading.rtt_ms),
        target=reading.target,
        label=reading.label,
    )


def host_values(chance: random.Random, *, playing: bool, disk_free_gib: float, boottime_ms: int) -> dict[SeriesKey, int]:
    """How the PC is; playing a stream costs it some processor time and memory."""
    values = (
        (Metric.CPU_RATIO, "", chance.uniform(0.25, 0.45) if playing else chance.uniform(0.03, 0.12)),
        (Metric.MEMORY_AVAILABLE_RATIO, "", chance.uniform(0.38, 0.44) if playing else chance.uniform(0.55, 0.6)),
        (Metric.DISK_FREE_BYTES, VOLUME, disk_free_gib * _GIB),
        (Metric.HOST_UPTIME_S, "", boottime_ms / 1000),
        (Metric.PLAYING, "", 1 if playing else 0),
    )
    return {(metric.value, instance): to_wire(metric, value) for metric, instance, value in values}
