"""The overview: what needs somebody now, and how all sites stand."""

from litestar import Response, get
from litestar.response import Template
from sqlalchemy import Connection

from sitekeeper_collector.store import outbox, queries
from sitekeeper_collector.web import casework, needs, reading, views
from sitekeeper_collector.web.frame import AnyRequest, context, fresh, in_store, param, part
from sitekeeper_collector.web.views import Standing
from sitekeeper_protocol.vocabulary import Party

_MOST = 50
_FAULTS = (Standing.TROUBLE, Standing.SUSPECTED, Standing.NOTICED)
_CALM = (Standing.UP, Standing.UNCLEAR, Standing.OFF, Standing.GOODBYE, Standing.NEVER, Standing.BLIND)
_ALWAYS = (Standing.TROUBLE, Standing.UP, Standing.OFF)


def _values(request: AnyRequest) -> dict[str, object]:
    party = param(request, "party")

    def ask(connection: Connection, blind: bool, now_ms: int) -> dict[str, object]:
        rows = reading.site_rows(connection, "", blind=blind, now_ms=now_ms)
        counted = views.counts(row.standing for row in rows)
        waiting = needs.folded(casework.waiting(connection))
        shown = [need for need in waiting if party in ("", need.ticket.party)]
        return {
            "blind": blind,
            "beat_ms": reading.last_heartbeat_ms(connection),
            "counts": [(word, counted[word]) for word in (*_FAULTS, *_CALM) if counted[word] or word in _ALWAYS],
            "total": len(rows),
            "needs": shown[:_MOST],
            "left_out": max(0, len(shown) - _MOST),
            "waiting": len(waiting),
            "parties": needs.by_party(waiting),
            "party": party if party in set(Party) else "",
            "noticed": [row for row in rows if row.standing is Standing.NOTICED][:_MOST],
            "suspected": [row for row in rows if row.standing is Standing.SUSPECTED][:_MOST],
            "unsettled": outbox.unsettled(connection, now_ms),
            "untold": casework.untold(connection),
            "findings": queries.findings(connection)[:_MOST],
            "unknown": queries.unknown_sites(connection)[:_MOST],
            "now_ms": now_ms,
        }

    return context(request, **in_store(request, ask))


@get("/", sync_to_thread=True)
def overview(request: AnyRequest) -> Template:
    """What needs me now, and how all sites stand."""
    values = _values(request)
    return Template("overview.html", context=values | {"live": part(request, "overview_now.html", values)})


@get("/overview/now", sync_to_thread=True)
def overview_now(request: AnyRequest) -> Response[str]:
    """The part of the overview that keeps itself up to date."""
    return fresh(request, "overview_now.html", _values(request))


HANDLERS = (overview, overview_now)
