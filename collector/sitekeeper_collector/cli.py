"""The command line: ``sitekeeper-collector``."""

import argparse
import os
import sys
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from sitekeeper_collector import (
    __version__,
    cli_broker,
    cli_classes,
    cli_figures,
    cli_influx,
    cli_ledger,
    cli_remote,
    cli_run,
    cli_samples,
    cli_sites,
    cli_store,
    cli_users,
)
from sitekeeper_collector.broker.folder import BrokerFolderError
from sitekeeper_collector.cli_common import CliError
from sitekeeper_collector.cli_text import safe
from sitekeeper_collector.embedded import EmbeddedBrokerError
from sitekeeper_collector.registry.files import SitesFileError
from sitekeeper_collector.store.errors import StoreError, StoreUnavailable
from sitekeeper_protocol.settings import SettingsError

_FOR_THE_PERSON = (
    CliError,
    SettingsError,
    SitesFileError,
    BrokerFolderError,
    EmbeddedBrokerError,
    StoreError,
    StoreUnavailable,
)
"""Errors whose text is written for whoever sits there; anything else is a bug and keeps its traceback."""

EXIT_TROUBLE = 1
EXIT_INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    whole = argparse.ArgumentParser(
        prog="sitekeeper-collector", description="Takes in what the sites' agents report, and shows what is stored."
    )
    whole.add_argument("--version", action="version", version=f"sitekeeper-collector {__version__}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    modules = (
        cli_run,
        cli_sites,
        cli_samples,
        cli_ledger,
        cli_figures,
        cli_store,
        cli_broker,
        cli_users,
        cli_classes,
        cli_remote,
        cli_influx,
    )
    for module in modules:
        module.add(commands)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 if it did what was asked, 2 for wrong arguments, 1 for other trouble."""
    args = parser().parse_args(arguments)
    try:
        code = int(args.handler(args))
        sys.stdout.flush()  # here, where a closed pipe is expected, and not at exit, where it is an error
        return code
    except _FOR_THE_PERSON as err:
        for line in str(err).splitlines():
            print(f"sitekeeper-collector: {safe(line)}", file=sys.stderr)
        return EXIT_TROUBLE
    except SQLAlchemyError as err:
        # Its text quotes statement and values, which may hold what a site sent.
        print(f"sitekeeper-collector: the database refused: {safe(type(err).__name__)}", file=sys.stderr)
        return EXIT_TROUBLE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # `... | head` closed its end: no trouble, and nothing more to say. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
