"""Live messages as lines that a person can read. What a site sends is shown, never obeyed: no byte steers the terminal."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sitekeeper_collector.cli_samples import values_of
from sitekeeper_collector.cli_text import identity, instant, safe
from sitekeeper_protocol import codec
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import Presence, Receipt, Report, Sample, Status
from sitekeeper_protocol.topics import Leaf, parse
from sitekeeper_protocol.vocabulary import Metric, Rung, State, from_wire

MAX_LINE = 2000
"""A longer line is cut: one message must not push everything else off the screen."""

_COLOURS: Mapping[str, str] = MappingProxyType(
    {"report": "36", "receipt": "32", "status": "35", "config": "33", "command": "33", "result": "33", "refused": "31"}
)


def line(topic: str, payload: bytes, *, retained: bool, received_ms: int, colour: bool = False) -> str:
    """One message as one line."""
    kind, text = _content(topic, payload)
    state = " (retained)" if retained else ""
    head = f"{instant(received_ms)[11:]} {safe(topic)[:160]}{state}"
    whole = f"{head}  {text}"
    if len(whole) > MAX_LINE:
        whole = whole[: MAX_LINE - 1] + "…"
    return f"\x1b[{_COLOURS.get(kind, '0')}m{whole}\x1b[0m" if colour else whole


def raw_line(topic: str, payload: bytes, *, retained: bool, received_ms: int) -> str:
    """One message with its bytes in hexadecimal, in full."""
    state = " (retained)" if retained else ""
    return f"{instant(received_ms)[11:]} {safe(topic)}{state}  {len(payload)} B  {payload.hex()}"


def _content(topic: str, payload: bytes) -> tuple[str, str]:
    try:
        address = parse(topic)
        return str(address.leaf), _SAY[address.leaf](payload) if payload else "cleared"
    except ProtocolError as err:
        return "refused", f"not readable: {safe(err)}; {len(payload)} B: {payload[:24].hex()}{'…' if len(payload) > 24 else ''}"


def _report(payload: bytes) -> str:
    report = codec.decode_report(payload)
    header = report.header
    span = f"samples {header.first} to {header.last}" if header.count else "no samples"
    flow = "backlog" if header.backlog else "live"
    parts = [
        f"run {identity(header.run)} report {header.number} {flow}: {span}, {len(payload)} B",
        "wants a receipt" if header.wants_receipt else "",
        f"no round trip yet, wall clock {instant(report.sent_wall_ms)}" if report.clock is None else "",
        *(f"dropped {drop.first} to {drop.last} of {identity(drop.run)}" for drop in report.drops),
        _newest(report),
    ]
    return "; ".join(part for part in parts if part)


def _newest(report: Report) -> str:
    if not report.samples:
        return ""
    newest = report.samples[-1]
    shown = [_verdict(newest), *(f"{name} {text}" for name, text in _figures(newest))]
    events = [_json(event) for sample in report.samples for event in sample.events]
    facts = [_json(sample.facts) for sample in report.samples if sample.facts]
    return ", ".join(part for part in shown if part) + "".join(f"; {text}" for text in events + facts)


def _verdict(sample: Sample) -> str:
    code = sample.values.get((Metric.VERDICT_STATE, ""))
    rung = sample.values.get((Metric.VERDICT_RUNG, ""))
    if code is None:
        return ""
    at = f" at {_word(Rung, rung)}" if rung is not None else ""
    return f"verdict {_word(State, code)}{at}"


def _word(words: type[State] | type[Rung], code: int) -> str:
    try:
        return words(code).name.lower()
    except ValueError:
        return str(code)


def _figures(sample: Sample) -> list[tuple[str, str]]:
    figures = []
    for metric, name in ((Metric.CPU_RATIO, "cpu"), (Metric.MEMORY_AVAILABLE_RATIO, "memory free")):
        value = sample.values.get((metric, ""))
        if value is not None:
            figures.append((name, f"{from_wire(metric, value):.0%}"))
    times = [(v.instance, v.value) for v in values_of(sample, frozenset({int(Metric.RUNG_RTT_MS)}))]
    return figures + [(safe(instance), f"{value:.1f} ms") for instance, value in times]


def _receipt(payload: bytes) -> str:
    receipt: Receipt = codec.decode_receipt(payload)
    runs = ", ".join(
        f"{identity(run.run)} through {run.through}" + "".join(f" and {first}-{last}" for first, last in run.ranges)
        for run in receipt.runs
    )
    answers = f"answers report {receipt.number} of {identity(receipt.run)}" if receipt.number else "unasked"
    refused = f"; refused {', '.join(str(number) for _, number in receipt.refused)}" if receipt.refused else ""
    tickets = f"; tickets {safe(', '.join(receipt.tickets))}" if receipt.tickets else ""
    return f"epoch {identity(receipt.epoch)} {answers}{' (complete)' if receipt.complete else ''}: {runs}{refused}{tickets}"


def _status(payload: bytes) -> str:
    status: Status = codec.decode_status(payload)
    reason = f" ({safe(status.reason)})" if status.reason else ""
    said = " by the broker" if status.presence == Presence.LOST else ""
    return f"{status.presence}{reason}{said}: run {identity(status.run)} connection {status.connection}"


def _plain(decode: Callable[[bytes], Any]) -> Callable[[bytes], str]:
    return lambda payload: _json(decode(payload))


def _json(value: Any) -> str:
    return safe(json.dumps(codec.to_builtins(value), ensure_ascii=False, default=str))


_SAY: Mapping[Leaf, Callable[[bytes], str]] = MappingProxyType(
    {
        Leaf.REPORT: _report,
        Leaf.RECEIPT: _receipt,
        Leaf.STATUS: _status,
        Leaf.CONFIG: _plain(codec.decode_config),
        Leaf.COMMAND: _plain(codec.decode_command),
        Leaf.RESULT: _plain(codec.decode_result),
    }
)
