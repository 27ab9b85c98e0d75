"""Figures of a stretch of a site's time: what its ledger, its tickets and its calendar come to. Definitions: docs/figures.md.

A ``Tally`` holds sums only, in whole milliseconds and counts. Tallies add up exactly: those of sites to a township's, those of
days to a month's. Every rate is worked out from the sums at the end, never averaged; where there is nothing to divide by, there
is no rate (``None``), which is not zero.
"""

from collections.abc import Callable, Iterable, Sequence
from math import ceil

from msgspec import Struct

from sitekeeper_collector.domain.ledger import FAULTY, Segment, Was
from sitekeeper_protocol.vocabulary import Kind, Party

EQUIPMENT = frozenset(
    {
        Kind.PLAYBACK_FAILURE,
        Kind.PLAYER_MISSING,
        Kind.DISPLAY_MISSING,
        Kind.AUDIO_MISSING,
        Kind.DEVICE_MISSING,
        Kind.DISK_FULL,
        Kind.DISK_FAILING,
        Kind.OVERHEATING,
        Kind.RESTARTING,
    }
)
"""While one of these lasts, a site's equipment is not intact."""
_WORKS = frozenset({Was.UP, Was.DEGRADED})
_DOWN = FAULTY - {Was.DEGRADED}
_NOT_RUNNING = frozenset({Was.OFF, Was.PRESUMED_OFF, Was.POWER_LOST})
_NOBODY_KNOWS = frozenset({Was.UNKNOWN, Was.BLIND, Was.LINE_SUSPECTED})
Stretch = tuple[int, int]
"""From an instant until before another, in ms."""


class Spent(Struct, frozen=True, order=True):
    """So much time a site was like this, by which fault, and whose job it was (empty: no fault)."""

    was: str
    kind: str
    party: str
    ms: int


class Repair(Struct, frozen=True, order=True):
    """A fault that was over within the stretch of time.

    ``outage_ms``: from its beginning to its end. ``acknowledged_ms``: from the ticket to somebody's taking it on.
    ``handled_ms``: the carrier's clock, from the first notice that was accepted to the end, without pauses. ``None``: none.
    """

    ticket: str
    kind: str
    party: str
    outage_ms: int
    acknowledged_ms: int | None = None
    handled_ms: int | None = None


class Tally(Struct, frozen=True):
    """Sums over sites and time. ``outages`` begin in it, ``repairs`` end in it; ``broken_ms``: equipment was not intact."""

    sites: int = 0
    spent: tuple[Spent, ...] = ()
    outages: int = 0
    days_expected: int = 0
    days_online: int = 0
    broken_ms: int = 0
    repairs: tuple[Repair, ...] = ()

    def ms(self, *states: Was) -> int:
        """How long it was in one of these states; all of the time if none is named."""
        return sum(one.ms for one in self.spent if not states or one.was in states)

    @property
    def unknown_ms(self) -> int:
        """The time that nobody can say anything of."""
        return self.ms(*_NOBODY_KNOWS)

    @property
    def known_ms(self) -> int:
        """The rest."""
        return self.ms() - self.unknown_ms

    @property
    def down_ms(self) -> int:
        """The PC ran, and what is needed for a class was not to be had."""
        return self.ms(*_DOWN)

    @property
    def availability(self) -> float | None:
        """Of the time in which the PC ran: the share in which portal and streams were to be had."""
        works = self.ms(*_WORKS)
        return _share(works, works + self.down_ms)

    @property
    def online_rate(self) -> float | None:
        """Of the days on which the site was meant to be in use: the share with proof that it was online."""
        return _share(self.days_online, self.days_expected)

    @property
    def intact_rate(self) -> float | None:
        """Of the time that is known: the share without a fault of equipment."""
        return _share(max(0, self.known_ms - self.broken_ms), self.known_ms)

    @property
    def unknown_share(self) -> float | None:
        """Of all time: the share that nobody can say anything of."""
        return _share(self.unknown_ms, self.ms())

    @property
    def mtbf_ms(self) -> float | None:
        """Mean time between failures: time in which it worked, by outages that began."""
        return _share(self.ms(*_WORKS), self.outages)

    def durations(self, which: str, party: Party | None = None) -> list[int]:
        """``outage_ms``, ``acknowledged_ms`` or ``handled_ms`` of the repairs that have it, ascending."""
        found = [getattr(one, which) for one in self.repairs if party is None or one.party == party]
        return sorted(ms for ms in found if ms is not None)

    def by_cause(self) -> dict[tuple[str, str], int]:
        """The time down by (kind, party), in ms; the sum is ``down_ms``."""
        found: dict[tuple[str, str], int] = {}
        for one in self.spent:
            if one.was in _DOWN:
                found[one.kind, one.party] = found.get((one.kind, one.party), 0) + one.ms
        return found


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def mean(values: Sequence[int]) -> float | None:
    """The mean; none of nothing."""
    return sum(values) / len(values) if values else None


def percentile(values: Sequence[int], share: float) -> int | None:
    """The least of the ascending ``values`` that ``share`` of them don't exceed (nearest rank); none of nothing."""
    return values[max(0, ceil(share * len(values)) - 1)] if values else None


def total(tallies: Iterable[Tally], *, same_sites: bool = False) -> Tally:
    """The sum. ``same_sites``: they are of one set of sites in stretches of time side by side, so sites don't add up."""
    spent: dict[tuple[str, str, str], int] = {}
    sites = outages = expected = online = broken = 0
    repairs: list[Repair] = []
    for one in tallies:
        sites = max(sites, one.sites) if same_sites else sites + one.sites
        outages, broken = outages + one.outages, broken + one.broken_ms
        expected, online = expected + one.days_expected, online + one.days_online
        repairs += one.repairs
        for part in one.spent:
            key = (part.was, part.kind, part.party)
            spent[key] = spent.get(key, 0) + part.ms
    return Tally(
        sites=sites,
        spent=tuple(sorted(Spent(*key, ms) for key, ms in spent.items() if ms)),
        outages=outages,
        days_expected=expected,
        days_online=online,
        broken_ms=broken,
        repairs=tuple(sorted(repairs)),
    )


def difference(after: Tally, before: Tally) -> Tally:
    """What has to be added to ``before`` to come to ``after``; sums may be negative. Repairs: those that are new or differ."""
    spent: dict[tuple[str, str, str], int] = {}
    for sign, tally in ((1, after), (-1, before)):
        for part in tally.spent:
            key = (part.was, part.kind, part.party)
            spent[key] = spent.get(key, 0) + sign * part.ms
    return Tally(
        sites=after.sites - before.sites,
        spent=tuple(sorted(Spent(*key, ms) for key, ms in spent.items() if ms)),
        outages=after.outages - before.outages,
        days_expected=after.days_expected - before.days_expected,
        days_online=after.days_online - before.days_online,
        broken_ms=after.broken_ms - before.broken_ms,
        repairs=tuple(one for one in after.repairs if one not in before.repairs),
    )


def tally_of(
    picture: Sequence[Segment],
    from_ms: int,
    to_ms: int,
    *,
    days: Sequence[Stretch],
    is_expected: Callable[[int], bool],
    broken: Iterable[Stretch] = (),
    repairs: Iterable[Repair] = (),
) -> Tally:
    """The tally of one site from ``from_ms`` until before ``to_ms``.

    ``picture``: its partition (``ledger.partition``), from some time before ``from_ms`` on: an outage that was there already
    began earlier and is not counted again. ``days``: the calendar days, of which those count that begin in the stretch;
    ``is_expected(from_ms)`` of a day: the site was meant to be in use. ``broken``: faults of equipment, which may overlap.
    """
    within = [cut for cut in (_cut(segment, from_ms, to_ms) for segment in picture) if cut is not None]
    spent: dict[tuple[str, str, str], int] = {}
    for segment in within:
        key = (segment.was.value, segment.kind or "", segment.party or "")
        spent[key] = spent.get(key, 0) + segment.duration_ms
    begun = (start for start, _ in _runs(picture, _DOWN))
    expected, online = _days(within, [day for day in days if from_ms <= day[0] < to_ms], is_expected)
    return Tally(
        sites=1,
        spent=tuple(sorted(Spent(*key, ms) for key, ms in spent.items())),
        outages=sum(from_ms <= start < to_ms for start in begun),
        days_expected=expected,
        days_online=online,
        broken_ms=_known_ms(within, _union(broken)),
        repairs=tuple(sorted(repairs)),
    )


def handled_ms(accepted_ms: int, ended_ms: int, claimed: Iterable[int], picture: Sequence[Segment]) -> int:
    """The carrier's clock: from the first accepted notice to the end, without pauses.

    A pause: after a repair was claimed (at each of ``claimed``), while the PC does not run, so that nobody can check it.
    """
    since = min(claimed, default=None)
    pauses = 0 if since is None else _overlap_ms(_runs(picture, _NOT_RUNNING), max(since, accepted_ms), ended_ms)
    return max(0, ended_ms - accepted_ms - pauses)


def _cut(segment: Segment, from_ms: int, to_ms: int) -> Segment | None:
    start, end = max(segment.from_ms, from_ms), min(segment.to_ms, to_ms)
    return segment._replace(from_ms=start, to_ms=end) if start < end else None


def _runs(picture: Sequence[Segment], states: frozenset[Was]) -> list[Stretch]:
    """The stretches in which it was without a break in one of ``states``."""
    return _union((segment.from_ms, segment.to_ms) for segment in picture if segment.was in states)


def _union(stretches: Iterable[Stretch]) -> list[Stretch]:
    found: list[Stretch] = []
    for start, end in sorted(stretches):
        if start >= end:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _overlap_ms(stretches: Iterable[Stretch], from_ms: int, to_ms: int) -> int:
    return sum(max(0, min(end, to_ms) - max(start, from_ms)) for start, end in stretches)


def _known_ms(within: Sequence[Segment], stretches: Sequence[Stretch]) -> int:
    known = _union((segment.from_ms, segment.to_ms) for segment in within if segment.was not in _NOBODY_KNOWS)
    return sum(_overlap_ms(stretches, start, end) for start, end in known)


def _days(within: Sequence[Segment], days: Sequence[Stretch], is_expected: Callable[[int], bool]) -> tuple[int, int]:
    """Days on which the site was meant to be in use and something is known of it, and those of them with proof of contact."""
    known = _runs(within, frozenset(Was) - _NOBODY_KNOWS)
    works = _runs(within, _WORKS)
    expected = [day for day in days if is_expected(day[0]) and _overlap_ms(known, *day)]
    return len(expected), sum(_overlap_ms(works, *day) > 0 for day in expected)
