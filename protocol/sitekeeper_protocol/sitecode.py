"""The 8 digits that a site without a line reads out by phone: which fault its PC sees, since when, and that it is this site.

Seven digits carry, from the left, what is seen and a fingerprint of site id and content: ``seen * BINDINGS + fingerprint``.
The eighth is a check digit by Damm, "Total anti-symmetrische Quasigruppen" (Marburg 2004), which catches every single wrong
digit and every swap of neighbours. No clock goes into it: a dead CMOS battery changes nothing. The layout never changes;
golden codes hold it.
"""

import hashlib
import unicodedata
from collections.abc import Iterable
from enum import IntEnum, StrEnum, unique
from typing import NamedTuple

from sitekeeper_protocol.texts import LANGUAGES, Lang, Pair
from sitekeeper_protocol.vocabulary import KIND_NUMBERS, Kind, Rung, kind_of_number

DIGITS = 8
KIND_SLOTS = 64
"""Slot 0: nothing wrong seen; 1 to 63: the number of a kind; then a slot for each rung whose trouble has no kind."""
SLOTS = KIND_SLOTS + 8
DURATIONS = 16
BINDINGS = 10**7 // (SLOTS * DURATIONS)
"""How many fingerprints there are: a code of another site passes for this one's with a chance of 1 in so many."""
_MOST_READ = 100
"""Characters; a longer input is no code that somebody heard, and is not looked at."""


@unique
class Lasting(IntEnum):
    """How long the fault had lasted when the code was shown, in coarse steps, by its number in the code."""

    UNKNOWN = 0
    UNDER_5_MIN = 1
    FROM_5_MIN = 2
    FROM_15_MIN = 3
    FROM_30_MIN = 4
    FROM_1_H = 5
    FROM_2_H = 6
    FROM_4_H = 7
    FROM_8_H = 8
    FROM_16_H = 9
    FROM_1_D = 10
    FROM_2_D = 11
    FROM_3_D = 12
    FROM_1_WEEK = 13
    FROM_2_WEEKS = 14
    FROM_30_D = 15

    @property
    def least_minutes(self) -> int | None:
        """It had lasted at least so long, in minutes; ``None`` if that is not known."""
        return _STARTS_MIN[self - 1] if self else None

    @property
    def below_minutes(self) -> int | None:
        """It had lasted less than this, in minutes; ``None`` if that is not known, or without limit."""
        return _STARTS_MIN[self] if 0 < self < len(_STARTS_MIN) else None


_STARTS_MIN = (0, 5, 15, 30, 60, 120, 240, 480, 960, 1440, 2880, 4320, 10080, 20160, 43200)

LASTING: dict[Lasting, Pair] = {
    Lasting.UNKNOWN: ("持续时间不明", "for an unknown time"),
    Lasting.UNDER_5_MIN: ("不到5分钟", "less than 5 minutes"),
    Lasting.FROM_5_MIN: ("5至15分钟", "5 to 15 minutes"),
    Lasting.FROM_15_MIN: ("15至30分钟", "15 to 30 minutes"),
    Lasting.FROM_30_MIN: ("半小时至1小时", "30 minutes to 1 hour"),
    Lasting.FROM_1_H: ("1至2小时", "1 to 2 hours"),
    Lasting.FROM_2_H: ("2至4小时", "2 to 4 hours"),
    Lasting.FROM_4_H: ("4至8小时", "4 to 8 hours"),
    Lasting.FROM_8_H: ("8至16小时", "8 to 16 hours"),
    Lasting.FROM_16_H: ("16至24小时", "16 to 24 hours"),
    Lasting.FROM_1_D: ("1至2天", "1 to 2 days"),
    Lasting.FROM_2_D: ("2至3天", "2 to 3 days"),
    Lasting.FROM_3_D: ("3天至1周", "3 days to 1 week"),
    Lasting.FROM_1_WEEK: ("1至2周", "1 to 2 weeks"),
    Lasting.FROM_2_WEEKS: ("2周至30天", "2 weeks to 30 days"),
    Lasting.FROM_30_D: ("30天以上", "30 days or more"),
}


@unique
class Refusal(StrEnum):
    """Why digits are not taken."""

    NOT_EIGHT_DIGITS = "not_eight_digits"
    MISHEARD = "misheard"
    OTHER_SITE = "other_site"


REFUSALS: dict[Refusal, Pair] = {
    Refusal.NOT_EIGHT_DIGITS: ("不是8位数字，请对方再念一遍。", "These are not 8 digits. Ask for them once more."),
    Refusal.MISHEARD: (
        "数字有误，可能听错或念错了一位，请对方再念一遍。",
        "The digits don't check: one was probably misheard. Ask for them once more.",
    ),
    Refusal.OTHER_SITE: (
        "数字与这个站点号对不上，请核对站点号，再念一遍数字。",
        "The digits don't belong to this site number. Check the number, and ask for the digits once more.",
    ),
}


class SiteCodeError(ValueError):
    """Digits that are refused: ``code`` says why, for programs; ``words`` for a person; ``str`` adds what was read."""

    def __init__(self, code: Refusal, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail

    def words(self, lang: Lang) -> str:
        """What is wrong and what to do, for the person at the phone."""
        return REFUSALS[self.code][LANGUAGES.index(lang)]


class SpokenCode(NamedTuple):
    """What 8 digits say. Without ``number`` and ``rung``, the PC sees nothing wrong.

    ``number`` is 0 or that of a kind, and ``kind`` is ``None`` too where only a newer program knows the number; ``rung`` is
    where something is wrong that has no kind.
    """

    number: int
    kind: Kind | None
    rung: Rung | None
    lasting: Lasting


def encode(*, site: str, kind: Kind | None, rung: Rung | None, minutes: int | None) -> str:
    """The 8 digits of ``site``. A kind names its rung already; ``rung`` counts only without one. ``minutes``: how long the
    fault has lasted, ``None`` if that is not known. Raises ``ValueError`` for less than nothing."""
    slot = KIND_NUMBERS[kind] if kind else KIND_SLOTS + rung - 1 if rung else 0
    seen = slot * DURATIONS + lasting_of(minutes)
    payload = f"{seen * BINDINGS + _fingerprint(site, seen):0{DIGITS - 1}}"
    return payload + str(_damm(payload))


def decode(code: str, site: str) -> SpokenCode:
    """What the digits say that ``site`` read out. Raises ``SiteCodeError`` for what is no code, misheard, or another site's."""
    seen, fingerprint = _take_apart(code)
    if fingerprint != _fingerprint(site, seen):
        raise SiteCodeError(Refusal.OTHER_SITE, f"the digits are not those of site {site[:48]!r}")
    slot, lasting = divmod(seen, DURATIONS)
    if slot < KIND_SLOTS:
        return SpokenCode(slot, kind_of_number(slot), None, Lasting(lasting))
    return SpokenCode(0, None, Rung(slot - KIND_SLOTS + 1), Lasting(lasting))


def find_site(code: str, sites: Iterable[str]) -> tuple[str, ...]:
    """Those of ``sites`` that the digits fit, for a caller who doesn't know the number. One of ``BINDINGS`` fits by chance, so
    more than one, or the only one of many thousands, wants a question. Raises ``SiteCodeError`` as ``decode`` does."""
    seen, fingerprint = _take_apart(code)
    return tuple(site for site in sites if _fingerprint(site, seen) == fingerprint)


def lasting_of(minutes: int | None) -> Lasting:
    """The step that a duration falls into. Raises ``ValueError`` for less than nothing."""
    if minutes is None:
        return Lasting.UNKNOWN
    if minutes < 0:
        raise ValueError(f"a fault can't have lasted {minutes} minutes")
    return Lasting(sum(start <= minutes for start in _STARTS_MIN))


def lasting(step: Lasting, lang: Lang) -> str:
    """How long, in words."""
    return LASTING[step][LANGUAGES.index(lang)]


def spaced(code: str) -> str:
    """The digits as they are shown: in two groups of four."""
    return f"{code[:4]} {code[4:]}"


# --- the digits --------------------------------------------------------------------------------------------------------


def _fingerprint(site: str, seen: int) -> int:
    # The content goes in too: two sites that share a fingerprint for one fault don't for the next, and two wrong digits
    # that the check digit lets pass still meet this.
    told = f"sitekeeper:{site}:{seen}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(told).digest()[:8], "big") % BINDINGS


def _take_apart(code: str) -> tuple[int, int]:
    digits = heard(code)
    seen, fingerprint = divmod(int(digits[:-1]), BINDINGS)
    if _damm(digits) or seen >= SLOTS * DURATIONS:
        raise SiteCodeError(Refusal.MISHEARD, f"the check digit of {spaced(digits)} is wrong")
    return seen, fingerprint


_DAMM = (
    "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
    "3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
)  # fmt: skip
"""Damm's example of a totally anti-symmetric quasigroup of order 10 (page 111)."""


def _damm(digits: str) -> int:
    """The check digit of ``digits``; 0 if they end in theirs already."""
    interim = 0
    for digit in digits:
        interim = int(_DAMM[interim][int(digit)])
    return interim


# --- as they are heard -------------------------------------------------------------------------------------------------

_READ = {
    character: str(digit)
    for digit, characters in enumerate(
        # With the variants of each, and the way that soldiers and telephone operators read them (幺两拐洞勾).
        ("0〇零○洞", "1一幺么壹", "2二两兩贰貳", "3三叁參", "4四肆", "5五伍", "6六陆陸", "7七拐柒", "8八捌", "9九勾玖")
    )
    for character in characters
}
_BETWEEN = "Z", "P", "C"
"""Unicode's groups of what may stand between digits: spaces, hyphens and other punctuation, controls and invisible marks."""


def heard(text: str) -> str:
    """The 8 digits in what somebody typed while listening: half or full width, Chinese or not, with spaces and hyphens.

    Raises ``SiteCodeError`` if they are not 8, or something else stands among them.
    """
    if len(text) > _MOST_READ:
        raise SiteCodeError(Refusal.NOT_EIGHT_DIGITS, f"{len(text)} characters are too many")
    read = []
    # NFKC makes full-width digits and the compatibility forms of characters plain (Unicode annex 15).
    for character in unicodedata.normalize("NFKC", text):
        if character in _READ:
            read.append(_READ[character])
        elif unicodedata.category(character)[0] not in _BETWEEN:
            raise SiteCodeError(Refusal.NOT_EIGHT_DIGITS, f"{character!r} is no digit")
    if len(read) != DIGITS:
        raise SiteCodeError(Refusal.NOT_EIGHT_DIGITS, f"{len(read)} digits were read, not {DIGITS}")
    return "".join(read)
