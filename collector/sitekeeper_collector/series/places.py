"""Where each site is, as the register has it: the tags of its samples."""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from sitekeeper_collector.series.lines import Whereabouts
from sitekeeper_collector.store.tables import sites

KEPT_MS = 300_000
"""How long an entry is used before the register is asked again."""
_CHUNK = 200


class Places:
    """Entries of the register, in memory for some minutes."""

    def __init__(self, kept_ms: int = KEPT_MS) -> None:
        self._kept_ms = kept_ms
        self._since_ms = 0
        self._known: dict[str, Whereabouts] = {}

    def load(self, connection: Connection, of_sites: Iterable[str], now_ms: int) -> None:
        """Bring the entries of sites into memory."""
        if not self._since_ms <= now_ms < self._since_ms + self._kept_ms:
            self._known.clear()
            self._since_ms = now_ms
        missing = [site for site in dict.fromkeys(of_sites) if site not in self._known]
        for at in range(0, len(missing), _CHUNK):
            some = missing[at : at + _CHUNK]
            query = select(sites.c.id, sites.c.county, sites.c.township, sites.c.access_node).where(sites.c.id.in_(some))
            found = {row.id: Whereabouts(row.id, *row[1:]) for row in connection.execute(query)}
            self._known |= {site: found.get(site, Whereabouts(site)) for site in some}

    def of(self, site: str) -> Whereabouts:
        """Where a site is, as far as it was loaded."""
        return self._known.get(site) or Whereabouts(site)

    def now(self, connection: Connection, site: str, now_ms: int) -> Whereabouts:
        """Where a site is."""
        self.load(connection, (site,), now_ms)
        return self.of(site)
