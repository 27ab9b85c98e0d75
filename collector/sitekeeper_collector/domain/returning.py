"""What a site's own record says of a time in which it was not heard: the reason for its silence, once enough of it is known."""

from enum import StrEnum, unique
from typing import NamedTuple

from sitekeeper_collector.domain.ledger import Segment, Source, Was
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_protocol.vocabulary import Kind, Party

_ENOUGH, _HALF = 0.8, 0.5
"""So much of the silence must be accounted for by the site itself before anything is concluded from it."""
_MUTE = frozenset({Was.LINK, Was.GATEWAY, Was.LINE})
"""Trouble that keeps a site from being heard. One whose portal fails can be heard all the same."""


@unique
class Outcome(StrEnum):
    """Why a site was not heard."""

    WAITING = "waiting"
    """It is back, and its record has yet to arrive."""
    POWER = "power"
    OFF = "off"
    FAULT = "fault"
    """Its record names a fault that kept it from being heard."""
    BLOCKED = "blocked"
    """All worked at the site, but its reports did not get through."""
    OURSELVES = "ourselves"
    """All worked at the site, and we were blind."""
    SHORT = "short"
    """All worked at the site, and the silence was shorter than any fault."""
    UNEXPLAINED = "unexplained"


class Explanation(NamedTuple):
    """The outcome, and for a fault its kind, party and the times that the record gives."""

    outcome: Outcome
    kind: Kind | None = None
    party: Party | None = None
    from_ms: int = 0
    to_ms: int = 0


_WAITING = Explanation(Outcome.WAITING)


def explain(segments: list[Segment], rules: Rules, now_ms: int, *, blind_ms: int = 0, at_last: bool = False) -> Explanation:
    """The reason for a silence. ``segments``: the picture from the last contact to the return; ``blind_ms``: how much of it
    we could not have heard anything in; ``at_last``: nothing more is waited for.
    """
    if not segments:
        return Explanation(Outcome.SHORT)
    from_ms, to_ms = segments[0].from_ms, segments[-1].to_ms
    proven: dict[Was, int] = {}
    for segment in segments:
        if segment.source is Source.SITE:
            proven[segment.was] = proven.get(segment.was, 0) + segment.duration_ms
    known_ms = sum(proven.values())
    gap_ms = rules.evidence_gap_s * 1000
    whole_ms = to_ms - from_ms
    # The instants around a loss and a return lie between two samples, and nobody can tell them.
    enough = known_ms >= max(_HALF * whole_ms, min(_ENOUGH * whole_ms, whole_ms - 2 * gap_ms))
    if not enough:
        late = at_last or now_ms - to_ms >= rules.silence.explain_within_s * 1000
        return Explanation(Outcome.UNEXPLAINED) if late else _WAITING
    return _reason(segments, proven, rules, blind_ms)


def _reason(segments: list[Segment], proven: dict[Was, int], rules: Rules, blind_ms: int) -> Explanation:
    faulty_ms = sum(ms for was, ms in proven.items() if was in _MUTE)
    off_ms, power_ms = proven.get(Was.OFF, 0), proven.get(Was.POWER_LOST, 0)
    up_ms = sum(proven.get(was, 0) for was in (Was.UP, Was.DEGRADED, Was.PLATFORM))
    if faulty_ms and faulty_ms >= max(off_ms, power_ms, up_ms):
        return _fault(segments)
    if power_ms and power_ms >= max(off_ms, up_ms):
        return Explanation(Outcome.POWER)
    if off_ms and off_ms >= up_ms:
        return Explanation(Outcome.OFF)
    if blind_ms * 2 >= up_ms:
        return Explanation(Outcome.OURSELVES)
    if up_ms >= rules.kinds.uplink_blocked.hold_down_s * 1000:
        return Explanation(Outcome.BLOCKED, Kind.UPLINK_BLOCKED, None, segments[0].from_ms, segments[-1].to_ms)
    return Explanation(Outcome.SHORT)


def _fault(segments: list[Segment]) -> Explanation:
    """The fault that took most of the time, from its first segment to the end of its last."""
    lengths: dict[tuple[Kind | None, Party | None], int] = {}
    for s in segments:
        if s.source is Source.SITE and s.was in _MUTE:
            lengths[s.kind, s.party] = lengths.get((s.kind, s.party), 0) + s.duration_ms
    kind, party = max(lengths, key=lambda key: (lengths[key], str(key)))
    of_it = [s for s in segments if s.source is Source.SITE and (s.kind, s.party) == (kind, party)]
    return Explanation(Outcome.FAULT, kind, party, of_it[0].from_ms, of_it[-1].to_ms)
