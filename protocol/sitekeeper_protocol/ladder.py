"""The reachability ladder: from readings to the lowest rung that really fails, whose job that is, and how sure it is.

Pure and used on both sides: the agent judges what it sends, the collector judges again what it stores. The rules are those of
the fault catalogue:

* a success above, over the same path, turns a failure below into ``silent`` (many networks drop ping);
* a probe may say ``fail`` only if it has succeeded at this site since its network last changed;
* the verdict is the lowest rung that fails, on the path that the portal really uses, and it is *proven* only if the
  rungs below were seen to hold.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum, unique

from msgspec import Struct
from msgspec.structs import replace

from sitekeeper_protocol.vocabulary import KINDS, Grade, Kind, Method, Party, Reason, Rung, State

DIRECT = "direct"
"""Label of the DNS reading that asks the network's own resolver directly, around the one that was handed out."""


@unique
class Resolver(StrEnum):
    """Who runs the resolver that the site was handed: it decides whose job a DNS failure is."""

    GATEWAY = "gateway"
    NETWORK = "network"
    MANUAL = "manual"


class Reading(Struct, frozen=True, kw_only=True):
    """One probe's finding on one rung over one path.

    ``path`` names address family and uplink (``ipv4``, ``ipv6``, ``ipv4@ppp0``); ``label`` is empty for the reading that
    stands for the rung and names a further one (``direct``). ``rtt_ms`` and ``loss_ratio`` (0 to 1) are ``None`` if unknown.
    """

    rung: Rung
    path: str
    state: State
    reason: Reason = Reason.NONE
    rtt_ms: float | None = None
    loss_ratio: float | None = None
    method: Method = Method.NONE
    target: str = ""
    label: str = ""

    @property
    def answered(self) -> bool:
        """Whether something answered, if only slowly."""
        return self.state in (State.OK, State.DEGRADED)


class Baseline(Struct, frozen=True, kw_only=True):
    """What is known to work at this site on its present network."""

    proven: frozenset[tuple[str, Rung]] = frozenset()
    """(path, rung) pairs that have succeeded since the network last changed."""
    portal_path: str = ""
    """The path that the portal was last reached over."""
    resolver: Resolver = Resolver.GATEWAY

    def after(self, readings: Iterable[Reading]) -> "Baseline":
        """This baseline, with what ``readings`` newly prove."""
        seen = [r for r in readings if r.answered and not r.label]
        portal = [r.path for r in seen if r.rung == Rung.PORTAL]
        keep = self.portal_path in portal or not portal
        return replace(
            self,
            proven=self.proven | {(r.path, r.rung) for r in seen},
            portal_path=self.portal_path if keep else portal[0],
        )


class Verdict(Struct, frozen=True, kw_only=True):
    """What the ladder says. ``state`` ``silent`` means that the readings can't tell.

    ``rung``, ``kind``, ``party`` and ``grade`` are ``None`` when there is no fault to name. ``evidence`` holds the judged
    readings of ``path``, lowest rung first.
    """

    state: State
    path: str = ""
    rung: Rung | None = None
    kind: Kind | None = None
    party: Party | None = None
    grade: Grade | None = None
    reason: Reason = Reason.NONE
    evidence: tuple[Reading, ...] = ()

    @property
    def essence(self) -> tuple[State, Rung | None, Kind | None, Party | None]:
        """What must differ for a verdict to count as changed."""
        return self.state, self.rung, self.kind, self.party


_KIND_OF_RUNG = {
    Rung.LINK: Kind.LINK_DOWN,
    Rung.ADDRESS: Kind.NO_ADDRESS,
    Rung.GATEWAY: Kind.GATEWAY_DOWN,
    Rung.MODEM: Kind.MODEM_DOWN,
    Rung.ISP: Kind.LINE_DOWN,
    Rung.DNS: Kind.DNS_FAILURE,
    Rung.PORTAL: Kind.PORTAL_DOWN,
    Rung.MEDIA: Kind.MEDIA_DOWN,
}
_PARTY_OF_RESOLVER = {
    Resolver.GATEWAY: Party.SITE,
    Resolver.NETWORK: Party.TELECOM,
    Resolver.MANUAL: Party.TECHNICIAN,
}
_UNPAID = (Reason.CAPTIVE_PAGE, Reason.PPPOE_REJECTED)
_NOBODY_ANSWERED = (Reason.TIMEOUT, Reason.UNREACHABLE)


def judge(readings: Iterable[Reading], baseline: Baseline) -> list[Reading]:
    """``readings`` after the honest rules, sorted by path and rung; judging twice changes nothing more."""
    ordered = sorted(readings, key=lambda r: (r.path, r.rung, r.label))
    top: dict[str, Rung] = {}
    for reading in ordered:
        if reading.answered:
            top[reading.path] = reading.rung
    return [_judge_one(reading, top.get(reading.path), baseline) for reading in ordered]


def _judge_one(reading: Reading, top: Rung | None, baseline: Baseline) -> Reading:
    if reading.state != State.FAIL:
        return reading
    if top is not None and top > reading.rung:
        return replace(reading, state=State.SILENT, reason=Reason.ANSWERED_ABOVE)
    # A captive page or a rejected dial-in speaks for itself: something did answer, and said why.
    if (reading.path, reading.rung) not in baseline.proven and reading.reason not in _UNPAID:
        return replace(reading, state=State.SILENT, reason=Reason.NEVER_SUCCEEDED)
    return reading


def diagnose(readings: Iterable[Reading], baseline: Baseline, path: str | None = None) -> Verdict:
    """Name the lowest rung that fails, on ``path`` or else on the path that the portal really uses."""
    judged = judge(readings, baseline)
    chosen = _portal_path(judged, baseline) if path is None else path
    ladder = tuple(r for r in judged if r.path == chosen)
    primary = [r for r in ladder if not r.label]
    failing = next((r for r in primary if r.state == State.FAIL), None)
    if failing is not None:
        return _fault(failing, ladder, baseline)
    slow = next((r for r in primary if r.state == State.DEGRADED), None)
    if slow is not None:
        kind = Kind.LINE_DEGRADED if slow.rung == Rung.ISP else None
        return Verdict(
            state=State.DEGRADED,
            path=chosen,
            rung=slow.rung,
            kind=kind,
            party=KINDS[kind].party if kind else None,
            grade=Grade.PROVEN if kind else None,
            reason=slow.reason,
            evidence=ladder,
        )
    # "All is well" is said only by the portal itself or by something above it; a working cable is no working site.
    well = any(r.answered and r.rung >= Rung.PORTAL for r in primary)
    why = next((r.reason for r in reversed(primary) if r.state == State.SILENT), Reason.NONE)
    return Verdict(state=State.OK if well else State.SILENT, path=chosen, reason=Reason.NONE if well else why, evidence=ladder)


def _portal_path(judged: Sequence[Reading], baseline: Baseline) -> str:
    """The path that reaches the portal now, else the one that last did, else the first that was measured."""
    reaching = [r.path for r in judged if r.rung == Rung.PORTAL and r.answered]
    if reaching:
        return baseline.portal_path if baseline.portal_path in reaching else reaching[0]
    known = [r.path for r in judged]
    if baseline.portal_path in known:
        return baseline.portal_path
    return known[0] if known else ""


def _fault(failing: Reading, ladder: tuple[Reading, ...], baseline: Baseline) -> Verdict:
    below = [r for r in ladder if r.rung < failing.rung and not r.label]
    rung, kind = failing.rung, _KIND_OF_RUNG[failing.rung]
    grade = Grade.PROVEN if _holds_below(failing.rung, below) else Grade.TO_VERIFY
    party = KINDS[kind].party
    if failing.reason in _UNPAID:
        kind, party, grade = Kind.ARREARS, KINDS[Kind.ARREARS].party, Grade.PROVEN
    elif rung == Rung.DNS and grade != Grade.PROVEN and failing.reason in _NOBODY_ANSWERED:
        # No resolver answers and nothing shows that the provider holds: the line itself is the likelier cause.
        rung, kind = Rung.ISP, Kind.LINE_DOWN
        party = KINDS[kind].party
    elif rung == Rung.DNS:
        party = _PARTY_OF_RESOLVER[baseline.resolver]
        direct = next((r for r in ladder if r.rung == Rung.DNS and r.label == DIRECT), None)
        if baseline.resolver == Resolver.GATEWAY and direct is not None and direct.state == State.FAIL:
            party = Party.TELECOM
    return Verdict(
        state=State.FAIL,
        path=failing.path,
        rung=rung,
        kind=kind,
        party=party,
        grade=grade,
        reason=failing.reason,
        evidence=ladder,
    )


def _holds_below(rung: Rung, below: Sequence[Reading]) -> bool:
    """Whether the nearest rung below that must carry this one was seen to hold.

    A cable needs nothing below it. The address needs the link. Above the gateway each rung needs an answer from the next
    lower rung that can be measured here, except that a name failure needs the provider itself to answer: otherwise it can't
    be told from a dead line.
    """
    if rung == Rung.LINK:
        return True
    states = {r.rung: r for r in below}
    if rung == Rung.DNS:
        return Rung.ISP in states and states[Rung.ISP].answered
    measurable = [r for r in below if r.state != State.NOT_APPLICABLE]
    return bool(measurable) and measurable[-1].answered
