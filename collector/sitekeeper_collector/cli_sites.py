"""``sitekeeper-collector sites``: import the register of sites, and list it."""

import argparse
import sys
import time
from pathlib import Path

import msgspec

from sitekeeper_collector.cli_common import CliError, config_argument, load_settings, opened
from sitekeeper_collector.cli_text import instant, json_text, safe, table
from sitekeeper_collector.registry import contacts, files, stored
from sitekeeper_collector.store import queries

_SHOWN_PROBLEMS = 200


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    actions = commands.add_parser("sites", help="the register of sites").add_subparsers(required=True, metavar="ACTION")
    taken = actions.add_parser(
        "import",
        help="take over a list of sites from a CSV file",
        description="Take over a list of sites from a CSV file (UTF-8 or GBK; comma, semicolon or tab; English or Chinese "
        "titles). If anything is wrong with any line, all of it is told and nothing is taken over. Sites that are registered "
        "already are updated; sites that are not in the file stay.",
    )
    taken.add_argument("file", type=Path, metavar="FILE.csv")
    config_argument(taken)
    taken.add_argument("--check", action="store_true", help="only say what would be done")
    taken.set_defaults(handler=run_import)
    listed = actions.add_parser("list", help="list the sites")
    config_argument(listed)
    listed.add_argument("--unknown", action="store_true", help="sites that were heard and are not registered")
    listed.add_argument("--json", action="store_true", help="as JSON, one array")
    listed.set_defaults(handler=run_list)


def run_import(args: argparse.Namespace) -> int:
    """Take the file over as a whole, or tell all that is wrong with it."""
    settings = load_settings(args.config)
    try:
        data = args.file.read_bytes()
    except OSError as err:
        raise CliError(f"{args.file}: can't be read: {err.strerror}") from err
    parsed = files.parse(data)
    name = str(args.file)
    for note in parsed.notes:
        print(f"note: {safe(files.describe_note(name, note))}", file=sys.stderr)
    if parsed.problems:
        for problem in parsed.problems[:_SHOWN_PROBLEMS]:
            print(safe(files.describe(name, problem)), file=sys.stderr)
        lines = len({problem.line for problem in parsed.problems})
        more = f" (the first {_SHOWN_PROBLEMS} are shown)" if len(parsed.problems) > _SHOWN_PROBLEMS else ""
        print(f"{len(parsed.problems)} problems in {lines} lines{more}; nothing was imported", file=sys.stderr)
        return 1
    with opened(settings) as store, store.write() as connection:
        difference = stored.compare(stored.all_sites(connection), parsed.sites)
        if not args.check:
            stored.apply(connection, difference, int(time.time() * 1000))
    _tell(difference, parsed, dry=args.check)
    return 0


def _tell(difference: stored.Difference, parsed: files.Parsed, *, dry: bool) -> None:
    for entry in difference.added[:20]:
        print(f"added    {safe(entry.id)}  {safe(entry.name)}")
    if len(difference.added) > 20:
        print(f"added    ... and {len(difference.added) - 20} more")
    for change in difference.changed:
        print(f"changed  {safe(change.entry.id)}  {safe(change.entry.name)}: {', '.join(change.fields)}")
    print(
        f"{len(parsed.sites)} sites read ({parsed.encoding}): {len(difference.added)} added, "
        f"{len(difference.changed)} changed, {difference.unchanged} unchanged"
    )
    if difference.absent:
        print(f"{len(difference.absent)} registered sites are not in this file; they stay as they are")
    if dry:
        print("only checked: nothing was stored")
    elif difference.added:
        print("Passwords for new sites: sitekeeper-collector broker config")


def run_list(args: argparse.Namespace) -> int:
    """List registered sites, or those that are not."""
    with opened(load_settings(args.config)) as store, store.read() as connection:
        if args.unknown:
            return _list_unknown(queries.unknown_sites(connection), as_json=args.json)
        entries = stored.all_sites(connection)
        heard = queries.last_heard(connection)
    if args.json:
        rows = [msgspec.to_builtins(entry) | {"last_heard_ms": heard.get(entry.id)} for entry in entries]
        print(json_text(rows, indent=1))
        return 0
    if not entries:
        print("No site is registered. Next: sitekeeper-collector sites import FILE.csv")
        return 0
    titles = ("id", "name", "county", "township", "profile", "hours", "contacts", "last heard")
    print(
        table(
            titles,
            (
                (e.id, e.name, e.county, e.township, e.profile, e.hours, contacts.render(e.contacts), instant(heard.get(e.id)))
                for e in entries
            ),
        )
    )
    return 0


def _list_unknown(unknown: list[queries.UnknownSite], *, as_json: bool) -> int:
    if as_json:
        print(json_text([site._asdict() for site in unknown], indent=1))
    elif not unknown:
        print("No unknown site has been heard.")
    else:
        rows = ((s.site, s.area, s.messages, instant(s.first_ms), instant(s.last_ms), s.held_reports) for s in unknown)
        print(table(("site", "area", "messages", "first heard", "last heard", "reports held"), rows))
        print("Their agents keep their data. Register them with: sitekeeper-collector sites import FILE.csv")
    return 0
