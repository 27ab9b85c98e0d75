"""Users and sessions of the console in the database."""

import secrets
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from sitekeeper_collector.store.tables import sessions, users
from sitekeeper_collector.web import passwords

FIRST_USER = "admin"
SESSION_MS = 12 * 3600 * 1000


class User(NamedTuple):
    """Somebody who is signed in."""

    name: str


def ensure_first_user(connection: Connection, now_ms: int) -> str | None:
    """Make the first user if there is none; the password to print, which is not stored in a readable form."""
    if connection.execute(select(func.count()).select_from(users)).scalar_one():
        return None
    password = passwords.new_password()
    set_password(connection, FIRST_USER, password, now_ms)
    return password


def set_password(connection: Connection, name: str, password: str, now_ms: int) -> None:
    """Make a user, or give one another password; whoever was signed in under the name no longer is."""
    connection.execute(delete(sessions).where(sessions.c.user == name))
    stored = passwords.hashed(password)
    done = connection.execute(update(users).where(users.c.name == name).values(password=stored, changed_ms=now_ms))
    if not done.rowcount:
        connection.execute(insert(users).values(name=name, password=stored, added_ms=now_ms, changed_ms=now_ms))


def stored_password(connection: Connection, name: str) -> str:
    """What is stored of the user's password; of nobody's if there is no such user."""
    found = connection.execute(select(users.c.password).where(users.c.name == name)).scalar_one_or_none()
    return passwords.nobodys() if found is None else str(found)


def sign_in(connection: Connection, name: str, now_ms: int) -> str:
    """A new session; the token for the cookie."""
    connection.execute(delete(sessions).where(sessions.c.expires_ms <= now_ms))
    token = secrets.token_urlsafe(32)
    connection.execute(
        insert(sessions).values(token=passwords.token_hash(token), user=name, added_ms=now_ms, expires_ms=now_ms + SESSION_MS)
    )
    return token


def sign_out(connection: Connection, token: str) -> None:
    """End a session."""
    connection.execute(delete(sessions).where(sessions.c.token == passwords.token_hash(token)))


def who(connection: Connection, token: str, now_ms: int) -> User | None:
    """Whose session this is, if it is one and has not run out."""
    found = connection.execute(
        select(sessions.c.user).where(sessions.c.token == passwords.token_hash(token), sessions.c.expires_ms > now_ms)
    ).scalar_one_or_none()
    return None if found is None else User(str(found))
