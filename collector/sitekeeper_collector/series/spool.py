"""The durable spool between ingest and the time-series store: written in the transaction of the samples, emptied by the writer.

Nothing of it is in memory but the batch that is being sent. A batch is settled under the number of attempts with which it was
read, so two writers can't settle it twice; that both may send it does no harm, since lines are the same when re-sent.
"""

import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from sitekeeper_collector.store import tallies
from sitekeeper_collector.store.tables import series_rejected, series_spool

MAX_LINES = 5000
"""In one batch: InfluxDB's own advice, and some 100 KB to 1 MB of line protocol."""
MAX_BATCH_BYTES = 1024 * 1024
"""Before compression, so that what a batch takes in memory is bounded."""
MAX_REJECTED = 5000
DROPPED = "series_dropped"
REJECTED = "series_rejected"
REJECTED_EVICTED = "series_rejected_evicted"
_LEVEL = 1
"""zlib's fastest: lines shrink to a tenth, and the spool is usually empty again within a second."""
_TRIM_AT_ONCE = 1000


class Limits(NamedTuple):
    """What the operator lets the spool take; ``None``: as much as the disk has."""

    max_rows: int | None = None
    max_bytes: int | None = None


class Batch(NamedTuple):
    """Lines to send together, and how they are known in the spool."""

    id: int
    attempts: int
    created_ms: int
    lines: bytes


class Rejected(NamedTuple):
    """A line that the store refused, and what it said."""

    line: bytes
    reason: str


class Waiting(NamedTuple):
    """What is in the spool; ``oldest_ms`` is ``None`` where nothing is. ``reason``: why its oldest batch was not taken."""

    batches: int
    lines: int
    bytes: int
    oldest_ms: int | None
    reason: str


def add(connection: Connection, lines: Sequence[bytes], now_ms: int) -> None:
    """Put lines into the spool, in batches of bounded size. Raises ``ValueError`` for a line with an end in it."""
    for part in _batches(lines):
        _insert(connection, part, created_ms=now_ms, due_ms=now_ms)


def _batches(lines: Iterable[bytes]) -> Iterable[list[bytes]]:
    part: list[bytes] = []
    size = 0
    for line in lines:
        if b"\n" in line:
            raise ValueError("a line must not have an end in it")
        if part and (len(part) >= MAX_LINES or size + len(line) > MAX_BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(line)
        size += len(line) + 1
    if part:
        yield part


def _insert(connection: Connection, lines: Sequence[bytes], *, created_ms: int, due_ms: int) -> None:
    packed = zlib.compress(b"\n".join(lines), _LEVEL)
    values = {"created_ms": created_ms, "lines": packed, "count": len(lines), "size": len(packed)}
    connection.execute(insert(series_spool).values(**values, attempts=0, due_ms=due_ms, reason=""))


def due(connection: Connection, now_ms: int) -> Batch | None:
    """The oldest batch that may be sent now."""
    query = select(series_spool).where(series_spool.c.due_ms <= now_ms).order_by(series_spool.c.due_ms, series_spool.c.id)
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else _batch(row)


def _batch(row: Row[tuple[int, ...]]) -> Batch:
    return Batch(row.id, row.attempts, row.created_ms, zlib.decompress(row.lines))


def next_due_ms(connection: Connection) -> int | None:
    """When the next batch may be sent; ``None`` if there is none."""
    return connection.execute(select(func.min(series_spool.c.due_ms))).scalar_one_or_none()


def settle(connection: Connection, batch: Batch, rejected: Sequence[Rejected], now_ms: int) -> bool:
    """Take a batch out; what was rejected of it goes to quarantine. ``False``: somebody else has settled it."""
    taken = connection.execute(
        delete(series_spool).where(series_spool.c.id == batch.id, series_spool.c.attempts == batch.attempts)
    )
    if taken.rowcount != 1:
        return False
    _quarantine(connection, rejected, now_ms)
    return True


def postpone(
    connection: Connection, batch: Batch, left: bytes, rejected: Sequence[Rejected], *, due_ms: int, reason: str, now_ms: int
) -> bool:
    """Keep what is ``left`` of a batch until ``due_ms``. ``False``: somebody else has settled or postponed it."""
    values: dict[str, object] = {"attempts": batch.attempts + 1, "due_ms": due_ms, "reason": plain_reason(reason)}
    if left != batch.lines:
        packed = zlib.compress(left, _LEVEL)
        values |= {"lines": packed, "size": len(packed), "count": left.count(b"\n") + 1}
    kept = connection.execute(
        update(series_spool).where(series_spool.c.id == batch.id, series_spool.c.attempts == batch.attempts).values(**values)
    )
    if kept.rowcount != 1:
        return False
    _quarantine(connection, rejected, now_ms)
    return True


def plain_reason(text: str) -> str:
    """What a store said, fit for a log and a page: one line, at most 300 characters."""
    return "".join(char if char.isprintable() else " " for char in text[:300])


def trim(connection: Connection, limits: Limits, now_ms: int) -> int:
    """Drop the oldest batches beyond the operator's limits, and count their lines; how many lines."""
    rows, size = connection.execute(select(func.count(), func.coalesce(func.sum(series_spool.c.size), 0))).one()
    many = 0 if limits.max_rows is None else max(0, rows - limits.max_rows)
    heavy = 0 if limits.max_bytes is None else max(0, size - limits.max_bytes)
    dropped = 0
    while many > 0 or heavy > 0:
        oldest = select(series_spool.c.id, series_spool.c.count, series_spool.c.size).order_by(series_spool.c.id)
        gone: list[int] = []
        for row in connection.execute(oldest.limit(_TRIM_AT_ONCE)):
            if many <= 0 and heavy <= 0:
                break
            gone.append(row.id)
            dropped, many, heavy = dropped + row[1], many - 1, heavy - row.size
        if not gone:
            break
        connection.execute(delete(series_spool).where(series_spool.c.id <= gone[-1]))
    tallies.count(connection, {DROPPED: dropped}, now_ms)
    return dropped


def waiting(connection: Connection) -> Waiting:
    """What is in the spool."""
    columns = series_spool.c
    sums = (func.count(), func.coalesce(func.sum(columns["count"]), 0), func.coalesce(func.sum(columns.size), 0))
    row = connection.execute(select(*sums, func.min(columns.created_ms))).one()
    oldest = connection.execute(select(columns.reason).order_by(columns.id).limit(1)).scalar_one_or_none()
    return Waiting(row[0], row[1], row[2], row[3], oldest or "")


# --- quarantine --------------------------------------------------------------------------------------------------------


def _quarantine(connection: Connection, rejected: Sequence[Rejected], now_ms: int) -> None:
    if not rejected:
        return
    rows = [{"rejected_ms": now_ms, "line": r.line, "reason": plain_reason(r.reason)} for r in rejected]
    connection.execute(insert(series_rejected), rows)
    newest = select(series_rejected.c.id).order_by(series_rejected.c.id.desc()).offset(MAX_REJECTED).limit(1)
    beyond = connection.execute(newest).scalar_one_or_none()
    evicted = 0
    if beyond is not None:
        evicted = connection.execute(delete(series_rejected).where(series_rejected.c.id <= beyond)).rowcount
    tallies.count(connection, {REJECTED: len(rejected), REJECTED_EVICTED: evicted}, now_ms)


def rejected_lines(connection: Connection, most: int = 100) -> list[Rejected]:
    """What is in quarantine, the newest first."""
    query = select(series_rejected).order_by(series_rejected.c.id.desc()).limit(most)
    return [Rejected(row.line, row.reason) for row in connection.execute(query)]


def take_back(connection: Connection, now_ms: int) -> int:
    """Put all that is in quarantine into the spool again, once what it was refused for is mended; how many lines."""
    rows = connection.execute(select(series_rejected.c.line).order_by(series_rejected.c.id)).scalars().all()
    add(connection, rows, now_ms)
    connection.execute(delete(series_rejected))
    return len(rows)
