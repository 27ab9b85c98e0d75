"""A small county in a real InfluxDB, and Grafana's part in asking it: putting values into the variables of a query."""

import json
import random
import re
import urllib.parse
import urllib.request
from itertools import pairwise
from typing import Any, NamedTuple

from sitekeeper_collector.domain.ledger import Segment, Source, Was
from sitekeeper_collector.domain.tickets import TicketState
from sitekeeper_collector.series import schema
from sitekeeper_collector.series.lines import Whereabouts, collector_line, ledger_lines, point
from sitekeeper_protocol.vocabulary import Kind, Party
from support.series_stores import BUCKET

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
BEGIN_MS = 1_790_000_000_000 // DAY_MS * DAY_MS
END_MS = BEGIN_MS + 4 * DAY_MS
FROM_MS, TO_MS = BEGIN_MS + 9 * HOUR_MS, BEGIN_MS + 3 * DAY_MS + 15 * HOUR_MS + 7
SITES = tuple(
    Whereabouts(f"v{at}", "Anxi", ("East (1)", "West/2")[at % 2], ("olt.1", "olt|2", "olt 3")[at % 3]) for at in range(6)
)
NEVER_UP = "v5"
_NS = 1_000_000


class County(NamedTuple):
    """The lines to write, and the truth that the ledger's come from."""

    lines: list[bytes]
    pictures: dict[str, list[Segment]]
    tickets: dict[str, list[dict[str, Any]]]


def county(seed: int = 7) -> County:
    """Four days of six sites; the first version of each site's ledger is another one, which has been amended."""
    chance = random.Random(seed)
    lines: list[bytes] = []
    pictures: dict[str, list[Segment]] = {}
    made: dict[str, list[dict[str, Any]]] = {}
    for where in SITES:
        first, last = _picture(chance), _picture(chance)
        if where.site == NEVER_UP:
            last = [one if one.was not in (Was.UP, Was.DEGRADED) else one._replace(was=Was.OFF) for one in last]
        lines += ledger_lines(where, [], first) + ledger_lines(where, first, last)
        pictures[where.site] = last
        made[where.site] = _tickets(chance)
        for ticket in made[where.site]:
            fields = {name: value for name, value in ticket.items() if name != "opened_ms"}
            lines.append(_line(schema.TICKET, where, fields, ticket["opened_ms"], only_site=True))
        lines += _measured(chance, where)
    for at in range(BEGIN_MS, END_MS, HOUR_MS):
        values = {field.name: float(chance.randrange(100)) for field in schema.COLLECTOR.fields}
        line = collector_line("collector", values, at)
        assert line is not None
        lines.append(line)
    return County(lines, pictures, made)


def _picture(chance: random.Random) -> list[Segment]:
    cuts = {BEGIN_MS + day * DAY_MS for day in range(5)} | {chance.randrange(BEGIN_MS, END_MS) for _ in range(20)}
    edges = sorted(cuts)
    found = []
    for start, end in pairwise(edges):
        was = chance.choice(list(Was))
        faulty = was in (Was.LINE, Was.GATEWAY, Was.LINK, Was.PLATFORM)
        found.append(
            Segment(start, end, was, Source.SITE, Kind.LINE_DOWN if faulty else None, Party.TELECOM if faulty else None)
        )
    return found


def _tickets(chance: random.Random) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in range(5):
        opened_ms = chance.randrange(BEGIN_MS, END_MS - DAY_MS)
        state = chance.choice(list(TicketState))
        over_ms = opened_ms + chance.randrange(HOUR_MS, DAY_MS)
        found.append(
            {
                "opened_ms": opened_ms,
                "number": f"261101-{number}",
                "kind": chance.choice((Kind.LINE_DOWN, Kind.DISK_FULL)),
                "party": chance.choice((Party.TELECOM, Party.TECHNICIAN)),
                "grade": "proven",
                "severity": "major",
                "state": state,
                "outage_from_ms": opened_ms - 1000,
                "outage_to_ms": over_ms,
                "outage_s": (over_ms - opened_ms + 1000) / 1000,
                "acknowledged_ms": opened_ms + 1000,
                "resolved_ms": over_ms if state is TicketState.RESOLVED else 0,
                "closed_ms": over_ms if state is TicketState.CLOSED else 0,
                "reopened": chance.randrange(2),
                "void": False,
            }
        )
    return found


def _measured(chance: random.Random, where: Whereabouts) -> list[bytes]:
    lines = []
    for at in range(BEGIN_MS, END_MS, HOUR_MS):
        for measurement in (schema.SITE, schema.RUNG, schema.TARGET):
            fields = {field.name: float(chance.randrange(5)) for field in measurement.fields}
            lines.append(_line(measurement, where, fields, at))
    for number in range(3):
        started_ms = chance.randrange(BEGIN_MS, END_MS)
        fault = {
            "kind": (Kind.AREA_OUTAGE, Kind.SITE_DARK, Kind.LINE_DOWN)[number],
            "party": Party.TELECOM,
            "grade": "inferred",
            "started_ms": started_ms,
            "lasting": number == 1,
            "duration_s": 0.0 if number == 1 else 60.0,
            "void": False,
        }
        lines.append(_line(schema.FAULT, where, fault, started_ms, only_site=True))
    return lines


def _line(
    measurement: schema.Measurement, where: Whereabouts, fields: dict[str, Any], at_ms: int, *, only_site: bool = False
) -> bytes:
    places = {"access_node": where.access_node, "county": where.county, "township": where.township}
    tags = {"site": where.site} if only_site else {**places, "site": where.site}
    if "target" in measurement.tags:
        tags["target"] = "ipv4/isp"
    found = point(measurement, tags, {**(places if only_site else {}), **fields}, at_ms * _NS)
    assert found is not None
    return found


# --- what Grafana does -------------------------------------------------------------------------------------------------

Chosen = dict[str, tuple[str, ...] | None]
"""Values of the variables; ``None``: all."""


def filled(query: str, chosen: Chosen, from_ms: int = FROM_MS, to_ms: int = TO_MS) -> str:
    """A query with Grafana's variables put in.

    https://grafana.com/docs/grafana/v11.0/dashboards/variables/variable-syntax/
    """

    def regex(match: re.Match[str]) -> str:
        values = chosen[match[1]]
        if values is None:
            return ".*"  # the "All" value of its own is put in as it is
        escaped = [re.sub(r"[\\^$.*+?()[\]{}|/]", r"\\\g<0>", value) for value in values]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"

    text = re.sub(r"\$\{(\w+):regex\}", regex, query)
    text = text.replace("${__from}", str(from_ms)).replace("${__to}", str(to_ms))
    text = text.replace("$timeFilter", f"time >= {from_ms}ms and time <= {to_ms}ms").replace("$__interval", "5m")
    assert "$" not in re.sub(r"\$/", "", text), f"a variable is left: {text}"
    return text


def write(url: str, lines: list[bytes]) -> None:
    """Write lines, or fail with what the store says."""
    for at in range(0, len(lines), 5000):
        with urllib.request.urlopen(f"{url}/write?db={BUCKET}", b"\n".join(lines[at : at + 5000]), timeout=60) as answer:
            assert answer.status == 204


def ask(url: str, statement: str) -> list[dict[str, Any]]:
    """The series of an answer. An error of the store is an ``AssertionError``."""
    query = urllib.parse.urlencode({"db": BUCKET, "q": statement, "epoch": "ms"})
    with urllib.request.urlopen(f"{url}/query?{query}", timeout=60) as answer:
        (result,) = json.load(answer)["results"]
    assert "error" not in result, f"{result['error']}: {statement}"
    series: list[dict[str, Any]] = result.get("series", [])
    return series
