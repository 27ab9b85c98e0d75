"""Everything that crosses the wire, as values. ``codec`` turns them into bytes and back.

Times: ``*_wall_ms`` is Unix time in ms by the sender's own clock (which may be wrong), ``*_boottime_ms`` is Linux
CLOCK_BOOTTIME (clock_gettime(2)) or its like: ms since the machine booted, counted on through suspend. ``server_time_ms`` is
Unix time in ms by the collector. Runs, boots and epochs are random numbers drawn by whoever they belong to.
"""

from enum import IntEnum, StrEnum, unique
from typing import Annotated

from msgspec import Meta, Struct

from sitekeeper_protocol.vocabulary import State

Id64 = Annotated[int, Meta(ge=1, le=2**63 - 1)]
"""A random identity. 63 bits, so that every database stores it as a plain integer."""
Id64OrNone = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An identity, or 0 where there is none."""
Boot = Annotated[int, Meta(ge=1, le=2**32 - 1)]
"""Identity of a boot: equal exactly while CLOCK_BOOTTIME counts on."""
Count = Annotated[int, Meta(ge=0, le=2**53)]
Millis = Annotated[int, Meta(ge=-(2**53), le=2**53)]
ShortText = Annotated[str, Meta(max_length=200)]
Key = Annotated[str, Meta(max_length=64)]
Scalar = bool | int | Annotated[str, Meta(max_length=1000)] | None

SeriesKey = tuple[int, str]
"""(metric number, instance): the identity of a series within a site."""


@unique
class PowerEvent(StrEnum):
    """What happened to the machine or to the agent's life."""

    STARTED = "started"
    GOODBYE = "goodbye"
    POWER_LOST = "power_lost"
    """The run before ended without goodbye, and the machine has booted since."""
    AGENT_DIED = "agent_died"
    """The run before ended without goodbye, and the machine has not booted since."""
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    CLOCK_JUMPED = "clock_jumped"


@unique
class StopReason(StrEnum):
    """Why an agent says goodbye."""

    SHUTDOWN = "shutdown"
    SUSPEND = "suspend"
    RESTART = "restart"
    UPGRADE = "upgrade"


@unique
class PlaybackEvent(StrEnum):
    """What happened to a played stream."""

    STARTED = "started"
    STOPPED = "stopped"
    STALLED = "stalled"
    FAILED = "failed"


class EvidenceItem(Struct, frozen=True, array_like=True):
    """A judged reading, as it is told with a verdict."""

    path: Key
    rung: int
    state: int
    reason: int = 0
    method: int = 0
    rtt_ms: Annotated[int, Meta(ge=0, le=2**31)] | None = None
    target: Key = ""
    label: Key = ""


class VerdictEvent(Struct, frozen=True, array_like=True, tag=1):
    """The ladder's verdict changed. Numbers and words are those of ``vocabulary``; empty where there is nothing to name."""

    state: int
    rung: int = 0
    kind: Key = ""
    party: Key = ""
    grade: Key = ""
    reason: int = 0
    path: Key = ""
    before_state: int = State.SILENT.value
    before_rung: int = 0
    evidence: Annotated[list[EvidenceItem], Meta(max_length=64)] = []


class PlaybackEventRecord(Struct, frozen=True, array_like=True, tag=2):
    """A player started, stopped, stalled or failed. ``duration_ms`` is the length of the stall or of the play that ended."""

    what: PlaybackEvent
    player: Key
    stream: Key = ""
    code: Key = ""
    text: ShortText = ""
    duration_ms: Count = 0


class PowerEventRecord(Struct, frozen=True, array_like=True, tag=3):
    """Start, goodbye, loss of power, suspend, a jump of the wall clock.

    ``run`` is the run that it is about (the one before, for ``power_lost`` and ``agent_died``), ``last_wall_ms`` and
    ``last_boottime_ms`` the last instant that it is known to have lived, ``amount_ms`` the length of a suspend or the size
    of a jump (positive: the clock was put forward).
    """

    what: PowerEvent
    reason: Key = ""
    run: int = 0
    last_wall_ms: Millis = 0
    last_boottime_ms: Millis = 0
    amount_ms: Millis = 0


class SettingsEvent(Struct, frozen=True, array_like=True, tag=4):
    """A watched setting of the PC changed."""

    name: Key
    before: ShortText = ""
    after: ShortText = ""


class ButtonEvent(Struct, frozen=True, array_like=True, tag=5):
    """Somebody at the site pressed a button; ``code`` is the 8-digit code shown at that moment."""

    button: Key
    code: Key = ""


class UnknownEvent(Struct, frozen=True):
    """An event of a newer agent: kept as it came, so that an update of the collector can read it."""

    tag: int
    payload: bytes


Event = VerdictEvent | PlaybackEventRecord | PowerEventRecord | SettingsEvent | ButtonEvent | UnknownEvent


class Sample(Struct, frozen=True, kw_only=True):
    """All that was measured at one instant. Its identity is (site, run, ``sequence``); it never changes once it is taken.

    ``values`` are integers in the steps of ``vocabulary.METRICS``; ``facts`` holds slow properties of the machine that
    changed with this sample.
    """

    sequence: int
    wall_ms: int
    boottime_ms: int
    values: dict[SeriesKey, int]
    events: tuple[Event, ...] = ()
    facts: dict[str, Scalar] = {}


@unique
class DropReason(IntEnum):
    """Why an agent no longer holds samples that nobody has confirmed."""

    AGE = 1
    SIZE = 2
    CORRUPT = 3
    NO_DISK = 4


class Drop(Struct, frozen=True, array_like=True):
    """Samples ``first`` to ``last`` of ``run`` are gone from the agent."""

    run: Id64
    first: Annotated[int, Meta(ge=1, le=2**53)]
    last: Annotated[int, Meta(ge=1, le=2**53)]
    reason: int


class Clock(Struct, frozen=True, array_like=True):
    """Server time minus CLOCK_BOOTTIME of one boot, learned by a round trip; the truth is within ``error_ms``."""

    offset_ms: Millis
    error_ms: Count


class Header(Struct, frozen=True, kw_only=True):
    """What can be read of a report without opening its body.

    ``number`` counts the reports of the sending process, over all its connections. ``first`` and ``count`` give the
    sequence numbers of its samples, ``oldest`` the lowest that the agent still holds of ``run``.
    """

    site_check: int
    run: int
    connection: int
    number: int
    backlog: bool
    wants_receipt: bool
    first: int
    count: int
    oldest: int
    config_revision: int

    @property
    def last(self) -> int:
        """Sequence number of the last sample (``first - 1`` when there is none)."""
        return self.first + self.count - 1


class Report(Struct, frozen=True, kw_only=True):
    """Samples of one run, with what is needed to place them in time.

    ``boot`` is the boot that the samples were taken in, ``sent_boot`` the one of the sending process; ``clock`` belongs to
    ``boot``. ``next_within_s`` is the agent's promise, which only the newest live report makes.
    """

    header: Header
    boot: int
    sent_boot: int
    sent_wall_ms: int
    sent_boottime_ms: int
    next_within_s: int
    clock: Clock | None = None
    samples: tuple[Sample, ...] = ()
    drops: tuple[Drop, ...] = ()


class RunReceipt(Struct, frozen=True, array_like=True):
    """What is stored of a run: all up to ``through``, and ``ranges`` (closed, ascending, at most 16) beyond it.

    Samples booked as dropped or refused count as stored.
    """

    run: Id64
    through: Count
    ranges: Annotated[list[tuple[Count, Count]], Meta(max_length=16)] = []


class Receipt(Struct, frozen=True, array_like=True):
    """The collector's word for what is safe, and the only source of true time.

    ``epoch`` is drawn when the database is made or restored. ``run`` and ``number`` echo the newest report that this
    answers (0: none). ``complete`` says that ``runs`` lists every run of this site that the store has heard of in the last
    8 days, so that one which is missing there is missing in the store.
    """

    version: int
    epoch: Id64
    run: Id64OrNone
    number: Count
    server_time_ms: Count
    runs: Annotated[list[RunReceipt], Meta(max_length=64)] = []
    complete: bool = False
    refused: Annotated[list[tuple[Id64OrNone, Count]], Meta(max_length=64)] = []
    """(run, report number) of reports that can't be read; they are kept in quarantine and are not to be sent again."""
    config_revision: Count = 0
    tickets: Annotated[list[Key], Meta(max_length=64)] = []


@unique
class Presence(StrEnum):
    """What a retained status says."""

    ONLINE = "online"
    STOPPING = "stopping"
    LOST = "lost"


class Status(Struct, frozen=True, array_like=True):
    """Birth, goodbye and will. A hint about presence, never a proof."""

    version: int
    presence: Presence
    run: Id64
    connection: Count
    reason: Key = ""
    sent_wall_ms: Millis = 0


class RemoteConfig(Struct, frozen=True, array_like=True):
    """Settings that the collector wants an agent to use, by revision."""

    version: int
    revision: Count
    issued_ms: Count
    settings: Annotated[dict[Key, Scalar | Annotated[list[Scalar], Meta(max_length=100)]], Meta(max_length=200)] = {}


@unique
class CommandName(StrEnum):
    """The closed list of what an agent can be asked to do."""

    PROBE_NOW = "probe_now"
    TRACE = "trace"
    SPEED_TEST = "speed_test"
    PLAYBACK_TEST = "playback_test"
    COLLECT_LOGS = "collect_logs"
    CONFIGURE = "configure"
    """In results only: what became of a configuration. Never sent as a command."""


class Command(Struct, frozen=True, array_like=True):
    """A request to an agent, void after ``expires_ms`` (server time)."""

    version: int
    id: Key
    name: CommandName
    issued_ms: Count
    expires_ms: Count
    arguments: Annotated[dict[Key, Scalar], Meta(max_length=20)] = {}


@unique
class ResultState(StrEnum):
    """How a command fared."""

    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    EXPIRED = "expired"


class Result(Struct, frozen=True, array_like=True):
    """What became of a command, or of a configuration: then ``id`` is ``config-`` and its revision."""

    version: int
    id: Key
    name: CommandName
    state: ResultState
    finished_wall_ms: Millis
    values: Annotated[dict[Key, Scalar], Meta(max_length=100)] = {}
    text: Annotated[str, Meta(max_length=8000)] = ""
