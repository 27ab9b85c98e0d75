"""Events of Windows' System log as wevtutil prints them, written after Microsoft's published forms."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"
OFTEN = ("Kernel-General", "Kernel-Power", "Kernel-Boot", "Power-Troubleshooter")


class Logged(NamedTuple):
    """An event as the log has it, at a time of 24 November 2026 (UTC)."""

    at: str
    provider: str
    number: int
    data: dict[str, str] = {}  # noqa: RUF012 - only read


def xml(events: Iterable[Logged], first: int = 5000) -> str:
    """What `wevtutil qe ... /f:xml /rd:true` prints: the newest first, single quotes, nothing around them."""
    printed = []
    for number, event in enumerate(events, first):
        name = f"Microsoft-Windows-{event.provider}" if event.provider in OFTEN else event.provider
        data = "".join(f"<Data Name='{key}'>{value}</Data>" for key, value in event.data.items())
        printed.append(
            f"<Event xmlns='{NAMESPACE}'><System><Provider Name='{name}' Guid='{{331c3b3a-2005-44c2-ac5e-77220c37d6b4}}'/>"
            f"<EventID Qualifiers='0'>{event.number}</EventID><Version>0</Version><Level>4</Level>"
            f"<TimeCreated SystemTime='2026-11-24T{event.at}.1234567Z'/><EventRecordID>{number}</EventRecordID>"
            f"<Channel>System</Channel><Computer>DESKTOP-7QK2</Computer></System><EventData>{data}</EventData></Event>"
        )
    return "\r\n".join(reversed(printed))


def ms(at: str) -> int:
    return round(datetime.fromisoformat(f"2026-11-24T{at}.123456+00:00").timestamp() * 1000)


def asked(at: str, kind: str, program: str = r"C:\Windows\System32\RuntimeBroker.exe (DESKTOP-7QK2)") -> Logged:
    return Logged(at, "User32", 1074, {"param1": program, "param2": "DESKTOP-7QK2", "param5": kind, "param7": "DESKTOP\\t"})


def boot(at: str, kind: int = 0) -> Logged:
    return Logged(at, "Kernel-Boot", 27, {"BootType": str(kind), "LoadOptions": " NOEXECUTE=OPTIN"})


START = [Logged("00:30:00", "Kernel-General", 12), boot("00:30:01"), Logged("00:30:20", "EventLog", 6005)]
AGAIN = [Logged("06:00:00", "Kernel-General", 12), boot("06:00:01"), Logged("06:00:20", "EventLog", 6005)]
STOP = [Logged("03:00:05", "EventLog", 6006), Logged("03:00:07", "Kernel-General", 13, {"StopTime": "2026-11-24T03:00:07Z"})]
