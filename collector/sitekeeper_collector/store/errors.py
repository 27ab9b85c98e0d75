"""The errors of the store, and which of a database's errors are which."""

import sqlite3

from sqlalchemy.exc import DBAPIError


class StoreError(RuntimeError):
    """The store can't be used as it is: not a database of ours, or of a newer version."""


class StoreUnavailable(RuntimeError):
    """The database can't be used now (locked, full, unreadable, gone). The same work may succeed later."""


# https://www.sqlite.org/rescode.html: what is about the file or the moment, not about the statement.
_SQLITE_NOT_NOW = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_NOTADB,
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html: connection, rollback, resources, intervention, system.
_SQLSTATE_NOT_NOW = ("08", "40", "53", "55", "57", "58", "25006")


def is_unavailable(err: DBAPIError) -> bool:
    """Whether ``err`` says that the database can't be used now, rather than that this statement is wrong."""
    original = err.orig
    if err.connection_invalidated:
        return True
    if isinstance(original, sqlite3.Error):
        # The low byte is the primary code; the rest refines it.
        return (getattr(original, "sqlite_errorcode", 0) & 0xFF) in _SQLITE_NOT_NOW
    state = getattr(original, "sqlstate", None)
    return isinstance(state, str) and state.startswith(_SQLSTATE_NOT_NOW)
