"""Times on by the Windows event log: shutdown, restart, update, sleep, power loss and crash told apart, Fast Startup or not.

The events are written after Microsoft's published forms; no Windows has been at hand (docs/deployment/windows.md).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitekeeper_agent.platform.facts import End, PlatformUnsupported, Stretch
from sitekeeper_agent.platform.windows_events import QUERY, command, records, stretches
from sitekeeper_agent.platform.windows_outputs import decode
from support.windows_log import AGAIN, NAMESPACE, START, STOP, Logged, asked, boot, ms, xml

CASES = {
    "shutdown": ([*START, asked("03:00:00", "power off"), *STOP, *AGAIN], "03:00:07", End.SHUTDOWN),
    "shutdown-zh": ([*START, asked("03:00:00", "关机"), *STOP, *AGAIN], "03:00:07", End.SHUTDOWN),
    "shutdown-without-a-wish": ([*START, *STOP, *AGAIN], "03:00:07", End.SHUTDOWN),
    "restart": ([*START, asked("03:00:00", "restart"), *STOP, *AGAIN], "03:00:07", End.RESTART),
    "restart-zh": ([*START, asked("03:00:00", "重启"), *STOP, *AGAIN], "03:00:07", End.RESTART),
    "upgrade": (
        [*START, asked("03:00:00", "重启", r"C:\Windows\servicing\TrustedInstaller.exe (DESKTOP-7QK2)"), *STOP, *AGAIN],
        "03:00:07",
        End.UPGRADE,
    ),
    "power-lost": (
        [*START, *AGAIN, Logged("06:00:22", "Kernel-Power", 41, {"BugcheckCode": "0"}), Logged("06:00:23", "EventLog", 6008)],
        "00:30:20",
        End.POWER_LOST,
    ),
    "crashed": ([*START, *AGAIN, Logged("06:00:22", "Kernel-Power", 41, {"BugcheckCode": "159"})], "00:30:20", End.CRASHED),
    "sleep": (
        [
            *START,
            Logged("03:00:00", "Kernel-Power", 42, {"TargetState": "4"}),
            Logged("06:00:00", "Kernel-Power", 107),
            Logged("06:00:02", "Power-Troubleshooter", 1),
        ],
        "03:00:00",
        End.SUSPEND,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_how_a_time_on_ended(case: str) -> None:
    events, ended, how = CASES[case]
    assert stretches(records(xml(events))) == (
        Stretch(ms("00:30:00"), ms(ended), how),
        Stretch(ms("06:00:00"), None, None),
    )


def test_a_fast_startup_is_a_shutdown_and_a_start_although_the_kernel_never_ended() -> None:
    events = [
        *START,
        asked("03:00:00", "关机"),
        Logged("03:00:04", "Kernel-Power", 42, {"TargetState": "5"}),
        boot("06:00:00", kind=1),
        Logged("06:00:01", "Kernel-Power", 107),
        Logged("06:00:03", "Power-Troubleshooter", 1),
    ]
    assert stretches(records(xml(events))) == (
        Stretch(ms("00:30:00"), ms("03:00:04"), End.SHUTDOWN),
        Stretch(ms("06:00:00"), None, None, fast=True),
    )


def test_the_logs_own_count_orders_events_where_a_dead_battery_set_the_clock_back() -> None:
    events = [Logged("09:00:00", "Kernel-General", 12), Logged("11:00:00", "Kernel-General", 13), boot("00:00:01")]
    found = stretches(records(xml(events)))
    assert [stretch.how for stretch in found] == [End.SHUTDOWN, None]
    assert found[1].began_ms < found[0].began_ms


def test_utf_16_with_a_declaration_is_read_too() -> None:
    printed = f"<?xml version='1.0' encoding='UTF-16'?>{xml(START)}".encode("utf-16")
    assert len(records(decode(printed, "cp936"))) == 3


def test_nothing_logged_is_no_time_on() -> None:
    assert stretches(records("")) == ()


@pytest.mark.parametrize(
    "answer",
    [
        "Access is denied. 拒绝访问。 <",
        "<Event>",
        "<!DOCTYPE e [<!ENTITY a 'aaaa'>]><Event>&a;</Event>",
        f"<Event xmlns='{NAMESPACE}'>" + "x" * 5_000_000,
    ],
)
def test_an_answer_that_is_none_costs_the_reading(answer: str) -> None:
    with pytest.raises(PlatformUnsupported):
        records(answer)


def test_the_question_asks_for_every_event_that_is_read() -> None:
    for number in (1, 12, 13, 27, 41, 42, 107, 1074, 6005, 6006, 6008):
        assert f"EventID={number}" in QUERY
    assert command(200)[:3] == ["wevtutil", "qe", "System"]


KNOWN = [event for events, _, _ in CASES.values() for event in events]


@given(st.lists(st.sampled_from(KNOWN), max_size=25))
def test_any_order_of_events_gives_times_on_of_which_only_the_last_may_go_on(events: list[Logged]) -> None:
    found = stretches(records(xml(events)))
    assert all(stretch.how is not None for stretch in found[:-1])
    assert all((stretch.ended_ms is None) == (stretch.how is None) for stretch in found)
