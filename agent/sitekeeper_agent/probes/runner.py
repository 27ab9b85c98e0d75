"""Runs all probes at once, each in a thread of its own, so that one that hangs delays nothing else."""

import logging
import queue
import threading
import time
from collections.abc import Mapping
from typing import NamedTuple

from sitekeeper_agent.probes import PROBES, RUNGS
from sitekeeper_agent.probes.probe import Context, Findings, Probe, left_s, paths
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import Scalar, SeriesKey
from sitekeeper_protocol.vocabulary import Metric, Reason, State

_log = logging.getLogger(__name__)
_GRACE_S = 1.0
"""Probes keep to the deadline themselves; this much later they count as hung."""


class Round(NamedTuple):
    """One round's findings merged; ``hung`` and ``failed`` (name to what was raised) name the probes without any."""

    findings: Findings
    hung: tuple[str, ...]
    failed: dict[str, str]


class _Outcome(NamedTuple):
    round: int
    name: str
    findings: Findings | None
    error: str


class ProbeRunner:
    """Long-lived daemon threads, one for each probe. Used from one thread: ``start_round``, then ``collect``."""

    def __init__(self, probes: Mapping[str, Probe] = PROBES, timeout_s: float = 10.0) -> None:
        self.timeout_s = timeout_s
        self._outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
        self._tasks: dict[str, queue.SimpleQueue[tuple[int, Context] | None]] = {name: queue.SimpleQueue() for name in probes}
        self._counters: dict[str, Mapping[str, int]] = {}
        self._busy: set[str] = set()
        self._running: tuple[str, ...] = ()
        self._round = 0
        self._paths: tuple[str, ...] = ()
        self._deadline = 0.0
        self._troubles: dict[str, str] = {}
        for name, probe in probes.items():
            threading.Thread(target=self._work, args=(name, probe), name=f"probe-{name}", daemon=True).start()

    def start_round(self, context: Context) -> None:
        """Start every probe that is not still busy with an earlier round. Sets the context's deadline and counters."""
        self._take_late()
        self._round += 1
        self._deadline = time.monotonic() + self.timeout_s
        self._paths = paths(context)
        self._running = tuple(name for name in self._tasks if name not in self._busy)
        for name in self._running:
            own = context._replace(deadline=self._deadline, before=self._counters.get(name, {}))
            self._busy.add(name)
            self._tasks[name].put((self._round, own))

    def collect(self, deadline: float | None = None) -> Round:
        """Wait for the probes of this round until ``deadline`` (monotonic; by default a second after their own) at most."""
        until = self._deadline + _GRACE_S if deadline is None else deadline
        found: dict[str, Findings] = {}
        failed: dict[str, str] = {}
        while any(name in self._busy for name in self._running):
            try:
                outcome = self._outcomes.get(timeout=left_s(until))
            except queue.Empty:
                break
            self._settle(outcome, found, failed)
        hung = tuple(name for name in self._tasks if name in self._busy)
        self._report({**failed, **dict.fromkeys(hung, "did not come back in time")})
        return Round(self._merge(found, hung, failed), hung, failed)

    def close(self) -> None:
        """Let the threads end that are idle; one that hangs ends with the process."""
        for tasks in self._tasks.values():
            tasks.put(None)

    def _work(self, name: str, probe: Probe) -> None:
        while (task := self._tasks[name].get()) is not None:
            number, context = task
            try:
                outcome = _Outcome(number, name, probe(context), "")
            except Exception as err:  # noqa: BLE001 - whatever a probe raises costs its reading, not the agent; it is told on
                outcome = _Outcome(number, name, None, f"{type(err).__name__}: {err}"[:200])
            self._outcomes.put(outcome)

    def _take_late(self) -> None:
        """Probes that came back after their round are free again; what they found is out of date."""
        while True:
            try:
                self._settle(self._outcomes.get_nowait(), {}, {})
            except queue.Empty:
                return

    def _settle(self, outcome: _Outcome, found: dict[str, Findings], failed: dict[str, str]) -> None:
        self._busy.discard(outcome.name)
        if outcome.round != self._round:
            return
        if outcome.findings is None:
            failed[outcome.name] = outcome.error
        else:
            found[outcome.name] = outcome.findings
            self._counters[outcome.name] = outcome.findings.counters

    def _report(self, troubles: dict[str, str]) -> None:
        for name, what in troubles.items():
            if self._troubles.get(name) != what:
                _log.warning("probe %s: %s", name, what)
        for name in self._troubles.keys() - troubles.keys():
            _log.info("probe %s works again", name)
        self._troubles = troubles

    def _merge(self, found: Mapping[str, Findings], hung: tuple[str, ...], failed: Mapping[str, str]) -> Findings:
        readings: list[Reading] = []
        values: dict[SeriesKey, int] = {(Metric.PROBES_HUNG.value, ""): len(hung)}
        facts: dict[str, Scalar] = {}
        for name in self._tasks:
            if name in found:
                readings.extend(found[name].readings)
                values.update(found[name].values)
                facts.update(found[name].facts)
            elif name in RUNGS:
                reason = Reason.PROBE_ERROR if name in failed else Reason.PROBE_HUNG
                readings.extend(Reading(rung=RUNGS[name], path=p, state=State.SILENT, reason=reason) for p in self._paths)
        return Findings(tuple(readings), values, facts)
