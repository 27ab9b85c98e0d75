"""What a ticket rests on, out of the samples that prove it."""

from msgspec.structs import replace
from sqlalchemy import Connection, and_, select

from sitekeeper_collector.domain.detection import Proof
from sitekeeper_collector.domain.readings import ladder
from sitekeeper_collector.domain.tickets import Evidence
from sitekeeper_collector.store.samples import content
from sitekeeper_collector.store.tables import reports, samples, spans
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import Sample, VerdictEvent
from sitekeeper_protocol.vocabulary import Kind, Metric, from_wire


def evidence(
    connection: Connection, site: str, proof: Proof, kind: Kind | None, *, facts: tuple[tuple[str, str], ...] = ()
) -> Evidence:
    """The judged ladder of the sample that ``proof`` names, and what it says of ``kind``; the facts alone if it is gone."""
    sample = _sample(connection, site, proof)
    if sample is None:
        return Evidence(facts=facts)
    targets = _targets(connection, site, proof)
    readings = tuple(
        replace(reading, target=targets.get((reading.path, reading.rung, reading.label), ""))
        for of_path in ladder(sample.values).values()
        for reading in of_path
    )
    return Evidence(readings=readings, facts=(*facts, *_measured(sample, kind)))


def _targets(connection: Connection, site: str, proof: Proof) -> dict[tuple[str, int, str], str]:
    """What each reading asked: told once, with the sample in which the verdict became what it is, the first of its span."""
    first = connection.execute(
        select(spans.c.first).where(
            spans.c.site == site,
            spans.c.run == proof.run,
            spans.c.first <= proof.sequence,
            spans.c.last >= proof.sequence,
        )
    ).scalar_one_or_none()
    began = None if first is None else _sample(connection, site, Proof(proof.run, first))
    return {
        (item.path, item.rung, item.label): item.target
        for event in (began.events if began is not None else ())
        if isinstance(event, VerdictEvent)
        for item in event.evidence
        if item.target
    }


def _sample(connection: Connection, site: str, proof: Proof) -> Sample | None:
    its_report = and_(reports.c.site == samples.c.site, reports.c.run == samples.c.run, reports.c.first == samples.c.report)
    payload = connection.execute(
        select(reports.c.payload)
        .select_from(samples.join(reports, its_report))
        .where(samples.c.site == site, samples.c.run == proof.run, samples.c.sequence == proof.sequence)
    ).scalar_one_or_none()
    try:
        return None if payload is None else content(payload, proof.sequence)
    except ProtocolError:
        return None  # damaged on the disk: the ticket is worth more than its picture


def _measured(sample: Sample, kind: Kind | None) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if kind is Kind.DISK_FULL:
        free = {instance: number for (metric, instance), number in sample.values.items() if metric == Metric.DISK_FREE_BYTES}
        for volume, number in sorted(free.items(), key=lambda item: item[1])[:3]:
            found += [("volume", volume), ("free", str(round(from_wire(Metric.DISK_FREE_BYTES, number))))]
    if kind is Kind.PORTAL_DOWN and (Metric.PORTAL_STATUS, "") in sample.values:
        found.append(("status", str(sample.values[Metric.PORTAL_STATUS, ""])))
    return found
