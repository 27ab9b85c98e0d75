"""Counters that stay true when the rows they count are gone."""

from collections.abc import Mapping

from sqlalchemy import Connection, insert, update

from sitekeeper_collector.store.tables import tallies


def count(connection: Connection, amounts: Mapping[str, int], now_ms: int) -> None:
    """Add to the counters named in ``amounts``."""
    for name, amount in amounts.items():
        if amount == 0:
            continue
        raised = update(tallies).where(tallies.c.name == name).values(count=tallies.c.count + amount, last_ms=now_ms)
        if connection.execute(raised).rowcount == 0:
            connection.execute(insert(tallies).values(name=name, count=amount, first_ms=now_ms, last_ms=now_ms))
