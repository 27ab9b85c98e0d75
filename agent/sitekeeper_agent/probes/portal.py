"""The portal's rung: name, connection, TLS, first byte and status of the page that the site teaches with."""

import time
from typing import NamedTuple

from sitekeeper_agent.platform import Family
from sitekeeper_agent.probes import fetch, http
from sitekeeper_agent.probes.captive import is_captive
from sitekeeper_agent.probes.fetch import Phases
from sitekeeper_agent.probes.probe import MAX_TARGET, Context, Findings, Portal, paths
from sitekeeper_agent.probes.reference import redirect
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import SeriesKey
from sitekeeper_protocol.vocabulary import Method, Metric, Reason, Rung, State, to_wire

_MAX_HOPS = 3
_CAPTIVE_BYTES = 8 * 1024


class Visit(NamedTuple):
    """The outcome of a visit to the portal over one path."""

    state: State
    reason: Reason = Reason.NONE
    phases: Phases = Phases()
    ms: float | None = None


def probe(context: Context) -> Findings:
    """Visit the portal over each path; the phases told are those of the first path that answered."""
    measured = paths(context)
    visits: dict[Family, Visit] = {}
    for at, path in enumerate(measured):
        # Each path has its share of the time, so that a dead one leaves the other enough.
        visits[path] = visit(path, context, time.monotonic() + context.left_s / (len(measured) - at))
    told = next((v for v in visits.values() if v.state in (State.OK, State.DEGRADED)), visits[measured[0]])
    return Findings(tuple(_reading(path, v, context.portal) for path, v in visits.items()), _values(told.phases), {})


def _reading(path: Family, found: Visit, portal: Portal) -> Reading:
    return Reading(
        rung=Rung.PORTAL,
        path=path,
        state=found.state,
        reason=found.reason,
        rtt_ms=found.ms,
        method=Method.HTTP,
        target=portal.host[:MAX_TARGET],
    )


def _values(phases: Phases) -> dict[SeriesKey, int]:
    metrics = (
        (Metric.PORTAL_DNS_MS, phases.dns_ms),
        (Metric.PORTAL_CONNECT_MS, phases.connect_ms),
        (Metric.PORTAL_TLS_MS, phases.tls_ms),
        (Metric.PORTAL_FIRST_BYTE_MS, phases.first_byte_ms),
        (Metric.PORTAL_STATUS, phases.status),
        (Metric.PORTAL_CERTIFICATE_DAYS, phases.certificate_days),
    )
    return {(metric.value, ""): to_wire(metric, value) for metric, value in metrics if value is not None}


def visit(path: Family, context: Context, deadline: float) -> Visit:
    """One visit over ``path``, following redirects within the portal's own host."""
    begun, portal = time.monotonic(), context.portal
    phases = Phases()
    try:
        for _ in range(_MAX_HOPS):
            # Nobody but the portal can answer over TLS, so its page need not be looked at, nor paid for.
            wanted = http.MAX_BYTES if context.expected_text else 0 if portal.secure else _CAPTIVE_BYTES
            _, response, phases, _ = fetch.get(portal, path, context, deadline, wanted)
            target = _next(portal, response, context)
            if target is None:
                found = classify(portal, response, context)
                break
            portal = target
        else:
            found = State.FAIL, Reason.WRONG_CONTENT
    except fetch.Failed as failed:
        return Visit(failed.state, failed.reason, failed.phases)
    ms = (time.monotonic() - begun) * 1000
    if found == (State.OK, Reason.NONE) and ms > context.slow_ms:
        found = State.DEGRADED, Reason.SLOW
    return Visit(*found, phases, ms)


def _next(portal: Portal, response: http.Response, context: Context) -> Portal | None:
    """Where a redirect within the portal's own host leads, else ``None``."""
    target = redirect(portal, response.head)
    return target if target is not None and target.host == portal.host and target != portal else None


def classify(portal: Portal, response: http.Response, context: Context) -> tuple[State, Reason]:
    """What a response that is followed no further says about the portal."""
    status = response.head.status
    if status == 511:  # RFC 6585: network authentication required
        return State.FAIL, Reason.CAPTIVE_PAGE
    if context.expected_text and _stands_in(context.expected_text, response.body):
        return State.OK, Reason.NONE
    if not portal.secure and is_captive(portal, redirect(portal, response.head), response.body, context.redirect_hosts):
        return State.FAIL, Reason.CAPTIVE_PAGE
    if status >= 500:
        return State.FAIL, Reason.HTTP_SERVER_ERROR
    if status in (401, 429):
        return State.OK, Reason.HTTP_CLIENT_ERROR  # it wants a login, or it is asked too often: it is there
    if status >= 400:
        return State.FAIL, Reason.HTTP_CLIENT_ERROR
    if not response.complete:
        return State.DEGRADED, Reason.SLOW
    if context.expected_text and status < 300:
        return State.FAIL, Reason.WRONG_CONTENT
    return State.OK, Reason.NONE


def _stands_in(text: str, body: bytes) -> bool:
    """Whether a page holds ``text``, in UTF-8 or, as many older portals are written, in GBK."""
    return text.encode() in body or (not text.isascii() and text.encode("gbk", "ignore") in body)
