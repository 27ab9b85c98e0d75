"""What a disk says of its own health is asked once a day, understood, and can't hurt whoever asks."""

import os
import time
from pathlib import Path

import pytest

from sitekeeper_agent.probes import program, smart
from sitekeeper_protocol.vocabulary import SmartState
from support.system_trees import tree
from support.wait import wait_until

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def reply(body: str) -> bytes:
    return ("{" + body + "}").encode()


def failed(*words: str, status: int = 2) -> bytes:
    lines = ",".join(f'"{word}"' for word in words)
    messages = ",".join(f'{{"string":"{word}","severity":"error"}}' for word in words)
    return reply(f'"smartctl":{{"version":[7,3],"output":[{lines}],"messages":[{messages}],"exit_status":{status}}}')


def ata(passed: str, *attributes: tuple[int, int], status: int = 0) -> bytes:
    table = ",".join(
        f'{{"id":{number},"name":"x","value":100,"raw":{{"value":{raw},"string":"{raw}"}}}}' for number, raw in attributes
    )
    return reply(
        f'"smartctl":{{"exit_status":{status}}},"serial_number":"SECRET","smart_status":{{"passed":{passed}}},'
        f'"ata_smart_attributes":{{"revision":16,"table":[{table}]}}'
    )


def nvme(passed: str, warning: int, errors: int = 0, used: int = 3) -> bytes:
    log = f'"critical_warning":{warning},"media_errors":{errors},"percentage_used":{used},"temperature":80'
    return reply(f'"smart_status":{{"passed":{passed}}},"nvme_smart_health_information_log":{{{log}}}')


@pytest.mark.parametrize(
    ("output", "state"),
    [
        (ata("true", (5, 0), (197, 0)), SmartState.PASSED),
        # Sectors that the disk has replaced by others do no harm any more.
        (ata("true", (5, 12), (9, 40000)), SmartState.PASSED),
        (ata("true", (197, 8)), SmartState.WORN),
        (ata("true", (198, 1)), SmartState.WORN),
        (ata("false", (197, 8)), SmartState.FAILING),
        (ata("true", status=0x08), SmartState.FAILING),
        (nvme("true", 0), SmartState.PASSED),
        (nvme("true", 0, used=104), SmartState.WORN),
        (nvme("true", 0, errors=2), SmartState.WORN),
        (nvme("false", 0x04), SmartState.FAILING),
        # Too warm now, which temperature_c tells: the disk is sound.
        (nvme("false", 0x02), SmartState.PASSED),
        # As smartctl 7.3 says them.
        (failed("Smartctl open device: /dev/sda failed: Operation not permitted"), SmartState.NO_RIGHTS),
        (failed("Smartctl open device: /dev/sda failed: Permission denied"), SmartState.NO_RIGHTS),
        (failed("/dev/vda: Unable to detect device type", status=1), SmartState.NOT_OFFERED),
        (failed("/dev/sdb: Unknown USB bridge [0x1234:0x5678 (0x100)]", status=1), SmartState.NOT_OFFERED),
        (reply('"smart_support":{"available":false}'), SmartState.NOT_OFFERED),
        (b"", SmartState.UNKNOWN),
        (b"smartctl: not json\n", SmartState.UNKNOWN),
        (b'{"smart_status":{"passed":"yes"}}', SmartState.UNKNOWN),
        (b'{"smart_status":null}', SmartState.UNKNOWN),
        (b"[" * 200_000, SmartState.UNKNOWN),
        (b'{"smartctl":{"messages":[' + b"{}," * 5000 + b"{}]}}", SmartState.UNKNOWN),
        (b"\xff\xfe\x00", SmartState.UNKNOWN),
    ],
)
def test_a_reply_says_one_thing_of_the_disk(output: bytes, state: SmartState) -> None:
    assert smart.judge(smart.parse(output)) is state


def test_a_disk_that_sleeps_is_left_asleep_and_one_that_answers_is_not_taken_for_asleep() -> None:
    asleep = smart.parse(failed("Device is in STANDBY mode, exit(2)"))
    awake = smart.parse(ata("true"))
    assert asleep is not None and smart.asleep(asleep)
    assert awake is not None and not smart.asleep(awake)


# --- with a program that answers -----------------------------------------------------------------------------------------


class Tool:
    """A ``smartctl`` on the PATH, which notes each call and does what ``script`` says."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.roots = tree(folder, {"dev/sda": "", "dev/sdb": ""})
        (folder / "bin").mkdir()
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")

    def does(self, script: str) -> None:
        path = self.folder / "bin/smartctl"
        path.write_text(f'#!/bin/sh\necho "$@" >>{self.calls}\n{script}\n')
        path.chmod(0o755)

    def says(self, output: bytes) -> None:
        (self.folder / "answer").write_bytes(output)
        self.does(f"cat {self.folder / 'answer'}")

    @property
    def asked(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def step(self, before: dict[str, int], now_ms: int, *names: str) -> tuple[dict[str, SmartState], dict[str, int]]:
        deadline = time.monotonic() + 5
        return smart.step(names or ("sda",), before, now_ms=now_ms, every_ms=DAY_MS, deadline=deadline, roots=self.roots)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    return Tool(tmp_path, monkeypatch)


def test_a_disk_is_asked_in_the_second_round_then_once_a_day_and_its_state_stands_between(tool: Tool) -> None:
    tool.says(ata("true"))
    states, counters = tool.step({}, 1000)
    assert (states, tool.asked) == ({}, [])
    states, counters = tool.step(counters, 2000)
    assert states == {"sda": SmartState.PASSED}
    assert tool.asked == [f"--json=co -n standby -i -H -A {tool.folder}/dev/sda"]
    tool.says(ata("false"))
    states, counters = tool.step(counters, 2000 + DAY_MS - 1)
    assert states == {"sda": SmartState.PASSED} and len(tool.asked) == 1
    states, counters = tool.step(counters, 2000 + DAY_MS)
    assert states == {"sda": SmartState.FAILING} and len(tool.asked) == 2


def test_one_disk_is_asked_in_a_round(tool: Tool) -> None:
    tool.says(ata("true"))
    _, counters = tool.step({}, 0, "sda", "sdb")
    states, counters = tool.step(counters, 1, "sda", "sdb")
    assert states == {"sda": SmartState.PASSED} and len(tool.asked) == 1
    states, counters = tool.step(counters, 2, "sda", "sdb")
    assert states == {"sda": SmartState.PASSED, "sdb": SmartState.PASSED} and len(tool.asked) == 2


def test_a_disk_that_sleeps_keeps_its_state_and_is_asked_again_after_an_hour(tool: Tool) -> None:
    tool.says(failed("Device is in STANDBY mode, exit(2)"))
    states, counters = tool.step({"smart sda": SmartState.WORN.value, "smart_at sda": 0}, 0)
    assert states == {"sda": SmartState.WORN} and counters["smart_at sda"] == HOUR_MS


@pytest.mark.parametrize(
    "script", ["yes '{' | head -c 50000000", "exec sleep 600", "sleep 600 & echo '{}'", "kill -9 $$", "cat /dev/zero"]
)
def test_a_tool_that_never_ends_or_never_stops_talking_costs_one_reading(tool: Tool, script: str) -> None:
    tool.does(script)
    soon = time.monotonic() + 1.0
    states, counters = smart.step(("sda",), {"smart_at sda": 0}, now_ms=0, every_ms=DAY_MS, deadline=soon, roots=tool.roots)
    assert states == {"sda": SmartState.UNKNOWN} and counters["smart_at sda"] == HOUR_MS


def test_a_disk_that_may_not_be_read_is_a_fact_and_no_program_is_started(tool: Tool) -> None:
    tool.says(ata("true"))
    gone = tool.roots._replace(dev=str(tool.folder / "nothing"))
    states, _ = smart.step(("sda",), {"smart_at sda": 0}, now_ms=0, every_ms=DAY_MS, deadline=time.monotonic() + 5, roots=gone)
    assert states == {"sda": SmartState.NO_RIGHTS} and tool.asked == []


def test_counters_that_make_no_sense_are_not_believed(tool: Tool) -> None:
    tool.says(ata("true"))
    states, counters = tool.step({"smart sda": 99, "smart_at sda": 2**60}, 5)
    assert states == {"sda": SmartState.PASSED} and counters == {"smart sda": 0, "smart_at sda": 5 + DAY_MS}


# --- asking any program --------------------------------------------------------------------------------------------------


def test_a_program_answers_with_its_code_and_its_output() -> None:
    assert program.ask(["/bin/sh", "-c", "echo 课; exit 3"], deadline=time.monotonic() + 10) == (3, "课\n".encode())
    assert program.ask(["/nonexistent/tool"], deadline=time.monotonic() + 10) is None
    assert program.ask(["/bin/true"], deadline=0.0) is None


def test_what_a_program_has_started_ends_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    command = ["/bin/sh", "-c", f"sleep 600 & echo $! >{note}; exec yes"]
    assert program.ask(command, deadline=time.monotonic() + 60, most_bytes=1000) is None
    stat = Path("/proc") / note.read_text().strip() / "stat"

    def ended() -> bool:
        try:
            return stat.read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_until(ended, "the end of what the program had started")


def test_a_program_is_found_where_the_system_keeps_its_tools(tool: Tool) -> None:
    assert program.find("smartctl-that-nobody-has") is None
    tool.does("true")
    assert program.find("smartctl") == str(tool.folder / "bin/smartctl")
