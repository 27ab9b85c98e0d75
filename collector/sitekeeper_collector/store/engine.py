"""The database: opened, migrated, and written by one transaction at a time.

This module is the only place that knows how SQLite differs from other databases.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, insert, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from sitekeeper_collector.store.errors import StoreError, StoreUnavailable, is_unavailable
from sitekeeper_collector.store.tables import meta

_WRITE = {"sitekeeper_write": True}
_MIGRATIONS = Path(__file__).parent / "migrations"


class Store:
    """An open database. ``write`` and ``read`` give a connection inside a transaction; ``close`` lets go of the file."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection in a transaction that holds the write lock from its start; committed at the end, else rolled back.

        Raises ``StoreUnavailable`` if the database can't be used now; then nothing of the transaction is stored.
        """
        with _translated(), self.engine.connect().execution_options(**_WRITE) as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one state of the database and blocks no writer.

        Raises ``StoreUnavailable`` if the database can't be used now.
        """
        with _translated(), self.engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def open_store(url: str, *, busy_timeout_s: float = 5) -> Store:
    """The store at ``url`` (SQLAlchemy's form), made or migrated to the newest version, with an epoch.

    Raises ``StoreError`` if that is not possible, ``StoreUnavailable`` if it is not possible now.
    """
    store = Store(_engine(url, busy_timeout_s))
    try:
        with store.write() as connection:
            _migrate(connection)
            if current_epoch(connection) is None:
                connection.execute(insert(meta).values(name="epoch", value=str(_draw_epoch())))
    except BaseException:
        store.close()
        raise
    return store


def current_epoch(connection: Connection) -> int | None:
    """The store's epoch: an agent that meets another one sends again what it still holds."""
    value = connection.execute(_EPOCH).scalar_one_or_none()
    return None if value is None else int(value)


_EPOCH = select(meta.c.value).where(meta.c.name == "epoch")


def renew_epoch(connection: Connection) -> int:
    """Draw a new epoch, after the content went back to an earlier state."""
    epoch = _draw_epoch()
    changed = connection.execute(update(meta).where(meta.c.name == "epoch").values(value=str(epoch)))
    if changed.rowcount == 0:
        connection.execute(insert(meta).values(name="epoch", value=str(epoch)))
    return epoch


def _draw_epoch() -> int:
    return secrets.randbelow(2**63 - 1) + 1


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as err:
        if is_unavailable(err):
            raise StoreUnavailable(str(err.orig)) from err
        raise


# --- SQLite ------------------------------------------------------------------------------------------------------------


def _engine(url: str, busy_timeout_s: float) -> Engine:
    try:
        parsed = make_url(url)
        arguments: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite":
            arguments["connect_args"] = {"timeout": busy_timeout_s}
            if parsed.database and parsed.database != ":memory:":
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, **arguments)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as err:
        raise StoreError(f"database {url.partition(':')[0]}: {err}") from err
    except OSError as err:
        raise StoreUnavailable(f"the folder of the database can't be made: {err}") from err
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself: it does so late (before the first INSERT, not before a SELECT) and
    # without IMMEDIATE, so that two writers could both read, and one of them fail at its first write.
    connection.isolation_level = None
    cursor = connection.cursor()
    # WAL lets queries read while ingest writes. FULL, not NORMAL: with NORMAL a commit in the WAL may be lost with the
    # power, and a receipt tells an agent that it may forget its samples (https://www.sqlite.org/pragma.html#pragma_synchronous).
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY", "cache_size=-32000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("sitekeeper_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


# --- migrations --------------------------------------------------------------------------------------------------------


def _migrate(connection: Connection) -> None:
    config = Config()
    # Alembic reads "%" as the start of an interpolation.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    here = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head()
    if here == head:
        return
    if here is not None and here not in {revision.revision for revision in script.walk_revisions()}:
        raise StoreError(f"the database is of a newer version (revision {here}); this program knows up to {head}")
    command.upgrade(config, "head")
