"""Golden bytes of wire version 1: what was sent once must be read by every later release.

``PYTHONPATH=tests .venv/bin/python tests/protocol/golden_bytes.py`` writes the files of cases that have none yet, and says so
if one that is there would come out differently. It never changes a file: bytes of a released version stay as they are.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from sitekeeper_protocol import codec
from sitekeeper_protocol.messages import (
    ButtonEvent,
    Clock,
    Command,
    CommandName,
    EvidenceItem,
    PlaybackEvent,
    PlaybackEventRecord,
    PowerEvent,
    PowerEventRecord,
    Presence,
    Receipt,
    RemoteConfig,
    Report,
    Result,
    ResultState,
    RunReceipt,
    Sample,
    Scalar,
    SettingsEvent,
    Status,
    UnknownEvent,
    VerdictEvent,
)
from support.wire_values import typical_report

FOLDER = Path(__file__).with_name("golden") / "v1"
WALL_MS, BOOTTIME_MS = 1_800_000_000_000, 3_600_000


def report_of(*samples: Sample, **changes: Any) -> Report:
    header = replace(typical_report().header, first=samples[0].sequence if samples else 1, count=len(samples), oldest=1)
    return typical_report(samples=samples, header=header, **changes)


def every_event() -> Report:
    evidence = [
        EvidenceItem("ipv4", 1, 0, 0, 8, None, "enp3s0"),
        EvidenceItem("ipv4", 3, 3, 27, 5, None, "192.168.1.1"),
        EvidenceItem("ipv4", 6, 2, 10, 6, 4200, "192.168.1.1", "direct"),
    ]
    events = (
        VerdictEvent(2, 6, "dns_failure", "telecom", "proven", 10, "ipv4", 0, 0, evidence),
        PlaybackEventRecord(PlaybackEvent.STALLED, "mpv", "一年级语文", "E7", "buffer empty", 2300),
        PowerEventRecord(PowerEvent.POWER_LOST, "", 2**63 - 1, WALL_MS - 60_000, BOOTTIME_MS, 0),
        PowerEventRecord(PowerEvent.CLOCK_JUMPED, amount_ms=-94_694_400_000),
        SettingsEvent("dns", "192.168.1.1", "8.8.8.8"),
        ButtonEvent("repair", "12345678"),
        UnknownEvent(200, msgspec.msgpack.encode([200, {"of": "a newer agent"}])),
    )
    return report_of(Sample(sequence=9, wall_ms=WALL_MS, boottime_ms=BOOTTIME_MS, values={}, events=events))


def gaps_and_jumps() -> Report:
    values: list[dict[tuple[int, str], int]] = [
        {(20, ""): 87, (3, "ipv4/dns"): 2**53, (24, ""): -12},
        {(20, ""): 87},
        {(3, "ipv4/dns"): -(2**53), (24, ""): -12},
        {},
        {(20, ""): 87, (3, "ipv6/dns"): 5, (65535, "a newer metric"): 1},
    ]
    walls_ms = [946_684_800_000, 946_684_860_000, WALL_MS, WALL_MS + 60_000, -5]
    boottimes_ms = [BOOTTIME_MS + 60_000 * at for at in (0, 1, 2, 900, 901)]
    taken = (
        Sample(sequence=2**40 + at, wall_ms=wall_ms, boottime_ms=boottime_ms, values=row)
        for at, (wall_ms, boottime_ms, row) in enumerate(zip(walls_ms, boottimes_ms, values, strict=True))
    )
    return report_of(*taken, clock=None)


def of_an_earlier_boot() -> Report:
    report = typical_report(3, boot=7, sent_boot=2**32 - 1, sent_boottime_ms=1, sent_wall_ms=0, clock=Clock(5, 30_000))
    return replace(report, header=replace(report.header, backlog=True, run=2**63 - 1, connection=2**53, number=2**53))


def nothing_to_say() -> Report:
    report = report_of(boot=1, sent_boot=1, sent_wall_ms=0, sent_boottime_ms=0, next_within_s=0, clock=None, drops=())
    return replace(report, header=replace(report.header, run=1, wants_receipt=False))


def all_facts() -> Report:
    facts: dict[str, Scalar] = {
        "os": "Windows 10",
        "locale": "中文",
        "memory_mib": 2**64 - 1,
        "lowest": -(2**63),
        "battery": False,
        "gone": None,
    }
    return report_of(Sample(sequence=1, wall_ms=WALL_MS, boottime_ms=BOOTTIME_MS, values={(20, ""): 1}, facts=facts))


RECEIPT = Receipt(
    1, 2**63 - 1, 2**63 - 1, 42, WALL_MS, [RunReceipt(2**63 - 1, 40, [(42, 50), (60, 60)]), RunReceipt(5, 0)], True,
    [(2**63 - 1, 41)], 3, ["2027-0117"],
)  # fmt: skip

SETTINGS: dict[str, Any] = {"report_interval_s": 60, "anchors": ["10.0.0.1"], "debug": False, "x": None}

CASES: dict[str, Callable[[], Any]] = {
    "report_typical": typical_report,
    "report_of_every_event": every_event,
    "report_with_gaps_and_jumps": gaps_and_jumps,
    "report_of_an_earlier_boot": of_an_earlier_boot,
    "report_with_nothing_to_say": nothing_to_say,
    "report_with_all_kinds_of_facts": all_facts,
    "status_online": lambda: Status(1, Presence.ONLINE, 2**63 - 1, 7, "", WALL_MS),
    "status_stopping": lambda: Status(1, Presence.STOPPING, 77, 7, "shutdown", -5),
    "status_lost": lambda: Status(1, Presence.LOST, 1, 0),
    "receipt_full": lambda: RECEIPT,
    "receipt_of_nothing": lambda: Receipt(1, 1, 0, 0, WALL_MS),
    "config": lambda: RemoteConfig(
        1, 3, WALL_MS, {"report_interval_s": 60, "anchors": ["10.0.0.1"], "debug": False, "x": None}
    ),
    "command": lambda: Command(1, "c-17", CommandName.TRACE, WALL_MS, WALL_MS + 60_000, {"to": "10.0.0.1", "hops": 30}),
    "result": lambda: Result(1, "c-17", CommandName.TRACE, ResultState.DONE, WALL_MS, {"hops": 7}, "第7跳超时"),
}


def encoded(message: Any) -> bytes:
    return codec.encode_report(message) if isinstance(message, Report) else codec.encode(message)


def shown(message: Any) -> str:
    return json.dumps(codec.to_builtins(message), ensure_ascii=False, indent=1) + "\n"


def in_lines(payload: bytes) -> str:
    text = payload.hex()
    return "".join(f"{text[at : at + 96]}\n" for at in range(0, len(text), 96))


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    differing = 0
    for name, make in CASES.items():
        message = make()
        for path, content in (
            (FOLDER / f"{name}.hex", in_lines(encoded(message))),
            (FOLDER / f"{name}.json", shown(message)),
        ):
            if not path.exists():
                path.write_text(content, encoding="utf-8")
                print(f"wrote {path.name}")
            elif path.read_text(encoding="utf-8") != content:
                differing += 1
                print(f"{path.name} would come out differently; it stays as it is")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
