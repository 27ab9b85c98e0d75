"""``sitekeeper-collector broker config``: write the broker's configuration, access list and passwords."""

import argparse
from pathlib import Path

from sitekeeper_collector.broker import folder
from sitekeeper_collector.broker.mosquitto import BrokerPlan, Tls
from sitekeeper_collector.cli_common import CliError, config_argument, load_settings, opened
from sitekeeper_collector.cli_text import safe
from sitekeeper_collector.config import Settings
from sitekeeper_collector.registry import stored
from sitekeeper_collector.registry.files import read_sites


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    broker = commands.add_parser("broker", help="the broker's configuration").add_subparsers(required=True, metavar="ACTION")
    config = broker.add_parser(
        "config",
        help="write mosquitto.conf, the access list and the passwords",
        description="Write mosquitto.conf, the access list and the passwords of the collector and of every site. "
        "Passwords that exist are kept; running it again after new sites were imported adds theirs.",
    )
    config_argument(config)
    config.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to write to, e.g. /etc/mosquitto/sitekeeper"
    )
    config.add_argument("--sites", type=Path, metavar="FILE", help="CSV file of the sites (default: those in the database)")
    config.add_argument("--certificate", type=Path, metavar="PEM", help="the broker's certificate with its chain")
    config.add_argument("--key", type=Path, metavar="PEM", help="the certificate's key")
    config.add_argument("--authority", type=Path, metavar="PEM", help="authority of client certificates, if you use them")
    config.add_argument("--port", type=int, default=8883, help="port of the TLS listener (default 8883)")
    config.add_argument(
        "--plain-loopback",
        type=int,
        metavar="PORT",
        help="listen without TLS on 127.0.0.1 too (or alone, for demos and tests)",
    )
    config.add_argument(
        "--persistence",
        type=Path,
        default=Path("/var/lib/mosquitto"),
        metavar="DIR",
        help="where Mosquitto keeps sessions and queues (default /var/lib/mosquitto)",
    )
    config.add_argument("--prune", action="store_true", help="take away the passwords of sites that are not in the list")
    config.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Write the folder and say what was done and what is next."""
    settings, tls = load_settings(args.config), _tls(args)
    sites = _registered(settings) if args.sites is None else [site.id for site in read_sites(args.sites)]
    collector = settings.broker.username
    plan = BrokerPlan(
        folder=args.out.resolve(),
        persistence=args.persistence.resolve(),
        collector=collector,
        tls=tls,
        tls_port=args.port,
        plain_port=args.plain_loopback,
    )
    written = folder.write(plan, sites, prune=args.prune)
    _tell(plan, written, len(sites), pruned=args.prune)
    return 0


def _registered(settings: Settings) -> list[str]:
    with opened(settings) as store, store.read() as connection:
        return [site.id for site in stored.all_sites(connection)]


def _tls(args: argparse.Namespace) -> Tls | None:
    if (args.certificate is None) != (args.key is None):
        raise CliError("--certificate and --key belong together; give both")
    if args.certificate is None:
        if args.plain_loopback is None:
            raise CliError(
                "the broker needs --certificate and --key for its TLS listener "
                "(for a demo on this machine alone: --plain-loopback PORT instead)"
            )
        return None
    files = [args.certificate, args.key, *([args.authority] if args.authority else [])]
    for file in files:
        if not file.is_file():
            raise CliError(f"{file}: no such file")
    return Tls(args.certificate.resolve(), args.key.resolve(), args.authority.resolve() if args.authority else None)


def _tell(plan: BrokerPlan, written: folder.Written, site_count: int, *, pruned: bool) -> None:
    for file in written.files:
        print(f"wrote      {file}")
    for file in written.kept:
        print(f"unchanged  {file}")
    new_sites = [user for user in written.new_users if user not in (plan.collector, "tail")]
    print(f"{site_count} sites, {len(new_sites)} with a new password in {plan.folder}/sites/ (mode 0600, for enrolment)")
    if written.strangers:
        what = "taken away" if pruned else "kept; --prune takes them away"
        print(f"{len(written.strangers)} users that are not in the list: {safe(', '.join(written.strangers[:10]))} ({what})")
    print(
        f"""
Next:
  1. Let Mosquitto use it:   install -m 644 {plan.folder}/mosquitto.conf /etc/mosquitto/mosquitto.conf
                             systemctl restart mosquitto    (only passwords or sites changed: systemctl reload mosquitto)
  2. In the collector's configuration:
       broker:
         username: {plan.collector}
         password_file: {folder.collector_password_file(plan.folder)}
  3. Give each site its own file from {plan.folder}/sites/, and nothing else from there."""
    )
