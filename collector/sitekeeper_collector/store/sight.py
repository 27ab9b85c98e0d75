"""When the collector last heard itself through the broker, and the times in which it did not."""

from sqlalchemy import Connection, insert, select, update

from sitekeeper_collector.store import changes
from sitekeeper_collector.store.tables import blind, heartbeat

_NAME = "ingest"
_seen = select(heartbeat.c.seen_ms).where(heartbeat.c.name == _NAME)


def last_seen(connection: Connection) -> int | None:
    """The last heartbeat, by the collector's clock."""
    return connection.execute(_seen).scalar_one_or_none()


def beat(connection: Connection, seen_ms: int) -> None:
    """The collector heard itself."""
    if connection.execute(update(heartbeat).where(heartbeat.c.name == _NAME).values(seen_ms=seen_ms)).rowcount == 0:
        connection.execute(insert(heartbeat).values(name=_NAME, seen_ms=seen_ms))


def was_blind(connection: Connection, from_ms: int, to_ms: int, cause: str) -> None:
    """The collector could not hear between these times."""
    connection.execute(insert(blind).values(from_ms=from_ms, to_ms=to_ms, cause=cause))
    changes.note_all_sites(connection, from_ms)
