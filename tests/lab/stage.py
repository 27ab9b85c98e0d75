"""The county at work: network, servers, agents and, where a scenario wants one, a collector; all of it is ended."""

import datetime
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lab.agents import INTERVAL_S, LabAgent
from lab.network import BROKER, SITES, County, county
from lab.peers import Peers
from lab.scenario import Scenario
from lab.servers import BROKER_PORT, Servers
from lab.village import Village
from sitekeeper_protocol.vocabulary import State
from support.casebook import Casebook, casebook, mailing, register, watching
from support.post_office import PostOffice, post_office
from support.rig import Collector
from support.wait import wait_until

_COUNTY_TIME = datetime.timezone(datetime.timedelta(hours=8))
_RECIPIENTS = tuple(
    {"party": party, "address": f"{party}@county.test"} for party in ("technician", "telecom", "platform", "management")
)
_NODES = {"a": "青山OLT-01", "b": "青山OLT-01"}
_SECOND = "青山OLT-02"
_FREE_MIB = 8


class Centre:
    """A collector with what it wrote and mailed."""

    def __init__(self, collector: Collector, book: Casebook, post: PostOffice) -> None:
        self.collector, self.book, self.post = collector, book, post


class Stage:
    """Network and servers, for one scenario after another; agents and centre of the one that is on."""

    def __init__(self, network: County, servers: Servers, folder: Path) -> None:
        self.network, self.servers, self._folder = network, servers, folder
        self.village = Village(network, folder)
        self.agents: dict[str, LabAgent] = {}
        self.centre: Centre | None = None
        self.locks: list[sqlite3.Connection] = []
        self.peers: Peers | None = None
        self.acted_ms = 0
        self._stack = ExitStack()
        self._shared = self._prepared = False

    def begin(self, scenario: Scenario, do: Callable[["Stage", str], None]) -> None:
        """Set the stage; agents that have seen nothing special go on from the scenario before. ``do`` does a deed."""
        special = scenario.centre or scenario.alone
        if special or not self._shared:
            self.clear()
            folder = self._folder / scenario.name
            if scenario.centre:
                self.centre = self._open_centre(scenario, folder)
            for site in scenario.sites if special else SITES:
                self.network.build(site)
                self.agents[site] = LabAgent(self.network, self.servers, folder / site, site, scenario)
            self._prepared = bool(scenario.before)
            for deed in scenario.before:
                do(self, deed)
            for agent in self.agents.values():
                agent.start()
            self._shared = not special
        self.wait_until_well()

    def clear(self) -> None:
        """End agents and centre, and every fault."""
        self.unlock()
        for agent in self.agents.values():
            agent.end()
        self.agents, self.centre, self._shared = {}, None, False
        self._stack.close()
        self.village.end()
        self.network.heal()
        if self._prepared:
            self._prepared = False
            self.servers.end()
            self.servers.start()

    def power(self, site: str, *, on: bool) -> None:
        """Cut a PC's power, or start it as another boot; whatever runs there goes with it."""
        if on:
            self.agents[site].boot_anew()
        else:
            self.agents[site].kill()
            self.village.kill(f"mpv-{site}")
        if self.peers is not None:
            self.peers.power(site, on=on)

    def set_resolver(self, site: str, address: str, *, by_hand: bool = False) -> None:
        """Name another resolver at a PC, for all that runs there."""
        self.agents[site].set_resolver(address, by_hand)
        if self.peers is not None:
            self.peers.set_resolver(site, address)

    def unlock(self) -> None:
        """Let go of the database."""
        while self.locks:
            self.locks.pop().close()

    def wait_until_well(self, but: Sequence[str] = ()) -> None:
        """Every agent says that all is well, and knows what it needs to tell faults apart; the centre hears it."""
        for site, agent in self.agents.items():
            if site in but:
                continue
            wait_until(lambda agent=agent: _well(agent), lambda: f"all is well\n{self.told()}", 60, 0.2)  # type: ignore[misc]
        if self.centre is not None:
            self.wait_until_heard(list(self.agents))

    def wait_until_heard(self, sites: list[str]) -> None:
        """Five more samples of each have come to the centre."""
        assert self.centre is not None, "nobody listens"
        collector = self.centre.collector
        wait_until(lambda: collector.log().count("connected") or not collector.running, "the collector starts")
        assert collector.running, collector.log()[-2000:]
        before = {site: collector.count(site) for site in sites}
        wait_until(
            lambda: all(collector.count(site) >= count + 5 for site, count in before.items()),
            lambda: f"the sites are heard\n{self.told()}",
            90,
            0.2,
        )

    def told(self) -> str:
        """How things stand, for the text of a failure."""
        lines = [self.servers.log(), self.village.log()]
        for site, agent in self.agents.items():
            said = [(s.wall_ms, s.state.name if s.state is not None else "", s.words, s.played) for s in agent.said(last=5)]
            lines.append(f"{site}: {said}\n{agent.log()[-1500:]}")
        if self.centre is not None:
            lines += [self.centre.book.told(), self.centre.post.told()]
        return "\n".join(lines)

    def _open_centre(self, scenario: Scenario, folder: Path) -> Centre:
        folder.mkdir(parents=True, exist_ok=True)
        post = self._stack.enter_context(post_office(self.network.listen(self.network.platform, "127.0.0.1")))
        settings = _rules(folder, scenario) | mailing(post.port, *_RECIPIENTS)
        settings["broker"] = {"host": BROKER, "port": BROKER_PORT, "tls": False}
        collector = Collector(folder / "collector", BROKER_PORT, settings)
        self._stack.callback(collector.kill)
        register(collector, *(_row(site) for site in sorted({*SITES, *scenario.sites})))
        if scenario.lesson:
            _plan(collector, scenario.lesson)
        collector.command = self.network.inside(self.network.platform, collector.command)
        collector.start()
        book = self._stack.enter_context(casebook(collector))
        return Centre(collector, book, post)


def _well(agent: LabAgent) -> bool:
    said = agent.said(last=2)
    return len(said) == 2 and all(s.state == State.OK for s in said) and (not agent.has_modem or said[-1].knows_modem)


def _row(site: str) -> dict[str, str]:
    return {"id": site, "name": f"{site}村", "county": "Lab county", "access_node": _NODES.get(site, _SECOND)}


def _rules(folder: Path, scenario: Scenario) -> dict[str, Any]:
    kinds: Mapping[str, Mapping[str, int]] = {
        "line_suspected": {"hold_down_s": 5},
        "line_down": {"hold_up_s": 5},
        "site_dark": {"hold_down_s": 600},
        "disk_full": {"hold_down_s": INTERVAL_S},
    } | scenario.rules
    settings = watching(folder, silence=scenario.silence, **kinds)
    file = Path(settings["watch"]["rules_file"])
    file.write_text(json.dumps(json.loads(file.read_text()) | {"disk_free_mib": _FREE_MIB}))
    return settings


def _plan(collector: Collector, minutes: int) -> None:
    """A class everywhere that has been on for an hour and goes on for so many minutes."""
    now = datetime.datetime.now(_COUNTY_TIME)
    begin, end = now - datetime.timedelta(hours=1), now + datetime.timedelta(minutes=minutes)
    times = ["--from", f"{begin:%Y-%m-%d %H:%M}", "--to", f"{end:%Y-%m-%d %H:%M}"]
    collector.command_line("classes", "add", *times, "--title", "农村电商")


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """A county whose servers run; all of it is gone when the block ends, also after a failure."""
    folder.mkdir(parents=True, exist_ok=True)
    with county() as network:
        (folder / "servers").mkdir()
        servers = Servers(network, folder / "servers")
        made = Stage(network, servers, folder)
        try:
            servers.start()
            yield made
        finally:
            made.clear()
            servers.end()
