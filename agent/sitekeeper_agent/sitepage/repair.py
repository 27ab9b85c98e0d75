"""A request for repair that somebody made at this PC, and what a receipt has shown of it since. Pure."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sitekeeper_agent.courier import covered_by
from sitekeeper_protocol.messages import Receipt

_KEPT_MS = 3 * 86_400_000
"""A request that the county has is shown for so long after the PC has been restarted."""


class Repair(Struct, frozen=True, kw_only=True):
    """The sample that carries the request, and the fate of it.

    ``listed_before``: the open tickets when it was made, ``None`` if they were not known then. ``received``: a receipt has
    shown that the county has stored it. ``numbers``: tickets first listed after it was made. ``over``: they are closed.
    """

    run: int
    sequence: int
    wall_ms: int
    listed_before: Annotated[tuple[str, ...], Meta(max_length=64)] | None = None
    received: bool = False
    numbers: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    over: bool = False

    def receipted(self, receipt: Receipt) -> "Repair":
        """After a receipt."""
        received = self.received
        for told in receipt.runs:
            if told.run == self.run:
                received = covered_by(told).covers(self.sequence, self.sequence)
        numbers = self.numbers
        if received and self.listed_before is not None:
            numbers += tuple(new for new in receipt.tickets if new not in self.listed_before and new not in numbers)
        over = bool(numbers) and not set(numbers) & set(receipt.tickets)
        return msgspec.structs.replace(self, received=received, numbers=numbers[:64], over=over)

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
