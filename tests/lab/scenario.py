"""A scenario as data: who takes part, what is done when, and what is true. ``scenarios/NAME.yaml`` holds one each.

Words of a truth are written as one would say them: ``line_down telecom proven`` is a verdict, ``b site_dark technician
to_verify open`` a ticket of site b.
"""

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from lab.network import SITES

FOLDER = Path(__file__).with_name("scenarios")


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Once all of ``when`` holds, and ``after_s`` more, ``do``. ``breaks`` and ``mends``: sites whose truth changes."""

    when: dict[str, Any] = {}
    after_s: float = 0
    do: list[str] = []
    breaks: list[str] = []
    mends: list[str] = []


class Truth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person who knows all would have said.

    ``said``: the faults that each site names, one after the other. ``meanwhile``: kinds that may pass before, while evidence
    for the right one is still coming in. ``opening``: the tickets when they were first waited for; ``after``: in the end.
    ``remembers``: sites that judge by a window of time, and so are not well at once.
    ``ledger``: what the picture calls the time from break to mend.
    ``within_s``: the error that the times may have: a beginning takes an interval and two rounds of probes at
    most, an end one of each, and the machine has other things to do.
    """

    said: dict[str, list[str]] = {}
    meanwhile: list[str] = []
    opening: list[str] = []
    after: list[str] = []
    mails: int = 0
    remembers: list[str] = []
    ledger: dict[str, str] = {}
    within_s: float = 12


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``centre``: a collector and a mail server take part, and all begins anew. ``quick``: belongs to ``make test``.

    ``alone``: agents that share nothing with scenarios before. ``lesson``: a class that goes on for so many minutes. ``tmpfs``:
    sites whose state lies on a small file system of its own. ``rules``: seconds in the place of the lab's, by kind.
    ``before``: deeds done before the agents start. ``settings``: of every agent; ``own``: of one site (``{folder}`` is
    the agent's own). ``clocks``: by how many seconds a site's clock is wrong.
    ``gap``: why Sitekeeper does not get this right yet, if it doesn't.
    """

    title: str
    steps: list[Step]
    truth: Truth
    sites: tuple[str, ...] = SITES
    centre: bool = False
    alone: bool = False
    quick: bool = False
    lesson: int = 0
    tmpfs: list[str] = []
    rules: dict[str, Any] = {}
    silence: dict[str, int] = {}
    before: list[str] = []
    settings: dict[str, Any] = {}
    own: dict[str, dict[str, Any]] = {}
    clocks: dict[str, int] = {}
    gap: str = ""
    name: str = ""


def load(name: str) -> Scenario:
    """Read one. Raises ``msgspec.ValidationError`` with the place of a mistake."""
    found = msgspec.yaml.decode((FOLDER / f"{name}.yaml").read_bytes(), type=Scenario)
    return msgspec.structs.replace(found, name=name)


def names() -> list[str]:
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))
