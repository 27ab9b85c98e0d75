"""One sample: a round of all probes, judged by the honest rules, with the events and facts that belong to it."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from sitekeeper_agent import hours, learned
from sitekeeper_agent.clock import ServerClock
from sitekeeper_agent.config import Settings
from sitekeeper_agent.journal import ClockWatch, Now
from sitekeeper_agent.learned import Learned
from sitekeeper_agent.probes import Context, network_identity, parse_portal, resolver
from sitekeeper_agent.probes.probe import family_of
from sitekeeper_agent.probes.runner import ProbeRunner, Round
from sitekeeper_agent.probes.settings import Watch
from sitekeeper_agent.probes.streams import parse_stream
from sitekeeper_agent.spool import Spool
from sitekeeper_protocol.ladder import Baseline, Reading, Verdict, diagnose, judge
from sitekeeper_protocol.messages import Event, EvidenceItem, Sample, Scalar, SeriesKey, VerdictEvent
from sitekeeper_protocol.vocabulary import (
    GRADE_NUMBERS,
    KIND_NUMBERS,
    PARTY_NUMBERS,
    Method,
    Metric,
    Reason,
    State,
    to_wire,
)

_BASELINE, _NETWORK, _LEARNED, _COMMISSIONED = "baseline", "network", "learned", "commissioned_network"
_IDLE_KNOWN = "idle_known"
_NO_MORE: Mapping[SeriesKey, int] = MappingProxyType({})
_NO_FACTS: Mapping[str, Scalar] = MappingProxyType({})
_NOTHING_LEARNED = Learned()
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Baseline).decode


class Order(NamedTuple):
    """What one look needs to know."""

    context: Context
    baseline: Baseline
    before: Verdict | None

    def carry_out(self, runner: ProbeRunner) -> "Look":
        """Measure; takes as long as the slowest probe may."""
        return look(runner, self.context, self.baseline, self.before)


class Look(NamedTuple):
    """What one or two rounds of probes came to."""

    readings: tuple[Reading, ...]
    verdict: Verdict
    values: Mapping[SeriesKey, int]
    facts: Mapping[str, Scalar]
    baseline: Baseline
    trouble: Mapping[str, str]
    raw: tuple[Reading, ...] = ()
    """The readings before the honest rules, with the reasons of their own."""


def context_of(settings: Settings, clock: ServerClock | None, now: Now, known: Learned = _NOTHING_LEARNED) -> Context:
    """What the probes are told. Raises ``SettingsError`` for a web address that can't be one."""
    tls = settings.broker.encryption
    network = settings.network
    by_hand = () if network.modem in ("auto", "none") else (network.modem,)
    return Context(
        portal=parse_portal(settings.portal),
        deadline=0.0,
        anchors=settings.anchors,
        ca_file=(tls.ca_file if tls else None) or "",
        state_dir=settings.state_dir,
        wall_offset_ms=0 if clock is None else clock.server_ms(now.boottime_ms) - now.wall_ms,
        media=tuple(parse_stream(stream) for stream in settings.media),
        media_interval_s=settings.media_interval_s,
        expected=settings.expected,
        smart_interval_s=settings.smart_interval_s,
        expected_addresses=network.portal_addresses,
        expected_text=network.portal_text,
        redirect_hosts=network.portal_hosts,
        portal_ca_file=network.portal_ca_file or "",
        proxy=parse_portal(network.proxy) if network.proxy else None,
        direct_resolver=network.direct_resolver,
        public_names=known.public_names,
        modem_wanted=network.modem != "none",
        modems={family_of(modem) or "ipv4": modem for modem in by_hand} or known.modems,
        usual_rtt_ms=known.usual_rtt_ms,
        dial_log=network.dial_log or "",
        multicast_interface=network.multicast_interface,
        media_logins_file=settings.media_logins_file or "",
    )


def look(runner: ProbeRunner, context: Context, baseline: Baseline, before: Verdict | None) -> Look:
    """A round of probes; if it says that something has just failed, a second one, so that one lost packet is no event."""
    context = context._replace(proven=baseline.proven)
    found = _round(runner, context)
    verdict = _verdict(found, baseline)
    if verdict.state == State.FAIL and (before is None or verdict.essence != before.essence):
        again = _round(runner, context)
        verdict = _verdict(again, baseline)
        # Rates belong to the whole time since the sample before, so those of the first round stand.
        findings = again.findings._replace(values={**again.findings.values, **found.findings.values})
        found = again._replace(findings=findings)
    after = baseline.after(found.findings.readings)
    return Look(
        readings=tuple(judge(found.findings.readings, after)),
        verdict=verdict,
        values=found.findings.values,
        facts=found.findings.facts,
        baseline=after,
        trouble={**found.failed, **dict.fromkeys(found.hung, "did not come back in time")},
        raw=found.findings.readings,
    )


def _round(runner: ProbeRunner, context: Context) -> Round:
    runner.start_round(context)
    return runner.collect()


def _verdict(found: Round, baseline: Baseline) -> Verdict:
    return diagnose(found.findings.readings, baseline)


def stored_baseline(spool_value: bytes | None) -> Baseline:
    """The baseline as the spool keeps it; an empty one if there is none that can be read."""
    if spool_value is None:
        return Baseline()
    try:
        return _decode(spool_value)
    except (msgspec.MsgspecError, ValueError):
        return Baseline()


class Link(NamedTuple):
    """The connection to the broker; ``catching_up``: a backlog is on its way, which slows the line by itself."""

    connected: bool
    reason: Reason = Reason.NONE
    catching_up: bool = False


class Sampler:
    """Takes the samples of one run, numbered from 1, and keeps the baseline of the site's network. Used by one thread."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        *,
        boot: int,
        now: Callable[[], Now],
        facts: Mapping[str, Scalar] = _NO_FACTS,
    ) -> None:
        """``facts`` are told with the first look."""
        self._settings, self._spool = settings, spool
        self._own_facts = facts
        self._boot, self._now = boot, now
        self._watch = ClockWatch(now())
        self._sequence = 0
        self._facts: dict[str, Scalar] = {}
        self._baseline = stored_baseline(spool.meta(_BASELINE))
        self._learned = learned.stored(spool.meta(_LEARNED))
        self._moved_ms = now().boottime_ms
        """When what is usual was last moved; after a start the window fills first."""
        self._context = context_of(settings, None, now(), self._learned)
        self._link = Link(connected=False)
        self._playing = False
        self._settings_watch = Watch(spool)
        self._hours = self._counter(now())
        self.day: hours.Day | None = None
        """Hours of the site's day, as the last sample has them."""
        self.last: Look | None = None

    def follow(self, settings: Settings) -> None:
        """Measure by these settings from the next look on."""
        self._settings = settings

    @property
    def context(self) -> Context:
        """What the probes were told last."""
        return self._context

    @property
    def sequence(self) -> int:
        """Number of the last sample."""
        return self._sequence

    def order(self) -> Order:
        """What to measure now. ``carry_out`` may run in another thread; then comes ``finish``."""
        self._follow_network()
        known = context_of(self._settings, self._spool.clock(self._boot), self._now(), self._learned)
        idle_known = self._spool.meta(_IDLE_KNOWN) is not None
        self._context = known._replace(own_traffic=self._link.catching_up or self._playing, idle_known=idle_known)
        return Order(self._context, self._baseline, self.last.verdict if self.last else None)

    def finish(self, found: Look, events: Sequence[Event] = (), more: Mapping[SeriesKey, int] = _NO_MORE) -> Sample:
        """The sample of a look; ``events`` ride on it, before those that it brings itself, and so do ``more`` values."""
        before = self.last.verdict if self.last else None
        self._keep_baseline(found.baseline)
        self._learn(found)
        self._playing = more.get((Metric.PLAYING.value, ""), 0) > 0
        if found.values.get((Metric.SESSION_ACTIVE.value, "")) == 0:
            self._spool.set_meta(_IDLE_KNOWN, b"1")
        self.last = found
        changed = verdict_event(before, found.verdict)
        values = dict(found.values) | ladder_values(found.readings) | verdict_values(found.verdict) | dict(more)
        changes = self._settings_watch.follow(found.facts, values)
        return self._sample(values, [*events, *([changed] if changed else []), *changes], {**found.facts, **self._own_facts})

    def without_measurement(self, events: Sequence[Event], more: Mapping[SeriesKey, int] = _NO_MORE) -> Sample:
        """A sample that only carries events, and ``more`` values: a goodbye has no time to probe."""
        return self._sample(dict(more), list(events), {})

    def _sample(self, values: dict[SeriesKey, int], events: list[Event], facts: Mapping[str, Scalar]) -> Sample:
        now = self._now()
        clock_events = self._watch.step(now)
        new_facts = {name: value for name, value in facts.items() if self._facts.get(name, _MISSING) != value}
        self._facts.update(new_facts)
        self._sequence += 1
        values.update(self._own_values(now))
        self.day = self._hours.step(now, self._local_ms(self._boot, now.wall_ms, now.boottime_ms), values)
        values.update(self.day.values())
        return Sample(
            sequence=self._sequence,
            wall_ms=self._watch.wall_at(now.boottime_ms),
            boottime_ms=now.boottime_ms,
            values=values,
            events=(*events, *clock_events),
            facts=new_facts,
        )

    def _counter(self, now: Now) -> hours.Counter:
        """Hours of use go on where the newest sample of an earlier run has left them."""
        before, day = self._spool.newest_before(), None
        if before is not None:
            boot, sample = before
            day = hours.day_of(sample.values, self._local_ms(boot, sample.wall_ms, sample.boottime_ms))
        same_boot = before is not None and before[0] == self._boot
        local_ms = self._local_ms(self._boot, now.wall_ms, now.boottime_ms)
        return hours.Counter(day, same_boot=same_boot, started=now, local_ms=local_ms)

    def _local_ms(self, boot: int, wall_ms: int, boottime_ms: int) -> int:
        """The site's local time, by the server's clock where this boot knows it."""
        return local_ms(self._spool.clock(boot), wall_ms, boottime_ms)

    def _own_values(self, now: Now) -> dict[SeriesKey, int]:
        stats = self._spool.stats()
        clock = self._spool.clock(self._boot)
        values = {Metric.SPOOL_BYTES: to_wire(Metric.SPOOL_BYTES, stats.disk_bytes)}
        if clock is not None:
            offset_s = (clock.server_ms(now.boottime_ms) - now.wall_ms) / 1000
            values[Metric.CLOCK_OFFSET_S] = to_wire(Metric.CLOCK_OFFSET_S, offset_s)
        values[Metric.BROKER_CONNECTED] = int(self._link.connected)
        if not self._link.connected and self._link.reason != Reason.NONE:
            values[Metric.BROKER_REASON] = self._link.reason.value
        commissioned = self._spool.meta(_COMMISSIONED)
        values[Metric.COMMISSIONED] = int(commissioned is not None and commissioned == self._spool.meta(_NETWORK))
        return {(metric.value, ""): value for metric, value in values.items()}

    def _follow_network(self) -> None:
        """Forget what was proven once the machine stands in another network; no network at all is not another one."""
        identity = network_identity(self._context).encode()
        if identity and identity != self._spool.meta(_NETWORK):
            if self._spool.meta(_NETWORK) is not None:
                self._baseline, self._learned = Baseline(), Learned()
                self._spool.set_meta(_LEARNED, _encode(self._learned))
            self._spool.set_meta(_NETWORK, identity)
        whose = resolver(self._context)
        if whose != self._baseline.resolver:
            self._baseline = msgspec.structs.replace(self._baseline, resolver=whose)

    def told(self, link: "Link") -> None:
        """How the connection to the broker stands: it rides on every sample, so that a dark time shows what held meanwhile."""
        self._link = link

    def _learn(self, found: Look) -> None:
        now_ms = self._now().boottime_ms
        half_hour = now_ms - self._moved_ms >= learned.HALF_HOUR_MS
        if half_hour:
            self._moved_ms = now_ms
        after = self._learned.after(found.values, found.facts, half_hour=half_hour)
        if after != self._learned:
            self._learned = after
            self._spool.set_meta(_LEARNED, _encode(after))

    def _keep_baseline(self, baseline: Baseline) -> None:
        if baseline != self._baseline:
            self._baseline = baseline
        # A set has no order of its own; only a real change is worth a write.
        if stored_baseline(self._spool.meta(_BASELINE)) != baseline:
            self._spool.set_meta(_BASELINE, _encode(baseline))


_MISSING = object()


def local_ms(clock: ServerClock | None, wall_ms: int, boottime_ms: int) -> int:
    """Local time as if the site lay at Greenwich: ms since 1970 plus the PC's time zone. ``clock`` is that of the boot."""
    true_ms = wall_ms if clock is None else clock.server_ms(boottime_ms)
    try:
        offset_s = time.localtime(true_ms / 1000).tm_gmtoff
    except (OverflowError, ValueError, OSError):
        offset_s = 0  # a clock beyond what the system can show
    return true_ms + offset_s * 1000


def ladder_values(readings: Sequence[Reading]) -> dict[SeriesKey, int]:
    """Judged readings as values of a sample."""
    values: dict[SeriesKey, int] = {}
    for reading in readings:
        if reading.state == State.NOT_APPLICABLE and reading.reason == Reason.NOT_CONFIGURED:
            continue
        instance = f"{reading.path}/{reading.rung.name.lower()}" + (f"/{reading.label}" if reading.label else "")
        instance = instance[:64]
        values[Metric.RUNG_STATE.value, instance] = reading.state.value
        if reading.reason != Reason.NONE:
            values[Metric.RUNG_REASON.value, instance] = reading.reason.value
        if reading.method != Method.NONE:
            values[Metric.RUNG_METHOD.value, instance] = reading.method.value
        if reading.rtt_ms is not None:
            values[Metric.RUNG_RTT_MS.value, instance] = to_wire(Metric.RUNG_RTT_MS, reading.rtt_ms)
        if reading.loss_ratio is not None:
            values[Metric.RUNG_LOSS_RATIO.value, instance] = to_wire(Metric.RUNG_LOSS_RATIO, reading.loss_ratio)
    return values


def verdict_values(verdict: Verdict) -> dict[SeriesKey, int]:
    """A verdict as values of a sample."""
    values: dict[SeriesKey, int] = {(Metric.VERDICT_STATE.value, ""): verdict.state.value}
    if verdict.rung is not None:
        values[Metric.VERDICT_RUNG.value, ""] = verdict.rung.value
    if verdict.kind is not None:
        values[Metric.VERDICT_KIND.value, ""] = KIND_NUMBERS[verdict.kind]
    if verdict.kind is not None and verdict.party is not None:
        values[Metric.VERDICT_PARTY.value, ""] = PARTY_NUMBERS[verdict.party]
    if verdict.kind is not None and verdict.grade is not None:
        values[Metric.VERDICT_GRADE.value, ""] = GRADE_NUMBERS[verdict.grade]
    return values


def verdict_event(before: Verdict | None, after: Verdict) -> VerdictEvent | None:
    """The event of a verdict that changed; the first one of a run counts as a change."""
    if before is not None and before.essence == after.essence:
        return None
    return VerdictEvent(
        state=after.state.value,
        rung=after.rung.value if after.rung else 0,
        kind=after.kind.value if after.kind else "",
        party=after.party.value if after.party else "",
        grade=after.grade.value if after.grade else "",
        reason=after.reason.value,
        path=after.path,
        before_state=before.state.value if before else State.SILENT.value,
        before_rung=before.rung.value if before and before.rung else 0,
        evidence=[_evidence(reading) for reading in after.evidence[:64]],
    )


def _evidence(reading: Reading) -> EvidenceItem:
    return EvidenceItem(
        path=reading.path,
        rung=reading.rung.value,
        state=reading.state.value,
        reason=reading.reason.value,
        method=reading.method.value,
        rtt_ms=None if reading.rtt_ms is None else min(round(reading.rtt_ms), 2**31),
        target=reading.target[:64],
        label=reading.label[:64],
    )
