"""The agent's Debian package: same sources, same bytes; installs, upgrades and purges; its unit is tight and really runs."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from sitekeeper_protocol.messages import Presence
from support.brokers import mosquitto
from support.county import County, county_at
from support.debian_root import Booted, booted, inside, unpacked
from support.packages import ROOT, build, copy_sources
from support.wait import wait_until

UNIT = ROOT / "packaging/debian/sitekeeper-agent.service"
MOST_EXPOSURE = 2.5
CAP_NET_RAW = 1 << 13
SCRIPT, AMD64 = "debian/build_deb.py", ("--architecture", "amd64")
STATE, CONFIG, MODULES = "var/lib/sitekeeper-agent", "etc/sitekeeper-agent", "usr/lib/sitekeeper-agent"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def package(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(sources, SCRIPT, tmp_path_factory.mktemp("first"), *AMD64)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Path]:
    with unpacked(tmp_path / "system") as made:
        yield made


def exposure(unit: Path) -> subprocess.CompletedProcess[str]:
    """systemd's own judgement of a unit; it fails above the threshold (which it counts in tenths)."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE * 10:.0f}"]
    return subprocess.run([*command, str(unit)], capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed (apt-get install systemd)")
def test_the_unit_is_exposed_to_at_most_2_5(tmp_path: Path) -> None:
    judged = exposure(UNIT)
    assert judged.returncode == 0, judged.stdout
    assert "Overall exposure level" in judged.stdout
    bare = tmp_path / UNIT.name
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    assert exposure(bare).returncode != 0, "a unit without any rule would have passed too"


@pytest.mark.slow
def test_the_same_sources_give_the_same_bytes(sources: Path, package: Path, tmp_path: Path) -> None:
    assert build(sources, SCRIPT, tmp_path, *AMD64).read_bytes() == package.read_bytes()


@pytest.mark.slow
def test_it_holds_what_it_needs_for_each_python_and_nothing_of_the_machine_that_built_it(package: Path) -> None:
    listed = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout
    for python in ("311", "312", "313"):
        assert f"msgspec/_core.cpython-{python}-x86_64-linux-gnu.so" in listed
        assert f"yaml/_yaml.cpython-{python}-x86_64-linux-gnu.so" in listed
    assert {line.split()[1] for line in listed.splitlines()} == {"root/root"}
    assert not [line for line in listed.splitlines() if "__pycache__" in line or line.endswith((".pyi", ".c"))]


def state_of(system: Path) -> dict[str, str]:
    """Every file outside of dpkg's, apt's and the logs' own bookkeeping, with what it is."""
    own = ("var/lib/dpkg/", "var/cache/", "var/log/", "proc/", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-")
    found = {}
    for path in system.rglob("*"):
        name = str(path.relative_to(system))
        if not name.startswith(own) and not path.is_dir():
            found[name] = str(path.readlink()) if path.is_symlink() else str(path.stat().st_size)
    return found


def succeed(system: Path, *command: str) -> str:
    done = inside(system, *command)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.root
def test_it_installs_upgrades_and_purges_without_a_line_and_without_systemd(
    sources: Path, package: Path, system: Path, tmp_path: Path
) -> None:
    before = state_of(system)
    shutil.copyfile(package, system / "root/first.deb")
    shutil.copyfile(build(sources, SCRIPT, tmp_path / "next", *AMD64, "--version", "0.1.0+next"), system / "root/next.deb")
    said = succeed(system, "dpkg", "-i", "/root/first.deb")
    assert "not configured yet" in said and "尚未配置" in said
    assert succeed(system, "sitekeeper-agent", "--version").startswith("sitekeeper-agent 0.1.0")
    assert list((system / MODULES / "msgspec/__pycache__").glob("*.pyc")), "modules are compiled once, not at each start"
    owner = succeed(system, "stat", "-c", "%U:%G %a", f"/{STATE}").split()
    assert owner == ["sitekeeper-agent:sitekeeper-agent", "755"]
    assert "nologin" in succeed(system, "getent", "passwd", "sitekeeper-agent")
    assert not any((system / CONFIG).iterdir()), "no sample that an unconfigured site would run with"
    assert inside(system, "sitekeeper-agent", "doctor").returncode == 1

    (system / CONFIG / "agent.yaml").write_text(
        "site: '0417'\narea: lab\nbroker: {host: b.example}\nportal: http://p.example/\n"
    )
    asked = inside(system, "sitekeeper-agent", "commission", "--help")
    assert asked.returncode == 0, "as root it becomes the agent's user first"
    (system / STATE / "spool.db").write_bytes(b"samples")
    assert "not configured" not in succeed(system, "dpkg", "-i", "/root/next.deb")
    version = succeed(system, "dpkg-query", "-W", "-f", "${Status} ${Version}", "sitekeeper-agent")
    assert version == "install ok installed 0.1.0+next"
    assert (system / STATE / "spool.db").read_bytes() == b"samples"
    assert "0417" in (system / CONFIG / "agent.yaml").read_text()
    assert not (system / "run/sitekeeper-agent").exists(), "the mark of an upgrade is taken away after it"

    succeed(system, "dpkg", "--remove", "sitekeeper-agent")
    assert (system / STATE / "spool.db").exists() and (system / CONFIG / "agent.yaml").exists()
    assert not (system / MODULES).exists()
    succeed(system, "dpkg", "-i", "/root/first.deb")
    succeed(system, "dpkg", "--purge", "sitekeeper-agent")
    for deb in ("first.deb", "next.deb"):
        (system / "root" / deb).unlink()
    after = state_of(system)
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} <= {"etc/.pwd.lock"}
    assert inside(system, "getent", "passwd", "sitekeeper-agent").returncode != 0


def configure(system: Path, port: int) -> None:
    (system / CONFIG / "agent.yaml").write_text(
        f"site: '0417'\narea: lab\nbroker: {{host: 127.0.0.1, port: {port}, tls: false}}\nportal: http://127.0.0.1:9/\n"
        "sample_interval_s: 1\nreport_interval_s: 2\nsite_page: {enabled: false}\n"
    )
    quick = system / "etc/systemd/system/sitekeeper-agent.service.d/quick.conf"
    quick.parent.mkdir(parents=True)
    quick.write_text("[Service]\nWatchdogSec=4s\nRestartSec=1s\n")


def goodbyes(county: County) -> list[str]:
    return [status.reason for status in county.statuses if status.presence is Presence.STOPPING]


def restarted(machine: Booted, restarts: str) -> bool:
    return machine.property("NRestarts") != restarts


def reports_anew(county: County, runs: int) -> bool:
    return len(county.stored) > runs


def check_confinement(machine: Booted) -> None:
    """The one capability and nothing else, behind the filter of system calls."""
    status = machine.run("cat", f"/proc/{machine.property('MainPID')}/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {CAP_NET_RAW}
    assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2"
    assert "0" not in fields["Uid"].split()


def check_handover(machine: Booted) -> None:
    """The process that systemd started has begun anew without YAML, is still the main one, and still speaks to systemd."""
    pid = machine.property("MainPID")
    assert pid == machine.property("ExecMainPID") and machine.property("NRestarts") == "0"
    begun_with = machine.run("sh", "-c", f"tr '\\0' '\\n' < /proc/{pid}/environ").stdout.splitlines()
    assert any(line.startswith("SITEKEEPER_SETTINGS_FD=") for line in begun_with), begun_with
    assert any(line.startswith("NOTIFY_SOCKET=") for line in begun_with)
    assert "yaml" not in machine.run("cat", f"/proc/{pid}/maps").stdout
    beaten = machine.property("WatchdogTimestampMonotonic")
    wait_until(lambda: machine.property("WatchdogTimestampMonotonic") != beaten, "the watchdog is fed", 30, every_s=0.2)
    assert machine.property("MainPID") == pid


ASK = """
import time
from sitekeeper_agent.platform import session_idle
from sitekeeper_agent.probes import Context, parse_portal
from sitekeeper_agent.probes.dialin import last_word_of_journal
print(session_idle(5), last_word_of_journal(Context(parse_portal("http://p.example/"), time.monotonic() + 20), {}).name)
"""


def check_senses(machine: Booted) -> None:
    """As the agent's user: the real logind answers, and pppd's words in the real journal can be read, with the group alone."""
    machine.run("logger", "-t", "pppd", "PAP authentication failed")
    machine.run("logger", "-t", "other", "PAP authentication succeeded")
    machine.run("journalctl", "--sync")
    user = "--reuid=sitekeeper-agent --regid=sitekeeper-agent"
    command = ["env", f"PYTHONPATH=/{MODULES}", "python3", "-c", ASK]
    asked = machine.run("setpriv", *user.split(), "--groups=systemd-journal", *command)
    assert asked.stdout.startswith("Idle(hint=") and asked.stdout.split()[-1] == "PPPOE_REJECTED", asked
    assert machine.run("setpriv", *user.split(), "--clear-groups", *command).stdout.split()[-1] == "NONE"
    groups = machine.run("cat", f"/proc/{machine.property('MainPID')}/status").stdout.partition("Groups:")[2].splitlines()[0]
    journal = machine.run("getent", "group", "systemd-journal").stdout.split(":")[2]
    assert journal in groups.split()


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.broker
def test_under_a_real_systemd_it_reports_recovers_and_says_goodbye(package: Path, system: Path, tmp_path: Path) -> None:
    """One boot: unconfigured, configured, begun anew without YAML, killed, hung, upgraded, switched off."""
    shutil.copyfile(package, system / "root/first.deb")
    succeed(system, "dpkg", "-i", "/root/first.deb")
    with (
        mosquitto(tmp_path / "broker") as broker,
        county_at(broker.port) as county,
        booted(system, tmp_path / "console.log") as machine,
    ):
        assert machine.property("ActiveState") == "inactive", "a site without configuration is no failure"
        assert machine.property("ConditionResult") == "no"
        configure(system, broker.port)
        machine.run("systemctl", "daemon-reload")
        assert machine.run("systemctl", "start", "sitekeeper-agent").returncode == 0, machine.journal()
        county.wait_for(lambda c: len(c.samples()) > 3, "samples arrive", timeout_s=90)
        check_confinement(machine)
        check_handover(machine)
        check_senses(machine)
        wait_until(lambda: machine.property("StatusText") == "connected", lambda: machine.property("StatusText"), every_s=0.2)

        for number, reason in (("KILL", "signal"), ("STOP", "watchdog")):
            runs, restarts = len(county.stored), machine.property("NRestarts")
            machine.run("systemctl", "kill", "--kill-whom=main", f"--signal={number}", "sitekeeper-agent")
            wait_until(partial(restarted, machine, restarts), machine.journal, 60, every_s=0.2)
            wait_until(partial(reports_anew, county, runs), f"a new run reports after {reason}", 90)
        assert "Watchdog timeout" in machine.journal()

        assert goodbyes(county) == []
        machine.run("dpkg", "-i", "/root/first.deb")
        wait_until(lambda: goodbyes(county) == ["upgrade"], lambda: f"{goodbyes(county)} {machine.journal()}")
        wait_until(lambda: machine.property("StatusText") == "connected", machine.journal, 60, every_s=0.2)
        machine.run("systemctl", "poweroff")
        wait_until(lambda: goodbyes(county) == ["upgrade", "shutdown"], lambda: f"{goodbyes(county)} {machine.log()}")
