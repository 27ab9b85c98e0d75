"""One simulated site: its PC, its agent and what is true of it. Pure: no socket, no clock, no thread.

The driver tells it what happens (a condition, a connection, a receipt) and when; it answers with samples and messages. Instants
are ``Moment``: the wall clock, and a clock that never jumps.
"""

import random
from typing import NamedTuple

from sitekeeper_collector.simulate import conditions, measures
from sitekeeper_collector.simulate.conditions import Condition
from sitekeeper_collector.simulate.courier import Courier, Plan
from sitekeeper_collector.simulate.pace import Pace
from sitekeeper_collector.simulate.spool import MOST, Run, Spool
from sitekeeper_protocol import WIRE_VERSION, codec
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.ladder import Verdict, diagnose, judge
from sitekeeper_protocol.messages import (
    Clock,
    Event,
    Header,
    PlaybackEvent,
    PlaybackEventRecord,
    PowerEvent,
    PowerEventRecord,
    Presence,
    Report,
    Sample,
    Scalar,
    SeriesKey,
    Status,
    StopReason,
)

_PLAYER, _STREAM = "class-player", "live"
_MAX_CLOCK_ERROR_MS = 30_000


class Moment(NamedTuple):
    """The wall clock (Unix time) and a steady clock, both in ms."""

    wall_ms: int
    steady_ms: int


class Outgoing(NamedTuple):
    """A report to publish; ``number`` tells which one an acknowledgement is about."""

    number: int
    payload: bytes


class _Life:
    """What only the memory of a living agent holds."""

    def __init__(self, run: Run, courier: Courier, events: list[Event]) -> None:
        self.run, self.courier = run, courier
        self.events = events
        self.facts: dict[str, Scalar] = {"simulated": True}
        self.verdict: Verdict | None = None
        self.playing_since_ms: int | None = None
        self.number = 0


class SimSite:
    """``uptime_ms``: how long the PC has been on at ``now``, when the first life begins. Draws only from ``chance``."""

    def __init__(
        self, site: str, *, chance: random.Random, pace: Pace, now: Moment, uptime_ms: int, most_held: int = MOST
    ) -> None:
        self.site = site
        self.condition = Condition.WORKING
        self.in_class = False
        self.spool = Spool(most_held)
        self.connection = 0
        self.baseline = conditions.proven()
        self._chance, self._pace = chance, pace
        # Drawn from a source of their own, so that identities depend on the seed and not on how many samples were taken.
        self._identities = random.Random(chance.getrandbits(64))  # noqa: S311
        self._disk_free_gib = chance.uniform(20, 120)
        self._epoch = 0
        self._clocks: dict[int, Clock] = {}
        self._life: _Life | None = None
        self._failures = 0
        self._boots_ms: int | None = None
        self._sample_ms = self._connect_ms = now.steady_ms
        self._begin(now, booted_ms=now.steady_ms - uptime_ms)
        # Sixty sites that all measure at the same instant are no county.
        self._sample_ms += round(chance.uniform(0, _ms(pace.sample_s)))

    # --- what is true --------------------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        """Whether the agent runs."""
        return self._life is not None

    @property
    def connected(self) -> bool:
        """Whether the site believes that it has a connection."""
        life = self._life
        return life is not None and life.courier.connected

    @property
    def leaving(self) -> bool:
        """Whether the goodbye is said and the PC not off yet."""
        life = self._life
        return life is not None and bool(life.run.ended)

    @property
    def playing(self) -> bool:
        """Whether a stream is being played."""
        return self.alive and self.in_class and self.condition.has_stream

    def enter(self, condition: Condition, now: Moment) -> None:
        """From now on ``condition`` holds. For ``SHUT_DOWN`` call ``say_goodbye`` first if the agent is to have a chance."""
        before, self.condition = self.condition, condition
        if not condition.has_power:
            self._life = None
            self._boots_ms = None
        elif not before.has_power and self._life is None:
            self._boots_ms = now.steady_ms
            self._sample_ms = now.steady_ms + _ms(self._pace.boot_s)
        if not condition.has_line:
            self.went_down(now)

    def _begin(self, now: Moment, *, booted_ms: int) -> None:
        previous = self.spool.newest
        boot, number = self._identities.randrange(1, 2**32), self._identities.randrange(1, 2**63)
        run = Run(run=number, boot=boot, booted_ms=booted_ms)
        run.last_wall_ms, run.last_boottime_ms = now.wall_ms, now.steady_ms - booted_ms
        events = start_events(previous)
        self.spool.begin(run)
        held = {run.boot for run in self.spool.runs.values()}
        self._clocks = {boot: clock for boot, clock in self._clocks.items() if boot in held}
        self._life = _Life(run, Courier(run.run, self._pace, self._chance), events)
        self._boots_ms = None
        self._sample_ms = now.steady_ms
        self._connect_ms = now.steady_ms + round(self._chance.uniform(0, self._pace.backoff_least_s) * 1000)
        self._failures = 0

    # --- samples -------------------------------------------------------------------------------------------------------

    def due_ms(self) -> int | None:
        """When ``step`` has something to do, by the steady clock; ``None`` while the PC is off."""
        runs = self.alive and not self.leaving
        return self._sample_ms if runs or self._boots_ms is not None else None

    def step(self, now: Moment) -> Sample | None:
        """Boot and take a sample, if it is time; the sample, which is in the spool."""
        due_ms = self.due_ms()
        if due_ms is None or now.steady_ms < due_ms:
            return None
        if self._boots_ms is not None:
            self._begin(now, booted_ms=self._boots_ms)
        step_ms = _ms(self._pace.sample_s)
        # A driver that is late goes on from now: an agent takes no two samples at once.
        self._sample_ms = max(self._sample_ms + step_ms, now.steady_ms + step_ms // 2)
        return self._measure(now)

    def _measure(self, now: Moment) -> Sample:
        life = self._living()
        found = conditions.readings(self.condition, self._chance)
        verdict = diagnose(found, self.baseline)
        self.baseline = self.baseline.after(found)
        boottime_ms = now.steady_ms - life.run.booted_ms
        self._disk_free_gib = max(3.0, self._disk_free_gib - self._chance.uniform(0, 0.0005))
        changed = measures.verdict_event(life.verdict, verdict)
        life.verdict = verdict
        playback = self._playback(now)
        values = (
            measures.ladder_values(judge(found, self.baseline))
            | measures.portal_values(found)
            | measures.verdict_values(verdict)
            | measures.host_values(
                self._chance, playing=self.playing, disk_free_gib=self._disk_free_gib, boottime_ms=boottime_ms
            )
        )
        return self._keep(now, values, [*([changed] if changed else []), *playback])

    def _playback(self, now: Moment) -> list[Event]:
        life = self._living()
        since_ms = life.playing_since_ms
        if self.playing == (since_ms is not None):
            return []
        if since_ms is None:
            life.playing_since_ms = now.steady_ms
            return [PlaybackEventRecord(PlaybackEvent.STARTED, _PLAYER, _STREAM)]
        life.playing_since_ms = None
        played_ms = now.steady_ms - since_ms
        if self.in_class:
            text = "the stream does not go on"
            return [PlaybackEventRecord(PlaybackEvent.FAILED, _PLAYER, _STREAM, "network", text, played_ms)]
        return [PlaybackEventRecord(PlaybackEvent.STOPPED, _PLAYER, _STREAM, duration_ms=played_ms)]

    def _keep(self, now: Moment, values: dict[SeriesKey, int], events: list[Event]) -> Sample:
        life = self._living()
        sample = Sample(
            sequence=life.run.last + 1,
            wall_ms=now.wall_ms,
            boottime_ms=now.steady_ms - life.run.booted_ms,
            values=values,
            events=(*life.events, *events),
            facts=life.facts,
        )
        life.events, life.facts = [], {}
        self.spool.append(life.run, sample)
        if sample.events:
            life.courier.urge(now.steady_ms)
        return sample

    def say_goodbye(self, now: Moment) -> Sample | None:
        """The last sample of a proper shutdown, and the run's end on disk; the driver sends it, then ``goodbye``."""
        life = self._life
        if life is None or life.run.ended:
            return None
        reason = StopReason.SHUTDOWN.value
        boottime_ms = now.steady_ms - life.run.booted_ms
        farewell = PowerEventRecord(PowerEvent.GOODBYE, reason, life.run.run, now.wall_ms, boottime_ms)
        sample = self._keep(now, {}, [farewell])
        life.run.ended = reason
        return sample

    # --- the connection ------------------------------------------------------------------------------------------------

    def connect_due_ms(self) -> int | None:
        """When to try to connect; ``None`` while there is nobody to try, or no need. A dead line is tried in vain."""
        return self._connect_ms if self.alive and not self.leaving and not self.connected else None

    def attempt(self, now: Moment) -> bytes:
        """An attempt to connect begins; the payload of its will."""
        self.connection += 1
        return self._status(Presence.LOST, now)

    def came_up(self, now: Moment) -> bytes:
        """The attempt worked; the payload of the birth."""
        self._living().courier.connect(now.steady_ms)
        return self._status(Presence.ONLINE, now)

    def went_down(self, now: Moment) -> None:
        """The connection ended, or the attempt failed: the next one comes after a back-off."""
        if self._life is not None:
            self._life.courier.disconnect()
        pace = self._pace
        longest_s = min(pace.backoff_most_s, pace.backoff_least_s * 2.0 ** min(self._failures, 16))
        self._failures += 1
        self._connect_ms = now.steady_ms + round(longest_s * self._chance.uniform(0.5, 1) * 1000)

    def goodbye(self, now: Moment) -> bytes:
        """The payload of the last status of a proper shutdown."""
        return self._status(Presence.STOPPING, now, StopReason.SHUTDOWN.value)

    def _status(self, presence: Presence, now: Moment, reason: str = "") -> bytes:
        run = self._living().run.run
        return codec.encode(Status(WIRE_VERSION, presence, run, self.connection, reason, now.wall_ms))

    # --- reports and receipts ------------------------------------------------------------------------------------------

    def send_due_ms(self, now_ms: int) -> int | None:
        """When ``outgoing`` may have a report that no sample and no receipt has brought."""
        return None if self._life is None else self._life.courier.due_ms(now_ms)

    def outgoing(self, now: Moment) -> Outgoing | None:
        """The next report to publish now, if any. It counts as published."""
        life = self._life
        if life is None:
            return None
        plan = life.courier.next(self.spool, now.steady_ms)
        if plan is None:
            return None
        samples = self.spool.load(plan.run, plan.first, plan.last)
        assert samples, "what is pending is held"
        plan = plan._replace(last=samples[-1].sequence)
        life.number += 1
        payload = codec.encode_report(self._report(life, plan, samples, now))
        life.courier.sent(life.number, plan, now.steady_ms)
        return Outgoing(life.number, payload)

    def _report(self, life: _Life, plan: Plan, samples: list[Sample], now: Moment) -> Report:
        run = self.spool.runs[plan.run]
        header = Header(
            site_check=codec.site_check(self.site),
            run=plan.run,
            connection=self.connection,
            number=life.number,
            backlog=plan.backlog,
            wants_receipt=plan.wants_receipt,
            first=plan.first,
            count=len(samples),
            oldest=min([run.oldest, *(drop.first for drop in self.spool.drops if drop.run == plan.run)]),
            config_revision=0,
        )
        return Report(
            header=header,
            boot=run.boot,
            sent_boot=life.run.boot,
            sent_wall_ms=now.wall_ms,
            sent_boottime_ms=now.steady_ms - life.run.booted_ms,
            next_within_s=self._pace.promise_s,
            clock=self._clocks.get(run.boot),
            samples=tuple(samples),
            drops=tuple(self.spool.drops[-256:]) if plan.wants_receipt else (),
        )

    def received(self, payload: bytes, now: Moment) -> bool:
        """A receipt came; whether it could be read."""
        life = self._life
        try:
            receipt = codec.decode_receipt(payload)
        except ProtocolError:
            return False
        if life is None:
            return True
        same = self._epoch in (0, receipt.epoch)
        self._epoch = receipt.epoch
        answers = life.courier.receipt(receipt, self.spool, same_epoch=same, now_ms=now.steady_ms)
        if answers is not None:
            self._failures = 0
            self._learn_time(receipt.server_time_ms, answers.sent_ms, now.steady_ms)
        return True

    def _learn_time(self, server_ms: int, sent_ms: int, received_ms: int) -> None:
        """Keep the more exact of what was known and what this round trip shows; of two that contradict, the newer."""
        error_ms = (received_ms - sent_ms + 1) // 2
        if error_ms > _MAX_CLOCK_ERROR_MS:
            return
        run = self._living().run
        measured = Clock(server_ms - (sent_ms + received_ms) // 2 + run.booted_ms, error_ms)
        known = self._clocks.get(run.boot)
        if known is not None:
            contradict = abs(known.offset_ms - measured.offset_ms) > known.error_ms + measured.error_ms
            if not contradict and known.error_ms < measured.error_ms:
                return
        self._clocks[run.boot] = measured

    def _living(self) -> _Life:
        assert self._life is not None, f"{self.site} is off"
        return self._life


def start_events(previous: Run | None) -> list[Event]:
    """What the first sample of a run tells: that it started, and how the run before ended. Each run here has a boot of its own,
    so that one without goodbye ended with the power."""
    if previous is None:
        return [PowerEventRecord(PowerEvent.STARTED, reason="first")]
    about = previous.run, previous.last_wall_ms, previous.last_boottime_ms
    if previous.ended:
        return [PowerEventRecord(PowerEvent.STARTED, f"after_{previous.ended}", *about)]
    return [
        PowerEventRecord(PowerEvent.STARTED, PowerEvent.POWER_LOST.value, *about),
        PowerEventRecord(PowerEvent.POWER_LOST, "", *about),
    ]


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
