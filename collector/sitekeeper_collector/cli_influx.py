"""``sitekeeper-collector influx``: make in InfluxDB what the time series need."""

import argparse

from sitekeeper_collector.cli_common import CliError, config_argument, load_settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    actions = commands.add_parser("influx", help="make in InfluxDB what the time series need").add_subparsers(
        required=True, metavar="ACTION"
    )
    setup = actions.add_parser(
        "setup",
        help="make what is missing; may be run again at any time",
        description="Make buckets (1.x: database and retention policies), hourly means, and the database names for InfluxQL, "
        "as far as they are missing or differ from the configuration. The token or user must be allowed to.",
    )
    config_argument(setup)
    setup.set_defaults(handler=run_setup)


def run_setup(args: argparse.Namespace) -> int:
    """Set up the configured store."""
    settings = load_settings(args.config)
    # influxdb-client takes a while to import: not for the other commands.
    from sitekeeper_collector.series.setup import SetupError, set_up

    try:
        changed = set_up(settings.series)
    except SetupError as err:
        raise CliError(str(err)) from err
    for line in changed or ["nothing to change"]:
        print(line)
    return 0
