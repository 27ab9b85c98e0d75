"""Rows of settings that sites are to use, and of commands to them."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, insert, select, update

from sitekeeper_collector.domain.remote import CONFIG_STATES, OPEN_COMMANDS, CommandState, ConfigState, Contact
from sitekeeper_collector.store.tables import commands, runs, site_config, site_state
from sitekeeper_protocol.messages import CommandName, Result

_PREFIX = "config-"
_UNSETTLED = (ConfigState.PENDING, ConfigState.SENT, ConfigState.TRIAL)


class Config(NamedTuple):
    """A revision of a site's settings."""

    site: str
    revision: int
    settings: dict[str, Any]
    state: ConfigState
    reason: str
    issued_ms: int
    sent_ms: int | None
    settled_ms: int | None


class Request(NamedTuple):
    """A command to a site, and what became of it."""

    id: str
    site: str
    name: str
    arguments: dict[str, Any]
    issued_ms: int
    expires_ms: int
    sent_ms: int | None
    state: CommandState
    measured: dict[str, Any]
    text: str
    finished_ms: int | None


# --- settings -----------------------------------------------------------------------------------------------------------


def want(connection: Connection, site: str, settings: Mapping[str, Any], now_ms: int) -> int:
    """Let a site use ``settings`` beside its own file from now on; the new revision."""
    before = latest(connection, site)
    # Never a number that an earlier database may have used: an agent would take it for what it has, or has refused.
    revision = max(now_ms // 1000, before.revision + 1 if before else 1)
    if before is not None:
        connection.execute(
            update(site_config)
            .where(site_config.c.site == site, site_config.c.state.in_(_UNSETTLED))
            .values(state=ConfigState.SUPERSEDED, settled_ms=now_ms)
        )
    connection.execute(
        insert(site_config).values(
            site=site,
            revision=revision,
            settings=json.dumps(dict(settings), ensure_ascii=False),
            state=ConfigState.PENDING,
            reason="",
            issued_ms=now_ms,
        )
    )
    return revision


def latest(connection: Connection, site: str) -> Config | None:
    """The newest revision of a site."""
    found = configs(connection, site, most=1)
    return found[0] if found else None


def configs(connection: Connection, site: str, *, most: int = 20) -> list[Config]:
    """The revisions of a site, newest first."""
    wanted = select(site_config).where(site_config.c.site == site).order_by(site_config.c.revision.desc()).limit(most)
    return [_config(row) for row in connection.execute(wanted).mappings()]


def _config(row: Mapping[Any, Any]) -> Config:
    values = {name: row[name] for name in Config._fields}
    return Config(**{**values, "settings": json.loads(row["settings"]), "state": ConfigState(row["state"])})


def unsettled(connection: Connection, *, applied: bool) -> list[Config]:
    """Revisions that a site may have to be sent; with ``applied`` also those that it has confirmed, the newest of each site."""
    states = (*_UNSETTLED, ConfigState.APPLIED) if applied else _UNSETTLED
    newest: dict[str, Config] = {}
    for row in connection.execute(select(site_config).where(site_config.c.state.in_(states))).mappings():
        config = _config(row)
        if config.site not in newest or newest[config.site].revision < config.revision:
            newest[config.site] = config
    return list(newest.values())


def sent(connection: Connection, site: str, revision: int, now_ms: int) -> None:
    """A revision has gone out."""
    row = and_(site_config.c.site == site, site_config.c.revision == revision)
    connection.execute(update(site_config).where(row).values(state=ConfigState.SENT, sent_ms=now_ms))


# --- commands -----------------------------------------------------------------------------------------------------------


def ask(connection: Connection, request: Request) -> None:
    """Note a command that is to be sent."""
    row = request._asdict()
    connection.execute(
        insert(commands).values(**row | {"arguments": _json(request.arguments), "measured": _json(request.measured)})
    )


def request(connection: Connection, id_: str) -> Request | None:
    """A command by its id."""
    row = connection.execute(select(commands).where(commands.c.id == id_)).mappings().one_or_none()
    return None if row is None else _request(row)


def open_requests(connection: Connection) -> list[Request]:
    """Commands that are not finished, oldest first."""
    wanted = select(commands).where(commands.c.state.in_(OPEN_COMMANDS)).order_by(commands.c.issued_ms)
    return [_request(row) for row in connection.execute(wanted).mappings()]


def _request(row: Mapping[Any, Any]) -> Request:
    values = {name: row[name] for name in Request._fields}
    read = {name: json.loads(row[name]) for name in ("arguments", "measured")}
    return Request(**{**values, **read, "state": CommandState(row["state"])})


def request_sent(connection: Connection, id_: str, now_ms: int) -> None:
    """A command has gone out."""
    connection.execute(update(commands).where(commands.c.id == id_).values(state=CommandState.SENT, sent_ms=now_ms))


def give_up(connection: Connection, id_: str, state: CommandState, text: str, now_ms: int) -> None:
    """A command is finished without a word from the site."""
    connection.execute(update(commands).where(commands.c.id == id_).values(state=state, text=text, finished_ms=now_ms))


# --- what sites say -----------------------------------------------------------------------------------------------------


def book(connection: Connection, results: Sequence[tuple[str, Result]], now_ms: int) -> None:
    """Note what sites have told of their commands and settings. What nobody asked for changes nothing."""
    for site, result in results:
        if result.name is CommandName.CONFIGURE:
            _book_config(connection, site, result, now_ms)
        else:
            _book_command(connection, site, result, now_ms)


def _book_config(connection: Connection, site: str, result: Result, now_ms: int) -> None:
    number = result.id.removeprefix(_PREFIX)
    if not (number.isascii() and number.isdigit() and len(number) <= 16):
        return
    state = CONFIG_STATES[result.state]
    settled_ms = None if state is ConfigState.TRIAL else now_ms
    row = and_(
        site_config.c.site == site,
        site_config.c.revision == int(number),
        site_config.c.state != ConfigState.SUPERSEDED,
    )
    connection.execute(update(site_config).where(row).values(state=state, reason=result.text[:1000], settled_ms=settled_ms))


def _book_command(connection: Connection, site: str, result: Result, now_ms: int) -> None:
    state = CommandState(result.state.value)
    final = state not in OPEN_COMMANDS
    row = and_(commands.c.id == result.id, commands.c.site == site, commands.c.state.in_(OPEN_COMMANDS))
    told = {"measured": _json(result.values), "text": result.text, "finished_ms": now_ms} if final else {}
    connection.execute(update(commands).where(row).values(state=state, **told))


def contacts(connection: Connection, sites: Collection[str]) -> dict[str, Contact]:
    """What is known of those of ``sites`` that were ever heard live."""
    live = runs.c.config_revision, site_state.c.site, site_state.c.area, site_state.c.last_live_ms
    joined = site_state.join(runs, and_(runs.c.site == site_state.c.site, runs.c.run == site_state.c.live_run))
    found: dict[str, Contact] = {}
    names = list(sites)
    for at in range(0, len(names), 200):
        wanted = select(*live).select_from(joined).where(site_state.c.site.in_(names[at : at + 200]))
        for revision, site, area, last_live_ms in connection.execute(wanted):
            found[site] = Contact(area, last_live_ms, revision)
    return found


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=False)
