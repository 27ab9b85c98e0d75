"""How the PC's times on ended, from Windows' System event log as XML. Pure; event numbers mean the same in every language.

With Fast Startup a PC that a person shuts down keeps its kernel, and with it boot time and boot count: only the log tells.
Numbers by provider: Kernel-General 12 started, 13 stopping; Kernel-Boot 27 with BootType 0 from nothing, 1 Fast Startup,
2 out of hibernation; Kernel-Power 41 started without having stopped, 42 going to sleep, 107 awake again; Power-Troubleshooter 1
awake again; EventLog 6005 and 6006 log opened and closed, 6008 the stop before was none; User32 1074 somebody asked for it.
"""

import xml.etree.ElementTree as Xml
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from sitekeeper_agent.platform.facts import End, PlatformUnsupported, Stretch

_NS = "{http://schemas.microsoft.com/win/2004/08/events/event}"
MOST_BYTES = 4 * 1024 * 1024

QUERY = (
    "*[System[(Provider[@Name='Microsoft-Windows-Kernel-General'] and (EventID=12 or EventID=13))"
    " or (Provider[@Name='Microsoft-Windows-Kernel-Boot'] and EventID=27)"
    " or (Provider[@Name='Microsoft-Windows-Kernel-Power'] and (EventID=41 or EventID=42 or EventID=107))"
    " or (Provider[@Name='Microsoft-Windows-Power-Troubleshooter'] and EventID=1)"
    " or (Provider[@Name='EventLog'] and (EventID=6005 or EventID=6006 or EventID=6008))"
    " or (Provider[@Name='User32'] and EventID=1074)]]"
)
"""The XPath that asks for these events, and no others."""


def command(most: int) -> list[str]:
    """What prints the newest ``most`` events, the newest first, as UTF-16."""
    return ["wevtutil", "qe", "System", f"/q:{QUERY}", f"/c:{most}", "/rd:true", "/f:xml", "/uni:true"]


class Record(NamedTuple):
    """One event; ``order`` counts in the log, and ``data`` are its named values, or by number where they have no names."""

    order: int
    time_ms: int
    provider: str
    number: int
    data: Mapping[str, str]


def records(text: str) -> tuple[Record, ...]:
    """The events in wevtutil's output, the oldest first by the log's own count: with a dead battery the clock is no help.

    Raises ``PlatformUnsupported`` for what is no such output.
    """
    if len(text) > MOST_BYTES or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise PlatformUnsupported("the event log's answer is none")
    try:
        # wevtutil prints one element after the other, without one around them.
        root = Xml.fromstring(f"<Events>{_without_declaration(text)}</Events>")  # noqa: S314 - entities are refused above
    except Xml.ParseError as err:
        raise PlatformUnsupported(f"the event log's answer is no XML: {err}") from err
    found = (record for element in root.iter(f"{_NS}Event") if (record := _record(element)))
    return tuple(sorted(found, key=lambda record: record.order))


def _without_declaration(text: str) -> str:
    text = text.lstrip("\ufeff \r\n\t")
    return text.partition("?>")[2] if text.startswith("<?xml") else text


def _record(event: Xml.Element) -> Record | None:
    system = event.find(f"{_NS}System")
    if system is None:
        return None
    names = ("Provider", "TimeCreated", "EventID", "EventRecordID")
    provider, created, number, order = (system.find(f"{_NS}{name}") for name in names)
    if provider is None or created is None or number is None or order is None:
        return None
    try:
        time_ms = _unix_ms(created.get("SystemTime", ""))
        name = provider.get("Name", "").removeprefix("Microsoft-Windows-")
        return Record(int(order.text or ""), time_ms, name, int(number.text or ""), dict(_data(event)))
    except (ValueError, OverflowError):
        return None


def _data(event: Xml.Element) -> Iterator[tuple[str, str]]:
    for at, element in enumerate(event.iterfind(f"{_NS}EventData/{_NS}Data")):
        yield element.get("Name", str(at)), element.text or ""


def _unix_ms(text: str) -> int:
    # Seven to nine digits of a second, of which Python reads six
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return round(datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}+00:00").timestamp() * 1000)


def stretches(found: Iterable[Record]) -> tuple[Stretch, ...]:
    """The times on that the events tell, the oldest first."""
    story = _Story()
    for record in found:
        story.take(record)
    return story.told()


class _Story:
    """Events in their order, turned into times on."""

    def __init__(self) -> None:
        self._done: list[Stretch] = []
        self._began_ms: int | None = None
        self._fast = False
        self._asked: End | None = None
        self._ended: tuple[int, End] | None = None
        self._last_ms = 0

    def take(self, record: Record) -> None:
        started = _start(record)
        if started is not None:
            self._start(record.time_ms, fast=started)
        elif record.number in (41, 6008) and self._done and self._began_ms is not None:
            self._lost(record)
        elif (record.provider, record.number) == ("User32", 1074):
            self._asked = _wish(record)
        elif (record.provider, record.number) in (("Kernel-General", 13), ("EventLog", 6006)):
            self._ended = (record.time_ms, self._asked or End.SHUTDOWN)
        elif (record.provider, record.number) == ("Kernel-Power", 42):
            # Fast Startup goes to sleep, too, but after somebody has asked for a shutdown.
            self._ended = (record.time_ms, self._asked or End.SUSPEND)
        self._last_ms = record.time_ms

    def _start(self, at_ms: int, *, fast: bool) -> None:
        if self._began_ms is not None:
            if self._ended is None and abs(at_ms - self._began_ms) < _SAME_START_MS:
                self._fast = self._fast or fast
                return  # one start is told by several events
            ended_ms, how = self._ended or (self._last_ms, self._asked or End.UNKNOWN)
            self._done.append(Stretch(self._began_ms, ended_ms, how, self._fast))
        self._began_ms, self._fast, self._ended, self._asked = at_ms, fast, None, None

    def _lost(self, record: Record) -> None:
        last = self._done[-1]
        if last.how in (End.UNKNOWN, End.POWER_LOST):
            crashed = record.number == 41 and record.data.get("BugcheckCode", "0") not in ("", "0")
            self._done[-1] = last._replace(how=End.CRASHED if crashed else End.POWER_LOST)

    def told(self) -> tuple[Stretch, ...]:
        if self._began_ms is None:
            return ()
        ended = self._ended or (None, None)
        return (*self._done, Stretch(self._began_ms, ended[0], ended[1], self._fast))


_SAME_START_MS = 120_000


def _start(record: Record) -> bool | None:
    """Whether a start is one of Fast Startup; ``None``: this is no start."""
    if (record.provider, record.number) == ("Kernel-Boot", 27):
        return _number(record.data.get("BootType", "0")) == 1
    awake = ("Kernel-Power", 107), ("Power-Troubleshooter", 1), ("Kernel-General", 12), ("EventLog", 6005)
    return False if (record.provider, record.number) in awake else None


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        return 0


_RESTART = ("restart", "重启", "重新启动")
_UPGRADERS = ("trustedinstaller", "mousocoreworker", "usoclient", "wuauclt", "tiworker")


def _wish(record: Record) -> End:
    """What 1074 asks for: param1 is the program, param5 the kind of shutdown in the system's language."""
    program = (record.data.get("param1") or record.data.get("0") or "").lower()
    if any(name in program for name in _UPGRADERS):
        return End.UPGRADE
    kind = (record.data.get("param5") or record.data.get("4") or "").lower()
    return End.RESTART if any(word in kind for word in _RESTART) else End.SHUTDOWN
