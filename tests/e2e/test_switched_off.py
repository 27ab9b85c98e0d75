"""Sites that are switched off at the wall, and a centre that could not hear: nothing to repair, and nobody is bothered."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_agent.platform import boottime_ms
from sitekeeper_collector.domain.ledger import Was
from sitekeeper_collector.domain.returning import Outcome
from sitekeeper_collector.domain.tickets import Closing, TicketState, What
from sitekeeper_protocol.vocabulary import Grade, Kind, Party
from support.brokers import Broker, mosquitto
from support.casebook import Casebook, casebook, mailing, now_ms, overlap_ms, plan_class, register, watching
from support.line import Line, line_to
from support.post_office import PostOffice, post_office
from support.rig import Agent, Collector, Rig, rig
from support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.processes, pytest.mark.slow]

TECHNICIAN, NOC = "tech@county.test", "noc@telecom.test"
RECIPIENTS = ({"party": "technician", "address": TECHNICIAN}, {"party": "telecom", "address": NOC})
IDLE, TAUGHT, NEIGHBOUR, SUSPECTED = SITES = ("v001", "v002", "v003", "v004")
NODE = {"access_node": "青山OLT-02"}
LINE = {"account": "03711234567@edu", "loid": "GX0412000371", "line_phone": "13800001111"}
OF_NODE = {NEIGHBOUR: NODE, SUSPECTED: NODE | LINE}
ROWS = tuple({"id": site, "name": f"Village {site}", "county": "Lab county"} | OF_NODE.get(site, {}) for site in SITES)
INTERVAL_S = 0.5
EXACT_MS = 3000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def county(broker: Broker, tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path, broker.port) as made:
        yield made


@pytest.fixture
def post() -> Iterator[PostOffice]:
    with post_office() as office:
        yield office


def _centre(county: Rig, post: PostOffice, *taught: str, dark_after_s: int = 1) -> Collector:
    """A collector that knows of classes, at ``taught`` or everywhere, and has begun to look."""
    rules = watching(county.folder, site_dark={"hold_down_s": dark_after_s})
    collector = county.collector("v000", **rules, **mailing(post.port, *RECIPIENTS))
    register(collector, *ROWS)
    for site in taught or ("",):
        plan_class(collector, "农村电商", site=site)
    collector.start()
    return collector


def _heard(collector: Collector, *agents: Agent) -> None:
    """Some more samples of each have come."""
    before = {agent.site: collector.count(agent.site) for agent in agents}
    wait_until(
        lambda: all(collector.count(site) > count + 4 for site, count in before.items()),
        lambda: "\n".join(("the sites are heard", collector.log()[-3000:], *(agent.log()[-2000:] for agent in agents))),
        60,
    )


def _boot_anew(agent: Agent) -> int:
    """Start the agent on a machine that has just been switched on; when that was.

    The kernel's boot id and its clock since boot are another's, for this process only.
    """
    identity = agent.folder / "boot_id"
    identity.write_text(f"{uuid.uuid4()}\n")
    since_s = boottime_ms() // 1000 - 1
    script = 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"'
    plain = agent.command[-4:]
    agent.command = [
        "unshare",
        "--mount",
        "--time",
        "--boottime",
        f"-{since_s}",
        "sh",
        "-c",
        script,
        "sh",
        str(identity),
        *plain,
    ]
    booted_ms = now_ms() - (boottime_ms() - since_s * 1000)
    agent.start()
    return booted_ms


@pytest.mark.root
def test_what_is_switched_off_at_the_wall_bothers_nobody_but_in_a_class(county: Rig, post: PostOffice) -> None:
    """Without a class the ledger alone knows. In a class: a ticket to verify, or a line suspected if a neighbour went with it;
    withdrawn as explained once the sites are back, and told once."""
    # Two sites of an access node are missed one after the other: the first must not be called dark before the second is missed.
    collector = _centre(county, post, TAUGHT, SUSPECTED, dark_after_s=45)
    agents = [county.agent(site, sample_interval_s=INTERVAL_S) for site in SITES]
    for agent in agents:
        agent.start()
    _heard(collector, *agents)
    with casebook(collector) as book:
        for agent in agents:
            agent.kill()
        off_ms = now_ms()
        post.wait_for(2, "the sites in a class are missed", 90)
        _missed(book, post)
        wait_until(
            lambda: book.absences(IDLE) and book.absences(NEIGHBOUR), lambda: f"the others are presumed off\n{book.told()}", 30
        )
        for site in (IDLE, NEIGHBOUR, TAUGHT):
            assert overlap_ms(book.picture(site, off_ms), Was.PRESUMED_OFF, off_ms, now_ms()) > 0
        assert overlap_ms(book.picture(SUSPECTED, off_ms), Was.LINE_SUSPECTED, off_ms, now_ms()) > 0
        booted = {agent.site: _boot_anew(agent) for agent in agents}
        for site, booted_ms in booted.items():
            wait_until(
                lambda site=site: [a.outcome for a in book.absences(site)] == [Outcome.POWER],  # type: ignore[misc]
                lambda: f"the silence is explained\n{book.told()}",
                60,
            )
            _without_power(book, site, off_ms, booted_ms)
        post.wait_for(4, "the withdrawals")
        _heard(collector, *agents)
        _withdrawn(book, post)


def _missed(book: Casebook, post: PostOffice) -> None:
    (dark,), (suspected,) = post.to(TECHNICIAN), post.to(NOC)
    assert dark.grade_line == "○ 待核实 · 新故障 · 一般 · 站点失联"
    assert "农村电商" in dark.text, "the class that was cut off"
    assert suspected.grade_line == "◐ 中心推断 · 新故障 · 重要 · 疑似线路中断"
    carrier = suspected.text.split("\n----\n")[1]
    assert len(carrier) <= 120 and all(value in carrier for value in LINE.values()), carrier
    found = {ticket.site: (ticket.kind, ticket.party, ticket.grade, ticket.state) for ticket in book.tickets()}
    assert found == {
        TAUGHT: (Kind.SITE_DARK, Party.TECHNICIAN, Grade.TO_VERIFY, TicketState.OPEN),
        SUSPECTED: (Kind.LINE_SUSPECTED, Party.TELECOM, Grade.INFERRED, TicketState.OPEN),
    }


def _withdrawn(book: Casebook, post: PostOffice) -> None:
    assert {ticket.site for ticket in book.tickets()} == {TAUGHT, SUSPECTED}
    for ticket in book.tickets():
        assert (ticket.state, ticket.closing) == (TicketState.CLOSED, Closing.EXPLAINED)
        assert book.story(ticket.number) == [What.OPENED, What.WITHDRAWN]
    for recipient in (TECHNICIAN, NOC):
        opened, closed = post.to(recipient)
        assert closed.message["In-Reply-To"] == opened.message_id
        assert "已撤销" in closed.grade_line and "不是故障：关机或停电" in closed.text


def _without_power(book: Casebook, site: str, off_ms: int, booted_ms: int) -> None:
    """The ledger knows it, to the second that the evidence allows."""
    lost = [s for s in book.picture(site, off_ms - 10_000) if s.was is Was.POWER_LOST]
    assert len(lost) == 1, book.told()
    assert off_ms - EXACT_MS <= lost[0].from_ms <= off_ms and abs(lost[0].to_ms - booted_ms) <= EXACT_MS
    assert (lost[0].kind, lost[0].party) == (Kind.POWER_LOSS, Party.POWER)


def test_a_centre_that_was_blind_in_a_class_blames_no_site(county: Rig, broker: Broker, post: PostOffice) -> None:
    """The broker stands still for longer than the sites' promise; even sites that come back late are no news."""
    with line_to(broker.port) as line:
        collector = _centre(county, post)
        agents = [county.agent(site, port=line.port, sample_interval_s=INTERVAL_S) for site in (IDLE, TAUGHT)]
        for agent in agents:
            agent.start()
        _heard(collector, *agents)
        with casebook(collector) as book:
            _go_blind(collector, broker, line)
            _look_again(collector, book)
            assert book.tickets() == [] and post.letters == [], book.told()
            line.repair()
            _heard(collector, *agents)
            for site in (IDLE, TAUGHT):
                wait_until(
                    lambda site=site: all(a.concluded_ms for a in book.absences(site)),  # type: ignore[misc]
                    lambda: f"nothing is left to be explained\n{book.told()}",
                    60,
                )
                (blind,) = collector.rows("SELECT from_ms, to_ms FROM blind ORDER BY to_ms DESC LIMIT 1")
                assert overlap_ms(book.picture(site, *blind), Was.UP, *blind) > 0, "the sites' own record tells what was"
            assert book.tickets() == [] and post.letters == [], book.told()


def _promised_ms(collector: Collector) -> int:
    return max(int(promised) for (promised,) in collector.rows("SELECT promised_ms FROM site_state"))


def _go_blind(collector: Collector, broker: Broker, line: Line) -> None:
    """The broker stands still until every promise is long broken, and starts anew; the sites' lines come back even later."""
    line.fall_silent()
    broker.pause()
    promised_ms = _promised_ms(collector)
    wait_until(lambda: now_ms() > promised_ms + 1000, "the sites have broken their promise", 60)
    broker.kill()
    broker.start()
    wait_until(lambda: collector.rows("SELECT 1 FROM blind"), lambda: f"the centre hears again\n{collector.log()}", 60)


def _look_again(collector: Collector, book: Casebook) -> None:
    """Sighted again, it has had the time to look at the silent sites several times."""
    (seen,) = collector.rows("SELECT seen_ms FROM heartbeat")
    wait_until(
        lambda: collector.rows("SELECT seen_ms FROM heartbeat")[0][0] > seen[0] + 3000,
        lambda: f"it has been looking for a while\n{book.told()}",
        60,
    )
