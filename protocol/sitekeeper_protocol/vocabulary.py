"""The closed word lists of Sitekeeper: rungs, states, reasons, kinds, parties, grades and metrics.

Every member carries the integer that stands for it on the wire. Numbers are never reused; a reader that meets a number
it does not know keeps it as a number.
"""

from enum import IntEnum, StrEnum, unique
from types import MappingProxyType
from typing import NamedTuple


@unique
class Rung(IntEnum):
    """A step of the reachability ladder, from the cable to the played stream."""

    LINK = 1
    ADDRESS = 2
    GATEWAY = 3
    MODEM = 4
    ISP = 5
    DNS = 6
    PORTAL = 7
    MEDIA = 8


@unique
class State(IntEnum):
    """What a probe found on a rung."""

    OK = 0
    DEGRADED = 1
    FAIL = 2
    SILENT = 3
    """No answer, but an answer can't be expected here: it proves nothing."""
    NOT_APPLICABLE = 4


@unique
class Reason(IntEnum):
    """Why a reading is not plain ``ok``."""

    NONE = 0
    TIMEOUT = 1
    REFUSED = 2
    UNREACHABLE = 3
    NO_CARRIER = 4
    NO_INTERFACE = 5
    NO_ADDRESS = 6
    SELF_ASSIGNED_ADDRESS = 7
    NO_ROUTE = 8
    NO_RESOLVER = 9
    NAME_NOT_FOUND = 10
    SERVER_FAILURE = 11
    LYING_ANSWER = 12
    MALFORMED_REPLY = 13
    TLS_FAILED = 14
    CERTIFICATE_INVALID = 15
    CERTIFICATE_EXPIRED = 16
    HTTP_CLIENT_ERROR = 17
    HTTP_SERVER_ERROR = 18
    WRONG_CONTENT = 19
    CAPTIVE_PAGE = 20
    """Sent to a login or payment page beyond the site's own network; the router's own page is ``WRONG_CONTENT``."""
    CONNECTION_RESET = 21
    HIGH_LATENCY = 22
    PACKET_LOSS = 23
    PPPOE_NO_ANSWER = 24
    PPPOE_REJECTED = 25
    NEVER_SUCCEEDED = 26
    """The probe failed, but has never succeeded at this site since its network last changed."""
    ANSWERED_ABOVE = 27
    """The probe failed, but a higher rung answered over the same path."""
    NO_PERMISSION = 28
    PROBE_HUNG = 29
    PROBE_ERROR = 30
    NOT_CONFIGURED = 31
    SLOW = 32
    STREAM_STALLED = 33
    """The playlist of a live stream is served, but nothing new is added to it."""
    DUPLICATE_ADDRESS = 34
    """Another machine answers for this PC's own address."""
    LOGIN_REFUSED = 35
    """The broker does not take the site's user name and password."""


@unique
class Method(IntEnum):
    """How a reading was obtained, since an unprivileged agent can't always ping."""

    NONE = 0
    PING_SOCKET = 1
    RAW_SOCKET = 2
    PING_PROGRAM = 3
    TCP_CONNECT = 4
    NEIGHBOUR_TABLE = 5
    UDP_QUERY = 6
    HTTP = 7
    SYSTEM = 8
    HOP_LIMIT = 9
    """A datagram that lives for so many hops only; the router at which it ends says so."""
    LOG_FILE = 10
    RTSP = 11
    MULTICAST = 12
    """Packets of a multicast group; they may come by another way than all else, and prove nothing of the line."""


@unique
class PlayerState(IntEnum):
    """What a watched player does."""

    ABSENT = 0
    """It does not run, or nothing listens where it should."""
    IDLE = 1
    STARTING = 2
    """It was asked to play, or to play from elsewhere, and has not shown a picture yet."""
    PLAYING = 3
    STALLED = 4
    PAUSED = 5
    HUNG = 6
    RESTARTING = 7
    """It was started at least three times within ten minutes."""
    RUNNING = 8
    """Its program runs; what it does can't be told."""
    UNKNOWN = 9
    """It can't be asked, or what it answers makes no sense."""


@unique
class SmartState(IntEnum):
    """What a disk says of its own health."""

    PASSED = 0
    WORN = 1
    """It passes its own test, but has sectors that it can't read, has lost data, or is at the end of its planned life."""
    FAILING = 2
    NO_RIGHTS = 3
    """The agent may not ask it, which is no fault of the disk."""
    NOT_OFFERED = 4
    """It has no SMART, or its USB bridge hides it."""
    UNKNOWN = 5
    """It was asked, and what came back makes no sense."""


@unique
class Setting(StrEnum):
    """A watched setting of a PC, as a ``SettingsEvent`` names it."""

    ADDRESS_METHOD = "address_method"
    ADDRESS = "address"
    GATEWAY = "gateway"
    RESOLVERS = "resolvers"
    PROXY = "proxy"


@unique
class Party(StrEnum):
    """Whose job a fault is."""

    TELECOM = "telecom"
    TECHNICIAN = "technician"
    SITE = "site"
    POWER = "power"
    PLATFORM = "platform"
    MANAGEMENT = "management"


@unique
class Grade(StrEnum):
    """How sure a ticket is of its cause; the first thing that its reader sees."""

    PROVEN = "proven"
    INFERRED = "inferred"
    TO_VERIFY = "to_verify"


@unique
class Severity(StrEnum):
    """How much a fault hurts, from a note to a site that can't teach."""

    INFO = "info"
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


@unique
class Kind(StrEnum):
    """A kind of fault of the catalogue."""

    SITE_DARK = "site_dark"
    LINE_SUSPECTED = "line_suspected"
    LINE_DOWN = "line_down"
    MODEM_DOWN = "modem_down"
    GATEWAY_DOWN = "gateway_down"
    NO_ADDRESS = "no_address"
    LINK_DOWN = "link_down"
    ARREARS = "arrears"
    LINE_DEGRADED = "line_degraded"
    LINE_SLOW = "line_slow"
    DNS_FAILURE = "dns_failure"
    UPLINK_BLOCKED = "uplink_blocked"
    PORTAL_DOWN = "portal_down"
    MEDIA_DOWN = "media_down"
    PLAYBACK_FAILURE = "playback_failure"
    PLAYBACK_STALLING = "playback_stalling"
    PLAYER_MISSING = "player_missing"
    DISPLAY_MISSING = "display_missing"
    AUDIO_MISSING = "audio_missing"
    DEVICE_MISSING = "device_missing"
    DISK_FULL = "disk_full"
    DISK_FAILING = "disk_failing"
    OVERHEATING = "overheating"
    OVERLOADED = "overloaded"
    CLOCK_WRONG = "clock_wrong"
    SETTINGS_CHANGED = "settings_changed"
    RESTARTING = "restarting"
    POWER_LOSS = "power_loss"
    AREA_OUTAGE = "area_outage"
    FLAPPING = "flapping"
    DUPLICATE_IDENTITY = "duplicate_identity"
    AGENT_TROUBLE = "agent_trouble"
    REPORTED = "reported"
    LONG_UNHEARD = "long_unheard"


class KindFacts(NamedTuple):
    """What holds for a kind before any rule file overrides it.

    ``party`` is ``None`` where the catalogue says "as the kind" or "by kind", and ``severity`` where it has none.
    """

    party: Party | None
    severity: Severity | None


_T, _C, _S = Party.TELECOM, Party.TECHNICIAN, Party.SITE
_CRITICAL, _MAJOR, _MINOR, _INFO = Severity.CRITICAL, Severity.MAJOR, Severity.MINOR, Severity.INFO

KINDS: MappingProxyType[Kind, KindFacts] = MappingProxyType(
    {
        Kind.SITE_DARK: KindFacts(_C, _MINOR),
        Kind.LINE_SUSPECTED: KindFacts(_T, _MAJOR),
        Kind.LINE_DOWN: KindFacts(_T, _CRITICAL),
        Kind.MODEM_DOWN: KindFacts(_S, _MAJOR),
        Kind.GATEWAY_DOWN: KindFacts(_S, _MAJOR),
        Kind.NO_ADDRESS: KindFacts(_S, _MAJOR),
        Kind.LINK_DOWN: KindFacts(_S, _MAJOR),
        Kind.ARREARS: KindFacts(Party.MANAGEMENT, _MAJOR),
        Kind.LINE_DEGRADED: KindFacts(_T, _MINOR),
        Kind.LINE_SLOW: KindFacts(_T, _MINOR),
        Kind.DNS_FAILURE: KindFacts(_T, _MAJOR),
        Kind.UPLINK_BLOCKED: KindFacts(_C, _MINOR),
        Kind.PORTAL_DOWN: KindFacts(_C, _MAJOR),
        Kind.MEDIA_DOWN: KindFacts(Party.PLATFORM, _MAJOR),
        Kind.PLAYBACK_FAILURE: KindFacts(_C, _MAJOR),
        Kind.PLAYBACK_STALLING: KindFacts(_C, _MINOR),
        Kind.PLAYER_MISSING: KindFacts(_C, _MAJOR),
        Kind.DISPLAY_MISSING: KindFacts(_C, _MINOR),
        Kind.AUDIO_MISSING: KindFacts(_C, _MINOR),
        Kind.DEVICE_MISSING: KindFacts(_C, _MINOR),
        Kind.DISK_FULL: KindFacts(_C, _MINOR),
        Kind.DISK_FAILING: KindFacts(_C, _MAJOR),
        Kind.OVERHEATING: KindFacts(_S, _MINOR),
        Kind.OVERLOADED: KindFacts(_C, _MINOR),
        Kind.CLOCK_WRONG: KindFacts(_C, _MINOR),
        Kind.SETTINGS_CHANGED: KindFacts(_C, _MINOR),
        Kind.RESTARTING: KindFacts(_C, _MAJOR),
        Kind.POWER_LOSS: KindFacts(Party.POWER, _INFO),
        Kind.AREA_OUTAGE: KindFacts(None, _CRITICAL),
        Kind.FLAPPING: KindFacts(None, None),
        Kind.DUPLICATE_IDENTITY: KindFacts(_C, _MINOR),
        Kind.AGENT_TROUBLE: KindFacts(_C, _MINOR),
        Kind.REPORTED: KindFacts(None, None),
        Kind.LONG_UNHEARD: KindFacts(Party.MANAGEMENT, None),
    }
)


KIND_NUMBERS: MappingProxyType[Kind, int] = MappingProxyType({kind: number for number, kind in enumerate(Kind, 1)})
"""The integer that stands for a kind in a sample and in the code that is read out by phone. New kinds go to the end of
``Kind``: the numbers are of the wire and never change (a test holds them)."""
PARTY_NUMBERS: MappingProxyType[Party, int] = MappingProxyType({party: number for number, party in enumerate(Party, 1)})
"""The integer that stands for a party in a sample; as for kinds, new ones go to the end."""
GRADE_NUMBERS: MappingProxyType[Grade, int] = MappingProxyType({grade: number for number, grade in enumerate(Grade, 1)})
"""The integer that stands for a grade in a sample; as for kinds, new ones go to the end."""
_KINDS_BY_NUMBER = {number: kind for kind, number in KIND_NUMBERS.items()}
_PARTIES_BY_NUMBER = {number: party for party, number in PARTY_NUMBERS.items()}
_GRADES_BY_NUMBER = {number: grade for grade, number in GRADE_NUMBERS.items()}


def kind_of_number(number: int | None) -> Kind | None:
    """The kind that ``number`` stands for; ``None`` for one that only a newer program knows."""
    return None if number is None else _KINDS_BY_NUMBER.get(number)


def party_of_number(number: int | None) -> Party | None:
    """The party that ``number`` stands for; ``None`` for one that only a newer program knows."""
    return None if number is None else _PARTIES_BY_NUMBER.get(number)


def grade_of_number(number: int | None) -> Grade | None:
    """The grade that ``number`` stands for; ``None`` for one that only a newer program knows."""
    return None if number is None else _GRADES_BY_NUMBER.get(number)


class MetricFacts(NamedTuple):
    """How a metric's integers are to be read: ``value = integer * step`` in ``unit``."""

    unit: str
    step: float
    instance: str
    """What the instance of a series names ("" where a metric has one series only)."""
    meaning: str


@unique
class Metric(IntEnum):
    """A measured quantity, by its number on the wire. Units and steps are in ``METRICS``."""

    RUNG_STATE = 1
    RUNG_REASON = 2
    RUNG_RTT_MS = 3
    RUNG_LOSS_RATIO = 4
    RUNG_METHOD = 5
    VERDICT_STATE = 6
    VERDICT_RUNG = 7
    PORTAL_DNS_MS = 8
    PORTAL_CONNECT_MS = 9
    PORTAL_TLS_MS = 10
    PORTAL_FIRST_BYTE_MS = 11
    PORTAL_STATUS = 12
    PORTAL_CERTIFICATE_DAYS = 13
    CPU_RATIO = 20
    MEMORY_AVAILABLE_RATIO = 21
    DISK_FREE_BYTES = 22
    DISK_USED_RATIO = 23
    TEMPERATURE_C = 24
    PROCESSES = 25
    NET_RECEIVED_BYTES = 26
    NET_SENT_BYTES = 27
    HOST_UPTIME_S = 28
    AGENT_CPU_S = 40
    AGENT_RSS_BYTES = 41
    SPOOL_HELD = 42
    SPOOL_UNCONFIRMED = 43
    SPOOL_BYTES = 44
    PROBES_HUNG = 45
    CLOCK_OFFSET_S = 46
    VERDICT_KIND = 47
    VERDICT_PARTY = 48
    VERDICT_GRADE = 49
    PLAYING = 50
    MEDIA_STARTUP_MS = 60
    MEDIA_STATUS = 61
    MEDIA_LOSS_RATIO = 62
    MEDIA_JITTER_MS = 63
    PLAYER_STATE = 70
    PLAYER_PLAY_S = 71
    PLAYER_STALLS = 72
    PLAYER_STALL_S = 73
    PLAYER_FAILURES = 74
    PLAYER_SESSIONS = 75
    PLAYER_STARTUP_MS = 76
    PLAYER_BUFFER_S = 77
    PLAYER_DROPPED_FRAMES = 78
    PLAYER_RECEIVED_BYTES = 79
    PLAYER_STARTS = 80
    DISK_READONLY = 90
    DISK_IO_ERRORS = 91
    SMART_STATE = 92
    THROTTLED = 93
    CPU_LIMIT_RATIO = 94
    DISPLAYS = 95
    AUDIO_OUTPUTS = 96
    EQUIPMENT_EXPECTED = 97
    EQUIPMENT_ABSENT = 98
    EQUIPMENT_PRESENT = 99
    SETTINGS_DIFFERING = 100
    LINE_PROBES = 120
    LINE_LOSS_RATIO = 121
    LINE_RTT_P50_MS = 122
    LINE_RTT_P95_MS = 123
    LINE_JITTER_MS = 124
    LINE_USUAL_RTT_MS = 125
    BROKER_CONNECTED = 126
    BROKER_REASON = 127
    LINK_SPEED_MBPS = 128
    LINK_FULL_DUPLEX = 129
    WIRELESS_SIGNAL_DBM = 130
    COMMISSIONED = 131
    DATA_BUDGET_LEFT_BYTES = 140
    DOWNLOAD_KBPS = 141
    SESSION_ACTIVE = 150
    DAY_ON_S = 151
    DAY_IN_USE_S = 152
    DAY_IDLE_S = 153


_RUNG = "path/rung, e.g. ipv4/dns"
_STREAM = "number of the stream"
_PLAYER = "name of the player"
_ITEM = "sort/name, e.g. usb/camera"
_LINE = "path/isp or path/gateway"
_MIB, _KIB = 1048576.0, 1024.0
METRICS: MappingProxyType[Metric, MetricFacts] = MappingProxyType(
    {
        Metric.RUNG_STATE: MetricFacts("state", 1, _RUNG, "state of a rung, after the honest rules"),
        Metric.RUNG_REASON: MetricFacts("reason", 1, _RUNG, "why it is not ok; absent when there is nothing to say"),
        Metric.RUNG_RTT_MS: MetricFacts("ms", 0.1, _RUNG, "time to the answer"),
        Metric.RUNG_LOSS_RATIO: MetricFacts("ratio", 0.001, _RUNG, "share of the probes sent that got no answer"),
        Metric.RUNG_METHOD: MetricFacts("method", 1, _RUNG, "how the reading was obtained"),
        Metric.VERDICT_STATE: MetricFacts("state", 1, "", "the ladder's verdict; silent means that it can't tell"),
        Metric.VERDICT_RUNG: MetricFacts("rung", 1, "", "the rung that the verdict names; absent when all is well"),
        Metric.PORTAL_DNS_MS: MetricFacts("ms", 1, "", "portal: name resolution"),
        Metric.PORTAL_CONNECT_MS: MetricFacts("ms", 1, "", "portal: TCP handshake"),
        Metric.PORTAL_TLS_MS: MetricFacts("ms", 1, "", "portal: TLS handshake"),
        Metric.PORTAL_FIRST_BYTE_MS: MetricFacts("ms", 1, "", "portal: request sent to first byte of the answer"),
        Metric.PORTAL_STATUS: MetricFacts("HTTP status", 1, "", "portal: status code of the answer"),
        Metric.PORTAL_CERTIFICATE_DAYS: MetricFacts("d", 1, "", "portal: days until its certificate ends"),
        Metric.CPU_RATIO: MetricFacts("ratio", 0.01, "", "processor time in use since the sample before"),
        Metric.MEMORY_AVAILABLE_RATIO: MetricFacts("ratio", 0.01, "", "memory that can be had without swapping"),
        Metric.DISK_FREE_BYTES: MetricFacts("B", _MIB, "volume", "free space for ordinary users"),
        Metric.DISK_USED_RATIO: MetricFacts("ratio", 0.001, "volume", "used share of the volume"),
        Metric.TEMPERATURE_C: MetricFacts("°C", 1, "", "hottest sensor of processor or board"),
        Metric.PROCESSES: MetricFacts("1", 1, "", "running processes"),
        Metric.NET_RECEIVED_BYTES: MetricFacts("B", _KIB, "interface", "received since the sample before"),
        Metric.NET_SENT_BYTES: MetricFacts("B", _KIB, "interface", "sent since the sample before"),
        Metric.HOST_UPTIME_S: MetricFacts("s", 60, "", "time since the machine booted"),
        Metric.AGENT_CPU_S: MetricFacts("s", 0.01, "", "processor time of the agent since the sample before"),
        Metric.AGENT_RSS_BYTES: MetricFacts("B", _MIB, "", "resident memory of the agent"),
        Metric.SPOOL_HELD: MetricFacts("1", 1, "", "samples in the spool"),
        Metric.SPOOL_UNCONFIRMED: MetricFacts("1", 1, "", "samples in the spool without a receipt"),
        Metric.SPOOL_BYTES: MetricFacts("B", _KIB, "", "size of the spool on disk"),
        Metric.PROBES_HUNG: MetricFacts("1", 1, "", "probes that did not come back in time"),
        Metric.CLOCK_OFFSET_S: MetricFacts("s", 1, "", "server time minus the site's wall clock, by round trip"),
        Metric.VERDICT_KIND: MetricFacts("kind", 1, "", "the fault that the verdict names; absent when it names none"),
        Metric.VERDICT_PARTY: MetricFacts("party", 1, "", "whose job the verdict says it is; absent with the kind"),
        Metric.VERDICT_GRADE: MetricFacts("grade", 1, "", "how sure the verdict is; absent with the kind"),
        Metric.PLAYING: MetricFacts("1", 1, "", "streams that are being played; absent where no player is watched"),
        Metric.MEDIA_STARTUP_MS: MetricFacts("ms", 1, _STREAM, "media: from the start to enough bytes for a player to begin"),
        Metric.MEDIA_STATUS: MetricFacts("HTTP status", 1, _STREAM, "media: status code of the last answer"),
        Metric.MEDIA_LOSS_RATIO: MetricFacts("ratio", 0.001, _STREAM, "media: share of RTP or TS packets that were missing"),
        Metric.MEDIA_JITTER_MS: MetricFacts("ms", 0.1, _STREAM, "media: jitter of RTP packets, RFC 3550"),
        Metric.PLAYER_STATE: MetricFacts("player state", 1, _PLAYER, "player: what it does"),
        Metric.PLAYER_PLAY_S: MetricFacts("s", 0.1, _PLAYER, "player: played since the sample before; absent without session"),
        Metric.PLAYER_STALLS: MetricFacts("1", 1, _PLAYER, "player: stalls (rebuffering) that began since the sample before"),
        Metric.PLAYER_STALL_S: MetricFacts("s", 0.1, _PLAYER, "player: time in stalls since the sample before"),
        Metric.PLAYER_FAILURES: MetricFacts("1", 1, _PLAYER, "player: failures to start or to play on since the sample before"),
        Metric.PLAYER_SESSIONS: MetricFacts("1", 1, _PLAYER, "player: sessions that began since the sample before"),
        Metric.PLAYER_STARTUP_MS: MetricFacts("ms", 1, _PLAYER, "player: from the request to the first picture, last session"),
        Metric.PLAYER_BUFFER_S: MetricFacts("s", 0.1, _PLAYER, "player: media that it holds ahead"),
        Metric.PLAYER_DROPPED_FRAMES: MetricFacts("1", 1, _PLAYER, "player: pictures not shown since the sample before"),
        Metric.PLAYER_RECEIVED_BYTES: MetricFacts("B", _KIB, _PLAYER, "player: bytes that it took in since the sample before"),
        Metric.PLAYER_STARTS: MetricFacts("1", 1, _PLAYER, "player: starts of its program in the last ten minutes"),
        Metric.DISK_READONLY: MetricFacts("1", 1, "volume", "1: the volume takes no data, though it should"),
        Metric.DISK_IO_ERRORS: MetricFacts("1", 1, "disk or partition", "errors counted by its file system or driver, total"),
        Metric.SMART_STATE: MetricFacts("SMART state", 1, "disk", "what the disk says of its own health"),
        Metric.THROTTLED: MetricFacts("1", 1, "", "times that heat slowed the processor since the sample before"),
        Metric.CPU_LIMIT_RATIO: MetricFacts("ratio", 0.01, "", "share of its top frequency that the processor may use"),
        Metric.DISPLAYS: MetricFacts("1", 1, "", "displays that are connected"),
        Metric.AUDIO_OUTPUTS: MetricFacts("1", 1, "", "sound outputs that could be heard"),
        Metric.EQUIPMENT_EXPECTED: MetricFacts("1", 1, "", "expected items that could be looked for"),
        Metric.EQUIPMENT_ABSENT: MetricFacts("1", 1, "", "expected items that are not there"),
        Metric.EQUIPMENT_PRESENT: MetricFacts("1", 1, _ITEM, "1: the expected item is there, 0: it is not; absent: can't tell"),
        Metric.SETTINGS_DIFFERING: MetricFacts("1", 1, "", "settings that differ from the commissioned ones"),
        Metric.LINE_PROBES: MetricFacts("1", 1, _LINE, "line quality: probes of the last half hour"),
        Metric.LINE_LOSS_RATIO: MetricFacts("ratio", 0.001, _LINE, "line quality: share of them without an answer"),
        Metric.LINE_RTT_P50_MS: MetricFacts("ms", 0.1, _LINE, "line quality: median time to the answer"),
        Metric.LINE_RTT_P95_MS: MetricFacts("ms", 0.1, _LINE, "line quality: 95th percentile of the time to the answer"),
        Metric.LINE_JITTER_MS: MetricFacts("ms", 0.1, _LINE, "line quality: mean change from answer to answer"),
        Metric.LINE_USUAL_RTT_MS: MetricFacts("ms", 0.1, _LINE, "line quality: the median that is usual at this site"),
        Metric.BROKER_CONNECTED: MetricFacts("1", 1, "", "1: connected to the broker, 0: not"),
        Metric.BROKER_REASON: MetricFacts("reason", 1, "", "why there is no connection; absent with one, or if unknown"),
        Metric.LINK_SPEED_MBPS: MetricFacts("Mbit/s", 1, "interface", "speed that the cable's two ends agreed on"),
        Metric.LINK_FULL_DUPLEX: MetricFacts("1", 1, "interface", "1: both directions at once, 0: by turns"),
        Metric.WIRELESS_SIGNAL_DBM: MetricFacts("dBm", 1, "interface", "strength of the wireless signal"),
        Metric.COMMISSIONED: MetricFacts(
            "1", 1, "", "1: commissioned in this network, 0: to be commissioned again, or never was"
        ),
        Metric.DATA_BUDGET_LEFT_BYTES: MetricFacts(
            "B", _KIB, "", "what measuring may still cost today; absent without speed test"
        ),
        Metric.DOWNLOAD_KBPS: MetricFacts(
            "kbit/s", 1, "", "speed test: rate of the download that ended since the sample before"
        ),
        Metric.SESSION_ACTIVE: MetricFacts("1", 1, "", "1: keys or mouse are used, 0: not for minutes; absent: can't be told"),
        Metric.DAY_ON_S: MetricFacts("s", 1, "", "time that the PC was on since the site's midnight"),
        Metric.DAY_IN_USE_S: MetricFacts("s", 1, "", "of that, time in use; absent where nothing tells of use"),
        Metric.DAY_IDLE_S: MetricFacts("s", 1, "", "of that, time surely not in use; absent where nothing tells of use"),
    }
)


def to_wire(metric: Metric, value: float) -> int:
    """The integer that stands for ``value`` (in the metric's unit) on the wire."""
    return round(value / METRICS[metric].step)


def from_wire(code: int, integer: int) -> float:
    """The value, in the metric's unit, that ``integer`` stands for; an unknown metric's integer is returned as it is."""
    facts = METRICS.get(code)  # type: ignore[call-overload]
    return float(integer) if facts is None else round(integer * facts.step, 6)


def metric_name(code: int) -> str:
    """The name of a metric, also of one that a newer agent sent and this version does not know."""
    try:
        return Metric(code).name.lower()
    except ValueError:
        return f"metric_{code}"
