"""The collector's configuration: a YAML file into ``Settings``, or one error that says file, line, key and what is right."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from msgspec import Meta, Struct
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from sitekeeper_collector.notify.addresses import is_address, is_domain
from sitekeeper_collector.notify.smtp import SmtpSettings
from sitekeeper_protocol import topics
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.settings import SettingsError, read
from sitekeeper_protocol.vocabulary import Party

DEFAULT_DATABASE = "sqlite:////var/lib/sitekeeper-collector/sitekeeper.db"

_Port = Annotated[int, Meta(ge=1, le=65535)]
_LongText = Annotated[str, Meta(min_length=1, max_length=500)]


class Tls(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the broker's certificate is checked. Without ``ca_file`` the system's authorities count."""

    ca_file: _LongText | None = None


class Broker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the reports come from. ``username`` is the client id too, as the generated broker configuration forces it."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "localhost"
    port: _Port = 8883
    tls: Tls | bool | None = Tls()
    username: str = "collector"
    password_file: _LongText | None = None
    keepalive_s: Annotated[int, Meta(ge=5, le=3600)] = 60

    @property
    def encryption(self) -> Tls | None:
        """How to encrypt; ``None``: not at all."""
        if isinstance(self.tls, Tls):
            return self.tls
        return Tls() if self.tls else None


class Batch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much one transaction takes in at most, and how long it waits for more."""

    max_reports: Annotated[int, Meta(ge=1, le=10_000)] = 500
    max_wait_ms: Annotated[int, Meta(ge=0, le=5000)] = 200


class Blindness(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often the collector proves to itself that it hears, and after what gap it counts as having been blind."""

    interval_s: Annotated[float, Meta(ge=0.1, le=300)] = 10
    limit_s: Annotated[float, Meta(ge=0.2, le=3600)] = 30


class Embedded(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A broker in this process instead of one at ``broker.host``, on the loopback address; for demos and a few sites.

    ``mail_catcher``: a mail server that delivers nothing and shows its mails at the console, instead of ``mail.smtp``.
    """

    broker: bool = False
    port: _Port = 1883
    mail_catcher: bool = False
    folder: _LongText = "/var/lib/sitekeeper-collector/broker"
    """Where its passwords are, as ``sitekeeper-collector broker config`` writes them."""


class Web(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The console's pages. ``https``: a proxy in front of it encrypts, so that cookies travel over HTTPS only."""

    enabled: bool = True
    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8480
    https: bool = False


class Recipient(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who is mailed about the faults of a party; in one county or township only, if these are set.

    ``name`` says who the party is here, such as the company.
    """

    party: Party
    address: Annotated[str, Meta(min_length=3, max_length=254)]
    lang: Literal["zh", "en"] = "zh"
    name: Annotated[str, Meta(max_length=100)] = ""
    county: Annotated[str, Meta(max_length=100)] = ""
    township: Annotated[str, Meta(max_length=100)] = ""


class Mail(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Mail about tickets. Without ``smtp`` none is sent; who would have been mailed is noted all the same.

    ``domain`` stands in the mails' identifications and must not change; empty: that of ``sender``. ``phone`` and ``reply_to``
    tell the reader how to answer. The first retry comes after ``retry_s``, the others after ever longer waits up to an hour;
    ``lease_s``: a sender of which nothing is heard for so long has died, and its mail is tried again.
    """

    smtp: SmtpSettings | None = None
    sender: Annotated[str, Meta(min_length=3, max_length=254)] = "sitekeeper@localhost"
    sender_name: Annotated[str, Meta(max_length=60)] = "Sitekeeper"
    domain: Annotated[str, Meta(max_length=253)] = ""
    reply_to: Annotated[str, Meta(max_length=254)] = ""
    phone: Annotated[str, Meta(max_length=40)] = ""
    recipients: Annotated[tuple[Recipient, ...], Meta(max_length=10_000)] = ()
    give_up_after_s: Annotated[int, Meta(ge=60, le=30 * 86400)] = 5 * 86400
    retry_s: Annotated[float, Meta(ge=0.1, le=3600)] = 30
    lease_s: Annotated[int, Meta(ge=1, le=3600)] = 300


class Watching(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How faults are found: by ``rules_file`` (none: the defaults), looking at silent sites every ``interval_s``."""

    rules_file: _LongText | None = None
    interval_s: Annotated[float, Meta(ge=0.1, le=300)] = 5


class Series(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where time series go. ``none``: nowhere but into the collector's own database.

    ``influx2``: InfluxDB 2 or 3, with ``org`` and ``token_file``; ``influx1``: 1.8+, with ``username`` and ``password_file`` if
    it asks for them, ``bucket`` is a database or database/policy; ``victoria``: VictoriaMetrics, which takes samples only.
    ``spool_max_mib``: how much may wait for the store (``None``: what must); ``keep_days``: how long it keeps points, and
    ``keep_hours_days`` hourly means, as ``influx setup`` sets it up.
    """

    flavour: Literal["none", "influx2", "influx1", "victoria"] = "none"
    url: Annotated[str, Meta(max_length=500)] = ""
    org: Annotated[str, Meta(max_length=200)] = ""
    bucket: Annotated[str, Meta(min_length=1, max_length=200)] = "sitekeeper"
    token_file: _LongText | None = None
    username: Annotated[str, Meta(max_length=200)] = ""
    password_file: _LongText | None = None
    ca_file: _LongText | None = None
    timeout_s: Annotated[float, Meta(ge=1, le=300)] = 20
    spool_max_mib: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    keep_days: Annotated[int, Meta(ge=125, le=36500)] = 1100
    keep_hours_days: Annotated[int, Meta(ge=125, le=36500)] = 3660


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that can be set for a collector. Everything has a default."""

    database: _LongText = DEFAULT_DATABASE
    broker: Broker = Broker()
    areas: Annotated[tuple[str, ...], Meta(min_length=1, max_length=1000)] = ("+",)
    receipt_interval_s: Annotated[int, Meta(ge=1, le=86400)] = 3600
    batch: Batch = Batch()
    blindness: Blindness = Blindness()
    embedded: Embedded = Embedded()
    console: Web = Web()
    mail: Mail = Mail()
    watch: Watching = Watching()
    series: Series = Series()
    utc_offset_min: Annotated[int, Meta(ge=-720, le=840)] = 480
    """Minutes that the county's clocks are ahead of UTC."""


class Fault(ValueError):
    """What is wrong with the value at ``key`` (dotted); ``load`` adds file and line."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key


def load(path: Path) -> Settings:
    """The settings in ``path``. Raises ``SettingsError``, whose text begins with ``file:line:`` where there is a line."""
    file = str(path)
    root = compose(path)
    settings = read(root, Settings, file)
    try:
        for check in _CHECKS:
            check(settings)
    except Fault as fault:
        raise SettingsError(f"{file}:{line_of(root, fault.key)}: {fault}") from None
    return settings


def password(broker: Broker) -> str | None:
    """The broker password, from its file's first line. Raises ``SettingsError`` if there should be one and is not."""
    if broker.password_file is None:
        return None
    try:
        first = Path(broker.password_file).read_text(encoding="utf-8").split("\n", 1)[0].strip()
    except OSError as err:
        raise SettingsError(f"{broker.password_file}: can't be read: {err.strerror}") from err
    except UnicodeDecodeError:
        raise SettingsError(f"{broker.password_file}: the file is not UTF-8 text") from None
    if not first:
        raise SettingsError(f"{broker.password_file}: the first line is empty; it must be the broker password")
    return first


def compose(path: Path) -> yaml.Node | None:
    """The nodes of a YAML file. Raises ``SettingsError``."""
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as err:
        raise SettingsError(f"{file}: can't be read: {err.strerror}") from err
    except UnicodeDecodeError as err:
        line = err.object[: err.start].count(b"\n") + 1
        raise SettingsError(f"{file}:{line}: the file is not UTF-8; save it as UTF-8") from err
    return _compose(text, file)


def _compose(text: str, file: str) -> yaml.Node | None:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root: yaml.Node | None = yaml.compose(text, Loader=loader)
    except yaml.MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else 1
        raise SettingsError(f"{file}:{line}: this is no YAML: {err.problem or err.context}") from err
    except yaml.reader.ReaderError as err:
        raise SettingsError(f"{file}:1: this is no YAML: character #x{err.character:04x} can't stand here") from err
    except RecursionError:
        raise SettingsError(f"{file}:1: the file is nested too deeply") from None
    return root


def line_of(root: Any, key: str) -> int:
    """The line of a dotted key in the nodes of a YAML file, or of the nearest key above it."""
    line, node = int(root.start_mark.line) + 1, root
    for step in key.split("."):
        found = next(((k, v) for k, v in node.value if str(k.value) == step), None) if isinstance(node.value, list) else None
        if found is None:
            break
        line, node = int(found[0].start_mark.line) + 1, found[1]
    return line


# --- what types alone can't say ----------------------------------------------------------------------------------------

_HOST = re.compile(r"[A-Za-z0-9_\[:]([A-Za-z0-9_.:\]-]*)")


def _check_database(settings: Settings) -> None:
    example = f"write for example {DEFAULT_DATABASE}"
    try:
        parsed = make_url(settings.database)
    except ArgumentError:
        # The address may hold a password.
        raise Fault("database", f"this is no database address; {example}") from None
    if parsed.get_backend_name() != "sqlite":
        raise Fault("database", f"{parsed.get_backend_name()[:40]!r} is not supported; {example}")
    if not parsed.database or parsed.database == ":memory:":
        raise Fault("database", f"the file is missing; {example}")
    if not Path(parsed.database).is_absolute():
        raise Fault("database", f"{parsed.database[:60]!r} is a relative path; {example} (four slashes)")


def _check_broker(settings: Settings) -> None:
    broker = settings.broker
    if not _HOST.fullmatch(broker.host):
        raise Fault("broker.host", f"{broker.host[:60]!r} is no host name; write for example mqtt.example.org, without a port")
    try:
        topics.check_id(broker.username, "the user name")
    except ProtocolError as err:
        raise Fault("broker.username", err.detail) from None


def _check_areas(settings: Settings) -> None:
    for area in settings.areas:
        try:
            if area != "+":
                topics.check_id(area, "the area")
        except ProtocolError as err:
            raise Fault("areas", f"{err.detail}; or '+' for all areas") from None
    if "+" in settings.areas and len(settings.areas) > 1:
        raise Fault("areas", "'+' stands for all areas; leave out the others")


def _check_blindness(settings: Settings) -> None:
    if settings.blindness.limit_s < 2 * settings.blindness.interval_s:
        raise Fault("blindness.limit_s", "less than twice interval_s; one late echo would count as blindness")


def _check_paths(settings: Settings) -> None:
    tls = settings.broker.encryption
    for key, text in (
        ("broker.password_file", settings.broker.password_file),
        ("broker.tls.ca_file", tls.ca_file if tls else None),
        ("embedded.folder", settings.embedded.folder),
        ("watch.rules_file", settings.watch.rules_file),
        ("series.token_file", settings.series.token_file),
        ("series.password_file", settings.series.password_file),
        ("series.ca_file", settings.series.ca_file),
        ("mail.smtp.password_file", settings.mail.smtp.password_file if settings.mail.smtp else None),
        ("mail.smtp.ca_file", settings.mail.smtp.ca_file if settings.mail.smtp else None),
    ):
        if text is not None and not Path(text).is_absolute():
            raise Fault(key, f"{text[:60]!r} is a relative path; write the whole path, from the root")


_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)?")


def _check_series(settings: Settings) -> None:
    series = settings.series
    if series.flavour == "none":
        return
    parts = urlsplit(series.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Fault("series.url", "this is no address of a store; write for example https://influx.example.org:8086")
    if parts.username is not None or parts.password is not None:
        raise Fault("series.url", "no user or password here; write username and password_file, or token_file")
    if not _BUCKET.fullmatch(series.bucket) or ("/" in series.bucket and series.flavour != "influx1"):
        raise Fault("series.bucket", f"{series.bucket[:60]!r} is no name of a bucket; write letters, digits, - and _")
    if series.flavour == "influx2" and (not series.org or series.token_file is None):
        missing = "series.token_file" if series.org else "series.org"
        raise Fault("series", f"influx2 needs org and token_file; {missing} is missing")
    if series.flavour != "influx2" and series.token_file is not None:
        raise Fault("series.token_file", "tokens are for influx2; write username and password_file")
    if bool(series.username) != (series.password_file is not None):
        raise Fault("series", "username and password_file belong together; one is missing")
    if series.keep_hours_days < series.keep_days:
        raise Fault("series.keep_hours_days", "less than keep_days: the hourly means would be gone before the samples")


def _check_mail(settings: Settings) -> None:
    mail = settings.mail
    addresses = [("mail.sender", mail.sender), ("mail.reply_to", mail.reply_to)]
    addresses += [("mail.recipients", recipient.address) for recipient in mail.recipients]
    for key, address in addresses:
        if address and not is_address(address):
            raise Fault(key, f"{address[:60]!r} is no mail address; write for example noc@example.org")
    if mail.domain and not is_domain(mail.domain):
        raise Fault("mail.domain", f"{mail.domain[:60]!r} is no domain name; write for example county.example.org")


_CHECKS: tuple[Callable[[Settings], None], ...] = (
    _check_database,
    _check_broker,
    _check_areas,
    _check_blindness,
    _check_paths,
    _check_mail,
    _check_series,
)
