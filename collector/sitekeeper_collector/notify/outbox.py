"""What becomes of a mail that is owed: when it is due, who may send it, when it is given up. Decisions only; a store keeps it.

A row is changed only under the condition that it still has the ``version`` that was read; so of two senders that claim it,
one gets nothing. A sender that dies lets its lease run out, and the mail may then go out a second time with the same
``Message-ID``: SMTP itself can't promise more (RFC 5321, section 6.1, on duplicates).
"""

from enum import StrEnum, unique
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from sitekeeper_collector.notify.smtp import Outcome, Refused, Retry, Sent, backoff

GIVE_UP_AFTER_MS = 5 * 86_400_000
"""RFC 5321, section 4.5.4.1: at least 4 to 5 days."""
LEASE_MS = 300_000
"""Longer than any conversation with a server may take."""


@unique
class MailState(StrEnum):
    """How far a mail has come."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"
    GIVEN_UP = "given_up"

    @property
    def final(self) -> bool:
        """Whether nothing more happens to it."""
        return self in (MailState.SENT, MailState.REFUSED, MailState.GIVEN_UP)


class Row(Struct, frozen=True, kw_only=True):
    """A mail to one recipient: the ``number``-th of ``thread``. ``attempts`` counts the times that it was claimed."""

    thread: str
    number: int
    recipient: str
    created_ms: int
    due_ms: int
    state: MailState = MailState.PENDING
    version: int = 0
    attempts: int = 0
    owner: str = ""
    lease_until_ms: int | None = None
    done_ms: int | None = None
    reason: str = ""


class Finding(NamedTuple):
    """A mail that nobody will get: somebody must hear of it by another way."""

    state: MailState
    thread: str
    recipient: str
    reason: str


class Settled(NamedTuple):
    """A row after an attempt, and what is to be told of it."""

    row: Row
    finding: Finding | None = None


def owed(*, thread: str, number: int, recipient: str, now_ms: int) -> Row:
    """A new row, due at once."""
    return Row(thread=thread, number=number, recipient=recipient, created_ms=now_ms, due_ms=now_ms)


def is_due(row: Row, now_ms: int) -> bool:
    """Whether it may be claimed."""
    return row.state is MailState.PENDING and now_ms >= row.due_ms


def has_lapsed(row: Row, now_ms: int) -> bool:
    """Whether the one who claimed it has had its time, and nothing was heard: ``lapse`` it."""
    return row.state is MailState.SENDING and (row.lease_until_ms is None or now_ms >= row.lease_until_ms)


def claim(row: Row, *, owner: str, now_ms: int, lease_ms: int = LEASE_MS) -> Row | None:
    """The row in the hands of ``owner``, or ``None`` if it is not due."""
    if not is_due(row, now_ms):
        return None
    return _changed(
        row, state=MailState.SENDING, attempts=row.attempts + 1, owner=owner, lease_until_ms=now_ms + max(1, lease_ms)
    )


def settle(
    row: Row, outcome: Outcome, *, now_ms: int, jitter: float = 1.0, give_up_after_ms: int = GIVE_UP_AFTER_MS
) -> Settled:
    """What follows from an attempt. ``jitter``: a factor on the time until the next, to keep many mails apart; 0: at once.

    A row that was not claimed stays as it is.
    """
    if row.state is not MailState.SENDING:
        return Settled(row)
    match outcome:
        case Sent():
            return Settled(_done(row, MailState.SENT, "", now_ms))
        case Refused(reason):
            return _lost(row, MailState.REFUSED, reason, now_ms)
        case Retry(reason):
            if now_ms - row.created_ms >= give_up_after_ms:
                return _lost(row, MailState.GIVEN_UP, reason, now_ms)
            wait_ms = round(backoff(row.attempts) * 1000 * max(0.0, jitter))
            due_ms = min(now_ms + wait_ms, row.created_ms + give_up_after_ms)  # one last time, and not later
            return Settled(_changed(row, state=MailState.PENDING, due_ms=due_ms, owner="", lease_until_ms=None, reason=reason))


def lapse(row: Row, *, now_ms: int, jitter: float = 1.0, give_up_after_ms: int = GIVE_UP_AFTER_MS) -> Settled:
    """A row whose sender was never heard of again, to be tried again; unchanged while the sender has time left."""
    if not has_lapsed(row, now_ms):
        return Settled(row)
    silent = Retry("whoever was sending it did not say what came of it")
    return settle(row, silent, now_ms=now_ms, jitter=jitter, give_up_after_ms=give_up_after_ms)


def _lost(row: Row, state: MailState, reason: str, now_ms: int) -> Settled:
    return Settled(_done(row, state, reason, now_ms), Finding(state, row.thread, row.recipient, reason))


def _done(row: Row, state: MailState, reason: str, now_ms: int) -> Row:
    return _changed(row, state=state, reason=reason, done_ms=now_ms, owner="", lease_until_ms=None)


def _changed(row: Row, **changes: object) -> Row:
    return replace(row, version=row.version + 1, **changes)
