"""Mails that are owed, in the database: written with the ticket that owes them, claimed and settled under their version."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy import Row as DatabaseRow

from sitekeeper_collector.notify.outbox import MailState, Row
from sitekeeper_collector.notify.view import MailView
from sitekeeper_collector.store.tables import mails
from sitekeeper_protocol.texts import Lang

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(MailView).decode
_COLUMNS = tuple(Row.__struct_fields__)


class Mail(NamedTuple):
    """A mail with what it is to say."""

    row: Row
    ticket: str
    lang: Lang
    view: MailView


def owe(connection: Connection, mail: Mail) -> None:
    """Note that a mail is owed. One that is noted already is an error: a notice is owed once."""
    values = {name: getattr(mail.row, name) for name in _COLUMNS} | {"state": mail.row.state.value}
    connection.execute(insert(mails).values(**values, ticket=mail.ticket, lang=mail.lang, view=_encode(mail.view)))


def due(connection: Connection, now_ms: int, most: int) -> list[Mail]:
    """Mails that may be sent now, or whose sender was never heard of again; the longest due first.

    A mail whose thread has an earlier one to the same recipient that is not done yet waits for it.
    """
    waits = mails.c.due_ms <= now_ms
    lapsed = or_(mails.c.lease_until_ms.is_(None), mails.c.lease_until_ms <= now_ms)
    query = select(mails).where(
        or_(
            (mails.c.state == MailState.PENDING.value) & waits,
            (mails.c.state == MailState.SENDING.value) & lapsed,
        )
    )
    earlier = mails.alias("earlier")
    undone = (MailState.PENDING.value, MailState.SENDING.value)
    blocked = (
        select(earlier.c.number)
        .where(
            earlier.c.thread == mails.c.thread,
            earlier.c.recipient == mails.c.recipient,
            earlier.c.number < mails.c.number,
            earlier.c.state.in_(undone),
        )
        .exists()
    )
    rows = connection.execute(query.where(~blocked).order_by(mails.c.due_ms, mails.c.thread, mails.c.number).limit(most))
    return [_mail(row) for row in rows]


def replace(connection: Connection, before: Row, after: Row) -> bool:
    """Write ``after`` if the row is still ``before``; whether it was."""
    if after == before:
        return True
    done = connection.execute(
        update(mails)
        .where(
            mails.c.thread == before.thread,
            mails.c.number == before.number,
            mails.c.recipient == before.recipient,
            mails.c.version == before.version,
        )
        .values({name: getattr(after, name) for name in _COLUMNS} | {"state": after.state.value})
    )
    return done.rowcount == 1


def of_ticket(connection: Connection, number: str) -> list[Mail]:
    """All mails about a ticket, oldest first."""
    query = select(mails).where(mails.c.ticket == number)
    return [_mail(row) for row in connection.execute(query.order_by(mails.c.created_ms, mails.c.thread, mails.c.number))]


def recipients_of(connection: Connection, thread: str) -> list[tuple[str, Lang]]:
    """Who was mailed in a thread, and in which language: whoever got its first mail gets all that follow."""
    query = select(mails.c.recipient, mails.c.lang).where(mails.c.thread == thread).distinct().order_by(mails.c.recipient)
    return [(row.recipient, "en" if row.lang == "en" else "zh") for row in connection.execute(query)]


def first_view(connection: Connection, thread: str) -> MailView | None:
    """What the first mail of a thread said."""
    found = connection.execute(
        select(mails.c.view).where(mails.c.thread == thread, mails.c.number == 0).limit(1)
    ).scalar_one_or_none()
    return None if found is None else _decode(found)


def unsettled(connection: Connection, now_ms: int) -> Sequence[Mail]:
    """Mails that nobody will get (refused, given up) in the last 30 days, the newest first."""
    lost = (MailState.REFUSED.value, MailState.GIVEN_UP.value)
    query = select(mails).where(mails.c.state.in_(lost), mails.c.done_ms >= now_ms - 30 * 86_400_000)
    return [_mail(row) for row in connection.execute(query.order_by(mails.c.done_ms.desc()).limit(50))]


def _mail(row: DatabaseRow[Any]) -> Mail:
    values = {name: getattr(row, name) for name in _COLUMNS} | {"state": MailState(row.state)}
    return Mail(Row(**values), row.ticket, "en" if row.lang == "en" else "zh", _decode(row.view))
