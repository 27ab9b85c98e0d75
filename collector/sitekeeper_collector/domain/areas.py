"""One cause for several sites: which silences belong to one access node, feeder or township, and when that is over.

Pure, and free of the order in which anything became known: the same losses come to the same areas, whoever was noticed first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum, unique
from fractions import Fraction
from typing import NamedTuple

from sitekeeper_collector.domain.returning import Outcome
from sitekeeper_protocol.vocabulary import Party

LEAST = 3
"""So many sites lost together are an area; two are a site and its neighbour (``line_suspected``)."""
OUTLIVES_MS = 1_800_000
"""Once most of an area are back for so long, those that are not have a fault of their own."""
HABIT_MS, HABIT_TIMES = 1_200_000, 3
"""A site that has vanished so often so close to this time of day is switched off at the wall by habit."""
_DAY_MS = 86_400_000


@unique
class Level(StrEnum):
    """What the sites of an area have in common."""

    ACCESS_NODE = "access_node"
    FEEDER = "feeder"
    TOWNSHIP = "township"
    PLATFORM = "platform"


PARTY_OF: dict[Level, Party] = {
    Level.ACCESS_NODE: Party.TELECOM,
    Level.FEEDER: Party.POWER,
    Level.TOWNSHIP: Party.TECHNICIAN,
    Level.PLATFORM: Party.PLATFORM,
}
"""Whose job it is. A township has both lines and power in common, so that nobody can tell."""


class Group(NamedTuple):
    """Some sites with something in common; ``county`` tells townships of one name apart, and is empty for the others."""

    level: Level
    name: str
    county: str = ""

    @property
    def key(self) -> str:
        """The group in one word, as a ticket keeps it."""
        return "/".join((self.level.value, *([self.county] if self.county else []), self.name))


class Lost(NamedTuple):
    """A site that is not heard since ``lost_ms``, not at the end of a class and not by habit.

    ``cut_off``: something was (a class, a play).
    """

    site: str
    lost_ms: int
    groups: tuple[Group, ...]
    cut_off: bool = False


class Area(NamedTuple):
    """An area that was lost: ``members`` of the ``contact`` sites that were heard just before."""

    group: Group
    from_ms: int
    members: tuple[str, ...]
    contact: int

    @property
    def share(self) -> Fraction:
        """How much of it."""
        return Fraction(len(self.members), self.contact)


def groups_of(*, access_node: str, feeder: str, township: str, county: str) -> tuple[Group, ...]:
    """What a site has in common with others."""
    found = (Group(Level.ACCESS_NODE, access_node), Group(Level.FEEDER, feeder), Group(Level.TOWNSHIP, township, county))
    return tuple(group for group in found if group.name)


def find(lost: Iterable[Lost], staying: Callable[[Group, int], int], within_ms: int) -> list[Area]:
    """The areas that were lost, each site in one of them at most.

    ``staying`` tells how many sites of a group were still heard ``within_ms`` after an instant. Where several groups explain a
    loss, the one counts of which the greatest share is gone. Of equal shares, a feeder that reaches over several nodes is
    likelier than each of these nodes, and else a node likelier than the feeder it hangs on; a township is the last resort.
    """
    by_site = {one.site: one for one in lost}
    left = dict(by_site)
    found: list[Area] = []
    while True:
        best = min(_candidates(left.values(), staying, within_ms), key=lambda area: _order(area, by_site), default=None)
        if best is None:
            return sorted(found, key=lambda area: (area.from_ms, area.group))
        found.append(best)
        for site in best.members:
            del left[site]


def _candidates(lost: Iterable[Lost], staying: Callable[[Group, int], int], within_ms: int) -> Iterable[Area]:
    of_group: dict[Group, list[Lost]] = {}
    for one in lost:
        for group in one.groups:
            of_group.setdefault(group, []).append(one)
    for group, its in of_group.items():
        for together in _clusters(its, within_ms):
            if len(together) < LEAST or not any(one.cut_off for one in together):
                continue
            from_ms = together[0].lost_ms
            contact = len(together) + staying(group, from_ms)
            if 2 * len(together) > contact:
                yield Area(group, from_ms, tuple(sorted(one.site for one in together)), contact)


def _clusters(lost: Iterable[Lost], within_ms: int) -> list[list[Lost]]:
    """Those that were lost within one time, beginning with the first."""
    clusters: list[list[Lost]] = []
    for one in sorted(lost, key=lambda one: (one.lost_ms, one.site)):
        if clusters and one.lost_ms - clusters[-1][0].lost_ms <= within_ms:
            clusters[-1].append(one)
        else:
            clusters.append([one])
    return clusters


def _order(area: Area, lost: Mapping[str, Lost]) -> tuple[bool, Fraction, bool, Level, int, Group, int]:
    nodes = {group for site in area.members for group in lost[site].groups if group.level is Level.ACCESS_NODE}
    over_nodes = area.group.level is Level.FEEDER and len(nodes) > 1
    last_resort = area.group.level is Level.TOWNSHIP
    return last_resort, -area.share, not over_nodes, area.group.level, -len(area.members), area.group, area.from_ms


def leaves_by_habit(vanished_ms: Iterable[int], lost_ms: int) -> bool:
    """Whether a site that vanished at these times before is switched off at about this time of day."""
    times = 0
    for at_ms in vanished_ms:
        apart = abs(at_ms - lost_ms) % _DAY_MS
        times += at_ms < lost_ms and min(apart, _DAY_MS - apart) <= HABIT_MS
    return times >= HABIT_TIMES


# --- how an area goes on -----------------------------------------------------------------------------------------------


class Member(NamedTuple):
    """How a site of an area stands. ``back_ms``: since when it is heard again; ``outcome``: why it was not, once that is known.

    ``ended_ms``: when its fault ended, as far as that is known better than by its return.
    """

    site: str
    back_ms: int | None = None
    outcome: Outcome | None = None
    ended_ms: int | None = None


@unique
class End(StrEnum):
    """How an area ends, or that it goes on."""

    NOT_YET = "not_yet"
    RECOVERED = "recovered"
    """Nothing tells what it was."""
    PROVEN = "proven"
    """It was what it was taken for: the sites' own records prove it."""
    POWER = "power"
    LINE = "line"
    NOTHING = "nothing"
    """The sites were switched off."""


class Standing(NamedTuple):
    """How an area stands: over since ``ended_ms``, but for the sites that outlive it."""

    end: End
    ended_ms: int = 0
    outlive: tuple[str, ...] = ()


_GOES_ON = Standing(End.NOT_YET)


def standing(members: Sequence[Member], level: Level, now_ms: int) -> Standing:
    """How an area stands now. It is over with the last of its sites, or once most of them have been back for long."""
    back = [one for one in members if one.back_ms is not None]
    dark = tuple(sorted(one.site for one in members if one.back_ms is None))
    if not back:
        return _GOES_ON
    if dark:
        last_ms = max(one.back_ms or 0 for one in back)
        if 2 * len(back) < len(members) or now_ms - last_ms < OUTLIVES_MS:
            return _GOES_ON
    if any(one.outcome is None for one in back):
        return _GOES_ON
    ended_ms = max((one.back_ms or 0) if one.ended_ms is None else one.ended_ms for one in back)
    return Standing(_end(back, level), ended_ms, dark)


def _end(back: Sequence[Member], level: Level) -> End:
    counts = {outcome: sum(one.outcome is outcome for one in back) for outcome in Outcome}
    fault, power, off = counts[Outcome.FAULT], counts[Outcome.POWER], counts[Outcome.OFF]
    if fault and fault >= max(power, off):
        return End.PROVEN if level is Level.ACCESS_NODE else End.LINE
    if power and power >= off:
        return End.PROVEN if level is Level.FEEDER else End.POWER
    return End.NOTHING if off * 2 > len(back) else End.RECOVERED
