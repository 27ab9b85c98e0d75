"""Samples of the spool into a report that fits the wire."""

from collections.abc import Sequence
from typing import NamedTuple

from sitekeeper_agent.clock import ServerClock
from sitekeeper_agent.courier import Plan
from sitekeeper_agent.journal import Now
from sitekeeper_agent.spool import Holding, Spool
from sitekeeper_protocol import codec
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import Clock, Drop, DropReason, Header, Report, Sample

MAX_BYTES = 48 * 1024
"""A report larger than this would keep a slow line busy for long; it goes in two."""
MAX_DROPS = 256


class Sender(NamedTuple):
    """What is the same in all reports of one connection."""

    site_check: int
    boot: int
    connection: int
    next_within_s: int
    config_revision: int = 0


def build(spool: Spool, plan: Plan, sender: Sender, *, number: int, oldest: int, now: Now) -> tuple[Plan, bytes] | None:
    """The report for ``plan``, and what of it is really in it; ``None`` if none of its samples can be had.

    A gap in the samples (one was damaged) or a report that grows too large ends it early; the rest goes with the next.
    """
    samples = contiguous(spool.load(plan.run, plan.first, plan.last))
    boot = spool.boot_of(plan.run) or sender.boot
    while samples:
        kept = plan._replace(first=samples[0].sequence, last=samples[-1].sequence)
        report = Report(
            header=_header(kept, sender, number, min(oldest, kept.first), len(samples)),
            boot=boot,
            sent_boot=sender.boot,
            sent_wall_ms=now.wall_ms,
            sent_boottime_ms=now.boottime_ms,
            next_within_s=sender.next_within_s,
            clock=wire_clock(spool.clock(boot), now.boottime_ms if boot == sender.boot else None),
            samples=tuple(samples),
            drops=spool.drops()[:MAX_DROPS] if plan.wants_receipt else (),
        )
        try:
            payload = codec.encode_report(report)
        except ProtocolError:
            payload = b""
        if payload and (len(payload) <= MAX_BYTES or len(samples) == 1):
            return kept, payload
        if len(samples) == 1:
            # What can't be encoded now never can: it must not stop all that comes behind it.
            spool.give_up(plan.run, samples[0].sequence, DropReason.CORRUPT)
            return None
        samples = samples[: len(samples) // 2]
    return None


def contiguous(samples: Sequence[Sample]) -> list[Sample]:
    """The samples up to the first gap in their numbers."""
    if not samples:
        return []
    return [sample for at, sample in enumerate(samples) if sample.sequence == samples[0].sequence + at]


def wire_clock(clock: ServerClock | None, boottime_ms: int | None) -> Clock | None:
    """The clock as a report carries it, with its error as of now where the boot is the present one."""
    if clock is None:
        return None
    return Clock(clock.offset_ms, clock.error_ms if boottime_ms is None else clock.error_at(boottime_ms))


def oldest_held(inventory: Sequence[Holding], drops: Sequence[Drop]) -> dict[int, int]:
    """Per run, the lowest sequence number that is held or was given up and not booked by the collector yet."""
    oldest = {holding.run: min((first for first, _ in holding.held), default=1) for holding in inventory}
    for drop in drops:
        oldest[drop.run] = min(oldest.get(drop.run, drop.first), drop.first)
    return oldest


def _header(plan: Plan, sender: Sender, number: int, oldest: int, count: int) -> Header:
    return Header(
        site_check=sender.site_check,
        run=plan.run,
        connection=sender.connection,
        number=number,
        backlog=plan.backlog,
        wants_receipt=plan.wants_receipt,
        first=plan.first,
        count=count,
        oldest=oldest,
        config_revision=sender.config_revision,
    )
