"""Samples and drops into the store, and samples into the right time once a clock is known."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, case, select, update

from sitekeeper_collector.domain.placement import KnownClock, Placement, allowance
from sitekeeper_collector.store.statements import insert_into, insert_tuples
from sitekeeper_collector.store.tables import drops, reports, runs, samples
from sitekeeper_protocol import RELEASED_MS
from sitekeeper_protocol.codec import open_report
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import Sample


class SampleRow(NamedTuple):
    """A row of ``samples``, in the order of its columns."""

    site: str
    run: int
    sequence: int
    boot: int
    wall_ms: int
    boottime_ms: int
    placed_ms: int | None
    placement: str
    not_after_ms: int
    received_ms: int
    report: int


class ReportRow(NamedTuple):
    """A row of ``reports``, in the order of its columns."""

    site: str
    run: int
    first: int
    payload: bytes


class DropRow(NamedTuple):
    """A row of ``drops`` without its id."""

    site: str
    run: int
    first: int
    last: int
    reason: int
    booked_ms: int


_insert_drops = insert_into(drops, *DropRow._fields)


def add_samples(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert samples, given as ``SampleRow`` or plain tuples in its order. A sample that is there already is an error."""
    insert_tuples(connection, samples, SampleRow._fields, rows)


def add_reports(connection: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert the reports that new samples are in, given as ``ReportRow`` or plain tuples in its order."""
    insert_tuples(connection, reports, ReportRow._fields, rows)


@lru_cache(maxsize=16)
def _opened(payload: bytes) -> tuple[int, tuple[Sample, ...]]:
    report = open_report(payload)
    return report.header.first, report.samples()


def content(payload: bytes, sequence: int) -> Sample:
    """A sample out of the stored report that holds it. Raises ``ProtocolError`` if the bytes were damaged."""
    first, taken = _opened(payload)
    if not 0 <= sequence - first < len(taken):
        raise ProtocolError("malformed", f"sample {sequence} is not in the report that is stored for it")
    return taken[sequence - first]


def add_drops(connection: Connection, rows: Sequence[DropRow]) -> None:
    """Insert drops."""
    _insert_drops.run(connection, [row._asdict() for row in rows])


_exact = samples.c.boottime_ms + bindparam("offset_ms")
_place_again = (
    update(samples)
    .values(
        placed_ms=case((_exact > samples.c.not_after_ms, samples.c.not_after_ms), else_=_exact),
        placement=Placement.EXACT.value,
    )
    .where(
        samples.c.site == bindparam("for_site"),
        # Through the runs of the boot: the primary key finds them without an index over all samples.
        samples.c.run.in_(select(runs.c.run).where(runs.c.site == bindparam("for_site"), runs.c.boot == bindparam("for_boot"))),
        samples.c.boot == bindparam("for_boot"),
        samples.c.placement != Placement.EXACT.value,
        _exact <= samples.c.not_after_ms + bindparam("allowed_ms"),
        _exact >= RELEASED_MS,
        samples.c.not_after_ms >= RELEASED_MS,
    )
)


def place_again(connection: Connection, site: str, boot: int, clock: KnownClock) -> int:
    """Give the samples of a boot that have no exact time the one by ``clock``, as ``placement.place`` would; how many."""
    return connection.execute(
        _place_again,
        {"for_site": site, "for_boot": boot, "offset_ms": clock.offset_ms, "allowed_ms": allowance(clock)},
    ).rowcount
