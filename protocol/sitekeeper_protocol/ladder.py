"""The reachability ladder: from readings to the lowest rung that really fails, whose job that is, and how sure it is.

Pure and used on both sides: the agent judges what it sends, the collector judges again what it stores. The rules are those of
the fault catalogue:

* a success above, over the same path, turns a failure below into ``silent`` (many networks drop ping); so does a failure
  above that could only come from further up, such as an HTTP error or a payment page;
* a success shows only the rungs that it rests on: a gateway answers names from memory while the line is dead, and a media
  server streams while the portal is down, and a multicast group may come by another way than all else;
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

    @property
    def proof(self) -> tuple[str, Rung]:
        """What a success of this probe proves to work here: a labelled reading proves only itself, as ``path#label``."""
        return (f"{self.path}#{self.label}" if self.label else self.path, self.rung)


class Baseline(Struct, frozen=True, kw_only=True):
    """What is known to work at this site on its present network."""

    proven: frozenset[tuple[str, Rung]] = frozenset()
    """``Reading.proof`` of all that has succeeded since the network last changed."""
    portal_path: str = ""
    """The path that the portal was last reached over."""
    resolver: Resolver = Resolver.GATEWAY

    def after(self, readings: Iterable[Reading]) -> "Baseline":
        """This baseline, with what ``readings`` newly prove."""
        seen = [r for r in readings if r.answered]
        portal = [r.path for r in seen if r.rung == Rung.PORTAL and not r.label]
        keep = self.portal_path in portal or not portal
        return replace(
            self,
            proven=self.proven | {r.proof for r in seen},
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
_SERVER_SPOKE = (
    Reason.HTTP_CLIENT_ERROR,
    Reason.HTTP_SERVER_ERROR,
    Reason.WRONG_CONTENT,
    Reason.CERTIFICATE_INVALID,
    Reason.CERTIFICATE_EXPIRED,
    Reason.STREAM_STALLED,
)
_RESOLVER_SPOKE = (Reason.NAME_NOT_FOUND, Reason.SERVER_FAILURE)
_NOTHING = 0


def judge(readings: Iterable[Reading], baseline: Baseline) -> list[Reading]:
    """``readings`` after the honest rules, sorted by path and rung; judging twice changes nothing more."""
    ordered = sorted(readings, key=lambda r: (r.path, r.rung, r.label))
    by_path = {reading.path: [r for r in ordered if r.path == reading.path] for reading in ordered}
    carried = {path: _carried(ladder, baseline) for path, ladder in by_path.items()}
    return [_judge_one(reading, carried[reading.path], baseline) for reading in ordered]


def _judge_one(reading: Reading, carried: int, baseline: Baseline) -> Reading:
    if reading.state != State.FAIL:
        return reading
    if reading.rung <= carried:
        return replace(reading, state=State.SILENT, reason=Reason.ANSWERED_ABOVE)
    # A captive page or a rejected dial-in speaks for itself: something did answer, and said why.
    if reading.proof not in baseline.proven and reading.reason not in _UNPAID:
        return replace(reading, state=State.SILENT, reason=Reason.NEVER_SUCCEEDED)
    return reading


def _carried(ladder: Sequence[Reading], baseline: Baseline) -> int:
    """The highest rung that some other reading of the same path rests on: it works, whatever its own probe says."""
    names_fail = _names_fail(ladder)
    pages = [r for r in ladder if _is_page(r)]
    carried = max((_rests_on(r, names_fail, baseline) for r in ladder if r not in pages), default=_NOTHING)
    line_fails = carried < Rung.ISP and any(
        r.rung == Rung.ISP and r.state == State.FAIL and r.proof in baseline.proven and not r.label for r in ladder
    )
    # Behind a false name, with nothing heard of the provider, it may be the router that says that it has no line.
    if pages and not (names_fail and line_fails):
        carried = max(carried, Rung.DNS)
    return carried


def _names_fail(ladder: Iterable[Reading]) -> bool:
    return any(r.rung == Rung.DNS and not r.label and r.state in (State.FAIL, State.SILENT) for r in ladder)


def _is_page(reading: Reading) -> bool:
    """Whether a login or payment page stood in the place of what was asked for."""
    return reading.state == State.FAIL and reading.rung >= Rung.PORTAL and reading.reason in _UNPAID


def _rests_on(reading: Reading, names_fail: bool, baseline: Baseline) -> int:
    if reading.method == Method.MULTICAST:
        return Rung.LINK if reading.answered else _NOTHING  # it may come from a box next door, or by a network of its own
    from_gateway = reading.rung == Rung.DNS and not reading.label and baseline.resolver == Resolver.GATEWAY
    if reading.answered:
        if reading.rung == Rung.ADDRESS:
            return _NOTHING  # one set by hand stays when the cable is pulled
        if from_gateway:
            return Rung.GATEWAY  # it may answer from memory; that says nothing about the line
        if reading.rung == Rung.MEDIA:
            return Rung.DNS  # the portal is another server
        return reading.rung - 1
    if reading.state != State.FAIL:
        return _NOTHING
    if reading.reason in _UNPAID:
        return reading.rung - 1
    if reading.rung >= Rung.PORTAL and reading.reason in _SERVER_SPOKE and not names_fail:
        # Behind a false name it may be the router's own page that answered.
        return Rung.DNS
    if reading.rung == Rung.DNS and reading.reason in _RESOLVER_SPOKE and not from_gateway:
        return Rung.ISP
    return _NOTHING


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
        return _slow(slow, ladder)
    # "All is well" is said only by the portal itself or by something above it; a working cable is no working site.
    well = any(r.answered and r.rung >= Rung.PORTAL and r.method != Method.MULTICAST for r in primary)
    why = next((r.reason for r in reversed(primary) if r.state == State.SILENT), Reason.NONE)
    return Verdict(state=State.OK if well else State.SILENT, path=chosen, reason=Reason.NONE if well else why, evidence=ladder)


def _portal_path(judged: Sequence[Reading], baseline: Baseline) -> str:
    """The path that reaches the portal now, else the one that last did, else the first on which anything was measured."""
    reaching = [r.path for r in judged if r.rung == Rung.PORTAL and not r.label and r.answered]
    if reaching:
        return baseline.portal_path if baseline.portal_path in reaching else reaching[0]
    known = [r.path for r in judged if r.state != State.NOT_APPLICABLE] or [r.path for r in judged]
    if baseline.portal_path in known:
        return baseline.portal_path
    return known[0] if known else ""


def _slow(slow: Reading, ladder: tuple[Reading, ...]) -> Verdict:
    kind = Kind.LINE_DEGRADED if slow.rung == Rung.ISP else None
    # Loss and latency of the line are only told of the catalogue's series of probes to several targets, confirmed without ICMP;
    # what else is slow at the provider is one look. A gateway that nobody hears can't be told from the line.
    series = slow.reason in (Reason.PACKET_LOSS, Reason.HIGH_LATENCY) and not any(
        r.rung == Rung.GATEWAY and r.state in (State.SILENT, State.FAIL) for r in ladder
    )
    return Verdict(
        state=State.DEGRADED,
        path=slow.path,
        rung=slow.rung,
        kind=kind,
        party=KINDS[kind].party if kind else None,
        grade=None if kind is None else Grade.PROVEN if series else Grade.TO_VERIFY,
        reason=slow.reason,
        evidence=ladder,
    )


def _fault(failing: Reading, ladder: tuple[Reading, ...], baseline: Baseline) -> Verdict:
    proven = _holds_below(failing, ladder, baseline)
    rung, kind = failing.rung, _KIND_OF_RUNG[failing.rung]
    if failing.reason in _UNPAID and not any(r.answered and r.rung > rung for r in ladder):
        kind = Kind.ARREARS
    elif rung == Rung.DNS and not proven and _line_is_likelier(failing, baseline):
        rung, kind = Rung.ISP, Kind.LINE_DOWN
    return Verdict(
        state=State.FAIL,
        path=failing.path,
        rung=rung,
        kind=kind,
        party=_party_of_names(ladder, baseline) if kind == Kind.DNS_FAILURE else KINDS[kind].party,
        grade=Grade.PROVEN if proven else Grade.TO_VERIFY,
        reason=failing.reason,
        evidence=ladder,
    )


def _line_is_likelier(names: Reading, baseline: Baseline) -> bool:
    """Names fail and nothing shows that the provider holds: a gateway without a line reports failures of its own."""
    return names.reason in _NOBODY_ANSWERED or (baseline.resolver == Resolver.GATEWAY and names.reason == Reason.SERVER_FAILURE)


def _party_of_names(ladder: Sequence[Reading], baseline: Baseline) -> Party:
    direct = any(r.rung == Rung.DNS and r.label == DIRECT and r.state == State.FAIL for r in ladder)
    return Party.TELECOM if direct and baseline.resolver == Resolver.GATEWAY else _PARTY_OF_RESOLVER[baseline.resolver]


def _holds_below(failing: Reading, ladder: Sequence[Reading], baseline: Baseline) -> bool:
    """Whether what must carry the failing rung was seen to hold.

    A cable needs nothing below it, and an answer that says what is wrong has travelled all the way. Else the next lower rung
    that can be measured here must answer; above the line, the provider must have been heard, or it can't be told from a
    dead line.
    """
    carried = _carried(ladder, baseline)
    below = [r for r in ladder if r.rung < failing.rung and not r.label and r.state != State.NOT_APPLICABLE]
    if _is_page(failing) and _names_fail(below):
        return any(r.rung >= Rung.ISP and r.answered for r in ladder)
    if failing.rung == Rung.LINK or carried >= failing.rung - 1:
        return True
    if failing.rung <= Rung.ISP:
        return bool(below) and below[-1].answered
    heard = carried >= Rung.ISP or any(r.rung == Rung.ISP and r.answered for r in below)
    return heard and (failing.rung == Rung.DNS or (bool(below) and below[-1].answered))
