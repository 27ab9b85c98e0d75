"""Notes of what has changed, for those who follow behind: the time series. Made in the change's transaction.

A note stays until it has been followed up, so what changed while nobody followed is not lost; of one thing there is one note,
however often it changes.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, text

from sitekeeper_collector.store.tables import series_changes

LEDGER, FAULT, TICKET = "ledger", "fault", "ticket"
"""Keys: a site, the id of a fault, the number of a ticket."""
WAITING = "waiting"
"""Keys: site and boot (``boot_key``)."""

# One statement for SQLite and PostgreSQL, whose upserts SQLAlchemy has only apart. "WHERE true": SQLite would take ON for a
# join's (https://www.sqlite.org/lang_upsert.html, 2.2 Parsing ambiguity).
_KEEP_EARLIER = """
    ON CONFLICT (what, key) DO UPDATE SET since_ms = CASE
        WHEN excluded.since_ms < series_changes.since_ms THEN excluded.since_ms ELSE series_changes.since_ms END"""
_note = text("INSERT INTO series_changes (what, key, since_ms) VALUES (:what, :key, :since_ms)" + _KEEP_EARLIER)  # noqa: S608 - no value is in it
_note_sites = text(
    "INSERT INTO series_changes (what, key, since_ms) SELECT :what, id, CAST(:since_ms AS BIGINT) FROM sites WHERE true"  # noqa: S608 - as above
    + _KEEP_EARLIER
)


class Change(NamedTuple):
    """A note."""

    what: str
    key: str
    since_ms: int


def note(connection: Connection, what: str, keys: Iterable[str | int], since_ms: int = 0) -> None:
    """What is about ``keys`` differs since ``since_ms``, or since what is noted already if that is earlier."""
    note_each(connection, what, [(str(key), since_ms) for key in keys])


def note_each(connection: Connection, what: str, since_ms_of: Sequence[tuple[str, int]]) -> None:
    """As ``note``, each key with its own instant."""
    if since_ms_of:
        connection.execute(_note, [{"what": what, "key": key, "since_ms": since_ms} for key, since_ms in since_ms_of])


def note_all_sites(connection: Connection, since_ms: int) -> None:
    """The picture of every site's time may differ since then."""
    connection.execute(_note_sites, {"what": LEDGER, "since_ms": since_ms})


def noted(connection: Connection, whats: Sequence[str], most: int, *, lock: bool = True) -> list[Change]:
    """Notes of these kinds. With ``lock``, for whoever follows them up in this transaction: two don't get the same ones."""
    query = select(series_changes).where(series_changes.c.what.in_(whats))
    query = query.order_by(series_changes.c.what, series_changes.c.key).limit(most)
    return [Change(*row) for row in connection.execute(query.with_for_update(skip_locked=True) if lock else query)]


def find(connection: Connection, what: str, key: str) -> Change | None:
    """One note, for whoever follows it up in this transaction; ``None`` if there is none, or another one does."""
    query = select(series_changes).where(series_changes.c.what == what, series_changes.c.key == key)
    row = connection.execute(query.with_for_update(skip_locked=True)).one_or_none()
    return None if row is None else Change(*row)


def done(connection: Connection, changes: Iterable[Change]) -> None:
    """These have been followed up."""
    rows = [{"of_what": change.what, "of_key": change.key} for change in changes]
    if rows:
        connection.execute(_done, rows)


_done = delete(series_changes).where(series_changes.c.what == bindparam("of_what"), series_changes.c.key == bindparam("of_key"))


def count(connection: Connection) -> int:
    """How many notes there are."""
    return connection.execute(select(func.count()).select_from(series_changes)).scalar_one()


def boot_key(site: str, boot: int) -> str:
    """The key of a boot's samples. A site's id has no blank in it."""
    return f"{site} {boot}"


def of_key(key: str) -> tuple[str, int]:
    """Site and number of a key that has both."""
    site, _, number = key.rpartition(" ")
    return site, int(number)
