"""Kill -9 of the collector anywhere between a sample and the mail server's last word: each fault is told, and told once."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sitekeeper_collector.domain.tickets import TicketState, What
from sitekeeper_collector.notify.outbox import MailState
from sitekeeper_protocol.vocabulary import Kind, Metric, State
from support.brokers import mosquitto
from support.casebook import Casebook, casebook, mailing, register, watching
from support.portals import Portal, portal
from support.post_office import Letter, PostOffice, post_office
from support.rig import Agent, Collector, Rig, rig
from support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.processes, pytest.mark.slow]

SITES = ("v001", "v002")
RECIPIENTS = ("zh@county.test", "en@county.test")
FAULTS = 3  # a fourth within the hour would be flapping, which is over only after half an hour
PHASE_S = 2.0
ON_THE_WAY_S = 0.5
"""What a collector had sent before it died may be read by the mail server so much later; no new one is up by then."""
VERDICT = (Metric.VERDICT_STATE.value, "")


class Havoc:
    """Kills the collector at moments that a seed chooses, and starts it again; knows when it did."""

    def __init__(self, collector: Collector, seed: int) -> None:
        self._collector, self._chance = collector, random.Random(seed)
        self._lock = threading.Lock()
        self._dies_s = time.monotonic()
        self.killed_s: list[float] = []
        self.after_acceptance = 0
        self.on = True

    def at_data(self, _letter: Letter) -> None:
        """The mail server has kept a mail, and has not said so yet."""
        if self.on and (not self.after_acceptance or self._chance.random() < 0.25):
            self.after_acceptance += self._kill()

    def step(self) -> None:
        """To be called again and again."""
        with self._lock:
            if not self._collector.running:
                self._collector.start()
                self._dies_s = time.monotonic() + self._chance.uniform(0.5, 4)
        if self.on and time.monotonic() >= self._dies_s:
            self._kill()

    def until(self, condition: Callable[[], object], what: str | Callable[[], str], timeout_s: float = 60) -> None:
        """Wait, and wreak havoc meanwhile."""

        def holds() -> bool:
            self.step()
            return bool(condition())

        wait_until(holds, what, timeout_s, every_s=0.05)

    def _kill(self) -> bool:
        """Kill it, unless it is dead already; whether it was alive."""
        with self._lock:
            if not self._collector.running:
                return False
            self.killed_s.append(time.monotonic())
            os.kill(self._collector.pid, signal.SIGKILL)
            return True


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Rig]:
    with mosquitto(tmp_path / "broker") as broker, rig(tmp_path, broker.port) as made:
        yield made


@pytest.fixture
def post() -> Iterator[PostOffice]:
    with post_office() as office:
        yield office


@pytest.fixture
def page() -> Iterator[Portal]:
    with portal() as made:
        yield made


def _lasted_s(agent: Agent, state: State) -> float:
    """For how long all that the site has measured says ``state``, up to its newest sample."""
    measured = sorted((s.boottime_ms, s.values[VERDICT]) for s in agent.held().values() if VERDICT in s.values)
    since = [at_ms for at_ms, found in measured if found != state.value]
    first = next((at_ms for at_ms, _ in measured if not since or at_ms > since[-1]), measured[-1][0] if measured else 0)
    return (measured[-1][0] - first) / 1000 if measured and measured[-1][1] == state.value else 0.0


def test_kill_9_of_the_collector_loses_no_fault_and_no_mail(county: Rig, post: PostOffice, page: Portal) -> None:
    """Portals flip while the collector dies over and over, also between the mail server's acceptance and its own note of it."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    recipients: list[dict[str, Any]] = [{"party": "technician", "address": who, "lang": who[:2]} for who in RECIPIENTS]
    collector = county.collector("v000", **watching(county.folder), **mailing(post.port, *recipients))
    register(collector, *({"id": site, "name": f"Village {site}", "county": "Lab county"} for site in SITES))
    agents = [county.agent(site, portal=page.address, anchors=["127.0.0.1"], sample_interval_s=0.3) for site in SITES]
    collector.start()
    for agent in agents:
        agent.start()
    havoc = Havoc(collector, seed)
    post.at_data = havoc.at_data
    wait_until(lambda: all(collector.count(site) > 3 for site in SITES), lambda: f"all are heard\n{collector.log()}", 60)
    havoc.until(lambda: all(_lasted_s(agent, State.OK) > PHASE_S for agent in agents), "the sites are well")
    for _ in range(FAULTS):
        for turn, state in ((page.stop, State.FAIL), (page.start, State.OK)):
            turn()
            havoc.until(lambda: all(_lasted_s(agent, state) > PHASE_S for agent in agents), f"the sites say {state}")  # noqa: B023
    with casebook(collector) as book:
        havoc.on = False
        havoc.until(lambda: _all_told(book) and collector.running, lambda: f"all is over, and told\n{book.told()}")
        _tickets(book, collector)
        _mails(book, post, havoc)


def _all_told(book: Casebook) -> bool:
    stories = {site: [what for ticket in book.tickets(site) for what in book.story(ticket.number)] for site in SITES}
    rows = [mail.row for ticket in book.tickets() for mail in book.mails(ticket.number)]
    return all(story.count(What.RECOVERED) == FAULTS for story in stories.values()) and all(row.state.final for row in rows)


def _incidents(book: Casebook, site: str) -> dict[str, list[What]]:
    """What each ticket of a site tells of its faults. Those that were over before they became known come as both at once."""
    return {
        ticket.number: [what for what in book.story(ticket.number) if what is not What.RETIMED] for ticket in book.tickets(site)
    }


def _tickets(book: Casebook, collector: Collector) -> None:
    """Every fault has one ticket, and each ticket's timeline tells its faults one after the other, each once."""
    for site in SITES:
        known = collector.rows("SELECT ticket, ended_ms FROM faults WHERE site = ? AND kind = 'portal_down'", site)
        incidents = _incidents(book, site)
        assert len(known) == FAULTS and all(ended_ms for _, ended_ms in known), book.told()
        assert Counter(number for number, _ in known) == {n: story.count(What.RECOVERED) for n, story in incidents.items()}
        for story in incidents.values():
            assert story == [What.OPENED, What.RECOVERED, *[What.REOPENED, What.RECOVERED] * (len(story) // 2 - 1)]
        for ticket in book.tickets(site):
            assert (ticket.kind, ticket.state) == (Kind.PORTAL_DOWN, TicketState.RESOLVED)


def _owed(book: Casebook, number: str) -> int:
    """How many mails a ticket owes each recipient: one for each beginning and end, but for what was over when it was known."""
    opened, recovered = book.timeline(number)[:2]
    born_resolved = opened.at_ms == recovered.at_ms
    told = [what for what in book.story(number) if what is not What.RETIMED]
    return len(told) - (2 if born_resolved else 0)


def _mails(book: Casebook, post: PostOffice, havoc: Havoc) -> None:
    owed = Counter({(ticket.number, who): _owed(book, ticket.number) for ticket in book.tickets() for who in RECIPIENTS})
    rows = [mail.row for ticket in book.tickets() for mail in book.mails(ticket.number)]
    assert {row.state for row in rows} == {MailState.SENT}
    taken: dict[tuple[str, str], list[Letter]] = {}
    for letter in post.letters:
        taken.setdefault((letter.recipient, letter.message_id), []).append(letter)
    came = Counter((own.strip("<").split(".")[0], recipient) for recipient, own in taken)
    assert came == +owed, "no mail is lost, and none is invented"
    _in_order(post)
    _twice_only_where_smtp_allows_no_better(taken, havoc)


def _in_order(post: PostOffice) -> None:
    """Each of a thread's mails comes first after those before it."""
    for recipient in RECIPIENTS:
        firsts = list(dict.fromkeys(letter.message_id for letter in post.to(recipient)))
        for number in {first.split(".")[0] for first in firsts}:
            of_thread = [first.split("@")[0].split(".") for first in firsts if first.startswith(f"{number}.")]
            assert [int(at) for _, _, at in of_thread] == list(range(len(of_thread))), firsts


def _twice_only_where_smtp_allows_no_better(taken: dict[tuple[str, str], list[Letter]], havoc: Havoc) -> None:
    """A mail came again only if the collector was killed after the server had taken it; then it is the same to the byte."""
    blamed: Counter[float] = Counter()
    for letters in taken.values():
        for before, again in pairwise(letters):
            assert again.raw == before.raw
            kill_s = next((at_s for at_s in havoc.killed_s if before.at_s - ON_THE_WAY_S <= at_s), None)
            assert kill_s is not None and kill_s < again.at_s, "it was sent again without a reason"
            blamed[kill_s] += 1
    assert all(count == 1 for count in blamed.values()), "only one mail is under way at a time"
    assert blamed.total() >= havoc.after_acceptance > 0, "the moment that matters was hit"
    print(f"{len(havoc.killed_s)} kills, {blamed.total()} mails came twice, {len(taken)} mails")
