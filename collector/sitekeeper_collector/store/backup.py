"""A copy of the database while it is in use, and putting one back so that the agents notice.

For SQLite, by its online backup (https://www.sqlite.org/backup.html). Other databases bring their own programs; after these a
new epoch is all that Sitekeeper needs.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from sitekeeper_collector.store.engine import open_store, renew_epoch
from sitekeeper_collector.store.errors import StoreError, StoreUnavailable


def sqlite_file(url: str) -> Path:
    """The file of an SQLite database. Raises ``StoreError`` for another kind of database."""
    try:
        parsed = make_url(url)
    except ArgumentError as err:
        raise StoreError(f"database: {err}") from err
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise StoreError("only SQLite databases are copied here; use pg_dump and pg_restore, and `store new-epoch` after them")
    return Path(parsed.database)


def back_up(url: str, to: Path) -> None:
    """Copy the database to a new file ``to``, which appears whole or not at all."""
    source = sqlite_file(url)
    if not source.is_file():
        raise StoreError(f"{source}: there is no database yet")
    if to.exists():
        raise StoreError(f"{to} is there already; choose another name")
    part = to.with_name(f".{to.name}.part")
    try:
        # Whoever reads the copy reads the register with its telephone numbers.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy(source, part)
        part.replace(to)
    except FileExistsError:
        raise StoreError(f"{part}: left from a copy that was interrupted; remove it") from None
    except (OSError, sqlite3.Error) as err:
        part.unlink(missing_ok=True)
        raise StoreUnavailable(f"the copy failed: {err}") from err


def restore(url: str, copy: Path) -> int:
    """Put ``copy`` in the place of the database's content, with a new epoch, which is returned. The collector may be running.

    The new epoch makes the agents send what the copy lacks, as far as they still hold it.
    """
    target = sqlite_file(url)
    if not copy.is_file():
        raise StoreError(f"{copy}: no such file")
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{target.name}.restoring")
    try:
        _forget(staged)
        _copy(copy, staged)
        _check(staged, copy)
        # The epoch is new before the content is: no receipt ever goes out for the old content under an epoch of the new.
        store = open_store(f"sqlite:///{staged}")
        try:
            with store.write() as connection:
                epoch = renew_epoch(connection)
        finally:
            store.close()
        _copy(staged, target)
    except (OSError, sqlite3.Error) as err:
        raise StoreUnavailable(f"the database can't be put back: {err}") from err
    finally:
        _forget(staged)
    return epoch


def _copy(source: Path, target: Path) -> None:
    read_only = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(read_only, uri=True, timeout=30)) as reading,
        closing(sqlite3.connect(target, timeout=30)) as to,
    ):
        reading.backup(to)


def _check(staged: Path, copy: Path) -> None:
    with closing(sqlite3.connect(staged)) as connection:
        try:
            found = connection.execute("PRAGMA quick_check").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.DatabaseError as err:
            raise StoreError(f"{copy}: this is no database: {err}") from err
    if found != "ok":
        raise StoreError(f"{copy}: the copy is damaged: {str(found)[:100]}")
    if not {"meta", "sites", "samples"} <= tables:
        raise StoreError(f"{copy}: this is not a copy of a collector's database")


def _forget(staged: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        staged.with_name(staged.name + suffix).unlink(missing_ok=True)
