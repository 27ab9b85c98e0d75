"""The rules of detection as values: whose job, how bad, how long a thing must last. ``rules_file`` reads them.

The defaults are those of the fault catalogue; ``config/faults.yaml`` holds the same numbers (a test compares them).
"""

from enum import StrEnum, unique
from typing import Annotated

from msgspec import Meta, Struct

from sitekeeper_collector.domain.evidence.thresholds import Thresholds
from sitekeeper_protocol.vocabulary import KINDS, Kind, Party, Severity

_Seconds = Annotated[int, Meta(ge=0, le=30 * 86400)]


@unique
class Each(StrEnum):
    """What counts as once, where a thing must happen several times."""

    SAMPLE = "sample"
    CLASS = "class"
    """A class with it, and without a sample that shows the opposite; classes without it in between begin the count anew."""
    BOOT = "boot"
    DAY = "day"


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one kind of fault is taken.

    It opens once its evidence has held for ``hold_down_s`` and is over once the evidence has been gone for ``hold_up_s``.
    ``party`` and ``severity`` of ``None``: the catalogue's, or what the evidence says. ``ticket``: whether it raises one.
    ``times``: it opens only when this has happened so often within ``within_s``, once for each ``each``. ``gap_s``: samples
    further apart don't speak for the time between them; ``None``: as for all kinds.
    """

    hold_down_s: _Seconds = 180
    hold_up_s: _Seconds = 180
    times: Annotated[int, Meta(ge=1, le=100)] = 1
    each: Each = Each.SAMPLE
    within_s: Annotated[int, Meta(ge=1, le=90 * 86400)] = 600
    gap_s: Annotated[int, Meta(ge=1, le=30 * 86400)] | None = None
    party: Party | None = None
    severity: Severity | None = None
    ticket: bool = True


_DAY_S = 86_400


class Kinds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rule of each kind that is detected."""

    site_dark: Rule = Rule(hold_down_s=900)
    line_suspected: Rule = Rule(hold_down_s=600)
    area_outage: Rule = Rule(hold_down_s=300)
    line_down: Rule = Rule()
    modem_down: Rule = Rule()
    gateway_down: Rule = Rule()
    no_address: Rule = Rule()
    link_down: Rule = Rule()
    arrears: Rule = Rule(hold_down_s=600)
    line_degraded: Rule = Rule(hold_down_s=1800)
    line_slow: Rule = Rule(hold_down_s=0, hold_up_s=0, times=3, each=Each.DAY, within_s=21 * _DAY_S, gap_s=_DAY_S)
    dns_failure: Rule = Rule(hold_down_s=300)
    uplink_blocked: Rule = Rule(hold_down_s=1800)
    portal_down: Rule = Rule(hold_down_s=300)
    media_down: Rule = Rule(hold_down_s=300)
    playback_failure: Rule = Rule(hold_down_s=0, hold_up_s=60, times=2)
    playback_stalling: Rule = Rule(hold_down_s=0, hold_up_s=600, times=5)
    player_missing: Rule = Rule(hold_down_s=600)
    display_missing: Rule = Rule(hold_down_s=600, times=3, each=Each.CLASS, within_s=60 * _DAY_S)
    audio_missing: Rule = Rule(hold_down_s=600, times=3, each=Each.CLASS, within_s=60 * _DAY_S)
    device_missing: Rule = Rule(hold_down_s=600, times=3, each=Each.CLASS, within_s=60 * _DAY_S)
    disk_full: Rule = Rule(hold_down_s=1800)
    disk_failing: Rule = Rule(hold_down_s=0, hold_up_s=_DAY_S, gap_s=10 * _DAY_S)
    overheating: Rule = Rule(hold_down_s=600)
    overloaded: Rule = Rule(hold_down_s=0, hold_up_s=600, times=5, within_s=900)
    clock_wrong: Rule = Rule(hold_down_s=0, times=3, each=Each.BOOT, within_s=60 * _DAY_S)
    settings_changed: Rule = Rule(hold_down_s=_DAY_S, gap_s=10 * _DAY_S)
    restarting: Rule = Rule(hold_down_s=0, hold_up_s=7200, times=3, within_s=7200)
    agent_trouble: Rule = Rule(hold_down_s=1800)


class Silence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When silence means something. See the catalogue, ``site_dark``.

    ``grace_s`` after its promise a site counts as out of contact; ``reconnect_s`` is the longest back-off of an agent, which
    it is given after we were blind. ``neighbours_within_s``: lost so close together is lost together. ``explain_within_s``: so
    long after its return a site's own record is awaited.
    """

    grace_s: _Seconds = 90
    reconnect_s: _Seconds = 300
    end_of_class_s: _Seconds = 1200
    neighbours_within_s: _Seconds = 300
    open_hours_s: _Seconds = 4 * 3600
    working_days: Annotated[int, Meta(ge=1, le=60)] = 3
    explain_within_s: _Seconds = 1800


class Flapping(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind that opens ``opens`` times within ``within_s`` is flapping: from then on it is one fault, which is over once its
    evidence has been gone for ``hold_up_s``.
    """

    opens: Annotated[int, Meta(ge=2, le=100)] = 4
    within_s: Annotated[int, Meta(ge=60, le=86_400)] = 3600
    hold_up_s: _Seconds = 1800


class Rules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All rules. ``evidence_gap_s``: samples of a run further apart than this don't speak for the time between them."""

    evidence_gap_s: Annotated[int, Meta(ge=1, le=7200)] = 300
    disk_free_mib: Annotated[int, Meta(ge=1, le=2**24)] = 2048
    measured: Thresholds = Thresholds()
    flapping: Flapping = Flapping()
    silence: Silence = Silence()
    kinds: Kinds = Kinds()

    def of(self, kind: Kind) -> Rule | None:
        """The rule of a kind; ``None`` for one that is not detected."""
        return getattr(self.kinds, kind.value, None)

    def severity(self, kind: Kind) -> Severity:
        """How bad a fault of this kind is."""
        rule = self.of(kind)
        return (rule.severity if rule else None) or KINDS[kind].severity or Severity.MINOR

    def party(self, kind: Kind, told: Party | None = None) -> Party:
        """Whose job it is: the rule's word, else what the evidence says, else the catalogue's."""
        rule = self.of(kind)
        return (rule.party if rule else None) or told or KINDS[kind].party or Party.TECHNICIAN


DETECTED: tuple[Kind, ...] = tuple(kind for kind in Kind if kind.value in Kinds.__struct_fields__)
