"""``sitekeeper-collector run | tail``: take in what the sites report; look at live messages."""

import argparse
import gc
import logging
import queue
import ssl
import sys
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from msgspec.structs import replace
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from sitekeeper_collector import tail
from sitekeeper_collector.broker import folder
from sitekeeper_collector.broker.mosquitto import TAIL, BrokerPlan
from sitekeeper_collector.cli_common import CliError, config_argument, load_settings, opened
from sitekeeper_collector.config import Settings
from sitekeeper_collector.registry import stored
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.topics import Leaf, check_id, subscription

_CONNECT_S = 20.0


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the commands' arguments."""
    run = commands.add_parser("run", help="take in what the sites report, until stopped")
    config_argument(run)
    run.set_defaults(handler=run_collector)
    look = commands.add_parser(
        "tail",
        help="show live messages",
        description="Show live messages as they pass the broker. It logs in as the user 'tail', never as the collector.",
    )
    config_argument(look)
    look.add_argument("--site", metavar="ID", help="of this site only")
    look.add_argument("--raw", action="store_true", help="the bytes in hexadecimal instead of what they say")
    look.add_argument("--count", type=int, metavar="N", help="end after N messages")
    look.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="password of the user 'tail' (default: tail.password beside the collector's password file)",
    )
    look.set_defaults(handler=run_tail)


def run_collector(args: argparse.Namespace) -> int:
    """Run until a signal says to stop, with a broker in this process if the configuration asks for one."""
    # The other commands need not wait for what only this one imports.
    from sitekeeper_collector import app

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    settings = load_settings(args.config)
    if settings.embedded.broker:
        settings, plan = _at_embedded(settings)
        with opened(settings) as store, store.read() as connection:
            sites = [site.id for site in stored.all_sites(connection)]
        folder.write(plan, sites)
    # A report is a thousand small lists that are gone a moment later, and none of them lies in a cycle. At the usual thresholds
    # (700, 10, 10) the search for cycles takes a fifth of the time of ingest.
    gc.set_threshold(10_000, 20, 50)
    app.run(settings)
    return 0


def _at_embedded(settings: Settings) -> tuple[Settings, BrokerPlan]:
    """The settings with the embedded broker as the broker, and that broker's folder."""
    here = Path(settings.embedded.folder)
    plan = BrokerPlan(here, here / "data", collector=settings.broker.username, plain_port=settings.embedded.port)
    broker = replace(
        settings.broker,
        host="127.0.0.1",
        port=settings.embedded.port,
        tls=None,
        password_file=str(folder.collector_password_file(here)),
    )
    return replace(settings, broker=broker), plan


def run_tail(args: argparse.Namespace) -> int:
    """Print messages until interrupted."""
    settings = load_settings(args.config)
    if settings.embedded.broker:
        settings, _ = _at_embedded(settings)
    try:
        site = "+" if args.site is None else check_id(args.site)
    except ProtocolError as err:
        raise CliError(err.detail) from None
    filters = [subscription(leaf, area).replace(f"/+/{leaf}", f"/{site}/{leaf}") for area in settings.areas for leaf in Leaf]
    follower = _Follower(settings, _tail_password(settings, args.password_file), filters)
    follower.connect()
    colour = sys.stdout.isatty()
    left = args.count
    try:
        while left is None or left > 0:
            message, received_ms = follower.next()
            retained = bool(message.retain)
            if args.raw:
                text = tail.raw_line(message.topic, bytes(message.payload), retained=retained, received_ms=received_ms)
            else:
                text = tail.line(
                    message.topic, bytes(message.payload), retained=retained, received_ms=received_ms, colour=colour
                )
            print(text, flush=True)
            left = None if left is None else left - 1
    finally:
        follower.close()
    return 0


def _tail_password(settings: Settings, file: Path | None) -> str | None:
    collector_file = settings.broker.password_file
    if file is None:
        if collector_file is None:
            return None
        file = folder.tail_password_file(Path(collector_file).parent)
    password = folder.read_password(file)
    if password is None:
        raise CliError(
            f"{file}: there is no password for the user 'tail'; `sitekeeper-collector broker config` makes one "
            "(tail can't use the collector's: the broker would end the collector's connection)"
        )
    return password


class _Follower:
    """A connection to the broker that only listens."""

    def __init__(self, settings: Settings, password: str | None, filters: list[str]) -> None:
        self._where = f"{settings.broker.host}:{settings.broker.port}"
        self._host, self._port = settings.broker.host, settings.broker.port
        self._filters = filters
        self._news: queue.Queue[tuple[mqtt.MQTTMessage, int] | str] = queue.Queue()
        self._answer: queue.Queue[str] = queue.Queue()
        # A second connection of the same user ends this one; coming back by itself would end that one in turn.
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=TAIL, reconnect_on_failure=False)
        self._client.username_pw_set(TAIL, password)
        context = _tls_context(settings)
        if context is not None:
            self._client.tls_set_context(context)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = lambda _client, _data, message: self._news.put((message, int(time.time() * 1000)))

    def connect(self) -> None:
        """Connect and subscribe. Raises ``CliError``."""
        try:
            self._client.connect(self._host, self._port)
        except (OSError, ValueError) as err:
            raise CliError(f"the broker at {self._where} can't be reached: {err}") from err
        self._client.loop_start()
        try:
            answer = self._answer.get(timeout=_CONNECT_S)
        except queue.Empty:
            answer = "it does not answer"
        if answer:
            self.close()
            raise CliError(f"the broker at {self._where} did not let in the user 'tail': {answer}")

    def next(self) -> tuple[mqtt.MQTTMessage, int]:
        """The next message and when it came. Raises ``CliError`` when the connection ends."""
        news = self._news.get()
        if isinstance(news, str):
            raise CliError(f"the broker at {self._where} ended the connection ({news}); is another tail running?")
        return news

    def close(self) -> None:
        """End the connection."""
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object) -> None:
        if reason.is_failure:
            self._answer.put(str(reason))
            return
        client.subscribe([(name, 0) for name in self._filters])
        self._answer.put("")

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._answer.put(str(reason))
        self._news.put(str(reason))


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    tls = settings.broker.encryption
    return None if tls is None else ssl.create_default_context(cafile=tls.ca_file)
