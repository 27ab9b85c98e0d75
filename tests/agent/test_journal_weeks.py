"""Weeks of a site's PC, drawn at random: whatever happens to power, agent, suspends and clock, the journal tells it right."""

from itertools import pairwise

from hypothesis import event, given, settings
from hypothesis import strategies as st

from sitekeeper_agent.journal import JUMP_MS, ClockWatch, Now, Run, goodbye_event, new_run, start_events
from sitekeeper_protocol.messages import PowerEvent, PowerEventRecord

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WEEK = 7 * DAY
FACTORY_MS = 1_262_304_000_000
"""2010: where a clock stands that has lost its battery."""

ENDINGS = st.tuples(
    st.sampled_from(("shutdown", "power cut", "restart", "kill", "kill, then power cut")), st.integers(1, 2 * DAY)
)
JUMPS = st.one_of(st.integers(-DAY, DAY), st.integers(-2 * JUMP_MS, 2 * JUMP_MS), st.just(-10 * 365 * DAY))
HAPPENINGS = st.one_of(
    st.tuples(st.just("works"), st.integers(1, 6 * HOUR)),
    st.tuples(st.just("suspend"), st.integers(1, 3 * DAY)),
    st.tuples(st.just("jump"), JUMPS),
    ENDINGS,
)


class Machine:
    """A PC with its clocks, the agent on it, what really happened, and what the agent's samples tell of it."""

    def __init__(self, battery: bool) -> None:
        self.battery = battery
        self.now_ms, self.offset_ms = 0, 1_800_000_000_000
        self.boot = self.booted_ms = self.slept_ms = 0
        self.truth: list[tuple[str, int]] = []
        """What the agent could know, in order: (what, milliseconds of it)."""
        self.told: list[PowerEventRecord] = []
        self.stored: Run | None = None
        self.ends: list[tuple[int, int]] = []
        """(run, moment of its end as CLOCK_BOOTTIME) of runs that ended without a word."""
        self.on_ms = 0
        self._slept = self._jumped = 0
        self._power_on()

    def clocks(self) -> Now:
        """What the machine's clocks show."""
        boottime_ms = self.now_ms - self.booted_ms
        return Now(self.now_ms + self.offset_ms, boottime_ms, boottime_ms - self.slept_ms)

    # --- what happens --------------------------------------------------------------------------------------------------

    def happens(self, what: str, amount_ms: int) -> None:
        """One thing, of any kind."""
        if what == "works":
            self._works(amount_ms)
        elif what == "suspend":
            self._pass(amount_ms)
            self.slept_ms += amount_ms
            self._slept += amount_ms
        elif what == "jump":
            self.offset_ms += amount_ms
            self._jumped += amount_ms
        else:
            self._ends(what, amount_ms)

    def _works(self, amount_ms: int) -> None:
        until_ms = self.now_ms + amount_ms
        while self.now_ms + MINUTE <= until_ms:
            self._pass(MINUTE)
            self._sample([])
        self._pass(until_ms - self.now_ms)

    def _pass(self, amount_ms: int) -> None:
        self.now_ms += amount_ms
        self.on_ms += amount_ms

    def _ends(self, what: str, amount_ms: int) -> None:
        assert self.stored is not None
        if what in ("shutdown", "restart"):
            now = self.clocks()
            self._sample([goodbye_event(self.stored.run, what, now)], ("goodbye", 0))
            self.stored = self.stored._replace(ended=what, last_wall_ms=now.wall_ms, last_boottime_ms=now.boottime_ms)
            self.truth.append((f"started after_{what}", 0))
        else:
            self.ends.append((self.stored.run, self.clocks().boottime_ms))
            lost = "agent_died" if what == "kill" else "power_lost"
            self.truth += [(f"started {lost}", 0), (lost, 0)]
        self._slept = self._jumped = 0
        if what in ("restart", "kill"):
            self.now_ms += amount_ms  # nobody watches meanwhile
            self._start()
        else:
            self.now_ms += amount_ms
            self._power_on()

    def _power_on(self) -> None:
        self.boot += 1
        self.booted_ms, self.slept_ms = self.now_ms, 0
        if not self.battery:
            self.offset_ms = FACTORY_MS - self.now_ms
        self._start()

    # --- what the agent makes of it ------------------------------------------------------------------------------------

    def _start(self) -> None:
        now, before = self.clocks(), self.stored
        if before is None:
            self.truth.append(("started first", 0))
        self._watch = ClockWatch(now)
        self.stored = Run(new_run(), self.boot, now.wall_ms, now.boottime_ms, now.wall_ms, now.boottime_ms)
        self.told += start_events(before, self.boot)

    def _sample(self, events: list[PowerEventRecord], *known: tuple[str, int]) -> None:
        assert self.stored is not None
        now = self.clocks()
        self.truth += known
        if self._slept >= JUMP_MS:
            self.truth.append(("resumed", self._slept))
        if abs(self._jumped) >= JUMP_MS:
            self.truth.append(("clock_jumped", self._jumped))
        self._slept = self._jumped = 0
        self.told += [*events, *self._watch.step(now)]
        self.stored = self.stored._replace(
            last_wall_ms=self._watch.wall_at(now.boottime_ms),
            last_boottime_ms=now.boottime_ms,
            last_sequence=self.stored.last_sequence + 1,
        )


def words(record: PowerEventRecord) -> tuple[str, int]:
    """A record as the truth writes it."""
    if record.what is PowerEvent.STARTED:
        return f"started {record.reason}", 0
    return record.what.value, record.amount_ms


@settings(max_examples=200, deadline=None)
@given(happenings=st.lists(HAPPENINGS, min_size=1, max_size=60), battery=st.booleans())
def test_a_week_of_boots_cuts_kills_suspends_and_jumps_is_told_right(happenings: list[tuple[str, int]], battery: bool) -> None:
    machine = Machine(battery)
    for happening in happenings:
        if machine.now_ms >= WEEK:
            break
        machine.happens(*happening)
    machine.happens("restart", 1)
    for what, amount_ms in {(what, 0) for what, _ in machine.truth}:
        event(what, amount_ms)
    assert [words(record) for record in machine.told] == machine.truth


@settings(max_examples=200, deadline=None)
@given(happenings=st.lists(HAPPENINGS, min_size=1, max_size=60), battery=st.booleans())
def test_the_end_of_a_run_without_a_word_is_placed_within_a_sample_of_it(
    happenings: list[tuple[str, int]], battery: bool
) -> None:
    machine = Machine(battery)
    longest = 0
    for what, amount_ms in happenings:
        if what in ("works", "suspend"):
            # The longest time without a sample: the rest of a minute, and each suspend.
            longest += amount_ms % MINUTE if what == "works" else amount_ms
        machine.happens(what, amount_ms)
    silent = [record for record in machine.told if record.what in (PowerEvent.POWER_LOST, PowerEvent.AGENT_DIED)]
    assert [record.run for record in silent] == [run for run, _ in machine.ends]
    for record, (_, ended_boottime_ms) in zip(silent, machine.ends, strict=True):
        assert 0 <= ended_boottime_ms - record.last_boottime_ms <= longest + MINUTE


@given(cuts=st.lists(st.integers(2, 600), min_size=2, max_size=40))
def test_hours_on_are_summed_to_a_sample_a_run_however_often_the_plug_is_pulled(cuts: list[int]) -> None:
    machine = Machine(battery=False)
    runs: list[Run] = []
    for minutes in cuts:
        machine.happens("works", minutes * MINUTE)
        assert machine.stored is not None
        runs.append(machine.stored)
        machine.happens("power cut", HOUR)
    assert all(before.boot < after.boot for before, after in pairwise(runs))
    known_ms = sum(run.last_boottime_ms - run.started_boottime_ms for run in runs)
    assert 0 <= machine.on_ms - known_ms <= MINUTE * len(runs)
