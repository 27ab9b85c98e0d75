"""``sitekeeper-collector config | command``: settings of sites from afar, and commands to them.

Both only write to the database; the running collector sends what is written there, and notes the answers.
"""

import argparse
import secrets
import time
from typing import Any

import yaml

from sitekeeper_collector.cli_common import CliError, config_argument, load_settings, opened, span_s
from sitekeeper_collector.cli_text import instant, json_text, safe, table
from sitekeeper_collector.config import Settings
from sitekeeper_collector.domain.remote import OPEN_COMMANDS, CommandState
from sitekeeper_collector.registry import stored
from sitekeeper_collector.store import remote
from sitekeeper_collector.store.remote import Request
from sitekeeper_protocol import WIRE_VERSION, codec
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import Command, CommandName, RemoteConfig

_NAMES = [name.value for name in CommandName if name is not CommandName.CONFIGURE]
_LOOK_S = 0.3
_LATE_S = 90
"""How long after its expiry ``--wait`` still waits for a command that was begun."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the commands' arguments."""
    actions = commands.add_parser("config", help="settings of a site's agent").add_subparsers(required=True, metavar="ACTION")
    setting = actions.add_parser(
        "set",
        help="change settings of a site's agent",
        description="Change settings of a site's agent, beside those that were changed before. The running collector sends "
        "them; the agent refuses what it can't use, and takes back what cuts it off. See docs/operations/remote.md.",
    )
    setting.add_argument("site", metavar="SITE")
    setting.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="value as in YAML: 60, text, [10.0.0.1, 10.0.0.2]")
    setting.add_argument("--remove", action="append", default=[], metavar="KEY", help="leave this one to the site's own file")
    setting.add_argument("--clear", action="store_true", help="leave all others to the site's own file")
    config_argument(setting)
    setting.set_defaults(handler=run_set)
    show = actions.add_parser("show", help="show the settings that a site is to use, and what became of them")
    show.add_argument("site", metavar="SITE")
    show.add_argument("--json", action="store_true", help="as JSON, one array, newest first")
    config_argument(show)
    show.set_defaults(handler=run_show)
    asking = commands.add_parser(
        "command",
        help="ask a site's agent to do something",
        description="Ask a site's agent to do one of a closed list of things. The running collector sends it while the site is "
        "connected, until it expires.",
    )
    asking.add_argument("site", metavar="SITE")
    asking.add_argument("name", choices=_NAMES, metavar="NAME", help=", ".join(_NAMES))
    asking.add_argument("arguments", nargs="*", metavar="KEY=VALUE", help="for example to=10.0.0.1 (trace), stream=2")
    asking.add_argument("--expires", type=span_s, default=600, metavar="SPAN", help="void after this time (10m)")
    asking.add_argument("--wait", action="store_true", help="wait for the result, and show it")
    asking.add_argument("--json", action="store_true", help="the result as JSON")
    config_argument(asking)
    asking.set_defaults(handler=run_command)


def run_set(args: argparse.Namespace) -> int:
    """Note the settings that a site is to use."""
    changes = _pairs(args.settings)
    if not (changes or args.remove or args.clear):
        raise CliError("nothing to change; write for example: config set SITE report_interval_s=60")
    now_ms = time.time_ns() // 1_000_000
    with opened(load_settings(args.config)) as store, store.write() as connection:
        _demand_site(stored.all_sites(connection), args.site)
        before = remote.latest(connection, args.site)
        settings = {} if args.clear or before is None else dict(before.settings)
        absent = [key for key in args.remove if key not in settings]
        if absent:
            raise CliError(f"{absent[0]} is not among the settings of {args.site}")
        settings = {key: value for key, value in (settings | changes).items() if key not in args.remove}
        _demand_sendable(RemoteConfig(WIRE_VERSION, 0, now_ms, settings))
        revision = remote.want(connection, args.site, settings, now_ms)
    print(f"revision {revision} of {safe(args.site)}: to be sent with the site's next live report")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Show what a site is to use, and what it said."""
    with opened(load_settings(args.config)) as store, store.read() as connection:
        found = remote.configs(connection, args.site)
        contact = remote.contacts(connection, [args.site]).get(args.site)
    if args.json:
        print(json_text([config._asdict() for config in found], indent=1))
        return 0
    if not found:
        print("Nothing was changed from afar: the site's own file counts.")
        return 0
    for key, value in sorted(found[0].settings.items()):
        print(f"{safe(key)}: {safe(value)}")
    print()
    rows = ((c.revision, c.state.value, instant(c.issued_ms), instant(c.settled_ms), c.reason) for c in found)
    print(table(("revision", "state", "issued", "settled", "reason"), rows))
    if contact is not None:
        print(f"last live report: {instant(contact.last_live_ms)}, with revision {contact.revision}")
    return 0


def run_command(args: argparse.Namespace) -> int:
    """Note a command, and with ``--wait`` show what became of it."""
    now_ms = time.time_ns() // 1_000_000
    arguments = _pairs(args.arguments)
    request = Request(
        id=secrets.token_hex(8),
        site=args.site,
        name=args.name,
        arguments=arguments,
        issued_ms=now_ms,
        expires_ms=now_ms + args.expires * 1000,
        sent_ms=None,
        state=CommandState.PENDING,
        measured={},
        text="",
        finished_ms=None,
    )
    _demand_sendable(Command(WIRE_VERSION, request.id, CommandName(args.name), now_ms, request.expires_ms, arguments))
    if args.expires > 86_400:
        raise CliError("a command may live for a day at most")
    settings = load_settings(args.config)
    with opened(settings) as store, store.write() as connection:
        _demand_site(stored.all_sites(connection), args.site)
        remote.ask(connection, request)
    if not args.wait:
        print(f"command {request.id}: to be sent while {safe(args.site)} is connected")
        return 0
    return _await(settings, request, as_json=args.json)


def _await(settings: Settings, request: Request, *, as_json: bool) -> int:
    until_ms = request.expires_ms + _LATE_S * 1000
    with opened(settings) as store:
        while True:
            with store.read() as connection:
                now = remote.request(connection, request.id)
            if now is None:
                raise CliError(f"command {request.id} is no longer in the database")
            if now.state not in OPEN_COMMANDS or time.time_ns() // 1_000_000 > until_ms:
                break
            time.sleep(_LOOK_S)
    if as_json:
        print(json_text(now._asdict(), indent=1))
    else:
        print(f"{now.name} at {safe(now.site)}: {now.state.value}")
        print("\n".join(safe(line) for line in now.text.splitlines()))
        if now.measured:
            print(table(("value", ""), sorted((name, value) for name, value in now.measured.items())))
    return 0 if now.state is CommandState.DONE else 1


def _pairs(texts: list[str]) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise CliError(f"{text!r} is no setting; write KEY=VALUE")
        try:
            pairs[key] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as err:
            raise CliError(f"{key}: {value!r} can't be read; put text with signs in it in quotes") from err
    return pairs


def _demand_site(sites: list[Any], site: str) -> None:
    if not any(known.id == site for known in sites):
        raise CliError(f"{site!r} is not in the register; see: sitekeeper-collector sites list")


def _demand_sendable(message: RemoteConfig | Command) -> None:
    """Raise ``CliError`` for what the wire does not take: fractions, dates, nested lists, long texts."""
    try:
        codec.encode(message)
    except ProtocolError as err:
        raise CliError(
            f"this can't be sent: {err.detail}; values are whole numbers, texts, true, false, and lists of them"
        ) from err
