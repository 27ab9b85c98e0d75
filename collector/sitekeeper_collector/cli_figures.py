"""``sitekeeper-collector figures``: the sheet of a month, and closing it."""

import argparse
import csv
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection

from sitekeeper_collector import rules_file
from sitekeeper_collector.cli_common import CliError, config_argument, load_settings, opened
from sitekeeper_collector.cli_text import instant, json_text, table
from sitekeeper_collector.config import Settings
from sitekeeper_collector.domain import figures
from sitekeeper_collector.domain.figures import Tally
from sitekeeper_collector.store import figures as stored
from sitekeeper_collector.store.figures import GROUPS, Month, Place
from sitekeeper_protocol.vocabulary import Party

_HOUR_MS = 3_600_000
_BY = ("all", *GROUPS, "site", "cause")
_TITLES = (
    "sites",
    "online_rate",
    "availability",
    "intact_rate",
    "unknown_share",
    "outages",
    "down_h",
    "telecom_down_h",
    "mtbf_h",
    "repairs",
    "mtta_h",
    "mttr_h",
    "repair_p90_h",
    "handled_h",
    "handled_p90_h",
)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command's arguments."""
    parser = commands.add_parser("figures", help="online rate, intact rate, outages and repair times of a month")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="the sheet of a month; a closed one as it was closed, with its corrections")
    show.add_argument("month", nargs="?", metavar="YYYY-MM", help="the month (this one)")
    show.add_argument("--by", choices=_BY, default="township", help="what the sites are put together by (township)")
    form = show.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON: sums in ms, rates from 0 to 1")
    form.add_argument("--csv", action="store_true", help="as CSV")
    config_argument(show)
    show.set_defaults(handler=_show)
    close = actions.add_parser("close", help="keep a month's figures for good, and look again at those of the year before it")
    close.add_argument("month", metavar="YYYY-MM")
    close.add_argument("--by-whom", default="", metavar="NAME", help="who closes it, for the record")
    config_argument(close)
    close.set_defaults(handler=_close)
    corrections = actions.add_parser("corrections", help="what was corrected of closed months, and when that was found")
    corrections.add_argument("--month", default="", metavar="YYYY-MM", help="of the figures of this month only")
    config_argument(corrections)
    corrections.set_defaults(handler=_corrections)


def _month(name: str, settings: Settings) -> Month:
    try:
        return stored.month_of(name, settings.utc_offset_min)
    except ValueError as err:
        raise CliError(str(err)) from None


def wall_ms() -> int:
    """Unix time by this machine, in ms."""
    return time.time_ns() // 1_000_000


def measured(
    connection: Connection, settings: Settings, sites: Iterable[Place], month: Month, until_ms: int
) -> dict[str, Tally]:
    """What the record of a month comes to now, by site."""
    rules = rules_file.load(Path(settings.watch.rules_file) if settings.watch.rules_file else None)
    gap_ms, offset = rules.evidence_gap_s * 1000, settings.utc_offset_min
    return {
        place.id: stored.tally(connection, place, month, until_ms=until_ms, gap_ms=gap_ms, utc_offset_min=offset)
        for place in sites
    }


def _show(args: argparse.Namespace) -> int:
    settings, now_ms = load_settings(args.config), wall_ms()
    month = _month(args.month, settings) if args.month else stored.month_at(now_ms, settings.utc_offset_min)
    if month.from_ms > now_ms:
        raise CliError(f"{month.name} has not begun yet")
    with opened(settings) as store, store.read() as connection:
        sites = stored.places(connection)
        closed_ms = stored.closed(connection).get(month.name)
        if closed_ms is None:
            by_site = measured(connection, settings, sites, month, now_ms)
        else:
            by_site = stored.kept(connection, month.name, corrected=False)
        corrected = stored.corrections(connection, month=month.name)
    whole = figures.total(by_site.values())
    if args.by == "cause":
        print(_causes(whole, args))
        return 0
    groups = _grouped(by_site, {place.id: place for place in sites}, args.by)
    if args.json:
        print(json_text({"month": month.name, "closed_ms": closed_ms, "groups": _as_json(groups)}))
        return 0
    rows = [(name, *_row(one)) for name, one in groups.items()]
    if args.by != "all":
        rows.append(("all", *_row(whole)))
    if args.csv:
        print(_as_csv((args.by, *_TITLES), rows), end="")
        return 0
    state = "not closed, so it still changes" if closed_ms is None else f"closed {instant(closed_ms)}"
    print(f"{month.name}: {state}\n\n{table((args.by, *_TITLES), rows)}")
    if corrected:
        print(f"\n{len(corrected)} corrections since: sitekeeper-collector figures corrections --month {month.name}")
    return 0


def _grouped(by_site: Mapping[str, Tally], places: Mapping[str, Place], by: str) -> dict[str, Tally]:
    """Tallies by group, in the order of the names; a site that has left the register stays under its id's own name."""
    found: dict[str, list[Tally]] = {}
    for site, one in by_site.items():
        place = places.get(site)
        if by == "all":
            name = "all"
        elif by == "site" or place is None:
            name = site
        else:
            name = getattr(place, by) or "-"
        found.setdefault(name, []).append(one)
    return {name: figures.total(found[name]) for name in sorted(found)}


def _row(one: Tally) -> tuple[object, ...]:
    telecom_ms = sum(ms for (_, party), ms in one.by_cause().items() if party == Party.TELECOM)
    repaired, handled = one.durations("outage_ms"), one.durations("handled_ms", Party.TELECOM)
    return (
        one.sites,
        _rate(one.online_rate),
        _rate(one.availability),
        _rate(one.intact_rate),
        _rate(one.unknown_share),
        one.outages,
        _h(one.down_ms),
        _h(telecom_ms),
        _h(one.mtbf_ms),
        len(repaired),
        _h(figures.mean(one.durations("acknowledged_ms"))),
        _h(figures.mean(repaired)),
        _h(figures.percentile(repaired, 0.9)),
        _h(figures.mean(handled)),
        _h(figures.percentile(handled, 0.9)),
    )


def _rate(share: float | None) -> str:
    # Rounded down: 99.99 % is not 100.
    return "" if share is None else f"{int(share * 10_000) / 100:.2f}"


def _h(ms: float | None) -> str:
    return "" if ms is None else f"{ms / _HOUR_MS:.2f}"


def _as_csv(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    # With a mark at the start: spreadsheets on Chinese systems take UTF-8 for GBK without it. What begins like a formula gets
    # an apostrophe, so that none is calculated (CWE-1236).
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(titles)
    for row in rows:
        writer.writerow([f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "@", "\t") else cell for cell in row])
    return "\ufeff" + out.getvalue()


def _as_json(groups: Mapping[str, Tally]) -> list[dict[str, object]]:
    return [
        {
            "name": name,
            "sites": one.sites,
            "online_rate": one.online_rate,
            "availability": one.availability,
            "intact_rate": one.intact_rate,
            "unknown_share": one.unknown_share,
            "outages": one.outages,
            "days_expected": one.days_expected,
            "days_online": one.days_online,
            "broken_ms": one.broken_ms,
            "mtbf_ms": one.mtbf_ms,
            "spent": [{"was": part.was, "kind": part.kind, "party": part.party, "ms": part.ms} for part in one.spent],
            "repairs": [{name: getattr(repair, name) for name in repair.__struct_fields__} for repair in one.repairs],
        }
        for name, one in groups.items()
    ]


def _causes(whole: Tally, args: argparse.Namespace) -> str:
    rows = [(kind, party, _h(ms)) for (kind, party), ms in sorted(whole.by_cause().items(), key=lambda item: -item[1])]
    if args.json:
        return json_text([{"kind": kind, "party": party, "ms": ms} for (kind, party), ms in sorted(whole.by_cause().items())])
    rows.append(("all", "", _h(whole.down_ms)))
    titles = ("fault", "party", "down_h")
    return _as_csv(titles, rows).rstrip("\n") if args.csv else table(titles, rows)


def _close(args: argparse.Namespace) -> int:
    settings, now_ms = load_settings(args.config), wall_ms()
    month = _month(args.month, settings)
    if month.to_ms > now_ms:
        raise CliError(f"{month.name} is not over yet")
    with opened(settings) as store:
        # Read first: no report waits for a lock meanwhile, and what comes in between is a correction of a later month.
        with store.read() as connection:
            closed = stored.closed(connection)
            if month.name in closed:
                raise CliError(f"{month.name} was closed {instant(closed[month.name])}; what was learned since are corrections")
            sites = stored.places(connection)
            by_site = measured(connection, settings, sites, month, now_ms)
            again = {
                name: measured(connection, settings, sites, _month(name, settings), now_ms)
                for name in [earlier for earlier in closed if earlier < month.name][-12:]
            }
        with store.write() as connection:
            stored.close(connection, month.name, by_site.items(), now_ms=now_ms, who=args.by_whom)
            corrected = {name: stored.correct(connection, name, month.name, now.items(), now_ms) for name, now in again.items()}
    print(f"{month.name} is closed with the figures of {len(by_site)} sites")
    for name, count in corrected.items():
        if count:
            print(f"{name}: corrected for {count} sites; see: sitekeeper-collector figures corrections --month {name}")
    return 0


def _corrections(args: argparse.Namespace) -> int:
    settings = load_settings(args.config)
    if args.month:
        _month(args.month, settings)
    with opened(settings) as store, store.read() as connection:
        found = stored.corrections(connection, month=args.month)
    rows = [
        (
            one.month,
            one.found_in,
            one.site,
            one.change.outages,
            _h(one.change.down_ms),
            _h(one.change.unknown_ms),
            _causes_of(one),
        )
        for one in found
    ]
    print(table(("month", "found_in", "site", "outages", "down_h", "unknown_h", "what"), rows) if rows else "no corrections")
    return 0


def _causes_of(one: stored.Correction) -> str:
    changed = sorted(((part.ms, part.was, part.kind) for part in one.change.spent), key=lambda item: -abs(item[0]))
    return ", ".join(f"{kind or was} {ms / _HOUR_MS:+.2f} h" for ms, was, kind in changed[:4])
