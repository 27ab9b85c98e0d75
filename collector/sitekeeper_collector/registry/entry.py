"""A site as the registry knows it, and what can be said about a line that does not make one."""

from enum import StrEnum, unique

from msgspec import Struct


@unique
class Profile(StrEnum):
    """What stands at a site; ``manual`` sites have no agent."""

    PC = "pc"
    PC_IPTV = "pc_iptv"
    SATELLITE = "satellite"
    MANUAL = "manual"


class Contact(Struct, frozen=True, kw_only=True):
    """Somebody to call or write to; at least one of ``phone`` and ``mail`` is not empty."""

    name: str
    phone: str = ""
    mail: str = ""


class SiteEntry(Struct, frozen=True, kw_only=True):
    """One line of the registry, checked and in its normal form. ``hours`` is as ``hours.render`` writes it; empty: unset.

    By ``account``, ``loid`` (of the modem) and ``line_phone`` (that the line is registered to) its ``carrier`` finds the line.
    """

    id: str
    name: str
    county: str = ""
    township: str = ""
    access_node: str = ""
    feeder: str = ""
    line_number: str = ""
    account: str = ""
    loid: str = ""
    line_phone: str = ""
    carrier: str = ""
    contacts: tuple[Contact, ...] = ()
    profile: Profile = Profile.PC
    hours: str = ""


class Problem(Struct, frozen=True, kw_only=True):
    """Why a line can't be taken: ``reason`` says what is wrong, ``right`` what would be right."""

    line: int
    column: str
    value: str
    reason: str
    right: str


class Note(Struct, frozen=True, kw_only=True):
    """Something worth a look that does not stand in the way."""

    line: int
    column: str
    value: str
    text: str


class FieldProblem(ValueError):
    """A value that can't be taken."""

    def __init__(self, reason: str, right: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.right = right
