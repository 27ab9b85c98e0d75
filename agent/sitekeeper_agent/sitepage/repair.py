"""A request for repair that somebody made at this PC, and what a receipt has shown of it since. Pure."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sitekeeper_agent.courier import covered_by
from sitekeeper_protocol.messages import Receipt

_MOST = 64
_OPENED_WITHIN_MS = 10 * 60_000
"""The county opens a ticket for a request at once; one that comes later than this is about something else."""
_KEPT_MS = 3 * 86_400_000
"""A request that the county has is shown for so long after the PC has been restarted."""


class Repair(Struct, frozen=True, kw_only=True):
    """The sample that carries the request, and the fate of it.

    ``listed_before``: the tickets that were open before the county had it, ``None`` if they are not known. ``received``: a
    receipt has shown that the county has stored it; ``received_ms``, by the server's clock, since when. ``numbers``: tickets
    first listed then. ``over``: they are closed.
    """

    run: int
    sequence: int
    wall_ms: int
    listed_before: Annotated[tuple[str, ...], Meta(max_length=_MOST)] | None = None
    received: bool = False
    received_ms: int = 0
    numbers: Annotated[tuple[str, ...], Meta(max_length=_MOST)] = ()
    over: bool = False

    def receipted(self, receipt: Receipt) -> "Repair":
        """After a receipt."""
        told = next((told for told in receipt.runs if told.run == self.run), None)
        received = covered_by(told).covers(self.sequence, self.sequence) if told else self.received
        since_ms = self.received_ms if self.received else receipt.server_time_ms
        numbers, before = self.numbers, self.listed_before
        if before is not None and not numbers:
            new = tuple(number for number in receipt.tickets if number not in before)
            if received and receipt.server_time_ms - since_ms <= _OPENED_WITHIN_MS:
                numbers = new
            elif told:  # what the county opened before it had the request, or long after, is about something else
                before = (before + new)[-_MOST:]
        over = bool(numbers) and not set(numbers) & set(receipt.tickets)
        return msgspec.structs.replace(
            self, received=received, received_ms=since_ms, numbers=numbers, listed_before=before, over=over
        )

    def shown_after_restart(self, wall_ms: int) -> bool:
        """Whether a new life of the agent goes on showing it. A clock that was set back forgets nothing."""
        return not self.over and (not self.received or wall_ms - self.wall_ms < _KEPT_MS)


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Repair)


def stored(value: bytes | None, wall_ms: int) -> Repair | None:
    """The request as the spool kept it, if there is one that is still shown."""
    if not value:
        return None
    try:
        repair = _decoder.decode(value)
    except (msgspec.MsgspecError, ValueError):
        return None
    return repair if repair.shown_after_restart(wall_ms) else None


def to_store(repair: Repair) -> bytes:
    """The request as the spool keeps it."""
    return _encode(repair)


def known_tickets(tickets: Iterable[str] | None, connected: bool) -> tuple[str, ...] | None:
    """The open tickets that a request may be compared with: what was listed long ago says nothing about now."""
    return tuple(tickets) if tickets is not None and connected else None
