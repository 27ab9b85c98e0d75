"""What a run tells of the one before it: its end by boot, goodbye or Windows' event log, and whether such an end is usual."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from sitekeeper_agent.clock import ServerClock
from sitekeeper_agent.hours import DAY_MS
from sitekeeper_agent.journal import Run, start_events
from sitekeeper_agent.lookback import CRASHED, HABITUAL, USUAL_CUT, Past, by_log, look_back
from sitekeeper_agent.platform.windows_events import records, stretches
from sitekeeper_agent.spool import Limits, Spool
from sitekeeper_protocol.messages import PowerEvent, PowerEventRecord
from support.windows_log import AGAIN, START, STOP, Logged, asked, boot, ms, xml

MINUTE, HOUR = 60_000, 3_600_000
TODAY = 1_800_000_000_000 // DAY_MS * DAY_MS + 8 * HOUR


def opened(folder: Path) -> Spool:
    return Spool(folder, Limits(64 * 1048576, 86_400_000, 86_400_000), stamp=lambda: "now")


def day_of_use(spool: Spool, number: int, ends: str | None, *, wall_ms: int, clock: ServerClock | None = None) -> None:
    """Three hours on; ``ends``: the reason of the goodbye, ``None`` for a pulled plug."""
    spool.begin_run(Run(number, number, wall_ms, MINUTE, wall_ms + 3 * HOUR, 3 * HOUR))
    if clock is not None:
        spool.set_clock(number, clock)
    if ends is not None:
        spool.end_run(ends, wall_ms + 3 * HOUR, 3 * HOUR)


def first_events(folder: Path, ends: Iterable[str | None], *, dead_battery: bool = False) -> list[PowerEventRecord]:
    """What each morning's run tells, each in an agent of its own, and the last in another one."""
    told: list[PowerEventRecord] = []
    for number, how in enumerate(ends, 1):
        spool = opened(folder)
        told += look_back(spool, boot=number).events
        true_ms = TODAY + number * DAY_MS
        wall_ms = 1_262_304_000_000 if dead_battery else true_ms
        clock = ServerClock(true_ms, 20, HOUR) if dead_battery else None
        day_of_use(spool, number, how, wall_ms=wall_ms, clock=clock)
        spool.close()
    spool = opened(folder)
    last = look_back(spool, boot=99)
    spool.close()
    assert last.facts.keys() == {USUAL_CUT}
    return [*told, *last.events]


def losses(told: list[PowerEventRecord]) -> list[str]:
    return [event.reason for event in told if event.what is PowerEvent.POWER_LOST]


@pytest.mark.parametrize("dead_battery", [False, True])
def test_the_fourth_pulled_plug_at_the_same_time_is_told_as_a_habit(tmp_path: Path, dead_battery: bool) -> None:
    told = first_events(tmp_path, [None] * 5, dead_battery=dead_battery)
    assert losses(told) == ["", "", "", HABITUAL, HABITUAL]
    assert [event.reason for event in told if event.what is PowerEvent.STARTED] == ["first", *["power_lost"] * 5]


def test_the_habit_is_a_fact_that_goes_with_the_first_sample(tmp_path: Path) -> None:
    first_events(tmp_path, [None] * 4)
    spool = opened(tmp_path)
    usual = look_back(spool, boot=99).facts[USUAL_CUT]
    spool.close()
    assert isinstance(usual, str) and len(usual) == 5 and usual.endswith(":00")


def test_a_site_that_shuts_down_has_no_habit_and_a_loss_there_is_one(tmp_path: Path) -> None:
    assert losses(first_events(tmp_path, ["shutdown"] * 6 + [None])) == [""]


def test_an_agent_that_died_is_no_loss_of_power(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for run in range(1, 6):
        assert losses(list(look_back(spool, boot=1).events)) == []
        spool.begin_run(Run(run, 1, TODAY, MINUTE, TODAY + run * HOUR, run * HOUR))
    spool.close()


# --- Windows -----------------------------------------------------------------------------------------------------------

LIVED = Run(5, 77, ms("00:31:00"), 60_000, ms("02:58:00"), 8_880_000, 147)
SLOW = Logged("06:00:22", "Kernel-Power", 41, {"BugcheckCode": "0"})
BLUE = Logged("06:00:22", "Kernel-Power", 41, {"BugcheckCode": "159"})
FAST = [
    asked("03:00:00", "关机"),
    Logged("03:00:04", "Kernel-Power", 42, {"TargetState": "5"}),
    boot("06:00:00", kind=1),
    Logged("06:00:01", "Kernel-Power", 107),
]


def told(events: list[Logged], *, same_boot: bool) -> list[tuple[str, str]]:
    past = by_log(LIVED, stretches(records(xml(events))))
    found = start_events(past.run, LIVED.boot if same_boot else 78, what=past.what, reason=past.reason)
    return [(event.what.value, event.reason) for event in found]


@pytest.mark.parametrize(
    ("events", "same_boot", "expected"),
    [
        ([*START, *FAST], True, [("started", "after_shutdown")]),
        ([*START, asked("03:00:00", "power off"), *STOP, *AGAIN], False, [("started", "after_shutdown")]),
        ([*START, asked("03:00:00", "重启"), *STOP, *AGAIN], False, [("started", "after_restart")]),
        ([*START, *AGAIN, SLOW], False, [("started", "power_lost"), ("power_lost", "")]),
        ([*START, *AGAIN, BLUE], False, [("started", "power_lost"), ("power_lost", CRASHED)]),
        ([*START], True, [("started", "agent_died"), ("agent_died", "")]),
        ([*START], False, [("started", "agent_died"), ("agent_died", "")]),
        ([], True, [("started", "agent_died"), ("agent_died", "")]),
        ([], False, [("started", "power_lost"), ("power_lost", "")]),
        (AGAIN, False, [("started", "power_lost"), ("power_lost", "")]),
    ],
    ids=[
        "fast-startup",
        "shutdown",
        "restart",
        "power-lost",
        "blue-screen",
        "killed",
        "killed-though-the-count-of-boots-differs",
        "no-log",
        "no-log-and-another-boot",
        "a-log-that-begins-later",
    ],
)
def test_windows_log_says_how_a_run_without_a_goodbye_ended(
    events: list[Logged], same_boot: bool, expected: list[tuple[str, str]]
) -> None:
    assert told(events, same_boot=same_boot) == expected


def test_a_shutdown_by_the_log_ends_the_run_when_the_log_says() -> None:
    past = by_log(LIVED, stretches(records(xml([*START, *FAST]))))
    late_ms = ms("03:00:04") - LIVED.last_wall_ms
    assert past == Past(
        LIVED._replace(
            ended="shutdown",
            last_wall_ms=LIVED.last_wall_ms + late_ms,
            last_boottime_ms=LIVED.last_boottime_ms + late_ms,
        )
    )


def test_a_power_loss_after_a_fast_startup_is_one_although_the_boot_is_the_same() -> None:
    noon = [
        boot("12:00:00"),
        Logged("12:00:20", "EventLog", 6005),
        Logged("12:00:22", "Kernel-Power", 41, {"BugcheckCode": "0"}),
    ]
    found = stretches(records(xml([*START, *FAST, *noon])))
    assert by_log(LIVED._replace(last_wall_ms=ms("11:59:00")), found) == Past(
        LIVED._replace(last_wall_ms=ms("11:59:00")), PowerEvent.POWER_LOST
    )
