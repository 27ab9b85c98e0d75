"""The start-up task that runs the agent on Windows, and the commands that make and remove it. Pure."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

TASK = r"\Sitekeeper\Agent"
LOCAL_SERVICE, ADMINISTRATORS, SYSTEM = "S-1-5-19", "S-1-5-32-544", "S-1-5-18"
"""Well-known SIDs: names differ between languages, these do not."""

_AWAKE = (
    '<QueryList><Query Id="0" Path="System"><Select Path="System">'
    "*[System[Provider[@Name='Microsoft-Windows-Kernel-Boot'] and EventID=27]]"
    "</Select></Query></QueryList>"
)
_TEMPLATE = """<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Sitekeeper agent 远程教育站点监测程序</Description>
    <URI>{task}</URI>
  </RegistrationInfo>
  <Triggers>
    <BootTrigger><Enabled>true</Enabled></BootTrigger>
    <EventTrigger><Enabled>true</Enabled><Subscription>{awake}</Subscription></EventTrigger>
  </Triggers>
  <Principals>
    <Principal id="Agent"><UserId>{user}</UserId><RunLevel>LeastPrivilege</RunLevel></Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <RunOnlyIfIdle>false</RunOnlyIfIdle>
    <WakeToRun>false</WakeToRun>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>7</Priority>
    <RestartOnFailure><Interval>PT1M</Interval><Count>255</Count></RestartOnFailure>
  </Settings>
  <Actions Context="Agent">
    <Exec><Command>{command}</Command><Arguments>{arguments}</Arguments></Exec>
  </Actions>
</Task>
"""


class Launch(NamedTuple):
    """What the task starts: a program and its arguments."""

    program: str
    arguments: tuple[str, ...]


def task_xml(launch: Launch) -> str:
    """The task as XML (to be written as UTF-16, which is what schtasks reads).

    It starts with the system, without anybody signed in, as LocalService; after a failure again, a minute later, 255 times, and
    after each start of the system anew. A start by Fast Startup fires no boot trigger, so that the event log's mark of any kind
    of start is a trigger, too; one that runs already is left alone.
    """
    return _TEMPLATE.format(
        task=escape(TASK),
        awake=escape(_AWAKE),
        user=LOCAL_SERVICE,
        command=escape(launch.program),
        arguments=escape(command_line(launch.arguments)),
    )


def command_line(arguments: Sequence[str]) -> str:
    """One line that Windows' programs split into ``arguments`` again."""
    from subprocess import list2cmdline  # it knows the rules of quotes and backslashes

    return list2cmdline(arguments)


def install_commands(*, xml_file: str, data: str, password_file: str | None) -> tuple[tuple[str, ...], ...]:
    """What makes the task and lets LocalService at its files, in this order."""
    rights: list[tuple[str, ...]] = [("icacls", data, "/grant", f"*{LOCAL_SERVICE}:(OI)(CI)M", "/Q")]
    if password_file is not None:
        only = (f"*{LOCAL_SERVICE}:R", f"*{ADMINISTRATORS}:F", f"*{SYSTEM}:F")
        rights.append(("icacls", password_file, "/inheritance:r", "/grant:r", *only, "/Q"))
    make = ("schtasks", "/Create", "/TN", TASK, "/XML", xml_file, "/F")
    return (*rights, make, ("schtasks", "/Run", "/TN", TASK))


def remove_commands() -> tuple[tuple[str, ...], ...]:
    """What ends the agent and takes the task away; files stay."""
    return (("schtasks", "/End", "/TN", TASK), ("schtasks", "/Delete", "/TN", TASK, "/F"))


def query_command() -> tuple[str, ...]:
    """Exits with 0 if the task is there."""
    return ("schtasks", "/Query", "/TN", TASK)
