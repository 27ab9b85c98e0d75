"""What a platform module tells about the machine's network, in values that are the same everywhere."""

from enum import StrEnum, unique
from typing import Literal, NamedTuple

Family = Literal["ipv4", "ipv6"]


class PlatformUnsupported(Exception):
    """This operating system can't tell; it costs the one reading that asked."""


class Roots(NamedTuple):
    """Where the system's own files stand; tests point them at captured copies."""

    proc: str = "/proc"
    sys: str = "/sys"
    etc: str = "/etc"
    run: str = "/run"
    dev: str = "/dev"


HERE = Roots()


class Route(NamedTuple):
    """A default route. ``gateway`` is ``None`` on a point-to-point link, ``interface`` where there is no route at all.

    A link-local IPv6 gateway carries its zone (``fe80::1%eth0``).
    """

    gateway: str | None = None
    interface: str | None = None


class Link(NamedTuple):
    """The state of a network interface; ``None`` where the system does not say."""

    carrier: bool | None = None
    speed_mbps: int | None = None
    wireless: bool = False
    full_duplex: bool | None = None
    signal_dbm: int | None = None


class InterfaceAddress(NamedTuple):
    """An address and the length of its network prefix."""

    address: str
    prefix: int


class Neighbour(NamedTuple):
    """An entry of the ARP table; ``complete`` means that the neighbour has answered."""

    mac: str
    complete: bool


class Resolvers(NamedTuple):
    """The resolvers that programs of this machine use.

    ``upstream`` are those which a local stub asks in turn (empty without one); ``by_hand`` says that a person wrote them.
    """

    servers: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    by_hand: bool = False


class Configured(NamedTuple):
    """How an interface is set up. ``method`` is ``dhcp``, ``static`` or ``ppp``; what is handed out is left empty.

    ``resolvers_by`` is ``hand`` or ``dhcp``, or empty where these files don't say.
    """

    method: str
    addresses: tuple[str, ...] = ()
    gateway: str = ""
    resolvers: tuple[str, ...] = ()
    resolvers_by: str = ""


class Idle(NamedTuple):
    """What the system says of all sessions: nobody has used the PC for a while, and since when (Unix µs; 0: never said)."""

    hint: bool
    since_us: int


@unique
class End(StrEnum):
    """How a time on ended, as the system itself has written it down."""

    SHUTDOWN = "shutdown"
    RESTART = "restart"
    UPGRADE = "upgrade"
    SUSPEND = "suspend"
    POWER_LOST = "power_lost"
    CRASHED = "crashed"
    UNKNOWN = "unknown"


class Stretch(NamedTuple):
    """A time on: Unix ms by the PC's clock. ``ended_ms`` and ``how`` are ``None`` for the present one.

    Of one that ended without a word, ``ended_ms`` is when it was last known to be on. ``fast``: it began by Fast Startup.
    """

    began_ms: int
    ended_ms: int | None
    how: End | None
    fast: bool = False
