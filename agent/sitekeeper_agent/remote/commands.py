"""Commands of the county from their arrival to their result, told once the broker has it. Used by one thread, but for the work.

A result that the broker has not acknowledged goes again on the next connection; what became of the last commands is remembered,
so that one that comes twice is answered twice and run once, over a restart as well.
"""

import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

import msgspec

from sitekeeper_agent.config import Settings
from sitekeeper_agent.journal import Now
from sitekeeper_agent.probes.probe import Context
from sitekeeper_agent.remote import budget, orders
from sitekeeper_agent.remote.orders import Act
from sitekeeper_agent.spool import Spool
from sitekeeper_protocol import WIRE_VERSION
from sitekeeper_protocol.messages import Command, CommandName, Result, ResultState, Scalar, SeriesKey
from sitekeeper_protocol.vocabulary import Metric, to_wire

if TYPE_CHECKING:
    from sitekeeper_agent.remote.tasks import Done, Task

_SEEN, _MOST_SEEN = "commands", 32
_MEASURED = "speed_test_ms"
_UNASKED = ""
"""The id of what nobody has asked for, and nobody is told of: its rate goes with a sample."""
SPREAD_MS = 1_800_000
"""After a start, sites measure spread over this time: all PCs of a county are switched on for the same class."""
_PLAYING = (Metric.PLAYING.value, "")
_decode_seen = msgspec.msgpack.Decoder(list[str]).decode


class Finished(NamedTuple):
    """The work of a command is done."""

    command: Command
    done: "Done"


class Commands:
    """``post`` takes a ``Finished`` from the working thread; ``log_lines`` gives the agent's last lines of log."""

    def __init__(self, spool: Spool, *, post: Callable[[Finished], None], log_lines: Callable[[], str]) -> None:
        self._spool, self._post, self._log_lines = spool, post, log_lines
        self._results: dict[str, Result | None] = dict.fromkeys(_seen(spool.meta(_SEEN)))
        """By id, oldest first; ``None``: taken in an earlier life, which did not finish it, or told of it long ago."""
        self._running: dict[str, int] = {}
        """Ids that are not finished, each with the bytes set aside for it."""
        self._looks: dict[str, bool] = {}
        """Ids that wait for a look; true once it has begun."""
        self._last_ms: dict[CommandName, int] = {}
        self._untold: dict[str, Result] = {}
        self._tasks: queue.SimpleQueue[Task] | None = None
        self._playing = False
        self._kbps: float | None = None
        self._began_ms: int | None = None

    # --- what comes in ---------------------------------------------------------------------------------------------------

    def take(self, command: Command, settings: Settings, context: Context, now: Now, server_ms: int | None) -> bool:
        """A command has come; whether it wants a look at once. Its result is among ``untold`` then or later."""
        judged = orders.judge(
            command,
            server_ms=server_ms,
            now_ms=now.boottime_ms,
            seen=self._results,
            last_ms=self._last_ms,
            waiting=len(self._running),
        )
        if judged.act is Act.REPEAT:
            self._repeat(command, now)
            return False
        refusal = judged.text
        if judged.act is Act.RUN:
            refusal = "remote.enabled: this site's file says no" if not settings.remote.enabled else ""
        most_bytes = 0
        if judged.act is Act.RUN and not refusal and command.name is CommandName.SPEED_TEST:
            refusal, most_bytes = self._measurable(settings, now, server_ms)
        if refusal:
            state = ResultState.REFUSED if judged.act is Act.RUN else judged.state
            self._tell(command, state, now, text=refusal)
            return False
        self._begin(command, settings, context, now, most_bytes)
        return command.name is CommandName.PROBE_NOW

    def _repeat(self, command: Command, now: Now) -> None:
        known = self._results.get(command.id)
        if known is not None:
            self._untold[command.id] = known
        elif command.id not in self._running:
            self._tell(command, ResultState.FAILED, now, text="the agent was restarted before it could tell the result")

    def _begin(self, command: Command, settings: Settings, context: Context, now: Now, most_bytes: int) -> None:
        self._last_ms[command.name] = now.boottime_ms
        self._running[command.id] = most_bytes
        self._tell(command, ResultState.ACCEPTED, now)
        self._spool.set_meta(_SEEN, msgspec.msgpack.encode(list(self._results)))
        if command.name is CommandName.PROBE_NOW:
            self._looks[command.id] = False
            return
        self._start(command, settings, context, most_bytes)

    def _start(self, command: Command, settings: Settings, context: Context, most_bytes: int) -> None:
        from sitekeeper_agent.remote.tasks import Task

        task = Task(command, settings, context, most_bytes, lambda: self._playing, self._log_lines)
        if self._tasks is None:
            self._tasks = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(self._tasks,), name="commands", daemon=True).start()
        self._tasks.put(task)

    def _work(self, tasks: "queue.SimpleQueue[Task]") -> None:
        from sitekeeper_agent.remote.tasks import carry_out

        while True:
            task = tasks.get()
            self._post(Finished(task.command, carry_out(task)))

    # --- the data budget ---------------------------------------------------------------------------------------------------

    def _measurable(self, settings: Settings, now: Now, server_ms: int | None) -> tuple[str, int]:
        """Why no speed can be measured now, or how many bytes are set aside for it."""
        from sitekeeper_agent.remote.speed import LEAST_BYTES, MOST_BYTES

        if not settings.speed_test:
            return "speed_test: this site has no address for it", 0
        if self._playing:
            return "something is playing, which a download would disturb", 0
        known = self._budget(now, server_ms)
        most = min(MOST_BYTES, known.left_bytes(settings.data_budget_mb))
        if most < LEAST_BYTES:
            return f"data_budget_mb: {settings.data_budget_mb} MB are used up for today", 0
        # Set aside before it is spent: a power cut in the middle must not make it free.
        self._spool.set_meta(budget.KEY, known.plus(most).stored())
        self._spool.set_number(_MEASURED, _wall(now, server_ms))
        return "", most

    def keep(self, settings: Settings, context: Context, now: Now, server_ms: int | None, *, busy: bool) -> None:
        """Measure the speed unasked, if it is time to; ``busy``: the agent itself uses the line."""
        if self._began_ms is None:
            self._began_ms = now.boottime_ms
        if not (settings.speed_test and settings.speed_test_interval_s) or busy or self._running:
            return
        since_ms = _wall(now, server_ms) - self._spool.number(_MEASURED)
        waits = now.boottime_ms - self._began_ms < crc32(settings.site.encode()) % SPREAD_MS
        if waits or 0 <= since_ms < settings.speed_test_interval_s * 1000:
            return
        refusal, most_bytes = self._measurable(settings, now, server_ms)
        if refusal:
            return
        self._running[_UNASKED] = most_bytes
        self._start(Command(WIRE_VERSION, _UNASKED, CommandName.SPEED_TEST, 0, 0), settings, context, most_bytes)

    def _budget(self, now: Now, server_ms: int | None) -> budget.Budget:
        return budget.restored(self._spool.meta(budget.KEY)).on(_wall(now, server_ms))

    def values(self, settings: Settings, now: Now, server_ms: int | None) -> dict[SeriesKey, int]:
        """What the next sample carries; each rate is given once."""
        if not settings.speed_test:
            return {}
        left = self._budget(now, server_ms).left_bytes(settings.data_budget_mb)
        values = {Metric.DATA_BUDGET_LEFT_BYTES: to_wire(Metric.DATA_BUDGET_LEFT_BYTES, left)}
        if self._kbps is not None:
            values[Metric.DOWNLOAD_KBPS] = to_wire(Metric.DOWNLOAD_KBPS, self._kbps)
            self._kbps = None
        return {(metric.value, ""): value for metric, value in values.items()}

    def played(self, values: "dict[SeriesKey, int]") -> None:
        """What a sample holds: whether something plays."""
        if _PLAYING in values:
            self._playing = values[_PLAYING] > 0

    # --- what has been done ------------------------------------------------------------------------------------------------

    def look_began(self) -> None:
        """A look begins: it counts for all who have asked before."""
        self._looks = dict.fromkeys(self._looks, True)

    def looked(self, now: Now, values: dict[str, Scalar], text: str, *, failed: bool) -> None:
        """The look that ran is over."""
        for id_, begun in list(self._looks.items()):
            if begun:
                del self._looks[id_], self._running[id_]
                command = Command(WIRE_VERSION, id_, CommandName.PROBE_NOW, 0, 0)
                self._tell(command, ResultState.FAILED if failed else ResultState.DONE, now, values=values, text=text)

    @property
    def awaits_look(self) -> bool:
        """Whether somebody waits for the look that is running."""
        return any(self._looks.values())

    @property
    def wants_look(self) -> bool:
        """Whether somebody waits for a look that has not begun."""
        return not all(self._looks.values())

    def finished(self, finished: Finished, settings: Settings, now: Now, server_ms: int | None) -> None:
        """The working thread is done with a command."""
        command, done = finished
        reserved = self._running.pop(command.id, 0)
        values = dict(done.values)
        if reserved:
            spent = self._budget(now, server_ms).plus(min(done.taken_bytes, reserved) - reserved)
            self._spool.set_meta(budget.KEY, spent.stored())
            values["budget_left_bytes"] = spent.left_bytes(settings.data_budget_mb)
            self._kbps = done.kbps
        if command.id == _UNASKED:
            return
        self._tell(command, done.state, now, values=values, text=done.text)

    def _tell(
        self, command: Command, state: ResultState, now: Now, *, values: dict[str, Scalar] | None = None, text: str = ""
    ) -> None:
        result = Result(
            WIRE_VERSION,
            command.id,
            command.name,
            state,
            now.wall_ms,
            {name[:64]: value for name, value in list((values or {}).items())[:100]},
            text[:8000],
        )
        self._results[command.id] = result
        while len(self._results) > _MOST_SEEN:
            del self._results[next(iter(self._results))]
        self._untold[command.id] = result

    # --- telling -----------------------------------------------------------------------------------------------------------

    def untold(self) -> list[Result]:
        """Results that the broker has not acknowledged, oldest first; at most 32, of each command the newest."""
        while len(self._untold) > _MOST_SEEN:
            del self._untold[next(iter(self._untold))]
        return list(self._untold.values())

    def told(self, result: Result) -> None:
        """The broker has it."""
        if self._untold.get(result.id) == result:
            del self._untold[result.id]


def _wall(now: Now, server_ms: int | None) -> int:
    """Unix time, by the server where it is known."""
    return now.wall_ms if server_ms is None else server_ms


def _seen(value: bytes | None) -> list[str]:
    try:
        return _decode_seen(value)[-_MOST_SEEN:] if value else []
    except (msgspec.MsgspecError, ValueError):
        return []
