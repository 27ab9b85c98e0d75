"""The agent does not grow. `python benchmarks/agent_soak.py` does the same for a day at sixty times the speed."""

from pathlib import Path

import pytest
import trustme

from support.brokers import TlsFiles
from support.rig import assert_stored_exactly_once
from support.soak import Looked, growth, soak

WARM_UP_S, WHOLE_S = 45, 130


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.processes
def test_two_hours_at_sixty_times_the_speed_with_cuts_leave_the_agent_as_large_as_it_was(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    with soak(tmp_path, TlsFiles(tmp_path / "server.pem", tmp_path / "server.pem", tmp_path / "ca.pem")) as running:
        looks = [look for look in running.run(WHOLE_S) if look.at_s >= WARM_UP_S]
        assert "not connected" in running.agent.log(), "no cut was noticed; nothing was proven"
        assert_stored_exactly_once(running.agent, running.collector)
    assert growth(looks, lambda look: look.pss) < 1_000_000
    assert growth(looks, lambda look: look.open_files) < 4
    assert growth(looks, lambda look: look.threads) < 4


def test_growth_is_told_from_noise() -> None:
    level = [Looked(at, 20_000_000 + (at % 3) * 50_000, 20 + at % 2, 17) for at in range(90)]
    leaking = [
        look._replace(pss=look.pss + round(look.at_s) * 20_000, open_files=look.open_files + round(look.at_s / 10))
        for look in level
    ]
    assert abs(growth(level, lambda look: look.pss)) < 50_000
    assert growth(leaking, lambda look: look.pss) == pytest.approx(89 * 20_000, rel=0.05)
    assert growth(leaking, lambda look: look.open_files) > 4
