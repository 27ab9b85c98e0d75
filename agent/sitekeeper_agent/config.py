"""The agent's configuration: a YAML file into ``Settings``, or one error that says file, line, key and what is right."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct

from sitekeeper_agent.defaults import STATE_DIR
from sitekeeper_agent.expectations import Expectations
from sitekeeper_agent.playersettings import MAX_PLAYERS, Player, check_players, page_ports
from sitekeeper_agent.surroundings import Network
from sitekeeper_protocol import topics
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.settings import SettingsError, read

if TYPE_CHECKING:
    import yaml

_Port = Annotated[int, Meta(ge=1, le=65535)]
_Seconds = Annotated[int, Meta(ge=1, le=86400)]
_LongText = Annotated[str, Meta(min_length=1, max_length=500)]
_Address = Annotated[str, Meta(min_length=1, max_length=2000)]


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the broker's certificate is checked. Without ``ca_file`` the system's authorities count."""

    ca_file: _LongText | None = None


class Broker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to report to. ``tls: false`` or ``null`` means plain TCP, which is for demos on one machine only."""

    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: _Port = 8883
    tls: Tls | bool | None = Tls()
    password_file: _LongText | None = None

    @property
    def encryption(self) -> Tls | None:
        """How to encrypt; ``None``: not at all."""
        if isinstance(self.tls, Tls):
            return self.tls
        return Tls() if self.tls else None


class SpoolLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is kept on disk, and how long."""

    max_mib: Annotated[int, Meta(ge=4, le=4096)] = 64
    max_days: Annotated[int, Meta(ge=1, le=366)] = 30
    keep_receipted_days: Annotated[int, Meta(ge=0, le=60)] = 7


class Pacing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a backlog goes out: one report, its receipt, then a pause between these two lengths."""

    pause_min_s: Annotated[float, Meta(ge=0, le=3600)] = 0.5
    pause_max_s: Annotated[float, Meta(ge=0, le=3600)] = 1.5


class SitePage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The page for the people at the site. It is served to this PC alone, at 127.0.0.1."""

    enabled: bool = True
    port: _Port = 8765


class Remote(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the county may do from afar. ``enabled: false``: neither change settings nor send commands.

    Changed settings that no receipt has confirmed within ``confirm_within_s`` are taken back.
    """

    enabled: bool = True
    confirm_within_s: Annotated[int, Meta(ge=1, le=86400)] = 900


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that can be set for an agent. ``site``, ``area``, ``broker`` and ``portal`` have no default."""

    site: str
    area: str
    broker: Broker
    portal: _LongText
    state_dir: _LongText = STATE_DIR
    language: Literal["zh", "en"] = "zh"
    phone: Annotated[str, Meta(max_length=40)] = ""
    anchors: Annotated[tuple[str, ...], Meta(max_length=8)] = ()
    network: Network = Network()
    media: Annotated[tuple[_Address, ...], Meta(max_length=8)] = ()
    media_interval_s: _Seconds = 300
    media_logins_file: _LongText | None = None
    players: Annotated[tuple[Player, ...], Meta(max_length=MAX_PLAYERS)] = ()
    expected: Expectations = Expectations()
    smart_interval_s: Annotated[int, Meta(ge=0, le=31 * 86400)] = 86400
    sample_interval_s: Annotated[float, Meta(ge=0.1, le=3600)] = 60
    report_interval_s: Annotated[float, Meta(ge=0.1, le=3600)] = 300
    probe_timeout_s: Annotated[int, Meta(ge=1, le=120)] = 10
    spool: SpoolLimits = SpoolLimits()
    backlog: Pacing = Pacing()
    site_page: SitePage = SitePage()
    speed_test: Annotated[str, Meta(max_length=2000)] = ""
    speed_test_interval_s: Annotated[int, Meta(ge=0, le=31 * 86400)] = 0
    data_budget_mb: Annotated[int, Meta(ge=0, le=10_000)] = 20
    remote: Remote = Remote()


class Fault(ValueError):
    """What is wrong with the value at ``key`` (dotted); ``load`` adds file and line."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


def load(path: Path) -> Settings:
    """The settings in ``path``. Raises ``SettingsError``, whose text begins with ``file:line:`` where there is a line."""
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as err:
        raise SettingsError(f"{file}: can't be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        line = err.object[: err.start].count(b"\n") + 1
        raise SettingsError(f"{file}:{line}: the file is not UTF-8; save it as UTF-8") from err
    root = _compose(text, file)
    settings = read(root, Settings, file)
    try:
        check(settings)
    except Fault as fault:
        raise SettingsError(f"{file}:{_line_of(root, fault.key)}: {fault}") from None
    return settings


def _compose(text: str, file: str) -> "yaml.Node | None":
    import yaml  # not in the daemon: see ``handover``

    try:
        # Not the C parser, which overflows the stack on deep nesting, where this one raises RecursionError
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else 1
        raise SettingsError(f"{file}:{line}: this is no YAML: {err.problem or err.context}") from err
    except yaml.reader.ReaderError as err:
        raise SettingsError(f"{file}:1: this is no YAML: character #x{err.character:04x} can't stand here") from err
    except RecursionError:
        raise SettingsError(f"{file}:1: the file is nested too deeply") from None
    return root


def _line_of(root: Any, key: str) -> int:
    line, node = int(root.start_mark.line) + 1, root
    for step in key.split("."):
        found = next(((k, v) for k, v in node.value if str(k.value) == step), None) if isinstance(node.value, list) else None
        if found is None:
            break
        line, node = int(found[0].start_mark.line) + 1, found[1]
    return line


# --- what types alone can't say ----------------------------------------------------------------------------------------

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}\.?)*")
_USB_ID = re.compile(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}", re.ASCII)
_SERVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9:_.@-]*", re.ASCII)
_STREAMS = ("rtsp:", "rtp:", "udp:")
_URL = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^/?#\s:@\[\]]+)(:(\d{1,5}))?([/?#]\S*)?", re.ASCII)


def check(settings: Settings) -> None:
    """Raise ``Fault`` for a value that no agent could work with."""
    for one in _CHECKS:
        one(settings)


def _check_ids(settings: Settings) -> None:
    for key, text in (("site", settings.site), ("area", settings.area)):
        try:
            topics.check_id(text, f"the {key} id" if key == "site" else "the area")
        except ProtocolError as err:
            raise Fault(key, err.detail) from None


def _check_host(settings: Settings) -> None:
    host = settings.broker.host
    if not _is_address(host) and not _HOST.fullmatch(host):
        raise Fault("broker.host", f"{host[:60]!r} is no host name; write for example mqtt.example.org, without a port")


def _check_portal(settings: Settings) -> None:
    if not _is_web_address(settings.portal):
        raise Fault("portal", f"{settings.portal[:60]!r} is no web address; write for example https://portal.example.org/")


def _check_media(settings: Settings) -> None:
    for at, stream in enumerate(settings.media, 1):
        if stream.lower().startswith(_STREAMS):
            _check_stream(at, stream)
        elif not _is_web_address(stream):
            # What follows the question mark may be a key.
            shown = stream.partition("?")[0][:60]
            raise Fault("media", f"item {at}, {shown!r}, is no web address; write for example http://tv.example.org/live.m3u8")
    if len(set(settings.media)) < len(settings.media):
        raise Fault("media", "one stream stands here twice; keep one of them")


def _check_stream(at: int, stream: str) -> None:
    from sitekeeper_agent.probes.streams import parse_stream

    try:
        parse_stream(stream)
    except SettingsError as err:
        raise Fault("media", f"item {at}: {err}") from None


def _check_speed_test(settings: Settings) -> None:
    if settings.speed_test and not _is_web_address(settings.speed_test):
        shown = settings.speed_test.partition("?")[0][:60]
        raise Fault("speed_test", f"{shown!r} is no web address; write for example http://speed.example.org/10mb.bin")


def _check_players(settings: Settings) -> None:
    try:
        check_players(settings.players)
    except SettingsError as err:
        raise Fault("players", str(err)) from None
    if settings.site_page.enabled and settings.site_page.port in page_ports(settings.players):
        raise Fault("players", f"port {settings.site_page.port} is that of the site's page; give the player another one")


def _check_anchors(settings: Settings) -> None:
    for anchor in settings.anchors:
        if not _is_address(anchor):
            raise Fault("anchors", f"{anchor[:60]!r} is no IP address; an anchor must not need a name service")


def _check_expected(settings: Settings) -> None:
    expected = settings.expected
    for device in expected.usb:
        if not _USB_ID.fullmatch(device.id):
            raise Fault("expected.usb", f"{device.id!r} is no USB id; write it as lsusb shows it, for example 046d:0825")
    for lan_device in expected.lan:
        if not _is_address(lan_device.host):
            shown = lan_device.host[:60]
            raise Fault("expected.lan", f"{shown!r} is no IP address; give the device a fixed one, for example 192.168.1.60")
    for service in expected.services:
        if not _SERVICE.fullmatch(service):
            raise Fault("expected.services", f"{service!r} is no service's name; write for example cups or cups.service")
    named = {
        "usb": [device.name for device in expected.usb],
        "lan": [device.name for device in expected.lan],
        "processes": list(expected.processes),
        "services": list(expected.services),
    }
    for key, names in named.items():
        for name in names:
            if not name.isprintable() or name != name.strip() or "/" in name:
                raise Fault(f"expected.{key}", f"{name!r} is no name; write a word without / and without blanks around it")
        if len(set(names)) < len(names):
            raise Fault(f"expected.{key}", "one name stands here twice; each needs its own")


def _check_network(settings: Settings) -> None:
    network = settings.network
    if network.modem not in ("auto", "none") and not _is_address(network.modem):
        raise Fault("network.modem", f"{network.modem!r} is no IP address; write auto, none, or for example 192.168.1.1")
    if network.direct_resolver and not _is_address(network.direct_resolver):
        raise Fault("network.direct_resolver", f"{network.direct_resolver!r} is no IP address; a resolver must not need a name")
    for address in network.portal_addresses:
        if not _is_network(address):
            raise Fault("network.portal_addresses", f"{address!r} is neither an address nor a network such as 10.0.0.0/8")
    for host in network.portal_hosts:
        if not _is_address(host) and not _HOST.fullmatch(host):
            raise Fault("network.portal_hosts", f"{host[:60]!r} is no host name; write it without https:// and without a path")
    if network.proxy and not (_is_web_address(network.proxy) and network.proxy.startswith("http://")):
        # It may hold a password.
        raise Fault("network.proxy", "this is no proxy's address; write for example http://10.0.0.1:3128, without a user name")


def _check_phone(settings: Settings) -> None:
    if not settings.phone.isprintable() or settings.phone != settings.phone.strip():
        raise Fault("phone", f"{settings.phone!r} can't be shown in a sentence; write for example 0851-2345678")


def _check_intervals(settings: Settings) -> None:
    if settings.report_interval_s < settings.sample_interval_s:
        raise Fault(
            "report_interval_s",
            f"{settings.report_interval_s} is less than sample_interval_s, {settings.sample_interval_s}; make it at least that",
        )
    if settings.backlog.pause_max_s < settings.backlog.pause_min_s:
        raise Fault("backlog.pause_max_s", f"{settings.backlog.pause_max_s} is less than pause_min_s; make it at least that")


def _check_paths(settings: Settings) -> None:
    tls = settings.broker.encryption
    for key, text in (
        ("state_dir", settings.state_dir),
        ("broker.password_file", settings.broker.password_file),
        ("network.portal_ca_file", settings.network.portal_ca_file),
        ("network.dial_log", settings.network.dial_log),
        ("media_logins_file", settings.media_logins_file),
        ("broker.tls.ca_file", tls.ca_file if tls else None),
    ):
        if text is not None and not Path(text).is_absolute():
            raise Fault(key, f"{text[:60]!r} is a relative path; write the whole path, from the root")


_CHECKS: tuple[Callable[[Settings], None], ...] = (
    _check_ids,
    _check_host,
    _check_portal,
    _check_media,
    _check_speed_test,
    _check_players,
    _check_anchors,
    _check_network,
    _check_expected,
    _check_phone,
    _check_intervals,
    _check_paths,
)


def _is_web_address(text: str) -> bool:
    match = _URL.fullmatch(text)
    return match is not None and (not match[3] or 1 <= int(match[3]) <= 65535)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def read_password(file: str | None) -> str | None:
    """The first line of ``file``. Raises ``SettingsError``, which never quotes what the file holds."""
    if file is None:
        return None
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as err:
        raise SettingsError(f"{file}: the password file can't be read: {err.strerror}") from err
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: the password file is not UTF-8 text") from None
    password = text.splitlines()[0].strip() if text.strip() else ""
    if not password:
        raise SettingsError(f"{file}: the password file is empty; put the broker password of this site on its first line")
    return password
