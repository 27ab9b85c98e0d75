"""A site PC installs the agent's and the protocol's wheels alone: the agent starts there and finds nothing of the collector."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300, cwd="/")


def _build(package: str, into: Path) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    done = _run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", into, ROOT / package)
    assert done.returncode == 0, done.stderr
    (wheel,) = into.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds what a site PC gets, and nothing else."""
    folder = tmp_path_factory.mktemp("site-pc")
    wheels = [_build(package, folder / f"wheel-{package}") for package in ("protocol", "agent")]
    venv.create(folder / "env", with_pip=True)
    pip = folder / "env/bin/pip"
    for arguments in (["--require-hashes", "-r", ROOT / "requirements/agent.txt"], ["--no-deps", *wheels]):
        done = _run(pip, "install", "-q", "--disable-pip-version-check", *arguments)
        assert done.returncode == 0, done.stderr
    return folder / "env/bin"


@pytest.mark.slow
def test_the_agent_starts_in_an_environment_that_holds_its_wheels_alone(alone: Path, tmp_path: Path) -> None:
    assert _run(alone / "sitekeeper-agent", "--version").stdout.startswith("sitekeeper-agent 0.1.0")
    config = tmp_path / "agent.yaml"
    config.write_text(
        f"site: alone\narea: test\nbroker: {{host: 127.0.0.1, port: 9, tls: false}}\n"
        f"portal: http://127.0.0.1:9/\nstate_dir: {tmp_path / 'state'}\n"
    )
    done = _run(alone / "sitekeeper-agent", "check", "--config", config, "--lang", "en")
    assert "Traceback" not in done.stderr
    # A portal that has never answered here proves nothing: "can't tell", not "broken".
    assert done.returncode == 3, done.stdout + done.stderr
    assert "portal" in done.stdout.lower()


@pytest.mark.slow
@pytest.mark.parametrize("forbidden", ["sitekeeper_collector", "sqlalchemy", "amqtt", "asyncio_mqtt", "pytest"])
def test_nothing_of_the_collector_can_be_imported_on_a_site_pc(alone: Path, forbidden: str) -> None:
    done = _run(alone / "python", "-c", f"import {forbidden}")
    assert done.returncode == 1
    assert f"No module named '{forbidden}'" in done.stderr


@pytest.mark.slow
def test_the_agents_wheel_is_the_same_bytes_when_it_is_built_again(tmp_path: Path) -> None:
    first, second = (_build("agent", tmp_path / name).read_bytes() for name in ("first", "second"))
    assert first == second
