"""What disks say of their own health, by ``smartctl`` of smartmontools where it is installed, one disk at a time."""

import os
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sitekeeper_agent.platform import Roots
from sitekeeper_agent.probes import program
from sitekeeper_protocol.vocabulary import SmartState

ANSWER_S = 8.0
_LATER_MS = 3_600_000
"""A disk that sleeps, or whose answer made no sense, is asked again after an hour; so is a machine without the tool."""
_MOST_BYTES = 256 * 1024
# Exit status of smartctl(8), bit 3: the disk says that it is failing.
_FAILING_BIT = 0x08
# Critical warnings of NVMe's log page 02h: spare, reliability, read only, backup. Bit 1 is temperature, no fault of the disk.
_NVME_WARNINGS = 0x01 | 0x04 | 0x08 | 0x10
_LOST_DATA = {187, 197, 198}
"""ATA attributes: reported uncorrectable, pending, and offline uncorrectable sectors."""


class _Message(Struct, frozen=True):
    string: str = ""


class _Run(Struct, frozen=True):
    exit_status: int = 0
    messages: Annotated[list[_Message], Meta(max_length=100)] = []
    output: Annotated[list[str], Meta(max_length=2000)] = []


class _Status(Struct, frozen=True):
    passed: bool | None = None


class _Support(Struct, frozen=True):
    available: bool = True


class _Raw(Struct, frozen=True):
    value: int = 0


class _Attribute(Struct, frozen=True):
    id: int = 0
    raw: _Raw = _Raw()


class _Attributes(Struct, frozen=True):
    table: Annotated[list[_Attribute], Meta(max_length=256)] = []


class _Nvme(Struct, frozen=True):
    critical_warning: int = 0
    media_errors: int = 0
    percentage_used: int = 0


class Reply(Struct, frozen=True):
    """The parts of ``smartctl --json`` that matter; all may be missing."""

    smartctl: _Run = _Run()
    smart_support: _Support = _Support()
    smart_status: _Status = _Status()
    ata_smart_attributes: _Attributes = _Attributes()
    nvme_smart_health_information_log: _Nvme | None = None


_decode = msgspec.json.Decoder(Reply).decode


def parse(output: bytes) -> Reply | None:
    """A reply, or ``None`` for anything that is none."""
    try:
        return _decode(output)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def asleep(reply: Reply) -> bool:
    """Whether the disk was left asleep, in one of the ways that a disk can sleep."""
    words = _words(reply)
    return reply.smart_status.passed is None and "Device is in " in words and " mode, exit" in words


def judge(reply: Reply | None) -> SmartState:
    """What a reply says of the disk."""
    if reply is None:
        return SmartState.UNKNOWN
    nvme = reply.nvme_smart_health_information_log
    if nvme is not None:
        # Here "passed" also turns false when it is too warm.
        failing = bool(nvme.critical_warning & _NVME_WARNINGS)
        worn = nvme.media_errors > 0 or nvme.percentage_used >= 100
    else:
        failing = reply.smart_status.passed is False or bool(reply.smartctl.exit_status & _FAILING_BIT)
        worn = any(a.id in _LOST_DATA and a.raw.value > 0 for a in reply.ata_smart_attributes.table)
    if failing:
        return SmartState.FAILING
    if worn:
        return SmartState.WORN
    if reply.smart_status.passed or nvme is not None:
        return SmartState.PASSED
    return _silence(reply)


def _silence(reply: Reply) -> SmartState:
    words = _words(reply)
    if "ermission denied" in words or "not permitted" in words:
        return SmartState.NO_RIGHTS
    unable = ("Unavailable", "lacks SMART", "Unknown USB bridge", "Unable to detect device type", "does not support SMART")
    if not reply.smart_support.available or any(word in words for word in unable):
        return SmartState.NOT_OFFERED
    return SmartState.UNKNOWN


def _words(reply: Reply) -> str:
    return "\n".join([*(m.string for m in reply.smartctl.messages), *reply.smartctl.output])


def step(
    names: tuple[str, ...], before: Mapping[str, int], *, now_ms: int, every_ms: int, deadline: float, roots: Roots
) -> tuple[dict[str, SmartState], dict[str, int]]:
    """The states as far as they are known, and the counters to come back with; asks one disk at most, if one is due.

    The first round only takes note: whoever looks once, or has just switched on, is not kept waiting.
    """
    known = {name: SmartState(s) for name in names if (s := before.get(f"smart {name}", -1)) in SmartState.__members__.values()}
    due = {name: before.get(f"smart_at {name}", now_ms) for name in names}
    asked = next((name for name in names if f"smart_at {name}" in before and _reached(due[name], now_ms, every_ms)), None)
    if asked is not None:
        state, wait_ms = _ask(asked, every_ms, deadline, roots)
        due[asked] = now_ms + wait_ms
        if state is not None:
            known[asked] = state
    counters = {f"smart {name}": state.value for name, state in known.items()}
    counters.update({f"smart_at {name}": at for name, at in due.items()})
    return known, counters


def _reached(due_ms: int, now_ms: int, every_ms: int) -> bool:
    # A date too far ahead is none of this program's.
    return due_ms <= now_ms or due_ms > now_ms + max(every_ms, _LATER_MS)


def _ask(disk: str, every_ms: int, deadline: float, roots: Roots) -> tuple[SmartState | None, int]:
    """(what it says, when to ask again); the state is ``None`` where there is nothing new to say."""
    later_ms = min(_LATER_MS, every_ms)
    tool = program.find("smartctl")
    if tool is None:
        return None, later_ms
    device = f"{roots.dev}/{disk}"
    if not os.access(device, os.R_OK):
        return SmartState.NO_RIGHTS, every_ms
    answer = program.ask(
        [tool, "--json=co", "-n", "standby", "-i", "-H", "-A", device], deadline=deadline, most_bytes=_MOST_BYTES
    )
    reply = parse(answer.output) if answer else None
    if reply is not None and asleep(reply):
        return None, later_ms
    state = judge(reply)
    return state, later_ms if state == SmartState.UNKNOWN else every_ms
