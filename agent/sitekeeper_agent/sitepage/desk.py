"""The agent's side of the page: keeps the snapshot true, and turns a request for repair into an event. Used by one thread."""

from collections.abc import Sequence

from sitekeeper_agent import hours, standing
from sitekeeper_agent.sampler import Look
from sitekeeper_agent.sitepage import repair
from sitekeeper_agent.sitepage.board import Board, CheckAsked
from sitekeeper_agent.sitepage.repair import Repair
from sitekeeper_agent.spool import Spool
from sitekeeper_agent.standing import Fault, Standing
from sitekeeper_protocol.ladder import Reading
from sitekeeper_protocol.messages import ButtonEvent, Receipt, Sample

ASK_FOR_REPAIR = "ask_for_repair"
"""The ``button`` of the event."""
_REPAIR = "repair"


class Desk:
    """Writes to ``board`` what the page may show of one run of the agent."""

    def __init__(self, board: Board, spool: Spool, *, site: str, run: int, wall_ms: int) -> None:
        self._board, self._spool = board, spool
        self._site, self._run = site, run
        self._tickets: Sequence[str] | None = None
        self._readings: tuple[Reading, ...] = ()
        self._looked_ms: int | None = None
        self._came_to_nothing = False
        board.seen = board.seen._replace(repair=repair.stored(spool.meta(_REPAIR), wall_ms))

    def look_began(self) -> None:
        """A look begins now."""
        self._board.seen = self._board.seen._replace(begun=self._board.seen.begun + 1)

    def wants_look(self, asked: CheckAsked) -> bool:
        """Whether a look is owed: the one that runs now counts only if it began after somebody asked."""
        return asked.look > self._board.seen.begun

    def took(self, sample: Sample) -> None:
        """A sample is kept."""
        seen = self._board.seen
        metrics = seen.metrics | {metric for metric, _ in sample.values}
        facts = {**seen.facts, **sample.facts} if sample.facts else seen.facts
        self._board.seen = seen._replace(metrics=metrics, facts=facts, day=hours.told_by(sample.values, 0))

    def look_ended(self, look: Look | None, boottime_ms: int) -> None:
        """The look that ran is over, with ``None`` if it came to nothing; ``tell`` follows once its sample is kept."""
        self._came_to_nothing = look is None
        if look is not None:
            self._readings, self._looked_ms = look.readings, boottime_ms

    def tell(self, *, connected: bool, writable: bool, stood: Standing, measuring: bool) -> None:
        """How things stand now; ``measuring``: a look is running."""
        seen = self._board.seen
        self._board.seen = seen._replace(
            connected=connected,
            writable=writable,
            standing=stood,
            readings=self._readings,
            looked_ms=self._looked_ms,
            came_to_nothing=self._came_to_nothing,
            done=seen.begun - measuring,
        )

    def pressed(self, boottime_ms: int) -> ButtonEvent:
        """The event of a request for repair, with the digits that the page shows at that moment."""
        seen = self._board.seen
        fault = seen.fault(boottime_ms) or Fault(None, None, None, (), seen.connected)
        return ButtonEvent(ASK_FOR_REPAIR, standing.code(fault, self._site).replace(" ", ""))

    def asked_by(self, sample: Sample) -> None:
        """``sample`` carries a request for repair."""
        before = repair.known_tickets(self._tickets, self._board.seen.connected)
        self._keep(Repair(run=self._run, sequence=sample.sequence, wall_ms=sample.wall_ms, listed_before=before))

    def receipted(self, receipt: Receipt) -> None:
        """A receipt came."""
        self._tickets = receipt.tickets
        self._board.seen = self._board.seen._replace(tickets=tuple(receipt.tickets))
        known = self._board.seen.repair
        if known is not None and (after := known.receipted(receipt)) != known:
            self._keep(after)

    def _keep(self, asked: Repair) -> None:
        self._board.seen = self._board.seen._replace(repair=asked)
        self._spool.set_meta(_REPAIR, repair.to_store(asked))
