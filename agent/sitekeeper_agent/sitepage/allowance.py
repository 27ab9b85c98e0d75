"""How often something may happen: a token bucket. Pure."""

from typing import NamedTuple


class Allowance(NamedTuple):
    """Up to ``most`` at once, and one more every ``every_ms``. ``left`` stood at ``at_ms``."""

    most: int
    every_ms: int
    left: float
    at_ms: int

    @classmethod
    def full(cls, most: int, every_ms: int, now_ms: int) -> "Allowance":
        """With all of it left."""
        return cls(most, every_ms, float(most), now_ms)

    def spend(self, now_ms: int) -> "Allowance | None":
        """What is left after one more, or ``None``: not now."""
        left = min(float(self.most), self.left + max(0, now_ms - self.at_ms) / self.every_ms)
        return self._replace(left=left - 1, at_ms=now_ms) if left >= 1 else None
