"""Reports of agents that do not exist, and a pipeline on a real database to give them to."""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from sitekeeper_collector.ingest.messages import Inbound, Outbound
from sitekeeper_collector.ingest.pipeline import Ingest
from sitekeeper_collector.store import queries, tables
from sitekeeper_collector.store.engine import Store, open_store
from sitekeeper_protocol import RELEASED_MS, WIRE_VERSION, codec, topics
from sitekeeper_protocol.messages import Clock, Drop, Header, Presence, Receipt, Report, Sample, Status
from sitekeeper_protocol.topics import Leaf

AREA = "a1"
NOW_MS = RELEASED_MS + 30 * 86_400_000
"""The collector's time at the start of a test."""
BOOT = 77
BOOTED_MS = NOW_MS - 3_600_000
"""True time at which the boot began that samples belong to by default."""


def sample(
    run: int,
    sequence: int,
    *,
    boottime_ms: int | None = None,
    wall_ms: int | None = None,
    values: dict[tuple[int, str], int] | None = None,
) -> Sample:
    """The sample that this number of this run always has: its content tells whose it is."""
    at = sequence * 1000 if boottime_ms is None else boottime_ms
    return Sample(
        sequence=sequence,
        wall_ms=BOOTED_MS + at if wall_ms is None else wall_ms,
        boottime_ms=at,
        values=values or {(1, "ipv4/dns"): run % 1000, (2, ""): sequence},
    )


def report(
    site: str,
    run: int,
    samples: Sequence[Sample] = (),
    *,
    number: int = 1,
    connection: int = 1,
    backlog: bool = False,
    wants_receipt: bool = False,
    oldest: int = 1,
    first: int | None = None,
    boot: int = BOOT,
    sent_boot: int | None = None,
    sent_boottime_ms: int | None = None,
    clock: Clock | None = None,
    drops: tuple[Drop, ...] = (),
    check: str | None = None,
    next_within_s: int = 600,
) -> bytes:
    """A report's bytes. ``check``: the site whose check number it carries, if not its own."""
    latest = max((s.boottime_ms for s in samples), default=0)
    sent = latest + 40 if sent_boottime_ms is None else sent_boottime_ms
    return codec.encode_report(
        Report(
            header=Header(
                site_check=codec.site_check(check or site),
                run=run,
                connection=connection,
                number=number,
                backlog=backlog,
                wants_receipt=wants_receipt,
                first=first or (samples[0].sequence if samples else 1),
                count=len(samples),
                oldest=oldest,
                config_revision=0,
            ),
            boot=boot,
            sent_boot=boot if sent_boot is None else sent_boot,
            sent_wall_ms=BOOTED_MS + sent,
            sent_boottime_ms=sent,
            next_within_s=next_within_s,
            clock=clock,
            samples=tuple(samples),
            drops=drops,
        )
    )


def status(presence: Presence, run: int, connection: int = 1, reason: str = "") -> bytes:
    """A status message's bytes."""
    return codec.encode(Status(WIRE_VERSION, presence, run, connection, reason, NOW_MS))


def inbound(
    site: str, payload: bytes, *, leaf: Leaf = Leaf.REPORT, received_ms: int = NOW_MS, retained: bool = False
) -> Inbound:
    """A message as the broker delivers it."""
    return Inbound(topics.topic(AREA, site, leaf), payload, received_ms, retained)


class Bench:
    """A pipeline on a database of its own."""

    def __init__(self, store: Store, file: Path) -> None:
        self.store, self.file = store, file
        self.now_ms = NOW_MS
        self.restart()

    def restart(self, **settings: Any) -> None:
        """A new process: all that was in memory is gone."""
        self.ingest = Ingest(
            self.store, **{"wall_ms": lambda: self.now_ms, "steady_ms": lambda: self.now_ms - NOW_MS, **settings}
        )

    def register(self, *sites: str) -> None:
        """Put sites into the register."""
        rows = [{"id": site, "name": site, "added_ms": NOW_MS, "changed_ms": NOW_MS} for site in sites]
        with self.store.write() as connection:
            connection.execute(insert(tables.sites), rows)

    def give(self, *messages: Inbound) -> list[Receipt]:
        """Process one batch; the receipts."""
        return [codec.decode_receipt(message.payload) for message in self.send(*messages)]

    def send(self, *messages: Inbound) -> list[Outbound]:
        """Process one batch; what is to be published."""
        return self.ingest.process(messages)

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """All rows of a table, in the order of the columns asked for."""
        found = tables.metadata.tables[table]
        wanted = [found.c[name] for name in columns]
        with self.store.read() as connection:
            return [tuple(row) for row in connection.execute(select(*wanted).order_by(*wanted))]

    def contents(self) -> dict[tuple[str, int, int], Sample]:
        """Every stored sample by (site, run, sequence)."""
        with self.store.read() as connection:
            found = queries.samples(connection, site=None, since_ms=-(2**62), limit=2**31)
        return {(row.site, row.run, row.sequence): row.content() for row in found}

    def tally(self, name: str) -> int:
        """A counter that stays."""
        return sum(count for found, count in self.rows("tallies", "name", "count") if found == name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another program holds the database's write lock."""
        with closing(sqlite3.connect(self.file, timeout=10, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def execute(self, statement: str) -> None:
        """A statement from outside, such as a trigger."""
        with closing(sqlite3.connect(self.file, timeout=10)) as other:
            other.executescript(statement)


def fast_folder() -> str | None:
    """Where a database costs no disk: tests that commit a thousand times prove nothing about the disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextmanager
def bench(folder: Path, *sites: str, template: Path | None = None, busy_timeout_s: float = 5) -> Iterator[Bench]:
    """A pipeline on a new database in ``folder``, or on a copy of ``template``."""
    file = folder / "sitekeeper.db"
    if template is not None:
        shutil.copy(template, file)
    store = open_store(f"sqlite:///{file}", busy_timeout_s=busy_timeout_s)
    try:
        made = Bench(store, file)
        if sites:
            made.register(*sites)
        yield made
    finally:
        store.close()
