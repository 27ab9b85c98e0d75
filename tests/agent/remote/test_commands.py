"""Commands: which are carried out, what each costs at most, and that every one is answered, once run."""

import logging
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sitekeeper_agent.config import Broker, Remote, Settings
from sitekeeper_agent.journal import Now
from sitekeeper_agent.probes.probe import Context, parse_portal
from sitekeeper_agent.remote import budget, orders, trace
from sitekeeper_agent.remote.commands import Commands, Finished
from sitekeeper_agent.remote.loglines import MAX_CHARACTERS, LogLines
from sitekeeper_agent.remote.orders import Act, Judgement
from sitekeeper_agent.sampler import context_of
from sitekeeper_agent.spool import Limits, Spool
from sitekeeper_protocol.messages import Command, CommandName, Result, ResultState
from sitekeeper_protocol.vocabulary import Metric
from support.web_servers import answering, serve

START = 1_800_000_000_000
DAY_S = 86_400


def command(name: CommandName, id_: str = "c1", *, life_s: int = 600, issued_s: int = 0, **arguments: object) -> Command:
    issued_ms = START + issued_s * 1000
    return Command(1, id_, name, issued_ms, issued_ms + life_s * 1000, arguments)  # type: ignore[arg-type]


def judged(asked: Command, *, server_s: float | None = 1, **known: object) -> Judgement:
    facts: dict[str, object] = {"now_ms": 10**9, "seen": (), "last_ms": {}, "waiting": 0}
    server_ms = None if server_s is None else START + round(server_s * 1000)
    return orders.judge(asked, server_ms=server_ms, **(facts | known))  # type: ignore[arg-type]


def test_a_command_in_time_runs_until_its_last_moment_and_not_after() -> None:
    asked = command(CommandName.TRACE, life_s=60)
    assert judged(asked, server_s=60).act is Act.RUN
    late = judged(asked, server_s=75)
    assert (late.act, late.state, late.text) == (Act.ANSWER, ResultState.EXPIRED, "it was void 15 s before it came")


@pytest.mark.parametrize("name", [name for name in CommandName if name is not CommandName.CONFIGURE])
def test_each_name_has_a_rate_of_its_own(name: CommandName) -> None:
    gap_ms = orders.GAP_MS[name]
    again = judged(command(name), last_ms={name: 10**9 - gap_ms + 1})
    assert (again.act, again.state) == (Act.ANSWER, ResultState.REFUSED) and f"too soon after the last {name}" in again.text
    assert judged(command(name), last_ms={name: 10**9 - gap_ms}).act is Act.RUN
    others = {other: 10**9 for other in orders.GAP_MS if other is not name}
    assert judged(command(name), last_ms=others).act is Act.RUN


@pytest.mark.parametrize(
    ("asked", "known", "why"),
    [
        (command(CommandName.CONFIGURE), {}, "configure is no command"),
        (command(CommandName.TRACE), {"server_s": None}, "server time is not known"),
        (command(CommandName.TRACE, life_s=DAY_S + 1), {}, "more than a day"),
        (command(CommandName.TRACE, issued_s=2 * DAY_S), {}, "more than a day"),
        (command(CommandName.TRACE), {"waiting": orders.MOST_WAITING}, "4 commands are waiting"),
    ],
)
def test_what_is_refused_is_told_why(asked: Command, known: dict[str, object], why: str) -> None:
    told = judged(asked, **known)  # type: ignore[arg-type]
    assert (told.act, told.state) == (Act.ANSWER, ResultState.REFUSED) and why in told.text


# --- a day's data --------------------------------------------------------------------------------------------------------


def test_a_day_has_its_budget_and_a_clock_that_goes_back_gives_nothing_back() -> None:
    spent = budget.Budget().on(START).plus(3_000_000)
    assert spent.left_bytes(5) == 2_000_000
    assert spent.on(START - 2 * DAY_S * 1000) == spent
    assert spent.on(START + DAY_S * 1000).left_bytes(5) == 5_000_000
    assert spent.plus(9_000_000).left_bytes(5) == 0
    assert budget.restored(spent.stored()) == spent
    for damaged in (b"", b"\xff", b"\x93\x01\x02\x03"):
        assert budget.restored(damaged) == budget.Budget()


# --- a desk with a real spool --------------------------------------------------------------------------------------------


class Desk:
    """Commands on a spool of their own, with clocks in the test's hand."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings
        self.finished: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self.seconds = 1000
        self.spool = self._open()
        self.commands = Commands(self.spool, post=self.finished.put, log_lines=lambda: "lines")

    def _open(self) -> Spool:
        return Spool(self.folder, Limits(), stamp=lambda: "x")

    @property
    def now(self) -> Now:
        return Now(START + self.seconds * 1000, self.seconds * 1000, self.seconds * 1000)

    @property
    def server_ms(self) -> int:
        return START + self.seconds * 1000

    @property
    def context(self) -> Context:
        return context_of(self.settings, None, self.now)

    def ask(self, asked: Command) -> bool:
        return self.commands.take(asked, self.settings, self.context, self.now, self.server_ms)

    def result(self, id_: str) -> Result:
        return next(result for result in self.commands.untold() if result.id == id_)

    def done(self, asked: Command) -> Result:
        """Ask, wait until the work is over, and give the result."""
        self.ask(asked)
        self.commands.finished(self.finished.get(timeout=60), self.settings, self.now, self.server_ms)
        return self.result(asked.id)

    def restart(self) -> None:
        self.spool.close()
        self.spool = self._open()
        self.commands = Commands(self.spool, post=self.finished.put, log_lines=lambda: "lines")

    def left(self) -> int | None:
        return self.commands.values(self.settings, self.now, self.server_ms).get((Metric.DATA_BUDGET_LEFT_BYTES.value, ""))


def settings(**changes: object) -> Settings:
    known: dict[str, object] = {
        "site": "v1",
        "area": "lab",
        "broker": Broker(host="a.example"),
        "portal": "http://127.0.0.1:9/",
    }
    return Settings(**(known | changes))  # type: ignore[arg-type]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**changes: object) -> Desk:
        made.append(Desk(tmp_path, settings(**changes)))
        return made[-1]

    yield make
    for one in made:
        one.spool.close()


def asked_at(desk: Desk, name: CommandName, id_: str, **arguments: object) -> Command:
    return command(name, id_, issued_s=desk.seconds, **arguments)  # type: ignore[arg-type]


def test_a_command_that_comes_twice_is_run_once_and_answered_twice_over_a_restart_too(desk: Callable[..., Desk]) -> None:
    one = desk()
    asked = asked_at(one, CommandName.COLLECT_LOGS, "c1")
    result = one.done(asked)
    assert (result.state, result.text) == (ResultState.DONE, "lines")
    one.commands.told(result)
    assert one.commands.untold() == []
    one.ask(asked)
    assert one.commands.untold() == [result] and one.finished.empty()
    one.restart()
    one.ask(asked)
    assert one.result("c1").state is ResultState.FAILED and "restarted" in one.result("c1").text
    assert one.finished.empty()


def test_a_look_counts_only_if_it_began_after_it_was_asked_for(desk: Callable[..., Desk]) -> None:
    one = desk()
    assert one.ask(asked_at(one, CommandName.PROBE_NOW, "c1"))
    one.commands.looked(one.now, {}, "early", failed=False)
    assert one.result("c1").state is ResultState.ACCEPTED
    one.commands.look_began()
    one.commands.looked(one.now, {"state": "ok"}, "fine", failed=False)
    assert (one.result("c1").state, one.result("c1").values) == (ResultState.DONE, {"state": "ok"})


def test_a_site_whose_file_says_so_takes_no_commands(desk: Callable[..., Desk]) -> None:
    one = desk(remote=Remote(enabled=False))
    one.ask(asked_at(one, CommandName.TRACE, "c1"))
    assert (one.result("c1").state, one.result("c1").text) == (ResultState.REFUSED, "remote.enabled: this site's file says no")


def test_the_speed_test_keeps_within_the_day_and_tells_the_next_sample_its_rate(desk: Callable[..., Desk]) -> None:
    with serve(answering("200 OK", b"x" * 9_000_000)) as port:
        one = desk(speed_test=f"http://127.0.0.1:{port}/big", data_budget_mb=5)
        assert one.left() == round(5_000_000 / 1024)
        first = one.done(asked_at(one, CommandName.SPEED_TEST, "c1"))
        assert first.state is ResultState.DONE, first
        assert first.values["bytes"] == 4 * 1024 * 1024 and int(first.values["kbps"] or 0) > 0
        assert first.values["budget_left_bytes"] == 5_000_000 - 4 * 1024 * 1024
        values = one.commands.values(one.settings, one.now, one.server_ms)
        assert values[Metric.DOWNLOAD_KBPS.value, ""] == first.values["kbps"]
        assert (Metric.DOWNLOAD_KBPS.value, "") not in one.commands.values(one.settings, one.now, one.server_ms), "once"
        one.seconds += 300
        rest = one.done(asked_at(one, CommandName.SPEED_TEST, "c2"))
        assert rest.values["bytes"] == 5_000_000 - 4 * 1024 * 1024
        one.restart()
        one.seconds += 300
        one.ask(asked_at(one, CommandName.SPEED_TEST, "c3"))
        assert one.result("c3").text == "data_budget_mb: 5 MB are used up for today"
        one.seconds += DAY_S
        assert one.done(asked_at(one, CommandName.SPEED_TEST, "c4")).state is ResultState.DONE


def test_what_is_set_aside_is_spent_when_the_agent_dies_and_given_back_when_it_is_not_used(desk: Callable[..., Desk]) -> None:
    with serve(answering("404 Not Found", b"no")) as port:
        one = desk(speed_test=f"http://127.0.0.1:{port}/big", data_budget_mb=5)
        failed = one.done(asked_at(one, CommandName.SPEED_TEST, "c1"))
        assert (failed.state, failed.text, failed.values["status"]) == (ResultState.FAILED, "http_client_error", 404)
        failed_left = int(failed.values["budget_left_bytes"] or 0)
        assert 4_990_000 < failed_left < 5_000_000
        one.seconds += 300
        one.ask(asked_at(one, CommandName.SPEED_TEST, "c2"))
        one.finished.get(timeout=60)
        one.restart()  # before it was booked
        assert one.left() == round((failed_left - 4 * 1024 * 1024) / 1024)


def test_nothing_is_downloaded_while_something_plays(desk: Callable[..., Desk]) -> None:
    one = desk(speed_test="http://127.0.0.1:9/big")
    one.commands.played({(Metric.PLAYING.value, ""): 1})
    one.ask(asked_at(one, CommandName.SPEED_TEST, "c1"))
    assert one.result("c1").text == "something is playing, which a download would disturb"
    one.commands.played({(Metric.CPU_RATIO.value, ""): 1})
    one.ask(asked_at(one, CommandName.SPEED_TEST, "c2"))
    assert one.result("c2").state is ResultState.REFUSED, "a sample without players says nothing of them"
    one.commands.played({(Metric.PLAYING.value, ""): 0})
    assert one.done(asked_at(one, CommandName.SPEED_TEST, "c3")).text == "refused"


def test_a_download_stops_when_something_begins_to_play(desk: Callable[..., Desk]) -> None:
    from sitekeeper_agent.remote import speed

    with serve(answering("200 OK", b"x" * 9_000_000)) as port:
        one = desk(speed_test=f"http://127.0.0.1:{port}/big")
        found = speed.measure(
            parse_portal(one.settings.speed_test), "ipv4", one.context, most_bytes=4_000_000, playing=lambda: True
        )
    assert found.stopped and found.taken_bytes < 100_000 and found.kbps is None


def test_unasked_it_is_measured_at_its_interval_when_nothing_is_in_the_way(desk: Callable[..., Desk]) -> None:
    with serve(answering("200 OK", b"x" * 9_000_000)) as port:
        one = desk(speed_test=f"http://127.0.0.1:{port}/big", speed_test_interval_s=3600, data_budget_mb=5)

        def keep(*, busy: bool = False) -> bool:
            """Whether it is measured now."""
            before = one.left()
            one.commands.keep(one.settings, one.context, one.now, one.server_ms, busy=busy)
            if one.left() == before:
                return False
            one.commands.finished(one.finished.get(timeout=60), one.settings, one.now, one.server_ms)
            return True

        assert not keep(), "not at the very start, with all others"
        one.seconds += 1800
        assert not keep(busy=True)
        assert keep() and one.commands.untold() == [], "nobody has asked, so nobody is told"
        assert (Metric.DOWNLOAD_KBPS.value, "") in one.commands.values(one.settings, one.now, one.server_ms)
        one.seconds += 3599
        assert not keep()
        one.restart()
        assert not keep()
        one.seconds += 1800
        one.commands.played({(Metric.PLAYING.value, ""): 1})
        assert not keep()
        one.commands.played({(Metric.PLAYING.value, ""): 0})
        assert keep(), "as much as the day has left"
        one.seconds += 7200
        assert not keep(), "nothing is left"


def test_playback_is_tried_in_full_and_an_unknown_stream_is_refused(desk: Callable[..., Desk]) -> None:
    with serve(answering("200 OK", b"G" * 100_000, "Content-Type: video/mp2t")) as port:
        one = desk(media=(f"http://127.0.0.1:{port}/film.ts?key=secret",))
        found = one.done(asked_at(one, CommandName.PLAYBACK_TEST, "c1"))
        assert (found.state, found.values["state"], found.values["status"]) == (ResultState.DONE, "ok", 200), found
        assert "startup_ms" in found.values and "secret" not in found.text
        for place in (0, 2, "1", True, None):
            one.seconds += 30
            refused = one.done(asked_at(one, CommandName.PLAYBACK_TEST, f"x{place}", stream=place))
            assert (refused.state, refused.text) == (ResultState.REFUSED, "stream: must be 1 to 1")


# --- trace ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_trace_ends_where_it_arrives(address: str) -> None:
    (hop,) = trace.trace(address)
    assert (hop.address, hop.reached, hop.blocked) == (address, True, False)
    assert hop.rtt_ms is not None


@pytest.mark.parametrize("damaged", [b"", b"\0" * 15, b"\0" * 16, b"\0" * 40, b"\xff" * 60, b"\0\0\0\0\x03\x03" + b"\0" * 20])
def test_a_word_that_is_none_about_the_way_is_none(damaged: bytes) -> None:
    assert trace.told(damaged) is None


@pytest.mark.root
def test_a_trace_names_each_router_and_a_dead_end(tmp_path: Path) -> None:
    """Three network namespaces in a row; the second one routes, and then says that there is no way on."""
    names = ("sk-tr-a", "sk-tr-b", "sk-tr-c")
    script = """
set -e
for n in a b c; do ip netns add sk-tr-$n; ip -n sk-tr-$n link set lo up; done
ip link add ab netns sk-tr-a type veth peer name ba netns sk-tr-b
ip link add bc netns sk-tr-b type veth peer name cb netns sk-tr-c
ip -n sk-tr-a addr add 10.77.1.1/24 dev ab; ip -n sk-tr-b addr add 10.77.1.2/24 dev ba
ip -n sk-tr-b addr add 10.77.2.2/24 dev bc; ip -n sk-tr-c addr add 10.77.2.3/24 dev cb
for d in "a ab" "b ba" "b bc" "c cb"; do set -- $d; ip -n sk-tr-$1 link set $2 up; done
ip -n sk-tr-a route add default via 10.77.1.2; ip -n sk-tr-c route add default via 10.77.2.2
ip netns exec sk-tr-b sysctl -qw net.ipv4.ip_forward=1
"""
    program = (
        "from sitekeeper_agent.remote.trace import trace\n"
        "for to in ('10.77.2.3', '10.99.0.1'):\n"
        "    print([(h.address, h.reached, h.blocked) for h in trace(to)])\n"
    )
    try:
        subprocess.run(["sh", "-c", script], check=True, timeout=60)
        done = subprocess.run(
            ["ip", "netns", "exec", names[0], sys.executable, "-c", program], capture_output=True, text=True, timeout=120
        )
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, timeout=60)
    assert done.stdout.splitlines() == [
        "[('10.77.1.2', False, False), ('10.77.2.3', True, False)]",
        "[('10.77.1.2', False, True)]",
    ], done.stderr


# --- log lines -----------------------------------------------------------------------------------------------------------


def test_lines_of_log_hold_no_secret_and_fit_into_a_result() -> None:
    lines = LogLines(("hunter2",))
    log = logging.Logger("test")
    log.addHandler(lines)
    log.info("connecting with %s", "hunter2")
    log.info("GET http://user:pass@host/live.m3u8?key=abc&x=1 failed")
    log.debug("not kept")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("it broke")
    text = lines.tail()
    assert "connecting with ***" in text and "not kept" not in text
    assert "GET http://***@host/live.m3u8?*** failed" in text
    assert "it broke" in text and text.endswith("ValueError: why") and "Traceback" not in text
    for number in range(1000):
        log.info("%d %s", number, "x" * 1000)
    text = lines.tail()
    assert len(text) <= MAX_CHARACTERS and " 999 x" in text.splitlines()[-1]
