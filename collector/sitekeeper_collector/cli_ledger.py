"""``sitekeeper-collector ledger``: how a site's time was, and whether the record of it is what its reports come to."""

import argparse
import datetime
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, select

from sitekeeper_collector import rules_file
from sitekeeper_collector.cli_common import CliError, config_argument, load_settings, opened, positive
from sitekeeper_collector.cli_text import json_text, safe, table
from sitekeeper_collector.config import Settings
from sitekeeper_collector.domain.ledger import Segment, Was
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.store import ledger
from sitekeeper_collector.store.tables import sites
from sitekeeper_collector.watch import rebuild

_DAY_MS = 86_400_000


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser("ledger", help="how a site's time was, and by whose word")
    parser.add_argument("site", metavar="SITE", help="id of the site")
    parser.add_argument("--days", type=positive, default=7, metavar="N", help="of the last N days (7)")
    parser.add_argument("--check", action="store_true", help="make its record anew from the stored reports, and compare")
    parser.add_argument("--json", action="store_true", help="as JSON, times as Unix time in ms")
    config_argument(parser)
    parser.set_defaults(handler=run)


def run(args: argparse.Namespace) -> int:
    """Show the ledger; the exit code is 1 if it was to be checked and differs."""
    settings = load_settings(args.config)
    rules = rules_file.load(Path(settings.watch.rules_file) if settings.watch.rules_file else None)
    now_ms = time.time_ns() // 1_000_000
    # One transaction: what comes in meanwhile is in both records or in neither.
    with opened(settings) as store, store.read() as connection:
        if connection.execute(select(sites.c.id).where(sites.c.id == args.site)).one_or_none() is None:
            raise CliError(f"{args.site[:80]!r} is not in the register; `sitekeeper-collector sites list` shows what is")
        gap_ms = rules.evidence_gap_s * 1000
        picture = ledger.picture(connection, args.site, now_ms - args.days * _DAY_MS, now_ms, gap_ms=gap_ms)
        wrong = _check(connection, args.site, rules) if args.check else None
    if args.json:
        print(json_text(_as_json(args.site, picture, wrong)))
    else:
        print(_as_text(picture, settings))
        if wrong is not None:
            print("\n".join(["", *map(safe, wrong)]) if wrong else "\nthe record is what the stored reports come to")
    return 1 if wrong else 0


def _check(connection: Connection, site: str, rules: Rules) -> list[str]:
    """Each span and marker that is in one of the records only."""
    made, kept = rebuild.rebuild(connection, site, rules), rebuild.kept(connection, site)
    told: list[str] = []
    for name, theirs, ours in (("spans", made.spans, kept.spans), ("markers", made.markers, kept.markers)):
        missing, extra = set(theirs) - set(ours), set(ours) - set(theirs)
        told += [f"missing in {name}: {one}" for one in sorted(missing, key=str)]
        told += [f"too much in {name}: {one}" for one in sorted(extra, key=str)]
    return told


def _sums(picture: Sequence[Segment]) -> dict[Was, int]:
    found: dict[Was, int] = {}
    for segment in picture:
        found[segment.was] = found.get(segment.was, 0) + segment.duration_ms
    return {was: found[was] for was in Was if was in found}


def _as_text(picture: Sequence[Segment], settings: Settings) -> str:
    zone = datetime.timezone(datetime.timedelta(minutes=settings.utc_offset_min))

    def clock(ms: int) -> str:
        return f"{datetime.datetime.fromtimestamp(ms / 1000, zone):%Y-%m-%d %H:%M:%S}"

    rows = [
        (clock(s.from_ms), clock(s.to_ms), _length(s.duration_ms), s.was, s.kind or "", s.party or "", s.source or "")
        for s in picture
    ]
    sums, whole_ms = _sums(picture), sum(segment.duration_ms for segment in picture)
    shares = [(was, _length(ms), f"{100 * ms / whole_ms:.1f} %") for was, ms in sums.items()]
    segments = table(("from", "to", "duration", "was", "fault", "party", "by the word of"), rows)
    return f"{segments}\n\n{table(('was', 'duration', 'share'), [*shares, ('all', _length(whole_ms), '100.0 %')])}"


def _length(ms: int) -> str:
    seconds = round(ms / 1000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _as_json(site: str, picture: Sequence[Segment], wrong: list[str] | None) -> dict[str, object]:
    """``differences``: only if it was checked."""
    told: dict[str, object] = {
        "site": site,
        "segments": [segment._asdict() for segment in picture],
        "sums_ms": {was.value: ms for was, ms in _sums(picture).items()},
    }
    return told if wrong is None else told | {"differences": wrong}
