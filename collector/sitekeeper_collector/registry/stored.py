"""The register in the database: what a list would change, and changing it, in the caller's transaction."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from sitekeeper_collector.registry import contacts
from sitekeeper_collector.registry.entry import Profile, SiteEntry
from sitekeeper_collector.store.tables import sites

_FIELDS = SiteEntry.__struct_fields__


class Change(NamedTuple):
    """A site that is there already and differs; ``fields`` names what differs."""

    entry: SiteEntry
    fields: tuple[str, ...]


class Difference(NamedTuple):
    """What a list would change in the register."""

    added: tuple[SiteEntry, ...]
    changed: tuple[Change, ...]
    unchanged: int
    absent: tuple[str, ...]
    """Registered and not in the list: they stay as they are."""


def all_sites(connection: Connection) -> list[SiteEntry]:
    """The register, in the order of the ids."""
    rows = connection.execute(select(*(sites.c[name] for name in _FIELDS)).order_by(sites.c.id)).mappings()
    return [_from_row(dict(row)) for row in rows]


def compare(present: Iterable[SiteEntry], wanted: Sequence[SiteEntry]) -> Difference:
    """What it would take to bring the register to ``wanted``. Pure."""
    known = {entry.id: entry for entry in present}
    added = tuple(entry for entry in wanted if entry.id not in known)
    differing = ((entry, _differing(known[entry.id], entry)) for entry in wanted if entry.id in known)
    changed = tuple(Change(entry, fields) for entry, fields in differing if fields)
    listed = {entry.id for entry in wanted}
    absent = tuple(sorted(set(known) - listed))
    return Difference(added, changed, len(wanted) - len(added) - len(changed), absent)


def apply(connection: Connection, difference: Difference, now_ms: int) -> None:
    """Add and change sites."""
    if difference.added:
        stamps = {"area": "", "added_ms": now_ms, "changed_ms": now_ms}
        connection.execute(insert(sites), [_to_row(entry) | stamps for entry in difference.added])
    if difference.changed:
        fields = [name for name in _FIELDS if name != "id"]
        statement = (
            update(sites)
            .where(sites.c.id == bindparam("b_id"))
            .values({name: bindparam(f"b_{name}") for name in fields} | {"changed_ms": now_ms})
        )
        rows = [{f"b_{name}": value for name, value in _to_row(change.entry).items()} for change in difference.changed]
        connection.execute(statement, rows)


def _differing(before: SiteEntry, after: SiteEntry) -> tuple[str, ...]:
    return tuple(name for name in _FIELDS if getattr(before, name) != getattr(after, name))


def _to_row(entry: SiteEntry) -> dict[str, str]:
    plain = {name: str(getattr(entry, name)) for name in _FIELDS if name != "contacts"}
    return plain | {"contacts": contacts.render(entry.contacts), "profile": entry.profile.value}


def _from_row(row: dict[Any, Any]) -> SiteEntry:
    plain = {name: row[name] for name in _FIELDS if name not in ("contacts", "profile")}
    return SiteEntry(**plain, contacts=contacts.parse(row["contacts"]), profile=Profile(row["profile"]))
