"""Where silent sites stand, and how the others of their access nodes and feeders fare; read once for all that are looked at."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from sitekeeper_collector.domain.absence import Neighbours
from sitekeeper_collector.store.evidence import Absence
from sitekeeper_collector.store.tables import site_state, sites

_CHUNK = 500
_COLUMNS = (sites.c.id, sites.c.county, sites.c.township, sites.c.access_node, sites.c.feeder, sites.c.hours)


class Place(NamedTuple):
    """Where a site stands, as far as its silence is concerned."""

    county: str
    township: str
    access_node: str
    feeder: str
    hours: str


def places(connection: Connection, ids: Iterable[str]) -> dict[str, Place]:
    """The places of these sites; those that are not registered any more are missing."""
    wanted, found = list(ids), {}
    for at in range(0, len(wanted), _CHUNK):
        for row in connection.execute(select(*_COLUMNS).where(sites.c.id.in_(wanted[at : at + _CHUNK]))):
            found[row[0]] = Place(*row[1:])
    return found


class Neighbourhood:
    """Which sites were lost together. Made for one look at the silent sites; what it needs it reads when it is first asked."""

    def __init__(self, connection: Connection, silent: Mapping[str, Absence], since_ms: int, within_ms: int) -> None:
        """``since_ms``: no silence is asked about that is older."""
        self._connection, self._within_ms = connection, within_ms
        self._silent, self._since_ms = silent, since_ms - within_ms
        self._by_feeder: dict[str, list[tuple[str, Absence]]] | None = None
        self._of_node: dict[str, dict[str, int]] = {}

    def neighbours(self, absence: Absence, place: Place) -> Neighbours:
        """How the other sites of the access node fared when this one was lost.

        One that was heard since shortly after stays; of one that was heard last at about the same time nothing is known, unless
        it counts as silent itself.
        """
        if not place.access_node:
            return Neighbours()
        gone = staying = 0
        for site, last_live_ms in self._heard(place.access_node).items():
            other = self._silent.get(site)
            if site == absence.site or (other is not None and other.goodbye):
                continue
            if other is not None and other.to_ms is None:
                gone += self._together(absence, other)
            else:
                staying += last_live_ms > absence.from_ms + self._within_ms
        return Neighbours(gone + staying, gone, bool(gone) and self._power_is_likelier(absence, place))

    def _together(self, one: Absence, other: Absence) -> bool:
        return abs(other.from_ms - one.from_ms) <= self._within_ms

    def _power_is_likelier(self, absence: Absence, place: Place) -> bool:
        if self._by_feeder is None:
            self._by_feeder = {}
            recent = [site for site, other in self._silent.items() if not other.goodbye and other.from_ms >= self._since_ms]
            for site, where in places(self._connection, recent).items():
                if where.feeder:
                    self._by_feeder.setdefault(where.feeder, []).append((where.access_node, self._silent[site]))
        others = self._by_feeder.get(place.feeder, ())
        return any(node != place.access_node and self._together(absence, other) for node, other in others)

    def prepare(self, nodes: Iterable[str]) -> None:
        """Read at once what will be asked about these access nodes."""
        wanted = sorted(set(nodes) - self._of_node.keys() - {""})
        self._of_node |= {node: {} for node in wanted}
        columns = (sites.c.access_node, sites.c.id, site_state.c.last_live_ms)
        query = select(*columns).join(site_state, site_state.c.site == sites.c.id)
        for at in range(0, len(wanted), _CHUNK):
            for node, site, last_live_ms in self._connection.execute(
                query.where(sites.c.access_node.in_(wanted[at : at + _CHUNK]))
            ):
                self._of_node[node][site] = last_live_ms

    def _heard(self, node: str) -> dict[str, int]:
        """The sites of an access node, and when each was heard last."""
        self.prepare([node])
        return self._of_node[node]
