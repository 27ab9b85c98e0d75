"""What measuring may cost a site's line in a day. Pure; the spool keeps it."""

from typing import NamedTuple

import msgspec

KEY = "data_budget"
_DAY_MS = 86_400_000
_decode = msgspec.msgpack.Decoder(tuple[int, int]).decode


class Budget(NamedTuple):
    """Bytes spent on ``day`` (days since 1970 in UTC, by server time where it is known)."""

    day: int = 0
    spent_bytes: int = 0

    def on(self, now_ms: int) -> "Budget":
        """As of ``now_ms``: a later day begins with nothing spent. A clock that goes back gives nothing back."""
        day = now_ms // _DAY_MS
        return Budget(day, 0) if day > self.day else self

    def left_bytes(self, limit_mb: int) -> int:
        """What may still be spent; ``limit_mb`` in millions of bytes."""
        return max(0, limit_mb * 1_000_000 - self.spent_bytes)

    def plus(self, amount_bytes: int) -> "Budget":
        """With so much more spent; a negative amount gives back what was set aside and not used."""
        return self._replace(spent_bytes=max(0, self.spent_bytes + amount_bytes))

    def stored(self) -> bytes:
        """For ``restored``."""
        return msgspec.msgpack.encode(tuple(self))


def restored(value: bytes | None) -> Budget:
    """What ``stored`` gave; a fresh one if there is none that can be read."""
    if value is None:
        return Budget()
    try:
        return Budget(*_decode(value))
    except (msgspec.MsgspecError, ValueError):
        return Budget()
