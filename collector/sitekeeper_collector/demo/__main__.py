"""``python -m sitekeeper_collector.demo``: see ``--help``."""

import argparse
import os
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from sitekeeper_collector.broker.folder import BrokerFolderError
from sitekeeper_collector.demo import news, stage, view
from sitekeeper_collector.demo.county import County, CountyError, plan_sites
from sitekeeper_collector.demo.news import CountyNews
from sitekeeper_collector.demo.portal import Portal
from sitekeeper_collector.demo.snapshot import Snapshot, take
from sitekeeper_collector.demo.words import say
from sitekeeper_collector.embedded import EmbeddedBrokerError
from sitekeeper_collector.embedded.broker import HOST, EmbeddedBroker
from sitekeeper_collector.registry.entry import SiteEntry
from sitekeeper_collector.store.engine import Store, open_store
from sitekeeper_collector.web.accounts import FIRST_USER
from sitekeeper_protocol.texts import Lang

_START_S = 60.0
_CATCH_UP_S = 60.0
_LAST_REPORT_S = 5.0
_RESTARTS = 3
_SAMPLES_OF_RESTART = 5
_REFRESH_S = 0.5
_PLAIN_EVERY_S = 2.0
_UNFINISHED = ("starting", "broker_down", "catching_up")
"""A cut that has begun is played to its end: half of it would show nothing."""


class Cast(NamedTuple):
    """All that runs while the demo does."""

    layout: stage.Layout
    broker: EmbeddedBroker
    store: Store
    parts: tuple[stage.Part, stage.Part]
    listener: stage.Listener
    county: County | None
    console: str
    password: str

    def check(self, lang: Lang) -> None:
        """Raise ``DemoError`` if a process has ended by itself."""
        for part in self.parts:
            if part.ended is not None:
                raise stage.DemoError(f"{say('died', lang, name=part.name, code=part.ended)}\n{part.log_end()}")


class Screen:
    """The terminal: painted over where it can be, else a line from time to time."""

    def __init__(self, lang: Lang) -> None:
        self._lang = lang
        self._painted = 0
        self._last_plain_s, self._last_phase = float("-inf"), ""
        self._tty = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._colour = self._tty and "NO_COLOR" not in os.environ

    @property
    def paints(self) -> bool:
        """Whether it is painted over."""
        return self._tty

    def show(self, scene: view.Scene) -> None:
        """Show the moment."""
        if self._tty:
            size = shutil.get_terminal_size()
            # Lines beyond the window can't be painted over.
            lines = view.screen(scene, self._lang, columns=size.columns, colour=self._colour)[: size.lines - 1]
            up = f"\x1b[{self._painted}F" if self._painted else ""
            sys.stdout.write(up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
            self._painted = len(lines)
        elif scene.elapsed_s - self._last_plain_s >= _PLAIN_EVERY_S or scene.phase != self._last_phase:
            self._last_plain_s, self._last_phase = scene.elapsed_s, scene.phase
            sys.stdout.write(view.progress(scene, self._lang) + "\n")
        sys.stdout.flush()

    def tell(self, text: str) -> None:
        """A line that stays."""
        self._painted = 0
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 if every sample that was taken is stored, 1 if not or if something did not run."""
    options = _arguments().parse_args(arguments)
    lang: Lang = options.lang
    screen = Screen(lang)
    stopping = threading.Event()
    with _told_to_stop(stopping):
        try:
            return _run(options, screen, stopping)
        except (stage.DemoError, CountyError, BrokerFolderError, EmbeddedBrokerError, OSError) as err:
            screen.tell(say("failed", lang) + str(err))
            return 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="Starts a broker, the collector, a mail catcher and the agent of this machine beside a simulated county of "
        "60 sites. Within two minutes a resolver fails, a stream breaks, an access node goes down in a class, a site is "
        "switched off at the wall and a township loses power; the terminal says what to look at in the console, and when.",
    )
    language = "zh" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"
    parser.add_argument("--lang", choices=("zh", "en"), default=language, help=f"language (default: {language})")
    parser.add_argument("--seconds", type=float, metavar="N", help="end by itself after N seconds (default: with Ctrl-C)")
    parser.add_argument("--folder", type=Path, default=Path("var/demo"), metavar="DIR", help="where its files are (var/demo)")
    parser.add_argument("--portal", metavar="URL", help="portal to probe (default: a small web server of the demo's own)")
    parser.add_argument("--sites", type=int, default=60, metavar="N", help="sites of the county (60); 0: this PC alone")
    parser.add_argument(
        "--cut", action="store_true", help="stop the broker for some seconds on the way, to show that no sample is lost"
    )
    return parser


@contextmanager
def _told_to_stop(stopping: threading.Event) -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(options: argparse.Namespace, screen: Screen, stopping: threading.Event) -> int:
    lang: Lang = options.lang
    with ExitStack() as stack:
        cast = _start(options, stack)
        screen.tell(say("console", lang, address=cast.console, user=FIRST_USER, password=cast.password))
        if cast.county is not None:
            screen.tell(say("story", lang))
        play = Play(cast, screen, lang, options.seconds, with_cut=options.cut)
        play.run(stopping)
        screen.tell(say("ending", lang))
        snapshot = _settle(cast, screen, lang)
    right = snapshot.stored > 0 and snapshot.missing == 0 and snapshot.stored == snapshot.held
    screen.tell(
        say("result_ok" if right else "result_bad", lang, held=snapshot.held, stored=snapshot.stored, missing=snapshot.missing)
    )
    command = Path(sys.executable).with_name("sitekeeper-collector")
    screen.tell(f"{say('look', lang)}  {command} samples --config {cast.layout.collector_config} --limit 5")
    return 0 if right else 1


def _start(options: argparse.Namespace, stack: ExitStack) -> Cast:
    """Start everything, each with its end registered beside it."""
    try:
        sites = plan_sites(options.sites) if options.sites else []
    except ValueError as err:
        raise stage.DemoError(str(err)) from None
    layout = stage.lay_out(options.folder.absolute(), sites)
    portal, stream = options.portal, ""
    if portal is None:
        own = Portal()
        stack.callback(own.close)
        portal, stream = own.url, own.stream
    broker = EmbeddedBroker(layout.broker)
    broker.start()
    stack.callback(broker.stop)
    console_port = stage.free_port()
    at = stage.Addresses(broker_port=broker.port, console_port=console_port, portal=portal, stream=stream)
    stage.write_files(layout, at, sites, options.lang)
    config = str(layout.collector_config)
    stage.run_once(["sitekeeper_collector.cli", "sites", "import", str(layout.root / "sites.csv"), "--config", config])
    store = open_store(f"sqlite:///{layout.database}")
    stack.callback(store.close)
    password = stage.open_console(store)
    listener = stage.Listener(layout, broker.port)
    stack.callback(listener.close)
    collector = stage.Part("collector", ["sitekeeper_collector.cli", "run", "--config", config], layout)
    stack.callback(collector.stop)
    stage.await_console(collector, console_port)
    agent = stage.agent(layout)
    stack.callback(agent.stop)
    county = _begin_county(layout, broker.port, sites, store, stack) if sites else None
    address = f"http://{HOST}:{console_port}/"
    return Cast(layout, broker, store, (collector, agent), listener, county, address, password)


def _begin_county(layout: stage.Layout, port: int, sites: Sequence[SiteEntry], store: Store, stack: ExitStack) -> County:
    # Not seeded: on a database of an earlier demo the same runs would be known already.
    county = County(host=HOST, port=port, folder=layout.broker, sites=sites, area=stage.AREA, seed=secrets.randbelow(2**31))
    stage.plan_lessons(store, county.classes, time.time_ns() // 1_000_000)
    county.start()
    stack.callback(county.stop)
    return county


class Play:
    """The course of the demo: live, a cut, catching up, live again."""

    def __init__(self, cast: Cast, screen: Screen, lang: Lang, seconds: float | None, *, with_cut: bool) -> None:
        self._cast, self._screen, self._lang = cast, screen, lang
        self._seconds = seconds
        self._phase = "starting"
        # Once something is there to lose; long enough that several reports have to wait.
        self._cut_after_s = 12.0 if seconds is None else seconds * 0.35
        self._cut_for_s = 8.0 if seconds is None else min(8.0, seconds * 0.2)
        self._will_cut = with_cut
        self._phase_since_s = 0.0
        self._taken_before_return = 0
        self._told = 0

    def run(self, stopping: threading.Event) -> None:
        """Play until told to stop, or until the time is over."""
        began = time.monotonic()
        while not stopping.wait(_REFRESH_S):
            elapsed_s = time.monotonic() - began
            self._cast.check(self._lang)
            snapshot = take(self._cast.store, stage.SITE, self._cast.layout.agent_state)
            self._advance(snapshot, elapsed_s)
            self._screen.show(
                view.Scene(
                    snapshot=snapshot,
                    phase=self._phase,
                    messages=self._cast.listener.count(),
                    elapsed_s=elapsed_s,
                    folder=str(self._cast.layout.root),
                    now_ms=time.time_ns() // 1_000_000,
                    county=self._county_news(elapsed_s),
                )
            )
            self._tell_steps()
            if self._seconds is not None and elapsed_s >= self._seconds and self._phase not in _UNFINISHED:
                return

    def _county_news(self, elapsed_s: float) -> CountyNews | None:
        county = self._cast.county
        return None if county is None else news.take(county, self._cast.store, elapsed_s, self._lang)

    def _tell_steps(self) -> None:
        """Where the screen is not painted over, each step of the story is told once."""
        county = self._cast.county
        if county is None or self._screen.paints:
            return
        for done in county.events()[self._told :]:
            self._told += 1
            happens, look = done.step.words(self._lang)
            self._screen.tell(f"*** {happens}\n    {say('look_at', self._lang)}{look}")

    def _advance(self, snapshot: Snapshot, elapsed_s: float) -> None:
        in_phase_s = elapsed_s - self._phase_since_s
        if self._phase == "starting":
            if snapshot.stored:
                self._enter("live", elapsed_s)
            elif elapsed_s > _START_S:
                raise stage.DemoError(f"no sample was stored within {_START_S:.0f} s; see the logs in {self._cast.layout.root}")
        elif self._phase == "live" and self._will_cut and in_phase_s >= self._cut_after_s:
            self._will_cut = False
            self._cast.broker.stop()
            self._enter("broker_down", elapsed_s)
        elif self._phase == "broker_down" and in_phase_s >= self._cut_for_s:
            self._cast.broker.start()
            self._taken_before_return = snapshot.held or 0
            self._enter("catching_up", elapsed_s)
        elif self._phase == "catching_up":
            if snapshot.missing == 0 and snapshot.stored >= self._taken_before_return:
                self._enter("proven", elapsed_s)
            elif in_phase_s > _CATCH_UP_S:
                raise stage.DemoError(f"{_CATCH_UP_S:.0f} s after the cut, samples of it are still not stored")
        elif self._phase == "proven" and in_phase_s >= 6:
            self._enter("live", elapsed_s)

    def _enter(self, phase: str, elapsed_s: float) -> None:
        self._phase, self._phase_since_s = phase, elapsed_s


def _settle(cast: Cast, screen: Screen, lang: Lang) -> Snapshot:
    """Let the agent say goodbye, then wait for the collector to have all that the agent holds.

    A goodbye that does not get through in the agent's grace is not lost: it waits for the agent's next start.
    """
    collector, agent = cast.parts
    if not cast.broker.running:
        cast.broker.start()
    if cast.county is not None:
        cast.county.stop()
    agent.stop()
    snapshot = _await_all(cast)
    for _ in range(_RESTARTS):
        if snapshot.stored == snapshot.held or collector.ended is not None:
            break
        screen.tell(say("restarting", lang))
        # Some of the new run's own samples show that the old run's, which go out beside them, had their turn.
        enough = (snapshot.held or 0) + _SAMPLES_OF_RESTART
        agent = stage.agent(cast.layout)
        try:
            until = time.monotonic() + _CATCH_UP_S
            while take(cast.store, stage.SITE, cast.layout.agent_state).stored < enough and time.monotonic() < until:
                time.sleep(_REFRESH_S)
        finally:
            agent.stop()
        snapshot = _await_all(cast)
    return snapshot


def _await_all(cast: Cast) -> Snapshot:
    """The moment at which all that the agent holds is stored, or the last one of some seconds."""
    until = time.monotonic() + _LAST_REPORT_S
    while True:
        snapshot = take(cast.store, stage.SITE, cast.layout.agent_state)
        if snapshot.stored == snapshot.held or time.monotonic() > until:
            return snapshot
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
