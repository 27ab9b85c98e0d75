"""The schema of the time series, as data: measurements, their tags, and fields with units. ``docs/series.md`` is made of it.

Every store pays by the series, so there are few measurements, tags take few values, and what may be amended is a field.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from types import MappingProxyType
from typing import NamedTuple

from sitekeeper_protocol.vocabulary import METRICS, Metric


@unique
class Form(StrEnum):
    """How a field's values are written. A field never changes its form: InfluxDB refuses a line that does."""

    FLOAT = "float"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TEXT = "text"


class Field(NamedTuple):
    """A field; ``unit`` is empty where there is none. ``slow``: while its value stays, it is written every ``SLOW_MS`` only."""

    name: str
    unit: str
    form: Form
    meaning: str
    slow: bool = False


class Measurement(NamedTuple):
    """A measurement. ``tags`` are in the order in which they are written: by name, which costs InfluxDB least.

    ``amended``: its points may be written again with other fields, and made void; stores that neither overwrite points nor
    keep text don't get them.
    """

    name: str
    meaning: str
    tags: tuple[str, ...]
    fields: tuple[Field, ...]
    amended: bool = False

    def forms(self) -> Mapping[str, Form]:
        """The form of each field, in the order in which fields are written."""
        return {field.name: field.form for field in self.fields}


TAGS: MappingProxyType[str, str] = MappingProxyType(
    {
        "access_node": "access node of the site's line, from the register",
        "county": "county of the site, from the register",
        "site": "number of the site",
        "target": "what was measured at the site: path/rung, stream, player, volume, interface, disk, device; at most "
        "64 for each site. In `collector`: which of its processes",
        "township": "township of the site, from the register",
    }
)
_SITE = ("access_node", "county", "site", "township")
_TARGET = ("access_node", "county", "site", "target", "township")

SLOW_MS = 15 * 60_000
"""How long the value of a slow field may go unsaid while it stays the same."""
# What hardly ever changes. Not the states of the ladder: timelines and shares of time are made of them.
_SLOW = frozenset(
    {
        Metric.RUNG_REASON,
        Metric.RUNG_METHOD,
        Metric.PORTAL_STATUS,
        Metric.PORTAL_CERTIFICATE_DAYS,
        Metric.AGENT_RSS_BYTES,
        Metric.SPOOL_BYTES,
        Metric.PROBES_HUNG,
        Metric.CLOCK_OFFSET_S,
        Metric.CPU_LIMIT_RATIO,
        Metric.DISPLAYS,
        Metric.AUDIO_OUTPUTS,
        Metric.EQUIPMENT_EXPECTED,
        Metric.EQUIPMENT_ABSENT,
        Metric.SETTINGS_DIFFERING,
        Metric.BROKER_CONNECTED,
        Metric.BROKER_REASON,
        Metric.COMMISSIONED,
        Metric.DATA_BUDGET_LEFT_BYTES,
        Metric.DISK_FREE_BYTES,
        Metric.DISK_USED_RATIO,
        Metric.DISK_READONLY,
        Metric.DISK_IO_ERRORS,
        Metric.SMART_STATE,
        Metric.EQUIPMENT_PRESENT,
        Metric.LINK_SPEED_MBPS,
        Metric.LINK_FULL_DUPLEX,
        Metric.LINE_PROBES,
        Metric.LINE_LOSS_RATIO,
        Metric.LINE_RTT_P50_MS,
        Metric.LINE_RTT_P95_MS,
        Metric.LINE_JITTER_MS,
        Metric.LINE_USUAL_RTT_MS,
    }
)

_RUNG_FIELDS: MappingProxyType[Metric, str] = MappingProxyType(
    {
        Metric.RUNG_STATE: "state",
        Metric.RUNG_REASON: "reason",
        Metric.RUNG_RTT_MS: "rtt_ms",
        Metric.RUNG_LOSS_RATIO: "loss_ratio",
        Metric.RUNG_METHOD: "method",
    }
)


def _metric(metric: Metric, name: str) -> Field:
    facts = METRICS[metric]
    return Field(name, "" if facts.unit == "1" else facts.unit, Form.FLOAT, facts.meaning, metric in _SLOW)


_OF_THE_SITE = tuple(metric for metric, facts in METRICS.items() if not facts.instance)
_OF_A_TARGET = tuple(metric for metric, facts in METRICS.items() if facts.instance and metric not in _RUNG_FIELDS)

# Who and where, for points whose only tag is the site: as it was when the point was written.
_WHERE = (
    Field("access_node", "", Form.TEXT, "access node of the site's line"),
    Field("county", "", Form.TEXT, "county of the site"),
    Field("township", "", Form.TEXT, "township of the site"),
)
_VOID = Field("void", "", Form.BOOLEAN, "true: this point no longer holds; its duration is 0, so no sum counts it")

SITE = Measurement(
    "site", "What a sample says about the site as a whole.", _SITE, tuple(_metric(m, m.name.lower()) for m in _OF_THE_SITE)
)
RUNG = Measurement(
    "rung",
    "The reachability ladder: one point for each sample and rung of a path (`ipv4/dns`).",
    _TARGET,
    tuple(_metric(metric, name) for metric, name in _RUNG_FIELDS.items()),
)
TARGET = Measurement(
    "target",
    "What a sample says about one stream, player, volume, interface, disk, device or path.",
    _TARGET,
    tuple(_metric(m, m.name.lower()) for m in _OF_A_TARGET),
)
LEDGER = Measurement(
    "ledger",
    # The dashboards look two days back for what reaches into their range, so they need the cuts and a point for each day.
    "One interval of the picture of a site's time. Time: when the interval begins. Every midnight of the county cuts it, so "
    "none is longer than a day, and every site has at least one for each day, however long it has been silent.",
    ("site",),
    (
        *_WHERE,
        Field("duration_s", "s", Form.FLOAT, "length of the interval; 0 where void"),
        Field("kind", "", Form.TEXT, "the fault, where one is known"),
        Field("party", "", Form.TEXT, "whose job, where one is known"),
        Field("source", "", Form.TEXT, "on whose word: site, operator, centre, blind; absent where nobody says anything"),
        Field("to_ms", "ms since 1970", Form.INTEGER, "when the interval ends"),
        _VOID,
        Field("was", "", Form.TEXT, "how the site was, e.g. up, line, off, presumed_off, unknown"),
    ),
    amended=True,
)
FAULT = Measurement(
    "fault",
    "One fault of a site. Time: its first recorded start, which stays when the start is amended.",
    ("site",),
    (
        *_WHERE,
        Field("duration_s", "s", Form.FLOAT, "from start to end; 0 while it lasts, and where void"),
        Field("ended_ms", "ms since 1970", Form.INTEGER, "when it ended; 0 while it lasts"),
        Field("grade", "", Form.TEXT, "how sure it is: proven, inferred, to_verify"),
        Field("kind", "", Form.TEXT, "the fault"),
        Field("lasting", "", Form.BOOLEAN, "true while it lasts"),
        Field("party", "", Form.TEXT, "whose job"),
        Field("started_ms", "ms since 1970", Form.INTEGER, "when it began, by what is known now"),
        _VOID,
    ),
    amended=True,
)
TICKET = Measurement(
    "ticket",
    "One maintenance ticket. Time: when it was opened.",
    ("site",),
    (
        *_WHERE,
        Field("acknowledged_ms", "ms since 1970", Form.INTEGER, "when somebody took it on"),
        Field("closed_ms", "ms since 1970", Form.INTEGER, "when it was closed"),
        Field("closing", "", Form.TEXT, "why it was closed without a repair"),
        Field("grade", "", Form.TEXT, "how sure its cause is"),
        Field("kind", "", Form.TEXT, "the fault"),
        Field("number", "", Form.TEXT, "number of the ticket"),
        Field("outage_from_ms", "ms since 1970", Form.INTEGER, "first beginning of the fault"),
        Field("outage_s", "s", Form.FLOAT, "from the first beginning to the last end; 0 while it lasts, and where void"),
        Field("outage_to_ms", "ms since 1970", Form.INTEGER, "last end of the fault"),
        Field("parent", "", Form.TEXT, "the ticket that goes on for it"),
        Field("party", "", Form.TEXT, "whose job"),
        Field("reopened", "", Form.INTEGER, "how often it was opened again"),
        Field("resolved_ms", "ms since 1970", Form.INTEGER, "when recovery was proven"),
        Field("severity", "", Form.TEXT, "severity"),
        Field("state", "", Form.TEXT, "open, acknowledged, resolved, closed"),
        _VOID,
    ),
    amended=True,
)
COLLECTOR = Measurement(
    "collector",
    "The collector's own health, one point for each process and interval.",
    ("target",),
    (
        Field("reports", "", Form.FLOAT, "reports stored since the point before"),
        Field("samples", "", Form.FLOAT, "samples stored since the point before"),
        Field("rejected", "", Form.FLOAT, "messages quarantined since the point before"),
        Field("lag_s", "s", Form.FLOAT, "longest time from arrival to storage since the point before"),
        Field("mails_waiting", "", Form.FLOAT, "mails that are owed"),
        Field("series_spool_bytes", "B", Form.FLOAT, "lines that wait for the store, compressed"),
        Field("series_spool_lines", "", Form.FLOAT, "lines that wait for the store"),
        Field("series_rejected", "", Form.FLOAT, "lines that the store refused since the point before"),
        Field("series_dropped", "", Form.FLOAT, "lines dropped since the point before because the spool reached its limit"),
    ),
)

MEASUREMENTS = (SITE, RUNG, TARGET, LEDGER, FAULT, TICKET, COLLECTOR)


class Place(NamedTuple):
    """Where the value of a metric is written."""

    measurement: Measurement
    field: str


PLACES: MappingProxyType[int, Place] = MappingProxyType(
    {int(metric): Place(SITE, metric.name.lower()) for metric in _OF_THE_SITE}
    | {int(metric): Place(RUNG, name) for metric, name in _RUNG_FIELDS.items()}
    | {int(metric): Place(TARGET, metric.name.lower()) for metric in _OF_A_TARGET}
)
"""By the metric's number. Those that only a newer agent knows have no place: their fields would have neither name nor unit."""

SLOW = frozenset(int(metric) for metric in _SLOW)
"""The metrics whose fields are slow, by number."""

# --- the document ------------------------------------------------------------------------------------------------------

_HEAD = """\
# The time series

This page is made from `collector/sitekeeper_collector/series/schema.py`; a test holds the two together.
To make it anew: `.venv/bin/python -m sitekeeper_collector.series.schema > docs/series.md`.

- Written as line protocol through the v2 write endpoint, times in nanoseconds. A line that is sent again is the same to the
  byte, so a store that overwrites (InfluxDB) holds it once.
- Field values of samples are always floats, so that no field ever changes its type. States, reasons, kinds and parties among
  them are the numbers of `docs/protocol.md`. A value of a sample that is absent was not measured: it is not zero.
- **Amended points** have the site as their only tag, and their time never changes: it is the first recorded start. All else is
  a field that is overwritten; one without a value is written as 0, `false` or empty text, since a store keeps the old value of
  a field that is left out. A point that no longer holds gets `void=true` and a duration of 0. To the time of a fault or ticket
  the number of its kind is added in microseconds, so that two that begin together stay two points.
- VictoriaMetrics takes the numeric samples only: it neither overwrites points nor keeps text, so amended measurements are not
  sent to it. What is sent again is kept twice there unless it runs with `-dedup.minScrapeInterval=1ms`, which keeps one sample
  for each millisecond of a series. It keeps what it took in memory for some seconds: a power cut costs it those. It says of no
  line that it is bad; what it can't read it only logs.
- A field that is marked "slow" is written when its value changes and every 15 minutes at least, not with each sample: take its
  last value of the last 20 minutes. All others come with each sample that has them.
- A sample is written once, at the time that is known of it then (`docs/decisions/017-when-a-sample-is-written.md`).
- In tags and texts, control characters (line ends among them) become blanks; in tags, backslashes become slashes. Tags end
  after 128 characters, texts after 1,000.

## Tags

| tag | meaning |
| --- | --- |
"""


def document() -> str:
    """``docs/series.md``."""
    parts = [_HEAD, *(f"| `{name}` | {meaning} |\n" for name, meaning in TAGS.items())]
    for measurement in MEASUREMENTS:
        tags = ", ".join(f"`{tag}`" for tag in measurement.tags)
        amended = " Its points may be amended." if measurement.amended else ""
        parts.append(f"\n## `{measurement.name}`\n\n{measurement.meaning}{amended} Tags: {tags}.\n\n")
        parts.append("| field | unit | type | meaning |\n| --- | --- | --- | --- |\n")
        parts += [_row(field) for field in measurement.fields]
    return "".join(parts)


def _row(field: Field) -> str:
    slow = " (slow)" if field.slow else ""
    return f"| `{field.name}` | {field.unit} | {field.form.value} | {field.meaning}{slow} |\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(document())
