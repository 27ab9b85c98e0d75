"""Messages that could not be taken in: the newest of them whole, all of them counted."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from sitekeeper_collector.store import tallies
from sitekeeper_collector.store.statements import delete_by_id, insert_into
from sitekeeper_collector.store.tables import quarantine
from sitekeeper_protocol.codec import MAX_REPORT_BYTES

MAX_ROWS = 500
MAX_ROWS_OF_A_SITE = 50
"""So that one site's rubbish does not push out what the others sent."""
EVICTED = "quarantine_evicted"


class Quarantined(NamedTuple):
    """A message that could not be taken in; ``site`` is empty where the topic names none."""

    site: str
    topic: str
    received_ms: int
    code: str
    detail: str
    payload: bytes
    run: int | None = None
    number: int | None = None


_insert = insert_into(quarantine, *(column.name for column in quarantine.columns if column.name != "id"))
_delete = delete_by_id(quarantine)


def add(connection: Connection, messages: Sequence[Quarantined], now_ms: int) -> None:
    """Keep and count messages; the oldest make room."""
    if not messages:
        return
    _insert.run(
        connection,
        [
            message._asdict()
            | {
                "topic": message.topic[:300],
                "detail": message.detail[:500],
                "size": len(message.payload),
                "payload": message.payload[:MAX_REPORT_BYTES],
            }
            for message in messages
        ],
    )
    evicted = _overfull(connection)
    _delete.run(connection, [{"id": row} for row in evicted])
    amounts = Counter(f"quarantine:{message.code}" for message in messages)
    amounts[EVICTED] = len(evicted)
    tallies.count(connection, amounts, now_ms)


def _overfull(connection: Connection) -> list[int]:
    """The rows beyond the bounds, newest kept."""
    kept: Counter[str] = Counter()
    evicted: list[int] = []
    total = 0
    for row in connection.execute(select(quarantine.c.id, quarantine.c.site).order_by(quarantine.c.id.desc())):
        if total >= MAX_ROWS or kept[row.site] >= MAX_ROWS_OF_A_SITE:
            evicted.append(row.id)
        else:
            kept[row.site] += 1
            total += 1
    return evicted
