"""Sets of sequence numbers as sorted, disjoint, closed intervals: what is stored, what is dropped, what is missing."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Intervals:
    """A mutable set of integers, kept as sorted disjoint closed intervals that do not touch.

    Adding in order costs amortised constant time; memory grows with the number of gaps, not of members.
    """

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in spans:
            self.add(first, last)

    def add(self, first: int, last: int | None = None) -> None:
        """Add ``first`` to ``last``, both included (``last`` defaults to ``first``). Raises ``ValueError`` if reversed."""
        last = first if last is None else last
        if last < first:
            raise ValueError(f"interval {first}..{last} is reversed")
        # Every interval that overlaps or touches first..last is merged into one.
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def update(self, other: "Intervals") -> None:
        """Add all members of ``other``."""
        for first, last in other:
            self.add(first, last)

    def discard(self, first: int, last: int) -> None:
        """Take ``first`` to ``last`` out."""
        kept: list[tuple[int, int]] = []
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        for a, b in zip(self._firsts[low:high], self._lasts[low:high], strict=True):
            if a < first:
                kept.append((a, first - 1))
            if b > last:
                kept.append((last + 1, b))
        self._firsts[low:high] = [a for a, _ in kept]
        self._lasts[low:high] = [b for _, b in kept]

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        return at < len(self._firsts) and self._firsts[at] <= number

    def covers(self, first: int, last: int) -> bool:
        """Whether every number from ``first`` to ``last`` is a member."""
        at = bisect_left(self._lasts, first)
        return at < len(self._firsts) and self._firsts[at] <= first and last <= self._lasts[at]

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """The gaps between ``first`` and ``last``, both included, as closed intervals."""
        gaps: list[tuple[int, int]] = []
        at = bisect_left(self._lasts, first)
        while first <= last:
            if at == len(self._firsts) or self._firsts[at] > last:
                gaps.append((first, last))
                break
            if self._firsts[at] > first:
                gaps.append((first, self._firsts[at] - 1))
            first = self._lasts[at] + 1
            at += 1
        return gaps

    @property
    def through(self) -> int:
        """The largest n such that 1 to n are all members; 0 if 1 is not."""
        return self._lasts[0] if self._firsts and self._firsts[0] <= 1 else 0

    @property
    def count(self) -> int:
        """How many numbers are members."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def copy(self) -> "Intervals":
        """An independent copy."""
        twin = Intervals()
        twin._firsts, twin._lasts = self._firsts.copy(), self._lasts.copy()
        return twin

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._firsts, self._lasts, strict=True)))

    def __len__(self) -> int:
        return len(self._firsts)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and (self._firsts, self._lasts) == (other._firsts, other._lasts)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Intervals(" + ", ".join(f"{a}..{b}" if a != b else str(a) for a, b in self) + ")"
