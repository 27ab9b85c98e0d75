"""What the service manager hears on its socket: ready, beats at half of the period, stopping, and nothing unasked."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sitekeeper_agent.notify_service import Orders, ServiceManager, orders
from support.brokers import mosquitto
from support.rig import rig
from support.wait import wait_until


class Manager:
    """A service manager's end: a real datagram socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    # The abstract name is unique because pytest's folder is.
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@{tmp_path}")
    yield made
    made.close()


def test_orders_are_taken_out_of_the_environment() -> None:
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "300000000", "WATCHDOG_PID": "7", "PATH": "/bin"}
    assert orders(environment, 7) == Orders("/run/x", 300_000)
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Orders()),
        ({"NOTIFY_SOCKET": "@abc"}, Orders("@abc", 0)),
        ({"NOTIFY_SOCKET": "vsock:2:1"}, Orders()),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "5000000"}, Orders("/run/x", 5_000)),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "soon"}, Orders("/run/x", 0)),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "8"}, Orders("/run/x", 0)),
    ],
)
def test_a_watchdog_that_is_absent_or_meant_for_another_process_is_none(environment: dict[str, str], expected: Orders) -> None:
    assert orders(environment, 7) == expected


def test_it_beats_at_half_of_the_period(manager: Manager) -> None:
    service = ServiceManager(Orders(manager.address, 10_000))
    for now_ms in (0, 1, 4_999, 5_000, 7_000, 10_001):
        service.alive(now_ms)
    assert manager.listen() == ["WATCHDOG=1"] * 3
    assert service.due_ms(12_000) == 3_001


def test_a_text_goes_once_and_can_forge_no_line(manager: Manager) -> None:
    service = ServiceManager(Orders(manager.address))
    service.told("not connected: a\nWATCHDOG=1")
    service.told("not connected: a\nWATCHDOG=1")
    service.told("网" * 1000)
    told = manager.listen()
    assert told[0] == "STATUS=not connected: a?WATCHDOG=1"
    assert told[1] == "STATUS=" + "网" * 133
    assert len(told) == 2


def test_without_a_watchdog_nothing_is_due_and_nothing_beats(manager: Manager) -> None:
    service = ServiceManager(Orders(manager.address))
    service.alive(0)
    assert service.due_ms(0) is None
    assert manager.listen() == []


def test_a_manager_that_is_gone_costs_nothing(tmp_path: Path) -> None:
    gone = Manager(str(tmp_path / "gone"))
    gone.close()
    service = ServiceManager(Orders(gone.address, 2_000))
    service.ready()
    service.alive(0)
    assert service.due_ms(500) == 500


@pytest.mark.broker
@pytest.mark.processes
def test_the_real_agent_says_ready_beats_and_says_that_it_stops(manager: Manager, tmp_path: Path) -> None:
    with mosquitto(tmp_path / "broker") as broker, rig(tmp_path / "lab", broker.port) as lab:
        agent = lab.agent("0417")
        agent.environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}
        agent.start()
        wait_until(lambda: manager.listen().count("WATCHDOG=1") >= 3, lambda: f"it beats: {manager.heard}, {agent.log()}")
        wait_until(lambda: "STATUS=connected" in manager.listen(), lambda: f"it says so: {manager.heard}")
        assert manager.heard[0] == "READY=1"
        assert "STOPPING=1" not in manager.heard
        assert agent.stop() == 0
        assert manager.listen()[-1] == "STOPPING=1"
