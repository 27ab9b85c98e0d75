"""``sitekeeper-collector samples | findings | quarantine``: what is stored, as a table or as JSON."""

import argparse
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sitekeeper_collector.cli_common import CliError, config_argument, load_settings, opened, positive, span_s
from sitekeeper_collector.cli_text import identity, instant, json_text, table
from sitekeeper_collector.store import queries
from sitekeeper_protocol.codec import to_builtins
from sitekeeper_protocol.messages import Sample
from sitekeeper_protocol.vocabulary import METRICS, Method, Metric, Reason, Rung, State, from_wire, metric_name

_WORDS: Mapping[str, type[State] | type[Reason] | type[Rung] | type[Method]] = {
    "state": State,
    "reason": Reason,
    "rung": Rung,
    "method": Method,
}


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the commands' arguments."""
    samples = commands.add_parser("samples", help="what is stored of the sites")
    config_argument(samples)
    samples.add_argument("--site", metavar="ID", help="of this site only")
    samples.add_argument("--since", type=span_s, default=3600, metavar="SPAN", help="received in the last 90s, 15m, 2h (1h)")
    samples.add_argument("--metric", type=_metrics, default=None, metavar="NAMES", help="these only, e.g. rung_state,cpu_ratio")
    samples.add_argument("--json", action="store_true", help="as JSON, one sample a line")
    samples.add_argument("--limit", type=positive, default=50, metavar="N", help="the newest N samples (50)")
    samples.set_defaults(handler=run_samples)
    findings = commands.add_parser("findings", help="what a person should look at")
    config_argument(findings)
    findings.add_argument("--all", action="store_true", help="closed ones too")
    findings.add_argument("--json", action="store_true", help="as JSON, one array")
    findings.set_defaults(handler=run_findings)
    quarantine = commands.add_parser("quarantine", help="messages that could not be taken in")
    config_argument(quarantine)
    quarantine.add_argument("--site", metavar="ID", help="of this site only")
    quarantine.add_argument("--limit", type=positive, default=50, metavar="N", help="the newest N (50)")
    quarantine.add_argument("--json", action="store_true", help="as JSON, one array, with the payload in hexadecimal")
    quarantine.set_defaults(handler=run_quarantine)


def _metrics(text: str) -> frozenset[int]:
    known = {metric.name.lower(): int(metric) for metric in Metric}
    chosen = set()
    for name in text.split(","):
        if name.strip() not in known:
            raise argparse.ArgumentTypeError(f"{name.strip()!r} is no metric; there are {', '.join(sorted(known))}")
        chosen.add(known[name.strip()])
    return frozenset(chosen)


class Value(NamedTuple):
    """A measured value as people read it."""

    metric: str
    instance: str
    value: float
    unit: str
    word: str
    """The name that the number stands for, where it stands for one."""


def values_of(sample: Sample, metrics: frozenset[int] | None) -> Iterator[Value]:
    """A sample's values with names and units, in the order of the metrics' numbers."""
    for (code, instance), integer in sorted(sample.values.items()):
        if metrics is None or code in metrics:
            facts = METRICS.get(code)  # type: ignore[call-overload]
            unit = facts.unit if facts else ""
            yield Value(metric_name(code), instance, from_wire(code, integer), unit, _word(unit, integer))


def _word(unit: str, integer: int) -> str:
    words = _WORDS.get(unit)
    if words is None:
        return ""
    try:
        return words(integer).name.lower()
    except ValueError:
        return ""


def run_samples(args: argparse.Namespace) -> int:
    """Print the newest samples, oldest first."""
    since_ms = int(time.time() * 1000) - args.since * 1000
    with opened(load_settings(args.config)) as store, store.read() as connection:
        rows = queries.samples(connection, site=args.site, since_ms=since_ms, limit=args.limit)
    rows.reverse()
    if args.json:
        for row in rows:
            print(json_text(_as_json(row, args.metric)))
    elif not rows:
        print("No sample was received in that time. Longer: --since 3d")
    else:
        print(
            table(("site", "time", "placed", "run", "number", "metric", "instance", "value", "unit"), _lines(rows, args.metric))
        )
    return 0


def _lines(rows: list[queries.SampleRecord], metrics: frozenset[int] | None) -> Iterator[tuple[object, ...]]:
    for row in rows:
        sample = row.content()
        head = (row.site, instant(row.placed_ms), row.placement, identity(row.run), row.sequence)
        for value in values_of(sample, metrics):
            shown = value.word or f"{value.value:g}"
            yield (*head, value.metric, value.instance, shown, "" if value.word else value.unit)
        if metrics is None:
            for event in sample.events:
                yield (*head, "event", type(event).__name__, json_text(to_builtins(event)), "")
            for name, fact in sample.facts.items():
                yield (*head, "fact", name, json_text(fact), "")


def _as_json(row: queries.SampleRecord, metrics: frozenset[int] | None) -> dict[str, Any]:
    sample = row.content()
    return {
        "site": row.site,
        "run": identity(row.run),
        "sequence": row.sequence,
        "placed_ms": row.placed_ms,
        "placement": row.placement,
        "received_ms": row.received_ms,
        "wall_ms": row.wall_ms,
        "boottime_ms": row.boottime_ms,
        "values": [value._asdict() for value in values_of(sample, metrics)],
        "events": [to_builtins(event) for event in sample.events],
        "facts": sample.facts,
    }


def run_findings(args: argparse.Namespace) -> int:
    """Print what a person should look at."""
    with opened(load_settings(args.config)) as store, store.read() as connection:
        found = queries.findings(connection, closed_too=args.all)
    if args.json:
        print(json_text([finding._asdict() for finding in found], indent=1))
    elif not found:
        print("Nothing was found.")
    else:
        titles = ("site", "finding", "times", "first", "last", "closed", "detail")
        rows = (
            (f.site, f.kind, f.count, instant(f.first_ms), instant(f.last_ms), instant(f.closed_ms), f.detail) for f in found
        )
        print(table(titles, rows))
    return 0


def run_quarantine(args: argparse.Namespace) -> int:
    """Print the newest messages that could not be taken in."""
    if args.site == "":
        raise CliError("--site needs an id")
    with opened(load_settings(args.config)) as store, store.read() as connection:
        kept = queries.quarantine(connection, site=args.site, limit=args.limit)
    if args.json:
        rows = [row._asdict() | {"payload": row.payload.hex()} for row in kept]
        print(json_text(rows, indent=1))
    elif not kept:
        print("Nothing is in quarantine.")
    else:
        lines = ((row.site, row.topic, instant(row.received_ms), row.code, row.size, row.detail) for row in kept)
        print(table(("site", "topic", "received", "code", "bytes", "detail"), lines))
    return 0
