"""The ledger of a site's time: claims about it, and the one picture that follows from them.

A claim says that from one instant to another a state held, and on whose word. Claims are never taken back; a surer one covers
a less sure one. The picture is the partition of a stretch of time by the surest claim at each instant, computed from the claims
alone: whatever the order in which they came, it is the same, and its parts add up to the whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum, unique
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

from sitekeeper_collector.domain.signs import RUNG_OF_KIND, Signs
from sitekeeper_collector.domain.spans import Span
from sitekeeper_protocol.messages import PowerEvent
from sitekeeper_protocol.vocabulary import Kind, Party, Rung, State, kind_of_number, party_of_number


@unique
class Was(StrEnum):
    """How a site was in a stretch of time. Of two claims on one word, the earlier in this list counts."""

    POWER_LOST = "power_lost"
    OFF = "off"
    LINK = "link"
    GATEWAY = "gateway"
    LINE = "line"
    PLATFORM = "platform"
    DEGRADED = "degraded"
    UP = "up"
    LINE_SUSPECTED = "line_suspected"
    PRESUMED_OFF = "presumed_off"
    BLIND = "blind"
    UNKNOWN = "unknown"


@unique
class Source(StrEnum):
    """On whose word, the surest first."""

    SITE = "site"
    OPERATOR = "operator"
    CENTRE = "centre"
    BLIND = "blind"


_SOURCE_RANK = {source: rank for rank, source in enumerate(Source)}
_WAS_RANK = {was: rank for rank, was in enumerate(Was)}
FAULTY = frozenset({Was.LINK, Was.GATEWAY, Was.LINE, Was.PLATFORM, Was.DEGRADED})
"""What a site's own record calls trouble."""


class Claim(NamedTuple):
    """From ``from_ms`` until before ``to_ms`` (``None``: still) it was so, says ``source``; by which fault, and whose job."""

    from_ms: int
    to_ms: int | None
    was: Was
    source: Source
    kind: Kind | None = None
    party: Party | None = None


class Segment(NamedTuple):
    """A part of the picture. ``source`` is ``None`` where nobody claims anything."""

    from_ms: int
    to_ms: int
    was: Was
    source: Source | None = None
    kind: Kind | None = None
    party: Party | None = None

    @property
    def duration_ms(self) -> int:
        """How long it is."""
        return self.to_ms - self.from_ms


class Marker(NamedTuple):
    """A start, a goodbye, a suspend or a loss of power in a site's own record, in a sample of ``run`` taken at ``at_ms``.

    ``about_run`` and ``last_ms`` belong to ``power_lost`` and ``agent_died``: the run that ended, and the last instant that it
    is known to have lived (0: not known); ``boot_ms`` is when the machine of ``run`` was booted (0: not known).
    """

    run: int
    sequence: int
    at_ms: int
    what: PowerEvent
    reason: str = ""
    about_run: int = 0
    last_ms: int = 0
    boot_ms: int = 0


def partition(claims: Iterable[Claim], from_ms: int, to_ms: int) -> list[Segment]:
    """The picture from ``from_ms`` to ``to_ms``: segments in order, without gap or overlap, neighbours differing."""
    if to_ms <= from_ms:
        return []
    cut = [_clipped(claim, from_ms, to_ms) for claim in claims]
    within = sorted((claim for claim in cut if claim is not None), key=_rank)
    ends = [to_ms if claim.to_ms is None else claim.to_ms for claim in within]
    coming = sorted(range(len(within)), key=lambda rank: within[rank].from_ms, reverse=True)
    holding: list[int] = []
    """Those that have begun, by rank; the ones that are over are thrown out once they come first."""
    found: list[Segment] = []
    for start, end in pairwise(sorted({from_ms, to_ms, *(c.from_ms for c in within), *ends})):
        while coming and within[coming[-1]].from_ms <= start:
            heappush(holding, coming.pop())
        while holding and ends[holding[0]] <= start:
            heappop(holding)
        segment = Segment(start, end, *within[holding[0]][2:]) if holding else Segment(start, end, Was.UNKNOWN)
        if found and found[-1][2:] == segment[2:]:
            found[-1] = found[-1]._replace(to_ms=end)
        else:
            found.append(segment)
    return found


def _clipped(claim: Claim, from_ms: int, to_ms: int) -> Claim | None:
    start, end = max(claim.from_ms, from_ms), to_ms if claim.to_ms is None else min(claim.to_ms, to_ms)
    return claim._replace(from_ms=start, to_ms=end) if start < end else None


def _rank(claim: Claim) -> tuple[object, ...]:
    # The words at the end only make the order total, so that equal sets of claims give equal pictures.
    return (_SOURCE_RANK[claim.source], _WAS_RANK[claim.was], claim.kind or "", claim.party or "", claim.from_ms)


# --- claims from a site's own record -----------------------------------------------------------------------------------


def was(signs: Signs) -> Was:
    """How a site was when a sample said this."""
    if signs.state == State.OK:
        return Was.UP
    if signs.state == State.DEGRADED:
        return Was.DEGRADED
    if signs.state != State.FAIL:
        return Was.UNKNOWN
    kind = kind_of_number(signs.kind)
    rung = RUNG_OF_KIND.get(kind, signs.rung) if kind else signs.rung
    if rung < Rung.LINK:
        return Was.UNKNOWN
    if rung <= Rung.ADDRESS:
        return Was.LINK
    if rung <= Rung.MODEM:
        return Was.GATEWAY
    return Was.LINE if rung <= Rung.DNS else Was.PLATFORM


def claims_of_spans(spans: Iterable[Span], gap_ms: int) -> list[Claim]:
    """What samples claim. A sample speaks until the next one of its run, if that comes within the gap."""
    by_run: dict[int, list[Span]] = {}
    for span in spans:
        by_run.setdefault(span.run, []).append(span)
    found: list[Claim] = []
    for of_run in by_run.values():
        of_run.sort(key=lambda span: span.first)
        for at, span in enumerate(of_run):
            following = of_run[at + 1].from_ms if at + 1 < len(of_run) else span.to_ms
            until_ms = following if 0 <= following - span.to_ms <= gap_ms else span.to_ms
            state = was(span.signs)
            if state is not Was.UNKNOWN:
                kind, party = kind_of_number(span.signs.kind), party_of_number(span.signs.party)
                found.append(Claim(span.from_ms, until_ms, state, Source.SITE, kind, party))
    return found


def claims_of_markers(markers: Iterable[Marker], spans: Sequence[Span], ends: Mapping[int, int]) -> list[Claim]:
    """What starts and goodbyes claim: off from a goodbye to the next start, without power from the last life to it.

    ``spans``: those of the same stretch of time. A sample after a goodbye shows that there was a start, if its own record of it
    has been lost. ``ends``: when the record of each run that lost its power ends.
    """
    ordered = sorted(markers, key=lambda m: (m.at_ms, m.run, m.sequence, m.what.value))
    found: list[Claim] = []
    for at, marker in enumerate(ordered):
        if marker.what in _GOES:
            comes = [m.at_ms for m in ordered[at + 1 :] if m.what in _COMES and m.at_ms > marker.at_ms]
            comes += [span.from_ms for span in spans if span.from_ms > marker.at_ms]
            found.append(Claim(marker.at_ms, min(comes, default=None), Was.OFF, Source.SITE))
        elif marker.what is PowerEvent.POWER_LOST:
            last_ms = max(ends.get(marker.about_run, 0), marker.last_ms if marker.last_ms <= marker.at_ms else 0)
            # Where the boot-time clock goes on over a shutdown (Windows, Fast Startup) it tells no boot.
            until_ms = marker.boot_ms if last_ms < marker.boot_ms <= marker.at_ms else marker.at_ms
            if 0 < last_ms < until_ms:
                found.append(Claim(last_ms, until_ms, Was.POWER_LOST, Source.SITE, Kind.POWER_LOSS, Party.POWER))
    return found


_GOES = (PowerEvent.GOODBYE, PowerEvent.SUSPENDED)
_COMES = (PowerEvent.STARTED, PowerEvent.RESUMED)
