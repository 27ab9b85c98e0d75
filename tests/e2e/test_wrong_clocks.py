"""Site PCs with dead batteries: whatever their wall clock says, every sample gets its true time."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.brokers import mosquitto
from support.rig import Agent, Collector, Rig, assert_stored_exactly_once, rig
from support.wait import wait_until

pytestmark = [pytest.mark.broker, pytest.mark.processes, pytest.mark.slow]

_YEAR_S = 365 * 86400
_LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


@pytest.fixture
def county(tmp_path: Path) -> Iterator[Rig]:
    with mosquitto(tmp_path / "broker") as broker, rig(tmp_path, broker.port) as made:
        yield made


def _set_clock(agent: Agent, shift_s: float) -> None:
    """The agent's wall clock is wrong by ``shift_s`` from now on; its boot time runs on truly."""
    if _LIBRARY is None or shutil.which("faketime") is None:
        pytest.skip("faketime is not installed (apt-get install faketime)")
    file = agent.folder / "clock"
    staged = agent.folder / "clock.new"
    staged.write_text(f"{shift_s:+.0f}\n")
    staged.rename(file)
    agent.environment = {
        "LD_PRELOAD": str(_LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def _errors_ms(collector: Collector) -> dict[str, list[float]]:
    """By way of placing: how far each stored sample is from its true time, in ms. Boot time never lies here."""
    boot_ms = (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) * 1000
    found: dict[str, list[float]] = {}
    for placement, placed_ms, boottime_ms in collector.rows("SELECT placement, placed_ms, boottime_ms FROM samples"):
        assert placed_ms is not None or placement == "held"
        found.setdefault(placement, []).append(abs(placed_ms - (boot_ms + boottime_ms)) if placed_ms is not None else 0)
    return found


def _all_exact(collector: Collector) -> bool:
    return collector.count("v001") > 10 and set(_errors_ms(collector)) == {"exact"}


def _to(year: int) -> float:
    return time.mktime((year, 1, 2, 3, 4, 5, 0, 0, 0)) - time.time()


@pytest.mark.parametrize("shift", ["1970", "2009", "+3 years", "-1 hour"])
def test_a_wrong_clock_is_corrected_by_round_trip(county: Rig, shift: str) -> None:
    shift_s = {"1970": _to(1970), "2009": _to(2009), "+3 years": 3 * _YEAR_S, "-1 hour": -3600}[shift]
    collector, agent = county.collector("v001"), county.agent("v001")
    _set_clock(agent, shift_s)
    collector.start()
    agent.start()
    wait_until(
        lambda: _all_exact(collector), f"all samples are placed exactly\n{agent.log()}\n{collector.log()}", 90, every_s=0.3
    )
    (wall_ms, boottime_ms), *_ = collector.rows("SELECT wall_ms, boottime_ms FROM samples ORDER BY sequence DESC LIMIT 1")
    true_ms = (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) * 1000 + boottime_ms
    assert abs(wall_ms - true_ms - shift_s * 1000) < 60_000, "the clock was really wrong, or nothing was shown"
    assert max(_errors_ms(collector)["exact"]) < 2000
    assert_stored_exactly_once(agent, collector)


def test_a_clock_that_jumps_in_mid_run_moves_no_sample(county: Rig) -> None:
    collector, agent = county.collector("v001"), county.agent("v001")
    _set_clock(agent, 0)
    collector.start()
    agent.start()
    wait_until(lambda: collector.count("v001") > 5, "the first samples are stored", 60)
    for shift_s in (3 * _YEAR_S, _to(2009), 0):
        _set_clock(agent, shift_s)
        count = collector.count("v001")
        wait_until(lambda count=count: collector.count("v001") > count + 8, "samples of the jumped clock are stored", 60)  # type: ignore[misc]
    wait_until(lambda: _all_exact(collector), "all samples are placed exactly", 60, every_s=0.3)
    assert max(_errors_ms(collector)["exact"]) < 2000
    walls = [wall for (wall,) in collector.rows("SELECT wall_ms FROM samples ORDER BY run, sequence")]
    assert max(walls) - min(walls) > 3 * _YEAR_S * 1000, "the clock really jumped"


def test_messages_that_waited_in_the_broker_are_placed_when_they_were_taken(county: Rig) -> None:
    """The collector hears of samples long after they were taken, first from the broker's queue."""
    collector, agent = county.collector("v001"), county.agent("v001")
    collector.start()
    agent.start()
    wait_until(lambda: collector.count("v001") > 3, "the first samples are stored", 60)
    collector.kill()
    agent.stop()
    _set_clock(agent, 3 * _YEAR_S)
    agent.start()  # this run has no round trip while its reports wait
    wait_until(lambda: len({run for run, _ in agent.held()}) == 2 and len(agent.held()) > 40, "reports wait in the broker", 60)
    collector.start()
    wait_until(lambda: _all_exact(collector) and collector.count("v001") > 30, "all is placed exactly", 90, every_s=0.3)
    assert max(_errors_ms(collector)["exact"]) < 2000
    assert_stored_exactly_once(agent, collector)
