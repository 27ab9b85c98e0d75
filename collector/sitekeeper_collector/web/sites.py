"""The register of sites with their states, and each site's page."""

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.response import Template
from sqlalchemy import Connection

from sitekeeper_collector.domain.ledger import Segment
from sitekeeper_collector.domain.readings import ladder
from sitekeeper_collector.store import evidence, ledger, queries
from sitekeeper_collector.web import casework, reading, strip, views
from sitekeeper_collector.web.access import console_of
from sitekeeper_collector.web.frame import AnyRequest, context, in_store, param, zone_of
from sitekeeper_collector.web.views import Standing

_SHOWN_SAMPLES = 30
_SHOWN_TICKETS = 5


@get("/sites", sync_to_thread=True)
def sites(request: AnyRequest) -> Template:
    """The register, with search."""
    wanted, state = param(request, "q"), param(request, "state")

    def ask(connection: Connection, blind: bool, now_ms: int) -> list[reading.SiteRow]:
        most = None if state in set(Standing) else reading.MOST_SITES + 1
        rows = reading.site_rows(connection, wanted, blind=blind, now_ms=now_ms, most=most)
        return [row for row in rows if most is not None or row.standing == state]

    rows = in_store(request, ask)
    shown = rows[: reading.MOST_SITES]
    values = {"rows": shown, "more": len(rows) > len(shown), "q": wanted, "standings": tuple(Standing)}
    return Template("sites.html", context=context(request, **values, state=state if state in set(Standing) else ""))


@get("/sites/{site:str}", sync_to_thread=True)
def site_page(request: AnyRequest) -> Template:
    """One site: its faults and tickets, how far its line reaches, its last days, what was measured."""
    site = str(request.path_params["site"])

    def ask(connection: Connection, blind: bool, now_ms: int) -> dict[str, object]:
        details = reading.site_details(connection, site, blind=blind, now_ms=now_ms)
        if details is None:
            raise NotFoundException
        return {
            "details": details,
            "row": details.row,
            "now_ms": now_ms,
            **_measured(connection, site),
            **_case(connection, site, now_ms),
            **_days(request, connection, site, now_ms),
            "findings": [finding for finding in queries.findings(connection) if finding.site == site],
        }

    return Template("site.html", context=context(request, **in_store(request, ask)))


def _measured(connection: Connection, site: str) -> dict[str, object]:
    records = reading.newest_samples(connection, site, _SHOWN_SAMPLES)
    taken = [(record, record.content()) for record in records]
    newest = next(((record, sample) for record, sample in taken if ladder(sample.values)), None)
    return {
        "ladders": ladder(newest[1].values) if newest else {},
        "ladder_ms": newest[0].placed_ms if newest else None,
        "verdict": views.verdict(newest[1]) if newest else (None, None),
        "samples": [(record, *views.verdict(sample)) for record, sample in taken],
    }


def _case(connection: Connection, site: str, now_ms: int) -> dict[str, object]:
    """What is wrong now, as far as it is known."""
    return {
        "faults": [kept for kept in evidence.faults_since(connection, site, now_ms) if kept.episode.ended_ms is None],
        "tickets": casework.of_site(connection, site, _SHOWN_TICKETS),
        "absence": reading.absence_of(connection, site, now_ms),
    }


def _days(request: AnyRequest, connection: Connection, site: str, now_ms: int) -> dict[str, object]:
    console = console_of(request)
    gap_ms = console.rules.evidence_gap_s * 1000

    def picture(from_ms: int, to_ms: int) -> list[Segment]:
        return ledger.picture(connection, site, from_ms, to_ms, gap_ms=gap_ms)

    shown = strip.days(now_ms, zone_of(console.utc_offset_min), picture)
    return {
        "days": shown,
        "hour": strip.last_hour(now_ms, picture),
        "states": strip.occurring(shown),
        "groups": strip.GROUPS,
        "sum_of": strip.total(shown),
    }


HANDLERS = (sites, site_page)
