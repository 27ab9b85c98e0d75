"""`sitekeeper-agent doctor`: looks at everything that must be right for the agent to work here, and says what to do.

Each look is one function that gives findings. Nothing that is secret becomes part of one: no password, no address but its host.
"""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sitekeeper_agent import platform, statusfile
from sitekeeper_agent.checkview import plain, table
from sitekeeper_agent.config import Settings, load, read_password
from sitekeeper_agent.doctor_words import MARKS, SUMMARY, TOPICS, WORDS
from sitekeeper_protocol import RELEASED_MS, texts
from sitekeeper_protocol.settings import SettingsError
from sitekeeper_protocol.texts import Lang
from sitekeeper_protocol.vocabulary import Method, Reason, State

Mark = Literal["ok", "hint", "fail"]

USER = "sitekeeper-agent"
"""The user that the Debian package makes."""
SAMPLE = "/usr/share/sitekeeper-agent/agent.yaml"
TOLERABLE_OFFSET_S = 120
_LOOK_S = 8.0
_LOGIN_S = 40.0
_LEAST_MIB = 64
_TOOLS = (("smartctl", "smartmontools"), ("nmcli", "network-manager"), ("ping", "iputils-ping"))
_GRANT_PING = "sysctl -w net.ipv4.ping_group_range='0 2147483647' / setcap cap_net_raw+ep"


class Finding(NamedTuple):
    """One fact. ``word`` is a key of ``doctor_words.WORDS``; ``about`` fills its places."""

    topic: str
    mark: Mark
    word: str
    about: Mapping[str, str]


def _found(topic: str, mark: Mark, word: str, **about: object) -> Finding:
    return Finding(topic, mark, f"{topic}_{word}", {name: plain(str(value)) for name, value in about.items()})


def examine(file: Path) -> tuple[Lang, list[Finding]]:
    """All that is found with the configuration in ``file``, and the language that it asks for. Takes up to a minute."""
    settings, findings = configuration(file)
    findings += [*ping(), *tools()]
    if settings is None:
        return "zh", [*findings, clock(platform.wall_ms(), None)]
    password, told = passwords(settings)
    runs = agent_runs(settings)
    found_portal, date_ms = portal(settings)
    findings += [*told, *state(settings), clock(platform.wall_ms(), date_ms), *names(settings)]
    findings += [broker(settings, password, runs), found_portal, _agent(runs)]
    return settings.language, findings


def exit_code(findings: list[Finding]) -> int:
    """0: nothing keeps the agent from working; 1: something does."""
    return int(any(finding.mark == "fail" for finding in findings))


def render(findings: list[Finding], lang: Lang) -> str:
    """A line for each finding, and below it what to do."""
    at = 0 if lang == "zh" else 1
    rows = [(MARKS[f.mark][at], TOPICS[f.topic][at], says(f, lang)[0]) for f in findings]
    lines = []
    for line, finding in zip(table([("", "", ""), *rows])[1:], findings, strict=True):
        todo = says(finding, lang)[1]
        lines += [line, *([f"      → {todo}"] if todo else [])]
    good, bad = SUMMARY[lang]
    wrong = sum(finding.mark == "fail" for finding in findings)
    return "\n".join([*lines, "", bad.format(count=wrong) if wrong else good]) + "\n"


def says(finding: Finding, lang: Lang) -> tuple[str, str]:
    """What a finding says, and what to do about it ("": nothing)."""
    said = WORDS[lang][finding.word]
    about = {**finding.about, **_reason(finding, lang)}
    return said.what.format_map(about), said.todo.format_map(about)


def _reason(finding: Finding, lang: Lang) -> dict[str, str]:
    found = {}
    if "reason" in finding.about:
        found["reason"] = texts.reason(int(finding.about["reason"]), lang)
    if "method" in finding.about:
        found["method"] = texts.method(int(finding.about["method"]), lang)
    return found


def as_json(findings: list[Finding], lang: Lang) -> list[dict[str, str]]:
    """For programs: topic, mark, word, and both sentences."""
    rows = []
    for finding in findings:
        what, todo = says(finding, lang)
        rows.append({"topic": finding.topic, "mark": finding.mark, "word": finding.word, "what": what, "todo": todo})
    return rows


# --- files ---------------------------------------------------------------------------------------------------------------


def configuration(file: Path) -> tuple[Settings | None, list[Finding]]:
    """The settings, or why there are none."""
    try:
        file.stat()
    except FileNotFoundError:
        return None, [_found("config", "fail", "missing", file=file, sample=SAMPLE)]
    except OSError:
        pass  # loading says it better
    try:
        settings = load(file)
    except SettingsError as err:
        return None, [_found("config", "fail", "wrong", problem=err)]
    return settings, [_found("config", "ok", "ok", file=file, site=settings.site)]


def passwords(settings: Settings) -> tuple[str | None, list[Finding]]:
    """The password, and whether its file is as it should be."""
    file = settings.broker.password_file
    grant = f"chown root:{USER} {file}; chmod 640 {file}"
    try:
        password = read_password(file)
    except SettingsError as err:
        return None, [_found("password", "fail", "wrong", problem=err, grant=grant)]
    if file is None:
        return None, [_found("password", "hint", "none")]
    if os.name == "posix" and Path(file).stat().st_mode & 0o007:
        return password, [_found("password", "hint", "open", file=file, grant=grant)]
    return password, [_found("password", "ok", "ok")]


def state(settings: Settings) -> Iterator[Finding]:
    """Whether samples find their place on disk."""
    import shutil
    import tempfile

    folder = Path(settings.state_dir)
    try:
        if not folder.exists():
            yield _found("state", "hint", "absent", folder=folder)
            return
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"sitekeeper")
            file.flush()
        free_mib = shutil.disk_usage(folder).free // 1048576
    except OSError as err:
        # Who may not write here is perhaps only not the agent's user.
        mark: Mark = "hint" if isinstance(err, PermissionError) and not _is_administrator() else "fail"
        yield _found("state", mark, "denied", folder=folder, problem=err.strerror, again="sudo sitekeeper-agent doctor")
        return
    owner, wanted = _owner(folder), _service_user()
    if wanted and owner != wanted and _is_administrator():
        yield _found("state", "fail", "owner", folder=folder, owner=owner, wanted=wanted)
    enough = free_mib >= _LEAST_MIB
    yield _found("state", "ok" if enough else "fail", "ok" if enough else "small", folder=folder, free_mib=free_mib,
                 wanted_mib=_LEAST_MIB)  # fmt: skip


def _is_administrator() -> bool:
    return os.name != "posix" or os.geteuid() == 0


def _owner(folder: Path) -> str:
    try:
        return folder.owner()
    except (KeyError, NotImplementedError, OSError):
        return "?"


def _service_user() -> str | None:
    """The package's user, where the package is installed."""
    if os.name != "posix":
        return None
    import pwd

    try:
        return pwd.getpwnam(USER).pw_name
    except KeyError:
        return None


# --- this machine --------------------------------------------------------------------------------------------------------


def clock(here_ms: int, there_ms: int | None) -> Finding:
    """The wall clock against the date of the portal's answer, which is right to a second or so."""
    from datetime import UTC, datetime

    here = datetime.fromtimestamp(here_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if here_ms < RELEASED_MS:
        return _found("clock", "fail", "old", here=here)
    if there_ms is None:
        return _found("clock", "hint", "unsure", here=here)
    offset_s = round((here_ms - there_ms) / 1000)
    good = abs(offset_s) <= TOLERABLE_OFFSET_S
    return _found("clock", "ok" if good else "fail", "ok" if good else "off", offset_s=offset_s)


def ping() -> list[Finding]:
    """By which way this user may ping; the service has a capability of its own for it."""
    from sitekeeper_agent.probes.icmp import echo

    method = echo(["127.0.0.1"], 1, time.monotonic() + _LOOK_S)["127.0.0.1"].method
    if method is Method.NONE:
        return [_found("ping", "hint", "none", grant=_GRANT_PING)]
    return [_found("ping", "ok", "ok", method=method.value)]


def tools() -> list[Finding]:
    """Programs that some probes use where they are there."""
    from sitekeeper_agent.probes.program import find

    if os.name != "posix":
        return []
    there = {tool: find(tool) for tool, _ in _TOOLS}
    missing = [(tool, package) for tool, package in _TOOLS if there[tool] is None]
    if not missing:
        return [_found("tools", "ok", "ok", found=", ".join(there))]
    packages = "apt install " + " ".join(package for _, package in missing)
    return [_found("tools", "hint", "missing", missing=", ".join(tool for tool, _ in missing), packages=packages)]


def agent_runs(settings: Settings) -> dict[str, Any] | None:
    """What the agent that runs here has told last (empty: nothing yet); ``None`` if none runs."""
    folder = Path(settings.state_dir)
    told = statusfile.read(folder)
    held = _lock_held(folder / "lock")
    if held is None:
        held = told is not None and statusfile.running(told, settings, platform.wall_ms())
    return (told or {}) if held else None


def _lock_held(lock: Path) -> bool | None:
    """Whether an agent holds the state folder; ``None``: this user, or this system, can't say."""
    try:
        import fcntl

        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
            return False
    except FileNotFoundError:
        return False
    except (ImportError, OSError):
        return None


def _agent(told: dict[str, Any] | None) -> Finding:
    if told is not None:
        return _found("agent", "ok", "runs")
    start = "sudo systemctl enable --now sitekeeper-agent" if os.name == "posix" else "sitekeeper-agent service install"
    return _found("agent", "hint", "off", start=start)


# --- the line ------------------------------------------------------------------------------------------------------------


def names(settings: Settings) -> Iterator[Finding]:
    """Whether the names of the configuration can be found."""
    from sitekeeper_agent.probes.probe import family_of, parse_portal
    from sitekeeper_agent.probes.resolve import lookup

    for host in dict.fromkeys((settings.broker.host, parse_portal(settings.portal).host)):
        if family_of(host):
            continue
        answers = [lookup(host, family, time.monotonic() + _LOOK_S, platform.HERE) for family in ("ipv4", "ipv6")]
        good = next((answer for answer in answers if answer.addresses), None)
        if good is None:
            yield _found("names", "fail", "fail", host=host, reason=answers[0].reason.value)
        else:
            yield _found("names", "ok", "ok", host=host, address=good.addresses[0], ms=round(good.ms))


def portal(settings: Settings) -> tuple[Finding, int | None]:
    """Whether the portal answers, and what time it has (Unix ms)."""
    from sitekeeper_agent.journal import Now
    from sitekeeper_agent.probes import fetch, paths
    from sitekeeper_agent.probes.portal import visit
    from sitekeeper_agent.sampler import context_of

    try:
        context = context_of(settings, None, Now(platform.wall_ms(), platform.boottime_ms(), 0))
    except SettingsError as err:
        return _found("portal", "fail", "fail", host="", reason=Reason.NOT_CONFIGURED.value, detail=err), None
    visits = {path: visit(path, context, time.monotonic() + _LOOK_S) for path in paths(context)}
    path, best = min(visits.items(), key=lambda item: item[1].state != State.OK)
    host = context.portal.host
    if best.state not in (State.OK, State.DEGRADED):
        return _found("portal", "fail", "fail", host=host, reason=best.reason.value), None
    date_ms = None
    try:
        fetched = fetch.get(context.portal, path, context, time.monotonic() + _LOOK_S, 0)
        date_ms = _date_ms(fetched.response.head.fields.get("date", ""))
    except fetch.Failed:
        pass  # it answered a moment ago; only the clock stays without comparison
    return _found("portal", "ok", "ok", host=host, ms=round(best.ms or 0)), date_ms


def _date_ms(text: str) -> int | None:
    """The field Date of HTTP (RFC 9110, section 5.6.7)."""
    from datetime import UTC, datetime

    try:
        return round(datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        return None


_BROKER_WORDS: Mapping[Reason, str] = {
    Reason.NAME_NOT_FOUND: "name",
    Reason.REFUSED: "refused",
    Reason.TIMEOUT: "timeout",
    Reason.UNREACHABLE: "timeout",
    Reason.NO_ROUTE: "timeout",
    Reason.CERTIFICATE_INVALID: "tls",
    Reason.CERTIFICATE_EXPIRED: "tls",
    Reason.TLS_FAILED: "plain",
    Reason.LOGIN_REFUSED: "login",
}


def broker(settings: Settings, password: str | None, runs: dict[str, Any] | None) -> Finding:
    """Log in as the agent would, with its own name and password, and out again.

    Not while a running agent is connected: the broker would end that connection, and it is proof enough.
    """
    from sitekeeper_agent import uplink

    name = f"{settings.broker.host}:{settings.broker.port}"
    about = {"broker": name, "site": settings.site}
    if runs is not None and runs.get("connected"):
        return _found("broker", "ok", "agent", **about)
    tls = settings.broker.encryption
    trouble = _unreadable(tls.ca_file) if tls and tls.ca_file else None
    if trouble:
        return _found("broker", "fail", "ca", detail=trouble)
    end = _log_in(settings, password, newest=True)
    if isinstance(end, uplink.Down) and end.try_older:
        end = _log_in(settings, password, newest=False)
    if not isinstance(end, uplink.Down):
        return _found("broker", "ok", "ok", **about) if tls else _found("broker", "hint", "open", **about)
    word = "topics" if end.why.startswith(uplink.TOPICS_REFUSED) else _BROKER_WORDS.get(end.reason, "other")
    return _found("broker", "fail", word, detail=end.why, **about)


def _unreadable(file: str) -> str | None:
    """Why a certificate file is of no use, if so."""
    import ssl

    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        return f"{file} holds no PEM certificate"
    except OSError as err:
        return f"{file}: {err.strerror}"
    return None


def _log_in(settings: Settings, password: str | None, *, newest: bool) -> "Any":
    """``Up`` or ``Down``."""
    import queue

    from sitekeeper_agent import uplink

    events: queue.SimpleQueue[uplink.Event] = queue.SimpleQueue()
    link = uplink.Uplink(
        settings,
        connection=1,
        newest_mqtt=newest,
        password=password,
        will=None,
        keepalive_s=60,
        wall_ms=platform.wall_ms(),
        post=events.put,
    )
    link.start()
    try:
        while True:
            event = events.get(timeout=_LOGIN_S)
            if isinstance(event, uplink.Up | uplink.Down):
                return event
    except queue.Empty:
        return uplink.Down(1, "no answer")
    finally:
        link.close("doctor is done")
        link.wait_closed(2.0)
