"""What ingest knows of runs, clocks and sites: loaded when needed, changed in memory, saved in the same transaction.

Records stay in memory between transactions, so that a steady stream of reports needs no SELECT. After a transaction that
failed, memory and database differ, and everything must be forgotten.
"""

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from msgspec import Struct
from sqlalchemy import Connection, Row, Table, select, tuple_

from sitekeeper_collector.domain import coverage, identity
from sitekeeper_collector.domain.coverage import Coverage
from sitekeeper_collector.domain.identity import LiveRuns
from sitekeeper_collector.domain.placement import KnownClock
from sitekeeper_collector.domain.presence import Known, Promise
from sitekeeper_collector.store.statements import insert_into, update_by_key
from sitekeeper_collector.store.tables import clocks, runs, site_state

CAPACITY = 100_000
"""Records of each kind that stay in memory; about 1 KiB each."""
_CHUNK = 200

Key = tuple[str, int]


class RunRecord(Struct, kw_only=True):
    """A life of an agent, as ingest works on it."""

    site: str
    run: int
    boot: int
    coverage: Coverage
    first_heard_ms: int
    last_heard_ms: int
    last_live_ms: int | None = None
    connection: int = 0
    config_revision: int = 0


class ClockRecord(Struct, kw_only=True):
    """The clock of a boot. ``unplaced``: some of its samples are stored without an exact time."""

    site: str
    boot: int
    clock: KnownClock | None = None
    unplaced: bool = False


class Verdict(NamedTuple):
    """The newest verdict of a site and when its sample was taken (0: none yet). Numbers as on the wire."""

    at_ms: int = 0
    state: int = 0
    rung: int = 0


class SiteRecord(Struct, kw_only=True):
    """What is known of a site now."""

    site: str
    area: str
    last_heard_ms: int
    presence: Known = Known()
    promise: Promise = Promise()
    last_live_ms: int = 0
    live: LiveRuns = LiveRuns()
    verdict: Verdict = Verdict()


_K = TypeVar("_K", bound="str | Key")
_R = TypeVar("_R", bound=Struct)


class _Records(Generic[_K, _R]):
    """The records of one table, by key."""

    def __init__(self, table: Table, read: Callable[[Row[Any]], _R], write: Callable[[_R], dict[str, Any]]) -> None:
        self._table = table
        self._read, self._write = read, write
        self._keys = list(table.primary_key)
        self._insert, self._update = insert_into(table), update_by_key(table)
        self._known: dict[_K, _R] = {}
        self._absent: set[_K] = set()
        """Looked for in this transaction and not there: a second look would find nothing either."""
        self._fresh: dict[_K, _R] = {}
        self._changed: dict[_K, _R] = {}

    def load(self, connection: Connection, keys: Iterable[_K]) -> None:
        """Bring the records of ``keys``, as far as there are any, into memory."""
        missing = [key for key in keys if key not in self._known and key not in self._absent]
        self._absent.update(missing)
        for at in range(0, len(missing), _CHUNK):
            some = missing[at : at + _CHUNK]
            single = len(self._keys) == 1
            matches = self._keys[0].in_(some) if single else tuple_(*self._keys).in_(some)
            for row in connection.execute(select(self._table).where(matches)):
                key: Any = row[0] if single else tuple(row[: len(self._keys)])
                self._known[key] = self._read(row)

    def find(self, key: _K) -> _R | None:
        """The record of ``key`` if it was loaded or made."""
        return self._known.get(key)

    def add(self, key: _K, record: _R) -> _R:
        """A new record, to be inserted."""
        self._known[key] = self._fresh[key] = record
        return record

    def touch(self, key: _K, record: _R) -> None:
        """Note that ``record`` was changed."""
        self._changed[key] = record

    def save(self, connection: Connection) -> None:
        """Write what is new or changed."""
        self._insert.run(connection, [self._write(record) for record in self._fresh.values()])
        fresh = self._fresh
        self._update.run(connection, [self._write(record) for key, record in self._changed.items() if key not in fresh])

    def settle(self) -> None:
        """What was saved is committed."""
        for done in (self._absent, self._fresh, self._changed):
            done.clear()
        if len(self._known) > CAPACITY:
            self._known.clear()

    def forget(self) -> None:
        """Memory may differ from the database: start anew."""
        for some in (self._known, self._absent, self._fresh, self._changed):
            some.clear()


class Working:
    """Runs, clocks and sites together."""

    def __init__(self) -> None:
        self.runs: _Records[Key, RunRecord] = _Records(runs, _read_run, _write_run)
        self.clocks: _Records[Key, ClockRecord] = _Records(clocks, _read_clock, _write_clock)
        self.sites: _Records[str, SiteRecord] = _Records(site_state, _read_site, _write_site)

    def save(self, connection: Connection) -> None:
        """Write what is new or changed."""
        for records in (self.runs, self.clocks, self.sites):
            records.save(connection)

    def settle(self) -> None:
        """The transaction is committed."""
        for records in (self.runs, self.clocks, self.sites):
            records.settle()

    def forget(self) -> None:
        """The transaction failed, or somebody else changed the database."""
        for records in (self.runs, self.clocks, self.sites):
            records.forget()


def _read_run(row: Row[Any]) -> RunRecord:
    return RunRecord(
        site=row.site,
        run=row.run,
        boot=row.boot,
        coverage=coverage.unpack(row.coverage),
        first_heard_ms=row.first_heard_ms,
        last_heard_ms=row.last_heard_ms,
        last_live_ms=row.last_live_ms,
        connection=row.connection,
        config_revision=row.config_revision,
    )


def _write_run(record: RunRecord) -> dict[str, Any]:
    book = record.coverage
    return {
        "site": record.site,
        "run": record.run,
        "boot": record.boot,
        "coverage": coverage.pack(book),
        "samples": book.stored.count,
        "dropped": book.dropped.count,
        "refused": book.refused.count,
        "first_heard_ms": record.first_heard_ms,
        "last_heard_ms": record.last_heard_ms,
        "last_live_ms": record.last_live_ms,
        "connection": record.connection,
        "config_revision": record.config_revision,
    }


def _read_clock(row: Row[Any]) -> ClockRecord:
    known = None if row.offset_ms is None else KnownClock(row.offset_ms, row.error_ms, row.learned_boottime_ms)
    return ClockRecord(site=row.site, boot=row.boot, clock=known, unplaced=row.unplaced)


def _write_clock(record: ClockRecord) -> dict[str, Any]:
    known = record.clock or (None, None, None)
    return {
        "site": record.site,
        "boot": record.boot,
        "offset_ms": known[0],
        "error_ms": known[1],
        "learned_boottime_ms": known[2],
        "unplaced": record.unplaced,
    }


def _read_site(row: Row[Any]) -> SiteRecord:
    return SiteRecord(
        site=row.site,
        area=row.area,
        last_heard_ms=row.last_heard_ms,
        presence=Known(row.presence, row.presence_reason, row.presence_run, row.presence_connection, row.presence_ms),
        promise=Promise(row.live_run, row.live_connection, row.live_number, row.promised_ms),
        last_live_ms=row.last_live_ms,
        live=identity.unpack(row.live_runs),
        verdict=Verdict(row.verdict_ms, row.verdict_state, row.verdict_rung),
    )


def _write_site(record: SiteRecord) -> dict[str, Any]:
    presence, promise = record.presence, record.promise
    return {
        "site": record.site,
        "area": record.area,
        "last_heard_ms": record.last_heard_ms,
        "presence": presence.presence,
        "presence_reason": presence.reason,
        "presence_run": presence.run,
        "presence_connection": presence.connection,
        "presence_ms": presence.since_ms,
        "live_run": promise.run,
        "live_connection": promise.connection,
        "live_number": promise.number,
        "last_live_ms": record.last_live_ms,
        "promised_ms": promise.due_ms,
        "live_runs": identity.pack(record.live),
        "verdict_ms": record.verdict.at_ms,
        "verdict_state": record.verdict.state,
        "verdict_rung": record.verdict.rung,
    }
