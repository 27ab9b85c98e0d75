"""Settings on trial: what is in use, what is known to be good, when to go back. Pure; ``shelf`` keeps it on disk.

New settings are used at once, but count as good only when a receipt answers a report that was sent with them. Without one in
time they are taken back, for a mistake in them may be the very reason why nobody can send better ones. The clock of a trial is
the one that stands still in a suspend, and starts anew with each start of the agent; an agent that dies with them again and
again goes back as well.
"""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from sitekeeper_protocol.messages import ResultState, Scalar

MAX_STARTS = 3
"""Starts with settings that no receipt has confirmed; the fourth is one without them."""
_Revision = Annotated[int, Meta(ge=0, le=2**53)]


class Offer(Struct, frozen=True):
    """Settings by name, of a revision; revision 0 without any is the agent's own file."""

    revision: _Revision = 0
    settings: dict[str, Scalar | list[Scalar]] = {}


class Outcome(Struct, frozen=True):
    """What became of a revision. ``told``: the broker has taken the news."""

    revision: _Revision
    state: ResultState
    text: str = ""
    told: bool = False


FILE_ALONE = Offer()


class Kept(Struct, frozen=True):
    """What must survive a power cut. ``trial`` is in use while there is one, else ``good`` is."""

    good: Offer = FILE_ALONE
    trial: Offer | None = None
    starts: Annotated[int, Meta(ge=0, le=1000)] = 0
    """How often the agent has started with ``trial``."""
    outcome: Outcome | None = None

    @property
    def used(self) -> Offer:
        """What is in use."""
        return self.good if self.trial is None else self.trial


def offered(kept: Kept, offer: Offer, fault: str) -> Kept:
    """The county wants ``offer``; ``fault`` says why it can't be used, "" if it can."""
    if offer == kept.used:
        return _tell_again(kept, Outcome(offer.revision, ResultState.ACCEPTED if kept.trial else ResultState.DONE))
    last = kept.outcome
    if last is not None and last.revision == offer.revision and last.state in (ResultState.REFUSED, ResultState.FAILED):
        return _tell_again(kept, last)
    if fault:
        return replace(kept, outcome=Outcome(offer.revision, ResultState.REFUSED, fault))
    if kept.trial is not None and offer == kept.good:
        return Kept(good=kept.good, outcome=Outcome(offer.revision, ResultState.DONE))
    # What is on trial has no claim yet: what was good before it stays what to go back to.
    return Kept(good=kept.good, trial=offer, outcome=Outcome(offer.revision, ResultState.ACCEPTED))


def _tell_again(kept: Kept, outcome: Outcome) -> Kept:
    known = kept.outcome
    if known is not None and (known.revision, known.state) == (outcome.revision, outcome.state):
        return replace(kept, outcome=replace(known, told=False))
    return replace(kept, outcome=outcome)


def confirmed(kept: Kept) -> Kept:
    """A receipt has answered a report that was sent with what is in use."""
    if kept.trial is None:
        return kept
    return Kept(good=kept.trial, outcome=Outcome(kept.trial.revision, ResultState.DONE))


def taken_back(kept: Kept, why: str) -> Kept:
    """What is on trial was none; back to what was good."""
    if kept.trial is None:
        return kept
    return Kept(good=kept.good, outcome=Outcome(kept.trial.revision, ResultState.FAILED, why))


def started(kept: Kept) -> Kept:
    """The agent starts, with what this says; it must be on disk before it is used."""
    if kept.trial is None:
        return kept
    if kept.starts >= MAX_STARTS:
        return taken_back(kept, f"taken back: the agent started {kept.starts} times with it and heard nothing from the county")
    return replace(kept, starts=kept.starts + 1)


def acknowledged(kept: Kept) -> Kept:
    """The broker has the news of the outcome."""
    return kept if kept.outcome is None else replace(kept, outcome=replace(kept.outcome, told=True))
