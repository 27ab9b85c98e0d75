"""The agent as a process on a real broker: birth, goodbye and will, versions of MQTT, TLS, hostile messages, its folder."""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from sitekeeper_protocol.codec import encode
from sitekeeper_protocol.messages import (
    Command,
    CommandName,
    PowerEvent,
    PowerEventRecord,
    Presence,
    Receipt,
    RemoteConfig,
    Report,
    ResultState,
    VerdictEvent,
)
from sitekeeper_protocol.sitecode import Lasting, decode
from sitekeeper_protocol.topics import Leaf
from sitekeeper_protocol.vocabulary import Kind
from support.brokers import Broker, TlsFiles, amqtt_broker, mosquitto
from support.county import County, county_at
from support.ports import free_port
from support.rig import Agent, Rig, rig
from support.wait import wait_until
from support.web_servers import answering, serve

SITE = "0417"
CLI = str(Path(sys.executable).parent / "sitekeeper-agent")
pytestmark = [pytest.mark.broker, pytest.mark.processes]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def county(broker: Broker) -> Iterator[County]:
    with county_at(broker.port) as connected:
        yield connected


@pytest.fixture
def lab(broker: Broker, tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path, broker.port) as made:
        yield made


def told(agent: Agent) -> dict[str, object]:
    """The agent's status file."""
    try:
        return dict(json.loads((agent.state / "status.json").read_text()))
    except (OSError, ValueError):
        return {}


def held(agent: Agent) -> set[tuple[int, int]]:
    """What is on its disk; nothing yet while the file is being made."""
    try:
        return set(agent.held())
    except sqlite3.OperationalError:
        return set()


def power_events(reports: list[Report]) -> list[tuple[int, PowerEventRecord]]:
    return [
        (report.header.run, event)
        for report in reports
        for sample in report.samples
        for event in sample.events
        if isinstance(event, PowerEventRecord)
    ]


# --- a life ------------------------------------------------------------------------------------------------------------


def test_a_life_from_birth_to_goodbye(lab: Rig, county: County) -> None:
    agent = lab.agent(SITE)
    agent.start()
    county.wait_for(lambda c: len(c.samples()) > 15, "samples come live")
    assert agent.stop() == 0, agent.log()
    county.wait_for(lambda c: c.statuses[-1].presence is Presence.STOPPING, "goodbye")
    first = county.reports[0]
    assert first.header.wants_receipt
    assert not first.header.backlog
    assert first.header.connection == 1
    assert first.samples[0].facts, "all facts are told with the first sample"
    run = first.header.run
    assert [(s.presence, s.run, s.connection) for s in county.statuses] == [
        (Presence.ONLINE, run, 1),
        (Presence.STOPPING, run, 1),
    ]
    assert county.statuses[-1].reason == "restart"
    events = power_events(county.reports)
    assert [(at, event.what, event.reason) for at, event in events] == [
        (run, PowerEvent.STARTED, "first"),
        (run, PowerEvent.GOODBYE, "restart"),
    ]
    assert any(isinstance(event, VerdictEvent) for event in first.samples[0].events)
    samples = county.samples()
    assert sorted(samples) == [(run, n) for n in range(1, len(samples) + 1)], "each was sent once, none is missing"


def test_receipts_are_kept_and_a_new_life_sends_nothing_twice(lab: Rig, county: County) -> None:
    agent = lab.agent(SITE)
    agent.start()
    wait_until(lambda: told(agent).get("receipt_wall_ms"), "a receipt came")
    agent.stop()
    before = set(county.samples())
    seen = len(county.reports)
    agent.start()
    county.wait_for(lambda c: len({run for run, _ in c.samples()}) == 2, "the second run reports")
    wait_until(lambda: told(agent).get("receipt_wall_ms"), "its receipt came")
    county.wait_for(lambda c: len(c.reports) > seen + 4, "it goes on")
    agent.stop()
    later = [sample for report in county.reports[seen:] for sample in [(report.header.run, s.sequence) for s in report.samples]]
    assert not before & set(later)
    first_run = county.reports[0].header.run
    (started,) = [e for r, e in power_events(county.reports[seen:]) if e.what is PowerEvent.STARTED]
    assert (started.reason, started.run) == ("after_restart", first_run)


def test_a_killed_agent_leaves_a_will_and_the_next_life_says_so(lab: Rig, county: County) -> None:
    agent = lab.agent(SITE)
    agent.start()
    county.wait_for(lambda c: len(c.samples()) > 3, "samples come live")
    agent.kill()
    county.wait_for(lambda c: c.statuses[-1].presence is Presence.LOST, "the will")
    run = county.reports[0].header.run
    assert (county.statuses[-1].run, county.statuses[-1].connection) == (run, 1)
    agent.start()
    county.wait_for(lambda c: any(e.what is PowerEvent.AGENT_DIED for _, e in power_events(c.reports)), "the next life tells")
    (died,) = [e for _, e in power_events(county.reports) if e.what is PowerEvent.AGENT_DIED]
    assert died.run == run
    assert died.last_boottime_ms > 0
    kept = held(agent)
    county.wait_for(lambda c: kept <= set(c.samples()), "what the killed life left behind is sent")


@pytest.mark.slow
def test_a_backlog_goes_after_live_in_answered_pieces(lab: Rig, county: County, broker: Broker) -> None:
    broker.stop()
    agent = lab.agent(SITE, sample_interval_s=0.1)
    agent.start()
    wait_until(lambda: len(held(agent)) > 30, "samples pile up", 90)
    broker.start()
    kept = held(agent)
    county.wait_for(lambda c: kept <= set(c.samples()), "all is sent")
    agent.stop()
    assert not county.reports[0].header.backlog
    backlog = [report.header for report in county.reports if report.header.backlog]
    assert backlog
    assert all(header.wants_receipt for header in backlog)
    assert county.reports[0].header.connection > 1, "each attempt has its own number"


@pytest.mark.slow
def test_a_county_that_stores_and_says_nothing_gets_live_reports_only(lab: Rig, county: County, broker: Broker) -> None:
    county.answering = False
    broker.stop()
    agent = lab.agent(SITE, sample_interval_s=0.1)
    agent.start()
    wait_until(lambda: len(held(agent)) > 30, "samples pile up", 90)
    broker.start()
    county.wait_for(lambda c: len(c.reports) > 6, "live reports go on")
    assert not any(report.header.backlog for report in county.reports)
    assert told(agent)["receipt_wall_ms"] is None


def test_a_new_epoch_brings_back_what_the_store_lacks(lab: Rig, county: County) -> None:
    agent = lab.agent(SITE)
    agent.start()
    county.wait_for(lambda c: len(c.samples()) > 10, "samples come live")
    agent.stop()
    before = set(county.samples())
    county.epoch, county.stored = 8, {}
    seen = len(county.reports)
    agent.start()

    def again(c: County) -> bool:
        return before <= {(r.header.run, s.sequence) for r in c.reports[seen:] for s in r.samples}

    county.wait_for(again, "everything goes again")


def test_time_is_learned_by_round_trip_and_told_with_each_report(lab: Rig, county: County) -> None:
    true_ms = county.server_ms
    county.server_ms = lambda: true_ms() + 86_400_000
    agent = lab.agent(SITE)
    agent.start()
    county.wait_for(lambda c: c.reports and c.reports[-1].clock is not None, "a report tells true time")
    report = county.reports[-1]
    assert report.clock is not None
    wrong_by_ms = report.clock.offset_ms + report.sent_boottime_ms - report.sent_wall_ms
    assert abs(wrong_by_ms - 86_400_000) <= report.clock.error_ms + 1000


@pytest.mark.slow
def test_a_broker_that_stops_acknowledging_is_left_and_found_again(lab: Rig, county: County, broker: Broker) -> None:
    # A keepalive longer than the interval: the missing acknowledgement tells before the missing ping answer does.
    agent = lab.agent(SITE, report_interval_s=25)
    agent.start()
    county.wait_for(lambda c: c.reports, "it reports")
    broker.pause()
    try:
        wait_until(lambda: "no acknowledgement" in str(told(agent).get("trouble")), "it gives the connection up", 90)
    finally:
        broker.resume()
    kept = held(agent)
    county.wait_for(lambda c: kept <= set(c.samples()), "all of it gets there", 90)
    assert county.reports[-1].header.connection > 1


# --- versions of MQTT --------------------------------------------------------------------------------------------------


def test_a_broker_of_mqtt_3_is_spoken_to_and_remembered(tmp_path: Path) -> None:
    with (
        amqtt_broker(tmp_path / "broker", users={SITE: "pw", "county": "pw"}) as old,
        rig(tmp_path, old.port) as lab,
    ):
        password = tmp_path / "password"
        password.write_text("pw\n")
        broker = {"host": "127.0.0.1", "port": old.port, "tls": False, "password_file": str(password)}
        agent = lab.agent(SITE, broker=broker)
        agent.start()
        wait_until(lambda: told(agent).get("connected"), f"it connects\n{agent.log()}\n{old.log()[-1500:]}")
        agent.stop()
        attempts = old.log().count("unsupported protocol version") or old.log().lower().count("protocol")
        agent.start()
        wait_until(lambda: told(agent).get("connected"), "it connects again")
        agent.stop()
        later = old.log().count("unsupported protocol version") or old.log().lower().count("protocol")
        assert later == attempts, "the second life knows"


@contextmanager
def silent_old_broker() -> Iterator[int]:
    """Speaks just enough of MQTT 3.1.1, and closes on any other version without a word."""
    server = socket.create_server(("127.0.0.1", free_port()))

    def serve(connection: socket.socket) -> None:
        with connection:
            greeting = connection.recv(4096)
            if b"MQTT\x04" not in greeting:
                return
            connection.sendall(b"\x20\x02\x00\x00")
            while data := connection.recv(65536):
                if data[0] >> 4 == 8:
                    connection.sendall(b"\x90\x05" + data[2:4] + b"\x00\x01\x01")

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.close()


def test_a_broker_that_closes_on_mqtt_5_without_a_word_is_tried_with_3(tmp_path: Path) -> None:
    with silent_old_broker() as port, rig(tmp_path, port) as lab:
        agent = lab.agent(SITE)
        agent.start()
        wait_until(lambda: told(agent).get("connected"), f"it connects\n{agent.log()}")


def test_a_refused_password_is_said_and_never_shown(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("open sesame\n")
    with mosquitto(tmp_path / "broker", users={SITE: "another"}) as strict, rig(tmp_path, strict.port) as lab:
        broker = {"host": "127.0.0.1", "port": strict.port, "tls": False, "password_file": str(password)}
        agent = lab.agent(SITE, broker=broker)
        agent.start()
        wait_until(lambda: "Not authorized" in str(told(agent).get("trouble")), "it is refused")
        agent.stop()
        assert "sesame" not in agent.log()
        assert b"sesame" not in b"".join(file.read_bytes() for file in agent.state.iterdir())
        assert agent.log().count("Not authorized") == 1, "a repeating failure is logged when it changes"


# --- TLS ---------------------------------------------------------------------------------------------------------------


def tls_files(
    folder: Path, name: str = "localhost", authority: trustme.CA | None = None, until: datetime | None = None
) -> TlsFiles:
    folder.mkdir(exist_ok=True)
    authority = authority or trustme.CA()
    leaf = authority.issue_cert(name, not_after=until)
    files = TlsFiles(folder / "chain.pem", folder / "key.pem", folder / "authority.pem")
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(files.key))
    authority.cert_pem.write_to_path(str(files.authority))
    return files


def tls_agent(lab: Rig, port: int, authority: Path) -> Agent:
    return lab.agent(SITE, broker={"host": "localhost", "port": port, "tls": {"ca_file": str(authority)}})


def test_reports_go_over_tls(tmp_path: Path) -> None:
    files = tls_files(tmp_path / "tls")
    with (
        mosquitto(tmp_path / "broker", tls=files) as secure,
        rig(tmp_path, secure.port) as lab,
        county_at(secure.port, authority=str(files.authority)) as county,
    ):
        tls_agent(lab, secure.port, files.authority).start()
        county.wait_for(lambda c: len(c.samples()) > 3, "samples come")


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("another-name", "Hostname mismatch"),
        ("another-authority", "unable to get local issuer certificate"),
        ("expired", "certificate has expired"),
        ("no-tls-there", "localhost:"),
    ],
)
def test_a_broker_that_can_not_be_trusted_is_not_spoken_to(tmp_path: Path, case: str, why: str) -> None:
    authority = trustme.CA()
    name = "other.example" if case == "another-name" else "localhost"
    until = datetime.now(UTC) - timedelta(days=1) if case == "expired" else None
    files = tls_files(tmp_path / "tls", name, authority, until)
    trusted = files.authority
    if case == "another-authority":
        trusted = tls_files(tmp_path / "other").authority
    if case == "no-tls-there":
        with mosquitto(tmp_path / "broker") as plain, rig(tmp_path, plain.port) as lab:
            agent = tls_agent(lab, plain.port, trusted)
            agent.start()
            wait_until(lambda: why in str(told(agent).get("trouble")), f"it says why\n{agent.log()}")
            assert not told(agent)["connected"]
        return
    port = free_port()
    text = f"listener {port} 127.0.0.1\nallow_anonymous true\ncertfile {files.certificate}\nkeyfile {files.key}\n"
    with running_unchecked(tmp_path / "broker", text, port), rig(tmp_path, port) as lab:
        agent = tls_agent(lab, port, trusted)
        agent.start()
        wait_until(lambda: why in str(told(agent).get("trouble")), f"it says why\n{agent.log()}")
        assert not told(agent)["connected"]


@contextmanager
def running_unchecked(folder: Path, config: str, port: int) -> Iterator[None]:
    """A mosquitto whose certificate nobody accepts, so that only its listening can be waited for."""
    folder.mkdir()
    (folder / "conf").write_text(config + ("user root\n" if os.getuid() == 0 else ""))
    program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or pytest.skip("mosquitto is not installed")
    process = subprocess.Popen([program, "-c", str(folder / "conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(port), "it listens")
        yield
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


@pytest.fixture
def dead_battery(tmp_path: Path) -> dict[str, str]:
    """Environment of a process whose wall clock shows 2009; its other clocks are right."""
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    if library is None:
        pytest.skip("faketime is not installed (apt-get install faketime)")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": "@2009-01-01 00:00:00",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def test_a_dead_battery_does_not_lock_a_site_out(tmp_path: Path, dead_battery: dict[str, str]) -> None:
    files = tls_files(tmp_path / "tls")
    with (
        mosquitto(tmp_path / "broker", tls=files) as secure,
        rig(tmp_path, secure.port) as lab,
        county_at(secure.port, authority=str(files.authority)) as county,
    ):
        agent = tls_agent(lab, secure.port, files.authority)
        agent.environment = dead_battery
        agent.start()
        county.wait_for(lambda c: len(c.samples()) > 8, f"samples come\n{agent.log()}")
        assert county.reports[0].sent_wall_ms < 1_300_000_000_000, "its clock really is wrong"
        assert {report.header.connection for report in county.reports} == {1}, "the certificate holds by server time"


def test_with_a_dead_battery_dates_are_checked_against_the_server_s_time(tmp_path: Path, dead_battery: dict[str, str]) -> None:
    files = tls_files(tmp_path / "tls", until=datetime.now(UTC) + timedelta(days=30))
    with (
        mosquitto(tmp_path / "broker", tls=files) as secure,
        rig(tmp_path, secure.port) as lab,
        county_at(secure.port, authority=str(files.authority)) as county,
    ):
        true_ms = county.server_ms
        county.server_ms = lambda: true_ms() + 60 * 86_400_000
        agent = tls_agent(lab, secure.port, files.authority)
        agent.environment = dead_battery
        agent.start()
        wait_until(lambda: "not valid at server time" in str(told(agent).get("trouble")), f"it leaves\n{agent.log()}")
        assert told(agent)["receipt_wall_ms"] is None, "nothing counts as confirmed by it"


# --- what may come in --------------------------------------------------------------------------------------------------


def test_hostile_messages_cost_a_line_in_the_log_and_nothing_else(lab: Rig, county: County) -> None:
    agent = lab.agent(SITE)
    agent.start()
    county.wait_for(lambda c: c.reports, "it reports")
    for leaf in (Leaf.RECEIPT, Leaf.CONFIG, Leaf.COMMAND):
        for payload in (b"", b"\xff" * 500, b"\x91" * 5000, b"{}", b"\x92\x01\xa1x", b"\x93\x09\x01\x01"):
            county.send(SITE, leaf, payload)
    county.send(SITE, Leaf.CONFIG, encode(RemoteConfig(1, 12, 0, {"state_dir": "/"})))
    county.send(SITE, Leaf.COMMAND, encode(Command(1, "c-1", CommandName.PROBE_NOW, 0, 2**50)))
    county.wait_for(lambda c: len(c.results) == 2, "both are answered")
    assert {(result.id, result.state, result.text) for result in county.results} == {
        ("config-12", ResultState.REFUSED, "state_dir: this can't be changed from afar"),
        ("c-1", ResultState.REFUSED, "it would live for more than a day"),
    }
    count = len(county.reports)
    county.wait_for(lambda c: len(c.reports) > count + 2, "it goes on")
    assert agent.running
    assert {report.header.connection for report in county.reports} == {1}
    assert "Traceback" not in agent.log()


# --- its folder --------------------------------------------------------------------------------------------------------


def test_a_second_agent_on_the_same_folder_is_refused(lab: Rig, county: County) -> None:
    agent = lab.agent(SITE)
    agent.start()
    county.wait_for(lambda c: c.reports, "it reports")
    second = subprocess.run([CLI, "run", "--config", str(agent.config)], capture_output=True, text=True, timeout=60)
    assert second.returncode == 70
    assert f"another agent is running on {agent.state}" in second.stderr


def test_status_tells_what_the_agent_does_by_text_and_exit_code(lab: Rig, county: County) -> None:
    agent = lab.agent(SITE)
    command = [CLI, "status", "--config", str(agent.config)]
    before = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (before.returncode, "No agent has run" in before.stdout) == (3, True)
    agent.start()
    wait_until(lambda: told(agent).get("receipt_wall_ms"), "a receipt came")
    running = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert running.returncode == 0
    assert f"site          {SITE}" in running.stdout
    assert re.search(r"^today +on \d+ h \d+ min; nothing tells how much of it in use$", running.stdout, re.MULTILINE)
    asked = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=60)
    assert json.loads(asked.stdout)["connected"] is True
    assert (agent.state / "status.json").stat().st_mode & 0o777 == 0o644


def test_a_fault_is_called_reported_only_with_its_number_and_has_its_digits_meanwhile(lab: Rig, county: County) -> None:
    page = {"status": "200 OK"}
    with serve(lambda connection: answering(page["status"])(connection)) as port:
        portal = f"http://127.0.0.1:{port}/"
        agent = lab.agent(SITE, portal=portal, language="en", phone="0851-1234", report_interval_s=0.5)
        county.tickets = ["T-1"]
        agent.start()
        wait_until(lambda: told(agent).get("verdict") == "ok" and told(agent)["tickets"], f"all is well\n{agent.log()}")
        assert "8 digits" not in run_cli("status", agent)
        page["status"] = "503 Service Unavailable"
        wait_until(lambda: told(agent).get("kind") == "portal_down", "the portal is down")

        shown = run_cli("status", agent)
        assert "No ticket number has come yet. If it is urgent, call 0851-1234" in shown, "T-1 was open before"
        digits = shown.split("8 digits")[-1].strip()
        code = decode(digits, SITE)
        assert (code.kind, code.lasting) == (Kind.PORTAL_DOWN, Lasting.UNDER_5_MIN)
        looked = run_cli("check", agent)
        assert "No ticket number has come yet." in looked and digits in looked
        asked = json.loads(run_cli("status", agent, "--json"))
        assert (asked["code"], asked["reported"]) == (digits.replace(" ", ""), [])

        county.tickets = ["T-1", "T-2"]
        county.send(SITE, Leaf.RECEIPT, encode(Receipt(1, county.epoch, 0, 0, county.server_ms(), tickets=county.tickets)))
        wait_until(lambda: told(agent).get("reported") == ["T-2"], "its ticket is known")
        assert "Reported, number T-2." in run_cli("status", agent)
        assert "Reported, number T-2." in run_cli("check", agent)

        agent.kill()
        agent.write_config(port=free_port(), portal=portal, settings={"language": "en"})
        agent.start()
        wait_until(lambda: told(agent).get("kind") == "portal_down" and told(agent)["reported"] == [], "a run without a broker")
        sentence = "This can't be sent at the moment. Call the county technician and read out the site number"
        assert sentence in run_cli("status", agent) and sentence in run_cli("check", agent)


def run_cli(command: str, agent: Agent, *options: str) -> str:
    """What a command prints to the person at the site."""
    done = subprocess.run([CLI, command, "--config", str(agent.config), *options], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout


def test_a_damaged_spool_is_no_crash_loop(lab: Rig, county: County) -> None:
    agent = lab.agent(SITE)
    agent.state.mkdir()
    (agent.state / "spool.db").write_bytes(b"rubbish" * 1000)
    agent.start()
    county.wait_for(lambda c: len(c.samples()) > 3, f"it reports\n{agent.log()}")
    assert len(list(agent.state.glob("spool.corrupt-*.db"))) == 1


@pytest.mark.root
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_with_a_disk_that_takes_nothing_it_measures_and_reports_all_the_same(
    lab: Rig, county: County, tmp_path: Path, trouble: str
) -> None:
    agent = lab.agent(SITE)
    agent.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(agent.state)], check=True)
    try:
        if trouble == "full":
            with pytest.raises(OSError, match="No space"):
                (agent.state / "filler").write_bytes(b"x" * 2_000_000)
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(agent.state)], check=True)
        agent.start()
        county.wait_for(lambda c: len(c.samples()) > 10, f"it reports\n{agent.log()}")
        run = county.reports[0].header.run
        if trouble == "full":
            (agent.state / "filler").unlink()
        else:
            subprocess.run(["mount", "-o", "remount,rw", str(agent.state)], check=True)
        wait_until(lambda: held(agent), "it goes to disk")
        agent.stop()
        kept = sorted(sequence for of, sequence in held(agent) if of == run)
        assert kept == list(range(1, kept[-1] + 1)), "from the first sample on"
    finally:
        agent.kill()
        subprocess.run(["umount", "-l", str(agent.state)], check=True)
