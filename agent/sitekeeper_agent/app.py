"""The agent as a daemon: wires everything, and turns what happens into the next step, in one thread.

Probes and connections have threads of their own and post events; only this thread touches spool, sampler and courier.
"""

import errno
import logging
import os
import queue
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sitekeeper_agent import clock, notify_service, platform, sitepage, statusfile, uplink
from sitekeeper_agent.config import Settings
from sitekeeper_agent.courier import Courier, Plan, covered_by
from sitekeeper_agent.journal import Now, Run, goodbye_event, new_run
from sitekeeper_agent.lookback import look_back
from sitekeeper_agent.probes.runner import ProbeRunner
from sitekeeper_agent.remote.afar import Afar
from sitekeeper_agent.remote.commands import Commands, Finished
from sitekeeper_agent.remote.keeper import Keeper
from sitekeeper_agent.remote.loglines import LogLines
from sitekeeper_agent.reporting import Sender, build, oldest_held
from sitekeeper_agent.sampler import Link, Look, Order, Sampler
from sitekeeper_agent.spool import Limits, Spool
from sitekeeper_agent.standing import Standing
from sitekeeper_protocol import WIRE_VERSION, codec
from sitekeeper_protocol.errors import ProtocolError
from sitekeeper_protocol.messages import Event, Presence, Receipt, Sample, SeriesKey, Status
from sitekeeper_protocol.topics import Leaf
from sitekeeper_protocol.vocabulary import Reason

if TYPE_CHECKING:
    from sitekeeper_agent.probes.players.watching import Players

_log = logging.getLogger("sitekeeper.agent")

PUBACK_MS = 20_000
CONNECT_MS = 60_000
"""An attempt that has come to nothing by then is given up, whatever it hangs on."""
STABLE_MS = 60_000
GOODBYE_S = 3.0
HURRY_MS = 15_000
_HOUSEKEEPING_MS = 600_000
_BACKOFF_MOST_S = 300.0


_TAKES_NOTHING = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)


class AlreadyRunning(Exception):
    """Another agent uses the same state folder."""


class _Measured(NamedTuple):
    look: Look | None
    error: str


class _Stop(NamedTuple):
    signal: int


class _Noticed(NamedTuple):
    """A player has failed."""


_Happening = uplink.Event | sitepage.Asked | _Measured | _Stop | _Noticed | Finished


def read_clocks() -> Now:
    """The machine's three clocks, read one after the other."""
    return Now(platform.wall_ms(), platform.boottime_ms(), platform.awake_ms())


def backoff_s(failures: int, chance: float) -> float:
    """How long to wait before the next attempt: doubling to five minutes, with ``chance`` (0 to 1) spreading the sites."""
    return float(min(_BACKOFF_MOST_S, 2.0 ** min(failures, 9)) * (0.5 + chance / 2))


def run(settings: Settings, password: str | None) -> int:
    """Run until SIGTERM or SIGINT; the exit code. Raises ``AlreadyRunning``, and ``OSError`` for a hopeless state folder."""
    state = Path(settings.state_dir)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(sole_user(state))
        lines = LogLines((password or "",))
        logging.getLogger().addHandler(lines)
        stack.callback(logging.getLogger().removeHandler, lines)
        keeper = Keeper(state, settings)
        settings = keeper.settings
        spool = Spool(state, limits_of(settings), stamp=stamp)
        stack.callback(spool.close)
        happenings: queue.SimpleQueue[_Happening] = queue.SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.signal(number, lambda got, _frame: happenings.put(_Stop(got)))
            stack.callback(signal.signal, number, before)
        runner = ProbeRunner(timeout_s=settings.probe_timeout_s)
        stack.callback(runner.close)
        board = sitepage.Board()
        players = _watched(settings, happenings)
        if players is not None:
            stack.callback(players.close)
        afar = Afar(keeper, Commands(spool, post=happenings.put, log_lines=lines.tail))
        agent = Agent(settings, password, spool, happenings, Measurer(runner, happenings), board, afar, players)
        door = sitepage.open_door(settings, board, happenings.put)
        if door is not None:
            stack.callback(door.close)
            agent.followers.append(door.follow)
        agent.live(notify_service.here())
        return 0


def limits_of(settings: Settings) -> Limits:
    """What the spool may hold."""
    limits = settings.spool
    return Limits(limits.max_mib * 1048576, limits.max_days * 86_400_000, limits.keep_receipted_days * 86_400_000)


def stamp() -> str:
    """A name for a file of now."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


@contextmanager
def sole_user(state: Path) -> Iterator[None]:
    """Hold the state folder's lock; the system frees it however the process ends."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context((state / "lock").open("a+b"))
        except OSError as err:
            if err.errno not in _TAKES_NOTHING:
                raise
            # A disk that takes nothing must not keep the agent from measuring and reporting.
            _log.warning("%s takes no lock file (%s): nothing keeps a second agent away", state, err.strerror)
            yield
            return
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunning(
                f"another agent is running on {state}; stop it, or give this one a state_dir of its own"
            ) from None
        yield


def _watched(settings: Settings, happenings: "queue.SimpleQueue[_Happening]") -> "Players | None":
    """The players of the site; what watches them is loaded only where there are any."""
    if not settings.players:
        return None
    from sitekeeper_agent.probes.players.watching import Players

    return Players(settings.players, lambda: happenings.put(_Noticed()))


class Measurer:
    """One thread that carries out orders, one at a time."""

    def __init__(self, runner: ProbeRunner, happenings: "queue.SimpleQueue[_Happening]") -> None:
        self._runner, self._happenings = runner, happenings
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="measurer", daemon=True).start()

    def follow(self, settings: Settings) -> None:
        """Probes have so much time from the next look on."""
        self._runner.timeout_s = settings.probe_timeout_s

    def start(self, order: Order) -> None:
        """Carry out an order; its look is posted."""
        self._orders.put(order)

    def _work(self) -> None:
        while True:
            order = self._orders.get()
            try:
                done = _Measured(order.carry_out(self._runner), "")
            except Exception as err:  # noqa: BLE001 - a measurement that fails costs one sample's values, not the agent
                done = _Measured(None, f"{type(err).__name__}: {err}"[:200])
            self._happenings.put(done)


def _live_samples(settings: Settings) -> int:
    """As many samples as an interval of reports holds."""
    return max(1, -(-round(settings.report_interval_s * 1000) // round(settings.sample_interval_s * 1000)))


class Agent:
    """One life of the agent."""

    def __init__(
        self,
        settings: Settings,
        password: str | None,
        spool: Spool,
        happenings: "queue.SimpleQueue[_Happening]",
        measurer: Measurer,
        board: sitepage.Board,
        afar: Afar,
        players: "Players | None" = None,
    ) -> None:
        self._settings, self._password, self._spool = settings, password, spool
        self._happenings, self._measurer, self._players = happenings, measurer, players
        self._afar = afar
        self.followers: list[Callable[[Settings], None]] = [measurer.follow]
        """Who else must know when settings change while the agent runs."""
        now = read_clocks()
        self._boot, self._run = platform.boot_id(), new_run()
        past = look_back(spool, self._boot)
        self._events: list[Event] = list(past.events)
        spool.begin_run(Run(self._run, self._boot, now.wall_ms, now.boottime_ms, now.wall_ms, now.boottime_ms))
        self._sampler = Sampler(settings, spool, boot=self._boot, now=read_clocks, facts=past.facts)
        self._courier = Courier(
            self._run,
            interval_ms=round(settings.report_interval_s * 1000),
            live_samples=_live_samples(settings),
            pause_ms=lambda: round(random.uniform(settings.backlog.pause_min_s, settings.backlog.pause_max_s) * 1000),  # noqa: S311
        )
        self._oldest: dict[int, int] = {}
        self._link: uplink.Uplink | None = None
        self._up = False
        self._up_ms = 0
        """When the connection came up, or its attempt began."""
        self._older = False
        """Whether the older MQTT is tried because the newer came to nothing; kept as long as it works."""
        self._failures = 0
        self._down_reason = Reason.NONE
        """Why the last connection ended; NONE before there was one."""
        self._connect_ms = now.boottime_ms
        self._waiting: dict[int, tuple[int, int]] = {}
        """Packet id to (report number or 0, time of sending)."""
        self._number = 0
        self._measuring = False
        self._sample_ms = now.boottime_ms
        self._hurry_ms = now.boottime_ms
        """A failed player may call for a sample of its own from then on."""
        self._housekeeping_ms = now.boottime_ms
        self._trouble = ""
        self._status = statusfile.StatusFile(Path(settings.state_dir), settings, self._run, self._boot)
        self._standing = Standing()
        self._desk = sitepage.Desk(board, spool, site=settings.site, run=self._run, wall_ms=now.wall_ms)
        self._stopping: int | None = None
        self._restock()

    # --- the loop ------------------------------------------------------------------------------------------------------

    def live(self, manager: notify_service.ServiceManager) -> None:
        """Go on until told to stop, then say goodbye."""
        _log.info("agent of %s runs as %016x", self._settings.site, self._run)
        manager.ready()
        while self._stopping is None:
            now = read_clocks()
            manager.alive(now.boottime_ms)
            manager.told(self._trouble or ("connected" if self._up else "connecting"))
            self._keep_house(now)
            self._keep_settings(now)
            self._keep_sampling(now)
            self._keep_connected(now)
            self._keep_sending(now)
            try:
                happening = self._happenings.get(timeout=self._idle_s(manager.due_ms(now.boottime_ms)))
            except queue.Empty:
                continue
            self._handle(happening)
        manager.stopping()
        self._goodbye()

    def _idle_s(self, beat_due_ms: int | None) -> float:
        now = read_clocks()
        now_ms = now.boottime_ms
        dues = [self._courier.wake_ms(now_ms), self._housekeeping_ms - now_ms]
        if (trial_ms := self._afar.keeper.due_ms(now)) is not None:
            dues.append(trial_ms)
        if not self._measuring:
            dues.append(self._sample_ms - now_ms)
        if self._link is None:
            dues.append(self._connect_ms - now_ms)
        if beat_due_ms is not None:
            dues.append(beat_due_ms)
        dues.extend(sent_ms + PUBACK_MS - now_ms for _, sent_ms in self._waiting.values())
        return max(0.01, min(dues) / 1000)

    def _handle(self, happening: _Happening) -> None:
        if isinstance(happening, _Stop):
            self._stopping = happening.signal
        elif isinstance(happening, _Measured):
            self._measured(happening)
        elif isinstance(happening, _Noticed):
            self._hurry(read_clocks().boottime_ms)
        elif isinstance(happening, Finished):
            now = read_clocks()
            self._afar.commands.finished(happening, self._settings, now, self._server_ms(now))
        elif isinstance(happening, sitepage.CheckAsked):
            if self._desk.wants_look(happening):
                self._sample_ms = read_clocks().boottime_ms
        elif isinstance(happening, sitepage.RepairAsked):
            self._ask_for_repair()
        elif self._link is None or happening.connection != self._link.connection:
            return  # a word from a connection that is given up
        elif isinstance(happening, uplink.Up):
            self._came_up()
        elif isinstance(happening, uplink.Down):
            self._went_down(happening)
        elif isinstance(happening, uplink.Acknowledged):
            number, _ = self._waiting.pop(happening.mid, (0, 0))
            self._afar.acknowledged(happening.mid)
            if number:
                self._courier.acknowledged(number, read_clocks().boottime_ms)
        else:
            self._received(happening)

    def _keep_settings(self, now: Now) -> None:
        """Go back to what was good where nothing has confirmed what is on trial."""
        if self._afar.keeper.tick(now):
            self._follow(now)

    def _follow(self, now: Now) -> None:
        """The settings in use have changed: use them from here on, and have it confirmed at once."""
        before, settings = self._settings, self._afar.keeper.settings
        self._settings = settings
        self._sampler.follow(settings)
        self._status.follow(settings)
        for follow in self.followers:
            follow(settings)
        self._courier.pace(
            interval_ms=round(settings.report_interval_s * 1000), live_samples=_live_samples(settings), now_ms=now.boottime_ms
        )
        self._sample_ms = now.boottime_ms
        if settings.broker != before.broker:
            self._failures, self._connect_ms = 0, now.boottime_ms
            self._move(now)

    def _move(self, now: Now) -> None:
        """Leave this broker in order; ``Down`` follows, and then the connection to the other."""
        link = self._link
        if link is None:
            return
        if self._up:
            self._tell_news(now)
            self._publish(Leaf.STATUS, self._presence(Presence.STOPPING, link.connection, "restart"), retain=True)
        link.close("moving to another broker")

    def _server_ms(self, now: Now) -> int | None:
        known = self._spool.clock(self._boot)
        return None if known is None else known.server_ms(now.boottime_ms)

    def _keep_house(self, now: Now) -> None:
        if self._spool.take_changed():
            self._restock()
        if now.boottime_ms >= self._housekeeping_ms:
            self._housekeeping_ms = now.boottime_ms + _HOUSEKEEPING_MS
            self._spool.evict_old(self._boot, now.boottime_ms)

    def _restock(self) -> None:
        inventory = self._spool.inventory()
        stock = []
        for holding in inventory:
            receipted = holding.held.copy()
            for spans in (holding.pending, holding.refused):
                for first, last in spans:
                    receipted.discard(first, last)
            stock.append((holding.run, holding.pending, receipted))
        self._courier.stock(stock)
        self._oldest = oldest_held(inventory, self._spool.drops())

    # --- samples -------------------------------------------------------------------------------------------------------

    def _keep_sampling(self, now: Now) -> None:
        if self._measuring or now.boottime_ms < self._sample_ms:
            return
        step_ms = round(self._settings.sample_interval_s * 1000)
        self._sample_ms = max(self._sample_ms + step_ms, now.boottime_ms + step_ms // 2)
        self._measuring = True
        self._desk.look_began()
        self._afar.commands.look_began()
        self._sampler.told(self._link_now())
        self._measurer.start(self._sampler.order())

    def _hurry(self, now_ms: int) -> None:
        """A failure is measured and told at once, but not one after the other."""
        due_ms = max(now_ms, self._hurry_ms)
        if due_ms < self._sample_ms:
            self._sample_ms, self._hurry_ms = due_ms, due_ms + HURRY_MS

    def _taken(self) -> tuple[list[Event], dict[SeriesKey, int]]:
        """Events that wait for a sample, and what players add to it."""
        events, self._events = self._events, []
        if self._players is None:
            return events, {}
        values, played = self._players.take()
        return [*events, *played], values

    def _link_now(self) -> Link:
        return Link(self._up, Reason.NONE if self._up else self._down_reason, self._courier.catching_up)

    def _measured(self, measured: _Measured) -> None:
        self._sampler.told(self._link_now())
        self._measuring = False
        now = read_clocks()
        events, played = self._taken()
        more = {**played, **self._afar.commands.values(self._settings, now, self._server_ms(now))}
        if measured.look is None:
            self._note(f"measuring failed: {measured.error}")
            sample = self._sampler.without_measurement(events, more)
        else:
            sample = self._sampler.finish(measured.look, events, more)
            self._standing = self._standing.judged(measured.look.verdict, sample.boottime_ms)
        self._desk.look_ended(measured.look, sample.boottime_ms)
        self._afar.looked(measured.look, measured.error, now)
        busy = self._courier.catching_up or not self._up
        self._afar.commands.keep(self._settings, self._sampler.context, now, self._server_ms(now), busy=busy)
        self._keep(sample)

    def _ask_for_repair(self) -> None:
        """On disk at once, before anybody is told so: the line may be down, or the plug be pulled."""
        pressed = self._desk.pressed(read_clocks().boottime_ms)
        sample = self._sampler.without_measurement([*self._events, pressed])
        self._events = []
        self._courier.ask_for_receipt()
        self._keep(sample)
        self._desk.asked_by(sample)

    def _keep(self, sample: Sample) -> None:
        self._spool.append(sample)
        self._courier.took(sample.sequence, urgent=bool(sample.events), now_ms=sample.boottime_ms)
        self._oldest.setdefault(self._run, sample.sequence)
        self._desk.took(sample)
        self._afar.took(sample)
        self._tell()

    def _tell(self) -> None:
        spool = self._spool.stats()
        self._desk.tell(connected=self._up, writable=spool.writable, stood=self._standing, measuring=self._measuring)
        self._status.write(
            connected=self._up,
            trouble=self._trouble,
            held=self._courier.held,
            unconfirmed=self._courier.unconfirmed,
            spool=spool,
            standing=self._standing,
            day=self._sampler.day,
        )

    # --- the connection ------------------------------------------------------------------------------------------------

    def _keep_connected(self, now: Now) -> None:
        if self._link is None:
            if now.boottime_ms >= self._connect_ms:
                self._connect(now)
            return
        if not self._up and now.boottime_ms - self._up_ms > CONNECT_MS:
            self._link.abandon("the attempt took too long")
            self._went_down(uplink.Down(self._link.connection, "the broker does not answer"))
        elif any(now.boottime_ms - sent_ms > PUBACK_MS for _, sent_ms in self._waiting.values()):
            self._link.abandon(f"no acknowledgement for {PUBACK_MS // 1000} s")
            self._went_down(uplink.Down(self._link.connection, "no acknowledgement from the broker"))

    def _connect(self, now: Now) -> None:
        connection = self._spool.number("connection") + 1
        self._spool.set_number("connection", connection)
        interval_s = self._settings.report_interval_s
        self._up_ms = now.boottime_ms
        self._link = uplink.Uplink(
            self._settings,
            connection=connection,
            newest_mqtt=not self._older and self._spool.meta("mqtt") != b"3",
            password=self._password,
            will=self._presence(Presence.LOST, connection),
            # Longer than the interval: a report in time makes the ping unnecessary.
            keepalive_s=max(10, min(65_000, round(interval_s * 1.2))),
            wall_ms=now.wall_ms,
            post=self._happenings.put,
        )
        self._link.start()

    def _presence(self, presence: Presence, connection: int, reason: str = "") -> bytes:
        now = read_clocks()
        return codec.encode(Status(WIRE_VERSION, presence, self._run, connection, reason, now.wall_ms))

    def _came_up(self) -> None:
        assert self._link is not None
        now = read_clocks()
        self._up, self._up_ms = True, now.boottime_ms
        self._note("")
        _log.info("connected to %s", self._settings.broker.host)
        self._publish(Leaf.STATUS, self._presence(Presence.ONLINE, self._link.connection), retain=True)
        self._courier.connected(now.boottime_ms)
        self._tell()

    def _went_down(self, down: uplink.Down) -> None:
        now_ms = read_clocks().boottime_ms
        if self._up and now_ms - self._up_ms >= STABLE_MS:
            self._failures = 0
        delay_s = backoff_s(self._failures, random.random())  # noqa: S311
        self._failures += 1
        self._older = down.try_older or (self._older and self._up)
        if down.says_so:
            self._spool.set_meta("mqtt", b"3")
        if down.try_older:
            delay_s = min(delay_s, 1.0)
        self._link, self._up = None, False
        self._waiting.clear()
        self._afar.disconnected()
        self._down_reason = down.reason
        self._connect_ms = now_ms + round(delay_s * 1000)
        self._courier.disconnected()
        self._note(f"not connected: {down.why}")
        self._tell()

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            _log.warning("%s", trouble)
        self._trouble = trouble

    # --- reports -------------------------------------------------------------------------------------------------------

    def _tell_news(self, now: Now) -> None:
        """What has become of settings and commands."""
        if self._up:
            for news in self._afar.news(now):
                self._afar.published(self._publish(Leaf.RESULT, codec.encode(news.result)), news)

    def _keep_sending(self, now: Now) -> None:
        self._tell_news(now)
        while self._up and (plan := self._courier.next(now.boottime_ms)) is not None:
            if not self._send(plan):
                return

    def _send(self, plan: Plan) -> bool:
        assert self._link is not None
        sender = Sender(
            site_check=codec.site_check(self._settings.site),
            boot=self._boot,
            connection=self._link.connection,
            next_within_s=round(self._settings.report_interval_s + self._settings.sample_interval_s + 30),
            config_revision=self._afar.keeper.revision,
        )
        now = read_clocks()
        built = build(
            self._spool, plan, sender, number=self._number + 1, oldest=self._oldest.get(plan.run, plan.first), now=now
        )
        if built is None:
            if self._spool.take_changed():
                self._restock()
                return True
            return False  # the disk can't be read now
        self._number += 1
        self._publish(Leaf.REPORT, built[1], number=self._number)
        self._courier.sent(self._number, built[0], now.boottime_ms)
        return True

    def _publish(self, leaf: Leaf, payload: bytes, *, retain: bool = False, number: int = 0) -> int:
        assert self._link is not None
        mid = self._link.publish(leaf, payload, retain=retain)
        self._waiting[mid] = (number, read_clocks().boottime_ms)
        return mid

    # --- what comes in -------------------------------------------------------------------------------------------------

    def _received(self, message: uplink.Received) -> None:
        try:
            if message.leaf is Leaf.RECEIPT:
                self._receipt(codec.decode_receipt(message.payload))
            elif message.leaf is Leaf.COMMAND:
                self._command(message.payload)
            elif message.leaf is Leaf.CONFIG and self._afar.config(message.payload, number=self._number):
                self._follow(read_clocks())
        except ProtocolError as err:
            _log.warning("a %s that can't be read: %s", message.leaf, err)

    def _command(self, payload: bytes) -> None:
        now = read_clocks()
        if self._afar.command(payload, self._sampler.context, now, self._server_ms(now)):
            # What runs now began before anybody asked: another look follows it.
            self._sample_ms = now.boottime_ms

    def _receipt(self, receipt: Receipt) -> None:
        now = read_clocks()
        fault = self._link.certificate_fault(receipt.server_time_ms) if self._link else None
        if self._link is not None and fault:
            self._link.close(fault)
            return
        known = self._spool.number("epoch")
        settled = self._courier.receipt(receipt, same_epoch=known in (0, receipt.epoch), now_ms=now.boottime_ms)
        self._spool.set_number("epoch", receipt.epoch)
        self._failures = 0
        if settled.answers is not None:
            self._learn_time(receipt.server_time_ms, settled.answers.sent_ms, now.boottime_ms)
            self._afar.keeper.answered(settled.answers.number)
        if settled.went_back:
            _log.warning("the store has lost what it had confirmed; what is held and not listed now goes again")
            self._spool.unmark_all()
            self._restock()
            # What this very receipt lists is safe all the same.
            again = self._courier.receipt(receipt, same_epoch=True, now_ms=now.boottime_ms)
            settled = settled._replace(marks=again.marks)
        for run, spans in settled.marks:
            self._spool.mark(run, spans, max(1, receipt.server_time_ms))
        for run, spans in settled.refused:
            self._spool.mark(run, spans, -max(1, receipt.server_time_ms))
        self._settle_drops(receipt)
        self._standing = self._standing.receipted(receipt.tickets)
        self._status.receipted(receipt, now.wall_ms)
        self._desk.receipted(receipt)
        self._tell()

    def _learn_time(self, server_ms: int, sent_ms: int, received_ms: int) -> None:
        measured = clock.measure(server_ms, sent_ms, received_ms)
        if measured is not None:
            known = self._spool.clock(self._boot)
            best = clock.better(known, measured)
            if best != known:
                self._spool.set_clock(self._boot, best)

    def _settle_drops(self, receipt: Receipt) -> None:
        covered = {told.run: covered_by(told) for told in receipt.runs}
        for drop in self._spool.drops():
            if drop.run in covered and covered[drop.run].covers(drop.first, drop.last):
                self._spool.settle_drop(drop)

    # --- the end -------------------------------------------------------------------------------------------------------

    def _goodbye(self) -> None:
        """A last sample on disk, then on the line as far as the grace allows."""
        reason = "restart" if self._stopping == signal.SIGINT else platform.system_going_down().value
        now = read_clocks()
        events, more = self._taken()
        self._keep(self._sampler.without_measurement([*events, goodbye_event(self._run, reason, now)], more))
        self._spool.end_run(reason, now.wall_ms, now.boottime_ms)
        _log.info("stopping (%s)", reason)
        link = self._link
        if link is None:
            return
        if self._up:
            self._keep_sending(read_clocks())
            self._publish(Leaf.STATUS, self._presence(Presence.STOPPING, link.connection, reason), retain=True)
            self._wait_for_acknowledgements(time.monotonic() + GOODBYE_S)
        link.close("goodbye")
        link.wait_closed(1.0)

    def _wait_for_acknowledgements(self, until: float) -> None:
        while self._waiting and self._up and time.monotonic() < until:
            try:
                self._handle(self._happenings.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                return
