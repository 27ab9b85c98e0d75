"""What a dashboard consists of, in our own words: both languages, queries with the columns that they answer, and units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sitekeeper_dashboards.words import Colour, Lang, Words

WIDTH = 24
"""Columns of Grafana's grid."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a county decides. ``console``: address of the console; ``zone``: where its midnights are.

    ``use``: whether the county wants to see how much its sites are used.
    """

    lang: Lang = "zh"
    console: str = "http://localhost:8480"
    zone: str = "Asia/Shanghai"
    use: bool = False


class Look(StrEnum):
    """How a panel shows its answer; Grafana's names of the panel types."""

    STAT = "stat"
    TABLE = "table"
    GRAPH = "timeseries"
    STATES = "state-timeline"
    BARS = "bargauge"


@dataclass(frozen=True, kw_only=True)
class Query:
    """A statement and the columns of its answer, without the time. ``alias``: names of the series, where it answers series."""

    text: str
    columns: tuple[str, ...]
    alias: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """From ``at`` on (``None``: from the bottom) values have this colour."""

    at: float | None
    colour: Colour


@dataclass(frozen=True, kw_only=True)
class Sums:
    """The rows of a table are put together in Grafana: by this column, with the sum of those; ``months``: by months of time."""

    by: str
    of: tuple[str, ...]
    months: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel. ``key`` names it in tests and documents.

    ``units``, ``mapped`` and ``names`` are by column; ``mapped`` gives the name of a mapping. ``timed``: the time of a row is
    worth a column. ``repeat``: one such panel for each value of the variable.
    """

    key: str
    look: Look
    title: Words
    description: Words
    queries: tuple[Query, ...]
    unit: str
    width: int
    height: int = 8
    steps: tuple[Step, ...] = (Step(at=None, colour=Colour.PLAIN),)
    units: Mapping[str, str] = field(default_factory=dict)
    mapped: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, Words] = field(default_factory=dict)
    colours: Mapping[str, Colour] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    sums: Sums | None = None
    timed: bool = False
    bars: bool = False
    repeat: str = ""
    most: float | None = None
    """The greatest value that there can be, where that is known."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A heading and its panels. What is ``folded`` is asked for when somebody opens it."""

    title: Words
    panels: tuple[Panel, ...]
    folded: bool = False


@dataclass(frozen=True, kw_only=True)
class Board:
    """A dashboard. ``variables``: which of those that narrow each other it has."""

    key: str
    title: Words
    description: Words
    rows: Sequence[Row]
    from_: str
    to: str = "now"
    variables: tuple[str, ...] = ("county", "township", "access_node", "site")
    one_site: bool = False
    refresh: str = "5m"
    outages: bool = False
    """Whether outages are marked in its graphs."""

    def panels(self) -> list[Panel]:
        """All panels in order."""
        return [panel for row in self.rows for panel in row.panels]


def uid(key: str, lang: Lang) -> str:
    """A dashboard's name in addresses. Nothing that does not begin with ``sitekeeper-`` is ever touched."""
    return f"{PREFIX}{key}-{lang}"


PREFIX = "sitekeeper-"
SOURCE = "sitekeeper-series"
"""The data source's name in addresses."""
