"""The start-up task: its XML says what the schema allows, and its commands go out in the right order."""

import xml.etree.ElementTree as Xml
from collections.abc import Sequence
from pathlib import Path

import pytest

from sitekeeper_agent import service
from sitekeeper_agent.config import load
from sitekeeper_agent.platform.windows_task import LOCAL_SERVICE, TASK, Launch, task_xml

NS = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
PROGRAM = r"C:\Program Files\Sitekeeper\python\python.exe"


def parsed(launch: Launch) -> Xml.Element:
    return Xml.fromstring(task_xml(launch).encode("utf-16"))


def text(root: Xml.Element, path: str) -> str:
    found = root.find("/".join(f"{NS}{step}" for step in path.split("/")))
    assert found is not None, path
    return found.text or ""


def test_it_runs_as_local_service_from_the_start_without_end_and_again_after_a_failure() -> None:
    root = parsed(Launch(PROGRAM, ("run",)))
    assert text(root, "Principals/Principal/UserId") == LOCAL_SERVICE
    assert text(root, "Principals/Principal/RunLevel") == "LeastPrivilege"
    assert text(root, "Triggers/BootTrigger/Enabled") == "true"
    assert text(root, "Settings/ExecutionTimeLimit") == "PT0S"
    assert text(root, "Settings/MultipleInstancesPolicy") == "IgnoreNew"
    assert text(root, "Settings/RestartOnFailure/Interval") == "PT1M"
    assert 1 <= int(text(root, "Settings/RestartOnFailure/Count")) <= 255, "the schema allows one byte"
    assert text(root, "Settings/DisallowStartIfOnBatteries") == "false"


def test_a_start_by_fast_startup_triggers_it_too() -> None:
    query = Xml.fromstring(text(parsed(Launch(PROGRAM, ("run",))), "Triggers/EventTrigger/Subscription"))
    select = query.find("Query/Select")
    assert select is not None and "EventID=27" in (select.text or "")


def test_names_with_blanks_and_signs_survive_xml_and_the_command_line() -> None:
    root = parsed(Launch(r"C:\A & B\python.exe", ("run", "--config", r"C:\Program Data\x<y>\agent.yaml")))
    assert text(root, "Actions/Exec/Command") == r"C:\A & B\python.exe"
    assert text(root, "Actions/Exec/Arguments") == r'run --config "C:\Program Data\x<y>\agent.yaml"'


def test_a_bundle_runs_its_folder_and_an_installed_agent_its_module(tmp_path: Path) -> None:
    config = Path("/etc/agent.yaml")
    assert service.launch(config, program="py", home=tmp_path).arguments[:3] == ("-I", "-m", "sitekeeper_agent")
    (tmp_path / "__main__.py").touch()
    assert service.launch(config, program="py", home=tmp_path).arguments == (
        "-I",
        "-S",
        str(tmp_path),
        "run",
        "--config",
        str(config),
    )


class Machine:
    """Takes commands as the task scheduler would, and keeps what the task was made of."""

    def __init__(self, failing: str = "") -> None:
        self.ran: list[tuple[str, ...]] = []
        self.xml = ""
        self.failing = failing

    def run(self, command: Sequence[str]) -> int:
        self.ran.append(tuple(command))
        if "/XML" in command:
            self.xml = Path(command[command.index("/XML") + 1]).read_text(encoding="utf-16")
        return int(self.failing in command if self.failing else False)


def configured(folder: Path) -> Path:
    file = folder / "agent.yaml"
    file.write_text(
        f"site: '0417'\narea: lab\nbroker: {{host: b.example, password_file: {folder}/password}}\n"
        f"portal: http://p.example/\nstate_dir: {folder}/state\n"
    )
    return file


def test_installing_gives_rights_makes_the_task_and_starts_it(tmp_path: Path) -> None:
    machine, file = Machine(), configured(tmp_path)
    service.install(load(file), file, machine.run)
    assert [command[:2] for command in machine.ran] == [
        ("icacls", str(tmp_path / "state")),
        ("icacls", str(tmp_path / "password")),
        ("schtasks", "/Create"),
        ("schtasks", "/Run"),
    ]
    assert "/inheritance:r" in machine.ran[1], "nobody else may read the password"
    assert str(file) in machine.xml
    assert (tmp_path / "state").is_dir()


def test_a_step_that_fails_stops_the_rest_and_is_named(tmp_path: Path) -> None:
    machine, file = Machine("/Create"), configured(tmp_path)
    with pytest.raises(service.ServiceTrouble, match="schtasks /Create"):
        service.install(load(file), file, machine.run)
    assert machine.ran[-1][1] == "/Create"


def test_removing_ends_what_runs_even_if_nothing_does(tmp_path: Path) -> None:
    machine = Machine("/End")
    service.remove(machine.run)
    assert [command[1] for command in machine.ran] == ["/End", "/Delete"]
    assert all(TASK in command for command in machine.ran)


def test_status_asks_for_the_task(tmp_path: Path) -> None:
    assert service.installed(Machine().run)
    assert not service.installed(Machine("/Query").run)
