"""``sitekeeper-collector users``: who may use the console."""

import argparse
import getpass
import sys
import time

from sitekeeper_collector.cli_common import CliError, config_argument, load_settings, opened
from sitekeeper_collector.web import accounts, passwords


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    actions = commands.add_parser("users", help="who may use the console").add_subparsers(required=True, metavar="ACTION")
    password = actions.add_parser(
        "password",
        help="add a user, or give one another password",
        description="Add a user, or give one another password; whoever was signed in under the name no longer is. The password "
        "is asked for, or read from the first line of standard input; it is never an argument, which everybody on the machine "
        "can see.",
    )
    password.add_argument("name", nargs="?", default=accounts.FIRST_USER, metavar="NAME", help=f"({accounts.FIRST_USER})")
    config_argument(password)
    password.set_defaults(handler=run_password)


def run_password(args: argparse.Namespace) -> int:
    """Set a password."""
    name = str(args.name)
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise CliError(f"{name[:100]!r} is no user name; it has 1 to 100 printable characters")
    password = getpass.getpass(f"New password of {name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if len(password) < passwords.MIN_LENGTH:
        raise CliError(f"the password has {len(password)} characters; at least {passwords.MIN_LENGTH} are needed")
    with opened(load_settings(args.config)) as store, store.write() as connection:
        accounts.set_password(connection, name, password, time.time_ns() // 1_000_000)
    print(f"the password of {name} is set")
    return 0
