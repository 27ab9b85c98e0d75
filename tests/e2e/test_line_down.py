"""Two sites of one access node are cut off in a class: suspected at the centre, proven by the sites once they are back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_collector.domain.ledger import Was
from sitekeeper_collector.domain.tickets import Ticket, TicketState, What
from sitekeeper_collector.notify.outbox import MailState
from sitekeeper_protocol.vocabulary import Grade, Kind, Metric, Party, State
from support.access_network import ANCHOR, PLATFORM, AccessNetwork, access_network
from support.brokers import MOSQUITTO
from support.casebook import Casebook, casebook, mailing, now_ms, overlap_ms, plan_class, register, watching
from support.portals import portal
from support.post_office import PostOffice, post_office
from support.rig import Agent, Collector, Process, Rig
from support.wait import wait_until

pytestmark = [pytest.mark.root, pytest.mark.broker, pytest.mark.processes, pytest.mark.slow]

SITES = ("v001", "v002")
INTERVAL_S, PROBE_S = 1, 1
EXACT_MS = (INTERVAL_S + 2 * PROBE_S) * 1000
"""A sample interval, and the two rounds of probes that a sample may stand for when something has just failed."""
NOC = "noc@telecom.test"
VERDICT = (Metric.VERDICT_STATE.value, "")
ROWS = tuple(
    {
        "id": site,
        "name": name,
        "county": "Lab county",
        "township": "青山镇",
        "access_node": "青山OLT-02",
        "account": f"0371123456{at}@edu",
        "loid": f"GX041200037{at}",
        "line_phone": f"1380000111{at}",
    }
    for at, (site, name) in enumerate(zip(SITES, ("青山村", "白水村"), strict=True))
)


_PORT = 1883
_BROKER = f"""
listener {_PORT}
allow_anonymous true
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
user root
"""


class Lab(Rig):
    """A rig in a telecom network: broker, collector, portal and mail server at the provider's, agents behind their modems."""

    def __init__(self, folder: Path, network: AccessNetwork) -> None:
        super().__init__(folder, _PORT)
        self.network = network

    def broker(self) -> None:
        assert MOSQUITTO is not None, "mosquitto is not installed"
        file = self.folder / "mosquitto.conf"
        file.write_text(_BROKER)
        broker = Process(self.network.inside(self.network.isp, [MOSQUITTO, "-c", str(file)]), self.folder / "broker.log")
        self._processes.append(broker)
        broker.start()
        wait_until(lambda: " running" in broker.log(), "the broker runs")

    def centre(self, post: PostOffice) -> Collector:
        """A collector that suspects a line at once, calls a site dark only much later, and is in no hurry to call a line whole:
        that a site is heard again comes before it is known what was, and whether that is over."""
        holds = {"line_suspected": {"hold_down_s": 5}, "site_dark": {"hold_down_s": 600}, "line_down": {"hold_up_s": 5}}
        rules = watching(self.folder, **holds)
        collector = self.collector("v000", **rules, **mailing(post.port, {"party": "telecom", "address": NOC}))
        register(collector, *ROWS)
        plan_class(collector, "农村电商")
        collector.command = self.network.inside(self.network.isp, collector.command)
        collector.start()
        return collector

    def site(self, site: str) -> Agent:
        agent = self.agent(
            site,
            broker={"host": PLATFORM, "port": _PORT, "tls": False},
            anchors=[ANCHOR],
            sample_interval_s=INTERVAL_S,
            probe_timeout_s=PROBE_S,
        )
        agent.command = self.network.inside(self.network.pcs[site], agent.command)
        return agent


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with access_network(*SITES) as network, portal(network.listen(network.isp, PLATFORM)) as page:
        made = Lab(tmp_path, network)
        made.portal = f"http://{PLATFORM}:{page.port}/"
        try:
            made.broker()
            yield made
        finally:
            made.end()


@pytest.fixture
def post(lab: Lab) -> Iterator[PostOffice]:
    with post_office(lab.network.listen(lab.network.isp, "127.0.0.1")) as office:
        yield office


def _all_heard(collector: Collector, agents: list[Agent]) -> None:
    """Five more samples of each have come."""
    before = {agent.site: collector.count(agent.site) for agent in agents}
    wait_until(
        lambda: all(collector.count(site) > count + 5 for site, count in before.items()),
        lambda: "\n".join(("the sites are heard", collector.log()[-3000:], *(agent.log()[-3000:] for agent in agents))),
        60,
    )


def _verdicts(agent: Agent) -> list[int]:
    """What each sample in the site's own spool says, oldest first."""
    held = agent.held()
    return [held[key].values.get(VERDICT, -1) for key in sorted(held, key=lambda key: held[key].boottime_ms)]


def test_a_line_that_is_cut_in_a_class_is_suspected_then_proven_and_told_in_one_thread(lab: Lab, post: PostOffice) -> None:
    collector = lab.centre(post)
    agents = [lab.site(site) for site in SITES]
    for agent in agents:
        agent.start()
    _all_heard(collector, agents)
    assert all(_verdicts(agent)[-1] == State.OK.value for agent in agents)
    with casebook(collector) as book:
        cut_ms = now_ms()
        lab.network.cut()
        (letter,) = post.wait_for(1, "the line is suspected", 90)
        wait_until(lambda: len(book.tickets()) == 2, lambda: f"a ticket for each site\n{book.told()}", 30)
        lead, follower = sorted(book.tickets(), key=lambda ticket: bool(ticket.parent))
        for ticket in (lead, follower):
            assert (ticket.kind, ticket.party) == (Kind.LINE_SUSPECTED, Party.TELECOM)
            assert (ticket.grade, ticket.state) == (Grade.INFERRED, TicketState.OPEN)
        assert follower.parent == lead.number and not lead.parent
        assert letter.recipient == NOC
        assert letter.grade_line == "◐ 中心推断 · 新故障 · 重要 · 疑似线路中断"
        assert "青山村" in letter.text and "白水村" in letter.text, "the other site is folded under it"
        for agent in agents:
            assert _verdicts(agent)[-1] == State.FAIL.value, "the site itself sees that its line is down"
            assert overlap_ms(book.picture(agent.site, cut_ms), Was.LINE_SUSPECTED, cut_ms, now_ms()) > 0
        repaired_ms = now_ms()
        lab.network.repair()
        wait_until(
            lambda: {(t.kind, t.state) for t in book.tickets()} == {(Kind.LINE_DOWN, TicketState.RESOLVED)},
            lambda: f"both are proven to have been line faults, and over\n{book.told()}",
            90,
        )
        post.wait_for(2, "the correction")
        _all_heard(collector, agents)
        for ticket in book.tickets():
            _proven(book, ticket, cut_ms, repaired_ms)
        assert [ticket.number for ticket in book.tickets()] == sorted((lead.number, follower.number)), "the numbers stayed"
        _told_once(book, post, lead.number, follower.number)


def _proven(book: Casebook, ticket: Ticket, cut_ms: int, repaired_ms: int) -> None:
    """The outage is as long as it was."""
    assert (ticket.party, ticket.grade) == (Party.TELECOM, Grade.PROVEN)
    assert ticket.outage_to_ms is not None
    assert abs(ticket.outage_from_ms - cut_ms) <= EXACT_MS and abs(ticket.outage_to_ms - repaired_ms) <= EXACT_MS
    picture = book.picture(ticket.site, cut_ms, repaired_ms)
    assert overlap_ms(picture, Was.LINE, cut_ms, repaired_ms) >= repaired_ms - cut_ms - 2 * EXACT_MS, picture
    assert {s.was for s in picture} <= {Was.LINE, Was.UP, Was.PLATFORM}
    assert ticket.evidence.readings or ticket.evidence.facts
    story = book.story(ticket.number)
    assert story[:2] == [What.OPENED, What.AMENDED] and set(story[2:]) <= {What.RETIMED}, story


def _told_once(book: Casebook, post: PostOffice, lead: str, follower: str) -> None:
    opened, corrected = post.letters
    assert [mail.row.state for mail in book.mails(lead)] == [MailState.SENT] * 2
    assert book.mails(follower) == [], "one mail per person and incident"
    assert corrected.message["In-Reply-To"] == opened.message_id
    assert corrected.subject == f"Re: {opened.subject}", "mail programs thread by it"
    assert corrected.grade_line == "● 现场已证实 · 更正 · 线路中断"
    carrier = opened.text.split("\n----\n")[1]
    assert len(carrier) <= 120 and "青山OLT-02" in carrier and lead in carrier and "2个站点" in carrier, carrier
    assert "  ✓ 网关 正常\n" in corrected.text and "  ✕ 线路 不通 <==\n" in corrected.text
    assert "✕" in corrected.html and "线路" in corrected.html
