"""A report that has been read and checked, but whose samples are built only for those who ask for them.

A collector takes in hundreds of reports a second and looks at a few series of each: building forty values for every sample
would be most of its work.
"""

from collections.abc import Collection
from itertools import accumulate
from typing import NamedTuple

from sitekeeper_protocol.columns import rows, undelta
from sitekeeper_protocol.messages import Clock, Drop, Event, Header, Report, Sample, Scalar, SeriesKey

Column = list[int | None]


class Sent(NamedTuple):
    """What a report says about itself and its sender; the fields are those of ``messages.Report``."""

    boot: int
    sent_boot: int
    sent_wall_ms: int
    sent_boottime_ms: int
    next_within_s: int
    clock: Clock | None
    drops: tuple[Drop, ...]


class Contents(NamedTuple):
    """The checked parts of a body, all by the place of the sample in the report.

    ``columns`` are as on the wire: metric, place of the instance in ``instances``, then the differences.
    """

    boottimes_ms: list[int]
    wall_offsets_ms: list[int]
    instances: list[str]
    columns: list[Column]
    events: dict[int, tuple[Event, ...]]
    facts: dict[int, dict[str, Scalar]]


class OpenedReport:
    """A whole, valid report: nothing that is asked of it can fail."""

    __slots__ = ("_by_key", "_contents", "header", "sent")

    def __init__(self, header: Header, sent: Sent, contents: Contents) -> None:
        self.header = header
        self.sent = sent
        self._contents = contents
        self._by_key: dict[SeriesKey, Column] | None = None

    @property
    def boottimes_ms(self) -> list[int]:
        """CLOCK_BOOTTIME of each sample."""
        return self._contents.boottimes_ms

    @property
    def wall_offsets_ms(self) -> list[int]:
        """Wall clock minus boot time of each sample."""
        return self._contents.wall_offsets_ms

    @property
    def events(self) -> dict[int, tuple[Event, ...]]:
        """Events by the place of their sample."""
        return self._contents.events

    @property
    def facts(self) -> dict[int, dict[str, Scalar]]:
        """Facts by the place of their sample."""
        return self._contents.facts

    def keys(self) -> list[SeriesKey]:
        """The series of the report."""
        return list(self._columns())

    def series(self, key: SeriesKey) -> list[int | None]:
        """One series: an integer for each sample, ``None`` where it has no such value."""
        count = self.header.count
        column = self._find(key)
        return [None] * count if column is None else undelta(column[2:], count, "a column")

    def several(self, metrics: Collection[int]) -> dict[SeriesKey, list[int | None]]:
        """All series of some metrics, found in one look over the report. Those that never change have equal numbers."""
        count, instances = self.header.count, self._contents.instances
        found: dict[SeriesKey, list[int | None]] = {}
        for column in self._contents.columns:
            if column[0] in metrics:
                key: SeriesKey = (column[0], instances[column[1]])  # type: ignore[index, assignment]
                found[key] = undelta(column[2:], count, "a column")
        return found

    def steady_and_others(self, metrics: Collection[int]) -> tuple[dict[SeriesKey, int], dict[SeriesKey, list[int | None]]]:
        """All series of some metrics: those that have one value in all samples, with it, and the others as by ``several``."""
        count, instances = self.header.count, self._contents.instances
        steady: dict[SeriesKey, int] = {}
        others: dict[SeriesKey, list[int | None]] = {}
        for column in self._contents.columns:
            if column[0] in metrics:
                key: SeriesKey = (column[0], instances[column[1]])  # type: ignore[index, assignment]
                # Zeros at the end are left out: a column that ends after its first value does not change any more.
                first = column[2] if len(column) > 2 else 0
                if len(column) <= 3 and first is not None:
                    steady[key] = first
                    others.pop(key, None)  # of two columns of one series, the last one counts
                else:
                    steady.pop(key, None)
                    others[key] = undelta(column[2:], count, "a column")
        return steady, others

    def value(self, key: SeriesKey, at: int) -> int | None:
        """One value: that of the sample at place ``at``."""
        column = self._find(key)
        if column is None:
            return None
        if None in column:
            return self.series(key)[at]
        return sum(column[2 : at + 3])  # type: ignore[arg-type]

    def samples(self) -> tuple[Sample, ...]:
        """All samples."""
        count = self.header.count
        values = self._values(count)
        boottimes, offsets, events, facts = self.boottimes_ms, self.wall_offsets_ms, self.events, self.facts
        return tuple(
            Sample(
                sequence=self.header.first + at,
                wall_ms=boottimes[at] + offsets[at],
                boottime_ms=boottimes[at],
                values=values[at],
                events=events.get(at, ()),
                facts=facts.get(at) or {},
            )
            for at in range(count)
        )

    def report(self) -> Report:
        """The report with all its samples."""
        return Report(header=self.header, samples=self.samples(), **self.sent._asdict())

    def _find(self, key: SeriesKey) -> Column | None:
        if self._by_key is not None:
            return self._by_key.get(key)
        metric, instance = key
        instances = self._contents.instances
        # From behind: of two columns of one series, the last one counts.
        for column in reversed(self._contents.columns):
            if column[0] == metric and instances[column[1]] == instance:  # type: ignore[index]
                return column
        return None

    def _columns(self) -> dict[SeriesKey, Column]:
        if self._by_key is None:
            instances = self._contents.instances
            self._by_key = {(column[0], instances[column[1]]): column for column in self._contents.columns}  # type: ignore[index, misc]
        return self._by_key

    def _values(self, count: int) -> list[dict[SeriesKey, int]]:
        whole: dict[SeriesKey, list[int]] = {}
        gappy: dict[SeriesKey, Column] = {}
        for key, column in self._columns().items():
            if None in column:
                gappy[key] = column
            else:
                whole[key] = column[2:] + [0] * (count + 2 - len(column))  # type: ignore[assignment]
        values = rows(list(whole), list(whole.values()), count)
        for key, column in gappy.items():
            for row, value in zip(values, undelta(column[2:], count, "a column"), strict=True):
                if value is not None:
                    row[key] = value
        return values


def within(column: Column, most: int) -> bool:
    """Whether no value of a column (as on the wire) exceeds ``most`` in size."""
    values = list(accumulate(delta for delta in column[2:] if delta is not None))
    return not values or (-most <= min(values) and max(values) <= most)
