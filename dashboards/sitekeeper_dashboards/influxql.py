"""Queries in InfluxQL, the one language that InfluxDB 1.x, 2.x and 3 answer: pure texts, with Grafana's variables in them.

What may be amended is always asked with ``"void" = false``. Where a panel sums time, the intervals are cut at the ends of the
time range; where it counts, the answer holds a zero of its own: with nothing to count the store would say nothing, and nobody
could tell "none" from "no data".
https://docs.influxdata.com/influxdb/v1/query_language/explore-data/
"""

from collections.abc import Mapping

FROM_MS, TO_MS = "${__from}", "${__to}"
"""The ends of the time range in milliseconds, put in by Grafana."""
LOOKBACK = "2d"
"""How far before an instant the interval that holds it may begin: midnights cut them, and clocks may be put back by an hour."""
LONG = "400d"
"""How far back a fault or ticket that still lasts is looked for."""

# `:regex` escapes what a name may hold, and writes several values as (a|b). "All" is `.*`, which also matches no value.
SITES = " AND ".join(f'"{name}" =~ /^${{{name}:regex}}$/' for name in ("county", "township", "access_node", "site"))
ONE_SITE = '"site" =~ /^${site:regex}$/'
VALID = '"void" = false'
IN_RANGE = f"time >= {FROM_MS}ms AND time < {TO_MS}ms"

ONLINE = ("up", "degraded")
BROKEN = ("link", "gateway", "line", "platform")
LINE_BROKEN = ("link", "gateway", "line")
AWAY = ("off", "presumed_off", "power_lost")
UNKNOWN = ("blind", "unknown", "line_suspected")
"""What nobody has proven is left out of every denominator."""


def one_of(field: str, words: tuple[str, ...]) -> str:
    """A condition: the field is one of the words."""
    return f'"{field}" =~ /^({"|".join(words)})$/'


def select(what: str, measurement: str, where: str, group: str = "", end: str = "") -> str:
    """A statement, or the inner one of another."""
    tail = (f" GROUP BY {group}" if group else "") + (f" {end}" if end else "")
    return f'SELECT {what} FROM "{measurement}" WHERE {where}{tail}'  # noqa: S608 - all of it is written here


def outer(what: str, *inner: str, where: str = "", group: str = "", end: str = "") -> str:
    """A statement over the answers of others."""
    sources = ", ".join(f"({text})" for text in inner)
    tail = (f" WHERE {where}" if where else "") + (f" GROUP BY {group}" if group else "") + (f" {end}" if end else "")
    return f"SELECT {what} FROM {sources}{tail}"  # noqa: S608 - as above


# --- counting, with a zero of its own ----------------------------------------------------------------------------------


def last_states(scope: str = SITES) -> str:
    """The state of each site at the end of the range: ``w`` (the word) and ``d`` (a number, to make numbers of)."""
    at_end = f"time > {TO_MS}ms - {LOOKBACK} AND time < {TO_MS}ms"
    return select('LAST("was") AS "w", "duration_s" AS "d"', "ledger", f"{VALID} AND {scope} AND {at_end}", '"site"')


def sites_by_state(groups: Mapping[str, tuple[str, ...]], scope: str = SITES) -> str:
    """How many sites are in each group of states at the end of the range, and ``sites``, all of them: one row."""
    lasts = last_states(scope)
    parts = [outer(f'"d" * 0 + 1 AS "{name}"', lasts, where=one_of("w", words)) for name, words in groups.items()]
    zeros = ", ".join(f'"d" * 0 AS "{name}"' for name in groups)
    parts.append(outer(f'{zeros}, "d" * 0 + 1 AS "sites"', lasts))
    return outer(", ".join(f'SUM("{name}") AS "{name}"' for name in (*groups, "sites")), *parts)


def counts(measurement: str, field: str, columns: Mapping[str, str], scope: str = SITES) -> str:
    """How many valid points fulfil each column's condition, in one row.

    The zeros come from the measurement's own points, for the store gives an answer of its own for each measurement: where there
    never was a point there is no data. ``field``: a numeric one that every point has.
    """
    parts = [
        outer(f'"d" * 0 + 1 AS "{name}"', select(f'"{field}" AS "d"', measurement, f"{VALID} AND {scope} AND {condition}"))
        for name, condition in columns.items()
    ]
    zeros = ", ".join(f'"d" * 0 AS "{name}"' for name in columns)
    ever = f"time > {TO_MS}ms - {LONG} AND time < {TO_MS}ms"
    parts.append(outer(zeros, select(f'"{field}" AS "d"', measurement, f"{VALID} AND {scope} AND {ever}")))
    return outer(", ".join(f'SUM("{name}") AS "{name}"' for name in columns), *parts)


# --- time, cut at the ends of the range ---------------------------------------------------------------------------------


def pieces(name: str, condition: str, scope: str = SITES, extra: str = "") -> tuple[str, str, str]:
    """Sources whose sum of ``name`` is the time in seconds of the ledger's intervals within the range.

    Those that begin in the range count whole, those that began before from its start; what lies beyond its end is taken off.
    ``extra``: further fields, as text.
    """
    valid = f"{VALID} AND {scope} AND {condition}" if condition else f"{VALID} AND {scope}"
    before = f"time >= {FROM_MS}ms - {LOOKBACK} AND time < {FROM_MS}ms"
    beyond = f"time >= {TO_MS}ms - {LOOKBACK} AND time < {TO_MS}ms"
    return (
        select(f'"duration_s" * 1.0 AS "{name}"{extra}', "ledger", f"{valid} AND {IN_RANGE}"),
        select(f'("to_ms" - {FROM_MS}) / 1000.0 AS "{name}"{extra}', "ledger", f'{valid} AND {before} AND "to_ms" > {FROM_MS}'),
        select(f'({TO_MS} - "to_ms") / 1000.0 AS "{name}"{extra}', "ledger", f'{valid} AND {beyond} AND "to_ms" > {TO_MS}'),
    )


def times(columns: Mapping[str, tuple[str, ...]], what: str, scope: str = SITES) -> str:
    """``what`` over sums of time: each column is the seconds of its states within the range. Empty: of all states."""
    parts: list[str] = []
    for name, words in columns.items():
        parts += pieces(name, one_of("was", words) if words else "", scope)
    zeros = ", ".join(f'"d" * 0 AS "{name}"' for name in columns)
    return outer(what, *parts, outer(zeros, last_states(scope)))


def time_of_sites(words: tuple[str, ...], limit: int) -> str:
    """The sites with most time in these states within the range, with their places: at most ``limit`` rows."""
    places = ', "county", "township", "access_node"'
    last = ", ".join(f'LAST("{name}") AS "{name}"' for name in ("county", "township", "access_node"))
    of_site = outer(f'SUM("s") AS "s", {last}', *pieces("s", one_of("was", words), extra=places), group='"site"')
    return outer(f'TOP("s", "site", {limit}) AS "seconds", "county", "township", "access_node"', of_site)
