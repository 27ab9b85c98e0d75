"""Which step a fault that appeared, changed or went asks of its ticket. Only the step is decided here; ``tickets`` takes it."""

from collections.abc import Iterable, Sequence
from enum import StrEnum, unique
from typing import NamedTuple

from msgspec.structs import replace

from sitekeeper_collector.domain.detection import Episode, Phase
from sitekeeper_collector.domain.signs import RUNG_OF_KIND
from sitekeeper_collector.domain.tickets import Ticket, TicketState, may_reopen
from sitekeeper_protocol.vocabulary import Rung

RECHECK_MS = 600_000
"""A fault that goes on for so long after somebody called it repaired opens its ticket again."""
FRESH_MS = 900_000
"""A fault of which nothing newer than this is known may be over: it owes nobody a ticket until more is known."""
_WORTH_TELLING_MS = 1000


@unique
class Step(StrEnum):
    """What to do with a ticket."""

    NOTHING = "nothing"
    OPEN = "open"
    REOPEN = "reopen"
    CONFIRM = "confirm"
    """A ticket that people asked for: the site's own record proves it."""
    AMEND = "amend"
    """The ticket of a silence: this fault is the reason for it."""
    BORN_RESOLVED = "born_resolved"
    RECOVER = "recover"
    RETIME = "retime"
    WITHDRAW = "withdraw"


class OfSilence(NamedTuple):
    """The ticket of a silence that began at ``from_ms`` and was over at ``returned_ms`` (``None``: it goes on).

    ``awaited``: its reason is not known yet.
    """

    ticket: Ticket
    from_ms: int
    returned_ms: int | None
    awaited: bool = True


class Tickets(NamedTuple):
    """The tickets that may have to do with a fault: its own, that of a silence that it may explain, the last of its kind."""

    own: Ticket | None = None
    of_silence: OfSilence | None = None
    claimed: Ticket | None = None
    """One that people of the site have asked for, and that nothing has proven yet."""
    previous: Ticket | None = None
    in_contact: bool = True
    """Whether the site is heard, so that the newest evidence tells of now."""
    contact_ms: int | None = None
    """Since when it has been heard by the same connection; ``None``: always."""


class Difference(NamedTuple):
    """A fault before and after more was known; ``before`` of ``None``: new, ``after`` of ``None``: there never was one."""

    kept: int | None
    """Its place in the list of those known before."""
    before: Episode | None
    after: Episode | None


def differences(known: Sequence[Episode], found: Iterable[Episode]) -> list[Difference]:
    """What has changed between two lists of faults of one site. Faults of one kind that share time are one."""
    left = dict(enumerate(known))
    changes: list[Difference] = []
    for after in found:
        same = [
            at
            for at, before in left.items()
            if before.kind is after.kind and after.overlaps(before.started_ms, before.ended_ms)
        ]
        kept = same[0] if same else None
        before = left.pop(kept) if kept is not None else None
        if before != after:
            changes.append(Difference(kept, before, after))
    changes += [Difference(at, before, None) for at, before in left.items()]
    return changes


def explains_silence(episode: Episode) -> bool:
    """Whether this kind of fault keeps a site from being heard."""
    rung = RUNG_OF_KIND.get(episode.kind)
    return rung is not None and rung <= Rung.DNS


def whole(episode: Episode | None, others: Sequence[Episode]) -> Episode | None:
    """All faults of one ticket as one: as the latest of them stands, and from the first beginning."""
    every = [*others, episode] if episode is not None else list(others)
    if len(every) < 2:
        return every[0] if every else None
    latest = max(every, key=lambda one: one.started_ms)
    return replace(latest, started_ms=min(one.started_ms for one in every))


def step(before: Episode | None, after: Episode | None, its: Tickets, *, raises: bool, hold_up_ms: int, now_ms: int) -> Step:
    """The step that a changed fault asks of its ticket. ``raises``: whether its kind is to have tickets."""
    if after is None:
        return Step.NOTHING if its.own is None or its.own.state is TicketState.CLOSED else Step.WITHDRAW
    if its.own is not None:
        return _of_its_own(before, after, its.own, now_ms)
    if its.of_silence is not None and explains_silence(after):
        goes_on = _goes_on(after, its.of_silence, hold_up_ms)
        if (goes_on or after.ended_ms is not None) and _takes_most(after, its.of_silence):
            return Step.AMEND
        if its.of_silence.awaited and not goes_on:
            return Step.NOTHING
    if not raises:
        return Step.NOTHING
    if its.claimed is not None:
        return Step.CONFIRM if after.ended_ms is not None or _lasts(after, now_ms) else Step.NOTHING
    if after.ended_ms is not None:
        return Step.BORN_RESOLVED
    if not (its.in_contact and _lasts(after, now_ms)) or not _outlasts_contact(after, its.contact_ms, hold_up_ms):
        return Step.NOTHING
    if its.previous is not None and its.previous.state is TicketState.RESOLVED and may_reopen(its.previous, now_ms):
        return Step.REOPEN
    return Step.OPEN


def _lasts(episode: Episode, now_ms: int) -> bool:
    """Whether the newest evidence shows the fault, and is of now: what comes out of a backlog may long be over."""
    return episode.phase is Phase.OPEN and now_ms - episode.bad_ms <= FRESH_MS


def _outlasts_contact(episode: Episode, contact_ms: int | None, hold_up_ms: int) -> bool:
    """Whether a fault that keeps a site from being heard went on once it was heard again, for as long as a recovery takes.

    The first reports after it tell of a time that is over, whether or not the centre had noticed the silence.
    """
    return contact_ms is None or not explains_silence(episode) or episode.bad_ms - contact_ms >= hold_up_ms


def _goes_on(after: Episode, silence: OfSilence, hold_up_ms: int) -> bool:
    """Whether a fault went on when the site was heard again.

    Most likely it has lost its fault: that it goes on is believed once fresh samples have shown it for as long as a recovery
    takes.
    """
    if silence.returned_ms is None or silence.ticket.state is TicketState.RESOLVED:
        return False
    return after.phase is Phase.OPEN and after.bad_ms - silence.returned_ms >= hold_up_ms


def _takes_most(after: Episode, silence: OfSilence) -> bool:
    """Whether a fault took at least half of a silence: only then it is the reason for it."""
    if silence.returned_ms is None:
        return False
    until_ms = silence.returned_ms if after.ended_ms is None else min(after.ended_ms, silence.returned_ms)
    return 2 * (until_ms - max(after.started_ms, silence.from_ms)) >= silence.returned_ms - silence.from_ms


def _of_its_own(before: Episode | None, after: Episode, ticket: Ticket, now_ms: int) -> Step:
    if ticket.state is TicketState.CLOSED:
        return Step.NOTHING
    resolved = ticket.state is TicketState.RESOLVED
    if after.ended_ms is not None:
        if not resolved:
            return Step.RECOVER
        moved = (ticket.outage_from_ms, ticket.outage_to_ms) != (after.started_ms, after.ended_ms)
        return Step.RETIME if moved and before is not None else Step.NOTHING
    if resolved:
        # Somebody vouched for it, or it had ended before more was known.
        since_ms = ticket.resolved_ms or 0
        refuted = after.phase is Phase.OPEN and after.bad_ms >= since_ms + RECHECK_MS
        came_back = before is not None and before.ended_ms is not None and _lasts(after, now_ms)
        return Step.REOPEN if (refuted or came_back) and may_reopen(ticket, now_ms) else Step.NOTHING
    return Step.RETIME if abs(ticket.outage_from_ms - after.started_ms) >= _WORTH_TELLING_MS else Step.NOTHING
