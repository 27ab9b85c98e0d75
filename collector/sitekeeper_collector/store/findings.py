"""Findings: one open row for each site and kind, however often it is found."""

from typing import NamedTuple

from sqlalchemy import Connection, insert, update

from sitekeeper_collector.store.tables import findings

DUPLICATE_IDENTITY = "duplicate_identity"
FOREIGN_TOPIC = "foreign_topic"


class Finding(NamedTuple):
    """Something that a person should look at."""

    site: str
    kind: str
    detail: str
    found_ms: int


def note(connection: Connection, found: list[Finding]) -> None:
    """Open a finding, or count it on the row that is open."""
    for finding in found:
        again = (
            update(findings)
            .where(findings.c.site == finding.site, findings.c.kind == finding.kind, findings.c.closed_ms.is_(None))
            .values(last_ms=finding.found_ms, count=findings.c.count + 1, detail=finding.detail)
        )
        if connection.execute(again).rowcount == 0:
            connection.execute(
                insert(findings).values(
                    site=finding.site,
                    kind=finding.kind,
                    first_ms=finding.found_ms,
                    last_ms=finding.found_ms,
                    count=1,
                    detail=finding.detail,
                )
            )
