"""Sends settings and commands to the sites that can hear them, as the tables ask for it."""

import logging
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection

from sitekeeper_collector.domain.remote import AGAIN_MS, CommandState, Contact, Step, command_step, config_due
from sitekeeper_collector.ingest.changes import OnChange
from sitekeeper_collector.ingest.messages import Outbound
from sitekeeper_collector.store import remote
from sitekeeper_collector.store.engine import Store
from sitekeeper_collector.store.errors import StoreUnavailable
from sitekeeper_collector.store.remote import Config, Request
from sitekeeper_protocol import WIRE_VERSION, codec, topics
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import Command, CommandName, RemoteConfig
from sitekeeper_protocol.topics import Leaf

EVERY_MS = 1000
_log = logging.getLogger("sitekeeper.remote")
_news = OnChange(_log)


class _Todo(NamedTuple):
    configs: list[tuple[Config, Contact]]
    requests: list[tuple[Request, Contact]]
    over: list[tuple[Request, CommandState, str]]


class Post:
    """Looks once a second at what is owed: two SELECTs by an index when it is nothing. ``areas`` are those of this process."""

    def __init__(self, store: Store, areas: Collection[str] = ("+",)) -> None:
        self._store, self._areas = store, frozenset(areas)
        self._looked_ms = self._compared_ms = -(2**53)

    def due(self, now_ms: int) -> list[Outbound]:
        """What is to be published now; it counts as sent. Never raises for a database that can't be used: later, then."""
        if 0 <= now_ms - self._looked_ms < EVERY_MS:
            return []
        self._looked_ms = now_ms
        try:
            with self._store.read() as connection:
                todo = self._todo(connection, now_ms)
            if not any(todo):
                return []
            with self._store.write() as connection:
                return self._note(connection, todo, now_ms)
        except StoreUnavailable as err:
            _news.say(logging.WARNING, "remote", f"the database can't be used now: {err}")
            return []

    def _todo(self, connection: Connection, now_ms: int) -> _Todo:
        # Those that were confirmed are compared seldom: only a disk that was put back makes an agent forget.
        compare = not 0 <= now_ms - self._compared_ms < AGAIN_MS
        if compare:
            self._compared_ms = now_ms
        wanted, asked = remote.unsettled(connection, applied=compare), remote.open_requests(connection)
        sites = {config.site for config in wanted} | {request.site for request in asked}
        known = remote.contacts(connection, sites) if sites else {}
        contacts = {site: contact for site, contact in known.items() if {"+", contact.area} & self._areas}
        configs = [
            (config, contact)
            for config in wanted
            if (contact := contacts.get(config.site))
            and config_due(config.state, config.revision, config.sent_ms, contact, now_ms)
        ]
        todo = _Todo(configs, [], [])
        for request in asked:
            contact = contacts.get(request.site)
            step = command_step(request.state, request.sent_ms, request.expires_ms, contact, now_ms)
            if step is Step.SEND and contact is not None:
                todo.requests.append((request, contact))
            elif step is Step.EXPIRE:
                todo.over.append((request, CommandState.EXPIRED, "the site did not answer in time"))
            elif step is Step.GIVE_UP:
                todo.over.append((request, CommandState.FAILED, "the site began, and no result came"))
        return todo

    def _note(self, connection: Connection, todo: _Todo, now_ms: int) -> list[Outbound]:
        messages: list[Outbound] = []
        for config, contact in todo.configs:
            payload = RemoteConfig(WIRE_VERSION, config.revision, config.issued_ms, config.settings)
            messages += _message(contact.area, config.site, Leaf.CONFIG, payload)
            remote.sent(connection, config.site, config.revision, now_ms)
        for request, contact in todo.requests:
            command = Command(
                WIRE_VERSION,
                request.id,
                CommandName(request.name),
                request.issued_ms,
                request.expires_ms,
                request.arguments,
            )
            messages += _message(contact.area, request.site, Leaf.COMMAND, command)
            remote.request_sent(connection, request.id, now_ms)
        for request, state, text in todo.over:
            remote.give_up(connection, request.id, state, text, now_ms)
        return messages


def _message(area: str, site: str, leaf: Leaf, message: RemoteConfig | Command) -> list[Outbound]:
    try:
        return [Outbound(topics.topic(area, site, leaf), codec.encode(message))]
    except ProtocolError as err:
        _log.error("a %s for %s can't be sent: %s", leaf, site, err)
        return []
