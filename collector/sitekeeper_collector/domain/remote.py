"""When settings and commands are sent, sent again, and given up. Pure; times are Unix time in ms."""

from enum import Enum, StrEnum, auto
from typing import NamedTuple

from sitekeeper_protocol.messages import ResultState

AGAIN_MS = 60_000
"""Least time between two attempts with the same site, so that an agent that forgets is not flooded."""
COMMAND_AGAIN_MS = 20_000
ONLINE_MS = 20 * 60_000
"""A site that reported live within this time may be connected still: a first attempt costs one message."""
RESULT_MS = 5 * 60_000
"""How long after its expiry a command that was begun may take to be told."""


class ConfigState(StrEnum):
    """What became of a revision of a site's settings."""

    PENDING = "pending"
    SENT = "sent"
    TRIAL = "trial"
    APPLIED = "applied"
    REFUSED = "refused"
    ROLLED_BACK = "rolled_back"
    SUPERSEDED = "superseded"


CONFIG_STATES = {
    ResultState.ACCEPTED: ConfigState.TRIAL,
    ResultState.DONE: ConfigState.APPLIED,
    ResultState.REFUSED: ConfigState.REFUSED,
    ResultState.FAILED: ConfigState.ROLLED_BACK,
    ResultState.EXPIRED: ConfigState.REFUSED,
}


class CommandState(StrEnum):
    """What became of a command; the last four are final."""

    PENDING = "pending"
    SENT = "sent"
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    EXPIRED = "expired"


OPEN_COMMANDS = (CommandState.PENDING, CommandState.SENT, CommandState.ACCEPTED)


class Contact(NamedTuple):
    """What is known of a site: its topic's area, its newest live report, and the revision that this told."""

    area: str
    last_live_ms: int
    revision: int


def config_due(state: ConfigState, revision: int, sent_ms: int | None, contact: Contact, now_ms: int) -> bool:
    """Whether a revision is to be sent now."""
    if state in (ConfigState.REFUSED, ConfigState.ROLLED_BACK, ConfigState.SUPERSEDED):
        return False
    if state in (ConfigState.TRIAL, ConfigState.APPLIED) and contact.revision == revision:
        return False
    return _reachable(sent_ms, contact, now_ms, AGAIN_MS)


def _reachable(sent_ms: int | None, contact: Contact, now_ms: int, again_ms: int) -> bool:
    if sent_ms is None:
        return now_ms - contact.last_live_ms < ONLINE_MS
    # Only a live report since then shows that somebody is there to hear it this time.
    return contact.last_live_ms > sent_ms and now_ms - sent_ms >= again_ms


class Step(Enum):
    """What to do with a command that is not finished."""

    WAIT = auto()
    SEND = auto()
    EXPIRE = auto()
    """It was never answered, and is void."""
    GIVE_UP = auto()
    """It was begun, and no result came."""


def command_step(state: CommandState, sent_ms: int | None, expires_ms: int, contact: Contact | None, now_ms: int) -> Step:
    """``contact`` is ``None`` for a site that was never heard."""
    if state is CommandState.ACCEPTED:
        return Step.GIVE_UP if now_ms - expires_ms > RESULT_MS else Step.WAIT
    if now_ms > expires_ms:
        return Step.EXPIRE
    if contact is None or not _reachable(sent_ms, contact, now_ms, COMMAND_AGAIN_MS):
        return Step.WAIT
    return Step.SEND
