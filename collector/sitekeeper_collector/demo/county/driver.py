"""The simulated county at work: all sites in one thread, around one selector.

It knows the broker's address, the folder with each site's password, and the list of sites; nothing of the collector beyond.
"""

import contextlib
import logging
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from sitekeeper_collector.broker.folder import read_password, site_password_file
from sitekeeper_collector.demo.county.plan import Class, plan_classes
from sitekeeper_collector.demo.county.script import Step, plan_script
from sitekeeper_collector.demo.county.seat import Seat
from sitekeeper_collector.registry.entry import SiteEntry
from sitekeeper_collector.simulate.conditions import Condition
from sitekeeper_collector.simulate.pace import Pace
from sitekeeper_collector.simulate.site import Moment, SimSite

_log = logging.getLogger("sitekeeper.demo.county")

GOODBYE_S = 3.0
"""How long the end waits for the broker to acknowledge the goodbyes."""
_LEAST_WAIT_S, _MOST_WAIT_S = 0.02, 1.0
"""The first keeps sixty sites from waking the thread for every one of them alone."""
_WALL_STICKS_MS = 50
"""As in an agent: up to this much two readings of two clocks are taken for the same."""
_TICK_MS = 1000
_JOIN_S = 15.0


class CountyError(RuntimeError):
    """The county can't go on; the text says why."""


class Done(NamedTuple):
    """A step of the script that was taken, and when (Unix time, ms)."""

    step: Step
    at_ms: int


class Spell(Struct, frozen=True, kw_only=True):
    """``condition`` held at ``site`` from ``from_ms`` to ``to_ms`` (Unix time; ``None``: it holds still)."""

    site: str
    condition: Condition
    from_ms: int
    to_ms: int | None = None


class Figures(NamedTuple):
    """How the county stands: sites, those with a connection, samples taken so far, and those without a receipt."""

    sites: int
    connected: int
    taken: int
    waiting: int


class _Clock:
    """The machine's clocks, with the wall clock kept calm against the steady one."""

    def __init__(self) -> None:
        self._offset_ms = self._difference_ms()

    @staticmethod
    def _difference_ms() -> int:
        return (time.time_ns() - time.monotonic_ns()) // 1_000_000

    def now(self) -> Moment:
        difference_ms = self._difference_ms()
        if abs(difference_ms - self._offset_ms) > _WALL_STICKS_MS:
            self._offset_ms = difference_ms
        steady_ms = time.monotonic_ns() // 1_000_000
        return Moment(steady_ms + self._offset_ms, steady_ms)


class County:
    """Simulated sites that report to the broker at ``host``:``port`` once ``start`` was called.

    ``folder`` is the broker's folder (``sitekeeper_collector.broker.folder``); ``None``: the broker lets everybody in.
    ``script`` and ``classes`` default to those of the demo, ``factor`` times as long; for them ``sites`` must be of
    ``plan_sites``. Everything but timing depends on ``seed`` alone, also the identities of runs: on a database that has seen a
    seed, take another one.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        folder: Path | None,
        sites: Sequence[SiteEntry],
        area: str = "demo",
        script: Sequence[Step] | None = None,
        classes: Sequence[Class] | None = None,
        seed: int = 1,
        factor: float = 1.0,
        pace: Pace | None = None,
    ) -> None:
        self._address, self._folder, self._area = (host, port), folder, area
        self._entries, self._seed = tuple(sites), seed
        self._pace = pace or Pace()
        self.script = tuple(plan_script(sites, factor) if script is None else script)
        self.classes = tuple(plan_classes(sites, factor) if classes is None else classes)
        strangers = {site for step in self.script for site in step.sites} - {entry.id for entry in sites}
        if strangers:
            raise CountyError(f"the script names sites that are not in the list: {', '.join(sorted(strangers)[:5])}")
        self._lock = threading.Lock()
        """Held while sites change; readers in other threads take it for a moment."""
        self._seats: dict[str, Seat] = {}
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._goodbye = True
        self._failure: Exception | None = None
        self._done: list[Done] = []
        self._spells: list[Spell] = []
        self._wake: socket.socket | None = None

    # --- for the outside -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to live. Raises ``CountyError`` for a site without a password, ``BrokerFolderError`` for an unusable one."""
        if self._thread is not None:
            raise CountyError("the county was started before")
        passwords = {entry.id: self._password(entry.id) for entry in self._entries}
        self._clock = _Clock()
        now = self._clock.now()
        self._started_ms = now.steady_ms
        for entry in self._entries:
            site = simulated(entry.id, self._seed, self._pace, now)
            self._seats[entry.id] = Seat(site, area=self._area, password=passwords[entry.id], pace=self._pace)
        self._plot = sorted(self._acts(), key=lambda act: act[0])
        self._thread = threading.Thread(target=self._run, name="county", daemon=True)
        self._thread.start()

    def stop(self, *, goodbye: bool = True) -> None:
        """End it: with a proper shutdown of every site that runs, or (``goodbye`` False) as if all lines were cut at once.

        Raises ``CountyError`` if it had ended by itself before, or does not end.
        """
        if self._thread is None:
            return
        self._goodbye = goodbye
        self._stopping.set()
        with self._lock:
            if self._wake is not None:
                self._wake.send(b"\0")
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            raise CountyError(f"the county did not end within {_JOIN_S:.0f} s")
        self.check()

    def check(self) -> None:
        """Raise ``CountyError`` if the county has ended by itself."""
        if self._failure is not None:
            raise CountyError(f"the simulated county ended by itself: {self._failure!r}") from self._failure

    def events(self) -> tuple[Done, ...]:
        """The steps taken so far, in their order."""
        with self._lock:
            return tuple(self._done)

    @property
    def truth(self) -> tuple[Spell, ...]:
        """What was not ``WORKING``, where and from when to when."""
        with self._lock:
            return tuple(self._spells)

    def figures(self) -> Figures:
        """How it stands now."""
        with self._lock:
            sites = [seat.site for seat in self._seats.values()]
            return Figures(
                sites=len(sites),
                connected=sum(site.connected and site.condition.has_line for site in sites),
                taken=sum(sum(site.spool.taken.values()) for site in sites),
                waiting=sum(site.spool.held for site in sites),
            )

    def taken(self) -> dict[str, dict[int, int]]:
        """By site and run, the number of the last sample: all from 1 to it were taken."""
        with self._lock:
            return {name: dict(seat.site.spool.taken) for name, seat in self._seats.items()}

    def _password(self, site: str) -> str | None:
        if self._folder is None:
            return None
        password = read_password(site_password_file(self._folder, site))
        if password is None:
            raise CountyError(f"{self._folder}: there is no password of site {site}; write the folder for these sites first")
        return password

    # --- the plot ------------------------------------------------------------------------------------------------------

    def _acts(self) -> Iterator[tuple[float, Callable[[Moment], None]]]:
        """What is to be done at which second."""
        towns = {entry.id: entry.township for entry in self._entries}
        for held in self.classes:
            pupils = [site for site, township in towns.items() if township == held.township]
            yield held.from_s, partial(self._attend, pupils, True)
            yield held.to_s, partial(self._attend, pupils, False)
        for step in self.script:
            yield step.at_s, partial(self._take, step)

    def _attend(self, pupils: Sequence[str], present: bool, _now: Moment) -> None:
        for site in pupils:
            self._seats[site].site.in_class = present

    def _take(self, step: Step, now: Moment) -> None:
        _log.info("%s: %s", step.condition, ", ".join(step.sites))
        for name in step.sites:
            self._seats[name].enter(step.condition, now)
            self._spells = [
                replace(spell, to_ms=now.wall_ms) if spell.site == name and spell.to_ms is None else spell
                for spell in self._spells
            ]
            if step.condition is not Condition.WORKING:
                self._spells.append(Spell(site=name, condition=step.condition, from_ms=now.wall_ms))
        self._done.append(Done(step, now.wall_ms))

    # --- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        with contextlib.ExitStack() as stack:
            selector = stack.enter_context(selectors.DefaultSelector())
            hears, wakes = socket.socketpair()
            stack.callback(hears.close)
            stack.callback(self._close_wake)
            with self._lock:
                self._wake = wakes
            selector.register(hears, selectors.EVENT_READ, None)
            stack.callback(self._let_go, selector)
            try:
                self._live(selector)
                self._leave(selector)
            except Exception as err:  # noqa: BLE001 - whatever it is, `check` and `stop` tell it in the thread that asked for the county
                _log.exception("the simulated county ended by itself")
                self._failure = err

    def _close_wake(self) -> None:
        with self._lock:
            if self._wake is not None:
                self._wake.close()
                self._wake = None

    def _live(self, selector: selectors.BaseSelector) -> None:
        tick_ms = 0
        while not self._stopping.is_set():
            now = self._clock.now()
            ticks = now.steady_ms >= tick_ms
            tick_ms = now.steady_ms + _TICK_MS if ticks else tick_ms
            with self._lock:
                while self._plot and now.steady_ms - self._started_ms >= self._plot[0][0] * 1000:
                    self._plot.pop(0)[1](now)
                for seat in self._seats.values():
                    if ticks:
                        seat.tick(selector, now)
                    seat.turn(selector, self._address, now)
                wait_s = self._idle_s(now)
            self._serve(selector, wait_s)

    def _idle_s(self, now: Moment) -> float:
        dues = [seat.due_ms(now.steady_ms) - now.steady_ms for seat in self._seats.values()]
        if self._plot:
            dues.append(round(self._plot[0][0] * 1000) + self._started_ms - now.steady_ms)
        return max(_LEAST_WAIT_S, min([_MOST_WAIT_S, *(due / 1000 for due in dues)]))

    def _serve(self, selector: selectors.BaseSelector, wait_s: float) -> None:
        """Wait for what comes in, and hand it to whom it is for."""
        ready = selector.select(wait_s)
        now = self._clock.now()
        with self._lock:
            for key, mask in ready:
                if isinstance(key.data, Seat):
                    key.data.serve(selector, mask, now)
                elif isinstance(key.fileobj, socket.socket):
                    key.fileobj.recv(64)

    def _leave(self, selector: selectors.BaseSelector) -> None:
        """Shut every running site down in order, as far as the grace allows."""
        if not self._goodbye:
            return
        now = self._clock.now()
        until_ms = now.steady_ms + round(GOODBYE_S * 1000)
        with self._lock:
            for seat in self._seats.values():
                if seat.site.alive:
                    seat.enter(Condition.SHUT_DOWN, now)
        while now.steady_ms < until_ms and any(seat.site.alive for seat in self._seats.values()):
            with self._lock:
                for seat in self._seats.values():
                    seat.turn(selector, self._address, now)
            self._serve(selector, _LEAST_WAIT_S)
            now = self._clock.now()

    def _let_go(self, selector: selectors.BaseSelector) -> None:
        with self._lock:
            for seat in self._seats.values():
                seat.close(selector)


def simulated(site: str, seed: int, pace: Pace, now: Moment) -> SimSite:
    """The site of this id in the county of this seed, whose PC has been on for half an hour to three hours."""
    chance = random.Random(f"{seed} {site}")  # noqa: S311 - a simulation must be repeatable
    return SimSite(site, chance=chance, pace=pace, now=now, uptime_ms=chance.randrange(1_800_000, 10_800_000))
