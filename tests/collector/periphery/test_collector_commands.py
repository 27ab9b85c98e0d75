"""The collector's commands as somebody at a keyboard uses them: real processes, a real database, a real broker."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from sitekeeper_collector.broker import folder
from sitekeeper_collector.cli import main, parser
from sitekeeper_collector.ingest.messages import Inbound
from sitekeeper_collector.ingest.pipeline import Ingest
from sitekeeper_collector.store.engine import open_store
from sitekeeper_protocol import RELEASED_MS, codec
from sitekeeper_protocol.messages import Clock, Header, PlaybackEvent, PlaybackEventRecord, Report, Sample
from sitekeeper_protocol.vocabulary import Metric, Reason, State
from support import brokers
from support.ports import free_port
from support.wait import wait_until

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"


class Said(NamedTuple):
    """What a command said and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def typed(*arguments: str) -> Said:
    """Run a command in this process, which is quicker than starting one by some hundred ms of imports."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


class Desk:
    """A configuration, and a way to type commands."""

    def __init__(self, at: Path, port: int = 1883) -> None:
        self.at = at
        self.config = at / "collector.yaml"
        self.url = f"sqlite:///{at}/k.db"
        self.broker_folder = at / "broker"
        password = folder.collector_password_file(self.broker_folder)
        self.config.write_text(
            f"database: {self.url}\nbroker: {{host: 127.0.0.1, port: {port}, tls: false, password_file: {password}}}\n"
            "console: {enabled: false}\n"
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "sitekeeper_collector.cli", *arguments, "--config", str(self.config)]

    def type(self, *arguments: str) -> Said:
        return typed(*arguments, "--config", str(self.config))

    def sites(self, text: str, encoding: str = "utf-8") -> str:
        file = self.at / "sites.csv"
        file.write_bytes(text.encode(encoding))
        return str(file)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """One with an empty folder."""
    return Desk(tmp_path)


def _report(site: str, samples: list[Sample], *, now_ms: int, number: int = 1, with_clock: bool = True) -> bytes:
    header = Header(
        site_check=codec.site_check(site),
        run=0xABC,
        connection=1,
        number=number,
        backlog=False,
        wants_receipt=True,
        first=samples[0].sequence,
        count=len(samples),
        oldest=1,
        config_revision=0,
    )
    return codec.encode_report(
        Report(
            header=header,
            boot=7,
            sent_boot=7,
            sent_wall_ms=now_ms,
            sent_boottime_ms=60_000,
            next_within_s=300,
            clock=Clock(now_ms - 60_000, 10) if with_clock else None,
            samples=tuple(samples),
        )
    )


def _sample(sequence: int, now_ms: int) -> Sample:
    return Sample(
        sequence=sequence,
        wall_ms=now_ms,
        boottime_ms=50_000 + sequence,
        values={
            (Metric.RUNG_STATE, "ipv4/dns"): State.FAIL,
            (Metric.RUNG_REASON, "ipv4/dns"): Reason.TIMEOUT,
            (Metric.CPU_RATIO, ""): 42,
            (Metric.DISK_FREE_BYTES, f"/{HOSTILE}"): 5,
            (999, ""): 5,
        },
        events=(PlaybackEventRecord(PlaybackEvent.FAILED, "mpv", text=HOSTILE),) if sequence == 1 else (),
        facts={"name": HOSTILE} if sequence == 2 else {},
    )


def _ingest(desk: Desk, *messages: tuple[str, bytes]) -> None:
    now_ms = int(time.time() * 1000)
    store = open_store(desk.url)
    ingest = Ingest(store, wall_ms=lambda: now_ms, steady_ms=lambda: 0)
    ingest.process([Inbound(topic, payload, now_ms) for topic, payload in messages])
    store.close()


@pytest.fixture
def filled(desk: Desk) -> Desk:
    """With one registered site of three samples, an unknown site, and rubbish in quarantine."""
    assert desk.type("sites", "import", desk.sites("id,name\ns1,东村\n")).returncode == 0
    now_ms = int(time.time() * 1000)
    _ingest(
        desk,
        ("sk/v1/a/s1/report", _report("s1", [_sample(n, now_ms) for n in (1, 2, 3)], now_ms=now_ms)),
        ("sk/v1/a/stranger/report", _report("stranger", [_sample(1, now_ms)], now_ms=now_ms)),
        ("sk/v1/a/s1/report", b"\x1b[2Jrubbish"),
        ("sk/v1/a/s1/report", _report("s2", [_sample(1, now_ms)], now_ms=now_ms, number=9)),
    )
    return desk


def _safe(text: str) -> bool:
    return not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_every_command_has_help_and_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def walk(words: list[str]) -> Iterator[list[str]]:
        with pytest.raises(SystemExit) as ended:
            parser().parse_args([*words, "--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        yield words
        for name in re.findall(r"^    ([a-z-]+)\s", text, re.MULTILINE):
            yield from walk([*words, name])

    found = {" ".join(words) for words in walk([])}
    assert {"run", "tail", "sites import", "sites list", "samples", "findings", "quarantine", "store backup"} <= found
    assert {"store restore", "store new-epoch", "broker config"} <= found
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0 and capsys.readouterr().out.startswith("sitekeeper-collector 0.")


def test_a_list_with_one_bad_line_imports_nothing_and_names_it(desk: Desk) -> None:
    done = desk.type("sites", "import", desk.sites("编号,名称\ns1,东村\n3.1E+11,西村\n", "gbk"))
    assert done.returncode == 1 and "sites.csv:3: 编号: '3.1E+11'" in done.stderr and "nothing was imported" in done.stderr
    assert json.loads(desk.type("sites", "list", "--json").stdout) == []


def test_a_check_says_what_an_import_would_do_and_does_nothing(desk: Desk) -> None:
    file = desk.sites("id,name\ns1,东村\n")
    assert "1 added" in desk.type("sites", "import", file, "--check").stdout
    assert json.loads(desk.type("sites", "list", "--json").stdout) == []
    assert "1 added" in desk.type("sites", "import", file).stdout
    assert "1 unchanged" in desk.type("sites", "import", file).stdout
    renamed = desk.type("sites", "import", desk.sites("id,name\ns1,南村\n"))
    assert "changed  s1  南村: name" in renamed.stdout
    assert [site["name"] for site in json.loads(desk.type("sites", "list", "--json").stdout)] == ["南村"]
    assert "南村" in desk.type("sites", "list").stdout


def test_samples_are_told_with_names_units_words_and_how_they_were_placed(filled: Desk) -> None:
    rows = [json.loads(line) for line in filled.type("samples", "--json").stdout.splitlines()]
    assert [row["sequence"] for row in rows] == [1, 2, 3]
    assert {row["placement"] for row in rows} == {"exact"} and all(row["placed_ms"] > RELEASED_MS for row in rows)
    values = {(v["metric"], v["instance"]): v for v in rows[0]["values"]}
    assert values["rung_state", "ipv4/dns"] == {
        "metric": "rung_state",
        "instance": "ipv4/dns",
        "value": 2.0,
        "unit": "state",
        "word": "fail",
    }
    assert values["rung_reason", "ipv4/dns"]["word"] == "timeout"
    assert values["cpu_ratio", ""]["value"] == pytest.approx(0.42) and values["metric_999", ""]["value"] == 5
    assert rows[0]["events"][0]["text"] == HOSTILE and rows[1]["facts"] == {"name": HOSTILE}
    table = filled.type("samples", "--metric", "rung_state,cpu_ratio", "--site", "s1", "--limit", "2").stdout
    assert table.count("rung_state") == 2 and "fail" in table and "exact" in table and "disk" not in table


def test_what_sites_send_steers_no_terminal_in_any_command(filled: Desk) -> None:
    for words in (["samples"], ["findings"], ["quarantine"], ["sites", "list", "--unknown"], ["sites", "list"]):
        for more in ([], ["--json"]):
            done = filled.type(*words, *more)
            assert done.returncode == 0 and done.stdout, (words, done.stderr)
            assert _safe(done.stdout), (words, more, done.stdout)


def test_unknown_sites_findings_and_quarantine_are_listed(filled: Desk) -> None:
    (unknown,) = json.loads(filled.type("sites", "list", "--unknown", "--json").stdout)
    assert (unknown["site"], unknown["held_reports"]) == ("stranger", 1)
    assert "stranger" in filled.type("sites", "list", "--unknown").stdout
    (finding,) = json.loads(filled.type("findings", "--json").stdout)
    assert (finding["site"], finding["kind"], finding["closed_ms"]) == ("s1", "foreign_topic", None)
    kept = json.loads(filled.type("quarantine", "--json").stdout)
    assert b"\x1b[2Jrubbish".hex() in {row["payload"] for row in kept} and len(kept) == 2


def test_nothing_stored_yet_is_said_in_words(desk: Desk) -> None:
    for words, text in (
        (["samples"], "No sample"),
        (["findings"], "Nothing was found"),
        (["quarantine"], "Nothing is in quarantine"),
        (["sites", "list"], "No site is registered"),
        (["sites", "list", "--unknown"], "No unknown site"),
    ):
        assert text in desk.type(*words).stdout


def test_mistakes_are_told_in_one_line_without_a_traceback(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("databas: x\n")
    cases = [
        ["samples", "--config", str(tmp_path / "none.yaml")],
        ["samples", "--config", str(tmp_path / "bad.yaml")],
        ["sites", "import", str(tmp_path / "none.csv"), "--config", str(desk.config)],
        ["broker", "config", "--out", str(tmp_path / "out"), "--config", str(desk.config)],
        ["broker", "config", "--out", str(tmp_path / "out"), "--certificate", "x", "--config", str(desk.config)],
        ["store", "backup", str(tmp_path / "copy"), "--config", str(desk.config)],
        ["store", "restore", str(tmp_path / "none"), "--config", str(desk.config)],
        ["tail", "--site", "a/b", "--config", str(desk.config)],
        ["tail", "--config", str(desk.config)],
    ]
    for arguments in cases:
        done = typed(*arguments)
        assert done.returncode == 1 and done.stdout == "", (arguments, done.stdout)
        assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("sitekeeper-collector: "), done.stderr


def test_a_wrong_argument_says_what_would_be_right(desk: Desk) -> None:
    for words, text in ((["samples", "--since", "2 weeks"], "2h"), (["samples", "--metric", "cpu"], "cpu_ratio")):
        done = desk.type(*words)
        assert done.returncode == 2 and text in done.stderr


def test_output_into_a_closed_pipe_is_no_trouble(filled: Desk) -> None:
    # Buffered, as output into a pipe is where nobody has asked for anything else.
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    quiet = subprocess.Popen(filled.command("samples"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=plain)
    assert quiet.stdout is not None and quiet.stderr is not None
    quiet.stdout.close()
    assert quiet.wait(60) == 0 and quiet.stderr.read() == b""
    quiet.stderr.close()


def test_a_backup_is_restored_with_a_new_epoch(filled: Desk, tmp_path: Path) -> None:
    assert "wrote" in filled.type("store", "backup", str(tmp_path / "copy")).stdout
    assert filled.type("sites", "import", filled.sites("id,name\ns2,B\n")).returncode == 0
    done = filled.type("store", "restore", str(tmp_path / "copy"))
    assert done.returncode == 0 and "new epoch" in done.stdout, done.stderr
    assert [site["id"] for site in json.loads(filled.type("sites", "list", "--json").stdout)] == ["s1"]
    assert "new epoch" in filled.type("store", "new-epoch").stdout


@pytest.mark.broker
def test_the_written_broker_folder_runs_keeps_passwords_and_shows_none(tmp_path: Path) -> None:
    port = free_port()
    desk = Desk(tmp_path, port)
    desk.type("sites", "import", desk.sites("id,name\ns1,A\ns2,B\n"))
    out = ["broker", "config", "--out", str(desk.broker_folder), "--plain-loopback", str(port), "--persistence", str(tmp_path)]
    first = desk.type(*out)
    assert first.returncode == 0 and "2 sites, 2 with a new password" in first.stdout, first.stderr
    secrets = [folder.collector_password_file(desk.broker_folder), *(desk.broker_folder / "sites").iterdir()]
    passwords = {file: file.read_text().strip() for file in secrets}
    assert len(set(passwords.values())) == 3 and all(file.stat().st_mode & 0o777 == 0o600 for file in secrets)
    assert not any(password in first.stdout + first.stderr for password in passwords.values())
    before = {file: file.read_bytes() for file in desk.broker_folder.rglob("*") if file.is_file()}
    again = desk.type(*out)
    assert "0 with a new password" in again.stdout and "wrote" not in again.stdout
    assert {file: file.read_bytes() for file in desk.broker_folder.rglob("*") if file.is_file()} == before
    # A site that has its password needs no copy here; a new site gets one; the others stay valid.
    folder.site_password_file(desk.broker_folder, "s1").unlink()
    desk.type("sites", "import", desk.sites("id,name\ns3,C\n"))
    more = desk.type(*out)
    assert "3 sites, 1 with a new password" in more.stdout
    assert not folder.site_password_file(desk.broker_folder, "s1").exists()
    text = (desk.broker_folder / "mosquitto.conf").read_text()
    with brokers.mosquitto(tmp_path / "run", config_text=text, port=port):
        _login(port, "s1", passwords[folder.site_password_file(desk.broker_folder, "s1")])


def test_a_list_in_a_file_serves_instead_of_the_database_and_strangers_are_kept_unless_pruned(desk: Desk) -> None:
    def write(text: str, *more: str) -> str:
        out = ["broker", "config", "--out", str(desk.broker_folder), "--plain-loopback", "1883", "--sites", desk.sites(text)]
        done = desk.type(*out, *more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    write("id,name\ns1,A\ns2,B\n")
    assert "1 users that are not in the list: s2 (kept" in write("id,name\ns1,A\n")
    assert "s2:" in (desk.broker_folder / "passwords").read_text()
    write("id,name\ns1,A\n", "--prune")
    assert "s2:" not in (desk.broker_folder / "passwords").read_text()


def _login(port: int, user: str, password: str | None) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=user)
    client.username_pw_set(user, password)
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_until(client.is_connected, f"{user} is in")
    client.disconnect()
    client.loop_stop()


@pytest.mark.broker
@pytest.mark.processes
def test_tail_shows_live_messages_beside_a_running_collector(tmp_path: Path) -> None:
    port = free_port()
    desk = Desk(tmp_path, port)
    desk.type("sites", "import", desk.sites("id,name\ns1,A\n"))
    desk.type(
        "broker", "config", "--out", str(desk.broker_folder), "--plain-loopback", str(port), "--persistence", str(tmp_path)
    )
    text = (desk.broker_folder / "mosquitto.conf").read_text()
    now_ms = int(time.time() * 1000)
    with brokers.mosquitto(tmp_path / "run", config_text=text, port=port) as broker:
        collector = subprocess.Popen(desk.command("run"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        tail = subprocess.Popen(desk.command("tail"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert tail.stdout is not None and tail.stderr is not None
        lines: list[str] = []
        reader = threading.Thread(target=lambda stream: lines.extend(iter(stream.readline, "")), args=(tail.stdout,))
        reader.start()
        site = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="s1")
        site.username_pw_set("s1", folder.read_password(folder.site_password_file(desk.broker_folder, "s1")))
        site.connect("127.0.0.1", port)
        site.loop_start()
        try:
            wait_until(lambda: {" as collector ", " as tail ", " as s1 "} <= _logged_in(broker.log()), "all three are in")

            def heard(what: str) -> bool:
                # Sent again until it is shown: a subscription takes effect a moment after the login.
                site.publish("sk/v1/a/s1/report", _report("s1", [_sample(1, now_ms)], now_ms=now_ms), qos=1)
                site.publish("sk/v1/a/s1/report", b"\x1b[2Jnot a report", qos=1)
                return any(what in line for line in lines)

            wait_until(lambda: heard("receipt  epoch"), "tail shows a receipt", every_s=0.5)
            wait_until(lambda: heard("live: samples 1 to 1"), "tail shows a report", every_s=0.5)
            wait_until(lambda: heard("not readable"), "tail shows rubbish as such", every_s=0.5)
            assert all(_safe(line) for line in lines)
            assert collector.poll() is None and "cli" not in "".join(lines)
            assert broker.log().count(" as collector ") == 1, "the collector's connection was never taken over"
        finally:
            site.disconnect()
            site.loop_stop()
            for process in (tail, collector):
                process.terminate()
                process.wait(30)
            reader.join(10)
            tail.stdout.close()
            tail.stderr.close()


def _logged_in(log: str) -> set[str]:
    return {name for name in (" as collector ", " as tail ", " as s1 ") if name in log}


@pytest.mark.broker
@pytest.mark.processes
def test_run_with_an_embedded_broker_takes_in_reports_and_stops_in_order(tmp_path: Path) -> None:
    port = free_port()
    desk = Desk(tmp_path)
    desk.config.write_text(f"database: {desk.url}\nembedded: {{broker: true, port: {port}, folder: {desk.broker_folder}}}\n")
    desk.type("sites", "import", desk.sites("id,name\ns1,A\n"))
    log = tmp_path / "log"
    with log.open("wb") as out:
        collector = subprocess.Popen(desk.command("run"), stdout=out, stderr=out)
    try:
        wait_until(lambda: brokers.answers("127.0.0.1", port), f"the broker answers\n{log.read_text()}")
        site = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="s1")
        site.username_pw_set("s1", folder.read_password(folder.site_password_file(desk.broker_folder, "s1")))
        site.connect("127.0.0.1", port)
        site.loop_start()
        wait_until(site.is_connected, "the site is in")
        now_ms = int(time.time() * 1000)

        def stored() -> bool:
            site.publish("sk/v1/a/s1/report", _report("s1", [_sample(1, now_ms)], now_ms=now_ms), qos=1)
            return "s1" in desk.type("samples", "--json").stdout

        wait_until(stored, "the sample is stored")
        site.disconnect()
        site.loop_stop()
        collector.terminate()
        assert collector.wait(30) == 0, log.read_text()
    finally:
        collector.kill()
        collector.wait()
    assert "Traceback" not in log.read_text()
