"""How long the verdict has stood in this run, and which ticket numbers may be told for it. Pure.

A receipt lists the open tickets of the site, not what they are about. "Reported" is therefore said only with numbers that were
first listed while this kind of fault stood: one that was open before belongs to something else.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sitekeeper_protocol import sitecode, texts
from sitekeeper_protocol.ladder import Verdict
from sitekeeper_protocol.texts import Lang, Unsent
from sitekeeper_protocol.vocabulary import Kind, Rung, State

_NONE: Mapping[str, Kind | None] = MappingProxyType({})


class Standing(NamedTuple):
    """The verdict, the boot time (CLOCK_BOOTTIME, ms) of the first sample that said so, and the open tickets."""

    verdict: Verdict | None = None
    since_ms: int = 0
    first_listed: Mapping[str, Kind | None] = _NONE
    """Open ticket numbers, and the kind of fault that stood when a receipt first listed them."""

    def judged(self, verdict: Verdict, boottime_ms: int) -> "Standing":
        """After a sample's verdict: it goes on, or a new one begins."""
        same = self.verdict is not None and self.verdict.essence == verdict.essence
        return self._replace(verdict=verdict, since_ms=self.since_ms if same else boottime_ms)

    def receipted(self, tickets: Iterable[str]) -> "Standing":
        """After a receipt. Before the first verdict nothing is kept: what a number is about will show with the next one."""
        if self.verdict is None:
            return self
        kind = self.verdict.kind if self.verdict.state == State.FAIL else None
        return self._replace(first_listed={number: self.first_listed.get(number, kind) for number in tickets})

    @property
    def numbers(self) -> tuple[str, ...]:
        """The tickets of this fault."""
        if self.verdict is None or self.verdict.state != State.FAIL or self.verdict.kind is None:
            return ()
        return tuple(number for number, kind in self.first_listed.items() if kind == self.verdict.kind)


class Fault(NamedTuple):
    """What a person at the site is told about a fault. ``minutes`` it has lasted are ``None`` if nobody watched."""

    kind: Kind | None
    rung: Rung | None
    minutes: int | None
    numbers: tuple[str, ...]
    connected: bool


def sentence(fault: Fault, phone: str, lang: Lang) -> str:
    """The honest sentence about reporting."""
    number = ("、" if lang == "zh" else ", ").join(fault.numbers) or None
    return texts.reported(number, phone, lang, unsent(fault))


def unsent(fault: Fault) -> Unsent:
    """Why there is no number yet: the line is to blame only where the ladder found it, or something below it, broken."""
    if fault.connected:
        return "waiting"
    return "line" if fault.rung is not None and fault.rung <= Rung.ISP else "uplink"


def code(fault: Fault, site: str) -> str:
    """The 8 digits to read out, in two groups."""
    return sitecode.spaced(sitecode.encode(site=site, kind=fault.kind, rung=fault.rung, minutes=fault.minutes))
