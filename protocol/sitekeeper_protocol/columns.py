"""Numbers of samples as columns of differences: each to the one before it, with the zeros at the end left out."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from operator import add

from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import SeriesKey

MAX_VALUE = 2**53
"""Largest absolute value of a series' integer: what a double, and so every database, keeps exactly."""


def deltas(values: Iterable[int | None], before: int = 0) -> list[int | None]:
    """The differences, the first one to ``before``; ``None`` stays ``None`` and is skipped by the next difference."""
    column: list[int | None] = []
    for value in values:
        if value is None:
            column.append(None)
        else:
            column.append(value - before)
            before = value
    while column and column[-1] == 0:
        column.pop()
    return column


def undelta(column: Sequence[int | None], count: int, what: str) -> list[int | None]:
    """The ``count`` values of a column of differences. Raises ``ProtocolError``, which calls the column ``what``."""
    if len(column) > count:
        raise ProtocolError("malformed", f"{what} has {len(column)} values for {count} samples")
    if None in column:
        values: list[int | None] = []
        before = 0
        for delta in column:
            if delta is not None:
                before += delta
            values.append(None if delta is None else before)
        present = [v for v in values if v is not None]
    else:
        present = list(accumulate(column))  # type: ignore[arg-type]
        values, before = [*present], (present[-1] if present else 0)
    if present and (min(present) < -MAX_VALUE or max(present) > MAX_VALUE):
        raise ProtocolError("malformed", f"{what} holds a value beyond ±2^53")
    if len(values) < count:
        values.extend([before] * (count - len(values)))
    return values


def times(column: Sequence[int | None], count: int, before: int, what: str) -> list[int]:
    """``undelta`` for a column of times, which has no gaps and begins with the difference to ``before``."""
    values = undelta(column, count, what)
    if None in values:
        raise ProtocolError("malformed", f"{what}: a gap; every sample has a time")
    return [before + value for value in values]  # type: ignore[operator]


def rows(keys: list[SeriesKey], columns: list[list[int]], count: int) -> list[dict[SeriesKey, int]]:
    """Columns of differences into rows of values: row by row, since a report has fewer rows than columns."""
    if not columns:
        return [{} for _ in range(count)]
    values: list[dict[SeriesKey, int]] = []
    before: Sequence[int] = [0] * len(columns)
    for deltas in zip(*columns, strict=True):
        before = list(map(add, before, deltas))
        if min(before) < -MAX_VALUE or max(before) > MAX_VALUE:
            raise ProtocolError("malformed", "a column holds a value beyond ±2^53")
        values.append(dict(zip(keys, before, strict=True)))
    return values
