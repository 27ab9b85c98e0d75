"""The collector as a process: wires store, pipeline and transport, and moves batches from one to the other."""

import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sitekeeper_collector import rules_file
from sitekeeper_collector.blindness import Sight
from sitekeeper_collector.config import Settings, password
from sitekeeper_collector.domain.rules import Rules
from sitekeeper_collector.ingest.messages import Inbound, Outbound
from sitekeeper_collector.ingest.pipeline import Ingest
from sitekeeper_collector.ingest.transport import Transport, echo_topic
from sitekeeper_collector.notify.postman import Postman
from sitekeeper_collector.notify.smtp import Encryption, SmtpSettings
from sitekeeper_collector.remote.post import Post
from sitekeeper_collector.series.health import Work
from sitekeeper_collector.series.sampling import Sampling
from sitekeeper_collector.store import sight as stored_sight
from sitekeeper_collector.store.engine import Store, open_store
from sitekeeper_collector.store.errors import StoreUnavailable
from sitekeeper_collector.watch.desk import Desk
from sitekeeper_collector.watch.engine import Watch

if TYPE_CHECKING:
    from sitekeeper_collector.embedded.mail_catcher import MailCatcher

_log = logging.getLogger("sitekeeper.collector")
_RETRY_S, _RETRY_MOST_S = 0.2, 10.0
_PATIENCE_S = 0.5


def wall_ms() -> int:
    """Unix time by this machine, in ms."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """A clock that nobody sets and that goes on in a suspend."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def run(settings: Settings, stopping: threading.Event | None = None) -> int:
    """Run until SIGTERM or SIGINT, or until ``stopping`` is set by whoever started this in a thread; the exit code.

    Raises ``StoreError``, ``StoreUnavailable`` or ``SettingsError`` for what makes a start hopeless.
    """
    with ExitStack() as stack:
        if stopping is None:
            stopping = threading.Event()
            told = stopping
            for number in (signal.SIGTERM, signal.SIGINT):
                before = signal.signal(number, lambda _number, _frame: told.set())
                stack.callback(signal.signal, number, before)
        settings = _with_embedded_broker(settings, stack)
        secret = password(settings.broker)
        store = open_store(settings.database)
        stack.callback(store.close)
        with store.read() as connection:
            last_seen_ms = stored_sight.last_seen(connection)
        sight = Sight(interval_s=settings.blindness.interval_s, limit_s=settings.blindness.limit_s, last_seen_ms=last_seen_ms)
        rules = rules_file.load(Path(settings.watch.rules_file) if settings.watch.rules_file else None)
        desk = Desk(settings.mail, settings.utc_offset_min)
        sampling, work = Sampling() if settings.series.flavour != "none" else None, Work()
        ingest = Ingest(
            store,
            wall_ms=wall_ms,
            steady_ms=steady_ms,
            receipt_interval_s=settings.receipt_interval_s,
            echo_topic=echo_topic(settings.broker.username),
            sight=sight,
            watch=Watch(rules, desk, utc_offset_min=settings.utc_offset_min),
            series=sampling,
            work=work,
        )
        _write_series(settings, store, rules, work, stack)
        catcher = _catch_mail(settings, stack)
        _send_mail(settings, store, catcher, stack)
        _serve_console(settings, store, desk, rules, catcher, stack)
        transport = Transport(settings, secret, wall_ms=wall_ms, on_lost=sight.disconnected)
        stack.callback(transport.close)
        _log.info("the collector runs on %s", store.engine.url.render_as_string(hide_password=True))
        _carry(settings, ingest, transport, sight, Post(store, settings.areas), stopping)
    _log.info("the collector has stopped")
    return 0


def _with_embedded_broker(settings: Settings, stack: ExitStack) -> Settings:
    """Start the broker that the settings ask for, if any; the settings that lead to it."""
    if not settings.embedded.broker:
        return settings
    # amqtt brings asyncio and a web stack with it: only for those who want it.
    from sitekeeper_collector.embedded.broker import HOST, EmbeddedBroker

    embedded = EmbeddedBroker(Path(settings.embedded.folder), collector=settings.broker.username, port=settings.embedded.port)
    embedded.start()
    stack.callback(embedded.stop)
    return replace(settings, broker=replace(settings.broker, host=HOST, port=embedded.port, tls=None))


def _catch_mail(settings: Settings, stack: ExitStack) -> "MailCatcher | None":
    if not settings.embedded.mail_catcher:
        return None
    # aiosmtpd brings asyncio with it: only for those who want it.
    from sitekeeper_collector.embedded.mail_catcher import MailCatcher

    catcher = MailCatcher()
    catcher.start()
    stack.callback(catcher.stop)
    return catcher


def _send_mail(settings: Settings, store: Store, catcher: "MailCatcher | None", stack: ExitStack) -> None:
    mail = settings.mail
    if catcher is not None:
        mail = replace(mail, smtp=SmtpSettings(host="127.0.0.1", port=catcher.port, encryption=Encryption.NONE))
    if mail.smtp is None:
        if mail.recipients:
            _log.warning("mail.smtp is not set: mails are noted, and sent once it is")
        return
    postman = Postman(store, mail, wall_ms=wall_ms, utc_offset_min=settings.utc_offset_min)
    postman.start()
    stack.callback(postman.stop)


def _write_series(settings: Settings, store: Store, rules: Rules, work: Work, stack: ExitStack) -> None:
    if settings.series.flavour == "none":
        return
    # influxdb-client takes 22 MB of memory: only for those who have a store.
    from sitekeeper_collector.series.wiring import service_of

    series = service_of(settings, store, work, gap_ms=rules.evidence_gap_s * 1000, wall_ms=wall_ms)
    series.start()
    stack.callback(series.stop)


def _serve_console(
    settings: Settings, store: Store, desk: Desk, rules: Rules, catcher: "MailCatcher | None", stack: ExitStack
) -> None:
    if not settings.console.enabled:
        return
    # A web stack takes a while to import: only for those who want one.
    from sitekeeper_collector.web.server import ConsoleError, ConsoleServer

    console = ConsoleServer(
        store,
        host=settings.console.host,
        port=settings.console.port,
        wall_ms=wall_ms,
        blind_after_s=settings.blindness.limit_s,
        https=settings.console.https,
        desk=desk,
        rules=rules,
        utc_offset_min=settings.utc_offset_min,
        catcher=catcher,
    )
    try:
        console.start()
    except ConsoleError as err:
        # Samples are worth more than pages: they go on being stored.
        _log.error("no console: %s", err)
        return
    stack.callback(console.stop)
    _log.info("the console is at %s", console.address)
    if console.first_password is not None:
        # Told once, to whoever starts it, and to no log.
        print(console.welcome(), file=sys.stderr, flush=True)  # noqa: T201


def _carry(
    settings: Settings, ingest: Ingest, transport: Transport, sight: Sight, post: Post, stopping: threading.Event
) -> None:
    topic = echo_topic(settings.broker.username)
    every_ms, looked_ms = round(settings.watch.interval_s * 1000), steady_ms()
    while not stopping.is_set():
        if steady_ms() - looked_ms >= every_ms:
            looked_ms = steady_ms()
            ingest.tick()
        if transport.subscribed.is_set():
            echo = sight.echo_due(steady_ms())
            if echo is not None:
                transport.publish([Outbound(topic, echo)])
            transport.publish(post.due(wall_ms()), qos=1)
        delivered = transport.batch(settings.batch.max_reports, settings.batch.max_wait_ms / 1000, _PATIENCE_S)
        if not delivered:
            continue
        answers = _persist(ingest, [item.message for item in delivered], transport, stopping)
        if answers is not None:
            transport.acknowledge(delivered)
            transport.publish(answers)


def _persist(
    ingest: Ingest, batch: Sequence[Inbound], transport: Transport, stopping: threading.Event
) -> list[Outbound] | None:
    """Give a batch to the store until it takes it; ``None`` if told to stop first, and then nothing is acknowledged."""
    delay_s, told = _RETRY_S, ""
    while True:
        try:
            answers = ingest.process(batch)
        except StoreUnavailable as err:
            if str(err) != told:
                _log.error("the database can't be used now; trying again until it can: %s", err)
                told = str(err)
            transport.tend(delay_s, stopping.is_set)
            if stopping.is_set():
                return None
            delay_s = min(2 * delay_s, _RETRY_MOST_S)
        else:
            if told:
                _log.info("the database takes data again")
            return answers
