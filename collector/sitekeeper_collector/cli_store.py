"""``sitekeeper-collector store``: copy the database, put a copy back."""

import argparse
from pathlib import Path

from sitekeeper_collector.cli_common import config_argument, load_settings, opened
from sitekeeper_collector.cli_text import identity
from sitekeeper_collector.store.backup import back_up, restore
from sitekeeper_collector.store.engine import renew_epoch


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    actions = commands.add_parser("store", help="copy the database, put a copy back").add_subparsers(
        required=True, metavar="ACTION"
    )
    backup = actions.add_parser("backup", help="copy the database to a new file; the collector may be running")
    backup.add_argument("file", type=Path, metavar="FILE")
    config_argument(backup)
    backup.set_defaults(handler=run_backup)
    back = actions.add_parser(
        "restore",
        help="put a copy back",
        description="Put a copy in the place of the database's content. The database gets a new epoch, so that the agents send "
        "again what the copy lacks, as far as they still hold it.",
    )
    back.add_argument("file", type=Path, metavar="FILE")
    config_argument(back)
    back.set_defaults(handler=run_restore)
    epoch = actions.add_parser("new-epoch", help="tell the agents that the database was put back by other means")
    config_argument(epoch)
    epoch.set_defaults(handler=run_new_epoch)


def run_backup(args: argparse.Namespace) -> int:
    """Copy the database."""
    back_up(load_settings(args.config).database, args.file.absolute())
    print(f"wrote {args.file} ({args.file.stat().st_size / 1024 / 1024:.1f} MiB)")
    return 0


def run_restore(args: argparse.Namespace) -> int:
    """Put a copy back."""
    epoch = restore(load_settings(args.config).database, args.file.absolute())
    print(f"restored from {args.file}; new epoch {identity(epoch)}: the agents send what is missing by themselves")
    return 0


def run_new_epoch(args: argparse.Namespace) -> int:
    """Draw a new epoch."""
    with opened(load_settings(args.config)) as store, store.write() as connection:
        epoch = renew_epoch(connection)
    print(f"new epoch {identity(epoch)}: the agents send again what they hold")
    return 0
