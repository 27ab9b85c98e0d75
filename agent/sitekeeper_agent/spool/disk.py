"""The spool's SQLite file: rows in, rows out, each change one durable transaction; knows nothing of policy.

Durability: WAL with ``synchronous=FULL``, so every commit is an fsync. NORMAL would be enough against a crash of the agent but
loses the last commits when power fails, and at sites power is switched off at the wall. One fsync a minute is affordable.
https://www.sqlite.org/pragma.html#pragma_synchronous
"""

import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sitekeeper_agent.clock import ServerClock
from sitekeeper_agent.journal import Run
from sitekeeper_protocol.messages import Drop

SCHEMA_VERSION = 1
_APPLICATION_ID = 0x736B7370  # "sksp"
_PAGE_BYTES = 1024
"""Of a new file; an older one keeps its 4096. Each page that a sample changes goes to the WAL as a whole: with small ones the
disk writes a third less (``benchmarks/spool_days.py`` has the sizes of a month)."""
_WAL_BYTES = 256 * 1024
WAL_RESERVE_BYTES = 4 * _WAL_BYTES
"""Room kept for the WAL: it is checkpointed at a quarter of this, and a large transaction may stand on top."""

RUNS = (
    "SELECT run, boot, started_wall_ms, started_boottime_ms, last_wall_ms, last_boottime_ms, last_sequence, ended, crc"
    " FROM runs"
)
_SCHEMA = """
CREATE TABLE runs(
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL UNIQUE, boot INTEGER NOT NULL,
    started_wall_ms INTEGER NOT NULL, started_boottime_ms INTEGER NOT NULL,
    last_wall_ms INTEGER NOT NULL, last_boottime_ms INTEGER NOT NULL, last_sequence INTEGER NOT NULL, ended TEXT,
    crc INTEGER NOT NULL);
CREATE TABLE samples(
    run INTEGER NOT NULL, sequence INTEGER NOT NULL, wall_ms INTEGER NOT NULL, boottime_ms INTEGER NOT NULL,
    record BLOB NOT NULL, crc INTEGER NOT NULL, PRIMARY KEY(run, sequence)) WITHOUT ROWID;
CREATE TABLE receipts(run INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, server_ms INTEGER NOT NULL,
    crc INTEGER NOT NULL, PRIMARY KEY(run, first)) WITHOUT ROWID;
CREATE TABLE clocks(boot INTEGER PRIMARY KEY, offset_ms INTEGER NOT NULL, error_ms INTEGER NOT NULL,
    learned_boottime_ms INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE drops(run INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, reason INTEGER NOT NULL,
    crc INTEGER NOT NULL, PRIMARY KEY(run, first)) WITHOUT ROWID;
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
"""

_NUMBERS = struct.Struct("<qqqq")
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class SpoolDamaged(Exception):
    """The file is not a sound database of ours."""


class SpoolUnwritable(Exception):
    """The disk takes nothing now: full, read-only, failing, or locked by somebody."""


class Limits(NamedTuple):
    """How much is kept, and how long."""

    max_bytes: int = 64 * 1024 * 1024
    max_age_ms: int = 30 * 86_400_000
    keep_receipted_ms: int = 7 * 86_400_000


class Row(NamedTuple):
    """A stored sample."""

    run: int
    sequence: int
    wall_ms: int
    boottime_ms: int
    record: bytes
    crc: int

    @property
    def sound(self) -> bool:
        """Whether the row is what was written."""
        try:
            return self.crc == checksum(self.run, self.sequence, self.wall_ms, self.boottime_ms, self.record)
        except (TypeError, struct.error):  # a flipped bit changed a value's type
            return False


class Receipted(NamedTuple):
    """Samples that the county has. ``server_ms``: when it said so; negative: it refused them, and they are never sent again.

    Kept as spans beside the samples: a mark on each sample would rewrite the whole of it.
    """

    run: int
    first: int
    last: int
    server_ms: int


def checksum(run: int, sequence: int, wall_ms: int, boottime_ms: int, record: bytes) -> int:
    """CRC-32 over all that makes up a sample: SQLite has no checksums of its own, and old disks flip bits."""
    return zlib.crc32(record, zlib.crc32(_NUMBERS.pack(run, sequence, wall_ms, boottime_ms)))


def seal(values: Sequence[object]) -> int:
    """Checksum of a row of the small tables."""
    return zlib.crc32(repr(tuple(values)).encode("utf-8", "surrogatepass"))


def unsealed(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows without their seals, the last column. Raises ``SpoolDamaged`` for a broken one."""
    for row in rows:
        if seal(row[:-1]) != row[-1]:
            raise SpoolDamaged("a row of a small table is not what was written")
        yield row[:-1]


def make_row(run: int, sequence: int, wall_ms: int, boottime_ms: int, record: bytes) -> Row:
    """A row with its checksum."""
    return Row(run, sequence, wall_ms, boottime_ms, record, checksum(run, sequence, wall_ms, boottime_ms, record))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as err:
        # The low byte is the primary code: https://www.sqlite.org/rescode.html#primary_result_codes_versus_extended_result_codes
        primary = getattr(err, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if primary in _DAMAGE or not isinstance(err, sqlite3.OperationalError):
            raise SpoolDamaged(str(err)) from err
        raise SpoolUnwritable(str(err)) from err
    except (OverflowError, ValueError, TypeError) as err:
        # What a flipped bit in a record's type field looks like from Python.
        raise SpoolDamaged(str(err)) from err


class Disk:
    """One open spool file. Every method raises ``SpoolDamaged`` or ``SpoolUnwritable``, nothing else."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._db = connection
        self.path = path
        self._page_bytes = self._pragma("page_size")

    @classmethod
    def open(cls, path: Path) -> "Disk":
        """Open or make the file, and check the whole of it."""
        with _translated():
            db = sqlite3.connect(path, timeout=2, isolation_level=None)
            try:
                _prepare(db)
                return cls(db, path)
            except BaseException:
                db.close()
                raise

    def close(self) -> None:
        """Close; the WAL is folded into the file."""
        with _translated():
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable once it is left."""
        with _translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A disk error may have rolled back already: https://www.sqlite.org/lang_transaction.html#response_to_errors
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # --- writing, inside a transaction ---

    def put_run(self, run: Run) -> None:
        """Add a run as the newest, or renew what is known of it."""
        self._db.execute(
            "INSERT INTO runs(run, boot, started_wall_ms, started_boottime_ms, last_wall_ms, last_boottime_ms, last_sequence,"
            " ended, crc) VALUES(?,?,?,?,?,?,?,?,?) ON CONFLICT(run) DO UPDATE SET last_wall_ms=excluded.last_wall_ms,"
            " last_boottime_ms=excluded.last_boottime_ms, last_sequence=excluded.last_sequence, ended=excluded.ended,"
            " crc=excluded.crc",
            (*run, seal(run)),
        )

    def put_samples(self, rows: Iterable[Row]) -> None:
        """Add samples; one that is there already stays as it is."""
        self._db.executemany("INSERT OR IGNORE INTO samples VALUES(?,?,?,?,?,?)", rows)

    def put_receipt(self, receipt: Receipted) -> None:
        """Note that samples are confirmed."""
        self._db.execute("INSERT OR REPLACE INTO receipts VALUES(?,?,?,?,?)", (*receipt, seal(receipt)))

    def delete_receipt(self, receipt: Receipted) -> None:
        """Forget one confirmation."""
        self._db.execute("DELETE FROM receipts WHERE run=? AND first=?", (receipt.run, receipt.first))

    def delete(self, run: int, first: int, last: int) -> int:
        """Take samples out; how many there were."""
        return self._db.execute("DELETE FROM samples WHERE run=? AND sequence BETWEEN ? AND ?", (run, first, last)).rowcount

    def put_drop(self, drop: Drop) -> None:
        """Note that samples are gone, joined with what lies against it for the same reason."""
        run, first, last, reason = drop.run, drop.first, drop.last, int(drop.reason)
        for other_first, other_last in self._db.execute(
            "SELECT first, last FROM drops WHERE run=? AND reason=? AND first<=? AND last>=?",
            (run, reason, last + 1, first - 1),
        ).fetchall():
            self._db.execute("DELETE FROM drops WHERE run=? AND first=?", (run, other_first))
            first, last = min(first, other_first), max(last, other_last)
        values = (run, first, last, reason)
        self._db.execute("INSERT OR REPLACE INTO drops VALUES(?,?,?,?,?)", (*values, seal(values)))

    def delete_drop(self, drop: Drop) -> None:
        """Forget a drop that the county has booked."""
        self._db.execute("DELETE FROM drops WHERE run=? AND first=? AND last<=?", (drop.run, drop.first, drop.last))

    def put_clock(self, boot: int, clock: ServerClock) -> None:
        """Remember what true time a boot had."""
        values = (boot, *clock)
        self._db.execute("INSERT OR REPLACE INTO clocks VALUES(?,?,?,?,?)", (*values, seal(values)))

    def put_meta(self, key: str, value: bytes) -> None:
        """Remember a value."""
        self._db.execute("INSERT OR REPLACE INTO meta VALUES(?,?,?)", (key, value, seal((key, value))))

    def delete_run(self, run: int) -> None:
        """Forget a run."""
        self._db.execute("DELETE FROM runs WHERE run=?", (run,))

    def delete_clock(self, boot: int) -> None:
        """Forget a boot's clock."""
        self._db.execute("DELETE FROM clocks WHERE boot=?", (boot,))

    def shrink(self, max_bytes: int) -> None:
        """Give free pages back to the disk while the file is larger than ``max_bytes``; outside a transaction."""
        with _translated():
            over = self.file_bytes() - max_bytes
            if over > 0:
                self._db.execute(f"PRAGMA incremental_vacuum({over // self._page_bytes + 1})").fetchall()
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # --- reading ---

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        with _translated():
            found = self._db.execute(RUNS + " ORDER BY ordinal")
            return [Run(*row) for row in unsealed(found)]

    def rows(self, run: int, first: int, last: int) -> list[Row]:
        """Samples of a run in order; whether they are sound is for the caller to look at."""
        with _translated():
            return [
                Row(*row)
                for row in self._db.execute(
                    "SELECT * FROM samples WHERE run=? AND sequence BETWEEN ? AND ? ORDER BY sequence", (run, first, last)
                )
            ]

    def newest(self, run: int) -> Row | None:
        """The newest sample of a run."""
        with _translated():
            found = self._db.execute("SELECT * FROM samples WHERE run=? ORDER BY sequence DESC LIMIT 1", (run,)).fetchone()
            return Row(*found) if found else None

    def keys(self) -> Iterator[tuple[int, int]]:
        """(run, sequence) of all samples, by run and sequence."""
        with _translated():
            yield from self._db.execute("SELECT run, sequence FROM samples ORDER BY run, sequence")

    def receipts(self) -> list[Receipted]:
        """All confirmations, by run and sequence."""
        with _translated():
            return [Receipted(*row) for row in unsealed(self._db.execute("SELECT * FROM receipts ORDER BY run, first"))]

    def drops(self) -> list[Drop]:
        """All drops that the county has not booked yet, older runs first."""
        with _translated():
            found = self._db.execute(
                "SELECT d.run, first, last, reason, d.crc FROM drops d LEFT JOIN runs r ON r.run=d.run"
                " ORDER BY r.ordinal, first"
            )
            return [Drop(*row) for row in unsealed(found)]

    def clocks(self) -> dict[int, ServerClock]:
        """True time of all boots that ever learned it."""
        with _translated():
            found = unsealed(self._db.execute("SELECT * FROM clocks"))
            return {row[0]: ServerClock(*row[1:]) for row in found}

    def meta(self, key: str) -> bytes | None:
        """A remembered value."""
        with _translated():
            found = list(unsealed(self._db.execute("SELECT key, value, crc FROM meta WHERE key=?", (key,))))
        return bytes(found[0][1]) if found else None

    def oldest(self, limit: int) -> list[tuple[int, int]]:
        """(run, sequence) of the oldest samples, in the order that runs were begun; never by any clock."""
        with _translated():
            return self._db.execute(
                "SELECT s.run, s.sequence FROM runs r CROSS JOIN samples s ON s.run=r.run"
                " ORDER BY r.ordinal, s.sequence LIMIT ?",
                (limit,),
            ).fetchall()

    def before(self, run: int, boottime_ms: int) -> list[int]:
        """Sequence numbers of the samples of a run taken before ``boottime_ms``."""
        with _translated():
            found = self._db.execute(
                "SELECT sequence FROM samples WHERE run=? AND boottime_ms<? ORDER BY sequence", (run, boottime_ms)
            )
            return [sequence for (sequence,) in found]

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        with _translated():
            pages = self._pragma("page_count") - self._pragma("freelist_count")
        return pages * self._page_bytes

    def file_bytes(self) -> int:
        """Size of the file once the WAL is folded in."""
        with _translated():
            return self._pragma("page_count") * self._page_bytes

    def disk_bytes(self) -> int:
        """What file and WAL take up on disk now."""
        total = 0
        for suffix in ("", "-wal"):
            try:
                total += Path(f"{self.path}{suffix}").stat().st_size
            except OSError:
                continue
        return total

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA cache_size=-512")
    db.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute(f"PRAGMA wal_autocheckpoint={_WAL_BYTES // int(db.execute('PRAGMA page_size').fetchone()[0])}")
    db.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        script = f"PRAGMA application_id={_APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION};"
        db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} {script} COMMIT;")
        return
    if version != SCHEMA_VERSION:
        raise SpoolDamaged(f"the spool has version {version}, this agent reads version {SCHEMA_VERSION}")
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise SpoolDamaged(str(found)[:200])
    # The check looks at the tables that are there; that ours are is shown by reading from each.
    for table in ("runs", "samples", "receipts", "clocks", "drops", "meta"):
        try:
            db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()  # noqa: S608 - names from the line above
        except sqlite3.OperationalError as err:
            raise SpoolDamaged(str(err)) from err
